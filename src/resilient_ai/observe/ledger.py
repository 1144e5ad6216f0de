"""What was spent: tokens and money of every attempt, also of those that failed, were cut off or were asked again.

A bill counts attempts, not answers. What nobody reported stays unknown: it is counted apart and never taken for zero.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final, final

from resilient_ai.core.events import AttemptFinished, Event
from resilient_ai.messages import Attempt

MAX_ENTRIES: Final = 1000
"""Latest attempts kept one by one. The totals go on counting."""

MAX_MODELS: Final = 1000
"""Models totalled apart; more than that are totalled together."""

OTHERS: Final = "(others)"
"""Key of the models past `MAX_MODELS` in `Ledger.by_model`."""


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt of one call."""

    call: int
    attempt: Attempt


@final
@dataclass(frozen=True, slots=True)
class Spent:
    """A total over attempts.

    Attributes:
        attempts: Requests sent.
        failed: Those of them that gave no usable answer.
        input_tokens: Sum over the attempts that reported it.
        output_tokens: Sum over the attempts that reported it.
        cached_tokens: The part of the input read from a cache.
        reasoning_tokens: The part of the output spent on reasoning.
        unmeasured: Attempts whose tokens are unknown, in whole or in part.
        cost: Sum over the attempts of known cost, in the currency of the prices; 0.0 if there are none.
        wasted: The part of `cost` spent on attempts that gave no usable answer.
        unpriced: Attempts whose cost is unknown: `cost` is complete only if this is 0.
    """

    attempts: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    unmeasured: int = 0
    cost: float = 0.0
    wasted: float = 0.0
    unpriced: int = 0

    def plus(self, other: Spent) -> Spent:
        """Both together."""
        return Spent(
            self.attempts + other.attempts,
            self.failed + other.failed,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.unmeasured + other.unmeasured,
            self.cost + other.cost,
            self.wasted + other.wasted,
            self.unpriced + other.unpriced,
        )


_NOTHING: Final = Spent()


@final
class Ledger:
    """Adds up what attempts used. An observer; safe to share between threads and tasks.

    Args:
        entries: How many of the latest attempts are kept one by one.
    """

    def __init__(self, *, entries: int = MAX_ENTRIES) -> None:
        self._lock = threading.Lock()
        self._by_model: dict[str, Spent] = {}
        self._entries: deque[Entry] = deque(maxlen=entries)

    def __call__(self, event: Event) -> None:
        if not isinstance(event, AttemptFinished):
            return
        spent = _spent(event.attempt)
        key = f"{event.attempt.provider}:{event.attempt.model}"
        with self._lock:
            if key not in self._by_model and len(self._by_model) >= MAX_MODELS:
                key = OTHERS
            self._by_model[key] = self._by_model.get(key, _NOTHING).plus(spent)
            self._entries.append(Entry(event.call, event.attempt))

    @property
    def by_model(self) -> dict[str, Spent]:
        """The total of each model, by `provider:name`. A copy."""
        with self._lock:
            return dict(self._by_model)

    @property
    def total(self) -> Spent:
        """The total of all models."""
        total = _NOTHING
        for spent in self.by_model.values():
            total = total.plus(spent)
        return total

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The latest attempts, oldest first. A copy."""
        with self._lock:
            return tuple(self._entries)

    def clear(self) -> None:
        """Begins anew."""
        with self._lock:
            self._by_model.clear()
            self._entries.clear()


def _spent(attempt: Attempt) -> Spent:
    usage = attempt.usage
    failed = attempt.kind is not None
    cost = attempt.cost or 0.0
    return Spent(
        attempts=1,
        failed=int(failed),
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        cached_tokens=usage.cached_tokens or 0,
        reasoning_tokens=usage.reasoning_tokens or 0,
        unmeasured=int(usage.input_tokens is None or usage.output_tokens is None),
        cost=cost,
        wasted=cost if failed else 0.0,
        unpriced=int(attempt.cost is None),
    )
