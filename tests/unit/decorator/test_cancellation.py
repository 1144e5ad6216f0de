"""A decorated call cancelled at any moment leaves nothing behind: no place, no probe, no open function."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from resilient_ai import Limits, Retry, resilient
from resilient_ai.core import events
from resilient_ai.testing import Captured, ManualClock, SteadyRandom

MOMENTS = [0.0, 0.5, 1.2, 1.9, 2.7, 3.2, 4.5]
"""In the first attempt, in the pause after it, in the second, in the fallback before and after its first item."""


class Timeline:
    """A function that fails twice, a second apart, and a backup that takes two seconds; both tell whether they were left."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.captured = Captured()
        self.inside = 0

    async def first(self) -> str:
        self.inside += 1
        try:
            await self.clock.asleep(1)
            raise ConnectionError
        finally:
            self.inside -= 1

    async def second(self) -> str:
        self.inside += 1
        try:
            await self.clock.asleep(2)
            return "ok"
        finally:
            self.inside -= 1

    async def first_items(self) -> AsyncIterator[str]:
        yield await self.first()

    async def second_items(self) -> AsyncIterator[str]:
        self.inside += 1
        try:
            await self.clock.asleep(1)
            yield "o"
            await self.clock.asleep(1)
            yield "k"
        finally:
            self.inside -= 1


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("streaming", [False, True], ids=["coroutine", "async generator"])
def test_cancelling_at_any_moment_leaves_nothing_behind(moment: float, *, streaming: bool) -> None:
    line = Timeline()
    guard = resilient(
        fallback=[line.second_items if streaming else line.second],
        retry=Retry(attempts=2, base=1, cap=1),
        limits=Limits(concurrency=1),
        clock=line.clock,
        chance=SteadyRandom(0.8),
        observers=[line.captured],
    )
    whole, items = guard(line.first), guard(line.first_items)
    chain = items.resilience if streaming else whole.resilience

    async def call() -> str:
        return "".join([item async for item in items()]) if streaming else await whole()

    async def main() -> None:
        task = asyncio.create_task(call())
        await line.clock.asleep(moment)
        assert not task.done()
        assert chain.health().active == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    line.clock.run(main())
    assert line.inside == 0
    assert chain.health().active == 0
    assert all(model.breaker == "closed" for model in chain.health().models)
    started, finished = (line.captured.of(kind) for kind in (events.AttemptStarted, events.AttemptFinished))
    assert len(started) == len(finished)
    assert [event.error for event in line.captured.of(events.CallFinished)] == ["cancelled"]
