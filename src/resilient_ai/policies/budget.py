"""The retry budget: what keeps a fleet of callers from turning an outage into a storm.

Each model has one token bucket, shared by every chain in the process that uses it. A retry or a hedge draws from it, a success pays
back. When it is empty, only the extra attempt is suppressed. A small floor keeps a quiet client able to retry at all.

Source: AWS SDK standard retry mode (500 tokens; throttling retries cost less); the floor follows Finagle's RetryBudget
(minimum retries per second regardless of traffic).
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final, final

from resilient_ai.core.failure import FailureKind
from resilient_ai.errors import ConfigError
from resilient_ai.policies.options import check_kinds

CAPACITY: Final = 500
RETRY_COST: Final = 14
THROTTLED_COST: Final = 5
REFUND: Final = 1
"""What a success without a retry pays back; one after a retry pays back what that retry drew."""
FLOOR_RETRIES: Final = 3
FLOOR_SECONDS: Final = 10.0


@final
@dataclass(frozen=True, slots=True)
class RetryBudget:
    """How many retries all callers of a model may spend together.

    Attributes:
        capacity: Tokens of a full bucket; 0 leaves only the floor.
        retry_cost: Tokens a retry draws.
        throttled_cost: Tokens a retry after a rate limit draws.
        refund: Tokens a success at the first attempt pays back.
        floor: Retries allowed in every `floor_seconds` even from an empty bucket.
        floor_seconds: The floor's window, in seconds.
        enabled: False lifts the budget altogether.
    """

    capacity: float = CAPACITY
    retry_cost: float = RETRY_COST
    throttled_cost: float = THROTTLED_COST
    refund: float = REFUND
    floor: int = FLOOR_RETRIES
    floor_seconds: float = FLOOR_SECONDS
    enabled: bool = True

    def __post_init__(self) -> None:
        check_kinds(self)
        for name in ("capacity", "retry_cost", "throttled_cost", "refund", "floor"):
            if getattr(self, name) < 0:
                raise ConfigError(f"RetryBudget.{name} is {getattr(self, name)!r}; it must not be negative.")
        if not self.floor_seconds > 0:
            raise ConfigError(f"RetryBudget.floor_seconds is {self.floor_seconds!r}; it must be above 0.")


@final
class BudgetState:
    """The bucket of one model. Thread safe."""

    __slots__ = ("_floor", "_lock", "options", "tokens")

    def __init__(self, options: RetryBudget) -> None:
        self.options = options
        self.tokens = float(options.capacity)
        self._floor: deque[float] = deque()
        self._lock = threading.Lock()

    def draw(self, kind: FailureKind | None, now: float, *, floor: bool = True) -> float | None:
        """Pays for one extra attempt. Tokens drawn (0 from the floor), or None if the budget forbids the attempt.

        Args:
            kind: The failure before it, or None.
            now: The instant.
            floor: An empty bucket still lets the floor's few through. They are for retries; a hedge does without.
        """
        options = self.options
        if not options.enabled:
            return 0.0
        cost = options.throttled_cost if kind is FailureKind.RATE_LIMITED else options.retry_cost
        with self._lock:
            if self.tokens >= cost:
                self.tokens -= cost
                return cost
            if not floor:
                return None
            recent = self._floor
            while recent and recent[0] <= now - options.floor_seconds:
                recent.popleft()
            if len(recent) < options.floor:
                recent.append(now)
                return 0.0
            return None

    def refund(self, drawn: float | None) -> None:
        """A success pays back: what its own retry drew, or the plain refund where it needed none."""
        options = self.options
        # The bucket is full almost always: look before locking.
        if self.tokens >= options.capacity:
            return
        with self._lock:
            self.tokens = min(
                float(options.capacity), self.tokens + (options.refund if drawn is None else drawn)
            )

    def reset_lock(self) -> None:
        """Replaces the lock in a forked child, where another thread may have held it."""
        self._lock = threading.Lock()
