"""The error budget, and how fast it is spent: alerts on what users feel, whatever the cause.

A call is bad if it failed and the service could have helped it. One whose caller left, or whose request no model could have
answered, is not counted at all: neither for the service nor against it. A degraded answer is an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final, final

from resilient_ai.core.failure import FailureKind
from resilient_ai.operate import promql
from resilient_ai.operate.rules import (
    DAY,
    FASTEST_BURN,
    HOUR,
    MINUTE,
    Alert,
    Case,
    Feed,
    Group,
    Recording,
    Severity,
    Terms,
)
from resilient_ai.operate.samples import JOB_OF_CASES, counting, feed
from resilient_ai.telemetry import names

NOT_OURS: Final = (
    FailureKind.CANCELLED.value,
    FailureKind.BAD_REQUEST.value,
    FailureKind.CONTEXT_OVERFLOW.value,
    FailureKind.CONTENT_FILTERED.value,
)
"""Failures that a better service would have had as well: the caller's doing, or what the caller asked for."""

MIN_FAILURES: Final = 5
"""Failed calls in the long window below which nobody is told. With the default objective one failure among thirteen calls in an
hour burns the budget 14 times too fast, and means nothing. Source: The Site Reliability Workbook, chapter 5, "Low-Traffic
Services and Error Budget Alerting"; the number is ours, as many as open a breaker."""


@final
@dataclass(frozen=True, slots=True)
class Burn:
    """A rate of spending that is an alert once it held over both windows, in seconds.

    The long window says that it matters, the short one, a twelfth of it, that it is still going on.
    """

    factor: float
    long: float
    short: float
    severity: Severity
    spent: str


BURNS: Final = (
    Burn(FASTEST_BURN, HOUR, 5 * MINUTE, "page", "2 % of the budget of 30 days is spent in an hour"),
    Burn(6, 6 * HOUR, 30 * MINUTE, "page", "5 % of the budget of 30 days is spent in six hours"),
    Burn(3, DAY, 2 * HOUR, "ticket", "10 % of the budget of 30 days is spent in a day"),
    Burn(1, 3 * DAY, 6 * HOUR, "ticket", "10 % of the budget of 30 days is spent in three days"),
)
"""Source: The Site Reliability Workbook, chapter 5, "Alerting on SLOs", sections 5 and 6 (multiwindow, multi-burn-rate):
https://sre.google/workbook/alerting-on-slos/."""

WINDOWS: Final = tuple(sorted({window for burn in BURNS for window in (burn.long, burn.short)}))


def error_ratio(window: float) -> str:
    """Name of the recorded share of bad calls over `window` seconds."""
    return f"job_chain:resilient_ai_request_errors:ratio_rate{promql.span(window)}"


def budget_alerts(terms: Terms) -> Group:
    """The share of bad calls over every window, and the alerts on them."""
    return Group(
        "resilient_ai_error_budget",
        tuple(Recording(error_ratio(window), _ratio(terms.span(window))) for window in WINDOWS),
        tuple(_alert(burn, terms) for burn in BURNS),
    )


_COUNTED: Final = promql.outside(names.ERROR_TYPE, NOT_OURS)
_FAILED: Final = promql.equal(names.OUTCOME, "error")
_BY: Final = (names.CHAIN,)


def _ratio(over: str) -> str:
    def calls(*matches: promql.Match) -> str:
        growth = promql.rate(names.METRIC_REQUEST_DURATION, *matches, _COUNTED, part="count", over=over)
        return promql.summed(growth, by=_BY)

    # Without the second line a chain that never failed would have no share at all, instead of one of 0.
    return f"(\n  {calls(_FAILED)}\n  or 0 * {calls()}\n)\n/ {calls()}"


def _alert(burn: Burn, terms: Terms) -> Alert:
    threshold = burn.factor * terms.budget
    shown = f"{threshold:.6g}"
    failures = promql.summed(
        promql.increase(
            names.METRIC_REQUEST_DURATION, _FAILED, _COUNTED, part="count", over=terms.span(burn.long)
        ),
        by=_BY,
    )
    long, short = promql.span(burn.long), promql.span(burn.short)
    more, often = (
        ("more than", "more often than")
        if burn.factor == 1
        else (f"{burn.factor:g} times what", f"{burn.factor:g} times as often as")
    )
    return Alert(
        name=f"ResilientAIErrorBudgetBurn{long}",
        expression=(
            f"{error_ratio(burn.long)} > {shown}\nand {error_ratio(burn.short)} > {shown}\nand {failures} >= {MIN_FAILURES}"
        ),
        hold=0,
        severity=burn.severity,
        labels=_BY,
        summary=(
            f"{{job}}: {{value}} of the calls of chain {{chain}} failed in {long}, {more} the objective allows"
        ),
        means=(
            f"Calls of a chain fail {often} an objective of {terms.slo * 100:g} % allows, over {long} and "
            f"still over the last {short}: {burn.spent}. Users get errors: neither the first model nor any behind it answered "
            "in time. Calls that their caller left, and requests no model could answer, are not counted."
        ),
        steps=(
            (
                "Ask which failures they are (first query). `deadline_exceeded` or `timeout`: models are slow. `circuit_open`: every model "
                "of the chain is down or held back. `authentication`, `quota_exhausted`, `model_unavailable`: see their alerts, only "
                "you can mend them."
            ),
            "Ask which models fail (second query), and look at that provider's status page.",
            (
                "If one model fails and calls do not reach the next, the chain ends too early: add a model behind it, of "
                "another provider or on the device, or shorten the timeouts so that time is left for it. "
                "`resilient-ai explain` shows the worst case of a chain."
            ),
            "If it began with a release of yours, take that back first and look afterwards.",
        ),
        ask=(
            (
                "Failed calls a second, by kind",
                promql.aggregated(
                    "sum",
                    promql.rate(names.METRIC_REQUEST_DURATION, _FAILED, part="count", over=short),
                    by=(names.CHAIN, names.ERROR_TYPE),
                ),
            ),
            (
                "Failed attempts a second, by model and kind",
                promql.aggregated(
                    "sum",
                    promql.rate(names.METRIC_ATTEMPTS, promql.known(names.ERROR_TYPE), over=short),
                    by=(names.REQUEST_MODEL, names.ERROR_TYPE),
                ),
            ),
        ),
        tune=(
            "Change the objective (`resilient-ai alerts --slo`), not the factors: they are how much of any budget may be spent before "
            f"somebody hears of it. Fewer than {MIN_FAILURES} failures in {long} are never an alert."
        ),
        firing=_burning(burn, threshold),
        silent=(_recovered(burn, threshold), _too_few()),
    )


def _calls(good: str, bad: str) -> tuple[Feed, ...]:
    labels = {names.CHAIN: "support", names.OPERATION: "chat"}
    metric = names.METRIC_REQUEST_DURATION
    answered = {**labels, names.OUTCOME: "ok", names.SERVED_BY: "gpt-x"}
    failed = {**labels, names.OUTCOME: "error", names.ERROR_TYPE: FailureKind.SERVER_ERROR.value}
    # What their callers left is more than all the rest, and must make no difference.
    left = {**labels, names.OUTCOME: "error", names.ERROR_TYPE: FailureKind.CANCELLED.value}
    return (
        feed(metric, good, answered, part="count"),
        feed(metric, bad, failed, part="count"),
        feed(metric, good, left, part="count"),
    )


def _shares(threshold: float) -> tuple[int, int]:
    """Good and bad calls a minute that are halfway from the threshold to twice it, or to all calls."""
    share = threshold + (min(2 * threshold, 1) - threshold) / 2
    return round(100_000 * (1 - share)), round(100_000 * share)


def _burning(burn: Burn, threshold: float) -> Case:
    good, bad = _shares(threshold)
    minutes = round(min(burn.short, HOUR) / MINUTE)
    return Case(
        "calls fail too often, and still do",
        _calls(counting((good, minutes)), counting((bad, minutes))),
        minutes,
        {promql.JOB: JOB_OF_CASES, names.CHAIN: "support"},
        value=bad / (good + bad),
    )


def _recovered(burn: Burn, threshold: float) -> Case:
    clean = round(burn.short / MINUTE) + 2
    # So long that the long window is half as far again above the threshold when the short one is clean from end to end.
    outage = ceil(1.5 * threshold * clean / (1 - threshold)) + 1
    return Case(
        "every call failed for a while, and all is well since",
        _calls(counting((0, outage), (1000, clean)), counting((1000, outage), (0, clean))),
        outage + clean,
    )


def _too_few() -> Case:
    return Case(
        "four calls in a quiet night, and all of them failed",
        _calls(counting((0, 6)), counting((1, MIN_FAILURES - 1), (0, 2))),
        5,
    )
