"""When the bytes of a request leave: all at once, when the answer is waited for, and marked as sent no sooner."""

from __future__ import annotations

import asyncio
import socket
import weakref
from collections.abc import Iterator

import pytest

from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.core.model import Scope
from resilient_ai.models.http.aio_net import AioStream, _Wire
from resilient_ai.models.http.blocking_net import ClampedStream
from resilient_ai.models.http.scoped import CURRENT, HOLD_BYTES

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def scope() -> Iterator[Scope]:
    made = Scope(True, SYSTEM_CLOCK, SYSTEM_CLOCK.now() + 30, 30, 30, 30)
    token = CURRENT.set(made)
    yield made
    CURRENT.reset(token)


def test_a_blocking_request_leaves_whole_when_the_answer_is_waited_for(pair: Pair, scope: Scope) -> None:
    ours, theirs = pair
    stream = ClampedStream(ours, weakref.WeakSet())
    stream.write(b"head ")
    stream.write(b"body")
    with pytest.raises(BlockingIOError):
        theirs.recv(100)
    assert "sent" not in scope.notes
    theirs.send(b"answer")
    assert stream.read(100) == b"answer"
    assert theirs.recv(100) == b"head body"
    assert scope.notes["sent"] is True


def test_a_large_blocking_request_is_not_held_back(pair: Pair, scope: Scope) -> None:
    ours, theirs = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * HOLD_BYTES)
    stream = ClampedStream(ours, weakref.WeakSet())
    stream.write(b"x" * (HOLD_BYTES + 1))
    assert theirs.recv(1) == b"x"
    assert scope.notes["sent"] is True


def test_an_asynchronous_request_leaves_whole_when_the_answer_is_waited_for(pair: Pair, scope: Scope) -> None:
    async def run() -> None:
        ours, theirs = pair
        _, wire = await asyncio.get_running_loop().create_connection(_Wire, sock=ours)
        stream = AioStream(wire)
        await stream.write(b"head ")
        await stream.write(b"body")
        with pytest.raises(BlockingIOError):
            theirs.recv(100)
        assert "sent" not in scope.notes
        theirs.send(b"answer")
        assert await stream.read(100) == b"answer"
        assert theirs.recv(100) == b"head body"
        assert scope.notes["sent"] is True
        await stream.aclose()

    asyncio.run(run())


def test_what_was_held_back_is_not_sent_by_closing(pair: Pair, scope: Scope) -> None:
    ours, theirs = pair
    stream = ClampedStream(ours, weakref.WeakSet())
    stream.write(b"head")
    stream.close()
    assert theirs.recv(100) == b""
    assert "sent" not in scope.notes
