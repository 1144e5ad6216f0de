"""Successes and failures of the last seconds, in a fixed number of slices."""

from __future__ import annotations

from typing import Final, final

SLICES: Final = 10
"""A tenth of the window is the error at its far edge."""


@final
class Window:
    """A sliding time window of two counts. Not thread safe: the gate's lock guards it."""

    __slots__ = ("_bad", "_current", "_good", "_slice_seconds")

    def __init__(self, seconds: float) -> None:
        self._slice_seconds = seconds / SLICES
        self._good = [0] * SLICES
        self._bad = [0] * SLICES
        self._current = 0

    def add(self, now: float, *, good: bool) -> None:
        """Counts one attempt that ended at `now`."""
        slot = self._turn_to(now)
        if good:
            self._good[slot] += 1
        else:
            self._bad[slot] += 1

    def counts(self, now: float) -> tuple[int, int]:
        """Good and bad attempts of the window that ends at `now`."""
        self._turn_to(now)
        return sum(self._good), sum(self._bad)

    def clear(self) -> None:
        """Forgets everything."""
        self._good = [0] * SLICES
        self._bad = [0] * SLICES

    def _turn_to(self, now: float) -> int:
        number = int(now // self._slice_seconds)
        passed = number - self._current
        if passed > 0:
            for step in range(min(passed, SLICES)):
                slot = (number - step) % SLICES
                self._good[slot] = 0
                self._bad[slot] = 0
            self._current = number
        return self._current % SLICES
