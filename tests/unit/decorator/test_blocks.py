"""`with resilient(...)`: one attempt around code that is nobody's function."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import fastapi
import pytest
from fastapi.testclient import TestClient

from resilient_ai import (
    Breaker,
    CircuitOpen,
    ConfigError,
    DeadlineExceeded,
    Limits,
    Overloaded,
    Retry,
    outcome_of,
    remaining_seconds,
    resilient,
    resilient_options,
)
from resilient_ai.core import events
from resilient_ai.decorator import Block, Guard
from resilient_ai.decorator import block as blocks
from resilient_ai.testing import Captured, ManualClock, SteadyRandom

_numbers = itertools.count(1)


class Vendor(Exception):
    """Some client's own exception."""


class Guarded:
    """A guard on a virtual clock, entered in one of the two colours."""

    def __init__(self, colour: str) -> None:
        self.colour = colour
        self.clock = ManualClock()
        self.captured = Captured()
        self.name = f"vendor {next(_numbers)}"

    def guard(self, **options: Any) -> Guard:
        given: dict[str, Any] = {
            "name": self.name,
            "clock": self.clock,
            "observers": [self.captured],
            "chance": SteadyRandom(),
        }
        return resilient(**{**given, **options})

    def through(self, guard: Guard, *, fails: BaseException | None = None, seconds: float = 0) -> Block:
        """A block that takes `seconds` and fails."""
        if self.colour == "blocking":
            with guard as block:
                self.clock.sleep(seconds)
                if fails is not None:
                    raise fails
            return block

        async def main() -> Block:
            async with guard as block:
                await self.clock.asleep(seconds)
                if fails is not None:
                    raise fails
            return block

        return self.clock.run(main())


@pytest.fixture(params=["blocking", "asyncio"])
def guarded(request: pytest.FixtureRequest) -> Guarded:
    return Guarded(request.param)


def test_a_block_that_ends_well_is_an_answered_attempt(guarded: Guarded) -> None:
    block = guarded.through(guarded.guard(deadline=5), seconds=2)
    assert block.outcome is not None
    assert [(attempt.model, attempt.kind, attempt.seconds) for attempt in block.outcome.attempts] == [
        (guarded.name, None, 2)
    ]
    assert guarded.captured.names() == [
        "CallStarted", "ModelStarted", "AttemptStarted", "AttemptFinished", "ModelFinished", "CallFinished",
    ]  # fmt: skip


def test_what_a_block_raises_goes_on_unchanged_with_its_history(guarded: Guarded) -> None:
    failure = Vendor("no")
    with pytest.raises(Vendor) as caught:
        guarded.through(guarded.guard(), fails=failure)
    assert caught.value is failure
    frames = [frame.name for frame in traceback.extract_tb(failure.__traceback__)]
    assert frames[-1] == ("through" if guarded.colour == "blocking" else "main")
    outcome = outcome_of(failure)
    assert outcome is not None
    assert [attempt.kind for attempt in outcome.attempts] == ["unknown"]


def test_blocks_of_one_name_share_a_breaker_however_the_guard_is_made(guarded: Guarded) -> None:
    for _ in range(2):
        with pytest.raises(ConnectionError):
            guarded.through(guarded.guard(breaker=Breaker(consecutive=2)), fails=ConnectionError())
    guard = guarded.guard(breaker=Breaker(consecutive=2))
    with pytest.raises(CircuitOpen):
        guarded.through(guard)
    assert guard.health().status == "down"
    guarded.clock.advance(20)
    guarded.through(guard)
    guarded.through(guard)
    assert guard.health().status == "ok"


def test_another_name_has_another_breaker(guarded: Guarded) -> None:
    with pytest.raises(ConnectionError):
        guarded.through(guarded.guard(breaker=Breaker(consecutive=1)), fails=ConnectionError())
    other = guarded.guard(breaker=Breaker(consecutive=1), name=f"{guarded.name} b")
    assert guarded.through(other).outcome is not None


def test_the_deadline_is_known_inside_and_gone_outside(guarded: Guarded) -> None:
    seen: list[float | None] = []
    guard = guarded.guard(deadline=5)
    if guarded.colour == "blocking":
        with guard as block:
            seen += [remaining_seconds(), block.remaining_seconds()]
        seen.append(remaining_seconds())
    else:

        async def main() -> None:
            async with guard as block:
                seen.extend([remaining_seconds(), block.remaining_seconds()])
            seen.append(remaining_seconds())

        guarded.clock.run(main())
    assert seen == [5, 5, None]


def test_an_asynchronous_block_is_ended_at_its_deadline() -> None:
    guarded = Guarded("asyncio")
    with pytest.raises(DeadlineExceeded):
        guarded.through(guarded.guard(deadline=3), seconds=100)
    assert guarded.clock.now() == 3
    assert guarded.captured.of(events.CallFinished)[0].error == "deadline_exceeded"


def test_a_blocking_block_past_its_deadline_is_flagged() -> None:
    guarded = Guarded("blocking")
    block = guarded.through(guarded.guard(deadline=3), seconds=100)
    assert block.outcome is not None
    assert block.outcome.flags == ("late",)


def test_options_and_calls_around_tighten_the_deadline() -> None:
    guarded = Guarded("blocking")
    guard = guarded.guard(deadline=9)
    with resilient_options(deadline=4), guard as block:
        assert block.remaining_seconds() == 4

    @resilient(deadline=2, clock=guarded.clock)
    def outer() -> float:
        with guard as inner:
            return inner.remaining_seconds()

    assert outer() == 2


def test_a_full_limit_refuses_a_block(guarded: Guarded) -> None:
    guard = guarded.guard(limits=Limits(concurrency=1, queue=0))
    if guarded.colour == "blocking":
        with guard, pytest.raises(Overloaded), guard:
            pass
    else:

        async def main() -> None:
            async with guard:
                with pytest.raises(Overloaded):
                    async with guard:
                        pass

        guarded.clock.run(main())
    assert guard.health().active == 0
    assert guarded.through(guard).outcome is not None


def test_blocks_wait_for_their_rate(guarded: Guarded) -> None:
    guard = guarded.guard(limits=Limits(requests_per_minute=60))
    for _ in range(70):
        guarded.through(guard)
    assert guarded.clock.now() > 5


def test_cancelling_a_block_says_nothing_about_its_health(guarded: Guarded) -> None:
    guard = guarded.guard(breaker=Breaker(consecutive=1))
    with pytest.raises(KeyboardInterrupt):
        guarded.through(guard, fails=KeyboardInterrupt())
    assert guard.health().status == "ok"
    assert guard.health().active == 0
    assert guarded.captured.of(events.CallFinished)[0].error == "cancelled"


def test_a_cancelled_task_leaves_its_block() -> None:
    guarded = Guarded("asyncio")
    guard = guarded.guard()

    async def work() -> None:
        async with guard:
            await guarded.clock.asleep(100)

    async def main() -> None:
        task = asyncio.create_task(work())
        await guarded.clock.asleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    guarded.clock.run(main())
    assert guard.health().active == 0
    assert guarded.captured.of(events.AttemptFinished)[0].attempt.verdict == "cancelled"


def test_one_guard_serves_many_tasks_and_nests() -> None:
    guarded = Guarded("asyncio")
    guard = guarded.guard(deadline=60)

    async def work(seconds: float) -> float:
        async with guard as outer:
            await guarded.clock.asleep(seconds)
            async with guard as inner:
                await guarded.clock.asleep(seconds)
        assert outer.outcome is not None
        assert inner.outcome is not None
        return outer.outcome.seconds - inner.outcome.seconds

    async def main() -> list[float]:
        return await asyncio.gather(*[work(seconds) for seconds in (3, 1, 2)])

    assert guarded.clock.run(main()) == [3, 1, 2]


def test_a_guard_decorates_too() -> None:
    guarded = Guarded("blocking")
    guard = guarded.guard(deadline=5)

    @guard
    def one() -> float | None:
        return remaining_seconds()

    @guard
    def other() -> float | None:
        return remaining_seconds()

    assert (one(), other()) == (5, 5)
    assert one.resilience is not other.resilience


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": None}, "needs a name"),
        ({"retry": Retry()}, "cannot be run again"),
        ({"fallback": ["canned:sorry"]}, "cannot be run again"),
        ({"on": {"unknown": "retry"}}, "cannot be run again"),
        ({"deadline": 0}, "above 0"),
    ],
)
def test_what_a_block_cannot_have_is_refused(options: dict[str, Any], words: str) -> None:
    guarded = Guarded("blocking")
    with pytest.raises(ConfigError, match=words), guarded.guard(**options):
        pass


def test_the_policy_of_a_block_may_come_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "resilient.toml"
    path.write_text(
        'version = 1\n[models.sorry]\nprovider = "canned"\ntext = "a"\n'
        '[chains.vendor]\nmodels = ["sorry"]\ndeadline = "4s"\nretry = { attempts = 3 }\n'
    )
    guarded = Guarded("blocking")
    guard = guarded.guard(chain="vendor", config=path)
    with guard as block:
        assert block.remaining_seconds() == 4
    assert "1 attempts" in guard.explain()


def test_a_dependency_of_fastapi_may_guard_its_endpoints(guarded: Guarded) -> None:
    guard = guarded.guard(limits=Limits(concurrency=1, queue=0))

    def in_threads() -> Iterator[Block]:
        with guard as block:
            yield block

    async def in_the_task() -> AsyncIterator[Block]:
        async with guard as block:
            yield block

    dependency = in_threads if guarded.colour == "blocking" else in_the_task
    app = fastapi.FastAPI()
    seen: list[Block] = []

    def ask(fails: bool, block: Any = fastapi.Depends(dependency)) -> None:  # noqa: B008, FBT001 - as FastAPI reads it
        seen.append(block)
        if fails:
            raise Vendor("down")

    app.get("/")(ask)
    client = TestClient(app)
    for _ in range(2):
        assert client.get("/?fails=0").status_code == 200
        with pytest.raises(Vendor):
            client.get("/?fails=1")
    told = [block.outcome.attempts[-1].kind for block in seen if block.outcome is not None]
    assert told == [None, "unknown"] * 2
    assert not blocks._open


def test_blocks_left_elsewhere_are_as_many_as_were_entered() -> None:
    guard = Guarded("blocking").guard(limits=Limits(concurrency=2, queue=0))
    entered = [contextvars.copy_context().run(guard.__enter__) for _ in range(2)]
    with pytest.raises(Overloaded):
        guard.__enter__()
    for _ in range(2):
        contextvars.copy_context().run(guard.__exit__, None, None, None)
    assert all(block.outcome is not None for block in entered)
    with guard as block, guard:
        pass
    assert block.outcome is not None
    assert remaining_seconds() is None


def test_a_block_that_was_left_elsewhere_is_not_left_again() -> None:
    """The context that entered it still knows of it."""
    guard = Guarded("blocking").guard()
    first = guard.__enter__()
    contextvars.Context().run(guard.__exit__, None, None, None)
    told = first.outcome
    assert told is not None
    with guard as second:
        pass
    assert first.outcome is told
    assert remaining_seconds() is None
    assert second.outcome is not None
    with pytest.raises(RuntimeError, match="not entered"):
        guard.__exit__(None, None, None)
