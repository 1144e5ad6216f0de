"""The deadline of a logical call: one absolute monotonic instant that nested calls share."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

CURRENT_DEADLINE: Final[ContextVar[float | None]] = ContextVar("resilient_ai.deadline", default=None)
"""The instant by which the call around this code must have answered, on the clock of that call; None outside one."""


def earliest(now: float, seconds: float | None) -> float:
    """The instant `seconds` from `now`, or the deadline of the call around, whichever comes first.

    A nested call thus never outlives the call that made it. None as `seconds` adds no bound of its own.
    """
    around = CURRENT_DEADLINE.get()
    own = float("inf") if seconds is None else now + seconds
    return own if around is None else min(own, around)
