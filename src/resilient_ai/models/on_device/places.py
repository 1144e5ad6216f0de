"""The line before a worker. llama.cpp's own queue has no end, so requests wait here, bounded."""

from __future__ import annotations

from typing import Final, final

from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.core.model import Scope
from resilient_ai.policies.limits import Concurrency, Limits
from resilient_ai.runtime.aio import AioDriver
from resilient_ai.runtime.blocking import BlockingDriver

QUEUE: Final = 64
"""Requests that may wait: at a few milliseconds each this is well under a second, and the last model of a chain must not turn away a burst
of fallbacks that still has time. What does not fit its deadline leaves the line by itself."""


class LineFull(Exception):
    """As many requests wait for this worker as may."""


@final
class Places:
    """The slots of one worker. Safe to share between threads, tasks and event loops; first come, first served."""

    __slots__ = ("_line",)

    def __init__(self, slots: int, *, queue: int = QUEUE) -> None:
        self._line = Concurrency(Limits(concurrency=slots, queue=queue))

    async def enter(self, scope: Scope) -> None:
        """Takes a place, waiting until `scope.until` for one. Every return is followed by exactly one `leave`.

        Raises:
            LineFull: The line is full.
            AttemptTimeout: No place came in time.
        """
        driver = BlockingDriver(scope.clock) if scope.blocking else AioDriver(scope.clock)
        place = driver.place()
        taken = self._line.enter(place)
        if taken is None:
            raise LineFull
        if taken:
            return
        try:
            if await place.wait(scope.until):
                return
        except BaseException:
            self._line.give_up(place)
            raise
        self._line.give_up(place)
        raise AttemptTimeout(sent=False)

    def leave(self) -> None:
        """Gives a place back. Never blocks."""
        self._line.leave()
