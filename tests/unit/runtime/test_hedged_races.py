"""Attempts beside each other, and what may happen to them: cancellation, a blocked loop, threads that cannot be ended."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from cancelling import CancelledAt
from resilient_ai import (
    Hedge,
    Limits,
    Reply,
    Request,
    ResilientModel,
    Retry,
    RetryBudget,
    Timeouts,
)
from resilient_ai.core import events
from resilient_ai.core.model import Scope, Traits
from resilient_ai.models import FunctionModel
from resilient_ai.runtime import aio
from resilient_ai.runtime.threads import Threads
from resilient_ai.testing import Captured, ManualClock, ScriptedModel, SteadyRandom, error, ok, stall

SOON = Hedge(after=0.01)
word: ContextVar[str] = ContextVar("word", default="nothing")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What slow functions wait for; opened at the end, so that no thread of a test outlives it for long."""
    event = threading.Event()
    yield event
    event.set()


def nothing_is_left(chain: ResilientModel, captured: Captured) -> None:
    seen = captured.of
    assert chain._places.active == 0
    assert len(seen(events.CallStarted)) == len(seen(events.CallFinished))
    assert len(seen(events.AttemptStarted)) == len(seen(events.AttemptFinished))
    assert len(seen(events.ModelStarted)) == len(seen(events.ModelFinished))
    assert all(not hop.state.breaker._probes for hop in chain.plan.hops)


# --- asyncio ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize(
    "script",
    [
        [ok("late", after=30), ok("answer", after=1)],
        [error(500, after=3), ok("answer", after=9)],
        [stall(1000), error(503, after=1), ok("answer", after=5), stall(1000)],
    ],
)
def test_cancelling_at_any_await_point_ends_every_request_and_waits_for_their_end(
    script: Any, times: int
) -> None:
    """Exhaustive: the call is run anew and cancelled at its 1st, 2nd, ... n-th suspension, up to three times in a row."""
    reached = 0
    for point in range(1, 100):
        clock, captured = ManualClock(), Captured()
        chain = ResilientModel(
            [ScriptedModel(script)], hedge=Hedge(after=2), clock=clock, observers=[captured], chance=SteadyRandom(),
            limits=Limits(concurrency=1, requests_per_minute=600), deadline=20, timeouts=Timeouts(attempt=12),
        )  # fmt: skip

        async def main(chain: ResilientModel = chain, point: int = point) -> bool:
            work = CancelledAt(chain.agenerate("q"), point, times)

            async def run() -> Reply:
                return await work

            task = asyncio.create_task(run())
            try:
                assert (await task).text == "answer"
            except asyncio.CancelledError:
                assert task.cancelled()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return work.points >= point

        was_cancelled = clock.run(main())
        nothing_is_left(chain, captured)
        if not was_cancelled:
            break
        reached = point
        assert captured.of(events.CallFinished)[0].error == "cancelled"
    else:
        pytest.fail("the call never got through")
    assert reached >= 3


def test_a_cancelled_race_records_both_requests_as_cancelled() -> None:
    clock, captured = ManualClock(), Captured()
    chain = ResilientModel(
        [ScriptedModel([ok(after=30), ok(after=30)])], hedge=Hedge(after=2), clock=clock, observers=[captured]
    )

    async def main() -> None:
        call = asyncio.create_task(chain.agenerate("q"))
        await clock.asleep(3)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    clock.run(main())
    ends = [event.attempt for event in captured.of(events.AttemptFinished)]
    assert [(end.n, end.verdict, end.seconds) for end in ends] == [
        (1, "cancelled", 3.0),
        (2, "cancelled", 1.0),
    ]


def test_after_a_blocked_loop_no_hedge_fires_for_an_answer_that_is_already_there() -> None:
    clock = ManualClock()
    model = ScriptedModel([ok(after=3)] * 20, traits=Traits(replayable=True))
    chain = ResilientModel([model], hedge=Hedge(after=2), clock=clock)

    async def main() -> list[Reply]:
        calls = [asyncio.create_task(chain.agenerate("q")) for _ in range(20)]
        await clock.asleep(1)
        clock.advance(4)  # as a function that blocks the loop does: both moments pass while nobody looks
        return await asyncio.gather(*calls)

    assert [reply.text for reply in clock.run(main())] == ["ok"] * 20
    assert len(model.log) == 20


def test_after_a_blocked_loop_what_is_really_late_is_hedged() -> None:
    clock = ManualClock()
    model = ScriptedModel([ok(after=30), ok("hedge", after=1)])
    chain = ResilientModel([model], hedge=Hedge(after=2), clock=clock)

    async def main() -> Reply:
        call = asyncio.create_task(chain.agenerate("q"))
        await clock.asleep(1)
        clock.advance(4)
        return await call

    assert clock.run(main()).text == "hedge"


class Leaving(BaseException):
    """What is no failure of a model."""


class Abrupt:
    """A model whose second attempt raises what no model should."""

    name = provider = key = "abrupt"
    traits = Traits(replayable=True)

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.asked = 0

    async def answer(self, request: Request, scope: Scope) -> Reply:
        self.asked += 1
        number = self.asked
        try:
            if number == 2:
                raise Leaving
            if scope.blocking:
                scope.clock.sleep(10)
            else:
                await scope.clock.asleep(10)
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        return Reply("never")

    async def open(self, request: Request, scope: Scope) -> Any:
        raise AssertionError

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize("colour", ["blocking", "asyncio"])
def test_what_is_no_failure_ends_the_race_and_passes_through(colour: str) -> None:
    clock, captured, model = ManualClock(), Captured(), Abrupt()
    chain = ResilientModel([model], hedge=Hedge(after=2), clock=clock, observers=[captured])
    with pytest.raises(Leaving):
        chain.generate("q") if colour == "blocking" else clock.run(chain.agenerate("q"))
    nothing_is_left(chain, captured)
    assert captured.of(events.CallFinished)[0].error == "cancelled"
    assert model.ended == (["Leaving"] if colour == "blocking" else ["Leaving", "CancelledError"])


class SlowToLeave:
    """An asynchronous function whose first call never answers and takes a second of `clock` to clean up, and whose others answer at once."""

    def __init__(self, clock: ManualClock, raises: Exception | None = None) -> None:
        self.clock = clock
        self.raises = raises
        self.asked = 0
        self.left: list[float] = []

    async def __call__(self, text: str) -> str:
        self.asked += 1
        if self.asked > 1:
            return "quick"
        try:
            await self.clock.asleep(100)
        finally:
            try:
                await self.clock.asleep(1)
            finally:
                self.left.append(self.clock.now())
            if self.raises is not None:
                raise self.raises
        return "never"

    def chain(self, captured: Captured | None = None, **policies: Any) -> ResilientModel:
        observers = () if captured is None else [captured]
        model = FunctionModel(self.__call__, replayable=True)
        return ResilientModel(
            [model], hedge=Hedge(after=2), clock=self.clock, observers=observers, **policies
        )


@pytest.mark.parametrize("raises", [None, ValueError("while it cleaned up")])
def test_an_answer_does_not_wait_for_the_loser_to_clean_up_and_closing_does(
    raises: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    clock, captured = ManualClock(), Captured()
    slow = SlowToLeave(clock, raises)
    chain = slow.chain(captured, limits=Limits(concurrency=1))

    async def main() -> None:
        async with chain:
            reply = await chain.agenerate("q")
            assert (reply.text, clock.now(), slow.left) == ("quick", 2.0, [])
            assert reply.outcome is not None
            assert [(end.verdict, end.seconds) for end in reply.outcome.attempts] == [
                ("hedged", 2.0),
                ("answered", 0.0),
            ]
            nothing_is_left(chain, captured)
            assert (await chain.agenerate("q")).text == "quick"
            gc.collect()  # nobody but the library holds the loser now
        assert slow.left == [3.0]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    clock.run(main())
    gc.collect()
    assert caplog.records == []


def test_closing_a_chain_waits_for_nobody_of_another_chain() -> None:
    clock = ManualClock()
    slow = SlowToLeave(clock)
    chain, other = slow.chain(), ResilientModel([ScriptedModel([ok()])], clock=clock)

    async def main() -> None:
        await chain.agenerate("q")
        await other.aclose()
        assert (clock.now(), slow.left) == (2.0, [])
        await chain.aclose()
        assert slow.left == [3.0]
        await chain.aclose()

    clock.run(main())


def test_a_loop_that_ends_ends_what_still_cleans_up(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    slow = SlowToLeave(clock)

    async def main() -> str:
        return (await slow.chain().agenerate("q")).text

    assert clock.run(main()) == "quick"
    assert slow.left == [2.0]
    gc.collect()
    assert caplog.records == []
    assert not aio._left


def test_a_call_that_is_cancelled_waits_for_its_requests_to_clean_up() -> None:
    clock = ManualClock()
    slow = SlowToLeave(clock)

    async def main() -> None:
        call = asyncio.create_task(slow.chain().agenerate("q"))
        await clock.asleep(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert slow.left == [2.0]

    clock.run(main())


@pytest.mark.parametrize(
    "script",
    [
        [ok(after=30), ok(after=1)],
        [error(500, after=3), ok(after=9)],
        [error(500, after=3), error(503, after=5), ok(after=9), ok(after=1)],
    ],
)
def test_a_race_leaves_no_reference_cycle(script: Any) -> None:
    """Each time: what threads of other tests leave meanwhile is seen once."""

    def left() -> int:
        clock = ManualClock()
        chain = ResilientModel(
            [ScriptedModel(script)], hedge=Hedge(after=2), clock=clock, retry=Retry(attempts=2, base=0)
        )

        async def main() -> int:
            gc.collect()
            gc.disable()
            try:
                await chain.agenerate("q")
                return gc.collect()
            finally:
                gc.enable()

        return clock.run(main())

    assert min(left() for _ in range(3)) == 0


# --- threads ------------------------------------------------------------------------------------------------------------


def held_by(gate: threading.Event) -> Callable[[str], str]:
    """A function that answers at once, but for its first call, which nobody can end."""
    calls: list[str] = []

    def function(text: str) -> str:
        calls.append(text)
        if len(calls) == 1:
            assert gate.wait(30)
            return "late"
        return f"{text} {word.get()}"

    return function


def test_a_function_that_cannot_be_ended_is_left_behind_and_its_answer_dropped(gate: threading.Event) -> None:
    captured = Captured()
    chain = ResilientModel([FunctionModel(held_by(gate), replayable=True)], hedge=SOON, observers=[captured])
    token = word.set("said")
    reply = chain.generate("what was")
    word.reset(token)
    assert reply.text == "what was said"
    nothing_is_left(chain, captured)
    told, known = len(captured.events), list(chain.plan.hops[0].state.latency._last)
    threads = chain._blocking._threads
    assert threads is not None
    assert threads.spare == 63
    gate.set()
    threads.submit(int).result(30)
    while threads.spare < 64:
        threads.submit(int).result(30)
    assert len(captured.events) == told
    assert list(chain.plan.hops[0].state.latency._last) == known
    assert reply.outcome is not None
    assert [attempt.verdict for attempt in reply.outcome.attempts] == ["hedged", "answered"]


def test_answers_are_checked_where_the_call_is(gate: threading.Event) -> None:
    seen: list[threading.Thread] = []

    def check(reply: Reply) -> bool:
        seen.append(threading.current_thread())
        return True

    model = FunctionModel(held_by(gate), replayable=True)
    ResilientModel([model], hedge=SOON, checks=[check]).generate("q")
    assert seen == [threading.current_thread()]


def test_without_room_for_threads_an_attempt_is_made_alone(gate: threading.Event) -> None:
    where: list[str] = []

    def function(text: str) -> str:
        where.append(threading.current_thread().name)
        return text

    chain = ResilientModel([FunctionModel(function, replayable=True)], hedge=SOON)
    chain._blocking._threads = full = Threads("attempts", 2)
    waiting = [full.submit(gate.wait, 30) for _ in range(2)]
    assert chain.generate("q").text == "q"
    assert where == [threading.current_thread().name]
    gate.set()
    assert all(future.result(30) for future in waiting)


def test_without_a_hedge_no_thread_is_started() -> None:
    chain = ResilientModel([FunctionModel(str.upper)])
    chain.generate("q")
    assert chain._blocking._threads is None


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals to a thread are POSIX")
@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="Ctrl-C is the main thread's"
)
def test_ctrl_c_leaves_a_race_at_once(gate: threading.Event) -> None:
    captured = Captured()
    main = threading.get_ident()
    calls: list[str] = []

    def function(text: str) -> str:
        calls.append(text)
        if len(calls) == 2:
            signal.pthread_kill(main, signal.SIGINT)
        assert gate.wait(30)
        return text

    chain = ResilientModel([FunctionModel(function, replayable=True)], hedge=SOON, observers=[captured])
    with pytest.raises(KeyboardInterrupt):
        chain.generate("q")
    nothing_is_left(chain, captured)
    assert [event.attempt.verdict for event in captured.of(events.AttemptFinished)] == ["cancelled"] * 2


def test_many_blocking_calls_at_once_are_each_hedged_or_made_alone() -> None:
    clock_free = RetryBudget(enabled=False)
    asked: list[str] = []

    def function(text: str) -> str:
        asked.append(text)
        return text

    captured = Captured()
    chain = ResilientModel(
        [FunctionModel(function, replayable=True)], hedge=SOON, budget=clock_free, observers=[captured]
    )
    answers: list[str] = []

    def ask(name: str) -> None:
        answers.append(chain.generate(name).text)

    threads = [threading.Thread(target=ask, args=[f"q{number}"]) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == sorted(f"q{number}" for number in range(100))
    assert set(asked) == set(answers)
    nothing_is_left(chain, captured)


def test_what_a_request_held_that_lost_its_race_goes_with_its_thread(gate: threading.Event) -> None:
    """Not with a collection: the prompt is in it."""
    gone = threading.Event()
    calls: list[str] = []

    class Held: ...

    def failing_late(prompt: str) -> str:
        calls.append(prompt)
        if len(calls) > 1:
            return "quick"
        held = Held()
        weakref.finalize(held, gone.set)
        gate.wait(30)
        raise ValueError("too late")

    chain = ResilientModel([FunctionModel(failing_late, replayable=True)], hedge=SOON)
    gc.collect()
    gc.disable()
    try:
        assert chain.generate("q").text == "quick"
        gate.set()
        assert gone.wait(30)
    finally:
        gc.enable()
