"""From seconds and counts to places in the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEPS: Final = (1.0, 2.0, 5.0)
"""Readers count in these."""


@final
@dataclass(frozen=True, slots=True)
class Linear:
    """Values from `low` to `high` spread evenly from `start` to `end` (which may be smaller: upwards in a picture)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where `value` is; beyond the ends at the end."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.0
        return self.start + max(0.0, min(1.0, share)) * (self.end - self.start)


@final
@dataclass(frozen=True, slots=True)
class Log:
    """As `Linear`, by ratio: 10 ms to 100 ms is as far as 100 ms to 1 s. `low` is above 0."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where `value` is; beyond the ends at the end."""
        inner = Linear(math.log(self.low), math.log(self.high), self.start, self.end)
        return inner(math.log(max(self.low, value)))


def ticks(high: float, most: int) -> list[float]:
    """At most `most` round steps above 0 up to `high`, evenly spaced, 0 first."""
    if high <= 0:
        return [0.0]
    power = 10.0 ** math.floor(math.log10(high / most))
    step = next(power * factor for factor in (*_STEPS, 10.0, 20.0) if high / (power * factor) <= most)
    return [step * number for number in range(int(high / step + 1e-9) + 1)]


def decades(low: float, high: float) -> list[float]:
    """The powers of ten, and their triples, from `low` to `high`."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    marks = [factor * 10.0**power for power in range(first, last + 1) for factor in (1.0, 3.0)]
    return [mark for mark in marks if low <= mark <= high]


def per_bin(instants: Sequence[float], width: float, seconds: float) -> list[int]:
    """How many of `instants` fall into each stretch of `width` seconds, up to `seconds`."""
    counts = [0] * max(1, math.ceil(seconds / width))
    for instant in instants:
        counts[min(len(counts) - 1, max(0, int(instant / width)))] += 1
    return counts
