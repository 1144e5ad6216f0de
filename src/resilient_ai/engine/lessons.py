"""What the end of an attempt teaches every other call of the same model, where it was no plain answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resilient_ai.core.failure import FailureKind
from resilient_ai.policies.throttle import REFUSED_FOR_LOAD

if TYPE_CHECKING:
    from resilient_ai.core.clock import Random
    from resilient_ai.core.failure import Verdict
    from resilient_ai.engine.steps import Ask


def blame(step: Ask, verdict: Verdict, now: float, chance: Random, longest_pause: float) -> None:
    """It failed: the breaker, the pace and the throttle learn of it.

    Args:
        step: The attempt, whose permit is given back.
        verdict: What its failure means.
        now: The instant.
        chance: Jitter of a break's length.
        longest_pause: Seconds for which a wait hint holds other calls back at most: none, however long, may lame a model for the life of
            the process.
    """
    state = step.hop.state
    state.breaker.settle(
        step.permit,
        verdict.health,
        now,
        chance,
        seconds=now - step.started,
        alert=verdict.alert,
        retry_after=verdict.retry_after,
        reason=verdict.kind.value,
    )
    if verdict.kind is FailureKind.RATE_LIMITED and verdict.retry_after is not None:
        state.pace.hold(now + min(verdict.retry_after, longest_pause))
    if state.throttle is not None and verdict.kind in REFUSED_FOR_LOAD:
        state.throttle.refused(now)


def lost(step: Ask, now: float, chance: Random, *, answered: bool, last: bool) -> None:
    """Another request of its race answered: told to stop it says nothing of the model's health, but something of its pace.

    One that was hedged and lost takes at least as long as it did until now. Were only winners known, what is usual would look ever
    quicker, and ever more would be hedged.

    Args:
        step: The attempt, whose permit is given back.
        now: The instant.
        chance: As for `blame`.
        answered: It had come in, too.
        last: It was sent after all others. Until it is stopped it has had no time to be late.
    """
    state = step.hop.state
    seconds = now - step.started
    if answered or not last:
        state.latency.record(seconds, now)
    state.breaker.settle(step.permit, "success" if answered else "neutral", now, chance, seconds=seconds)
