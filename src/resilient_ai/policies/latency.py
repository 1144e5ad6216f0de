"""What a model usually takes, learned from its own answers: the reserve of a chain is built from it."""

from __future__ import annotations

import threading
from typing import Final, final

SAMPLES: Final = 128
"""Answers remembered. Enough for a stable 95th percentile, few enough to follow a change within minutes."""
ENOUGH: Final = 10
"""Answers needed before the figures are believed."""
REFRESH: Final = 16
"""Answers between two sortings; a percentile a few answers old is as good."""
STALE_SECONDS: Final = 120.0
"""What is older says nothing of how quick a model is now: a model passed over for being slow would otherwise never be asked again. The
breaker's window."""


@final
class Latency:
    """A ring of the last answers' durations of one model. Thread safe."""

    __slots__ = ("_at", "_count", "_lock", "_p50", "_p95", "_ring")

    def __init__(self) -> None:
        self._ring: list[float] = []
        self._count = 0
        self._at = float("-inf")
        self._p50: float | None = None
        self._p95: float | None = None
        self._lock = threading.Lock()

    def record(self, seconds: float, now: float) -> None:
        """An answer that came at `now` took `seconds`."""
        with self._lock:
            self._at = now
            if len(self._ring) < SAMPLES:
                self._ring.append(seconds)
            else:
                self._ring[self._count % SAMPLES] = seconds
            self._count += 1
            if self._count >= ENOUGH and (self._count % REFRESH == 0 or self._p50 is None):
                ordered = sorted(self._ring)
                self._p50 = ordered[len(ordered) // 2]
                self._p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]

    def typical(self, now: float) -> float | None:
        """Median seconds of an answer; None while too few are known, or when the last one came too long before `now`."""
        return self._p50 if now - self._at <= STALE_SECONDS else None

    @property
    def p50(self) -> float | None:
        """Median seconds of an answer, or None while too few are known."""
        return self._p50

    @property
    def p95(self) -> float | None:
        """95th percentile in seconds, or None while too few are known."""
        return self._p95

    def reset_lock(self) -> None:
        """Replaces the lock in a forked child, where another thread may have held it."""
        self._lock = threading.Lock()
