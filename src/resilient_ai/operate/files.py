"""The rule files, their tests and the runbooks, as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from resilient_ai.operate import promql
from resilient_ai.operate.burn import budget_alerts
from resilient_ai.operate.mending import mending_alerts
from resilient_ai.operate.models import model_alerts
from resilient_ai.operate.rules import Alert, Case, Group, Terms
from resilient_ai.operate.watching import watching_alerts
from resilient_ai.operate.yaml_text import Plain, yaml_text

RULES_FILE: Final = "rules.yml"
TESTS_FILE: Final = "rules_test.yml"
DASHBOARD_FILE: Final = "dashboard.json"
RUNBOOKS: Final = "runbooks"

_WRITTEN_BY: Final = (
    "Written by `resilient-ai alerts`. Change it there; what is changed here is lost the next time."
)
_SEVERITY: Final[Mapping[str, str]] = {
    "page": "page: wake somebody, users feel it now",
    "ticket": "ticket: for the next working day",
}


def groups(terms: Terms) -> tuple[Group, ...]:
    """All rules, in the order in which they are read."""
    return (budget_alerts(terms), model_alerts(terms), mending_alerts(terms), watching_alerts(terms))


def alerts(terms: Terms) -> tuple[Alert, ...]:
    """All alerts, in the order of the rules."""
    return tuple(alert for group in groups(terms) for alert in group.alerts)


def rules_text(terms: Terms) -> str:
    """The rule file for Prometheus."""
    head = f"{_WRITTEN_BY}\nObjective: {terms.slo * 100:g} % of calls are answered."
    return yaml_text({"groups": [_group(group, terms) for group in groups(terms)]}, head=head)


def tests_text(terms: Terms) -> str:
    """The rules' tests, for `promtool test rules`: every alert firing, and silent where it is a near thing."""
    tests: list[Plain] = []
    for alert in alerts(terms):
        tests += [_test(alert, case, terms) for case in (alert.firing, *alert.silent)]
    document: Plain = {"rule_files": [RULES_FILE], "evaluation_interval": "1m", "tests": tests}
    return yaml_text(document, head=_WRITTEN_BY)


def runbook_text(alert: Alert) -> str:
    """The runbook of `alert`, in Markdown."""
    lines = [
        f"# {alert.name}",
        "",
        f"<!-- {_WRITTEN_BY} -->",
        "",
        f"**Severity** {_SEVERITY[alert.severity]}.",
        "",
        "## What it says",
        "",
        alert.means,
        "",
        "```promql",
        alert.expression,
        "```",
        "",
        f"It fires {f'once that has held for {promql.span(alert.hold)}' if alert.hold else 'at once'}.",
        "",
        "## What to do",
        "",
        *(f"{number}. {step}" for number, step in enumerate(alert.steps, start=1)),
    ]
    if alert.ask:
        lines += ["", "## Where to look"]
        for what, query in alert.ask:
            lines += ["", f"{what}:", "", "```promql", query, "```"]
    lines += ["", "## When to change it", "", alert.tune]
    return "\n".join(lines) + "\n"


def _group(group: Group, terms: Terms) -> Plain:
    recordings: list[Plain] = [{"record": one.name, "expr": one.expression} for one in group.recordings]
    return {"name": group.name, "rules": [*recordings, *(_rule(alert, terms) for alert in group.alerts)]}


def _rule(alert: Alert, terms: Terms) -> Plain:
    held: dict[str, Plain] = {"for": terms.span(alert.hold)} if alert.hold else {}
    return {
        "alert": alert.name,
        "expr": alert.expression,
        **held,
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.annotated(), "runbook_url": _runbook_url(alert, terms)},
    }


def _test(alert: Alert, case: Case, terms: Terms) -> Plain:
    expected: list[Plain] = []
    if case.labels is not None:
        labels = {promql.label(name): value for name, value in case.labels.items()}
        expected.append(
            {
                "exp_labels": {"severity": alert.severity, **labels},
                "exp_annotations": {
                    "summary": alert.told(case.labels, case.value),
                    "runbook_url": _runbook_url(alert, terms),
                },
            }
        )
    return {
        "name": f"{alert.name} {'fires' if expected else 'is silent'}: {case.title}",
        "interval": "1m",
        "input_series": [{"series": one.series, "values": one.values} for one in case.feeds],
        "alert_rule_test": [
            {"alertname": alert.name, "eval_time": f"{case.minutes}m", "exp_alerts": expected}
        ],
    }


def _runbook_url(alert: Alert, terms: Terms) -> str:
    return f"{terms.runbooks.rstrip('/')}/{alert.runbook}"


def json_text(document: object) -> str:
    """`document` as a JSON file that a change shows up in line by line."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
