"""How much is sent at a time: concurrency with a bounded queue, requests and tokens per minute, and the provider's own pace.

Concurrency belongs to a chain and is asked first: a call that cannot start soon is shed before it costs anything. Rates belong to a
model and are asked before each attempt.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Protocol, final

from resilient_ai.core.fork import reset_in_child
from resilient_ai.errors import ConfigError
from resilient_ai.policies.options import check_kinds

QUEUE: Final = 64
"""Calls that may wait for a place where a concurrency limit is set."""
BURST_SECONDS: Final = 10.0
"""Seconds' worth of a per-minute rate that may be sent at once: providers enforce their minutes in slices this short."""


@final
@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what is sent.

    Attributes:
        concurrency: Calls of the chain in flight at a time, or None for no bound.
        queue: Calls that may wait for a place; one more is shed with `Overloaded`.
        requests_per_minute: Attempts a minute at one model, or None.
        tokens_per_minute: Tokens a minute at one model, estimated before and corrected after, or None.
    """

    concurrency: int | None = None
    queue: int = QUEUE
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None

    def __post_init__(self) -> None:
        check_kinds(self)
        for name in ("concurrency", "requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"Limits.{name} is {value!r}; it must be above 0, or None for no bound.")
        if self.queue < 0:
            raise ConfigError(f"Limits.queue is {self.queue!r}; it must not be negative.")


class Waiter(Protocol):
    """Something a call waits on for its place."""

    def wake(self) -> bool:
        """Lets the call go on; False if nobody is left to go on. Called once, from any thread; never blocks."""
        ...


@final
class Concurrency:
    """The places of one chain, and the line before them, first come first served. Thread safe, shared by tasks and threads.

    A forked child begins with every place free.
    """

    __slots__ = ("__weakref__", "_line", "_lock", "active", "limit", "queue")

    def __init__(self, limits: Limits) -> None:
        self.limit = limits.concurrency
        self.queue = limits.queue
        self.active = 0
        self._line: OrderedDict[int, Waiter] = OrderedDict()
        # Re-entrant: a stream that the collector drops gives back what it holds, perhaps in a thread that is just in here.
        self._lock = threading.RLock()
        reset_in_child(self)

    @property
    def waiting(self) -> int:
        """Calls in the line."""
        return len(self._line)

    def enter(self, waiter: Waiter | None) -> bool | None:
        """Takes a place: True if taken, False if `waiter` was put in the line, None if the line is full.

        A woken waiter owns a place. Every place is given back by exactly one `leave`.
        """
        with self._lock:
            if self.limit is None or (self.active < self.limit and not self._line):
                self.active += 1
                return True
            if waiter is None or len(self._line) >= self.queue:
                return None
            self._line[id(waiter)] = waiter
            return False

    def leave(self) -> None:
        """Gives a place back, to the first in the line if there is one."""
        while True:
            with self._lock:
                if not self._line:
                    if (
                        self.active
                    ):  # a child forked in the middle of a call leaves a place that it has begun without
                        self.active -= 1
                    return
                _, heir = self._line.popitem(last=False)
            if heir.wake():
                return

    def give_up(self, waiter: Waiter) -> None:
        """Leaves the line; if a place was handed over in the meantime, it is passed on."""
        with self._lock:
            if self._line.pop(id(waiter), None) is not None:
                return
        self.leave()

    def reset_lock(self) -> None:
        """Forgets in a forked child who was in the parent's places and in its line."""
        self._lock = threading.RLock()
        self._line.clear()
        self.active = 0


@final
class Pace:
    """When one model may be asked next: its rates, and the wait the provider asked for. Thread safe."""

    __slots__ = (
        "_lock",
        "_next_request",
        "_next_token",
        "_request_seconds",
        "_token_seconds",
        "counts",
        "held_until",
    )

    def __init__(self, limits: Limits) -> None:
        self._request_seconds = 60.0 / limits.requests_per_minute if limits.requests_per_minute else 0.0
        self._token_seconds = 60.0 / limits.tokens_per_minute if limits.tokens_per_minute else 0.0
        self._next_request = float("-inf")
        self._next_token = float("-inf")
        self.counts = bool(self._request_seconds or self._token_seconds)
        """A rate is set, so that every attempt has to ask."""
        self.held_until = float("-inf")
        self._lock = threading.RLock()

    def hold(self, until: float) -> None:
        """The provider asked for no request before `until`. Only ever extended."""
        self.held_until = max(self.held_until, until)

    def book(self, now: float, tokens: int, latest: float) -> float | None:
        """Books one attempt of about `tokens` tokens: the instant it may start, or None if that is after `latest`.

        A virtual schedule: each booking pushes the next one back; up to `BURST_SECONDS` worth may start at once.
        """
        with self._lock:
            start = now
            if self._request_seconds:
                start = max(start, self._next_request - max(0.0, BURST_SECONDS - self._request_seconds))
            if self._token_seconds:
                start = max(start, self._next_token - BURST_SECONDS)
            if start > latest:
                return None
            if self._request_seconds:
                self._next_request = max(self._next_request, now) + self._request_seconds
            if self._token_seconds:
                self._next_token = max(self._next_token, now) + self._token_seconds * tokens
            return start

    def correct(self, tokens: int) -> None:
        """The last attempt used `tokens` more (or, negative, fewer) than were booked."""
        if self._token_seconds and tokens:
            with self._lock:
                self._next_token += self._token_seconds * tokens

    def reset_lock(self) -> None:
        """Replaces the lock in a forked child, where another thread may have held it."""
        self._lock = threading.RLock()
