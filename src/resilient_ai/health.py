"""How a chain is now: for a health endpoint, a dashboard, a person at 3 am."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, final

from resilient_ai.core.events import BreakerStateName

if TYPE_CHECKING:
    from resilient_ai.engine.plan import Plan
    from resilient_ai.policies.limits import Concurrency


@final
@dataclass(frozen=True, slots=True)
class ModelHealth:
    """How one model is.

    Attributes:
        model: Its name.
        provider: Who serves it.
        breaker: The breaker's state.
        retry_after: Seconds until it may be asked again, or None if it may be now.
        budget: Tokens left in its retry budget.
        p50: Median seconds of its answers, or None while too few are known.
        p95: 95th percentile of the same.
        local: It runs on this device.
        throttled: Share of the requests for it that its throttle rejects now, 0 without one.
    """

    model: str
    provider: str
    breaker: BreakerStateName
    retry_after: float | None
    budget: float
    p50: float | None
    p95: float | None
    local: bool
    throttled: float = 0.0


@final
@dataclass(frozen=True, slots=True)
class ChainHealth:
    """How a chain is.

    Attributes:
        status: `ok`: the first model may be asked. `degraded`: another one may. `down`: none may.
        chain: Its name.
        models: Its models, in order.
        active: Calls in flight.
        waiting: Calls waiting for a place.
        policy: Digest of the policy in force.
    """

    status: Literal["ok", "degraded", "down"]
    chain: str
    models: tuple[ModelHealth, ...]
    active: int
    waiting: int
    policy: str

    def as_dict(self) -> dict[str, object]:
        """The same as plain data, for JSON."""
        return asdict(self)


def chain_health(plan: Plan, places: Concurrency, now: float) -> ChainHealth:
    """How the chain of `plan` is at the instant `now`."""
    models: list[ModelHealth] = []
    for hop in plan.hops:
        state = hop.state
        held = state.pace.held_until - now
        wait = state.breaker.retry_after(now) or (held if held > 0 else None)
        models.append(
            ModelHealth(
                hop.name,
                hop.provider,
                state.breaker.state,
                wait,
                state.budget.tokens,
                state.latency.p50,
                state.latency.p95,
                hop.traits.local,
                0.0 if state.throttle is None else state.throttle.share(now),
            )
        )
    usable = [hop.state.breaker.peek(now) is None for hop in plan.hops]
    status: Literal["ok", "degraded", "down"] = "ok" if usable[0] else "degraded" if any(usable) else "down"
    return ChainHealth(status, plan.name, tuple(models), places.active, places.waiting, plan.digest)
