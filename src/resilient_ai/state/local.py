"""State of models in this process, found by key.

Two chains that ask the same model with the same credential and the same options share one breaker, one budget and one pace. State lives as long
as anything uses it, and is kept apart by clock, so that a virtual clock never meets real instants.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Final, final

from resilient_ai.core.fork import ChildLock, reset_in_child
from resilient_ai.policies.breaker import Gate
from resilient_ai.policies.breaker.mirror import Mirror
from resilient_ai.policies.budget import BudgetState
from resilient_ai.policies.latency import Latency
from resilient_ai.policies.limits import Pace
from resilient_ai.policies.spending import Spending
from resilient_ai.policies.throttle import ThrottleState

if TYPE_CHECKING:
    from resilient_ai.core.clock import Clock
    from resilient_ai.policies.breaker import Breaker
    from resilient_ai.policies.budget import RetryBudget
    from resilient_ai.policies.limits import Limits
    from resilient_ai.policies.throttle import Throttle


@final
class ModelState:
    """All shared state of one model. Each part guards itself."""

    __slots__ = ("__weakref__", "breaker", "budget", "latency", "mirror", "pace", "throttle")

    def __init__(
        self,
        breaker: Breaker,
        budget: RetryBudget,
        limits: Limits,
        name: str,
        throttle: Throttle | None = None,
    ) -> None:
        self.breaker = Gate(breaker)
        self.mirror = Mirror(breaker, name)
        self.budget = BudgetState(budget)
        self.pace = Pace(limits)
        self.latency = Latency()
        self.throttle = None if throttle is None else ThrottleState(throttle)
        reset_in_child(self)

    def reset_lock(self) -> None:
        """Makes the state usable in a forked child."""
        self.breaker.reset_lock()
        self.mirror.reset_lock()
        self.budget.reset_lock()
        self.pace.reset_lock()
        if self.throttle is not None:
            self.throttle.reset_lock()


_states: weakref.WeakValueDictionary[tuple[object, ...], ModelState] = weakref.WeakValueDictionary()
_spendings: weakref.WeakValueDictionary[tuple[object, ...], Spending] = weakref.WeakValueDictionary()
_lock: Final = ChildLock()


def model_state(
    key: str,
    name: str,
    breaker: Breaker,
    budget: RetryBudget,
    limits: Limits,
    clock: Clock,
    throttle: Throttle | None = None,
) -> ModelState:
    """The state of the model `key` under these options on this clock; the same object for the same arguments."""
    if throttle is not None and not throttle.enabled:
        throttle = None
    rates = (limits.requests_per_minute, limits.tokens_per_minute)
    # Listeners and storages are compared by identity: most have no equality.
    shape = (
        *(getattr(breaker, field) for field in _PLAIN_BREAKER_FIELDS),
        tuple(map(id, breaker.listeners)),
        id(breaker.storage),
    )
    place = (id(clock), key, shape, budget, rates, throttle)
    with _lock:
        state = _states.get(place)
        if state is None:
            state = _states[place] = ModelState(breaker, budget, limits, name, throttle)
        return state


def chain_spending(chain: str, models: tuple[str, ...], window: float, clock: Clock) -> Spending:
    """What the chain of this name has spent on these models; the same object for the same arguments.

    So a chain that is built anew from its file goes on with what was spent.
    """
    place = (id(clock), chain, models, window)
    with _lock:
        spending = _spendings.get(place)
        if spending is None:
            spending = _spendings[place] = Spending(window)
        return spending


_PLAIN_BREAKER_FIELDS = (
    "window",
    "failure_ratio",
    "min_calls",
    "consecutive",
    "open_for",
    "open_for_max",
    "probes",
    "successes",
    "slow",
    "enabled",
)
