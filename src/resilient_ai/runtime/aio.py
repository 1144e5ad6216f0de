"""The asyncio driver."""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import Coroutine, Generator
from typing import Final, TypeVar, final

from resilient_ai.core.clock import Clock
from resilient_ai.core.deadline import AttemptTimeout

T = TypeVar("T")

BLOCKED_SECONDS: Final = 0.05
"""A timer this late means that something held up the loop; an idle one is late by a millisecond."""
GRACE_SECONDS: Final = 0.02
"""Then given to an answer that may have come meanwhile: some turns of the loop."""


@final
class _Place:
    __slots__ = ("_clock", "_future", "_loop")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    def wake(self) -> bool:
        try:
            self._loop.call_soon_threadsafe(self._set)
        except RuntimeError:
            return False  # the loop is closed, and the call that waited with it
        return True

    async def wait(self, until: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, until - self._clock.now())):
                await self._future
        except TimeoutError:
            return False
        return True

    def _set(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


@types.coroutine
def _begun(work: Coroutine[object, object, T], awaited: object) -> Generator[object, object, T]:
    """The result of a coroutine that has run to its first wait, for `awaited`."""
    rest = work.__await__()
    while True:
        try:
            yield awaited
        except BaseException as error:  # noqa: BLE001 - a cancellation is the work's to see first, and it may wait again to clean up
            try:
                awaited = rest.throw(error)
            except StopIteration as stop:
                value: T = stop.value
                return value
        else:
            return (yield from rest)


def _time_is_up(loop: asyncio.AbstractEventLoop, when: float, scope: asyncio.Timeout) -> None:
    """Ends `scope` now, or a little later if the loop itself was late: what came while it stood still is not read yet."""
    if loop.time() - when > BLOCKED_SECONDS:
        loop.call_later(GRACE_SECONDS, _end, scope)
    else:
        _end(scope)


def _end(scope: asyncio.Timeout) -> None:
    with contextlib.suppress(RuntimeError):  # it was left in the meantime
        scope.reschedule(0.0)


@final
class AioDriver:
    """Runs the orchestrator in the current task of an asyncio loop. Stateless but for its clock; shared by all tasks."""

    __slots__ = ("clock",)

    blocking = False

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def sleep_until(self, until: float) -> None:
        await self.clock.asleep(max(0.0, until - self.clock.now()))

    async def bounded(self, work: Coroutine[object, object, T], until: float) -> T:
        # What never waits cannot be ended by a timer either. Most reads of a stream find their bytes there already, and one timer for
        # each of them would be a fifth of what a piece of text costs.
        try:
            awaited = work.send(None)
        except StopIteration as stop:
            value: T = stop.value
            return value
        loop = asyncio.get_running_loop()
        when = loop.time() + until - self.clock.now()
        scope = asyncio.timeout(None)
        timer = loop.call_at(when, _time_is_up, loop, when, scope)
        try:
            async with scope:
                return await _begun(work, awaited)
        except TimeoutError as error:
            if scope.expired():
                raise AttemptTimeout from error
            raise
        finally:
            timer.cancel()

    def place(self) -> _Place:
        return _Place(self.clock)
