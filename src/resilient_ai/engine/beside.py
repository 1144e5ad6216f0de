"""Whether a further request may be sent beside one that is late: the same bounds as for any, and none of them is waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resilient_ai.policies.breaker import Permit

if TYPE_CHECKING:
    from resilient_ai.core.clock import Random
    from resilient_ai.engine.plan import Hop
    from resilient_ai.engine.purse import Purse


def permit_beside(
    hop: Hop, now: float, latest: float, tokens: int, chance: Random, purse: Purse | None
) -> Permit | str:
    """Leave for a request to `hop` that is paid and booked; or what forbids it, and then nothing is taken.

    What costs nothing to ask is asked first.

    Args:
        hop: Who is late.
        now: The instant it would be sent.
        latest: The instant by which it would have to answer.
        tokens: What is booked for it, where tokens are counted.
        chance: Where the throttle's dice fall.
        purse: What the call may spend, or None.
    """
    state = hop.state
    if now + (state.latency.typical(now) or 0.0) > latest or now >= latest:
        return "deadline"
    if state.breaker.state not in (
        "closed",
        "disabled",
    ):  # a model that is being tried out is not asked twice
        return "breaker"
    if state.pace.held_until > now:
        return "rate_limited"
    if purse is not None and not purse.affords(hop, now):
        return "cost_cap"
    if state.throttle is not None and not state.throttle.lets_out(now, chance):
        return "throttle"
    drawn = state.budget.draw(None, now, floor=False)
    if drawn is None:
        return "budget"
    permit = _admitted(hop, now, tokens, chance, purse)
    if isinstance(permit, str):
        state.budget.refund(drawn)
    return permit


def _admitted(hop: Hop, now: float, tokens: int, chance: Random, purse: Purse | None) -> Permit | str:
    """Leave for a request that the budget has paid."""
    state = hop.state
    if state.pace.counts and state.pace.book(now, tokens, now) is None:
        return "rate_limited"
    if purse is not None and not purse.hold(hop, now):
        return "cost_cap"
    permit = state.breaker.admit(now)
    if permit is not None and not permit.probe:
        return permit
    # Its state has changed since it was looked at.
    if permit is not None:
        state.breaker.settle(permit, "neutral", now, chance)
    if purse is not None:
        purse.release(hop, now)
    return "breaker"
