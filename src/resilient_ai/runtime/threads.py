"""Threads for what blocks beside an event loop: a function of the user's, a name look-up.

Every owner has its own, bounded. asyncio's default executor is one for the whole process: a few slow functions there keep every name
look-up of every provider waiting, and a resolver that hangs keeps every function waiting. It also keeps the interpreter from ending for
as long as a thread is in it, also one that nobody waits for any more.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar, final

from resilient_ai.core.fork import reset_in_child

P = ParamSpec("P")
T = TypeVar("T")

IDLE_SECONDS: Final = 10.0
"""A thread that has had nothing to do for this long ends. Starting one costs a tenth of a millisecond."""


@final
class Threads(Executor):
    """At most `most` threads, started when they are needed; further work waits its turn, first come, first served.

    Work that is cancelled before its turn is never begun. Work that has begun cannot be ended: it is left behind, keeps its thread until
    it returns, and what it returns is dropped. The threads are daemons: none holds up the end of the interpreter. A forked child begins
    with none. Safe to use from any thread and any loop.
    """

    def __init__(self, name: str, most: int) -> None:
        """Starts nothing yet.

        Args:
            name: What the threads are for, as part of their names.
            most: Threads at a time, at least 1.
        """
        self._name = name
        self._most = most
        self._alive = 0
        self._idle = 0
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._changed = threading.Condition()
        reset_in_child(self)

    @property
    def spare(self) -> int:
        """Work that would be begun at once if it came now, in a thread that is idle or can be started."""
        with self._changed:
            return self._most - self._alive + self._idle - len(self._waiting)

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns, called in one of the threads with the context variables of this task.

        Raises:
            Exception: What the function raises; RuntimeError if no thread can be started.
        """
        work = partial(contextvars.copy_context().run, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self, work)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As every executor's.

        Raises:
            RuntimeError: No thread can be started, and none is there.
        """
        future: Future[T] = Future()
        with self._changed:
            self._waiting.append((future, partial(fn, *args, **kwargs)))
            if self._idle >= len(self._waiting):
                self._changed.notify()
            elif self._alive < self._most:
                self._start()
        return future

    def reset_lock(self) -> None:
        """In a forked child: the parent's threads do not exist here, and nobody waits here for what they were doing."""
        self._alive = self._idle = 0
        self._waiting.clear()
        self._changed = threading.Condition()

    def _start(self) -> None:
        thread = threading.Thread(target=self._serve, name=f"resilient-ai {self._name}", daemon=True)
        self._alive += 1
        try:
            thread.start()
        except RuntimeError:  # the system has no more, or the interpreter is ending
            self._alive -= 1
            if not self._alive:
                self._waiting.pop()
                raise

    def _serve(self) -> None:
        while (work := self._next()) is not None:
            _do(*work)
            del work  # an idle thread must not keep the last answer alive

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        """The next work; None once there has been none for so long that this thread is to end."""
        with self._changed:
            self._idle += 1
            try:
                if not self._waiting and not self._changed.wait_for(lambda: self._waiting, IDLE_SECONDS):
                    self._alive -= 1
                    return None
                return self._waiting.popleft()
            finally:
                self._idle -= 1


def _do(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except StopIteration as error:
        # No future of asyncio's takes one, and whoever waits would wait for ever. As a generator's becomes one, by PEP 479.
        ended = RuntimeError("the function raised StopIteration")
        ended.__cause__ = error
        future.set_exception(ended)
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits, as every executor does
        future.set_exception(error)
        del future  # the error holds this frame, which must not hold the error
    else:
        future.set_result(result)
