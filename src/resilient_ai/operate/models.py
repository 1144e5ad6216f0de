"""Alerts on the models of a chain: causes, seen before users notice, because the models behind still answer."""

from __future__ import annotations

from typing import Final

from resilient_ai.operate import promql
from resilient_ai.operate.rules import (
    HOUR,
    MINUTE,
    Alert,
    Case,
    Group,
    Recording,
    Terms,
)
from resilient_ai.operate.samples import (
    JOB_OF_CASES,
    MODEL,
    MODEL_FIRES,
    answers,
    breaker,
    counting,
    failing,
    feed,
    openings,
    staying,
    turns,
)
from resilient_ai.telemetry import names

DEGRADED_SHARE: Final = 0.1
"""Share of a chain's answers that come from a stand-in before somebody should know. No literature: a tenth is more than the stray
failures of a healthy provider, and far less than an outage."""
RETRIES_PER_TURN: Final = 0.5
"""Retries for each turn at a model. The default retry budget sustains 1/14 where calls succeed, and 3 in ten seconds from each process
where none does: past half a retry a turn, retries are a good part of what the provider has to serve.
Source: Site Reliability Engineering, chapter 21, "Handling Overload": a retry budget of a tenth of the requests holds the load at 1.1
times what it was, three attempts without one at 3 times."""
FLAPS: Final = 4
"""Times a breaker opens anew from closed within an hour: about every quarter of an hour the model passes for well and is not."""

_WINDOW: Final = 5 * MINUTE
_NOT_CLOSED: Final = ("open", "half-open", "forced-open")
"""While a provider is down its breaker goes to half open and back: only both together are one outage."""
_WHO: Final = (names.PROVIDER_NAME, names.REQUEST_MODEL)
_CHAIN: Final = (names.CHAIN,)

DEGRADED_RATIO: Final = "job_chain:resilient_ai_request_degraded:ratio_rate5m"
RETRY_RATIO: Final = "job_model:resilient_ai_retries_per_turn:ratio_rate5m"


def model_alerts(terms: Terms) -> Group:
    """The shares that tell of a model in trouble, and the alerts on them."""
    return Group(
        "resilient_ai_models",
        (
            Recording(DEGRADED_RATIO, _degraded_ratio(terms)),
            Recording(RETRY_RATIO, _retry_ratio(terms)),
        ),
        (
            _degraded(),
            _breaker_open(terms),
            _breaker_flapping(terms),
            _retries(),
        ),
    )


# --- The shares ------------------------------------------------------------------------------------------------------


def _degraded_ratio(terms: Terms) -> str:
    def answers(*outcomes: str) -> str:
        match = promql.among(names.OUTCOME, outcomes)
        growth = promql.rate(names.METRIC_REQUEST_DURATION, match, part="count", over=terms.span(_WINDOW))
        return promql.summed(growth, by=_CHAIN)

    return (
        f"(\n  {answers('degraded')}\n  or 0 * {answers('ok', 'degraded')}\n)\n/ {answers('ok', 'degraded')}"
    )


def _retry_ratio(terms: Terms) -> str:
    over = terms.span(_WINDOW)
    retried = promql.rate(names.METRIC_ATTEMPTS, promql.equal(names.OUTCOME, "retry"), over=over)
    turns = promql.rate(names.METRIC_OPERATION_DURATION, part="count", over=over)
    return f"{promql.summed(retried, by=_WHO)}\n/ {promql.summed(turns, by=_WHO)}"


# --- The alerts ------------------------------------------------------------------------------------------------------


def _degraded() -> Alert:
    return Alert(
        name="ResilientAIDegraded",
        expression=f"{DEGRADED_RATIO} > {DEGRADED_SHARE:g}",
        hold=2 * _WINDOW,
        severity="ticket",
        labels=_CHAIN,
        summary="{job}: {value} of the answers of chain {chain} come from a fallback",
        means=(
            "Calls are answered, but not by the first model of their chain. No user sees an error; answers may be worse, slower or "
            "dearer, and there is one model less between the users and an outage."
        ),
        steps=(
            "See where calls move to, and why (first query). The reason is the failure of the model they left.",
            (
                "Look at that model's breaker (ResilientAIBreakerOpen) and at its provider's status page. An outage of theirs is waited out: "
                "the chain goes back by itself as soon as the first model answers again."
            ),
            (
                "Check that the models behind bear the traffic: their limits, their latency and what they cost. `resilient-ai check --live` asks "
                "each of them."
            ),
            "If it will last, put another model first and load the configuration anew.",
        ),
        ask=(
            (
                "Moves from one model to the next, a second",
                promql.aggregated(
                    "sum",
                    promql.rate(names.METRIC_FALLBACKS, over=promql.span(_WINDOW)),
                    by=(names.FALLBACK_FROM, names.FALLBACK_TO, names.REASON),
                ),
            ),
        ),
        tune=(
            "Raise the share where a small model in front, which passes on what it cannot do, is the design; make it a page where the stand-in "
            "is not good enough to work with for an hour."
        ),
        firing=Case(
            "one answer in five comes from the stand-in",
            answers(counting((80, 30)), counting((20, 30))),
            25,
            {promql.JOB: JOB_OF_CASES, names.CHAIN: "support"},
            value=0.2,
        ),
        silent=(
            Case(
                "one single call of a quiet chain was degraded",
                answers(counting((0.1, 30)), counting((0, 9), (1, 1), (0, 20))),
                13,
            ),
        ),
    )


def _breaker_open(terms: Terms) -> Alert:
    over = terms.span(_WINDOW)
    states = promql.select(names.METRIC_BREAKER_STATE, promql.among(names.STATE, _NOT_CLOSED))
    rejected = promql.summed(promql.rate(names.METRIC_BREAKER_REJECTIONS, over=over), by=_WHO)
    asked = promql.summed(promql.rate(names.METRIC_ATTEMPTS, over=over), by=_WHO)
    wanted = f"({rejected} > 0\n  or {asked} > 0)"
    return Alert(
        name="ResilientAIBreakerOpen",
        # A breaker changes its state when it is asked: on a process without calls it stays open for ever, and nobody misses it.
        expression=f"{promql.aggregated('max', states, by=_WHO)} == 1\nand {wanted}",
        hold=2 * _WINDOW,
        severity="ticket",
        labels=_WHO,
        summary="{job}: the breaker of {provider}:{model} has not closed for 10 minutes",
        means=(
            "A model has failed so often that it is left alone but for a probe now and then, and the probes fail too. Calls that want it go "
            "to the next model at once; a chain that has none refuses them (`circuit_open`)."
        ),
        steps=(
            (
                "See how its attempts fail (first query). `authentication`, `quota_exhausted` and `model_unavailable` have an alert of their own, "
                "and no waiting helps."
            ),
            (
                "For `connection`, `timeout`, `overloaded` and `server_error`: the provider's status page, then your own network, proxy and "
                "name lookup. One process alone (second query) means it is not the provider."
            ),
            "Nothing has to be done for it to close: two good probes close it. The longest break is five minutes.",
            "Check that calls are answered meanwhile: ResilientAIDegraded says so, the error-budget alerts say that they are not.",
        ),
        ask=(
            (
                "Failed attempts a second, by kind",
                promql.aggregated(
                    "sum",
                    promql.rate(
                        names.METRIC_ATTEMPTS, promql.known(names.ERROR_TYPE), over=promql.span(_WINDOW)
                    ),
                    by=(names.REQUEST_MODEL, names.ERROR_TYPE),
                ),
            ),
            ("The breakers of each process", f"{states} == 1"),
        ),
        tune="Lengthen `for` if you only want to hear of outages that outlast a coffee; the breaker's own options are its policy, not this alert.",
        firing=Case(
            "the breaker goes from open to half open and back, and calls want the model",
            (
                *breaker("1 0 1 1 0 1 1 1 0 1 1 1 1 0 1 1 1 1", "0 1 0 0 1 0 0 0 1 0 0 0 0 1 0 0 0 0"),
                feed(names.METRIC_BREAKER_REJECTIONS, counting((30, 18)), MODEL),
            ),
            16,
            MODEL_FIRES,
        ),
        silent=(
            Case(
                "the breaker has been open since the last call, an hour ago",
                (
                    *breaker(staying((1, 61)), staying((0, 61))),
                    feed(names.METRIC_BREAKER_REJECTIONS, counting((30, 3), (0, 58)), MODEL),
                    feed(names.METRIC_ATTEMPTS, counting((5, 2), (0, 59)), failing("server_error")),
                ),
                60,
            ),
        ),
    )


def _breaker_flapping(terms: Terms) -> Alert:
    opened = promql.increase(
        names.METRIC_BREAKER_TRANSITIONS,
        promql.equal(names.STATE_OLD, "closed"),
        promql.equal(names.STATE_NEW, "open"),
        over=terms.span(HOUR),
    )
    return Alert(
        name="ResilientAIBreakerFlapping",
        # The largest of the processes, not their sum: ten of them that open once each are one outage.
        expression=f"{promql.aggregated('max', opened, by=_WHO)} >= {FLAPS}",
        hold=0,
        severity="ticket",
        labels=_WHO,
        summary="{job}: the breaker of {provider}:{model} opens and closes again and again",
        means=(
            "The model passes its probes and fails under the load that follows, over and over. Users see answers change between the model and its "
            "stand-in, and pay for the failed attempts with time."
        ),
        steps=(
            (
                "See what opens it (first query). `timeout`: it answers a probe but not a crowd; lower `limits.concurrency` for it, or raise the "
                "attempt's timeout. `overloaded`: ask for less, or for more capacity."
            ),
            (
                "If failures come in bursts among many successes, the window may be too short for your traffic: lengthen `breaker.window` or raise "
                "`breaker.failure_ratio`."
            ),
            "If the model is half well for long, raise `breaker.successes`, so that one lucky probe does not close it.",
        ),
        ask=(
            (
                "Failed attempts of the last hour, by kind",
                promql.aggregated(
                    "sum",
                    promql.increase(
                        names.METRIC_ATTEMPTS, promql.known(names.ERROR_TYPE), over=promql.span(HOUR)
                    ),
                    by=(names.REQUEST_MODEL, names.ERROR_TYPE),
                ),
            ),
        ),
        tune="Raise the number for a model you know to be rough, and keep its breaker.",
        firing=Case(
            "one process sees it open six times in fifty minutes",
            (openings(counting(*[(0, 7), (1, 1)] * 6, (0, 5))),),
            50,
            MODEL_FIRES,
        ),
        silent=(
            Case(
                "twelve processes see it open once",
                tuple(
                    openings(counting((0, 10), (1, 1), (0, 60)), instance=f"10.0.0.{number}:9464")
                    for number in range(12)
                ),
                50,
            ),
        ),
    )


def _retries() -> Alert:
    return Alert(
        name="ResilientAIRetryAmplification",
        expression=f"{RETRY_RATIO} > {RETRIES_PER_TURN:g}",
        hold=2 * _WINDOW,
        severity="ticket",
        labels=_WHO,
        summary="{job}: {provider}:{model} is sent a retry for {value} of the turns at it",
        means=(
            "Retries have become a good part of the load. Each costs time and, where tokens were read, money, and a provider that is overloaded gets "
            "more to do instead of less. The retry budget holds this down per process; many small processes have many budgets."
        ),
        steps=(
            "See what is retried (first query), and whether the budget already holds retries back (second query).",
            "`rate_limited`: set `limits` to what the provider grants, so that calls wait here instead of being refused there.",
            "`timeout`: the attempt's timeout is shorter than the model needs; lengthen it, or shorten `max_tokens`.",
            "Make sure nobody else retries as well: the SDK inside a wrapped client, a proxy, a queue in front. Retries multiply.",
        ),
        ask=(
            (
                "Retries a second, by what they wait out",
                promql.aggregated(
                    "sum",
                    promql.rate(
                        names.METRIC_ATTEMPTS,
                        promql.equal(names.OUTCOME, "retry"),
                        over=promql.span(_WINDOW),
                    ),
                    by=(names.REQUEST_MODEL, names.ERROR_TYPE),
                ),
            ),
            (
                "Retries left out a second, by reason",
                promql.aggregated(
                    "sum",
                    promql.rate(names.METRIC_RETRY_SUPPRESSED, over=promql.span(_WINDOW)),
                    by=(names.REQUEST_MODEL, names.REASON),
                ),
            ),
        ),
        tune="Raise it for a chain that is meant to try hard, such as a nightly batch.",
        firing=Case(
            "of three turns two need a retry",
            (
                feed(names.METRIC_ATTEMPTS, counting((40, 30)), failing("server_error", outcome="retry")),
                *turns(counting((60, 30))),
            ),
            25,
            MODEL_FIRES,
            value=2 / 3,
        ),
        silent=(
            Case(
                "a burst of retries among many answers, over after three minutes",
                (
                    feed(
                        names.METRIC_ATTEMPTS,
                        counting((0, 8), (90, 3), (0, 19)),
                        failing("server_error", outcome="retry"),
                    ),
                    feed(names.METRIC_ATTEMPTS, counting((60, 30)), {**MODEL, names.OUTCOME: "answered"}),
                    *turns(counting((60, 30))),
                ),
                14,
            ),
        ),
    )
