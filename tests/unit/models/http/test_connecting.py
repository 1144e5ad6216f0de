"""Names and addresses: look-ups that hang keep only their own origin waiting, and a race for an address leaves no socket behind."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from resilient_ai import ModelError, ResilientModel, Retry, Timeouts
from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.models import OpenAIModel
from resilient_ai.models.http.race import Found, first_connected
from resilient_ai.testing import FaultServer

MANY = 60
"""More than any default executor has threads on a small machine."""


@pytest.fixture
def deaf() -> Iterator[Found]:
    """An address whose connections are never accepted, nor refused."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers: list[socket.socket] = []
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    yield (socket.AF_INET, socket.SOCK_STREAM, 6, "", listener.getsockname())
    for one in (listener, *fillers):
        one.close()


@pytest.fixture
def listening() -> Iterator[Found]:
    """An address that accepts connections."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield (socket.AF_INET, socket.SOCK_STREAM, 6, "", listener.getsockname())


@pytest.fixture
def refusing() -> Found:
    """An address nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return (socket.AF_INET, socket.SOCK_STREAM, 6, "", listener.getsockname())


def test_a_name_that_does_not_resolve_keeps_no_other_name_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    real, resolver = socket.getaddrinfo, threading.Event()

    def resolves(host: Any, port: Any, *rest: Any) -> Any:
        if host == "dead.test":
            assert resolver.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return real("127.0.0.1" if host == "good.test" else host, port, *rest)

    monkeypatch.setattr(socket, "getaddrinfo", resolves)
    once = Retry(attempts=1)
    dead = ResilientModel(
        OpenAIModel("m", base_url="http://dead.test/v1", api_key="key", timeouts=Timeouts(connect=30)),
        retry=once,
    )

    async def main(server: FaultServer) -> None:
        good = ResilientModel(
            OpenAIModel("m", base_url=server.url().replace("127.0.0.1", "good.test"), api_key="key"),
            retry=once,
        )
        calls = [asyncio.create_task(dead.agenerate("q")) for _ in range(MANY)]
        await SYSTEM_CLOCK.asleep(0)
        async with good:
            assert (await good.agenerate("q", deadline=20)).text == server.text
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 20) == "free"
        resolver.set()
        failures = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(one) for one in failures} == {ModelError}

    with FaultServer() as server:
        asyncio.run(main(server))


def test_the_next_address_is_tried_beside_one_that_does_not_answer(deaf: Found, listening: Found) -> None:
    async def main() -> None:
        with await first_connected([deaf, listening], None) as connected:
            assert connected.getpeername() == listening[4]

    asyncio.run(main())
    gc.collect()  # a socket left behind would be an error here


def test_a_refused_address_gives_way_at_once_and_the_last_refusal_is_told(
    refusing: Found, listening: Found
) -> None:
    async def main() -> None:
        with await first_connected([refusing, refusing, listening], None) as connected:
            assert connected.getpeername() == listening[4]
        with pytest.raises(ConnectionRefusedError):
            await first_connected([refusing, refusing], None)
        with pytest.raises(OSError, match="no address"):
            await first_connected([], None)

    asyncio.run(main())
    gc.collect()


def test_a_cancelled_race_closes_every_socket(deaf: Found) -> None:
    async def main() -> None:
        racing = asyncio.create_task(first_connected([deaf, deaf, deaf], None))
        await SYSTEM_CLOCK.asleep(0.3)
        racing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await racing

    asyncio.run(main())
    gc.collect()


def test_families_take_turns(listening: Found) -> None:
    """A host whose IPv6 leads nowhere is reached by its second address, not after all its IPv6 ones."""
    six: list[Found] = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)) for port in (1, 2, 3)
    ]

    async def main() -> None:
        with await first_connected([*six, listening], None) as connected:
            assert connected.getpeername() == listening[4]

    asyncio.run(main())
