"""Which address of a name answers first.

asyncio has this race too, but looks the name up in the executor it shares with everything else of the process, and in CPython 3.11 leaves
the sockets of the losers to the garbage collector.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Final, TypeAlias

Found: TypeAlias = "tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]"
"""One address, as `socket.getaddrinfo` gives it."""

HEAD_START_SECONDS: Final = 0.25
"""What an address has before the next one is tried beside it. Source: RFC 8305, section 5."""


async def first_connected(found: Sequence[Found], local_address: str | None) -> socket.socket:
    """A connection to whichever address accepts one first; the next is tried when one has failed, or has not answered in its head start.

    On every ending, cancellation included, the sockets of the others are closed.

    Raises:
        OSError: What the address said that failed last; or there is none.
    """
    waiting = list(reversed(_by_turns(found)))
    under_way: set[asyncio.Task[socket.socket]] = set()
    failure = OSError("the name has no address")
    try:
        while waiting or under_way:
            if waiting:
                under_way.add(asyncio.create_task(_connected(waiting.pop(), local_address)))
            ended, _ = await asyncio.wait(
                under_way,
                timeout=HEAD_START_SECONDS if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in ended:
                error = task.exception()
                if error is None:
                    under_way.discard(task)
                    return task.result()
                if not isinstance(error, OSError):
                    raise error
                under_way.discard(task)
                failure = error
        raise failure
    finally:
        del failure
        for task in under_way:
            task.add_done_callback(_close_late)
            task.cancel()


def _by_turns(found: Sequence[Found]) -> list[Found]:
    """The addresses with their families taking turns: where one family is broken, the second try is of the other."""
    families: dict[int, list[Found]] = {}
    for one in found:
        families.setdefault(one[0], []).append(one)
    return [one for one in chain.from_iterable(zip_longest(*families.values())) if one is not None]


async def _connected(found: Found, local_address: str | None) -> socket.socket:
    family, kind, protocol, _, address = found
    connecting = socket.socket(family, kind, protocol)
    try:
        connecting.setblocking(False)
        if local_address is not None:
            connecting.bind((local_address, 0))
        await asyncio.get_running_loop().sock_connect(connecting, address)
    except BaseException:
        connecting.close()
        raise
    return connecting


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    """Closes what a loser has connected all the same, before its cancellation reached it."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
