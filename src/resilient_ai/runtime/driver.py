"""What the orchestrator needs of the world: a way to wait, a way to bound work in time, a place in a line.

`aio` suspends, `blocking` blocks. The orchestrator is written once against this and never asks which it runs on.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Protocol, TypeVar

from resilient_ai.core.clock import Clock

T = TypeVar("T")


class Place(Protocol):
    """Waits for a place in a concurrency limit (`policies.limits.Waiter`)."""

    def wake(self) -> bool:
        """Lets the call go on; False if nobody is left to go on."""
        ...

    async def wait(self, until: float) -> bool:
        """Waits until woken (True) or until the instant `until` (False)."""
        ...


class Driver(Protocol):
    """One colour of execution."""

    @property
    def blocking(self) -> bool:
        """Coroutines run here must never suspend."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock all instants are on."""
        ...

    async def sleep_until(self, until: float) -> None:
        """Waits until the instant `until`."""
        ...

    def bounded(self, work: Coroutine[object, object, T], until: float) -> Coroutine[object, object, T]:
        """Awaited: the result of `work`, ended at the instant `until`.

        Raises:
            AttemptTimeout: Time was up. A blocking driver leaves raising it to the work itself, which knows what it waits for.
        """
        ...

    def place(self) -> Place:
        """Something to wait on for a place."""
        ...
