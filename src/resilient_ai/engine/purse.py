"""The money of one call: whether another request fits the caps, and what those that were sent cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from resilient_ai.engine.cost import charged, estimated_cost
from resilient_ai.engine.fit import estimated_tokens

if TYPE_CHECKING:
    from resilient_ai.engine.plan import Hop, Plan
    from resilient_ai.engine.steps import Ended
    from resilient_ai.messages import Request


@final
class Purse:
    """What one call has spent and may still spend. One thread or task at a time; what calls share is in `Plan.spending`."""

    __slots__ = ("_cap", "_held", "_request", "_spending", "_spent", "_tokens")

    def __init__(self, plan: Plan, request: Request) -> None:
        self._cap = plan.max_cost
        self._spending = plan.spending
        self._request = request
        self._tokens: int | None = None
        self._spent = 0.0
        self._held = 0.0

    def affords(self, hop: Hop, now: float) -> bool:
        """A request to `hop` would fit both caps. A model without a price costs nothing."""
        estimate = self._estimate(hop)
        if not estimate:
            return True
        most = self._cap.per_call
        if most is not None and self._spent + self._held + estimate > most:
            return False
        most = self._cap.per_window
        return most is None or self._spending is None or self._spending.taken(now) + estimate <= most

    def hold(self, hop: Hop, now: float) -> bool:
        """Sets money aside for a request to `hop`; False if another call has taken what was left."""
        if not self.affords(hop, now):
            return False
        estimate = self._estimate(hop)
        most = self._cap.per_window
        if most is not None and self._spending is not None and not self._spending.hold(estimate, most, now):
            return False
        self._held += estimate
        return True

    def release(self, hop: Hop, now: float) -> None:
        """Gives back what was set aside for a request to `hop` that was not sent."""
        self._settle(self._estimate(hop), 0.0, now)

    def pay(self, hop: Hop, ended: Ended, now: float) -> None:
        """The attempt for which money was set aside has ended."""
        price = hop.traits.price
        held = self._estimate(hop)
        self._settle(held, 0.0 if price is None else charged(price, ended, held), now)

    def _settle(self, held: float, spent: float, now: float) -> None:
        self._spent += spent
        self._held = max(0.0, self._held - held)
        if self._spending is not None:
            self._spending.settle(held, spent, now)

    def _estimate(self, hop: Hop) -> float:
        price = hop.traits.price
        if price is None:
            return 0.0
        if self._tokens is None:
            self._tokens = estimated_tokens(self._request)
        once = estimated_cost(price, self._tokens, self._request.max_tokens)
        several = self._request.extra.get("n")  # each answer is billed; the prompt, once, is on the high side
        return once * several if isinstance(several, int) and several > 1 else once
