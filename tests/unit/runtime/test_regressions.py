"""What a review found broken, one test a defect, in both colours where both were concerned."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from colours import Colour
from resilient_ai import (
    Breaker,
    ConfigError,
    DeadlineExceeded,
    InvalidOutput,
    ModelError,
    ResilientModel,
    Retry,
    RetryBudget,
    StreamInterrupted,
    Timeouts,
)
from resilient_ai.core import events
from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.core.model import Traits
from resilient_ai.messages import Chunk, Message, Request, Text
from resilient_ai.models.openai import OpenAIModel
from resilient_ai.policies.breaker.gate import Change
from resilient_ai.policies.breaker.mirror import Mirror
from resilient_ai.runtime.aio import AioDriver
from resilient_ai.testing import FaultServer, ManualClock, ScriptedModel, error, ok, raises, stall

REMOTE = Traits()
"""Five seconds an answer, until it is known better."""


def test_the_models_in_the_middle_get_their_part_of_a_learned_reserve(colour: Colour) -> None:
    first = ScriptedModel([stall(100)], name="first", traits=REMOTE)
    middle = ScriptedModel([ok("middle", after=0.2)], name="middle", traits=REMOTE)
    last = ScriptedModel([ok("last", after=0.2)], name="last", traits=REMOTE)
    reply = colour.ask(colour.chain(first, middle, last, deadline=2))
    assert reply.text == "middle"
    assert reply.outcome is not None
    assert reply.outcome.skipped == ()


def test_a_paced_model_does_not_step_aside_for_one_that_is_paced_longer(colour: Colour) -> None:
    soon = ScriptedModel([error(429, retry_after=1), ok("soon")], name="soon")
    late = ScriptedModel([error(429, retry_after=200)], name="late")
    chain = colour.chain(soon, late, deadline=20, retry=Retry(attempts=1))
    with pytest.raises(Exception, match="every model failed"):
        colour.ask(chain)
    assert colour.ask(chain).text == "soon"


def test_waiting_for_a_kind_never_takes_the_time_of_the_models_behind(colour: Colour) -> None:
    busy = ScriptedModel([error(429, retry_after=9)], name="busy", traits=REMOTE)
    behind = ScriptedModel([ok("behind", after=3)], name="behind", traits=REMOTE)
    reply = colour.ask(colour.chain(busy, behind, deadline=10, on={"rate_limited": "wait"}))
    assert reply.text == "behind"
    assert colour.clock.now() == pytest.approx(3)


def test_a_kind_that_is_waited_for_has_no_count_in_the_worst_case() -> None:
    chain = ResilientModel(ScriptedModel(), on={"server_error": "wait"})
    assert chain.plan.worst_case().requests is None
    assert "as many as" in chain.explain()


@pytest.mark.parametrize("hint", [None, 0.0])
def test_a_model_that_is_waited_for_is_not_asked_in_a_storm(colour: Colour, hint: float | None) -> None:
    down = ScriptedModel([error(500, retry_after=hint)], name="down", repeat=True)
    chain = colour.chain(
        down,
        deadline=10,
        on={"server_error": "wait"},
        retry=Retry(attempts=3, base=0.0),
        breaker=Breaker(enabled=False),
        budget=RetryBudget(enabled=False),
    )
    with pytest.raises(ModelError):
        colour.ask(chain)
    assert 30 < len(down.log) <= 3 + 10 / 0.25


def test_a_model_once_slow_is_asked_again_when_what_is_known_of_it_is_old(colour: Colour) -> None:
    mended = ScriptedModel([*[ok(after=15)] * 10, ok("mended")], name="mended")
    chain = colour.chain(mended, ScriptedModel([ok("other")], name="other", repeat=True), deadline=20)
    for _ in range(10):
        colour.ask(chain)
    assert colour.ask(chain, deadline=10).text == "other"
    colour.clock.advance(121)
    assert colour.ask(chain, deadline=10).text == "mended"


def test_zero_and_endless_deadlines_are_refused() -> None:
    chain = ResilientModel(ScriptedModel())
    for deadline in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="finite number"):
            chain.generate("question", deadline=deadline)
        with pytest.raises(ConfigError, match="above 0"):
            ResilientModel(ScriptedModel(), deadline=deadline)
    with pytest.raises(ConfigError, match="attempt"):
        Timeouts(attempt=float("inf"))


def test_a_last_resort_at_the_head_of_the_chain_does_not_begin_the_chain_anew() -> None:
    clock = ManualClock()
    local = ScriptedModel([error(401)], name="local", traits=Traits(local=True), repeat=True)
    remote = ScriptedModel([ok("one two", gap=40)], name="remote", repeat=True)
    chain = ResilientModel([local, remote], clock=clock, on_interrupt="restart", retry=Retry(attempts=1))
    for asked_before in (0, 1):
        assert len(remote.log) == asked_before
        with pytest.raises(StreamInterrupted):
            chain.stream("question").reply()
        clock.advance(10)


# --- exceptions ------------------------------------------------------------------------------------------------------


def test_an_exception_the_caller_is_handling_keeps_its_traceback(colour: Colour) -> None:
    chain = colour.chain(ScriptedModel([error(400)]))
    with pytest.raises(KeyError) as own:  # noqa: PT012 - what is tested happens while it is handled
        try:
            raise KeyError("the caller's own")
        except KeyError:
            with pytest.raises(ModelError):
                colour.ask(chain)
            raise
    raised = own.value.__traceback__
    assert raised is not None
    assert (
        raised.tb_lineno
        > test_an_exception_the_caller_is_handling_keeps_its_traceback.__code__.co_firstlineno
    )


def test_exceptions_that_refuse_attributes_come_out_as_themselves(colour: Colour) -> None:
    @dataclass(frozen=True)
    class Frozen(Exception):
        code: int = 1

    class Closed(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise TypeError(name)

    for failure in (Frozen(), Closed()):
        with pytest.raises(type(failure)):
            colour.ask(colour.chain(ScriptedModel([raises(failure)], repeat=True)))


def _nonsense(_: Exception) -> str:
    return "nonsense"


def test_a_classify_hook_that_answers_nonsense_is_not_believed(colour: Colour) -> None:
    model = ScriptedModel([error(500), ok("answer")])
    assert colour.ask(colour.chain(model, classify=_nonsense)).text == "answer"


@pytest.mark.parametrize("part", ["wait", "stop", "retry"])
def test_a_strategy_that_raises_leaves_its_part_to_the_built_in_rule(colour: Colour, part: str) -> None:
    def broken(_: object) -> float:
        raise ZeroDivisionError

    policy: dict[str, Any] = {part: broken}
    model = ScriptedModel([error(500), error(500), ok("answer")])
    assert colour.ask(colour.chain(model, retry=Retry(**policy))).text == "answer"
    assert len(colour.captured.of(events.AttemptFinished)) == 3


@pytest.mark.parametrize("streamed", [False, True])
def test_a_failed_call_leaves_no_reference_cycle_that_holds_the_prompt(
    colour: Colour, *, streamed: bool
) -> None:
    class Prompt(str):
        __slots__ = ("__weakref__",)

    prompt = Prompt("a prompt")
    alive = weakref.ref(prompt)
    model = ScriptedModel([error(400)], repeat=True)
    chain = ResilientModel(model, clock=colour.clock)

    def fail(request: Request) -> None:
        with pytest.raises(ModelError):
            list(chain.stream(request)) if streamed else chain.generate(request)

    async def afail(request: Request) -> None:
        with pytest.raises(ModelError):
            await (chain.astream(request).reply() if streamed else chain.agenerate(request))

    gc.collect()
    gc.disable()
    try:
        if colour.name == "blocking":
            fail(Request((Message("user", (Text(prompt),)),)))
        else:
            colour.clock.run(afail(Request((Message("user", (Text(prompt),)),))))
        model.log.clear()
        del prompt
        assert alive() is None
    finally:
        gc.enable()


# --- streams ---------------------------------------------------------------------------------------------------------


def _read_slowly(colour: Colour, chain: ResilientModel, seconds: float) -> None:
    if colour.name == "blocking":
        with chain.stream("question") as stream:
            for _ in stream:
                colour.clock.advance(seconds)
        return

    async def main() -> None:
        async with chain.astream("question") as stream:
            async for _ in stream:
                await colour.clock.asleep(seconds)

    colour.clock.run(main())


def test_a_caller_who_reads_slowly_uses_up_nobodys_attempt(colour: Colour) -> None:
    model = ScriptedModel([ok("a b c d e f g h i j", gap=0.1)], repeat=True)
    chain = colour.chain(model, deadline=300)
    _read_slowly(colour, chain, 9)
    (attempt,) = colour.captured.of(events.AttemptFinished)
    assert attempt.attempt.verdict == "answered"


def test_a_caller_who_reads_slowly_does_not_make_the_model_slow(colour: Colour) -> None:
    model = ScriptedModel([ok("a b c d e", gap=0.1)], name="quick", repeat=True)
    chain = colour.chain(model, ScriptedModel([], name="never"), deadline=120)
    for _ in range(10):
        _read_slowly(colour, chain, 9)
    assert colour.ask(chain, deadline=20).text == "a b c d e"


def test_a_streamed_answer_that_does_not_fit_is_invalid_output_with_its_draft(colour: Colour) -> None:
    chain = colour.chain(ScriptedModel([ok("not a number")], repeat=True))
    with pytest.raises(InvalidOutput) as caught:
        colour.stream(chain, output_type=int)
    assert caught.value.draft.text == "not a number"


def _other(_: str) -> str:
    return "other"


def test_a_generator_stuck_in_its_thread_is_left_behind() -> None:
    go_on = threading.Event()

    def stuck(_: str) -> Iterator[str]:
        yield "beginning"
        go_on.wait(10)
        yield "end"

    async def main() -> list[str]:
        chain = ResilientModel([stuck, _other], timeouts=Timeouts(idle=0.1), on_interrupt="restart")
        async with chain.astream("question") as stream:
            texts = [chunk.text async for chunk in stream]
        go_on.set()
        return texts

    assert "other" in asyncio.run(main())


def test_a_generator_that_never_waits_and_never_says_anything_ends_at_the_deadline() -> None:
    async def chatter(_: str) -> AsyncIterator[Chunk]:
        while True:
            yield Chunk()

    async def main() -> None:
        async with ResilientModel([chatter], deadline=0.1).astream("question") as stream:
            [chunk async for chunk in stream]

    with pytest.raises(DeadlineExceeded):
        asyncio.run(main())


def test_a_call_inside_a_streaming_function_takes_the_deadline_of_the_stream() -> None:
    clock = ManualClock()
    inner = ResilientModel(ScriptedModel([stall(1000)], repeat=True), clock=clock)

    def outer(_: str) -> Iterator[str]:
        yield "beginning"
        yield inner.generate("question").text

    with (
        pytest.raises(StreamInterrupted),
        ResilientModel([outer], deadline=10, clock=clock).stream("question") as stream,
    ):
        list(stream)
    assert clock.now() == pytest.approx(10)


def test_a_stream_collected_inside_the_breakers_or_the_limits_own_lock_gives_back_what_it_holds() -> None:
    chain = ResilientModel(ScriptedModel([ok("a b c")], repeat=True), clock=ManualClock())
    for lock in (chain.plan.hops[0].state.breaker._lock, chain._places._lock):
        held = [chain.stream("question")]
        next(held[0])
        done = threading.Event()

        def drop(lock: Any = lock, held: list[Any] = held, done: threading.Event = done) -> None:
            with lock:
                held.clear()
            done.set()

        threading.Thread(target=drop, daemon=True).start()
        assert done.wait(10)
    assert chain._places.active == 0


# --- the world below -------------------------------------------------------------------------------------------------


def test_a_storage_without_a_thread_to_write_it_does_not_break_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import pybreaker

    storage = pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED)
    mirror = Mirror(Breaker(storage=storage), "model")

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        mirror.replay((Change("closed", "open", "failures", 15.0),))
    mirror.replay((Change("open", "half-open", "break over"),))
    for thread in threading.enumerate():
        if thread.name == "resilient-ai-breaker-storage":
            thread.join(10)
    assert storage.state == pybreaker.STATE_HALF_OPEN


def test_all_addresses_of_a_name_share_one_connect_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    deaf: list[socket.socket] = []
    found: list[Any] = []
    for _ in range(3):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        deaf.append(listener)
        for _ in range(3):  # the backlog is full: a further connection gets no answer
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            deaf.append(filler)
        found.append((socket.AF_INET, socket.SOCK_STREAM, 6, "", listener.getsockname()))

    def several(host: str, port: int, *rest: Any) -> list[Any]:
        return found if host == "several.test" else list(real(host, port, *rest))

    monkeypatch.setattr(socket, "getaddrinfo", several)
    asked: list[float] = []
    set_timeout = socket.socket.settimeout

    class Noted(socket.socket):
        def settimeout(self, value: float | None) -> None:
            asked.append(value or 0.0)
            set_timeout(self, value)

    monkeypatch.setattr(socket, "socket", Noted)
    model = OpenAIModel("model", base_url="http://several.test/v1", api_key="sk-not-a-real-key")
    with pytest.raises(DeadlineExceeded):
        ResilientModel(model, deadline=0.3).generate("question")
    assert 0 < sum(asked) <= 0.31
    for one in deaf:
        one.close()


def test_loops_that_are_gone_take_their_connections_with_them() -> None:
    def loops_known_after(server: FaultServer) -> int:
        model = OpenAIModel("m", base_url=server.url("none"), api_key="sk-not-a-real-key")

        async def main() -> None:
            await ResilientModel(model).agenerate("question")

        for _ in range(4):
            asyncio.run(main())
        return len(model._transport._pools)

    with FaultServer() as server:
        assert loops_known_after(server) == 1
        gc.collect()  # a socket that was left to it would be a ResourceWarning


def test_an_answer_that_came_while_the_loop_was_held_up_is_no_timeout() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        came: asyncio.Future[str] = loop.create_future()

        async def answer() -> str:
            return await came

        driver = AioDriver(SYSTEM_CLOCK)
        call = asyncio.create_task(driver.bounded(answer(), SYSTEM_CLOCK.now() + 0.05))
        await SYSTEM_CLOCK.asleep(0)
        SYSTEM_CLOCK.sleep(0.2)  # the fault that is tested
        # What a selector found is handed on before timers are looked at, a turn later than they fire.
        loop.call_soon(came.set_result, "answer")
        return await call

    assert asyncio.run(main()) == "answer"


def test_a_timer_ends_what_does_not_come_even_if_the_loop_was_held_up() -> None:
    async def main() -> None:
        driver = AioDriver(SYSTEM_CLOCK)
        call = asyncio.create_task(driver.bounded(asyncio.Event().wait(), SYSTEM_CLOCK.now() + 0.05))
        await SYSTEM_CLOCK.asleep(0)
        SYSTEM_CLOCK.sleep(0.2)  # the fault that is tested
        await call

    with pytest.raises(AttemptTimeout):
        asyncio.run(main())


def test_a_budget_of_nothing_still_reports_why_it_suppressed_a_retry(colour: Colour) -> None:
    chain = colour.chain(ScriptedModel([error(500)]), budget=RetryBudget(capacity=0, floor=0))
    with pytest.raises(ModelError):
        colour.ask(chain)
    assert [event.reason for event in colour.captured.of(events.RetrySuppressed)] == ["budget"]
