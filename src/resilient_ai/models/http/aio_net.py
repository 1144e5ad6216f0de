"""asyncio connections, as httpcore's network streams are, without a layer between.

Read and write have no timers of their own: one timer around the whole attempt ends them all. Only a new connection arms one more.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final, final

from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.models.http.race import first_connected
from resilient_ai.models.http.scoped import HOLD_BYTES, connect_seconds, mark_sent

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from resilient_ai.runtime.threads import Threads

HIGH_WATER_BYTES: Final = 256 * 1024
"""What is buffered of a connection nobody reads, before the server is made to wait."""


@final
class _Wire(asyncio.Protocol):
    """The bytes of one connection. Belongs to the loop it was made in."""

    __slots__ = ("_buffer", "_error", "_paused", "_reader", "_writer", "closed", "eof", "transport")

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._paused = False
        self._error: Exception | None = None
        self.eof = False
        self.closed = False

    @property
    def waiting_bytes(self) -> int:
        return len(self._buffer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream protocol is only given stream transports

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > HIGH_WATER_BYTES and not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()
        self._wake(self._reader)

    def eof_received(self) -> bool:
        self.eof = True
        self._wake(self._reader)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.eof = self.closed = True
        self._error = exc
        self._wake(self._reader)
        self._wake(self._writer)

    def pause_writing(self) -> None:
        self._writer = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        self._wake(self._writer)
        self._writer = None

    async def read(self, max_bytes: int) -> bytes:
        while not self._buffer:
            if self._error is not None:
                raise self._error
            if self.eof:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = bytes(self._buffer[:max_bytes])
        del self._buffer[:max_bytes]
        if self._paused and len(self._buffer) <= HIGH_WATER_BYTES // 2 and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        # A server that stopped reading, perhaps after an early answer, is not an error yet: what it said is read next.
        if self.transport is not None and not self.closed:
            self.transport.write(data)
            if self._writer is not None and not self._writer.done():
                await self._writer

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


@final
class AioStream:
    """A connection, plain or TLS."""

    __slots__ = ("_unsent", "_wire")

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire
        self._unsent = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109 - httpcore's signature
        if self._unsent:
            await self._send()
        return await self._wire.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - httpcore's signature
        # A request comes as its head and then its body. Held back until the answer is waited for, they leave in one packet.
        self._unsent += buffer
        if len(self._unsent) > HOLD_BYTES:
            await self._send()

    async def _send(self) -> None:
        data, self._unsent = self._unsent, b""
        mark_sent()
        await self._wire.write(data)

    async def aclose(self) -> None:
        # abort, not close: what is unsent to a server we leave need not be sent, and a TLS goodbye may never come.
        if self._wire.transport is not None:
            self._wire.transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's signature
    ) -> AioStream:
        transport = self._wire.transport
        if transport is None:
            raise ConnectionError("the connection was closed before TLS began")
        scope = _connecting()
        try:
            async with scope:
                secured = await asyncio.get_running_loop().start_tls(
                    transport, self._wire, ssl_context, server_hostname=server_hostname
                )
        except TimeoutError as error:
            transport.abort()
            if scope.expired():
                raise AttemptTimeout("connect", sent=False) from error
            raise
        except BaseException:
            transport.abort()
            raise
        if secured is None:
            raise ConnectionError("the connection was closed during the TLS handshake")
        self._wire.transport = secured
        return self

    def get_extra_info(self, info: str) -> object:
        transport = self._wire.transport
        if transport is None:
            return None
        if info == "ssl_object":
            return transport.get_extra_info("ssl_object")
        if info == "socket":
            return transport.get_extra_info("socket")
        if info == "is_readable":
            return self._wire.eof or self._wire.waiting_bytes > 0 or transport.is_closing()
        return None


@final
class AioBackend:
    """Connects in the running loop.

    Args:
        lookups: Threads for the look-ups of this origin's name. Its own, so that a name that does not resolve keeps no other waiting.
    """

    __slots__ = ("_lookups",)

    def __init__(self, lookups: Threads) -> None:
        self._lookups = lookups

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[tuple[int, int, int]] | None = None,
    ) -> AioStream:
        scope = _connecting()
        try:
            async with scope:
                if _is_address(host):
                    found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
                else:
                    found = await self._lookups.run(socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM)
                connected = await first_connected(found, local_address)
                try:
                    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    for option in socket_options or ():
                        connected.setsockopt(*option)
                    _, wire = await asyncio.get_running_loop().create_connection(_Wire, sock=connected)
                except BaseException:
                    connected.close()
                    raise
        except TimeoutError as error:
            if scope.expired():
                raise AttemptTimeout("connect", sent=False) from error
            raise
        return AioStream(wire)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's signature
        socket_options: Iterable[tuple[int, int, int]] | None = None,  # noqa: ARG002 - none fits a unix socket
    ) -> AioStream:
        scope = _connecting()
        try:
            async with scope:
                _, wire = await asyncio.get_running_loop().create_unix_connection(_Wire, path)
        except TimeoutError as error:
            if scope.expired():
                raise AttemptTimeout("connect", sent=False) from error
            raise
        return AioStream(wire)

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError("retries belong to the policy, not to the connection pool")


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _connecting() -> asyncio.Timeout:
    return asyncio.timeout(connect_seconds())
