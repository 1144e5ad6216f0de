"""Whether a model that failed is asked again, and after what pause.

Everything that may forbid another attempt is asked before anything waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from resilient_ai.core.failure import FailureKind
from resilient_ai.engine.choice import LEAST_ATTEMPT_SECONDS
from resilient_ai.policies.retry import Strategies

if TYPE_CHECKING:
    from resilient_ai.core.clock import Random
    from resilient_ai.core.failure import Action
    from resilient_ai.engine.books import Books
    from resilient_ai.engine.choice import Choice
    from resilient_ai.engine.endings import Ending
    from resilient_ai.engine.plan import Hop, Plan

PATIENT_SECONDS: Final = 0.25
"""A model that is asked until the deadline is not asked more often than this, whatever the backoff and the hints: beyond the attempts it would
have had anyway, nothing else bounds them."""


@final
class Retries:
    """The attempts at one model after its first failure in a call. One thread or task at a time.

    Attributes:
        failed: The failure after which it is asked again; None while it is not.
        drawn: What the last retry drew from the budget; None before there was one.
    """

    __slots__ = (
        "_books",
        "_chance",
        "_choice",
        "_failures",
        "_hop",
        "_plan",
        "_reasks",
        "_started",
        "_strategies",
        "drawn",
        "failed",
    )

    def __init__(
        self, plan: Plan, hop: Hop, choice: Choice, books: Books, started: float, chance: Random
    ) -> None:
        """Begins with nothing asked again.

        Args:
            plan: The call's.
            hop: The model that failed.
            choice: What the call may choose from.
            books: Where a retry is written down that did not happen.
            started: When the call began.
            chance: Jitter of the pauses.
        """
        self._plan = plan
        self._hop = hop
        self._choice = choice
        self._books = books
        self._started = started
        self._chance = chance
        self._failures = 0
        self._reasks = 0
        self._strategies: Strategies | None = None
        self.drawn: float | None = None
        self.failed: Ending | None = None

    def asks_for_another_draft(self, ending: Ending, now: float) -> bool:
        """After an answer that does not fit: another is allowed, and there is time for one like the last."""
        hop, choice = self._hop, self._choice
        if self._reasks >= self._plan.reasks or FailureKind.INVALID_OUTPUT in self._plan.on:
            return False
        if not choice.affords(hop, now):
            return self._suppressed("cost_cap", now)
        if now + (hop.state.latency.typical(now) or LEAST_ATTEMPT_SECONDS) >= choice.latest(hop, now):
            return False
        if choice.throttles(hop, now):
            return self._suppressed("throttle", now)
        self._reasks += 1
        self.failed = ending
        return True

    def pause(self, ending: Ending, action: Action | None, now: float) -> float | None:
        """Seconds to wait before the next attempt, which is paid for; None if there is to be none, and the reason is told.

        Args:
            ending: The failure.
            action: What the user wants done about it, or None.
            now: The instant of the failure.
        """
        self._failures += 1
        if self._choice.last_resort:
            return None
        verdict = ending.verdict
        if self._strategies is None:
            self._strategies = Strategies(self._plan.retry, self._started)
        strategies = self._strategies
        strategies.observe(self._failures, ending.error, now)
        if not strategies.wants_retry():
            return None
        waits = action == "wait"
        most = None if action is None else self._plan.retry.most_attempts
        some_left = most is not None and self._failures < most
        if not waits and strategies.stops(self._failures, verdict) and not some_left:
            self._suppressed("attempts", now)
            return None
        latest = self._choice.latest(self._hop, now)
        pause = strategies.wait(self._failures, verdict, self._chance)
        if now + pause + LEAST_ATTEMPT_SECONDS > latest and verdict.retry_after is not None:
            pause = verdict.retry_after  # the exact hint may still fit where the spread does not
        if waits and not some_left:
            pause = max(pause, PATIENT_SECONDS)
        if now + pause + LEAST_ATTEMPT_SECONDS > latest:
            self._suppressed("deadline", now)
            return None
        if not self._paid_for(verdict.kind, now, waits=waits):
            return None
        self.failed = ending
        return pause

    def forget(self) -> None:
        """Lets go of the failures."""
        self.failed = None
        if self._strategies is not None:
            self._strategies.forget()

    def _paid_for(self, kind: FailureKind, now: float, *, waits: bool) -> bool:
        """Nothing that all callers of the model share forbids another attempt, and the budget has paid it."""
        hop = self._hop
        if hop.state.breaker.peek(now) is not None:
            return self._suppressed("breaker", now)
        if not self._choice.affords(hop, now):
            return self._suppressed("cost_cap", now)
        if not waits and self._choice.throttles(hop, now):
            return self._suppressed("throttle", now)
        drawn = hop.state.budget.draw(kind, now)
        if drawn is None:
            return self._suppressed("budget", now)
        self.drawn = drawn
        return True

    def _suppressed(self, reason: str, now: float) -> bool:
        """False, and the reason is told."""
        self._books.suppressed(self._hop, reason, now)
        return False
