"""The exception a caller meets when a call ends without an answer.

A chain of one model raises the model's own exception. A longer one raises a group whose first member is the first model's failure,
unless the verdict was that no other model may be asked. What is kept of earlier attempts is stripped of its traceback, so that no
frame, and no prompt in a frame's locals, outlives the call.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from resilient_ai.core.failure import FailureKind, Verdict
from resilient_ai.errors import (
    AllModelsFailed,
    BudgetExceeded,
    CallError,
    CircuitOpen,
    DeadlineExceeded,
    HopRefused,
    Overloaded,
    StreamInterrupted,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resilient_ai.engine.plan import Hop, Plan
    from resilient_ai.messages import Outcome, Reply, Skip

_SKIP_WORDS = {
    "rate_limited": "its provider asked for a pause",
    "no_time": "no time was left for it",
    "data_class": "it is not cleared for the request's data class",
    "context": "its context window cannot hold the request",
    "throttled": "it refuses much of what it is asked, and the throttle kept this request from it",
    "cost_cap": "it would cost more than max_cost leaves",
}


@final
@dataclass(frozen=True, slots=True)
class Ending:
    """How one model of the chain finally failed. `whole`: its answer had come to its end, and was refused."""

    hop: Hop
    error: Exception
    verdict: Verdict
    whole: bool = False


def exception_for(
    plan: Plan,
    endings: Sequence[Ending],
    skips: tuple[Skip, ...],
    *,
    late: bool,
    stopped: bool,
    partial: Reply | None,
    around: BaseException | None = None,
) -> Exception:
    """What the caller of a failed call meets.

    Args:
        plan: The call's plan.
        endings: The final failure of each model asked, in order.
        skips: The models passed over.
        late: The deadline has passed, or nothing fits before it.
        stopped: The last verdict forbids another model.
        partial: What of a committed stream came; None before the commit.
        around: What the caller was handling when it began the call; it is left as it is.
    """
    last = endings[-1] if endings else None
    if partial is not None and last is not None and not last.whole:
        interrupted = StreamInterrupted(
            f"{last.hop.label}: the stream broke after content was delivered ({_why(last)}); "
            "`partial` holds what came. In a ResilientModel, on_interrupt='restart' or 'continue' lets another model go on.",
            partial=partial,
            kind=FailureKind.STREAM_INTERRUPTED,
            retry_after=last.verdict.retry_after,
        )
        interrupted.__cause__ = bare(last.error, around)
        return interrupted
    if late and (last is None or last.verdict.kind is FailureKind.TIMEOUT or not stopped):
        return _deadline(plan, endings, skips, around)
    if last is not None and (stopped or partial is not None or len(plan.hops) == 1):
        return last.error
    if last is None:
        return _never_asked(plan, skips)
    return _exhausted(plan, endings, skips, around)


def attach(error: BaseException, outcome: Outcome, *, note: bool) -> None:
    """Makes the history reachable from `error`: `.attempts` and `outcome_of(error)`, and a note of what was tried."""
    if isinstance(error, CallError):
        error.outcome = outcome
    else:
        try:
            error.attempts = outcome.attempts  # type: ignore[attr-defined]
            error.__resilient_outcome__ = outcome  # type: ignore[attr-defined]
        except Exception:  # noqa: BLE001 - a foreign class may refuse attributes with whatever it likes
            note = True  # a class with fixed slots: the note is all that can be left
    if note and outcome.attempts:
        with contextlib.suppress(Exception):
            error.add_note(summary(outcome))


def summary(outcome: Outcome) -> str:
    """What was tried, in one line without content."""
    tried = ", ".join(
        f"{attempt.provider}:{attempt.model} #{attempt.n} {attempt.kind or 'ok'} after {_shown(attempt.seconds)}"
        for attempt in outcome.attempts
    )
    skipped = "".join(f"; {skip.provider}:{skip.model} skipped ({skip.reason})" for skip in outcome.skipped)
    return f"resilient_ai tried: {tried or 'nothing'}{skipped}"


def _shown(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 else "under 1 ms"


def bare(error: BaseException, around: BaseException | None = None) -> BaseException:
    """`error` without tracebacks, its causes and contexts included, up to `around`: what the caller was handling already is the caller's."""
    seen: set[int] = {id(around)}
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.with_traceback(None)  # not an assignment: a frozen class refuses those
        todo += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions  # pyright: ignore[reportUnknownMemberType]
    return error


def _why(ending: Ending) -> str:
    verdict = ending.verdict
    status = f", status {verdict.status}" if verdict.status is not None else ""
    code = f", code {verdict.code}" if verdict.code else ""
    return f"{verdict.kind}{status}{code}"


def _deadline(
    plan: Plan, endings: Sequence[Ending], skips: tuple[Skip, ...], around: BaseException | None = None
) -> DeadlineExceeded:
    error = DeadlineExceeded(
        f"chain {plan.name!r}: no answer before the deadline; {_story(plan, endings, skips)}. "
        "Lengthen deadline, shorten timeouts, or end the chain with a faster model.",
        retry_after=_soonest(endings, skips),
    )
    if endings:
        error.__cause__ = bare(endings[-1].error, around)
    return error


def _never_asked(plan: Plan, skips: tuple[Skip, ...]) -> CallError:
    reasons = {skip.reason for skip in skips}
    soonest = _soonest((), skips)
    story = _story(plan, (), skips)
    if reasons & {"circuit_open"}:
        wait = "" if soonest is None else f" Try again in {soonest:.3g} s."
        return CircuitOpen(f"chain {plan.name!r}: nothing was sent; {story}.{wait}", retry_after=soonest)
    if reasons & {"rate_limited"}:
        wait = "" if soonest is None else f" Try again in {soonest:.3g} s."
        return Overloaded(
            f"chain {plan.name!r}: nothing was sent; {story}.{wait}",
            kind=FailureKind.RATE_LIMITED,
            retry_after=soonest,
        )
    if "throttled" in reasons:
        return Overloaded(
            f"chain {plan.name!r}: nothing was sent; {story}. Try again later, raise throttle.k, or add a model that has room.",
            kind=FailureKind.OVERLOADED,
        )
    if "cost_cap" in reasons:
        return BudgetExceeded(
            f"chain {plan.name!r}: nothing was sent; {story} (at most {plan.max_cost}). "
            "Lower max_tokens, raise max_cost, or end the chain with a model that costs nothing."
        )
    if reasons and reasons <= {"no_time"}:
        return _deadline(plan, (), skips)
    kind = FailureKind.CONTEXT_OVERFLOW if "context" in reasons else FailureKind.LOCAL
    return HopRefused(
        f"chain {plan.name!r}: nothing was sent; {story}. Add a model that may take this request.", kind=kind
    )


def _exhausted(
    plan: Plan, endings: Sequence[Ending], skips: tuple[Skip, ...], around: BaseException | None
) -> AllModelsFailed:
    members: list[tuple[int, Exception]] = [
        (ending.hop.index, bare(ending.error, around))  # type: ignore[misc]
        for ending in endings
    ]
    asked = {ending.hop.label for ending in endings}
    places = {hop.label: hop.index for hop in plan.hops}
    for skip in skips:
        label = f"{skip.provider}:{skip.model}"
        if label not in asked:
            asked.add(label)
            members.append((places.get(label, len(places)), _skipped(plan, label, skip)))
    members.sort(key=lambda member: member[0])
    return AllModelsFailed(
        f"chain {plan.name!r}: every model failed; {_story(plan, endings, skips)}",
        [error for _, error in members],
        kind=endings[0].verdict.kind,
        retry_after=_soonest(endings, skips),
    )


def _skipped(plan: Plan, label: str, skip: Skip) -> CallError:
    what = f"{label} was not asked: {_reason(plan, skip)}"
    if skip.reason == "circuit_open":
        return CircuitOpen(what, retry_after=skip.retry_after)
    if skip.reason == "rate_limited":
        return Overloaded(what, kind=FailureKind.RATE_LIMITED, retry_after=skip.retry_after)
    if skip.reason == "throttled":
        return Overloaded(what, kind=FailureKind.OVERLOADED)
    if skip.reason == "no_time":
        return DeadlineExceeded(what)
    if skip.reason == "cost_cap":
        return BudgetExceeded(what)
    return HopRefused(
        what, kind=FailureKind.CONTEXT_OVERFLOW if skip.reason == "context" else FailureKind.LOCAL
    )


def _story(plan: Plan, endings: Sequence[Ending], skips: tuple[Skip, ...]) -> str:
    parts = [f"{ending.hop.label} failed ({_why(ending)})" for ending in endings]
    parts += [f"{skip.provider}:{skip.model} was skipped ({_reason(plan, skip)})" for skip in skips]
    return "; ".join(parts) or "no model was asked"


def _reason(plan: Plan, skip: Skip) -> str:
    """Why a model was not asked; of an open breaker also what opened it, which may have happened long before this call."""
    if skip.reason != "circuit_open":
        return _SKIP_WORDS.get(skip.reason, skip.reason)
    gates = [
        hop.state.breaker for hop in plan.hops if (hop.provider, hop.name) == (skip.provider, skip.model)
    ]
    opened_by = gates[0].opened_by if gates else ""
    return f"its breaker is open: {opened_by}" if opened_by else "its breaker is open"


def _soonest(endings: Sequence[Ending], skips: tuple[Skip, ...]) -> float | None:
    hints = [ending.verdict.retry_after for ending in endings] + [skip.retry_after for skip in skips]
    known = [hint for hint in hints if hint is not None]
    return min(known) if known else None
