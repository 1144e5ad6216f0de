"""Ends blocking reads that last too long although nobody can tell them to hurry: their time was told to the socket when they began."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final, final

from resilient_ai.core.brake import Brake
from resilient_ai.core.fork import reset_in_child

TICK_SECONDS: Final = 0.05
IDLE_TICKS: Final = 40
"""So long the thread stays for the next read. Starting one costs more than all else here."""


@final
class Watch:
    """Shuts down the connection of what it is told of and not told to forget for one tick, two at the most.

    One thread looks, for as long as there is something to look at. Safe to share between threads.
    """

    __slots__ = ("__weakref__", "_lock", "_new", "_old", "_thread")

    def __init__(self) -> None:
        self.reset_lock()
        reset_in_child(self)

    def reset_lock(self) -> None:
        """In a forked child: begins with nothing. What the parent reads goes on there, by connections that both hold."""
        self._lock = threading.RLock()
        self._new: set[Brake] = set()
        self._old: set[Brake] = set()
        self._thread: threading.Thread | None = None

    def begin(self, connection: socket.socket) -> Brake:
        """A read of `connection` begins; what is given is to be handed to `end`."""

        def stop() -> None:
            with contextlib.suppress(OSError):  # gone already
                # Not through the TLS layer, whose own shutdown is not for two threads.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

        brake = Brake()
        brake.holds(stop)
        with self._lock:
            self._new.add(brake)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._look, name="resilient-ai watch", daemon=True)
                self._thread.start()
        return brake

    def end(self, brake: Brake) -> None:
        """The read has ended, and its connection may serve others."""
        brake.free()
        with self._lock:
            self._new.discard(brake)
            self._old.discard(brake)

    def _look(self) -> None:
        idle, tick = 0, threading.Event()
        while True:
            tick.wait(TICK_SECONDS)
            with self._lock:
                late, self._old, self._new = self._old, self._new, set()
                idle = 0 if late or self._old else idle + 1
                if idle > IDLE_TICKS:
                    self._thread = None
                    return
            for brake in late:
                brake.pull()


WATCH: Final = Watch()


def last_of(pieces: Iterator[bytes], network: Any) -> bytes | None:
    """What comes next of a blocking body that should come to its end now; None there. Where nothing comes its connection is shut down.

    Args:
        pieces: The body.
        network: The connection, as httpcore shows it, which nobody else uses; None where there is none.

    Raises:
        Exception: What the HTTP library raises, also where the connection was shut down.
    """
    if network is None or network.get_extra_info("is_readable"):
        return next(pieces, None)
    connection = network.get_extra_info("socket")
    if not isinstance(connection, socket.socket):
        return next(pieces, None)
    brake = WATCH.begin(connection)
    try:
        return next(pieces, None)
    finally:
        WATCH.end(brake)
