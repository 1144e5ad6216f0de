"""What a model usually takes, learned from its own answers: the reserve of a chain is built from it."""

from __future__ import annotations

from collections import deque
from typing import Final, final

SAMPLES: Final = 128
"""Answers remembered. Enough for a stable 95th percentile, few enough to follow a change within minutes."""
ENOUGH: Final = 10
"""Answers needed before the figures are believed."""
REFRESH: Final = 32
"""Answers between two sortings; a percentile that lacks the last quarter of them is as good."""
STALE_SECONDS: Final = 120.0
"""What is older says nothing of how quick a model is now: a model passed over for being slow would otherwise never be asked again. The
breaker's window."""


@final
class Latency:
    """The last answers' durations of one model.

    Thread safe without a lock: each step is atomic by itself, and the worst that two threads can do to each other is that the figures are
    worked out once more or once less.

    Attributes:
        p50: Median seconds of an answer, or None while too few are known.
        p95: 95th percentile in seconds, or None while too few are known.
    """

    __slots__ = ("_at", "_last", "_until_look", "p50", "p95")

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=SAMPLES)
        self._until_look = ENOUGH
        self._at = float("-inf")
        self.p50: float | None = None
        self.p95: float | None = None

    def record(self, seconds: float, now: float) -> None:
        """An answer that came at `now` took `seconds`."""
        self._at = now
        self._last.append(seconds)
        self._until_look -= 1
        if self._until_look <= 0:
            self._until_look = REFRESH
            ordered = sorted(self._last.copy())  # a copy is taken in one step, while others add
            self.p50 = ordered[len(ordered) // 2]
            self.p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]

    def typical(self, now: float) -> float | None:
        """Median seconds of an answer; None while too few are known, or when the last one came too long before `now`."""
        return self.p50 if now - self._at <= STALE_SECONDS else None
