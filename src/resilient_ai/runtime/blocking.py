"""The blocking driver: the same coroutines, run by a trampoline that never lets them suspend.

No thread and no event loop is involved, so tracebacks, Ctrl-C, context variables and fork are those of a plain function call.
"""

from __future__ import annotations

import threading
from collections.abc import Coroutine
from typing import TypeVar, final

from resilient_ai.core.clock import Clock

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
class BlockingDriver:
    """Runs the orchestrator in the current thread. Stateless but for its clock; shared by all threads."""

    __slots__ = ("clock",)

    blocking = True

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def sleep_until(self, until: float) -> None:
        self.clock.sleep(max(0.0, until - self.clock.now()))

    def bounded(self, work: Coroutine[object, object, T], until: float) -> Coroutine[object, object, T]:  # noqa: ARG002 - bounded by the work itself
        return work

    def place(self) -> _Place:
        return _Place(self.clock)
