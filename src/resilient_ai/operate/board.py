"""The dashboard: what users get, how the models fare, what it costs, and whether the watching works.

Alerts and panels read the same recorded shares, so that the line an alert fires at is the line in the panel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from resilient_ai.operate import promql
from resilient_ai.operate.burn import BURNS, error_ratio
from resilient_ai.operate.grafana import Colour, Json, Panel, Query, Row, Variable, dashboard
from resilient_ai.operate.mending import INVALID_RATIO, INVALID_SHARE
from resilient_ai.operate.models import DEGRADED_RATIO, DEGRADED_SHARE, RETRIES_PER_TURN, RETRY_RATIO
from resilient_ai.operate.rules import Terms
from resilient_ai.operate.watching import ALWAYS_THERE
from resilient_ai.telemetry import names

UID: Final = "resilient-ai"
RANGE: Final = "$__rate_interval"
"""Grafana's own range for rates: four scrapes at least, and wider the longer the time that is shown."""
JOB: Final = "$job"
_CHOSEN: Final = promql.Match(names.CHAIN, "=~", "$chain")
_JOB_IS: Final = f'{promql.JOB}=~"{JOB}"'
_CHAIN_IS: Final = f'{_JOB_IS},{promql.underscored(names.CHAIN)}=~"$chain"'
_MODEL: Final = (
    f"{{{{{promql.underscored(names.PROVIDER_NAME)}}}}}:{{{{{promql.underscored(names.REQUEST_MODEL)}}}}}"
)
_WHO: Final = (names.PROVIDER_NAME, names.REQUEST_MODEL)
_QUANTILES: Final = (0.5, 0.95, 0.99)

_OUTCOME_COLOURS: Final[tuple[tuple[str, Colour], ...]] = (
    ("ok", "green"),
    ("degraded", "yellow"),
    ("error", "red"),
)
_STATE_COLOURS: Final[Mapping[str, Colour]] = {
    "closed": "green",
    "disabled": "text",
    "half-open": "yellow",
    "open": "red",
    "forced-open": "purple",
}
"""From the best to the worst: of several processes, the worst is shown."""


def board(terms: Terms) -> Mapping[str, Json]:
    """The dashboard for an objective.

    Raises:
        ConfigError: The `[operate]` extra is not installed.
    """
    chains = f"label_values({promql.spelled(names.METRIC_REQUEST_DURATION, 'count')}{{{_JOB_IS}}}, {promql.label(names.CHAIN)})"
    return dashboard(
        uid=UID,
        title="resilient_ai",
        description="Calls to language models: what users get, how the models fare, what it costs, and whether the watching works.",
        variables=(
            Variable("job", "Job", f"label_values({promql.spelled(ALWAYS_THERE)}, {promql.JOB})"),
            Variable("chain", "Chain", chains),
        ),
        rows=(_calls(terms), _models(), _costs(), _watching()),
        alerts=f'ALERTS{{alertname=~"ResilientAI.*",alertstate="firing",{_JOB_IS}}}',
    )


def _calls(terms: Terms) -> Row:
    def calls(*matches: promql.Match, by: tuple[str, ...]) -> str:
        return _rate(names.METRIC_REQUEST_DURATION, _CHOSEN, *matches, part="count", by=by)

    durations = promql.rate(names.METRIC_REQUEST_DURATION, _CHOSEN, part="bucket", over=RANGE, job=JOB)
    fastest = BURNS[0]
    return Row(
        "Calls",
        (
            Panel(
                "Calls by outcome",
                "`degraded` is answered by another model than the first of its chain. `error` is an exception in the application.",
                (Query(calls(by=(names.OUTCOME,)), _legend(names.OUTCOME)),),
                unit="reqps",
                stacked=True,
                colours=_OUTCOME_COLOURS,
            ),
            Panel(
                "Who answers",
                "Answers by the model that gave them.",
                (
                    Query(
                        calls(promql.known(names.SERVED_BY), by=(names.SERVED_BY,)), _legend(names.SERVED_BY)
                    ),
                ),
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "Latency of a call",
                "From the question to the whole answer, with all retries, waits and fallbacks. It cannot pass the chain's deadline.",
                tuple(
                    Query(promql.quantile(share, durations, by=(), job=False), f"p{share * 100:.0f}")
                    for share in _QUANTILES
                ),
                unit="s",
            ),
            Panel(
                "Degraded share of the answers",
                f"The line is where ResilientAIDegraded fires: {DEGRADED_SHARE:.0%}.",
                (Query(f"{DEGRADED_RATIO}{{{_CHAIN_IS}}}", _legend(names.CHAIN)),),
                unit="percentunit",
                limit=DEGRADED_SHARE,
                most=1,
            ),
            Panel(
                "Error budget, times too fast",
                f"1 spends the whole budget of 30 days in 30 days; the line is the page at {fastest.factor:g}. Objective: "
                f"{terms.slo * 100:g} % of the calls.",
                tuple(
                    Query(
                        f"{error_ratio(window)}{{{_CHAIN_IS}}} / {terms.budget:.6g}",
                        f"{_legend(names.CHAIN)} {promql.span(window)}",
                    )
                    for window in (fastest.long, fastest.short)
                ),
                unit="none",
                limit=fastest.factor,
            ),
            Panel(
                "Calls in flight",
                "Begun and not ended. A line that only climbs is streams that nobody closes.",
                (
                    Query(
                        promql.aggregated(
                            "sum",
                            promql.select(names.METRIC_ACTIVE, _CHOSEN, job=JOB),
                            by=(names.CHAIN,),
                            job=False,
                        ),
                        _legend(names.CHAIN),
                    ),
                ),
            ),
            Panel(
                "Failed calls by kind",
                "What the application was told. `cancelled`, `bad_request`, `context_overflow` and `content_filtered` are not counted against "
                "the error budget.",
                (
                    Query(
                        calls(promql.known(names.ERROR_TYPE), by=(names.ERROR_TYPE,)),
                        _legend(names.ERROR_TYPE),
                    ),
                ),
                unit="reqps",
                stacked=True,
                columns=24,
            ),
        ),
    )


def _models() -> Row:
    states = "\nor ".join(
        f"{number} * {promql.select(names.METRIC_BREAKER_STATE, promql.equal(names.STATE, state), job=JOB)}"
        for number, state in enumerate(_STATE_COLOURS)
    )
    turns = promql.rate(names.METRIC_OPERATION_DURATION, part="bucket", over=RANGE, job=JOB)
    first = promql.rate(names.METRIC_FIRST_CHUNK, part="bucket", over=RANGE, job=JOB)
    return Row(
        "Models",
        (
            Panel(
                "Breakers",
                "The worst state of any process. While a model is down its breaker goes from open to half open and back.",
                (Query(promql.aggregated("max", states, by=_WHO, job=False), _MODEL),),
                states=tuple(_STATE_COLOURS.items()),
                columns=16,
            ),
            Panel(
                "Models passed over",
                "Calls that did not ask a model because its breaker was open, and requests that its throttle kept back.",
                (
                    Query(_rate(names.METRIC_BREAKER_REJECTIONS, by=_WHO), _MODEL),
                    Query(_rate(names.METRIC_THROTTLE_REJECTIONS, by=_WHO), f"{_MODEL} throttled"),
                ),
                unit="reqps",
            ),
            Panel(
                "Attempts by what came next",
                "Requests sent: `answered`, `hedged` where another request beside it decided, or what the engine did with the failure.",
                (Query(_rate(names.METRIC_ATTEMPTS, by=(names.OUTCOME,)), _legend(names.OUTCOME)),),
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "Failed attempts by kind",
                "Why requests failed, whether or not the call was answered in the end.",
                (
                    Query(
                        _rate(
                            names.METRIC_ATTEMPTS,
                            promql.known(names.ERROR_TYPE),
                            by=(names.REQUEST_MODEL, names.ERROR_TYPE),
                        ),
                        f"{_legend(names.REQUEST_MODEL)} {_legend(names.ERROR_TYPE)}",
                    ),
                ),
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "Moves to the next model",
                "Fallbacks, by the failure that caused them.",
                (
                    Query(
                        _rate(
                            names.METRIC_FALLBACKS,
                            by=(names.FALLBACK_FROM, names.FALLBACK_TO, names.REASON),
                        ),
                        f"{_legend(names.FALLBACK_FROM)} → {_legend(names.FALLBACK_TO)} {_legend(names.REASON)}",
                    ),
                ),
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "Retries for each turn at a model",
                f"The line is where ResilientAIRetryAmplification fires: {RETRIES_PER_TURN:g}.",
                (Query(f"{RETRY_RATIO}{{{_JOB_IS}}}", _MODEL),),
                unit="none",
                limit=RETRIES_PER_TURN,
            ),
            Panel(
                "Retries and hedges left out",
                "`budget`: too many of the recent requests were extra ones already, and one more would feed the storm. `attempts`, `deadline`, `breaker` and "
                "`throttle` are the policy's other bounds.",
                (
                    Query(_rate(names.METRIC_RETRY_SUPPRESSED, by=(names.REASON,)), _legend(names.REASON)),
                    Query(
                        _rate(names.METRIC_HEDGE_SUPPRESSED, by=(names.REASON,)),
                        f"hedge: {_legend(names.REASON)}",
                    ),
                ),
                unit="reqps",
                stacked=True,
            ),
            Panel(
                "Pause before a retry, p95",
                "By the failure it waits out. Hints of the provider are obeyed.",
                (
                    Query(
                        promql.quantile(
                            0.95,
                            promql.rate(names.METRIC_RETRY_DELAY, part="bucket", over=RANGE, job=JOB),
                            by=(names.REASON,),
                            job=False,
                        ),
                        _legend(names.REASON),
                    ),
                ),
                unit="s",
            ),
            Panel(
                "Time at a model, p95",
                "One model's part in a call, its retries included.",
                (Query(promql.quantile(0.95, turns, by=_WHO, job=False), _MODEL),),
                unit="s",
            ),
            Panel(
                "Time to the first content of a stream, p95",
                "What a reader waits before anything appears.",
                (Query(promql.quantile(0.95, first, by=_WHO, job=False), _MODEL),),
                unit="s",
            ),
            Panel(
                "Answers that do not fit",
                f"The line is where ResilientAIInvalidOutput fires: {INVALID_SHARE:.0%}.",
                (Query(f"{INVALID_RATIO}{{{_JOB_IS}}}", _MODEL),),
                unit="percentunit",
                limit=INVALID_SHARE,
                most=1,
            ),
        ),
    )


def _costs() -> Row:
    spent = promql.rate(names.METRIC_COST, over=RANGE, job=JOB)
    return Row(
        "Tokens and money",
        (
            Panel(
                "Tokens a second",
                "Of answers. What failed attempts used is in the cost, as far as providers tell.",
                (
                    Query(
                        _rate(
                            names.METRIC_TOKEN_USAGE, part="sum", by=(names.REQUEST_MODEL, names.TOKEN_TYPE)
                        ),
                        f"{_legend(names.REQUEST_MODEL)} {_legend(names.TOKEN_TYPE)}",
                    ),
                ),
                unit="none",
                stacked=True,
                columns=12,
            ),
            Panel(
                "Money an hour",
                "Of attempts of a known price, failed ones included.",
                (
                    Query(
                        f"3600 * {promql.aggregated('sum', spent, by=(names.REQUEST_MODEL, names.CURRENCY), job=False)}",
                        f"{_legend(names.REQUEST_MODEL)} {_legend(names.CURRENCY)}",
                    ),
                ),
                unit="none",
                stacked=True,
                columns=12,
            ),
        ),
    )


def _watching() -> Row:
    return Row(
        "Privacy and telemetry",
        (
            Panel(
                "Values redacted a second",
                "What was changed before it left the process for a log, a span or a metric.",
                (Query(_rate(names.METRIC_REDACTIONS, by=(promql.JOB,)), "{{job}}"),),
                unit="none",
            ),
            Panel(
                "Failures of redactor, audit trail and observers a second",
                "Always 0 in health. A value the redactor fails on is replaced as a whole; what the audit trail or an observer fails to write is lost.",
                (
                    Query(_rate(names.METRIC_REDACTION_ERRORS, by=(promql.JOB,)), "{{job}} redactor"),
                    Query(_rate(names.METRIC_AUDIT_ERRORS, by=(promql.JOB,)), "{{job}} audit trail"),
                    Query(_rate(names.METRIC_OBSERVER_ERRORS, by=(names.OBSERVER,)), _legend(names.OBSERVER)),
                ),
                unit="none",
            ),
            Panel(
                "Alerts a second that only an operator can mend",
                "A key that is refused, a quota that is spent, a model that is gone.",
                (
                    Query(
                        _rate(names.METRIC_ALERTS, by=(*_WHO, names.ERROR_TYPE)),
                        f"{_MODEL} {_legend(names.ERROR_TYPE)}",
                    ),
                ),
                unit="none",
            ),
        ),
    )


def _rate(metric: str, *matches: promql.Match, by: tuple[str, ...], part: promql.Part = "") -> str:
    return promql.aggregated(
        "sum", promql.rate(metric, *matches, part=part, over=RANGE, job=JOB), by=by, job=False
    )


def _legend(label: str) -> str:
    return f"{{{{{promql.label(label)}}}}}"
