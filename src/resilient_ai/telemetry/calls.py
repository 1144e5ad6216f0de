"""What an observer remembers of the calls in flight, bounded.

A call that is abandoned (a stream nobody closes, a task that is lost) may never report its end. Its state must not stay
for the life of the process: past the bound the oldest call is given up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar, final

from resilient_ai.core.fork import ChildLock

T = TypeVar("T")

MAX_CALLS: Final = 16_384
"""Calls in flight that are remembered: more than a process can have open sockets at the usual limits."""


@final
class Calls(Generic[T]):
    """States by call number. Safe to share between threads.

    Args:
        given_up: Receives the state of a call that was pushed out, or that was left when `drain` was called.
        limit: How many calls are remembered.
    """

    __slots__ = ("__weakref__", "_given_up", "_limit", "_lock", "_states")

    def __init__(self, given_up: Callable[[T], None], *, limit: int = MAX_CALLS) -> None:
        self._given_up = given_up
        self._limit = limit
        self._lock = ChildLock()
        self._states: dict[int, T] = {}

    def __len__(self) -> int:
        return len(self._states)

    def put(self, call: int, state: T) -> None:
        """Remembers the state of a call that began, giving up the oldest call if there is no room."""
        oldest: T | None = None
        with self._lock:
            if len(self._states) >= self._limit:
                # A dictionary keeps the order of insertion: the first key is the oldest call.
                oldest = self._states.pop(next(iter(self._states)))
            self._states[call] = state
        if oldest is not None:
            self._given_up(oldest)

    def get(self, call: int) -> T | None:
        """The state of a call, or None if it is not known."""
        return self._states.get(call)

    def pop(self, call: int) -> T | None:
        """The state of a call, which is forgotten, or None if it is not known."""
        with self._lock:
            return self._states.pop(call, None)

    def drain(self) -> None:
        """Gives up every call that is left."""
        with self._lock:
            left = list(self._states.values())
            self._states.clear()
        for state in left:
            self._given_up(state)
