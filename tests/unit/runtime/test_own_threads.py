"""Threads of one's own: what blocks here keeps nothing waiting elsewhere, and nothing that was left behind holds anybody up."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from resilient_ai import DeadlineExceeded, ResilientModel, Retry
from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.models import FunctionModel
from resilient_ai.runtime.threads import Threads

MANY = 100
"""More than any default executor has threads."""
_word: ContextVar[str] = ContextVar("word")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What slow functions wait for; opened at the end, so that no thread of a test outlives it for long."""
    event = threading.Event()
    yield event
    event.set()


def quickly(text: str) -> str:
    return f"quick {text}"


def twice(number: int) -> int:
    return number * 2


def held_by(gate: threading.Event) -> Callable[[str], str]:
    def slow(text: str) -> str:
        assert gate.wait(30)
        return text

    return slow


def test_slow_functions_leave_the_loops_own_executor_alone(gate: threading.Event) -> None:
    """asyncio looks names up there, for every library of the process."""
    chain = ResilientModel([held_by(gate)], retry=Retry(attempts=1))

    async def main() -> None:
        calls = [asyncio.create_task(chain.agenerate("q")) for _ in range(MANY)]
        await SYSTEM_CLOCK.asleep(0)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 20) == "free"
        gate.set()
        assert [reply.text for reply in await asyncio.gather(*calls)] == ["q"] * MANY

    asyncio.run(main())


def test_a_function_that_hangs_keeps_no_other_function_waiting(gate: threading.Event) -> None:
    slow, quick = FunctionModel(held_by(gate)), FunctionModel(quickly)
    hanging, other = ResilientModel([slow]), ResilientModel([quick])

    async def main() -> None:
        calls = [asyncio.create_task(hanging.agenerate("q")) for _ in range(MANY)]
        await SYSTEM_CLOCK.asleep(0)
        assert (await other.agenerate("a", deadline=20)).text == "quick a"
        gate.set()
        await asyncio.gather(*calls)

    asyncio.run(main())


def test_threads_are_bounded_and_used_again(gate: threading.Event) -> None:
    threads = Threads("test", 3)
    seen: set[int] = set()

    def work() -> None:
        seen.add(threading.get_ident())
        assert gate.wait(30)

    async def main() -> None:
        running = [asyncio.create_task(threads.run(work)) for _ in range(20)]
        while len(seen) < 3:
            await SYSTEM_CLOCK.asleep(0)
        gate.set()
        await asyncio.gather(*running)

    asyncio.run(main())
    assert len(seen) == 3


def test_work_that_is_cancelled_before_its_turn_is_never_begun(gate: threading.Event) -> None:
    threads = Threads("test", 1)
    begun: list[str] = []

    async def main() -> None:
        first = asyncio.create_task(threads.run(gate.wait, 30))
        second = asyncio.create_task(threads.run(begun.append, "second"))
        await SYSTEM_CLOCK.asleep(0)
        second.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await second
        gate.set()
        await first
        await threads.run(begun.append, "third")

    asyncio.run(main())
    assert begun == ["third"]


def test_the_context_of_the_task_is_there_and_the_result_is_not_kept() -> None:
    threads = Threads("test", 1)

    class Answer:
        pass

    async def main() -> weakref.ref[Answer]:
        _word.set("ours")
        assert await threads.run(_word.get) == "ours"
        return weakref.ref(await threads.run(Answer))

    known = asyncio.run(main())
    gc.collect()
    assert known() is None


def test_what_the_work_raises_is_raised_also_what_no_future_takes() -> None:
    threads = Threads("test", 1)

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await threads.run(divmod, 1, 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await threads.run(next, iter(()))

    asyncio.run(main())


def test_a_loop_ends_without_what_was_left_behind(gate: threading.Event) -> None:
    chain = ResilientModel([held_by(gate)], retry=Retry(attempts=1))

    async def main() -> None:
        with pytest.raises(DeadlineExceeded):
            await chain.agenerate("q", deadline=0.05)

    asyncio.run(main())  # it would wait for a thread of the default executor
    assert not gate.is_set()


def test_the_interpreter_ends_without_what_was_left_behind() -> None:
    code = (
        "import asyncio, threading\n"
        "from resilient_ai import DeadlineExceeded, ResilientModel\n"
        "chain = ResilientModel([lambda text: threading.Event().wait()])\n"
        "try:\n"
        "    asyncio.run(chain.agenerate('q', deadline=0.05))\n"
        "except DeadlineExceeded:\n"
        "    print('left')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=50, check=True
    )
    assert (done.stdout, done.stderr) == ("left\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_begins_with_no_threads_and_starts_its_own(gate: threading.Event) -> None:
    threads = Threads("test", 1)
    busy = threads.submit(gate.wait, 30)
    waiting = threads.submit(str, "the parent's")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, threads.submit(str, "the child's").result(20).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == "the child's"
    os.waitpid(child, 0)
    gate.set()
    assert (busy.result(20), waiting.result(20)) == (True, "the parent's")


def test_many_threads_may_hand_in_work_at_once() -> None:
    threads = Threads("test", 4)

    def hand_in(number: int) -> int:
        return threads.submit(twice, number).result(20)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(hand_in, range(400))) == [number * 2 for number in range(400)]
