"""The asyncio driver."""

from __future__ import annotations

import asyncio
import types
import weakref
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextvars import Context
from typing import TYPE_CHECKING, Final, TypeVar, final

from resilient_ai.core.clock import Clock
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.engine.endings import bare
from resilient_ai.runtime.driver import Finished

if TYPE_CHECKING:
    from resilient_ai.core.model import Scope
    from resilient_ai.engine.steps import Ask
    from resilient_ai.messages import Reply

T = TypeVar("T")

BLOCKED_SECONDS: Final = 0.05
"""A timer this late means that something held up the loop; an idle one is late by a millisecond."""
GRACE_SECONDS: Final = 0.02
"""Then given to an answer that may have come meanwhile: some turns of the loop."""
STOP_TURNS: Final = 8
"""Looks at attempts that were cancelled, a turn of the loop or two each. Hanging up takes one; what takes eight waits for something."""


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


@final
class _Racers:
    """One task for each attempt. None outlives a call that ends without an answer: `stop` waits for them, however often it is cancelled meanwhile."""

    __slots__ = ("_driver", "_tasks")

    def __init__(self, driver: AioDriver) -> None:
        self._driver = driver
        self._tasks: dict[asyncio.Task[Reply], Ask] = {}

    def start(self, step: Ask, scope: Scope, work: Callable[[], Coroutine[object, object, Reply]]) -> bool:  # noqa: ARG002 - a task is cancelled from outside
        self._tasks[asyncio.get_running_loop().create_task(work())] = step
        return True

    async def next(self, until: float) -> Finished | None:
        loop = asyncio.get_running_loop()
        seconds = None if until == float("inf") else max(0.0, until - self._driver.clock.now())
        looked_again = False
        while True:
            due = loop.time() + (seconds or 0.0)
            await asyncio.wait(self._tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in self._tasks:
                if task.done():
                    return self._finished(task)
            stood_still = loop.time() - due > BLOCKED_SECONDS
            if looked_again and not stood_still:
                return None
            # What came in this very turn of the loop, or while it stood still, is not read yet and must not be taken for late.
            looked_again = not stood_still
            seconds = GRACE_SECONDS if stood_still else 0.0

    async def stop(self, *, decided: bool) -> list[Finished]:
        came_in = [self._finished(task) for task in list(self._tasks) if task.done()]
        cancelled: asyncio.CancelledError | None = None
        self._cancel()
        turns = STOP_TURNS
        while self._tasks:
            if decided and not turns:
                self._driver.leave(self._tasks)
                self._tasks.clear()
                break
            turns -= 1
            try:
                await asyncio.wait(self._tasks, timeout=0 if decided else None)
            except asyncio.CancelledError as error:
                cancelled = error
                decided = False  # nobody is there any more to have the answer
                self._cancel()
                continue
            for task in [each for each in self._tasks if each.done()]:
                dropped = self._finished(task).error
                if dropped is not None:
                    bare(dropped)  # its frames hold the task, which holds the error
        if cancelled is None:
            return came_in
        try:
            raise cancelled
        finally:
            del cancelled  # it holds this frame

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _finished(self, task: asyncio.Task[Reply]) -> Finished:
        step = self._tasks.pop(task)
        try:
            return Finished(step, task.result(), None)
        except BaseException as error:  # noqa: BLE001 - raised or judged where the call is
            return Finished(step, None, error)


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


_left: Final[dict[asyncio.Task[Reply], AioDriver]] = {}
"""Attempts that lost their race and still clean up, by whose they are. A loop itself holds tasks weakly."""


def _gone(task: asyncio.Task[Reply]) -> None:
    del _left[task]
    if not task.cancelled() and (error := task.exception()) is not None:
        bare(error)  # as in `stop`


@final
class _Bounds:
    """One timer for all waits of a stream.

    Set for a wait it stays when that has ended, and serves the next: when its time comes it is set for the wait that is under way by then.
    Setting one for each would be most of what bounding costs.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_due",
        "_graced",
        "_loop",
        "_over",
        "_task",
        "_timer",
        "_when",
    )

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None
        """Who waits; None while nobody does."""
        self._over = False
        """Its time is up."""
        self._due = 0.0
        """By when, on the loop's clock."""
        self._graced = False
        self._timer: asyncio.TimerHandle | None = None
        self._when = 0.0
        """For which instant the timer is set."""

    async def bounded(self, work: Coroutine[object, object, T], until: float) -> T:
        try:
            awaited = work.send(None)
        except StopIteration as stop:
            value: T = stop.value
            return value
        return await self.rest(work, awaited, until)

    async def rest(self, work: Coroutine[object, object, T], awaited: object, until: float) -> T:
        """The result of a coroutine that has run to its first wait, for `awaited`."""
        task = asyncio.current_task(self._loop)
        if task is None:
            raise AssertionError("a wait outside a task")
        cancelled = task.cancelling()
        self._due = due = self._loop.time() + until - self._clock.now()
        if self._timer is None or self._when > due:
            self._set(due)
        self._over = self._graced = False
        self._task = task
        try:
            return await _begun(work, awaited)
        except asyncio.CancelledError as error:
            if self._over and task.cancelling() - 1 <= cancelled:
                raise AttemptTimeout from error
            raise  # it was somebody else, or somebody else too
        finally:
            self._task = None
            if self._over:
                task.uncancel()
            del task  # it may end with the error, which holds this frame

    def close(self) -> None:
        if self._task is None:  # a wait of another task stays bounded
            self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, when: float) -> None:
        self._stop()
        self._when = when
        # Held weakly, and in a context of its own: a loop keeps timers that were cancelled for a while, and with them whatever they hold.
        self._timer = self._loop.call_at(when, _look, weakref.ref(self), context=Context())

    def look(self) -> None:
        """The time of the timer has come."""
        self._timer = None
        task, now = self._task, self._loop.time()
        if task is None or self._over:
            return
        if now < self._due:
            self._set(self._due)
        elif now - self._due > BLOCKED_SECONDS and not self._graced:
            self._graced = True  # what came while the loop stood still is not read yet
            self._set(now + GRACE_SECONDS)
        else:
            self._over = True
            task.cancel()


def _look(held: Callable[[], _Bounds | None]) -> None:
    bounds = held()
    if bounds is not None:
        bounds.look()


@final
class AioDriver:
    """Runs the orchestrator in the current task of an asyncio loop. Shared by all tasks; keeps nothing but its clock."""

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
        bounds = _Bounds(self.clock)
        try:
            return await bounds.rest(work, awaited, until)
        finally:
            bounds.close()

    def bounds(self) -> _Bounds:
        return _Bounds(self.clock)

    def racers(self, most: int) -> _Racers:  # noqa: ARG002 - tasks are many
        return _Racers(self)

    def leave(self, tasks: Iterable[asyncio.Task[Reply]]) -> None:
        """Keeps `tasks`, which were cancelled, until they have ended."""
        for task in tasks:
            _left[task] = self
            task.add_done_callback(_gone)

    async def settled(self) -> None:
        """Waits until all that was left here by calls of the running loop has ended. A loop that ends cancels and awaits it."""
        loop = asyncio.get_running_loop()
        while own := [
            task for task, driver in list(_left.items()) if driver is self and task.get_loop() is loop
        ]:
            await asyncio.wait(own)

    def place(self) -> _Place:
        return _Place(self.clock)
