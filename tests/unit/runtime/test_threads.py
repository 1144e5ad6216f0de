"""One chain, many threads, many tasks, forks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from resilient_ai import Breaker, Hedge, Limits, ResilientModel, Retry, observe
from resilient_ai.config.source import ConfigSource
from resilient_ai.core import events
from resilient_ai.core.fork import ChildLock
from resilient_ai.models import FunctionModel, canned
from resilient_ai.privacy import Redactor
from resilient_ai.runtime.threads import Threads
from resilient_ai.state import local
from resilient_ai.telemetry import setup
from resilient_ai.testing import Captured, ManualClock, ScriptedModel, error, ok

CALLS = 1000


def echo(text: str) -> str:
    return text


def asking(chain: ResilientModel) -> Callable[[object], str]:
    def ask(_: object) -> str:
        return chain.generate("q").text

    return ask


def test_a_thousand_calls_over_sixteen_threads_lose_no_permit() -> None:
    captured = Captured()
    flaky = ScriptedModel([ok(), error(500), ok()], repeat=True)
    chain = ResilientModel(
        [flaky, echo],
        limits=Limits(concurrency=8, queue=CALLS),
        retry=Retry(base=0, cap=0),
        breaker=Breaker(enabled=True, consecutive=None, failure_ratio=1.0),
        observers=[captured],
    )
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(asking(chain), range(CALLS)))
    assert len(replies) == CALLS
    assert (chain._places.active, chain._places.waiting) == (0, 0)
    assert len(captured.of(events.CallFinished)) == CALLS
    assert len(captured.of(events.AttemptStarted)) == len(captured.of(events.AttemptFinished))


def test_a_thousand_calls_over_two_hundred_tasks_lose_no_permit() -> None:
    clock, captured = ManualClock(), Captured()
    flaky = ScriptedModel([ok(after=0.01), error(500, after=0.01), ok(after=0.02)], repeat=True)
    backup = ScriptedModel([ok("b")], repeat=True, name="backup")
    chain = ResilientModel(
        [flaky, backup], limits=Limits(concurrency=50, queue=200), clock=clock, observers=[captured]
    )

    async def worker() -> None:
        for _ in range(CALLS // 200):
            await chain.agenerate("q")

    async def main() -> None:
        await asyncio.gather(*[worker() for _ in range(200)])

    clock.run(main())
    assert (chain._places.active, chain._places.waiting) == (0, 0)
    assert len(captured.of(events.CallFinished)) == CALLS
    assert len(captured.of(events.ModelStarted)) == len(captured.of(events.ModelFinished))


def test_calls_of_many_threads_are_in_flight_together() -> None:
    """Nothing in the way holds a lock across the call: sixteen calls meet at a barrier that opens only for sixteen."""
    barrier = threading.Barrier(16, timeout=20)

    def meets(text: str) -> str:
        barrier.wait()
        return text

    chain = ResilientModel([meets], retry=Retry(attempts=1))
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(asking(chain), range(64))) == ["q"] * 64


def test_a_half_open_breaker_lets_one_probe_through_at_a_time() -> None:
    clock = ManualClock()
    model = ScriptedModel([*[error(500)] * 5, *[ok("back", after=1)] * 40])
    chain = ResilientModel([model, canned("backup")], clock=clock, retry=Retry(attempts=1))

    async def main() -> list[str]:
        for _ in range(5):
            await chain.agenerate("q")
        await clock.asleep(20)
        return [reply.text for reply in await asyncio.gather(*[chain.agenerate("q") for _ in range(20)])]

    answers = clock.run(main())
    assert answers.count("back") == 1


def test_a_result_from_before_the_break_changes_nothing() -> None:
    """Twenty slow calls that began while it was closed come back after it has opened: late successes do not close it."""
    clock = ManualClock()
    slow = ScriptedModel([*[ok(after=10)] * 10, *[error(500)] * 5])
    chain = ResilientModel([slow, canned("backup")], clock=clock, retry=Retry(attempts=1))

    async def main() -> None:
        early = [asyncio.create_task(chain.agenerate("q")) for _ in range(10)]
        await clock.asleep(1)
        for _ in range(5):
            await chain.agenerate("q")
        assert chain.health().models[0].breaker == "open"
        await asyncio.gather(*early)
        assert chain.health().models[0].breaker == "open"

    clock.run(main())


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
forks_beside_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def in_child(work: Callable[[], str]) -> str:
    """What `work` returns in a forked child; the name of what it raises; "hung" if it has not ended in ten seconds."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(10)  # the child of a deadlock has no other way out
            try:
                said = work()
            except Exception as failure:  # noqa: BLE001 - told to the parent
                said = type(failure).__name__
            os.write(writer, said.encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said or "hung"


@forks
@forks_beside_threads
def test_a_forked_child_calls_on_with_the_parents_state() -> None:
    chain = ResilientModel([echo], limits=Limits(concurrency=1))
    chain.generate("warm")
    assert in_child(lambda: chain.generate("child").text) == "child"


@forks
@forks_beside_threads
def test_a_forked_child_begins_with_every_place_free() -> None:
    """The threads that are in the parent's places, and in its line, do not exist in the child."""
    entered, leave = threading.Event(), threading.Event()

    def slow(text: str) -> str:
        if text != "child":
            entered.set()
            assert leave.wait(20)
        return text

    chain = ResilientModel([slow], limits=Limits(concurrency=1, queue=1), deadline=15)
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(chain.generate, text) for text in ("first", "second")]
        try:
            assert entered.wait(20)
            while not chain._places.waiting:
                assert not calls[1].done()
            assert in_child(lambda: chain.generate("child").text) == "child"
        finally:
            leave.set()
        assert [call.result().text for call in calls] == ["first", "second"]
    assert chain._places.active == 0


@forks
@forks_beside_threads
def test_a_forked_child_has_locks_of_its_own() -> None:
    """A fork may come while another thread is just taking a place, settling with the breaker or looking up shared state."""
    chain = ResilientModel([echo], limits=Limits(concurrency=1))
    state = chain.plan.hops[0].state
    held: list[Any] = [
        chain._places._lock,
        state.breaker._lock,
        state.budget._lock,
        state.pace._lock,
        local._lock,
    ]
    ready, leave = threading.Event(), threading.Event()

    def holds() -> None:
        with contextlib.ExitStack() as stack:
            for lock in held:
                stack.enter_context(lock)
            ready.set()
            assert leave.wait(20)

    thread = threading.Thread(target=holds)
    thread.start()
    try:
        assert ready.wait(20)
        assert in_child(lambda: ResilientModel([chain.generate("a").text and echo]).generate("b").text) == "b"
    finally:
        leave.set()
        thread.join()


@forks
@forks_beside_threads
def test_a_forked_child_redacts_observes_and_rereads_its_settings_whatever_a_thread_held(
    tmp_path: Path,
) -> None:
    """A thread of the parent that was just logging or reading a file does not exist in the child, and would never let go."""
    path = tmp_path / "resilient.toml"
    path.write_text('[models.a]\nprovider = "openai"\nmodel = "m"\n[chains.c]\nmodels = ["a"]\n')
    source, redactor = ConfigSource(path), Redactor()
    observation = observe(logs=None, spans=False, metrics=False)
    held: list[Any] = [source._reading, redactor._lock, observation._lock, setup._lock]
    ready, leave = threading.Event(), threading.Event()

    def holds() -> None:
        with contextlib.ExitStack() as stack:
            for lock in held:
                stack.enter_context(lock)
            ready.set()
            assert leave.wait(20)

    def child() -> str:
        source.reload()
        with observe(logs=None, spans=False, metrics=True):
            return redactor.text("write to ann@example.org")

    thread = threading.Thread(target=holds)
    thread.start()
    try:
        assert ready.wait(20)
        assert in_child(child) == "write to <EMAIL>"
    finally:
        leave.set()
        thread.join()
        observation.close()


@forks
def test_a_lock_that_the_forking_thread_holds_is_let_go_in_the_child_too() -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(ChildLock())

        def child() -> str:
            stack.close()
            return "let go"

        assert in_child(child) == "let go"


@forks
@forks_beside_threads
def test_a_child_forked_within_a_call_gives_back_no_place_it_never_had() -> None:
    """The call that forks goes on in the child too: what it leaves there must not make room for one call more."""
    parent = os.getpid()
    reader, writer = os.pipe()

    def forking(text: str) -> str:
        os.fork()
        return text

    chain = ResilientModel([forking], limits=Limits(concurrency=1, queue=0))
    try:
        chain.generate("q")
        if os.getpid() != parent:
            os.write(writer, str(chain._places.active).encode())
    finally:
        if os.getpid() != parent:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == "0"
    os.wait()


def test_a_chain_serves_several_event_loops_one_after_the_other() -> None:
    async def answer(text: str) -> str:
        return text

    chain = ResilientModel([answer], limits=Limits(concurrency=1))
    assert [asyncio.run(chain.agenerate(text)).text for text in ("a", "b")] == ["a", "b"]


def test_threads_and_loops_share_one_line() -> None:
    """A blocking call that leaves wakes a task of another thread's loop."""
    entered, leave = threading.Event(), threading.Event()

    def slow(text: str) -> str:
        if text == "first":
            entered.set()
            assert leave.wait(20)
        return text

    chain = ResilientModel([slow], limits=Limits(concurrency=1))
    blocking = threading.Thread(target=chain.generate, args=("first",))
    blocking.start()
    assert entered.wait(20)

    async def main() -> str:
        waiting = asyncio.create_task(chain.agenerate("second"))
        while not chain._places.waiting:
            await asyncio.wait([waiting], timeout=0.001)
        leave.set()
        return (await waiting).text

    assert asyncio.run(main()) == "second"
    blocking.join()
    assert chain._places.active == 0


@forks
@forks_beside_threads
def test_a_forked_child_drops_requests_that_had_no_thread_yet_without_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = ResilientModel([FunctionModel(echo, replayable=True)], hedge=Hedge(after=1))
    held: list[Threads] = []
    seen = threading.Event()
    told: list[object] = []
    begin = Threads._start

    def begin_later(threads: Threads) -> None:
        held.append(threads)
        seen.set()

    monkeypatch.setattr(Threads, "_start", begin_later)
    monkeypatch.setattr(sys, "unraisablehook", told.append)  # where a coroutine goes that nobody awaited
    caller = threading.Thread(target=chain.generate, args=("q",))
    caller.start()
    assert seen.wait(10)
    assert in_child(lambda: f"{len(told)} warnings") == "0 warnings"
    begin(held[0])
    caller.join(10)
    assert not caller.is_alive()
