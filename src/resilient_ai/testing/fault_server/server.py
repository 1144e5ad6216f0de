"""FaultServer: what a test holds. Ports and threads here, conversations elsewhere."""

from __future__ import annotations

import itertools
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, final

from resilient_ai.core.clock import SYSTEM_CLOCK, Clock
from resilient_ai.testing.fault_server.address import Address
from resilient_ai.testing.fault_server.catalogue import CATALOGUE, lookup
from resilient_ai.testing.fault_server.connection import Connection, StopSignal
from resilient_ai.testing.fault_server.conversation import Books, Conversation
from resilient_ai.testing.fault_server.dialects import BASE_PATHS, DialectName
from resilient_ai.testing.fault_server.dialects.answer import TEXT, TOKENS, TokenCount
from resilient_ai.testing.fault_server.fault import Entrance, Fault
from resilient_ai.testing.fault_server.listener import HOST, Listener
from resilient_ai.testing.fault_server.record import RequestLog, ServedRequest
from resilient_ai.testing.fault_server.tls import certificate_path, trusting_context
from resilient_ai.testing.fault_server.visits import Visits

_NOWHERE: Final = "fault-server.invalid"
"""A name that never resolves. Source: RFC 6761, section 6.4."""

_LONGEST_SECONDS: Final = 60.0
"""Longer than any sensible deadline in a test, shorter than the patience of a test run."""

_FLOOD_BYTES: Final = 512 << 20
"""More than any sensible limit of a client, less than the memory of the machine it runs on."""

_JOIN_SECONDS: Final = 10.0
_SESSION: Final = re.compile(r"[\w.-]*", re.ASCII)
_TLS_ENTRANCE: Final = Entrance(certificate="loopback", scheme="https")


@final
class FaultServer:
    """Serves every fault an LLM provider has been seen with, on loopback, by URL.

    Binds 127.0.0.1 only. Every connection has a thread of its own; all of them end with `close`. Methods are
    thread-safe. Use as a context manager, or call `start` and `close`.

    Args:
        port: The port of plain HTTP; 0 lets the system choose.
        longest: Seconds after which any one answer is cut off with RST.
        flood_bytes: After this much an endless answer falls silent.
        clock: Where time is read. Waiting is real whatever the clock says.

    Attributes:
        text: The text of every good answer.
        usage: The token counts of every good answer.
        catalogue: Every fault by name.
    """

    text: Final[str] = TEXT
    usage: Final[TokenCount] = TOKENS
    catalogue: Final[Mapping[str, Fault]] = CATALOGUE

    def __init__(
        self,
        *,
        port: int = 0,
        longest: float = _LONGEST_SECONDS,
        flood_bytes: int = _FLOOD_BYTES,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._wanted_port = port
        self._longest = longest
        self._clock = clock
        self._books = Books(RequestLog(clock), Visits(), clock, flood_bytes)
        self._state: Literal["new", "running", "closed"] = "new"
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._listeners: dict[str, Listener] = {}
        self._threads: set[threading.Thread] = set()

    def start(self) -> Self:
        """Starts to listen.

        Raises:
            RuntimeError: It was started before.
            OSError: The port is taken.
        """
        with self._lock:
            if self._state != "new":
                raise RuntimeError("a FaultServer starts once")
            self._stop = StopSignal()
            try:
                # First, because a conversation by any other port needs to know this one.
                self._listen("elsewhere", elsewhere=True)
                self._listen("http", port=self._wanted_port)
            except OSError:
                self._release()
                raise
            self._state = "running"
        return self

    def close(self) -> None:
        """Ends every connection and every thread. Safe to call again.

        Raises:
            RuntimeError: A thread did not end.
        """
        with self._lock:
            if self._state != "running":
                return
            self._state = "closed"
        self._release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port of plain HTTP."""
        return self._running("http").port

    @property
    def certificate(self) -> Path:
        """The PEM file a client must trust for `tls=True`. Its private key is public: for tests only."""
        return certificate_path("loopback")

    @staticmethod
    def client_tls() -> ssl.SSLContext:
        """A client's TLS context that trusts this server, and nothing else."""
        return trusting_context()

    def url(
        self,
        fault: str = "none",
        *,
        dialect: DialectName = "openai",
        times: int | None = None,
        session: str = "",
        tls: bool = False,
    ) -> str:
        """The base URL under which a client of `dialect` meets `fault`.

        Requests are counted for each fault, argument, `times` and session: give every test a session of its
        own and they can share one server.

        Args:
            fault: A name of the catalogue, with an argument if it takes one (`status:503`).
            dialect: Whose paths the client appends to the URL.
            times: Serve the fault so many times, then be healthy; None is for ever.
            session: Letters, digits, `_`, `.` and `-`.
            tls: Serve it over TLS, for a client that trusts `certificate`.

        Raises:
            ValueError: There is no such fault, or it cannot be had with these options.
            RuntimeError: The server is not running.
            OSError: `connect-blackhole` on a system that answers in spite of a full backlog.
        """
        if not _SESSION.fullmatch(session):
            raise ValueError(f"a session is letters, digits, '_', '.' and '-', got {session!r}")
        asked = Address.parse(fault)
        address = Address(
            asked.name,
            asked.argument,
            asked.times if times is None else times,
            session or asked.session,
        )
        found = lookup(address.name, address.argument)
        return self._origin(address, found.entrance, tls=tls) + address.path + BASE_PATHS[dialect]

    def heal(self, key: str) -> None:
        """Makes the faults of a session, or a fault by name, healthy from now on."""
        self._running("http")
        self._books.visits.heal(key)
        with self._lock:
            for listener in self._listeners.values():
                if listener.address is not None and listener.address.belongs_to(key):
                    listener.open()

    def requests(self, key: str | None = None) -> list[ServedRequest]:
        """What arrived, oldest first: of a session, of a fault (with or without its argument), or all of it.

        `requests("leak")` is what was sent to the other origin of the redirect faults. The last 10,000 requests
        are kept.
        """
        return self._books.log.find(key)

    def wait_for_requests(
        self, key: str | None = None, *, count: int = 1, timeout: float = 5.0
    ) -> list[ServedRequest]:
        """Blocks until `count` requests of `key` are over, and returns all of `key`.

        Raises:
            TimeoutError: They are not within `timeout` seconds.
        """

        def over(seen: list[ServedRequest]) -> bool:
            return sum(each.finished is not None for each in seen) >= count

        return self._books.log.wait_for(key, over, timeout)

    def wait_for_hang_up(
        self, key: str | None = None, *, count: int = 1, timeout: float = 5.0
    ) -> ServedRequest:
        """Blocks until a client closed the connection before the answer's end, and returns that request.

        Args:
            key: As for `requests`.
            count: Wait for the `count`-th such request.
            timeout: Seconds to wait.

        Raises:
            TimeoutError: None did within `timeout` seconds.
        """

        def left(seen: list[ServedRequest]) -> bool:
            return sum(each.hung_up is not None for each in seen) >= count

        seen = self._books.log.wait_for(key, left, timeout)
        return [each for each in seen if each.hung_up is not None][count - 1]

    # Ports.

    def _release(self) -> None:
        """Ends the threads, those that accept before those they might start, and frees the descriptors."""
        self._stop.set()
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)
            if thread.is_alive():
                raise RuntimeError(f"{thread.name} did not end")
        self._stop.close()

    def _running(self, name: str) -> Listener:
        if self._state != "running":
            raise RuntimeError("the FaultServer is not running")
        return self._listeners[name]

    def _listen(self, name: str, *, port: int = 0, elsewhere: bool = False) -> Listener:
        listener = Listener(self._stop, self._accepted, port=port, elsewhere=elsewhere)
        self._listeners[name] = listener
        return listener

    def _origin(self, address: Address, entrance: Entrance | None, *, tls: bool) -> str:
        if entrance is None:
            if not tls:
                return f"http://{HOST}:{self.port}"
            return f"https://{HOST}:{self._own_port('https', None, _TLS_ENTRANCE)}"
        if tls:
            raise ValueError(f"{address.name!r} has a way in of its own: leave out tls")
        if address.times is not None and not entrance.counts:
            raise ValueError(f"the server does not see attempts at {address.name!r}: use heal, not times")
        if entrance.kind == "nowhere":
            return f"{entrance.scheme}://{_NOWHERE}:{self.port}"
        return f"{entrance.scheme}://{HOST}:{self._own_port(address.path, address, entrance)}"

    def _own_port(self, name: str, address: Address | None, entrance: Entrance) -> int:
        self._running("http")
        with self._lock:
            listener = self._listeners.get(name)
            if listener is None:
                kind = "port" if entrance.kind == "nowhere" else entrance.kind
                listener = Listener(self._stop, self._accepted, kind=kind, address=address, entrance=entrance)
                self._listeners[name] = listener
                if address is not None and not self._books.visits.fails(address):
                    listener.open()
            return listener.port

    def _accepted(self, sock: socket.socket, listener: Listener) -> None:
        """Gives an accepted connection a thread. Called by the thread of its port."""
        connection = Connection(
            sock,
            self._stop,
            self._clock,
            longest=self._longest,
            number=next(self._numbers),
            port=listener.port,
        )
        elsewhere = self._listeners["elsewhere"].port
        conversation = Conversation(connection, listener, self._books, elsewhere=elsewhere)
        name = f"fault-server-connection-{connection.number}"
        thread = threading.Thread(target=conversation.run, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The system has no more threads; the client sees a connection that closes.
            connection.close()
            return
        with self._lock:
            self._threads = {each for each in self._threads if each.is_alive()} | {thread}
