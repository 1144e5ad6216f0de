"""An exchange that is not wanted any more is closed to its end, whatever happens to whoever closes it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.core.model import Scope
from resilient_ai.models.http import Exchange


def scope(*, blocking: bool) -> Scope:
    return Scope(blocking, SYSTEM_CLOCK, SYSTEM_CLOCK.now() + 30, connect=5, first_token=5, idle=5)


@pytest.mark.parametrize("firmly", [True, False])
def test_a_cancelled_closing_goes_on_where_it_has_to(*, firmly: bool) -> None:
    """A connection pool waits for its lock before it gives a connection up: a cancellation there would leave it taken."""

    async def main() -> list[str]:
        steps: list[str] = []
        lock = asyncio.Event()

        async def close() -> None:
            steps.append("begun")
            await lock.wait()
            steps.append("closed")

        exchange = Exchange(scope(blocking=False), 200, {}, object(), close)
        closing = asyncio.create_task(exchange.close_firmly() if firmly else exchange.aclose())
        await SYSTEM_CLOCK.asleep(0)
        await SYSTEM_CLOCK.asleep(0)
        closing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await closing
        lock.set()
        for _ in range(5):
            await SYSTEM_CLOCK.asleep(0)
        await exchange.close_firmly()  # a second time does nothing
        return steps

    assert asyncio.run(main()) == (["begun", "closed"] if firmly else ["begun"])


def test_a_blocking_exchange_is_closed_at_once_and_once() -> None:
    closed: list[str] = []
    exchange = Exchange(scope(blocking=True), 200, {}, object(), lambda: closed.append("closed"))
    closing = exchange.close_firmly()
    with pytest.raises(StopIteration):
        closing.send(None)
    exchange.abandon()
    assert closed == ["closed"]


def test_an_exchange_whose_loop_is_gone_is_left_to_it() -> None:
    async def close() -> None:
        raise AssertionError("nobody can run this any more")

    Exchange(scope(blocking=False), 200, {}, object(), close).abandon()
