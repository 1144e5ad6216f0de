"""Time and chance, the only file that reads either.

Everything else receives a `Clock` and a `Random`, so that a test, the simulator or a replay
decides what time it is and how the dice fall. A lint rule forbids `time`, `datetime.now`,
`random` and `asyncio.sleep` everywhere else.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Protocol, final


class Clock(Protocol):
    """Reads monotonic and wall time and waits, blocking or not.

    Implementations are safe to share between threads and tasks.
    """

    def now(self) -> float:
        """Monotonic seconds since an arbitrary origin. Never goes backwards."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch. May jump; used for timestamps and HTTP dates only."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Blocks the calling thread for `seconds` (>= 0)."""
        ...

    async def asleep(self, seconds: float, /) -> None:
        """Suspends the calling task for `seconds` (>= 0). Cancellation ends it at once."""
        ...


class Random(Protocol):
    """Draws uniform numbers for jitter and sampling."""

    def random(self) -> float:
        """A float in [0, 1)."""
        ...


@final
class SystemClock:
    """The operating system's clocks.

    `now` is CLOCK_MONOTONIC: it stands still while a laptop sleeps on Linux, so a call that was slept
    through continues with the time it had left.
    """

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)
    sleep = staticmethod(time.sleep)

    async def asleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def __repr__(self) -> str:
        return "SystemClock()"


SYSTEM_CLOCK = SystemClock()
"""The clock a model uses unless it is given another. One object, so that state keyed by clock is shared."""


def seeded(seed: int | None = None) -> Random:
    """A source of chance; the same seed gives the same draws. Not for secrets."""
    return random.Random(seed)
