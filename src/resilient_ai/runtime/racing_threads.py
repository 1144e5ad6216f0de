"""Attempts of a blocking call beside each other: a thread for each, while the caller's own waits for the first to come in.

Only a hedge needs them. A call without one stays in the thread of its caller.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import TYPE_CHECKING, Final, Protocol, cast, final

from resilient_ai.core.brake import Brake
from resilient_ai.runtime.blocking import drive
from resilient_ai.runtime.driver import Finished
from resilient_ai.runtime.threads import Threads

if TYPE_CHECKING:
    from resilient_ai.core.clock import Clock
    from resilient_ai.core.model import Scope
    from resilient_ai.engine.steps import Ask
    from resilient_ai.messages import Reply

RACER_THREADS: Final = 64
"""Attempts of one chain that are in threads at a time, because they may be hedged. Where there is no room, an attempt is made alone."""
LOOK_SECONDS: Final = 1.0
"""A thread that waits for a lock may sleep through Ctrl-C, on Windows always; it looks up this often."""
STOP_SECONDS: Final = 0.02
"""Given to an attempt whose wait was ended: hanging up takes a millisecond, and an answer is waiting. What waits on nothing of ours, such as a function of the caller's, is left behind at once."""


def threads_for_racers() -> Threads:
    """The threads of one chain; none is started yet."""
    return Threads("attempts", RACER_THREADS)


def racing_threads(threads: Threads, clock: Clock, most: int) -> RacingThreads | None:
    """A way to run up to `most` attempts beside each other; None if there are not so many threads to be had."""
    if threads.spare < most:
        return None
    gather = cast("Callable[[], Gathering] | None", getattr(clock, "gather", None))
    return RacingThreads(threads, _InRealTime(clock) if gather is None else gather())


class Gathering(Protocol):
    """Threads that wait beside each other: a host, and those it has enrolled. `ManualClock.gather` makes one that is on its time."""

    def enrol(self) -> object:
        """A seat for a thread that is about to start."""
        ...

    def begin(self, seat: object) -> None:
        """Called by that thread before all else."""
        ...

    def leave(self, seat: object) -> None:
        """Called by that thread last of all; has the host look again."""
        ...

    def wait(self, until: float, ready: Callable[[], bool]) -> None:
        """Waits, as the host, until `ready()` or until the instant `until`."""
        ...

    def dismiss(self, *, leaving: bool) -> None:
        """Waits, as the host, for a little while until everybody has left; where not all are `leaving`, for nobody."""
        ...


@final
class _InRealTime:
    """A gathering of threads on a clock that goes by itself."""

    __slots__ = ("_changed", "_clock", "_present")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._present = 0

    def enrol(self) -> None:
        with self._changed:
            self._present += 1

    def begin(self, seat: object) -> None:
        pass

    def leave(self, seat: object) -> None:  # noqa: ARG002 - they are only counted
        with self._changed:
            self._present -= 1
            self._changed.notify_all()

    def wait(self, until: float, ready: Callable[[], bool]) -> None:
        with self._changed:
            while not ready() and (left := until - self._clock.now()) > 0:
                self._changed.wait(min(left, LOOK_SECONDS))

    def dismiss(self, *, leaving: bool) -> None:
        if leaving:
            with self._changed:
                self._changed.wait_for(lambda: not self._present, STOP_SECONDS)


@final
class RacingThreads:
    """One thread for each attempt. What an attempt answers that was told to stop is dropped, whenever it comes."""

    __slots__ = ("_brakes", "_came_in", "_gathering", "_over", "_threads")

    def __init__(self, threads: Threads, gathering: Gathering) -> None:
        self._threads = threads
        self._gathering = gathering
        self._brakes: dict[int, Brake] = {}
        self._came_in: deque[Finished] = deque()
        self._over = False

    def start(self, step: Ask, scope: Scope, work: Callable[[], Coroutine[object, object, Reply]]) -> bool:
        scope.brake = self._brakes[step.n] = Brake()
        seat = self._gathering.enrol()
        try:
            self._threads.submit(copy_context().run, self._run, seat, step, work)
        except RuntimeError:
            self._gathering.leave(seat)
            return False
        return True

    async def next(self, until: float) -> Finished | None:
        self._gathering.wait(until, lambda: bool(self._came_in))
        if not self._came_in:
            return None
        finished = self._came_in.popleft()
        del self._brakes[finished.step.n]
        return finished

    async def stop(self, *, decided: bool) -> list[Finished]:  # noqa: ARG002 - it never waits for long
        self._over = True
        came_in = list(self._came_in)
        self._came_in.clear()
        for late in came_in:
            del self._brakes[late.step.n]
        ended = [brake.pull() for brake in self._brakes.values()]
        self._brakes.clear()
        self._gathering.dismiss(leaving=all(ended))
        return came_in

    def _run(self, seat: object, step: Ask, work: Callable[[], Coroutine[object, object, Reply]]) -> None:
        self._gathering.begin(seat)
        try:
            finished = _finished(step, work)
            if not self._over:
                self._came_in.append(finished)
            del finished  # what it raised holds this frame
        finally:
            self._gathering.leave(seat)


def _finished(step: Ask, work: Callable[[], Coroutine[object, object, Reply]]) -> Finished:
    try:
        return Finished(step, drive(work()), None)
    except BaseException as error:  # noqa: BLE001 - raised or judged where the call is
        return Finished(step, None, error)
