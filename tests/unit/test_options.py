"""Options of a block of code reach every call of a chain that begins in it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import sys
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import fastapi
import pytest
from fastapi.testclient import TestClient

from colours import Colour
from resilient_ai import Message, Request, ResilientModel, Text, options, remaining_seconds, resilient_options
from resilient_ai.core.events import CallStarted
from resilient_ai.core.model import Traits
from resilient_ai.errors import ConfigError, DeadlineExceeded
from resilient_ai.models import canned
from resilient_ai.testing import Captured, ManualClock, ScriptedModel, ok, stall

QUESTION = (Message("user", (Text("Where is my parcel?"),)),)


@pytest.fixture(params=["blocking", "asyncio"])
def colour(request: pytest.FixtureRequest) -> Colour:
    return Colour(request.param, ManualClock(), Captured())


def telling_time() -> ResilientModel:
    """A chain that answers how many seconds it has."""

    def left(question: str) -> str:
        return str(remaining_seconds())

    return ResilientModel([left], deadline=10, clock=ManualClock())


def deadlines(colour: Colour) -> list[float]:
    return [event.deadline for event in colour.captured.of(CallStarted)]


def public_only(colour: Colour, **options: Any) -> ResilientModel:
    """A chain whose first model may see public data only."""
    first = ScriptedModel(
        [ok("first")], name="first", repeat=True, traits=Traits(data_classes=frozenset({"public"}))
    )
    chain = colour.chain(first, canned("behind"))
    return chain.with_options(**options) if options else chain


@pytest.mark.parametrize("way", ["ask", "stream"])
def test_a_block_tightens_the_deadline_of_every_call_in_it(colour: Colour, way: str) -> None:
    chain = colour.chain(ScriptedModel([ok("one two")], repeat=True), deadline=10)
    ask = getattr(colour, way)
    with resilient_options(deadline=5):
        ask(chain)
        ask(chain, deadline=8)
        ask(chain, deadline=3)
        ask(chain.with_options(deadline=60))
        with resilient_options(deadline=2):
            ask(chain)
        with resilient_options(deadline=7):
            ask(chain)
    ask(chain)
    assert deadlines(colour) == [5, 5, 3, 5, 2, 5, 10]


@pytest.mark.parametrize("way", ["ask", "stream"])
def test_a_silent_model_is_left_at_the_blocks_deadline(colour: Colour, way: str) -> None:
    chain = colour.chain(ScriptedModel([stall(1000)]), deadline=100)
    with resilient_options(deadline=4), pytest.raises(DeadlineExceeded):
        getattr(colour, way)(chain)
    assert colour.clock.now() == 4


def test_a_stream_keeps_the_options_of_the_moment_it_was_asked_for(colour: Colour) -> None:
    chain = colour.chain(ScriptedModel([ok("one two")], repeat=True), deadline=10)
    with resilient_options(deadline=5):
        stream: Any = chain.stream("Hello") if colour.name == "blocking" else chain.astream("Hello")

    async def main() -> None:
        async with stream:
            assert [chunk.text async for chunk in stream]

    with resilient_options(deadline=1):
        if colour.name == "blocking":
            with stream:
                assert list(stream)
        else:
            colour.clock.run(main())
    assert deadlines(colour) == [5]


@pytest.mark.parametrize("way", ["ask", "stream"])
def test_a_data_class_keeps_the_calls_in_the_block_from_models_not_cleared_for_it(
    colour: Colour, way: str
) -> None:
    chain = public_only(colour)

    def served(chain: ResilientModel, messages: Any = "Hello", **options: Any) -> str:
        answer = getattr(colour, way)(chain, messages, **options)
        reply = answer if way == "ask" else answer[1]
        return str(reply.text)

    assert served(chain) == "first"
    with resilient_options(data_class="personal"):
        assert served(chain) == "behind"
        assert served(chain, Request(QUESTION)) == "behind"
        assert served(chain.with_options(data_class="public")) == "behind"  # the block is nearer to the call
        assert served(chain, data_class="public") == "first"  # and the call itself the nearest
        assert served(chain, Request(QUESTION, data_class="public")) == "first"
        with resilient_options(deadline=3):
            assert served(chain) == "behind"
        with resilient_options(data_class="public"):
            assert served(chain) == "first"


def test_what_a_request_says_of_itself_goes_before_the_defaults_of_a_copy(colour: Colour) -> None:
    chain = public_only(colour, data_class="public")
    assert colour.ask(chain).text == "first"
    assert colour.ask(chain, Request(QUESTION, data_class="personal")).text == "behind"


def test_tasks_and_copied_contexts_inherit_the_options_and_a_bare_thread_does_as_python_is_told() -> None:
    clock = ManualClock()

    def left(question: str) -> str:
        return str(remaining_seconds())

    chain = ResilientModel([left], deadline=10, clock=clock)
    answers: dict[str, str] = {}

    def ask(name: str) -> None:
        answers[name] = chain.generate("?").text

    async def main() -> None:
        await asyncio.to_thread(ask, "to_thread")
        await asyncio.create_task(_aask())

    async def _aask() -> None:
        answers["task"] = (await chain.agenerate("?")).text

    with resilient_options(deadline=3):
        threads = [
            threading.Thread(target=ask, args=("bare",)),
            threading.Thread(target=contextvars.copy_context().run, args=(ask, "copied")),
        ]
        for thread in threads:
            thread.start()
            thread.join()
        asyncio.run(main())
    bare = "3.0" if getattr(sys.flags, "thread_inherit_context", 0) else "10.0"
    assert answers == {"bare": bare, "copied": "3.0", "to_thread": "3.0", "task": "3.0"}


@pytest.mark.parametrize("wrong", [{"deadline": 0}, {"deadline": -1}, {"data_class": "secret"}], ids=str)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError), resilient_options(**wrong):
        pass


def test_a_sync_dependency_of_fastapi_may_hold_a_block_and_is_told_that_it_reaches_nobody(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "_told", False)
    chain = telling_time()

    def in_threads() -> Iterator[None]:
        with resilient_options(deadline=3):
            yield

    async def in_the_task() -> AsyncIterator[None]:
        with resilient_options(deadline=4):
            yield

    app = fastapi.FastAPI()

    def ask() -> str:
        return chain.generate("?").text

    app.get("/threads", dependencies=[fastapi.Depends(in_threads)])(ask)
    app.get("/task", dependencies=[fastapi.Depends(in_the_task)])(ask)
    client = TestClient(app)
    for _ in range(3):
        assert client.get("/threads").json() == "10.0"
        assert client.get("/task").json() == "4.0"
    assert [record.levelname for record in caplog.records if record.name == "resilient_ai"] == ["WARNING"]
    assert "`async def`" in caplog.text


def test_a_block_left_in_another_thread_is_over_in_the_one_that_entered_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(options, "_told", True)
    chain = telling_time()
    for block in (resilient_options(deadline=3), resilient_options(data_class="personal")):
        block.__enter__()
        thread = threading.Thread(target=block.__exit__, args=(None, None, None))
        thread.start()
        thread.join()
    assert chain.generate("?").text == "10.0"
    with resilient_options(deadline=6):
        assert chain.generate("?").text == "6.0"


def test_an_error_that_leaves_a_block_elsewhere_is_the_one_that_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(options, "_told", True)
    block = resilient_options(deadline=3)
    contextvars.copy_context().run(block.__enter__)

    def request() -> None:
        with contextlib.ExitStack() as stack:
            stack.push(block)
            raise LookupError("the request's own")

    with pytest.raises(LookupError, match="the request's own"):
        request()


def test_a_generator_that_its_loop_closes_takes_its_options_out_of_the_task_that_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(options, "_told", True)
    chain = telling_time()
    left: list[str] = []

    async def pieces(closed: asyncio.Event) -> AsyncIterator[str]:
        try:
            with resilient_options(deadline=3), resilient_options(data_class="internal"):
                yield (await chain.agenerate("?")).text
        finally:
            closed.set()

    async def main() -> None:
        for _ in range(3):
            closed = asyncio.Event()
            reading = pieces(closed)
            left.append(await anext(reading))
            del reading
            gc.collect()
            await closed.wait()  # a task of the loop's own closes what was dropped
            left.append((await chain.agenerate("?")).text)

    asyncio.run(main())
    assert left == ["3.0", "10.0"] * 3


def test_blocks_of_generators_that_take_turns_each_end_with_their_own() -> None:
    chain = telling_time()

    def within(seconds: float) -> Generator[str]:
        with resilient_options(deadline=seconds):
            while True:
                yield chain.generate("?").text

    first, second = within(2), within(4)
    assert (next(first), next(second)) == ("2.0", "2.0")
    first.close()
    assert next(second) == "4.0"
    second.close()
    assert chain.generate("?").text == "10.0"


def test_a_task_started_in_a_block_keeps_its_options_when_the_block_has_ended(colour: Colour) -> None:
    chain = public_only(colour)

    async def main() -> str:
        go_on = asyncio.Event()

        async def later() -> str:
            await go_on.wait()
            return (await chain.agenerate("?")).text

        with resilient_options(data_class="personal"):
            task = asyncio.create_task(later())
        go_on.set()
        return await task

    assert asyncio.run(main()) == "behind"
