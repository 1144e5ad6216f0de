"""What the state machine says next, and what it is told back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, final

if TYPE_CHECKING:
    from resilient_ai.core.failure import Verdict
    from resilient_ai.engine.plan import Hop
    from resilient_ai.messages import Reply, Request
    from resilient_ai.policies.breaker import Permit


@final
@dataclass(slots=True)
class Ask:
    """Next: send `request` to the model of `hop`, and have its answer by the instant `until`. `waited` is the pause before it, in seconds."""

    hop: Hop
    request: Request
    n: int
    until: float
    permit: Permit
    started: float
    waited: float = 0.0


@final
@dataclass(slots=True)
class Race:
    """Next: as `ask` says; and if it has not ended by the instant `at`, ask the call for a `hedge`, a further one to be sent beside it.

    Up to `most` are under way at a time.
    """

    ask: Ask
    at: float
    most: int


@final
@dataclass(slots=True)
class Pause:
    """Next: wait until the instant `until`, then `resume`."""

    until: float


@final
@dataclass(slots=True)
class Done:
    """The call is over. `error` is what the caller meets; None if it was answered."""

    error: Exception | None


Step: TypeAlias = Ask | Race | Pause | Done
"""Match it by type. A `Race` comes only where the plan has a hedge and a whole answer is asked for."""


@final
@dataclass(slots=True)
class Ended:
    """How an attempt ended, as the runtime saw it.

    Attributes:
        reply: The answer, or what of it came before a stream broke.
        error: What was raised; None if it answered.
        verdict: What that means.
        notes: What the model wrote down of the attempt (`core.model.Scope.notes`).
        checked: The answer was validated.
        first_content: Seconds until the first content of a stream; None for a whole answer.
        chunks: Pieces of content streamed.
        away: Seconds of a stream during which the caller did not ask for more.
    """

    reply: Reply | None = None
    error: Exception | None = None
    verdict: Verdict | None = None
    notes: dict[str, object] = field(default_factory=dict[str, object])
    checked: bool = False
    first_content: float | None = None
    chunks: int = 0
    away: float = 0.0
