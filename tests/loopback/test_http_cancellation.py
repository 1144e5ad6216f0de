"""A call over real sockets, cancelled at each of its await points, leaves no connection in use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from cancelling import CancelledAt
from resilient_ai import Hedge, ResilientModel, Retry
from resilient_ai.models import OpenAIModel
from resilient_ai.testing import FaultServer


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


async def whole(chain: ResilientModel) -> str:
    return (await chain.agenerate("q")).text


async def streamed(chain: ResilientModel) -> str:
    async with chain.astream("q") as stream:
        return "".join([chunk.text async for chunk in stream])


def in_use(model: OpenAIModel) -> int:
    """Connections of the running loop that are neither idle nor closed."""
    pool = model._transport._pools[asyncio.get_running_loop()]
    connections = pool.connections  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]
    return sum(not one.is_idle() and not one.is_closed() for one in connections)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]


@pytest.mark.parametrize(
    ("ask", "fault", "hedge"),
    [
        (whole, "none", None),
        (streamed, "none", None),
        (whole, "status:500~1", None),
        (streamed, "status:500~1", None),
        (whole, "stall-no-response~1", Hedge(after=0.05)),
        (whole, "stall-mid-body~1", Hedge(after=0.05)),
    ],
)
def test_cancelling_at_any_await_point_leaves_no_connection_in_use(
    server: FaultServer,
    ask: Callable[[ResilientModel], Awaitable[str]],
    fault: str,
    hedge: Hedge | None,
) -> None:
    async def once(point: int) -> bool:
        model = OpenAIModel(
            "gpt-x", base_url=server.url(fault, session=f"{ask.__name__}{point}"), api_key="sk-a"
        )
        chain = ResilientModel([model], retry=Retry(base=0.001, cap=0.001), hedge=hedge)

        async def call() -> str:
            return await ask(chain)

        work = CancelledAt(call(), point)

        async def run() -> str:
            return await work

        task = asyncio.create_task(run())
        try:
            assert await task == server.text
        except asyncio.CancelledError:
            assert task.cancelled()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert chain.health().active == 0
        assert in_use(model) == 0
        # And the model works on.
        assert await ask(chain) == server.text
        await chain.aclose()
        return work.points >= point

    async def main() -> int:
        for point in range(1, 100):
            if not await once(point):
                return point
        pytest.fail("the call never got through")

    assert asyncio.run(main()) >= 3
