"""Alerts on what no retry, breaker or other model mends: a key, a bill, a name, a prompt."""

from __future__ import annotations

from typing import Final

from resilient_ai.core.failure import MEANINGS, FailureKind
from resilient_ai.operate import promql
from resilient_ai.operate.rules import (
    DAY,
    HOUR,
    MINUTE,
    Alert,
    Case,
    Group,
    Recording,
    Terms,
)
from resilient_ai.operate.samples import (
    MODEL,
    MODEL_FIRES,
    counting,
    failing,
    feed,
    operator_wanted,
)
from resilient_ai.policies.breaker.options import OPEN_MAX_SECONDS
from resilient_ai.telemetry import names

INVALID_SHARE: Final = 0.2
"""Share of a model's answers that do not fit. No literature: one re-ask mends most single ones, one in five is the model or the prompt."""

_RARE: Final = 3 * OPEN_MAX_SECONDS
"""Range for what is counted each time a model is tried: three of the longest breaks of its breaker, in which it is not."""
_WHO: Final = (names.PROVIDER_NAME, names.REQUEST_MODEL)

INVALID_RATIO: Final = "job_model:resilient_ai_invalid_output:ratio_rate15m"


def mending_alerts(terms: Terms) -> Group:
    """The alerts on what somebody has to mend."""
    return Group(
        "resilient_ai_mending",
        (Recording(INVALID_RATIO, _invalid_ratio(terms)),),
        (_authentication(terms), _needs_operator(terms), _invalid_output()),
    )


def _invalid_ratio(terms: Terms) -> str:
    over = terms.span(15 * MINUTE)
    invalid = promql.equal(names.ERROR_TYPE, FailureKind.INVALID_OUTPUT.value)
    # Other failures are no answers: they say nothing of how good answers are.
    judged = promql.among(names.ERROR_TYPE, ("", FailureKind.INVALID_OUTPUT.value))
    return (
        f"{promql.summed(promql.rate(names.METRIC_ATTEMPTS, invalid, over=over), by=_WHO)}\n"
        f"/ {promql.summed(promql.rate(names.METRIC_ATTEMPTS, judged, over=over), by=_WHO)}"
    )


def _authentication(terms: Terms) -> Alert:
    refused = promql.equal(names.ERROR_TYPE, FailureKind.AUTHENTICATION.value)
    return Alert(
        name="ResilientAIAuthenticationFailing",
        expression=promql.grown(
            names.METRIC_ALERTS, refused, over=terms.span(_RARE), known_for=terms.span(DAY), by=_WHO
        ),
        hold=0,
        severity="page",
        labels=_WHO,
        summary="{job}: {provider}:{model} refuses our key",
        means=(
            "The provider does not accept the key: it is wrong, expired, revoked, or may not use this model. No retry helps. The breaker is open, "
            "and every call goes to the models behind, or fails."
        ),
        steps=(
            "`resilient-ai check --live` says which model, and the line of the configuration its key comes from.",
            "Was the key rotated? The process reads it where the configuration says (`env:` or `file:`); one that was started before has the old one.",
            "If the provider revoked it, ask why before you put in a new one: a key that leaked is used by others.",
        ),
        ask=(
            (
                "What only an operator can mend, in the last hour",
                promql.aggregated(
                    "sum",
                    promql.increase(names.METRIC_ALERTS, over=promql.span(HOUR)),
                    by=(*_WHO, names.ERROR_TYPE),
                ),
            ),
        ),
        tune="Nothing to tune: a key works or does not.",
        firing=Case(
            "the one failure that was ever counted",
            (operator_wanted("authentication", "_x20 1+0x10"),),
            25,
            MODEL_FIRES,
        ),
        silent=(
            Case(
                "the key was mended an hour ago",
                (operator_wanted("authentication", counting((1, 5), (0, 70))),),
                70,
            ),
            Case(
                "nothing was scraped for half an hour, and the count is of before",
                (operator_wanted("authentication", "5+0x20 _x30 5+0x10"),),
                55,
            ),
        ),
    )


def _needs_operator(terms: Terms) -> Alert:
    kinds = sorted(
        kind.value
        for kind, meaning in MEANINGS.items()
        if meaning.alert and kind is not FailureKind.AUTHENTICATION
    )
    by = (*_WHO, names.ERROR_TYPE)
    return Alert(
        name="ResilientAINeedsOperator",
        expression=promql.grown(
            names.METRIC_ALERTS,
            promql.among(names.ERROR_TYPE, kinds),
            over=terms.span(_RARE),
            known_for=terms.span(DAY),
            by=by,
        ),
        hold=0,
        severity="ticket",
        labels=by,
        summary="{job}: {provider}:{model} fails with {type}, which waiting does not mend",
        means=(
            "The provider says something that stays true until somebody changes it: a quota is spent (`quota_exhausted`), or the model does not exist, is "
            "retired, or is not yours to use (`model_unavailable`). Its breaker is open; calls go to the models behind, or fail."
        ),
        steps=(
            "`quota_exhausted`: look at the account's billing and limits. Raising `limits` here does not help.",
            (
                "`model_unavailable`: compare the model's name in the configuration with the provider's list; vendors retire models by announced dates. "
                "For a model on the device: its file is missing or cannot be read."
            ),
            "`resilient-ai check --live` asks every model once and says what each answers.",
        ),
        tune="Make it a page if the chain has nothing behind that model.",
        firing=Case(
            "a quota is spent",
            (operator_wanted("quota_exhausted", counting((0, 20), (1, 5))),),
            24,
            {**MODEL_FIRES, names.ERROR_TYPE: "quota_exhausted"},
        ),
        silent=(
            Case(
                "a refused key, which has an alert of its own",
                (operator_wanted("authentication", counting((0, 20), (1, 5))),),
                24,
            ),
        ),
    )


def _invalid_output() -> Alert:
    return Alert(
        name="ResilientAIInvalidOutput",
        expression=f"{INVALID_RATIO} > {INVALID_SHARE:g}",
        hold=30 * MINUTE,
        severity="ticket",
        labels=_WHO,
        summary="{job}: {value} of the answers of {provider}:{model} do not fit what was asked",
        means=(
            "Answers come, but they do not fit their type or do not pass a check. Each is asked for again, which costs a second answer, and then "
            "the call moves to the next model or fails with `invalid_output`. Answers nobody checks count as fitting: a chain that checks "
            "only some of them is worse off than the share says."
        ),
        steps=(
            "Did the prompt, the output type or a check change? Take the change back and see.",
            "Did the model change under its name? Compare the models that answered (first query) with last week's; pin a dated version.",
            "Answers that are cut off do not fit either: raise `max_tokens`.",
            "Read some of the drafts: `InvalidOutput.draft` and `.problem` hold them where the exception is caught. They are in no log.",
        ),
        ask=(
            (
                "Turns a second, by the model that says it answered",
                promql.aggregated(
                    "sum",
                    promql.rate(names.METRIC_OPERATION_DURATION, part="count", over=promql.span(15 * MINUTE)),
                    by=(names.REQUEST_MODEL, names.RESPONSE_MODEL),
                ),
            ),
        ),
        tune="Set it to twice the share you see in a good week.",
        firing=Case(
            "a third of the answers do not fit, while most attempts have no answer at all",
            (
                feed(names.METRIC_ATTEMPTS, counting((20, 60)), {**MODEL, names.OUTCOME: "answered"}),
                feed(names.METRIC_ATTEMPTS, counting((90, 60)), failing("server_error", outcome="next")),
                feed(names.METRIC_ATTEMPTS, counting((10, 60)), failing("invalid_output", outcome="re-ask")),
            ),
            55,
            MODEL_FIRES,
            value=1 / 3,
        ),
        silent=(
            Case(
                "most attempts fail, and the few answers fit",
                (
                    feed(names.METRIC_ATTEMPTS, counting((10, 60)), {**MODEL, names.OUTCOME: "answered"}),
                    feed(
                        names.METRIC_ATTEMPTS, counting((1, 60)), failing("invalid_output", outcome="re-ask")
                    ),
                    feed(names.METRIC_ATTEMPTS, counting((90, 60)), failing("server_error", outcome="next")),
                ),
                55,
            ),
        ),
    )
