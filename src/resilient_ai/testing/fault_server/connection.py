"""One client's connection: non-blocking bytes in and out, and the news that the client went away.

Every wait is one poll on two descriptors: the client's socket and the server's stop signal. Nothing wakes
up to look at the time, so hundreds of silent connections cost no CPU, and closing the server ends them all
at once.
"""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
import ssl
import struct
import sys
from typing import Final, final

from resilient_ai.core.clock import Clock

_READ_BYTES: Final = 65_536
_LINGER_SECONDS: Final = 1.0
"""How long a closing connection reads on. Closing with unread input makes the kernel send RST, which would
destroy an answer that is still in flight."""

_RESET_ON_CLOSE: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""SO_LINGER of 0 s: closing discards what is unsent and sends RST."""

Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)


@final
class ClientGone(Exception):
    """The client closed or reset the connection."""


@final
class Stopped(Exception):
    """The server is closing, or the connection has lived as long as it may."""


@final
class StopSignal:
    """A descriptor that becomes readable once, for everybody who polls it. Thread-safe."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()

    def fileno(self) -> int:
        return self._read.fileno()

    def set(self) -> None:
        """Wakes every poller, now and later."""
        self._write.send(b"x")

    def close(self) -> None:
        """Frees the descriptors; nobody may be polling any more."""
        self._read.close()
        self._write.close()


@final
class Connection:
    """Owns one accepted socket. Used by one thread; `close` must be called.

    Args:
        sock: The accepted socket.
        stop: The server's stop signal.
        clock: Where time is read.
        longest: Seconds after which one answer is cut off.
        number: Which connection of the server this is, counted from 1.
        port: The port it came in by.
    """

    def __init__(
        self, sock: socket.socket, stop: StopSignal, clock: Clock, *, longest: float, number: int, port: int
    ) -> None:
        self.number = number
        self.port = port
        self.requests = 0
        self.bytes_sent = 0
        self._sock: socket.socket = sock
        self._clock = clock
        self._longest = longest
        self._inbox = bytearray()
        self._end = clock.now() + longest
        self._open = True
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector = Selector()
        self._selector.register(stop, selectors.EVENT_READ)
        self._selector.register(sock, selectors.EVENT_READ)

    def rearm(self) -> None:
        """Starts the clock of `longest` again, for the next answer."""
        self._end = self._clock.now() + self._longest

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Makes the connection TLS.

        Raises:
            ClientGone: The client refused the certificate or left.
            Stopped: The server closes.
        """
        self._selector.unregister(self._sock)
        try:
            # Asked first, because CPython 3.11 leaks the descriptor when wrapping finds the client gone.
            self._sock.getpeername()
            wrapped = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
        except OSError as error:
            raise ClientGone from error
        self._sock = wrapped
        self._selector.register(wrapped, selectors.EVENT_READ)
        while True:
            try:
                wrapped.do_handshake()
            except ssl.SSLWantReadError:
                self._await(selectors.EVENT_READ)
            except ssl.SSLWantWriteError:
                self._await(selectors.EVENT_WRITE)
            except OSError as error:
                raise ClientGone from error
            else:
                return

    def read_head(self, limit: int) -> bytes:
        """Everything up to and with the first empty line; empty if the client left between requests.

        Raises:
            ClientGone: The client left in the middle, or the head exceeds `limit` bytes.
            Stopped: The server closes.
        """
        while (end := self._inbox.find(b"\r\n\r\n")) < 0:
            if len(self._inbox) > limit:
                raise ClientGone
            if not self._receive():
                if self._inbox:
                    raise ClientGone
                return b""
        return self._take(end + 4)

    def read_line(self, limit: int) -> bytes:
        """One line without its CRLF. Raises as `read_exactly`."""
        while (end := self._inbox.find(b"\r\n")) < 0:
            if len(self._inbox) > limit or not self._receive():
                raise ClientGone
        return self._take(end + 2)[:-2]

    def read_exactly(self, size: int) -> bytes:
        """`size` bytes.

        Raises:
            ClientGone: The client left before they came.
            Stopped: The server closes.
        """
        while len(self._inbox) < size:
            if not self._receive():
                raise ClientGone
        return self._take(size)

    def read_some(self) -> bytes:
        """What is there, waiting for the first byte; empty if the client left. Raises `Stopped`."""
        if not self._inbox:
            self._receive()
        return self._take(len(self._inbox))

    def send(self, data: bytes) -> None:
        """Writes all of `data`, waiting for a slow reader.

        Raises:
            ClientGone: The client left.
            Stopped: The server closes or the answer has lasted `longest` seconds.
        """
        rest = memoryview(data)
        while rest:
            try:
                sent = self._sock.send(rest)
            except (BlockingIOError, ssl.SSLWantWriteError):
                if self._await(selectors.EVENT_READ | selectors.EVENT_WRITE) & selectors.EVENT_READ:
                    self._notice()
            except OSError as error:
                raise ClientGone from error
            else:
                self.bytes_sent += sent
                rest = rest[sent:]

    def wait(self, seconds: float) -> None:
        """Keeps silent for `seconds`.

        Raises:
            ClientGone: The client left meanwhile.
            Stopped: The server closes or the answer has lasted `longest` seconds.
        """
        until = self._clock.now() + seconds
        while (now := self._clock.now()) < until:
            if now >= self._end:
                raise Stopped
            if self._poll(selectors.EVENT_READ, min(until, self._end)):
                self._notice()

    def hold(self) -> None:
        """Keeps silent until the client leaves or the server closes; never returns normally.

        Raises:
            ClientGone: The client left.
            Stopped: The server closes or the answer has lasted `longest` seconds.
        """
        self.wait(math.inf)
        raise Stopped

    def reset(self) -> None:
        """Closes with RST."""
        if self._open:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.close()

    def finish(self) -> None:
        """Closes with FIN, and reads on for a moment so that what was sent arrives."""
        if not self._open:
            return
        with contextlib.suppress(OSError, ValueError):
            if isinstance(self._sock, ssl.SSLSocket):
                # Sends close_notify; the client's own is not waited for.
                self._sock.unwrap()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        until = self._clock.now() + _LINGER_SECONDS
        with contextlib.suppress(ClientGone, Stopped):
            while self._poll(selectors.EVENT_READ, until):
                self._notice()
                self._inbox.clear()
        self.close()

    def close(self) -> None:
        """Frees the socket. Safe to call again."""
        if self._open:
            self._open = False
            self._selector.close()
            self._sock.close()

    @property
    def is_open(self) -> bool:
        """Whether the server's side still has the socket."""
        return self._open

    def _take(self, size: int) -> bytes:
        taken = bytes(self._inbox[:size])
        del self._inbox[:size]
        return taken

    def _receive(self) -> bool:
        """Waits for input; False at the end of it."""
        while True:
            try:
                data = self._sock.recv(_READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._await(selectors.EVENT_READ)
            except OSError as error:
                raise ClientGone from error
            else:
                self._inbox += data
                return bool(data)

    def _notice(self) -> None:
        """Reads what made the socket readable: more input is kept for later, the end is `ClientGone`."""
        try:
            data = self._sock.recv(_READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError as error:
            raise ClientGone from error
        if not data:
            # It may be half-closed and still read; HTTP clients do not do that, so it counts as gone.
            raise ClientGone
        self._inbox += data

    def _poll(self, events: int, until: float) -> int:
        """Waits for `events` on the socket; those that came, 0 if none did before `until`."""
        self._selector.modify(self._sock, events)
        came = 0
        for key, ready in self._selector.select(max(0.0, until - self._clock.now())):
            if key.fileobj is not self._sock:
                raise Stopped
            came |= ready
        return came

    def _await(self, events: int) -> int:
        """As `_poll`, for as long as this answer may take; raises `Stopped` after that."""
        came = self._poll(events, self._end)
        if not came and self._clock.now() >= self._end:
            raise Stopped
        return came
