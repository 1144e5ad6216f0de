"""Time that a test moves: a clock, and an event loop that jumps to its next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, final

T = TypeVar("T")

_EPOCH = 1_700_000_000.0
"""Wall time of a manual clock at its start: some instant of 2023, the same in every run."""


@final
class ManualClock:
    """A clock that stands still until somebody sleeps on it or moves it. Thread safe.

    Blocking code that sleeps moves it at once. Asynchronous code runs under `run`, on a loop whose every wait is a jump: a call with a
    deadline of two minutes takes milliseconds, and `asyncio.timeout` fires exactly when it should.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._start = start
        self._lock = threading.Lock()
        self._here = threading.local()
        self.sleeps: list[float] = []
        """Every sleep on this clock, in order, in seconds."""

    def now(self) -> float:
        """Seconds since the clock's start, plus that start."""
        return self._now

    def wall(self) -> float:
        """The same as an instant of the year 2023."""
        return _EPOCH + self._now - self._start

    def advance(self, seconds: float) -> None:
        """Moves time forward by `seconds` (>= 0)."""
        if seconds < 0:
            raise ValueError("time does not go back")
        with self._lock:
            self._now += seconds

    def sleep(self, seconds: float) -> None:
        """Moves time by `seconds`, at once; in a thread that was gathered with others, when it is the first whose time has come."""
        self.sleeps.append(seconds)
        seat: _Seat | None = getattr(self._here, "seat", None)
        if seat is None:
            self.advance(seconds)
        else:
            seat.gathering.sleep(seat, seconds)

    async def asleep(self, seconds: float) -> None:
        """Suspends for `seconds` of this clock. Outside `run` it moves the clock at once."""
        self.sleeps.append(seconds)
        loop = asyncio.get_running_loop()
        if isinstance(loop, _VirtualLoop):
            future: asyncio.Future[None] = loop.create_future()
            handle = loop.call_later(seconds, _finish, future)
            try:
                await future
            finally:
                handle.cancel()
        else:
            self.advance(seconds)

    def gather(self) -> _Gathering:
        """For attempts of a blocking call that are under way beside each other: their threads wait on this clock, one goes on at a time."""
        return _Gathering(self, self._here)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """The result of `main`, run on a loop whose time is this clock.

        Real I/O works, but virtual time passes while it is under way: mix the two only where that does no harm.

        Raises:
            RuntimeError: Nothing can ever happen any more: every task waits, and no timer is set.
        """
        with asyncio.Runner(loop_factory=lambda: _VirtualLoop(self)) as runner:
            return runner.run(main)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@final
class _Seat:
    """A thread among others, and the instant at which it wants to go on."""

    __slots__ = ("gathering", "wakes")

    def __init__(self, gathering: _Gathering, wakes: float) -> None:
        self.gathering = gathering
        self.wakes = wakes


@final
class _Gathering:
    """Threads that wait on one clock. One of them goes on at a time: the one whose time comes first, of several the one enrolled first, the host last.

    So what they do has an order, the same in every run. Time moves when all of them wait.
    """

    def __init__(self, clock: ManualClock, here: threading.local) -> None:
        self._clock = clock
        self._here = here
        self._changed = threading.Condition()
        self._host = _Seat(self, clock.now())
        self._seats = [self._host]
        self._turn = self._host
        self._dismissed = False

    def enrol(self) -> _Seat:
        """A seat for a thread that is about to start."""
        with self._changed:
            seat = _Seat(self, self._clock.now())
            self._seats.append(seat)
            return seat

    def begin(self, seat: _Seat) -> None:
        """The thread of `seat` has started. Returns when it is its turn."""
        self._here.seat = seat
        with self._changed:
            self._changed.wait_for(lambda: self._turn is seat)

    def leave(self, seat: _Seat) -> None:
        """The thread of `seat` has done what it had to; the host goes on."""
        self._here.seat = None
        with self._changed:
            self._seats.remove(seat)
            self._host.wakes = self._clock.now()
            if self._turn is seat:
                self._pass_on()

    def sleep(self, seat: _Seat, seconds: float) -> None:
        """Returns when `seconds` have passed, or at once where nobody waits for the thread of `seat` any more."""
        with self._changed:
            if not self._dismissed:
                self._wait(seat, self._clock.now() + seconds)

    def wait(self, until: float, ready: Callable[[], bool]) -> None:
        """The host waits until a thread has left, or until the instant `until`."""
        with self._changed:
            if not ready():
                self._wait(self._host, until)

    def dismiss(self, *, leaving: bool) -> None:  # noqa: ARG002 - here everybody leaves
        """Every thread goes on at once, without time moving; returns when all have left."""
        with self._changed:
            self._dismissed = True
            while len(self._seats) > 1:
                for seat in self._seats:
                    seat.wakes = self._clock.now()
                self._wait(self._host, float("inf"))

    def _wait(self, seat: _Seat, until: float) -> None:
        seat.wakes = until
        self._pass_on()
        self._changed.wait_for(lambda: self._turn is seat)

    def _pass_on(self) -> None:
        self._turn = min(self._seats, key=lambda seat: (seat.wakes, seat is self._host))
        late = self._turn.wakes - self._clock.now()
        if 0 < late < float("inf"):
            self._clock.advance(late)
        self._changed.notify_all()


@final
class _JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: where a loop would sleep until its next timer, virtual time jumps there."""

    clock: ManualClock
    busy: Callable[[], bool]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None or self.busy():
            # Nothing is due: only another thread or a socket can go on. Wait for it, but not for ever.
            events = super().select(5.0)
            if not events and timeout is None:
                raise RuntimeError(
                    "every task waits, no timer is set, and nothing came from outside: the test would hang"
                )
            return events
        self.clock.advance(timeout)
        return events


@final
class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: ManualClock) -> None:
        selector = _JumpingSelector()
        selector.clock = clock
        selector.busy = self._threads_are_at_work
        self._clock = clock
        self._at_work = 0
        super().__init__(selector)

    def time(self) -> float:
        return self._clock.now()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # the loop's own is generic in its arguments
        """As the loop's own; while a thread works, virtual time stands still."""
        self._at_work += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._one_less)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - the loop's own signature
        """As the loop's own; while its threads end, virtual time stands still, and no limit of theirs is passed."""
        self._at_work += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._at_work -= 1

    def _one_less(self, _: object) -> None:
        self._at_work -= 1

    def _threads_are_at_work(self) -> bool:
        return self._at_work > 0


@final
class SteadyRandom:
    """Chance that always falls the same: `value` in [0, 1)."""

    def __init__(self, value: float = 0.5) -> None:
        self._value = value

    def random(self) -> float:
        """The value."""
        return self._value
