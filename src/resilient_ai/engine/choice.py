"""The choice of a model: who of a chain may be asked by one call now, and until when.

Time is kept here, too: how long a model may take follows from who else could still be asked after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from resilient_ai.engine.fit import estimated_tokens, misfit
from resilient_ai.engine.steps import Ask
from resilient_ai.messages import Skip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from resilient_ai.core.clock import Random
    from resilient_ai.engine.plan import Hop, Plan
    from resilient_ai.engine.purse import Purse
    from resilient_ai.messages import Request

LEAST_ATTEMPT_SECONDS: Final = 0.005
"""A slice of time shorter than this is not worth a request."""
STAND_IN_SECONDS: Final = 0.05
"""What a fixed answer is given where the deadline has passed, in an event loop that stood still perhaps: a late one is better than none."""
LEARNED_RESERVE_SHARE: Final = 0.5
"""A reserve nobody configured never takes more than this share of the deadline from the models before it."""


def straight(plan: Plan, request: Request, started: float, now: float, until: float) -> Ask | None:
    """The attempt with which a call begins where there is nothing to choose, as for most; None where there may be.

    Nothing holds its first model back, nor any other: what a `Choice` would come to, without one. The arguments are those of one.
    """
    hops = plan.hops
    hop = hops[0]
    state = hop.state
    breaker, pace = state.breaker, state.pace
    if (
        not plan.straight
        or breaker.state != "closed"
        or breaker.changes
        or pace.counts
        or pace.held_until > now
        or state.throttle is not None
    ):
        return None
    latest = until
    if len(hops) > 1:
        for other in hops[1:]:
            if other.state.breaker.state != "closed":
                return None
        latest -= kept(plan, hops[1:], 0, until - started)
        typical = state.latency.typical(now)
        if typical is not None and now + typical > latest:
            return None
    if latest - now < LEAST_ATTEMPT_SECONDS:
        return None
    permit = breaker.admit(now)
    if permit is None:
        return None
    return Ask(hop, request, 1, min(now + hop.timeouts.attempt, latest), permit, now)


def kept(plan: Plan, others: Iterable[Hop], place: int, whole: float) -> float:
    """Seconds that are kept, of the `whole` a call has, for those of `others` that stand behind `place`.

    Args:
        plan: Who may be asked, and how.
        others: All but the first who may be asked now.
        place: Who is asked.
        whole: Seconds from the beginning of the call to its end.
    """
    configured = plan.reserve
    behind = wished = 0.0
    for other in others:
        needs = other.needs(configured)
        wished += needs
        if other.index > place:
            behind += needs
    if configured is None:
        # What all but the first would like may be more than their share. Each then gets the same part of its wish: were the sum
        # capped at every place anew, the models in the middle would find all of it kept for the last one.
        share = LEARNED_RESERVE_SHARE * whole
        if wished > share:
            behind *= share / wished
    return behind


@final
class Choice:
    """What one call may choose from. One thread or task at a time.

    Attributes:
        last_resort: The call has come to the model that is asked whatever holds it back. Nothing is kept for others any more.
        tokens: Tokens the request is taken to need; None until somebody had to know.
    """

    __slots__ = (
        "_barred",
        "_chance",
        "_least_context",
        "_particular",
        "_plan",
        "_purse",
        "_request",
        "_started",
        "_throttled",
        "_until",
        "last_resort",
        "tokens",
    )

    def __init__(
        self,
        plan: Plan,
        request: Request,
        purse: Purse | None,
        started: float,
        until: float,
        chance: Random,
        barred: str | None,
    ) -> None:
        """Begins with nobody passed over.

        Args:
            plan: Who may be asked.
            request: What is asked.
            purse: What the call may spend, or None.
            started: When the call began.
            until: By when it must have ended.
            chance: Where the throttle's dice fall.
            barred: Why the request may not leave the first model; None if it may.
        """
        self._plan = plan
        self._request = request
        self._purse = purse
        self._started = started
        self._until = until
        self._chance = chance
        self._barred = barred
        self._particular = barred is not None
        """Something of this request may keep it from models that take any other."""
        self._least_context = 0
        self._throttled = 0
        """The places of the models passed over for the throttle, a bit each."""
        self.last_resort = False
        self.tokens: int | None = None

    def turn(self, hop: Hop, now: float) -> float | Skip:
        """The instant by which the time of `hop` is up, if it is to be asked now; else why it is passed over."""
        if hop.picky and hop.traits.context_tokens is not None:
            self.estimate()
        obstacle = self._obstacle(hop, now)
        if obstacle is not None:
            return obstacle
        latest = self.latest(hop, now)
        if latest - now < LEAST_ATTEMPT_SECONDS:
            if not hop.traits.stand_in:
                return Skip(hop.name, hop.provider, "no_time")
            latest = now + STAND_IN_SECONDS
        state = hop.state
        held = state.pace.held_until
        if held > now and (held >= latest or self._somebody_behind(hop, now, sooner_than=held)):
            return Skip(hop.name, hop.provider, "rate_limited", held - now)
        typical = state.latency.typical(now)
        if typical is not None and now + typical > latest and self._somebody_behind(hop, now):
            return Skip(hop.name, hop.provider, "no_time")
        if state.throttle is not None and self.throttles(hop, now):
            self._throttled |= 1 << hop.index
            return Skip(hop.name, hop.provider, "throttled")
        return latest

    def latest(self, hop: Hop, now: float) -> float:
        """The instant by which the time of `hop` is up: the deadline less what the models behind need."""
        hops, place = self._plan.hops, hop.index
        if self.last_resort or place + 1 == len(hops):
            return self._until
        free = [other for other in hops[1:] if self._obstacle(other, now) is None]
        return self._until - kept(self._plan, free, place, self._until - self._started)

    def affords(self, hop: Hop, now: float) -> bool:
        """Another request to `hop` fits the cost caps."""
        return self._purse is None or self._purse.affords(hop, now)

    def throttles(self, hop: Hop, now: float) -> bool:
        """The throttle of `hop` rejects a request that nothing else forbids. Asked once for each; a last resort is never kept back."""
        throttle = hop.state.throttle
        return throttle is not None and not self.last_resort and not throttle.lets_out(now, self._chance)

    def held_back(self, now: float, asked: int) -> list[Hop]:
        """The models that fit and were not asked, because a breaker or a throttle holds them back.

        Args:
            now: The instant.
            asked: The places of the models asked, a bit each.
        """
        return [
            hop
            for hop in self._plan.hops
            if not asked >> hop.index & 1
            and self._misfit(hop) is None
            and (self._throttled >> hop.index & 1 or hop.state.breaker.peek(now) is not None)
        ]

    def resort_among(self, held_back: Sequence[Hop]) -> Hop | None:
        """Who of those held back is asked all the same: the one on this device, or the last of several."""
        for hop in held_back:
            if hop.traits.local:
                return hop
        # A chain of one remote model has nowhere to turn: asking it anyway would make its breaker pointless.
        places = len(self._plan.hops)
        last = held_back[-1]
        return last if places > 1 and last.index == places - 1 else None

    def estimate(self) -> int:
        """Tokens the request is taken to need; worked out once."""
        if self.tokens is None:
            self.tokens = estimated_tokens(self._request)
        return self.tokens

    def to_book(self) -> int:
        """Tokens a request is booked with where tokens are counted: what it needs, and what it may be answered."""
        return self.estimate() + (self._request.max_tokens or 0)

    def overflowed(self, hop: Hop) -> None:
        """The context of `hop` was too small; from here on only a larger one will do."""
        self._least_context = max(self._least_context, hop.traits.context_tokens or self.estimate())
        self._particular = True

    def _obstacle(self, hop: Hop, now: float) -> Skip | None:
        """What keeps `hop` from being asked now, time aside; None if nothing does."""
        reason = self._misfit(hop) if hop.picky or self._particular else None
        if reason is None and self._purse is not None and not self._purse.affords(hop, now):
            reason = "cost_cap"
        if reason is not None:
            return Skip(hop.name, hop.provider, reason)
        breaker = hop.state.breaker
        if breaker.state == "closed":  # as almost always
            return None
        wait = breaker.peek(now)
        if wait is None:
            return None
        return Skip(hop.name, hop.provider, "circuit_open", None if wait == float("inf") else wait)

    def _misfit(self, hop: Hop) -> str | None:
        """Why `hop` may not take the request at all, or None."""
        if self._barred is not None and hop.index > 0:
            return self._barred
        return misfit(hop.traits, self._request, self.tokens, self._least_context)

    def _somebody_behind(self, hop: Hop, now: float, sooner_than: float = float("inf")) -> bool:
        return any(
            self._obstacle(other, now) is None and other.state.pace.held_until < sooner_than
            for other in self._plan.hops[hop.index + 1 :]
        )
