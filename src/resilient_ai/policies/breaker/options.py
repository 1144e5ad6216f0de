"""When a breaker opens, for how long, and what closes it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from resilient_ai.errors import ConfigError
from resilient_ai.policies.options import check_kinds

if TYPE_CHECKING:
    from pybreaker import CircuitBreakerListener, CircuitBreakerStorage

WINDOW_SECONDS: Final = 120.0
"""Twice the longest attempt, so that a window always holds a whole one."""
FAILURE_RATIO: Final = 0.5
MIN_CALLS: Final = 10
"""Fewer than ten attempts say nothing about a ratio."""
CONSECUTIVE: Final = 5
"""pybreaker's and most peers' count; opens a quiet model's breaker long before the ratio could."""
OPEN_SECONDS: Final = 15.0
OPEN_MAX_SECONDS: Final = 300.0
"""The median incident lasts over an hour: probing more often than every five minutes gains nothing."""
PROBES: Final = 1
SUCCESSES: Final = 2


@final
@dataclass(frozen=True, slots=True)
class Breaker:
    """When a breaker opens, for how long, and what closes it.

    It counts attempts, never calls; rate limits, bad requests and cancellations count neither way.

    Attributes:
        window: Seconds over which the failure ratio is taken; at least twice the longest attempt.
        failure_ratio: Share of failed attempts in the window that opens it, in (0, 1].
        min_calls: Attempts the window must hold before the ratio counts.
        consecutive: Failures in a row that open it whatever the ratio; None turns this off.
        open_for: Seconds of the first break. Each further one is twice as long, plus or minus a tenth at random.
        open_for_max: Longest break, in seconds. A refused key or a spent quota opens for this long at once.
        probes: Attempts let through at a time when half open.
        successes: Good probes that close it.
        slow: Seconds beyond which an answer (a stream: its first content) counts as a failure for the ratio; None turns it off.
        listeners: pybreaker listeners, told of every state change.
        storage: A pybreaker storage that state changes are written to.
        enabled: False lets everything through.
    """

    window: float = WINDOW_SECONDS
    failure_ratio: float = FAILURE_RATIO
    min_calls: int = MIN_CALLS
    consecutive: int | None = CONSECUTIVE
    open_for: float = OPEN_SECONDS
    open_for_max: float = OPEN_MAX_SECONDS
    probes: int = PROBES
    successes: int = SUCCESSES
    slow: float | None = None
    listeners: tuple[CircuitBreakerListener, ...] = ()
    storage: CircuitBreakerStorage | None = None
    enabled: bool = True

    def __post_init__(self) -> None:
        check_kinds(self)
        if not self.window > 0:
            raise ConfigError(f"Breaker.window is {self.window!r}; it must be a number of seconds above 0.")
        if not 0 < self.failure_ratio <= 1:
            raise ConfigError(
                f"Breaker.failure_ratio is {self.failure_ratio!r}; it must be above 0 and at most 1."
            )
        for name in ("min_calls", "probes", "successes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"Breaker.{name} is {getattr(self, name)!r}; it must be at least 1.")
        if self.consecutive is not None and self.consecutive < 1:
            raise ConfigError(f"Breaker.consecutive is {self.consecutive!r}; it must be at least 1, or None.")
        if not 0 < self.open_for <= self.open_for_max:
            raise ConfigError(
                f"Breaker.open_for is {self.open_for!r} and open_for_max is {self.open_for_max!r}; "
                "0 < open_for <= open_for_max must hold."
            )
        if self.slow is not None and not self.slow > 0:
            raise ConfigError(
                f"Breaker.slow is {self.slow!r}; it must be a number of seconds above 0, or None."
            )
