"""Cost caps: what a call, and all calls of a chain in a window, may cost at most.

A cap is asked before a request is sent, with an estimate on the high side; afterwards the estimate is replaced by what the attempt cost.
While a request is under way its estimate is held, so that calls side by side cannot each spend the same rest.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final, final

from resilient_ai.core.fork import reset_in_child
from resilient_ai.errors import ConfigError
from resilient_ai.policies.options import check_kinds

WINDOW_SECONDS: Final = 86_400.0
"""A day: the period budgets are mostly set for."""
SLICES: Final = 96
"""Parts a window is counted in: of a day, quarters of an hour. What was spent leaves the window a slice at a time."""


@final
@dataclass(frozen=True, slots=True)
class CostCap:
    """What may be spent. A model that would pass a cap is not asked; where none is left, the call ends with `BudgetExceeded`.

    Attributes:
        per_call: Most one call may cost, over all its attempts; None sets no bound.
        per_window: Most all calls of the chain may cost within `window`; None sets no bound.
        window: Length of the window that moves with time, in seconds.
        currency: ISO 4217 code of both amounts; the prices of the models must be in it.
    """

    per_call: float | None = None
    per_window: float | None = None
    window: float = WINDOW_SECONDS
    currency: str = "USD"

    def __post_init__(self) -> None:
        check_kinds(self)
        for name in ("per_call", "per_window"):
            amount = getattr(self, name)
            if amount is not None and not 0 <= amount < float("inf"):
                raise ConfigError(
                    f"CostCap.{name} is {amount!r}; it must be an amount of at least 0.", key=name
                )
        if not 0 < self.window < float("inf"):
            raise ConfigError(
                f"CostCap.window is {self.window!r}; it must be a number of seconds above 0.", key="window"
            )

    @property
    def active(self) -> bool:
        """There is a bound."""
        return self.per_call is not None or self.per_window is not None

    def __str__(self) -> str:
        bounds = [
            "" if self.per_call is None else f"{self.per_call:g} {self.currency} a call",
            "" if self.per_window is None else f"{self.per_window:g} {self.currency} in {self.window:g} s",
        ]
        return ", ".join(bound for bound in bounds if bound) or "no bound"


@final
class Spending:
    """What a chain has spent in its window, and what its requests under way may still cost. Thread safe.

    Memory does not grow with the number of requests: amounts are added up by slices of the window.
    """

    __slots__ = ("__weakref__", "_held", "_lock", "_slices", "_spent", "_window")

    def __init__(self, window: float) -> None:
        self._window = window
        self._slices: deque[tuple[int, float]] = deque()
        self._spent = 0.0
        self._held = 0.0
        # Re-entrant: a stream that the collector drops settles what it held, perhaps in a thread that is just in here.
        self._lock = threading.RLock()
        reset_in_child(self)

    def taken(self, now: float) -> float:
        """What was spent in the window, and what is held."""
        with self._lock:
            self._forget(now)
            return self._spent + self._held

    def hold(self, amount: float, cap: float, now: float) -> bool:
        """Sets `amount` aside for a request that is about to be sent; False if it would pass `cap`."""
        with self._lock:
            self._forget(now)
            if self._spent + self._held + amount > cap:
                return False
            self._held += amount
            return True

    def settle(self, held: float, spent: float, now: float) -> None:
        """Gives back what was held, and adds what was spent."""
        with self._lock:
            self._held = max(0.0, self._held - held)
            if spent <= 0:
                return
            place = self._slice(now)
            if self._slices and self._slices[-1][0] >= place:
                last, amount = self._slices[-1]
                self._slices[-1] = (last, amount + spent)
            else:
                self._slices.append((place, spent))
            self._spent += spent

    def reset_lock(self) -> None:
        """Forgets in a forked child what the parent's requests hold, and the lock one of its threads may have held."""
        self._lock = threading.RLock()
        self._held = 0.0

    def _slice(self, now: float) -> int:
        return int(now / self._window * SLICES)

    def _forget(self, now: float) -> None:
        oldest = self._slice(now) - SLICES
        slices = self._slices
        if not slices or slices[0][0] >= oldest:
            return
        while slices and slices[0][0] < oldest:
            slices.popleft()
        # Added up anew: what subtractions round off would pile up.
        self._spent = sum(amount for _, amount in slices)
