"""The adaptive throttle: what a model would refuse for load anyway is not even sent to it.

A breaker answers a model that is broken; it opens or it does not, and rate limits tell it nothing. The throttle answers a model that takes a part
of what it is asked: it keeps back about as much as would be refused, draws afresh for every request, and lets out more as more is taken.

A request counts when it is sent, and as accepted until the model refuses it: answers of a model take seconds to a minute, and a burst would
else be held back for answers that are still being written. One that was rejected here counts as a request too; that is what makes the share
follow the load.

Source: B. Beyer et al., "Site Reliability Engineering", 2016, chapter 21, "Client-Side Throttling".
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from resilient_ai.core.failure import FailureKind
from resilient_ai.errors import ConfigError
from resilient_ai.policies.options import check_kinds
from resilient_ai.policies.window import Window

if TYPE_CHECKING:
    from resilient_ai.core.clock import Random

K: Final = 2.0
"""The book's: for each request that is accepted, one is sent that may be refused, and tells at once when more are taken again."""
WINDOW_SECONDS: Final = 120.0
"""The book's two minutes; the breaker's window too."""
MIN_REQUESTS: Final = 10
"""Fewer say nothing about a share, as for the breaker. The book speaks of servers with thousands."""
MOST: Final = 0.9
"""After minutes of nothing but refusals the plain formula lets out one request in a window. At ten requests a second a model that is back then
waits nearly nine minutes for all of them; three and a half where one in ten goes out."""

REFUSED_FOR_LOAD: Final = frozenset({FailureKind.RATE_LIMITED, FailureKind.OVERLOADED})
"""The kinds by which a model says that it has too much to do. A request that failed otherwise was accepted first, or never came to it:
the breaker's matter, or the caller's."""


@final
@dataclass(frozen=True, slots=True)
class Throttle:
    """How much of what a model refuses for load is kept from it. There is none unless it is given.

    Attributes:
        k: Requests let out for each one accepted, at least 1. The nearer to 1, the less the model has to refuse.
        window: Seconds over which requests and refusals are counted.
        min_requests: Requests the window must hold before any is rejected.
        most: Highest share that is rejected, in (0, 1]; the rest finds out when the model is back.
        enabled: False lets everything through.
    """

    k: float = K
    window: float = WINDOW_SECONDS
    min_requests: int = MIN_REQUESTS
    most: float = MOST
    enabled: bool = True

    def __post_init__(self) -> None:
        check_kinds(self)
        if not 1 <= self.k < float("inf"):
            raise ConfigError(f"Throttle.k is {self.k!r}; it must be a number of at least 1.", key="k")
        if not 0 < self.window < float("inf"):
            raise ConfigError(
                f"Throttle.window is {self.window!r}; it must be a number of seconds above 0.", key="window"
            )
        if self.min_requests < 1:
            raise ConfigError(
                f"Throttle.min_requests is {self.min_requests!r}; it must be at least 1.", key="min_requests"
            )
        if not 0 < self.most <= 1:
            raise ConfigError(
                f"Throttle.most is {self.most!r}; it must be above 0 and at most 1.", key="most"
            )


@final
class ThrottleState:
    """What one model has taken of what it was asked. Thread safe; shared by every chain that uses the model."""

    __slots__ = ("_lock", "_window", "options")

    def __init__(self, options: Throttle) -> None:
        self.options = options
        self._window = Window(options.window)
        self._lock = threading.Lock()

    def share(self, now: float) -> float:
        """The chance, in [0, `most`], that a request would be rejected now."""
        with self._lock:
            return self._share(now)

    def lets_out(self, now: float, chance: Random) -> bool:
        """Counts a request: True if it is to be sent, False if it is rejected here."""
        with self._lock:
            share = self._share(now)
            out = not share or chance.random() >= share
            self._window.add(now, good=out)
            return out

    def refused(self, now: float) -> None:
        """The model refused, for load, a request that was let out."""
        with self._lock:
            self._window.turn_bad(now)

    def reset_lock(self) -> None:
        """Replaces the lock in a forked child, where another thread may have held it."""
        self._lock = threading.Lock()

    def _share(self, now: float) -> float:
        options = self.options
        accepted, others = self._window.counts(now)
        requests = accepted + others
        if requests < options.min_requests:
            return 0.0
        return min(options.most, max(0.0, (requests - options.k * accepted) / (requests + 1)))
