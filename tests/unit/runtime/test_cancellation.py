"""A call cancelled anywhere ends as CancelledError and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, TypeVar

import pytest

from cancelling import CancelledAt
from echoing_models import Echo, Pieces
from resilient_ai import Chunk, Limits, Reply, Request, ResilientModel, Retry, Stream
from resilient_ai.core import events
from resilient_ai.core.model import ChunkSource, Scope
from resilient_ai.testing import Captured, ManualClock, ScriptedModel, SteadyRandom, cut, error, ok, stall

T = TypeVar("T")


async def _run(work: CancelledAt[T]) -> T:
    return await work


def _chain(clock: ManualClock, captured: Captured) -> tuple[ResilientModel, ScriptedModel, ScriptedModel]:
    first = ScriptedModel([error(500, after=1), stall(1000)], name="first", repeat=True)
    second = ScriptedModel([ok("one two", after=1, gap=1)], name="second", repeat=True)
    chain = ResilientModel(
        [first, second],
        deadline=20,
        reserve=5,
        clock=clock,
        chance=SteadyRandom(),
        observers=[captured],
        limits=Limits(concurrency=1, requests_per_minute=60),
        retry=Retry(attempts=2),
    )
    return chain, first, second


def _nothing_is_left(chain: ResilientModel, models: list[ScriptedModel], captured: Captured) -> None:
    assert chain._places.active == 0
    assert chain._places.waiting == 0
    assert all(model.open_streams == 0 for model in models)
    assert all(not gate._probes for gate in (hop.state.breaker for hop in chain.plan.hops))
    finished = captured.of(events.CallFinished)
    assert len(finished) == len(captured.of(events.CallStarted))
    attempts = len(captured.of(events.AttemptStarted))
    assert len(captured.of(events.AttemptFinished)) == attempts
    assert len(captured.of(events.ModelStarted)) == len(captured.of(events.ModelFinished))


async def _whole(chain: ResilientModel) -> str:
    return (await chain.agenerate("question")).text


async def _streamed(chain: ResilientModel) -> str:
    async with chain.astream("question") as stream:
        return "".join([chunk.text async for chunk in stream])


@pytest.mark.parametrize("ask", [_whole, _streamed])
@pytest.mark.parametrize("times", [1, 2])
def test_cancelling_at_any_await_point_leaves_nothing_behind(ask: Any, times: int) -> None:
    """Exhaustive: the call is run anew and cancelled at its 1st, 2nd, ... n-th suspension, once and twice in a row."""
    reached = 0
    for point in range(1, 200):
        clock, captured = ManualClock(), Captured()
        chain, first, second = _chain(clock, captured)

        async def main(chain: ResilientModel = chain, point: int = point) -> bool:
            work = CancelledAt(ask(chain), point, times)
            task = asyncio.create_task(_run(work))
            try:
                assert await task == "one two"
            except asyncio.CancelledError:
                assert task.cancelled()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return work.points >= point

        was_cancelled = clock.run(main())
        _nothing_is_left(chain, [first, second], captured)
        if not was_cancelled:
            break
        reached = point
        assert captured.of(events.CallFinished)[0].error == "cancelled"
        assert all(hop.state.breaker.state == "closed" for hop in chain.plan.hops)
        assert captured.of(events.AttemptFinished)[-1:] == [] or captured.of(events.AttemptFinished)[
            -1
        ].attempt.verdict in {
            "cancelled",
            "retry",
            "next",
        }
    else:
        pytest.fail("the call never got through")
    assert reached >= 4


def test_a_cancelled_probe_gives_its_permit_back() -> None:
    clock, captured = ManualClock(), Captured()
    model = ScriptedModel([*[error(500)] * 5, stall(1000), ok("back"), ok("back")])
    chain = ResilientModel([model], clock=clock, observers=[captured], retry=Retry(attempts=1))

    async def main() -> str:
        for _ in range(5):
            with pytest.raises(Exception, match="scripted"):
                await chain.agenerate("q")
        clock.advance(20)
        task = asyncio.create_task(chain.agenerate("q"))
        await clock.asleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return (await chain.agenerate("q")).text

    assert clock.run(main()) == "back"


def test_a_call_cancelled_in_the_line_leaves_the_line() -> None:
    clock, captured = ManualClock(), Captured()
    model = ScriptedModel([ok("slow", after=5)], repeat=True)
    chain = ResilientModel([model], clock=clock, observers=[captured], limits=Limits(concurrency=1))

    async def main() -> None:
        first = asyncio.create_task(chain.agenerate("q"))
        await clock.asleep(0.1)
        second = asyncio.create_task(chain.agenerate("q"))
        third = asyncio.create_task(chain.agenerate("q"))
        await clock.asleep(0.1)
        assert chain._places.waiting == 2
        second.cancel()
        await asyncio.wait([second])
        assert chain._places.waiting == 1
        assert (await first).text == (await third).text == "slow"

    clock.run(main())
    assert chain._places.active == 0


def _break_out_of(stream: Stream) -> None:
    def body() -> None:
        with stream:
            next(stream)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        body()


@pytest.mark.parametrize("ending", ["break", "exception", "drop", "close"])
def test_leaving_a_stream_early_gives_everything_back(ending: str) -> None:
    """The permit is returned as neutral, the connection closed, what was used recorded."""
    clock, captured = ManualClock(), Captured()
    model = ScriptedModel([ok("one two three four")], repeat=True)
    chain = ResilientModel([model], clock=clock, observers=[captured])
    stream = chain.stream("q")
    if ending == "exception":
        _break_out_of(stream)
    else:
        next(stream)
        if ending == "close":
            stream.close()
            assert stream.reply().text == "one"
    del stream
    gc.collect()
    assert (chain._places.active, model.open_streams) == (0, 0)
    finished = captured.of(events.CallFinished)[0]
    assert (finished.error, finished.outcome.attempts[0].verdict) == (None, "abandoned")
    assert chain.health().models[0].breaker == "closed"


@pytest.mark.parametrize("half_seconds", range(1, 36))
def test_a_stream_that_another_task_closes_at_any_instant_gives_everything_back(half_seconds: int) -> None:
    clock, captured = ManualClock(), Captured()
    chain, first, second = _chain(clock, captured)

    async def main() -> None:
        stream = chain.astream("question")

        async def read() -> None:
            async for _ in stream:
                pass

        reading = asyncio.create_task(read())
        await clock.asleep(half_seconds / 2)
        await stream.aclose()
        closed_after = len(first.log) + len(second.log)
        await reading
        assert len(first.log) + len(second.log) == closed_after
        assert clock.now() <= 20

    clock.run(main())
    _nothing_is_left(chain, [first, second], captured)


class SlowToClose(Pieces):
    """Text that ends well or breaks; closing it takes two seconds of `clock`."""

    def __init__(self, clock: ManualClock, *, breaks: bool) -> None:
        super().__init__(Reply("one"))
        self.clock = clock
        self.breaks = breaks

    async def receive(self, until: float) -> list[Chunk] | None:
        chunks = await super().receive(until)
        if chunks is None and self.breaks:
            raise ConnectionError
        return chunks

    async def aclose(self) -> None:
        await self.clock.asleep(2)


class Streaming(Echo):
    """Answers with one such stream."""

    def __init__(self, source: SlowToClose) -> None:
        super().__init__(lambda _: Reply("one"))
        self.source = source

    async def open(self, request: Request, scope: Scope) -> ChunkSource:
        return self.source


@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize("breaks", [True, False])
def test_a_stream_that_another_task_closes_while_it_ends_ends_as_it_would_have(
    *, breaks: bool, watched: bool
) -> None:
    clock, captured = ManualClock(), Captured()
    chain = ResilientModel(
        [Streaming(SlowToClose(clock, breaks=breaks))], clock=clock, observers=[captured] if watched else []
    )
    stream = chain.astream("question")

    async def read() -> str:
        return "".join([chunk.text async for chunk in stream])

    async def main() -> str | BaseException:
        reading = asyncio.create_task(read())
        await clock.asleep(1)
        await stream.aclose()
        (ended,) = await asyncio.gather(reading, return_exceptions=True)
        return ended

    ended = clock.run(main())
    assert isinstance(ended, ConnectionError) if breaks else ended == "one"
    assert stream.outcome is not None
    assert [attempt.verdict for attempt in stream.outcome.attempts] == ["abandoned"]
    _nothing_is_left(chain, [], captured)


def test_a_stream_that_another_task_closes_in_the_line_keeps_no_place() -> None:
    clock, captured = ManualClock(), Captured()
    model = ScriptedModel([ok("one two", after=1, gap=1)], repeat=True)
    chain = ResilientModel(
        [model], clock=clock, observers=[captured], limits=Limits(concurrency=1, queue=1), deadline=20
    )

    async def main() -> None:
        stream = chain.astream("question")

        async def read() -> None:
            async for _ in stream:
                pass

        first = asyncio.create_task(_streamed(chain))
        await clock.asleep(0.5)
        reading = asyncio.create_task(read())
        await clock.asleep(0.5)
        await stream.aclose()
        assert await first == "one two"
        await reading

    clock.run(main())
    assert len(model.log) == 1
    _nothing_is_left(chain, [model], captured)


def test_an_async_stream_that_is_dropped_gives_everything_back() -> None:
    clock, captured = ManualClock(), Captured()
    model = ScriptedModel([ok("one two three four")], repeat=True)
    chain = ResilientModel([model], clock=clock, observers=[captured])

    async def main() -> None:
        stream = chain.astream("q")
        await anext(stream)
        del stream
        gc.collect()
        await clock.asleep(0)

    clock.run(main())
    assert (chain._places.active, model.open_streams) == (0, 0)
    assert captured.of(events.CallFinished)[0].outcome.attempts[0].verdict == "abandoned"


def test_a_stream_that_is_never_entered_sends_nothing() -> None:
    model = ScriptedModel([])
    chain = ResilientModel([model], clock=ManualClock())
    stream = chain.stream("q")
    stream.close()
    assert model.log == []
    assert chain._places.active == 0


def test_a_broken_stream_releases_the_place_and_keeps_no_source() -> None:
    clock, captured = ManualClock(), Captured()
    model = ScriptedModel([cut(after=1)], repeat=True)
    chain = ResilientModel([model], clock=clock, observers=[captured])
    with pytest.raises(Exception, match="broke after content"), chain.stream("q") as stream:
        list(stream)
    _nothing_is_left(chain, [model], captured)
