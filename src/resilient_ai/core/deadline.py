"""The deadline of a logical call: one absolute monotonic instant that nested calls share."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

if TYPE_CHECKING:
    from resilient_ai.core.clock import Clock

Around: TypeAlias = "tuple[Clock, float] | list[Any] | None"
"""A clock and an instant on it. A list may be changed by whoever set it: that of a block of code, which may be left where the context it was
entered in is out of reach. Without a clock it bounds nothing any more."""

CURRENT_DEADLINE: Final[ContextVar[Around]] = ContextVar("resilient_ai.deadline", default=None)
"""The clock of the call around this code and the instant by which its attempt must have answered; None outside one."""


@final
class AttemptTimeout(Exception):
    """The time of an attempt is up. Raised by a runtime or a model, turned into a `ModelError` by the orchestrator.

    Attributes:
        phase: Which clock ran out: `connect`, `first_token`, `idle` or `attempt`.
        sent: Whether the request had left; None where that is not known.
    """

    def __init__(self, phase: str = "attempt", *, sent: bool | None = None) -> None:
        super().__init__(phase)
        self.phase = phase
        self.sent = sent


def earliest(clock: Clock, now: float, seconds: float) -> float:
    """The instant `seconds` from `now`, or that of the attempt around this code, whichever comes first.

    A nested call thus never outlives the one that made it. An attempt on another clock (a test's) sets no bound.
    """
    around = CURRENT_DEADLINE.get()
    own = now + seconds
    return own if around is None or around[0] is not clock else min(own, around[1])


def remaining_seconds() -> float | None:
    """Seconds the attempt around this code has left, for a function that answers in a chain; None outside one.

    May be negative: the time is up, and the answer, if one still comes, is late.
    """
    around = CURRENT_DEADLINE.get()
    if around is None or around[0] is None:
        return None
    left: float = around[1] - around[0].now()
    return left
