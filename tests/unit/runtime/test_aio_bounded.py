"""How the asyncio driver bounds work in time: a timer only where there is something to wait for, and cancellation as the work expects it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

import pytest

from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.runtime.aio import BLOCKED_SECONDS, AioDriver
from resilient_ai.runtime.driver import Bounds
from resilient_ai.testing import ManualClock

T = TypeVar("T")
LONG_SECONDS = 30.0


Bounded = Callable[..., Coroutine[Any, Any, Any]]


@pytest.fixture(params=["driver", "bounds"])
def bounded(request: pytest.FixtureRequest) -> Bounded:
    """Bounds one piece of work: by itself, or as one of the waits of a stream."""

    async def one(work: Coroutine[object, object, T], seconds: float = LONG_SECONDS) -> T:
        driver = AioDriver(SYSTEM_CLOCK)
        bounds = driver if request.param == "driver" else driver.bounds()
        return await bounded_by(bounds, work, seconds)

    return one


def bounded_by(
    bounds: AioDriver | Bounds, work: Coroutine[object, object, T], seconds: float
) -> Coroutine[object, object, T]:
    return bounds.bounded(work, SYSTEM_CLOCK.now() + seconds)


async def at_once() -> str:
    return "answer"


def test_work_that_never_waits_arms_no_timer(bounded: Bounded, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("a timer was armed")

        monkeypatch.setattr(asyncio, "timeout", refuse)
        monkeypatch.setattr(asyncio.get_running_loop(), "call_at", refuse)
        assert await bounded(at_once()) == "answer"

    asyncio.run(run())


def test_work_that_waits_several_times_gets_each_result(bounded: Bounded) -> None:
    async def run() -> None:
        async def work() -> list[str]:
            loop = asyncio.get_running_loop()
            seen: list[str] = []
            for text in ("one", "two", "three"):
                future: asyncio.Future[str] = loop.create_future()
                loop.call_soon(future.set_result, text)
                seen.append(await future)
            return seen

        assert await bounded(work()) == ["one", "two", "three"]

    asyncio.run(run())


def test_work_that_outlives_its_time_is_cancelled_and_typed(bounded: Bounded) -> None:
    async def run() -> None:
        seen: list[str] = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        with pytest.raises(AttemptTimeout):
            await bounded(work(), 0.001)
        assert seen == ["cancelled"]

    asyncio.run(run())


def test_a_timeout_of_the_works_own_passes_through(bounded: Bounded) -> None:
    async def run() -> None:
        async def work() -> None:
            await asyncio.to_thread(int)
            raise TimeoutError("its own")

        with pytest.raises(TimeoutError, match="its own"):
            await bounded(work())

    asyncio.run(run())


def test_work_may_wait_while_it_cleans_up_after_a_cancellation(bounded: Bounded) -> None:
    async def run() -> None:
        cleaned: list[str] = []
        waiting = asyncio.Event()

        async def work() -> None:
            try:
                waiting.set()
                await asyncio.Event().wait()
            finally:
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_soon(future.set_result, None)
                await future
                cleaned.append("cleaned")

        task = asyncio.create_task(bounded(work()))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cleaned == ["cleaned"]

    asyncio.run(run())


def test_work_that_swallows_a_cancellation_goes_on_to_its_result(bounded: Bounded) -> None:
    async def run() -> None:
        waiting = asyncio.Event()

        async def work() -> str:
            try:
                waiting.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "went on"
            return "never"

        task = asyncio.create_task(bounded(work()))
        await waiting.wait()
        task.cancel()
        assert await task == "went on"

    asyncio.run(run())


def test_a_failure_at_once_is_the_works_own(bounded: Bounded) -> None:
    async def run() -> None:
        async def work() -> None:
            raise KeyError("its own")

        with pytest.raises(KeyError, match="its own"):
            await bounded(work())

    asyncio.run(run())


# --- one timer for the waits of a stream --------------------------------------------------------------------------------


async def _soon(text: str) -> str:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, text)
    return await future


async def _after(clock: ManualClock, seconds: float) -> str:
    await clock.asleep(seconds)
    return "answer"


def test_many_waits_share_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        set_for: list[float] = []
        call_at = loop.call_at

        def counted(when: float, *given: Any, **named: Any) -> asyncio.TimerHandle:
            set_for.append(when)
            return call_at(when, *given, **named)

        monkeypatch.setattr(loop, "call_at", counted)
        bounds = AioDriver(SYSTEM_CLOCK).bounds()
        for _ in range(100):
            assert await bounded_by(bounds, _soon("answer"), LONG_SECONDS) == "answer"
        assert len(set_for) == 1

    asyncio.run(run())


def test_a_timer_that_was_set_for_an_earlier_wait_ends_the_one_under_way_at_its_own_instant() -> None:
    clock = ManualClock()

    async def run() -> None:
        bounds = AioDriver(clock).bounds()
        assert await bounds.bounded(_after(clock, 9), clock.now() + 10) == "answer"
        with pytest.raises(AttemptTimeout):  # the timer's time comes in the middle of it
            await bounds.bounded(_after(clock, 100), clock.now() + 10)
        assert clock.now() == 19
        with pytest.raises(AttemptTimeout):  # sooner than the timer that is set
            await bounds.bounded(_after(clock, 100), clock.now() + 1)
        assert clock.now() == 20
        assert await bounds.bounded(_after(clock, 5), clock.now() + 6) == "answer"
        assert asyncio.current_task() is not None
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    clock.run(run())


def test_time_between_two_waits_counts_for_neither() -> None:
    clock = ManualClock()

    async def run() -> None:
        bounds = AioDriver(clock).bounds()
        assert await bounds.bounded(_after(clock, 1), clock.now() + 10) == "answer"
        await clock.asleep(1000)
        assert await bounds.bounded(_after(clock, 9), clock.now() + 10) == "answer"

    clock.run(run())


def test_an_answer_that_came_while_the_loop_stood_still_is_taken() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        bounds = AioDriver(SYSTEM_CLOCK).bounds()
        future: asyncio.Future[str] = loop.create_future()

        async def wait() -> str:
            return await future

        def stand_still() -> None:
            until = loop.time() + 2 * BLOCKED_SECONDS
            while loop.time() < until:
                pass
            loop.call_later(0.001, future.set_result, "answer")  # read in one of the next turns of the loop

        loop.call_soon(stand_still)
        assert await bounded_by(bounds, wait(), 0.001) == "answer"

    asyncio.run(run())


def test_who_is_cancelled_when_the_time_is_up_is_cancelled() -> None:
    async def run() -> None:
        waiting = asyncio.Event()

        async def slow_to_end() -> None:
            try:
                waiting.set()
                await asyncio.Event().wait()
            finally:
                asyncio.get_running_loop().call_soon(task.cancel)
                await _soon("one turn of the loop")
                await _soon("another")

        task = asyncio.create_task(bounded_by(AioDriver(SYSTEM_CLOCK).bounds(), slow_to_end(), 0.001))
        await waiting.wait()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_a_wait_that_swallows_the_end_of_its_time_leaves_nobody_cancelled() -> None:
    async def run() -> None:
        async def stubborn() -> str:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "went on"
            return "never"

        task = asyncio.current_task()
        assert task is not None
        assert await bounded_by(AioDriver(SYSTEM_CLOCK).bounds(), stubborn(), 0.001) == "went on"
        assert task.cancelling() == 0

    asyncio.run(run())


class _Prompt:
    """Something a caller holds."""


def test_a_timer_that_is_still_set_holds_nothing_of_a_stream_that_is_gone() -> None:
    held: ContextVar[object] = ContextVar("held")

    async def stream(prompt: _Prompt) -> None:
        held.set(prompt)
        bounds = AioDriver(SYSTEM_CLOCK).bounds()
        assert await bounded_by(bounds, _soon("answer"), LONG_SECONDS) == "answer"

    async def run() -> None:
        prompt = _Prompt()
        gone = weakref.ref(prompt)
        await asyncio.create_task(stream(prompt))
        del prompt
        assert await _soon("the loop has let go of that task") is not None
        gc.collect()
        assert gone() is None

    asyncio.run(run())
