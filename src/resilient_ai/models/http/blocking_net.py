"""Blocking sockets whose every operation ends when the attempt's time does.

httpx has read, write and connect timeouts but none for the whole: a server that drips one byte a second defeats them all. Clamping each
operation to what is left bounds the whole to within one operation, TLS included. What it cannot bound is the name lookup
of the operating system, which has no timeout.
"""

from __future__ import annotations

import contextlib
import select
import socket
import weakref
from typing import TYPE_CHECKING, Final, TypeAlias, final

from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.models.http.scoped import HOLD_BYTES, connect_seconds, free_brake, mark_sent, remaining

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

Opened: TypeAlias = "weakref.WeakSet[socket.socket]"
_NO_DELAY: Final = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@final
class ClampedStream:
    """A connected socket, plain or TLS, as httpcore's network streams are."""

    __slots__ = ("_opened", "_socket", "_unsent")

    def __init__(self, connected: socket.socket, opened: Opened) -> None:
        opened.add(connected)
        self._opened = opened
        self._socket = connected
        self._unsent = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._unsent:
            self._send(timeout)
        self._socket.settimeout(_least(timeout, remaining(self._stop)))
        try:
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise AttemptTimeout from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # A request comes as its head and then its body. Held back until the answer is waited for, they leave in one packet.
        self._unsent += buffer
        if len(self._unsent) > HOLD_BYTES:
            self._send(timeout)

    def _send(self, timeout: float | None) -> None:
        data, self._unsent = self._unsent, b""
        self._socket.settimeout(_least(timeout, remaining(self._stop)))
        mark_sent()
        try:
            self._socket.sendall(data)
        except TimeoutError as error:
            raise AttemptTimeout from error
        except (BrokenPipeError, ConnectionResetError):
            # The server stopped reading, perhaps after an early answer: whatever it said is read next.
            return

    def close(self) -> None:
        free_brake()
        self._socket.close()

    def _stop(self) -> None:
        """Has a thread that waits in this connection go on at once: the connection is over for both sides."""
        with contextlib.suppress(OSError):
            # Not through the TLS layer, whose own shutdown is not for two threads.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> ClampedStream:
        self._socket.settimeout(_least(timeout, connect_seconds()))
        try:
            secured = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except TimeoutError as error:
            self._socket.close()
            raise AttemptTimeout("connect", sent=False) from error
        except BaseException:
            self._socket.close()
            raise
        return ClampedStream(secured, self._opened)

    def get_extra_info(self, info: str) -> object:
        if info == "ssl_object":
            return self._socket if hasattr(self._socket, "selected_alpn_protocol") else None
        if info == "socket":
            return self._socket
        if info == "is_readable":
            return _readable(self._socket)
        return None


@final
class ClampedBackend:
    """Connects sockets, as httpcore's network backends do, and knows which of them are open."""

    __slots__ = ("_opened",)

    def __init__(self) -> None:
        self._opened: Opened = weakref.WeakSet()

    def let_go(self) -> None:
        """Closes in a forked child its copies of the parent's connections. Says nothing on them: they are the parent's."""
        for one in list(self._opened):
            one.close()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[tuple[int, int, int]] | None = None,
    ) -> ClampedStream:
        try:
            connected = _connected(host, port, _least(timeout, connect_seconds()), local_address)
        except TimeoutError as error:
            raise AttemptTimeout("connect", sent=False) from error
        for option in (_NO_DELAY, *(socket_options or ())):
            connected.setsockopt(*option)
        return ClampedStream(connected, self._opened)

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[tuple[int, int, int]] | None = None,
    ) -> ClampedStream:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            for option in socket_options or ():
                connected.setsockopt(*option)
            connected.settimeout(_least(timeout, connect_seconds()))
            connected.connect(path)
        except TimeoutError as error:
            connected.close()
            raise AttemptTimeout("connect", sent=False) from error
        except BaseException:
            connected.close()
            raise
        return ClampedStream(connected, self._opened)

    def sleep(self, seconds: float) -> None:
        raise NotImplementedError("retries belong to the policy, not to the connection pool")


def _connected(host: str, port: int, seconds: float | None, local_address: str | None) -> socket.socket:
    """A connection to the first address of `host` that accepts one, within `seconds` for all of them together.

    `socket.create_connection` allows its timeout to each address: a name with eight of them would take eight times as long.

    Raises:
        OSError: What the last address said.
    """
    failure: OSError | None = None
    found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    for index, (family, kind, protocol, _, address) in enumerate(found):
        connected: socket.socket | None = None
        try:
            connected = socket.socket(family, kind, protocol)
            if seconds is not None:
                connected.settimeout(_least(seconds / (len(found) - index), remaining()))
            if local_address is not None:
                connected.bind((local_address, 0))
            connected.connect(address)
        except OSError as error:
            if connected is not None:
                connected.close()
            failure = error
        except BaseException:
            if connected is not None:
                connected.close()
            raise
        else:
            return connected
    try:
        raise failure or OSError("the name has no address")
    finally:
        del failure


def _least(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _readable(connected: socket.socket) -> bool:
    """An idle connection that has something to say was closed by the server."""
    descriptor = connected.fileno()
    if descriptor < 0:
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])
