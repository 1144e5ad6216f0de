"""How the asyncio driver bounds work in time: a timer only where there is something to wait for, and cancellation as the work expects it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import pytest

from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.runtime.aio import AioDriver

T = TypeVar("T")
LONG_SECONDS = 30.0


def bounded(
    work: Coroutine[object, object, T], seconds: float = LONG_SECONDS
) -> Coroutine[object, object, T]:
    return AioDriver(SYSTEM_CLOCK).bounded(work, SYSTEM_CLOCK.now() + seconds)


async def at_once() -> str:
    return "answer"


def test_work_that_never_waits_arms_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        def refuse(_: float) -> None:
            raise AssertionError("a timer was armed")

        monkeypatch.setattr(asyncio, "timeout", refuse)
        assert await bounded(at_once()) == "answer"

    asyncio.run(run())


def test_work_that_waits_several_times_gets_each_result() -> None:
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


def test_work_that_outlives_its_time_is_cancelled_and_typed() -> None:
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


def test_a_timeout_of_the_works_own_passes_through() -> None:
    async def run() -> None:
        async def work() -> None:
            await asyncio.to_thread(int)
            raise TimeoutError("its own")

        with pytest.raises(TimeoutError, match="its own"):
            await bounded(work())

    asyncio.run(run())


def test_work_may_wait_while_it_cleans_up_after_a_cancellation() -> None:
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


def test_work_that_swallows_a_cancellation_goes_on_to_its_result() -> None:
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


def test_a_failure_at_once_is_the_works_own() -> None:
    async def run() -> None:
        async def work() -> None:
            raise KeyError("its own")

        with pytest.raises(KeyError, match="its own"):
            await bounded(work())

    asyncio.run(run())
