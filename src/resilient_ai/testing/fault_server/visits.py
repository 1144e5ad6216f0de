"""How often each fault URL was asked for, and whether it still fails."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

from resilient_ai.testing.fault_server.address import Address


@final
@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a fault URL.

    Attributes:
        number: Counted from 1, for each fault, argument, times and session.
        failing: The fault is due.
        in_flight: How many are being served now, this one included.
    """

    number: int
    failing: bool
    in_flight: int


@final
class Visits:
    """Counts. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count: Counter[str] = Counter()
        self._in_flight: Counter[str] = Counter()
        self._healed: set[str] = set()

    @contextmanager
    def visit(self, address: Address) -> Generator[Visit]:
        """Counts a request, and that it is being served while the context lasts."""
        key = address.path
        with self._lock:
            failing = self._fails(address)
            self._count[key] += 1
            self._in_flight[key] += 1
            visit = Visit(self._count[key], failing, self._in_flight[key])
        try:
            yield visit
        finally:
            with self._lock:
                self._in_flight[key] -= 1

    def fails(self, address: Address) -> bool:
        """Whether the next request will meet the fault."""
        with self._lock:
            return self._fails(address)

    def heal(self, key: str) -> None:
        """Ends the faults of a session, or a fault by name."""
        with self._lock:
            self._healed.add(key)

    def _fails(self, address: Address) -> bool:
        if any(address.belongs_to(key) for key in self._healed):
            return False
        return address.times is None or self._count[address.path] < address.times
