"""What the server saw: one record a request, and waiting for what has not happened yet."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias, final

from resilient_ai.core.clock import Clock

Header: TypeAlias = tuple[str, str]

LEAK: Final = "leak"
"""The fault name under which requests to the other origin are recorded."""

_KEPT: Final = 10_000
"""More than any test sends, so that a server left running does not fill the memory with bodies."""


@final
@dataclass(frozen=True, slots=True)
class ServedRequest:
    """One request, or one connection that never became a request (then `method` and `path` are empty).

    Instants are in seconds of the server's monotonic clock.

    Attributes:
        fault: The fault asked for, with its argument; `leak` for a request at the other origin.
        session: The session id of the URL, or empty.
        visit: Which request of its fault URL and session this was, counted from 1.
        failing: The fault was served; False once `times` are used up or after `heal`.
        method: For example `POST`.
        path: The path and query as sent.
        headers: Names and values as sent, `Authorization` included, for tests of leaks. Not in the repr.
        body: The body as sent. Not in the repr.
        connection: Which connection of the server it came by, counted from 1.
        port: The port it came in by.
        started: When its head and body had arrived.
        finished: When the server was done with it; None while it is not.
        answered: A response was written to its end.
        hung_up: When the client closed the connection before that, or None.
        billed: The model's work was done, so a provider would charge for it.
        bytes_sent: The bytes of the response handed to the kernel.
    """

    fault: str
    session: str
    visit: int
    failing: bool
    method: str
    path: str
    headers: tuple[Header, ...] = field(repr=False)
    body: bytes = field(repr=False)
    connection: int
    port: int
    started: float
    finished: float | None
    answered: bool
    hung_up: float | None
    billed: bool
    bytes_sent: int

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


@final
@dataclass(slots=True)
class Entry:
    """A record while it is being made; written by the one thread that serves the request."""

    fault: str
    session: str
    visit: int
    failing: bool
    method: str
    path: str
    headers: tuple[Header, ...]
    body: bytes
    connection: int
    port: int
    started: float
    finished: float | None = None
    answered: bool = False
    hung_up: float | None = None
    billed: bool = False
    bytes_sent: int = 0

    def snapshot(self) -> ServedRequest:
        """The record as it stands."""
        return ServedRequest(
            fault=self.fault,
            session=self.session,
            visit=self.visit,
            failing=self.failing,
            method=self.method,
            path=self.path,
            headers=self.headers,
            body=self.body,
            connection=self.connection,
            port=self.port,
            started=self.started,
            finished=self.finished,
            answered=self.answered,
            hung_up=self.hung_up,
            billed=self.billed,
            bytes_sent=self.bytes_sent,
        )

    def belongs_to(self, key: str | None) -> bool:
        """Whether `key` is None, the session, the fault with its argument, or the fault's bare name."""
        return key is None or key in {self.session, self.fault, self.fault.partition(":")[0]}


@final
class RequestLog:
    """The records, in the order of arrival; the oldest are forgotten. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._entries: deque[Entry] = deque(maxlen=_KEPT)

    def add(self, entry: Entry) -> None:
        """Records that a request arrived."""
        with self._changed:
            self._entries.append(entry)
            self._changed.notify_all()

    def close(self, entry: Entry, *, hung_up: bool) -> None:
        """Records that the server is done with a request, and whether the client ended it."""
        with self._changed:
            entry.finished = self._clock.now()
            if hung_up:
                entry.hung_up = entry.finished
            self._changed.notify_all()

    def find(self, key: str | None) -> list[ServedRequest]:
        """The records of a session or fault, as they stand."""
        with self._changed:
            return [entry.snapshot() for entry in self._entries if entry.belongs_to(key)]

    def wait_for(
        self, key: str | None, found: Callable[[list[ServedRequest]], bool], timeout: float
    ) -> list[ServedRequest]:
        """The records of `key` once `found` says yes of them.

        Raises:
            TimeoutError: It did not within `timeout` seconds.
        """
        with self._changed:
            done = self._changed.wait_for(lambda: found(self._matching(key)), timeout)
            matching = self._matching(key)
        if not done:
            raise TimeoutError(f"not seen within {timeout} s; of {key!r} the server saw {matching!r}")
        return matching

    def _matching(self, key: str | None) -> list[ServedRequest]:
        return [entry.snapshot() for entry in self._entries if entry.belongs_to(key)]
