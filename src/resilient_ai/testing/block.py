"""Keeps a test suite from reaching a real provider."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Generator
from typing import Any, final
from unittest.mock import patch

from resilient_ai.models.http import Exchange, Transport


@final
class RealCallBlocked(BaseException):
    """A test was about to send a request off this machine. Not an `Exception`, so that no fallback answers in its place."""


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith((".localhost", ".invalid", ".test")):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@contextlib.contextmanager
def block_real_calls() -> Generator[None]:
    """Lets nothing in this process connect to another machine, or look up its name, while the block runs.

    That holds for models, for SDKs, wrapped or not, and for whatever else opens a socket in Python.

    Raises:
        RealCallBlocked: Out of the call that tried, naming the host.
    """
    with (
        patch.object(Transport, "open", _guarded_open(Transport.open)),
        patch.object(socket, "getaddrinfo", _guarded_lookup(socket.getaddrinfo)),
        patch.object(socket.socket, "connect", _guarded_connect(socket.socket.connect)),
        patch.object(socket.socket, "connect_ex", _guarded_connect(socket.socket.connect_ex)),
    ):
        yield


def _refuse_elsewhere(host: object) -> None:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if isinstance(name, str) and name and not _is_here(name):
        raise RealCallBlocked(
            f"a test was about to send a request to {name}; use ScriptedModel or FaultServer"
        )


def _guarded_open(original: Any) -> Any:
    """Of the library's own models: before a connection that is open already, or a proxy on this machine, takes the request."""

    async def open_here(self: Transport, *request: Any, **options: Any) -> Exchange:
        _refuse_elsewhere(self.host)
        exchange: Exchange = await original(self, *request, **options)
        return exchange

    return open_here


def _guarded_lookup(original: Any) -> Any:
    def getaddrinfo(host: object, *args: Any, **options: Any) -> Any:
        _refuse_elsewhere(host)
        return original(host, *args, **options)

    return getaddrinfo


def _guarded_connect(original: Any) -> Any:
    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_elsewhere(address[0])
        return original(self, address)

    return connect
