"""The blocking driver: the same coroutines, run by a trampoline that never lets them suspend.

No thread and no event loop is involved, so tracebacks, Ctrl-C, context variables and fork are those of a plain function call.
"""

from __future__ import annotations

import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Final, TypeVar, final

from resilient_ai.core.clock import Clock

if TYPE_CHECKING:
    from resilient_ai.runtime.racing_threads import RacingThreads
    from resilient_ai.runtime.threads import Threads

T = TypeVar("T")


def drive(work: Coroutine[object, object, T]) -> T:
    """The result of a coroutine whose every wait blocks.

    Raises:
        RuntimeError: It suspended: something below awaited for real, which is a bug of a model.
    """
    try:
        work.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    work.close()
    raise RuntimeError(
        "a model suspended in a blocking call; with scope.blocking it must not await anything that waits"
    )


@final
class _Place:
    __slots__ = ("_clock", "_event")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = threading.Event()

    def wake(self) -> bool:
        self._event.set()
        return True

    async def wait(self, until: float) -> bool:
        return self._event.wait(max(0.0, until - self._clock.now()))


@final
class _Bounds:
    __slots__ = ()

    def bounded(self, work: Coroutine[object, object, T], until: float) -> Coroutine[object, object, T]:  # noqa: ARG002 - bounded by the work itself
        return work

    def close(self) -> None: ...


_BOUNDS: Final = _Bounds()


@final
class BlockingDriver:
    """Runs the orchestrator in the current thread. Shared by all threads; keeps nothing but threads for attempts beside each other."""

    __slots__ = ("_threads", "clock")

    blocking = True

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._threads: Threads | None = None

    async def sleep_until(self, until: float) -> None:
        self.clock.sleep(max(0.0, until - self.clock.now()))

    def bounded(self, work: Coroutine[object, object, T], until: float) -> Coroutine[object, object, T]:  # noqa: ARG002 - bounded by the work itself
        return work

    def bounds(self) -> _Bounds:
        return _BOUNDS

    def racers(self, most: int) -> RacingThreads | None:
        from resilient_ai.runtime.racing_threads import racing_threads, threads_for_racers

        if self._threads is None:
            # Two threads may come here at once: what the later one overwrites goes with its race.
            self._threads = threads_for_racers()
        return racing_threads(self._threads, self.clock, most)

    def place(self) -> _Place:
        return _Place(self.clock)
