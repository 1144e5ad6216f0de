"""What the orchestrator needs of the world: a way to wait, to bound work in time, to stand in a line, to run attempts beside each other.

`aio` suspends, `blocking` blocks. The orchestrator is written once against this and never asks which it runs on.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar, final

from resilient_ai.core.clock import Clock

if TYPE_CHECKING:
    from resilient_ai.core.model import Scope
    from resilient_ai.engine.steps import Ask
    from resilient_ai.messages import Reply

T = TypeVar("T")


class Place(Protocol):
    """Waits for a place in a concurrency limit (`policies.limits.Waiter`)."""

    def wake(self) -> bool:
        """Lets the call go on; False if nobody is left to go on."""
        ...

    async def wait(self, until: float) -> bool:
        """Waits until woken (True) or until the instant `until` (False)."""
        ...


@final
@dataclass(slots=True)
class Finished:
    """How one of several attempts came in: what it was answered, or what it raised."""

    step: Ask
    reply: Reply | None
    error: BaseException | None


class Racers(Protocol):
    """Attempts under way beside each other. Owned by one call, which stops them on every ending."""

    def start(self, step: Ask, scope: Scope, work: Callable[[], Coroutine[object, object, Reply]]) -> bool:
        """Begins what `work` makes, which is the attempt of `step`; False if it cannot be begun."""
        ...

    async def next(self, until: float) -> Finished | None:
        """The next that comes in, of several at once the one sent first; None if none has at the instant `until`, which may be infinite."""
        ...

    async def stop(self, *, decided: bool) -> list[Finished]:
        """Ends those still under way, waits for their end, and drops what they answer. Idempotent.

        Args:
            decided: An answer is there, which must not wait: those that do not end at once are left to the driver.

        Returns:
            Those that had come in by themselves and were not asked for.
        """
        ...


class Bounds(Protocol):
    """Bounds the waits of one stream, which are many and short. One task or thread at a time."""

    def bounded(self, work: Coroutine[object, object, T], until: float) -> Coroutine[object, object, T]:
        """See `Driver.bounded`."""
        ...

    def close(self) -> None:
        """There will be no more waits. Idempotent."""
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

    def bounds(self) -> Bounds:
        """The same for one wait after another, in the task that waits."""
        ...

    def racers(self, most: int) -> Racers | None:
        """A way to run up to `most` attempts beside each other; None if there is no room for them."""
        ...

    def place(self) -> Place:
        """Something to wait on for a place."""
        ...
