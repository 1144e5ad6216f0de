"""Faults no server can inject: clocks that jump, loops that stand still, callers that leave, hooks that break, a process that ends."""

from __future__ import annotations

import asyncio
import errno
import gc
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from colours import Colour
from resilient_ai import (
    Breaker,
    CircuitOpen,
    DeadlineExceeded,
    Limits,
    ModelError,
    ResilientModel,
    Retry,
    Timeouts,
)
from resilient_ai.core import events
from resilient_ai.core.classify import classify
from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.core.failure import FailureKind
from resilient_ai.models.openai import OpenAIModel
from resilient_ai.testing import (
    Captured,
    FaultServer,
    ManualClock,
    ScriptedModel,
    SteadyRandom,
    error,
    ok,
)

HOUR = 3600.0


class JumpingWall:
    """A manual clock whose wall time somebody sets."""

    def __init__(self) -> None:
        self._manual = ManualClock()
        self.now = self._manual.now
        self.sleep = self._manual.sleep
        self.asleep = self._manual.asleep
        self.advance = self._manual.advance
        self.offset = 0.0

    def wall(self) -> float:
        return self._manual.wall() + self.offset


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_jump_of_the_wall_clock_changes_no_breaker_and_no_deadline(jump: float) -> None:
    clock = JumpingWall()
    model = ScriptedModel([*[error(500)] * 5, ok("back"), ok("back")])
    chain = ResilientModel(model, clock=clock, chance=SteadyRandom(), retry=Retry(attempts=1))
    for _ in range(5):
        with pytest.raises(ModelError):
            chain.generate("question")
    clock.offset = jump
    with pytest.raises(CircuitOpen) as caught:
        chain.generate("question")
    assert caught.value.retry_after == pytest.approx(15)
    clock.advance(15)
    assert chain.generate("question").text == "back"


def test_a_call_that_was_slept_through_ends_at_once_and_sends_nothing_more(colour: Colour) -> None:
    def sleep_through(happened: object) -> None:
        if isinstance(happened, events.AttemptStarted):
            colour.clock.advance(8 * HOUR)

    model = ScriptedModel([error(500)], repeat=True)
    chain = ResilientModel([model, model], clock=colour.clock, observers=[sleep_through, colour.captured])
    with pytest.raises(DeadlineExceeded):
        colour.ask(chain)
    assert len(model.log) == 1
    assert colour.clock.sleeps == []


def test_two_cancellations_in_one_turn_and_during_the_closing_lose_nothing() -> None:
    clock, captured = ManualClock(), Captured()
    model = ScriptedModel([ok("one two three", gap=1)], repeat=True)
    chain = ResilientModel(model, clock=clock, observers=[captured], limits=Limits(concurrency=1))

    async def read() -> None:
        async with chain.astream("question") as stream:
            async for _ in stream:
                pass

    async def main() -> None:
        for turns in range(6):
            call = asyncio.create_task(read())
            await clock.asleep(0.5)
            call.cancel()
            for _ in range(turns):
                await SYSTEM_CLOCK.asleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    clock.run(main())
    assert chain._places.active == 0
    assert model.open_streams == 0
    assert len(captured.of(events.CallStarted)) == len(captured.of(events.CallFinished)) == 6


def test_a_caller_who_leaves_a_stream_is_no_failure_of_the_model(colour: Colour) -> None:
    model = ScriptedModel([ok("one two three", gap=1)], repeat=True)
    chain = colour.chain(model, breaker=Breaker(consecutive=1), limits=Limits(concurrency=1))

    def leave() -> None:
        for _ in chain.stream("question"):
            break

    async def aleave() -> None:
        async for _ in chain.astream("question"):
            break
        gc.collect()
        await SYSTEM_CLOCK.asleep(0)

    for _ in range(3):
        leave() if colour.name == "blocking" else colour.clock.run(aleave())
    assert model.open_streams == 0
    assert chain._places.active == 0
    assert chain.plan.hops[0].state.breaker.state == "closed"
    assert {end.attempt.verdict for end in colour.captured.of(events.AttemptFinished)} == {"abandoned"}


def test_a_slow_reader_is_no_stall_but_the_deadline_holds(colour: Colour) -> None:
    model = ScriptedModel([ok("a b c d e f", gap=0.1)])
    chain = colour.chain(model, timeouts=Timeouts(idle=1, attempt=5), deadline=100)

    def read() -> str:
        with chain.stream("question") as stream:
            for _ in stream:
                colour.clock.advance(10)
            return stream.reply().text

    async def aread() -> str:
        async with chain.astream("question") as stream:
            async for _ in stream:
                await colour.clock.asleep(10)
            return (await stream.reply()).text

    text = read() if colour.name == "blocking" else colour.clock.run(aread())
    assert text == "a b c d e f"


def test_a_loop_held_up_by_somebody_else_loses_no_answer_that_came() -> None:
    with FaultServer() as server:

        async def main() -> str:
            model = OpenAIModel("m", base_url=server.url("none"), api_key="sk-not-a-real-key")
            async with ResilientModel(
                model, timeouts=Timeouts(attempt=0.5), retry=Retry(attempts=1)
            ) as chain:
                await chain.agenerate("a first one, to connect")
                call = asyncio.create_task(chain.agenerate("question"))
                while len(server.requests()) < 2:  # it is on its way
                    await SYSTEM_CLOCK.asleep(0.001)
                SYSTEM_CLOCK.sleep(1.0)
                return (await call).text

        assert asyncio.run(main()) == server.text


class _Break(RuntimeError):
    pass


@pytest.mark.parametrize("hook", ["observer", "check", "classify"])
def test_a_hook_that_raises_does_not_change_how_a_call_ends(colour: Colour, hook: str) -> None:
    def broken(_: object) -> Any:
        raise _Break

    model = ScriptedModel([error(500), ok("answer")], repeat=True)
    if hook == "observer":
        chain = ResilientModel(model, clock=colour.clock, chance=SteadyRandom(), observers=[broken])
    elif hook == "classify":
        chain = colour.chain(model, classify=broken)
    else:
        # A check is part of the call: one that cannot be asked has not passed. What it raised is what the caller meets.
        with pytest.raises(_Break):
            colour.ask(colour.chain(model, checks=[broken]))
        return
    assert colour.ask(chain).text == "answer"


class _Poisoned:
    def __repr__(self) -> str:
        raise _Break

    __str__ = __repr__


def test_an_object_that_cannot_be_shown_ends_as_one_typed_error() -> None:
    model = OpenAIModel("m", base_url="http://127.0.0.1:9/v1", api_key="sk-not-a-real-key")
    cyclic: dict[str, object] = {}
    cyclic["itself"] = cyclic
    for poison in (_Poisoned(), cyclic):
        with pytest.raises(ModelError) as caught:
            ResilientModel(model).generate("question", metadata=poison)
        assert caught.value.kind is FailureKind.BAD_REQUEST
        assert len(caught.value.attempts) == 1


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS])
def test_descriptors_and_ports_that_ran_out_are_transient(code: int) -> None:
    verdict = classify(OSError(code, "out of something"))
    assert verdict.kind is FailureKind.CONNECTION
    assert verdict.retry


def test_a_process_out_of_descriptors_gets_typed_errors_and_recovers() -> None:
    with FaultServer() as server:
        done = _in_a_process(
            f"""
            import os, resource
            from resilient_ai import ModelError, ResilientModel, Retry
            from resilient_ai.models.openai import OpenAIModel
            chain = ResilientModel(
                OpenAIModel("m", base_url={server.url("none")!r}, api_key="sk-not-a-real-key"),
                retry=Retry(attempts=2, base=0, cap=0),
            )
            chain.generate("loads every module first")
            chain.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            held = []
            try:
                while True:
                    held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            try:
                chain.generate("question")
            except ModelError as error:
                print(error.kind, len(error.attempts))
            for one in held:
                os.close(one)
            print(chain.generate("question").finish_reason)
            """
        )
    assert done.stdout.split() == ["connection", "2", "stop"], done.stderr


@pytest.mark.parametrize(
    "text", ["x" * (100 * 2**20), "a\ud800b", "a\0b", "🏮" * 1000], ids=["huge", "surrogate", "nul", "emoji"]
)
def test_any_text_can_be_asked(text: str) -> None:
    with FaultServer() as server:
        model = OpenAIModel("m", base_url=server.url("none"), api_key="sk-not-a-real-key")
        with ResilientModel(model, retry=Retry(attempts=1)) as chain:
            assert chain.generate(text).text == server.text


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_attempt_leaves_at_once_and_gives_everything_back(
    signal: type[BaseException],
) -> None:
    def interrupted(_: str) -> str:
        raise signal

    captured = Captured()
    chain = ResilientModel(
        interrupted, limits=Limits(concurrency=1), breaker=Breaker(consecutive=1), observers=[captured]
    )
    with pytest.raises(signal):
        chain.generate("question")
    assert chain._places.active == 0
    assert chain.plan.hops[0].state.breaker.state == "closed"
    assert [end.attempt.verdict for end in captured.of(events.AttemptFinished)] == ["cancelled"]
    assert len(captured.of(events.CallFinished)) == 1


def _in_a_process(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


@pytest.mark.parametrize("colour_name", ["blocking", "asyncio"])
def test_a_process_that_ends_in_mid_stream_ends_quietly(colour_name: str) -> None:
    with FaultServer() as server:
        url = server.url("stall-mid-stream")
        blocking = f"""
            import resilient_ai
            from resilient_ai.models.openai import OpenAIModel
            chain = resilient_ai.ResilientModel(OpenAIModel("m", base_url={url!r}, api_key="sk-not-a-real-key"))
            stream = chain.stream("question")
            next(stream)
            kept_by_a_cycle = [stream]
            kept_by_a_cycle.append(kept_by_a_cycle)
            print("end")
            """
        asynchronous = f"""
            import asyncio, resilient_ai
            from resilient_ai.models.openai import OpenAIModel
            chain = resilient_ai.ResilientModel(OpenAIModel("m", base_url={url!r}, api_key="sk-not-a-real-key"))
            streams = []
            async def main():
                streams.append(chain.astream("question"))
                await anext(streams[0])
                print("end")
            asyncio.run(main())
            """
        done = _in_a_process(blocking if colour_name == "blocking" else asynchronous)
    assert done.stdout == "end\n"
    assert done.returncode == 0
    assert "Traceback" not in done.stderr, done.stderr
