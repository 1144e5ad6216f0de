"""Successes and failures of the last seconds, in a fixed number of slices."""

from __future__ import annotations

from typing import Final, final

SLICES: Final = 10
"""A tenth of the window is the error at its far edge."""


@final
class Window:
    """A sliding time window of two counts. Not thread safe: the lock of its owner guards it."""

    __slots__ = ("_bad", "_current", "_good", "_slice_seconds")

    def __init__(self, seconds: float) -> None:
        self._slice_seconds = seconds / SLICES
        self._good = [0] * SLICES
        self._bad = [0] * SLICES
        self._current = 0

    def add(self, now: float, *, good: bool) -> None:
        """Counts one attempt that ended at `now`."""
        number = now // self._slice_seconds
        if number > self._current:
            self._turn_to(int(number))
        counts = self._good if good else self._bad
        counts[self._current % SLICES] += 1

    def turn_bad(self, now: float) -> None:
        """One of the attempts counted as good, the latest, was bad after all; one that has left the window is counted as a bad one now."""
        self.counts(now)
        for number in range(self._current, self._current - SLICES, -1):
            slot = number % SLICES
            if self._good[slot]:
                self._good[slot] -= 1
                self._bad[slot] += 1
                return
        self.add(now, good=False)

    def counts(self, now: float) -> tuple[int, int]:
        """Good and bad attempts of the window that ends at `now`."""
        number = now // self._slice_seconds
        if number > self._current:
            self._turn_to(int(number))
        return sum(self._good), sum(self._bad)

    def clear(self) -> None:
        """Forgets everything."""
        self._good = [0] * SLICES
        self._bad = [0] * SLICES

    def _turn_to(self, number: int) -> None:
        """Empties the slices that began since the last look, up to `number`."""
        for step in range(min(number - self._current, SLICES)):
            slot = (number - step) % SLICES
            self._good[slot] = 0
            self._bad[slot] = 0
        self._current = number
