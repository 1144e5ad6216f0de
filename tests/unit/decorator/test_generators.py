"""Decorated generators: committed at the first item, never read ahead, closed on every ending."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

from resilient_ai import (
    ConfigError,
    DeadlineExceeded,
    Limits,
    ModelError,
    Retry,
    StreamInterrupted,
    Timeouts,
    remaining_seconds,
    resilient,
)
from resilient_ai.core import events
from resilient_ai.models import canned
from resilient_ai.testing import Captured, ManualClock, ScriptedModel, ok
from unit.decorator.conftest import Kind

ONCE = Retry(attempts=1)


class Vendor(Exception):
    """Some client's own exception."""


def broken() -> list[Any]:
    raise Vendor


class Source:
    """Generators that tell what becomes of them."""

    def __init__(
        self, items: int = 5, fails_after: int | None = None, failure: Exception | None = None
    ) -> None:
        self.items = items
        self.fails_after = fails_after
        self.failure = failure or Vendor("cut")
        self.made: list[int] = []
        self.closed = 0

    def blocking(self, text: str = "") -> Iterator[int]:
        try:
            for item in range(self.items):
                if item == self.fails_after:
                    raise self.failure
                self.made.append(item)
                yield item
        finally:
            self.closed += 1

    async def asynchronous(self, text: str = "") -> AsyncIterator[int]:
        try:
            for item in range(self.items):
                if item == self.fails_after:
                    raise self.failure
                self.made.append(item)
                yield item
                await asyncio.sleep(0)  # noqa: TID251 - a point to be cancelled at
        finally:
            self.closed += 1


def test_items_of_any_type_pass_through_as_they_are(no_loop: None) -> None:
    things = [None, 0, "", object(), ("a", 1)]

    @resilient
    def give() -> Iterator[object]:
        yield from things

    received = list(give())
    assert all(got is given for got, given in zip(received, things, strict=True))


def test_nothing_is_made_ahead_of_the_reader(no_loop: None) -> None:
    source = Source()
    stream = resilient(source.blocking)()
    assert source.made == []
    assert next(stream) == 0
    assert source.made == [0]


@pytest.mark.parametrize("kind", ["generator", "async generator"], indirect=True)
def test_before_the_first_item_a_generator_is_retried_and_replaced(kind: Kind) -> None:
    function = kind.decorated(
        ConnectionError(), ConnectionError(), fallback=kind.plain("ab"), retry=Retry(attempts=2)
    )
    assert kind.call(function) == ["a", "b"]


def test_after_the_first_item_a_break_is_told(no_loop: None) -> None:
    source = Source(fails_after=2)
    stream = resilient(fallback=[Source().blocking])(source.blocking)()
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(StreamInterrupted) as caught:
        next(stream)
    assert caught.value.__cause__ is source.failure
    assert source.failure.__traceback__ is not None
    assert (source.made, source.closed) == ([0, 1], 1)


def test_a_restart_begins_anew_and_says_so(no_loop: None) -> None:
    told: list[str] = []
    function = resilient(
        fallback=[Source(items=2).blocking], on_interrupt="restart", on_restart=lambda: told.append("again")
    )(Source(fails_after=1).blocking)
    stream = function()
    assert (next(stream), told) == (0, [])
    assert (list(stream), told) == ([0, 1], ["again"])


@pytest.mark.parametrize(
    "options",
    [
        {"on_interrupt": "restart"},
        {"on_restart": list},
        {"on_interrupt": "continue"},
        {"result": len, "fallback": ["canned:a"]},
    ],
    ids=str,
)
def test_a_silent_repetition_cannot_be_configured(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        resilient(**options)(Source().blocking)


def test_a_model_that_takes_over_streams_its_text(no_loop: None) -> None:
    def words(text: str) -> Iterator[str]:
        yield from broken()

    model = ScriptedModel([ok("one two three")])
    assert list(resilient(fallback=[model], retry=ONCE)(words)("q")) == ["one", " two", " three"]


def test_any_other_value_is_the_only_item(no_loop: None) -> None:
    def one_answer(text: str = "") -> Any:
        return [1, 2]

    def some_answers(text: str = "") -> Any:
        return iter([1, 2])

    def fails(text: str = "") -> Iterator[object]:
        yield from broken()

    assert list(resilient(fallback=[one_answer], retry=ONCE)(fails)()) == [[1, 2]]
    assert list(resilient(fallback=[some_answers], retry=ONCE)(fails)()) == [1, 2]


def _close(stream: Generator[int, None, None]) -> None:
    stream.close()


def _drop(stream: Generator[int, None, None]) -> None:
    del stream
    gc.collect()


def _throw(stream: Generator[int, None, None]) -> None:
    with pytest.raises(ZeroDivisionError):
        stream.throw(ZeroDivisionError())


@pytest.mark.parametrize("leave", [_close, _drop, _throw])
def test_leaving_early_closes_the_function_and_gives_everything_back(
    leave: Callable[[Any], None], no_loop: None
) -> None:
    source, captured = Source(), Captured()
    function = resilient(observers=[captured], limits=Limits(concurrency=1, queue=0))(source.blocking)
    for _ in range(2):
        streams: list[Any] = [function()]
        next(streams[0])
        leave(streams.pop())
    assert source.closed == 2
    assert [event.attempt.verdict for event in captured.of(events.AttemptFinished)] == ["abandoned"] * 2
    assert function.resilience.health().active == 0
    outcome = function.resilience.last_outcome()
    assert outcome is not None
    assert outcome.attempts[0].verdict == "abandoned"


def test_leaving_an_asynchronous_generator_early_closes_the_function() -> None:
    source, clock = Source(), ManualClock()
    function = resilient(clock=clock)(source.asynchronous)

    async def main() -> None:
        stream: Any = function()
        assert await anext(stream) == 0
        await stream.aclose()
        assert source.closed == 1
        async for _ in function():
            break
        gc.collect()
        await asyncio.sleep(0)  # noqa: TID251 - the loop's own hook closes what was dropped
        await asyncio.sleep(0)  # noqa: TID251 - as above

    clock.run(main())
    assert source.closed == 2
    assert function.resilience.health().active == 0


def test_cancelling_reaches_the_function() -> None:
    clock, captured = ManualClock(), Captured()
    ended: list[str] = []

    async def endless() -> AsyncIterator[int]:
        try:
            yield 1
            await clock.asleep(1000)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    function = resilient(clock=clock, observers=[captured])(endless)

    async def read() -> list[int]:
        return [item async for item in function()]

    async def main() -> None:
        task = asyncio.create_task(read())
        await clock.asleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    clock.run(main())
    assert ended == ["cancelled"]
    assert captured.of(events.CallFinished)[0].error == "cancelled"
    assert function.resilience.health().models[0].breaker == "closed"


def test_cancelling_a_coroutine_reaches_the_function() -> None:
    clock, captured = ManualClock(), Captured()

    async def slow() -> None:
        await clock.asleep(1000)

    function = resilient(clock=clock, observers=[captured])(slow)

    async def main() -> None:
        task = asyncio.create_task(function())
        await clock.asleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    clock.run(main())
    assert [event.attempt.verdict for event in captured.of(events.AttemptFinished)] == ["cancelled"]


def test_sending_and_the_return_value_work_as_before(no_loop: None) -> None:
    @resilient
    def talk() -> Generator[str, str, int]:
        first = yield "turn 0"
        second = yield "turn 1"
        return len(first + second)

    def outer() -> Generator[str, str, None]:
        lengths.append((yield from talk()))

    lengths: list[int] = []
    stream = outer()
    assert [next(stream), stream.send("abc")] == ["turn 0", "turn 1"]
    with pytest.raises(StopIteration):
        stream.send("de")
    assert lengths == [5]


def test_sending_works_in_an_asynchronous_generator() -> None:
    @resilient
    async def talk() -> AsyncGenerator[str, str]:
        heard = yield "say"
        yield f"heard {heard}"

    async def main() -> list[str]:
        stream = talk()
        return [await anext(stream), await stream.asend("this")]

    assert ManualClock().run(main()) == ["say", "heard this"]


def test_an_empty_generator_is_an_answer(kind: Kind) -> None:
    if kind.streaming:
        assert kind.call(kind.decorated("", fallback=kind.plain("never"))) == []
    else:
        assert kind.call(kind.decorated("", fallback=kind.plain("never"))) == ""
    assert len(kind.calls) == 1


def test_a_slow_first_item_is_a_timeout_and_the_next_in_line_answers() -> None:
    clock = ManualClock()

    async def slow(text: str) -> AsyncIterator[str]:
        await clock.asleep(100)
        yield "late"

    function = resilient(
        fallback=[canned("in time")], clock=clock, retry=ONCE, timeouts=Timeouts(first_token=2), deadline=10
    )(slow)

    async def main() -> list[str]:
        return [item async for item in function("q")]

    assert clock.run(main()) == ["in time"]
    assert clock.now() == 2


def test_an_item_that_does_not_come_interrupts_the_stream() -> None:
    clock = ManualClock()

    async def stalls() -> AsyncIterator[int]:
        yield 1
        await clock.asleep(100)

    function = resilient(clock=clock, timeouts=Timeouts(idle=3))(stalls)

    async def main() -> None:
        stream: Any = function()
        assert await anext(stream) == 1
        await clock.asleep(20)  # the reader's own pause counts for nobody
        with pytest.raises(StreamInterrupted) as caught:
            await anext(stream)
        assert isinstance(caught.value.__cause__, ModelError)

    clock.run(main())
    assert clock.now() == 23


def test_a_blocking_generator_is_held_to_its_time_between_items(no_loop: None) -> None:
    clock = ManualClock()

    @resilient(clock=clock, deadline=5)
    def endless() -> Iterator[float]:
        while True:
            clock.sleep(1)
            left = remaining_seconds()
            assert left is not None
            yield left

    stream = endless()
    assert [next(stream) for _ in range(5)] == [4, 3, 2, 1, 0]
    with pytest.raises(StreamInterrupted):
        list(stream)
    assert remaining_seconds() is None


def test_the_deadline_ends_a_generator_that_has_given_nothing() -> None:
    clock = ManualClock()

    @resilient(clock=clock, deadline=4)
    async def silent() -> AsyncIterator[int]:
        await clock.asleep(100)
        yield 1

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            await anext(silent().__aiter__())

    clock.run(main())
    assert clock.now() == 4


def test_a_blocking_generator_behind_an_asynchronous_one_is_read_in_a_thread() -> None:
    clock = ManualClock()
    threads: set[int] = set()

    async def fails(text: str) -> AsyncIterator[str]:
        for item in broken():
            yield item

    def letters(text: str) -> Generator[str, None, None]:
        for letter in text:
            threads.add(threading.get_ident())
            yield letter

    function = resilient(fallback=[letters], clock=clock, retry=ONCE)(fails)

    async def main() -> list[str]:
        return [item async for item in function("abc")]

    assert clock.run(main()) == ["a", "b", "c"]
    assert threading.get_ident() not in threads


def test_a_generator_left_while_its_thread_works_is_closed_when_the_thread_comes_back() -> None:
    entered, leave, closed = threading.Event(), threading.Event(), threading.Event()

    async def fails() -> AsyncIterator[int]:
        for item in broken():
            yield item

    def works() -> Generator[int, None, None]:
        try:
            entered.set()
            leave.wait(20)
            yield 1
        finally:
            closed.set()

    function = resilient(fallback=[works], retry=ONCE)(fails)

    async def read() -> list[int]:
        return [item async for item in function()]

    async def main() -> None:
        task = asyncio.create_task(read())
        await asyncio.to_thread(entered.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not closed.is_set()
        leave.set()
        assert await asyncio.to_thread(closed.wait, 20)

    asyncio.run(main())
    assert function.resilience.health().active == 0
