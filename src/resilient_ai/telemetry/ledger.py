"""What was spent: tokens and money of every attempt, also of those that failed, were cut off or were asked again.

A bill counts attempts, not answers. What nobody reported stays unknown: it is counted apart and never taken for zero.
"""

from __future__ import annotations

from collections import deque
from dataclasses import astuple, dataclass, fields
from typing import Final, final

from resilient_ai.core.events import AttemptFinished, Event
from resilient_ai.core.fork import ChildLock
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


@final
class _Account:
    """A total that is still growing. Added to in place: it is touched for every attempt of the process."""

    __slots__ = tuple(field.name for field in fields(Spent))

    attempts: int
    failed: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    unmeasured: int
    cost: float
    wasted: float
    unpriced: int

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)
        self.cost = self.wasted = 0.0

    def add(self, attempt: Attempt) -> None:
        usage, cost = attempt.usage, attempt.cost
        self.attempts += 1
        if usage.input_tokens is None or usage.output_tokens is None:
            self.unmeasured += 1
        self.input_tokens += usage.input_tokens or 0
        self.output_tokens += usage.output_tokens or 0
        self.cached_tokens += usage.cached_tokens or 0
        self.reasoning_tokens += usage.reasoning_tokens or 0
        if cost is None:
            self.unpriced += 1
        else:
            self.cost += cost
        if attempt.kind is not None:
            self.failed += 1
            self.wasted += cost or 0.0

    def spent(self) -> Spent:
        return Spent(*(getattr(self, name) for name in self.__slots__))


@final
class Ledger:
    """Adds up what attempts used. An observer; safe to share between threads and tasks.

    Args:
        entries: How many of the latest attempts are kept one by one.
    """

    def __init__(self, *, entries: int = MAX_ENTRIES) -> None:
        self._lock = ChildLock()
        self._by_model: dict[str, _Account] = {}
        self._entries: deque[Entry] = deque(maxlen=entries)

    def __call__(self, event: Event) -> None:
        if not isinstance(event, AttemptFinished):
            return
        key = f"{event.attempt.provider}:{event.attempt.model}"
        with self._lock:
            account = self._by_model.get(key)
            if account is None:
                account = self._open(key)
            account.add(event.attempt)
            self._entries.append(Entry(event.call, event.attempt))

    @property
    def by_model(self) -> dict[str, Spent]:
        """The total of each model, by `provider:name`. A copy."""
        with self._lock:
            return {key: account.spent() for key, account in self._by_model.items()}

    @property
    def total(self) -> Spent:
        """The total of all models."""
        columns = zip(*(astuple(spent) for spent in self.by_model.values()), strict=True)
        return Spent(*(sum(column) for column in columns))

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

    def _open(self, key: str) -> _Account:
        if len(self._by_model) >= MAX_MODELS:
            key = OTHERS
        return self._by_model.setdefault(key, _Account())
