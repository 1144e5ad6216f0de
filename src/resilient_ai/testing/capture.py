"""Everything that happened in a block of a test, as events."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from typing import TYPE_CHECKING, TypeVar, final

from resilient_ai.runtime import observers

if TYPE_CHECKING:
    from resilient_ai.core.events import Event

E = TypeVar("E")


@final
class Captured:
    """The events of a block, in order. Thread safe; usable as an observer by itself."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._events.append(event)

    @property
    def events(self) -> list[Event]:
        """A copy of what was captured so far."""
        with self._lock:
            return list(self._events)

    def of(self, kind: type[E]) -> list[E]:
        """The events of one type."""
        events: list[object] = list(self.events)
        return [event for event in events if isinstance(event, kind)]

    def names(self) -> list[str]:
        """The type names of all events, in order."""
        return [type(event).__name__ for event in self.events]


@contextlib.contextmanager
def capture_events() -> Generator[Captured]:
    """Captures the events of every call of this process while the block runs."""
    captured = Captured()
    observers.add(captured)
    try:
        yield captured
    finally:
        observers.remove(captured)
