"""The scope of the attempt that is on the wire in this thread or task, for the network backends below the HTTP client."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from resilient_ai.core.deadline import AttemptTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_ai.core.model import Scope

CURRENT: Final[ContextVar[Scope | None]] = ContextVar("resilient_ai.http_scope", default=None)
UNTIL: Final[ContextVar[float | None]] = ContextVar("resilient_ai.http_until", default=None)
"""An instant nearer than the scope's own, while a stream waits for its next content."""

HOLD_BYTES: Final = 64 * 1024
"""What is written is held back up to this size, to be sent together; a larger request gains nothing by it."""


def remaining(stop: Callable[[], None] | None = None) -> float | None:
    """Seconds the current operation may take; None outside an attempt.

    Args:
        stop: Ends that operation from another thread, for an attempt that may be called off.

    Raises:
        AttemptTimeout: None are left.
    """
    scope = CURRENT.get()
    if scope is None:
        return None
    until = UNTIL.get()
    left = (scope.until if until is None else min(until, scope.until)) - scope.clock.now()
    if left <= 0:
        raise AttemptTimeout
    if stop is not None and scope.brake is not None:
        scope.brake.holds(stop)
    return left


def connect_seconds() -> float | None:
    """Seconds a connection may take now; None outside an attempt.

    Raises:
        AttemptTimeout: None are left.
    """
    left = remaining()
    scope = CURRENT.get()
    return left if left is None or scope is None else min(left, scope.connect)


def free_brake() -> None:
    """The connection of the current attempt is about to be closed or given back: nobody may end what it does next."""
    scope = CURRENT.get()
    if scope is not None and scope.brake is not None:
        scope.brake.free()


def mark_sent() -> None:
    """Bytes of the request are leaving: from here on a replay may be billed twice."""
    scope = CURRENT.get()
    if scope is not None:
        scope.notes["sent"] = True
