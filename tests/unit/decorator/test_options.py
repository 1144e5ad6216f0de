"""Deadlines of nested calls, options of a block of code, and many callers at once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from resilient_ai import (
    DeadlineExceeded,
    Limits,
    Outcome,
    Retry,
    remaining_seconds,
    resilient,
    resilient_options,
)
from resilient_ai.models import canned
from resilient_ai.testing import ManualClock
from unit.decorator.conftest import Kind

ONCE = Retry(attempts=1)


def left() -> float | None:
    return remaining_seconds()


def test_a_nested_call_has_no_more_time_than_the_call_around_it() -> None:
    clock = ManualClock()
    inner = resilient(deadline=60, clock=clock)(left)

    @resilient(deadline=10, clock=clock)
    def outer() -> float | None:
        clock.sleep(4)
        return inner()

    assert outer() == 6
    assert inner() == 60


def test_an_asynchronous_nested_call_is_ended_by_the_outer_deadline() -> None:
    clock = ManualClock()

    @resilient(deadline=60, clock=clock)
    async def inner() -> None:
        await clock.asleep(1000)

    @resilient(deadline=5, clock=clock, retry=ONCE)
    async def outer() -> None:
        await inner()

    with pytest.raises(DeadlineExceeded):
        clock.run(outer())
    assert clock.now() == 5


def test_options_tighten_the_deadline_and_never_lengthen_it() -> None:
    clock = ManualClock()
    function = resilient(deadline=10, clock=clock)(left)
    with resilient_options(deadline=5):
        assert function() == 5
        with resilient_options(deadline=8):
            assert function() == 5
        with resilient_options(deadline=2):
            assert function() == 2
        with resilient_options(data_class="public"):
            assert function() == 5
    with resilient_options(deadline=50):
        assert function() == 10
    assert function() == 10


def test_options_reach_every_kind(kind: Kind) -> None:
    def ask() -> Any:
        with resilient_options(deadline=3):
            return kind.call(kind.decorated(ConnectionError(), "late", retry=Retry(base=20, cap=20)))

    with pytest.raises((ConnectionError, DeadlineExceeded)):
        ask()
    assert len(kind.calls) == 1


def test_options_reach_tasks_started_in_the_block_and_no_others() -> None:
    clock = ManualClock()

    @resilient(deadline=10, clock=clock)
    async def function() -> float | None:
        return remaining_seconds()

    async def main() -> list[float | None]:
        with resilient_options(deadline=3):
            inside = asyncio.create_task(function())
        outside = asyncio.create_task(function())
        return [await inside, await outside]

    assert clock.run(main()) == [3, 10]


def test_a_blocking_answer_that_comes_too_late_is_kept_and_flagged() -> None:
    """Nothing can end a blocking function; throwing away what it has answered would help nobody."""
    clock = ManualClock()

    @resilient(deadline=3, clock=clock)
    def slow() -> str:
        clock.sleep(5)
        return "late"

    assert slow() == "late"
    outcome = slow.resilience.last_outcome()
    assert outcome is not None
    assert outcome.flags == ("late",)


def test_tasks_remember_their_own_outcomes() -> None:
    clock = ManualClock()

    async def first(fails: bool) -> str:  # noqa: FBT001 - an argument like any other
        await clock.asleep(1)
        if fails:
            raise ConnectionError
        return "ok"

    async def second(fails: bool) -> str:  # noqa: FBT001 - as above
        return "backup"

    function = resilient(fallback=[second], retry=ONCE, clock=clock)(first)

    async def ask(*, fails: bool) -> Outcome | None:
        await function(fails)
        return function.resilience.last_outcome()

    async def main() -> list[Outcome | None]:
        return list(await asyncio.gather(ask(fails=True), ask(fails=False)))

    bad, good = clock.run(main())
    assert (bad and bad.served_by, good and good.served_by) == ("second", "first")


def test_many_threads_share_one_function_and_lose_nothing(no_loop: None) -> None:
    barrier = threading.Barrier(8, timeout=20)
    failures = iter(range(10**6))

    @resilient(fallback=[canned("backup")], retry=ONCE, limits=Limits(concurrency=8, queue=1000))
    def flaky(text: str) -> str:
        barrier.wait()
        if next(failures) % 20 == 0:
            raise ConnectionError
        return text

    def ask(number: int) -> tuple[str, str | None]:
        answer = flaky(str(number))
        outcome = flaky.resilience.last_outcome()
        return answer, outcome and outcome.served_by

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(160)))
    for number, (answer, served) in enumerate(answers):
        assert (answer, served) in ((str(number), "flaky"), ("backup", "canned"))
    assert sum(served == "canned" for _, served in answers) == 8
    assert flaky.resilience.health().active == 0


def test_a_function_serves_one_loop_after_the_other() -> None:
    @resilient(limits=Limits(concurrency=1))
    async def echo(text: str) -> str:
        return text

    assert [asyncio.run(echo(text)) for text in ("a", "b")] == ["a", "b"]
