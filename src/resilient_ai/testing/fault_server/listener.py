"""A listening socket with a thread that accepts, and the ways of not being reachable."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable
from typing import Final, Literal, TypeAlias, final

from resilient_ai.testing.fault_server.address import Address
from resilient_ai.testing.fault_server.connection import Selector, StopSignal
from resilient_ai.testing.fault_server.fault import Entrance

HOST: Final = "127.0.0.1"

Kind: TypeAlias = Literal["port", "blackhole", "refused"]

_BACKLOG: Final = 512
_FILLERS: Final = 8
"""Connections tried to fill a backlog of 0. Linux is full after one, macOS after a few."""
_FULL_SECONDS: Final = 0.2
"""On loopback a connection that stands at all stands within a millisecond."""
_BREATH_SECONDS: Final = 0.05
"""A pause after accept failed for want of descriptors; the connection stays in the backlog."""


@final
class Listener:
    """Owns one port of the loopback interface. `close` must be called, after the stop signal is set.

    Attributes:
        port: The port.
        kind: What the port does until `open`.
        address: The fault URL the port belongs to; None for a shared port.
        entrance: How the fault behaves before there is a request; None for plain HTTP.
        elsewhere: The port is the other origin, where whatever arrives has leaked.
    """

    def __init__(
        self,
        stop: StopSignal,
        accepted: Callable[[socket.socket, Listener], None],
        *,
        port: int = 0,
        kind: Kind = "port",
        address: Address | None = None,
        entrance: Entrance | None = None,
        elsewhere: bool = False,
    ) -> None:
        self.kind = kind
        self.address = address
        self.entrance = entrance
        self.elsewhere = elsewhere
        self._stop = stop
        self._accepted = accepted
        self._fillers: list[socket.socket] = []
        self._thread: threading.Thread | None = None
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if port:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._sock.bind((HOST, port))
            self.port: int = self._sock.getsockname()[1]
            if kind == "blackhole":
                self._fill_backlog()
        except BaseException:
            self.close()
            raise
        if kind == "port":
            self.open()

    def open(self) -> None:
        """Starts to accept; a port that could not be reached can be now. Safe to call again."""
        if self._thread is not None:
            return
        for filler in self._fillers:
            filler.close()
        self._sock.listen(_BACKLOG)
        self._sock.setblocking(False)
        name = f"fault-server-port-{self.port}"
        self._thread = threading.Thread(target=self._accept, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread and frees the port."""
        if self._thread is not None:
            self._thread.join()
        for filler in self._fillers:
            filler.close()
        self._sock.close()

    def _fill_backlog(self) -> None:
        """Connects to the port until the kernel takes no more, and keeps the connections."""
        self._sock.listen(0)
        for _ in range(_FILLERS):
            filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._fillers.append(filler)
            filler.settimeout(_FULL_SECONDS)
            try:
                filler.connect((HOST, self.port))
            except TimeoutError:
                return
        raise OSError("this system does not leave a full backlog unanswered")

    def _accept(self) -> None:
        with Selector() as selector, Selector() as breath:
            selector.register(self._sock, selectors.EVENT_READ)
            selector.register(self._stop, selectors.EVENT_READ)
            breath.register(self._stop, selectors.EVENT_READ)
            while all(key.fileobj is self._sock for key, _ in selector.select()):
                try:
                    client, _ = self._sock.accept()
                except BlockingIOError:
                    continue
                except OSError:
                    breath.select(_BREATH_SECONDS)
                    continue
                self._accepted(client, self)
