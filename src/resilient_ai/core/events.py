"""What happened in a call, as frozen values: the only thing an observer ever sees.

No event shows content: no prompt, no answer, no exception text, no key. Where one leads to a request or a reply, its `repr`
shows sizes only, and an observer reads no more of it than the event's description allows. An observer is a callable that takes one event; it
is called in the thread or task of the call, in order, never concurrently for one call, and must not block. One
that raises is reported once and never changes the call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from resilient_ai.core.construct import made_quickly
from resilient_ai.core.failure import FailureKind
from resilient_ai.messages import Attempt, Outcome, Reply, Request, Skip, Usage

BreakerStateName: TypeAlias = Literal["closed", "open", "half-open", "forced-open", "disabled"]


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call began.

    Attributes:
        call: Identifies the call among the events of this process.
        at: Monotonic seconds; all events of one model are on one clock.
        wall: Seconds since the epoch.
        chain: The chain's name.
        models: `provider:name` of each model of the chain, in order.
        deadline: Seconds the call may take.
        policy: Digest of the policy in force.
        operation: What was asked for: `chat` or `stream`.
        request: The request's parameters. Observers may read its numbers and names, never its messages or tools.
    """

    call: int
    at: float
    wall: float
    chain: str
    models: tuple[str, ...]
    deadline: float
    policy: str
    operation: Literal["chat", "stream"]
    request: Request


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class ModelStarted:
    """The call turned to a model of its chain; attempts at it follow."""

    call: int
    at: float
    model: str
    provider: str
    local: bool
    server_address: str | None = None
    server_port: int | None = None


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """A request is about to go on the wire, perhaps beside one that is under way. `waited` is the pause before it, in seconds."""

    call: int
    at: float
    model: str
    provider: str
    n: int
    waited: float


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """An attempt ended, well or not; `attempt` is its record, `attempt.verdict` what the engine does next."""

    call: int
    at: float
    attempt: Attempt


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class StreamCommitted:
    """The first content of a stream is about to be handed to the caller. `seconds` counts from the attempt's start."""

    call: int
    at: float
    model: str
    provider: str
    seconds: float


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class ModelFinished:
    """The call is done with a model.

    Attributes:
        kind: Why it finally failed, or None if it answered (or was left for another reason: cancelled, abandoned).
        usage: Tokens of the answer.
        served_model: The model's name as the provider answered it, or None.
        id: The provider's identifier of the answer, or None.
        finish_reason: Why it stopped, or None.
        chunks: Pieces of content streamed; 0 for a whole answer.
        first_chunk: Seconds until the first content of a stream, or None.
    """

    call: int
    at: float
    model: str
    provider: str
    kind: FailureKind | None
    usage: Usage
    served_model: str | None = None
    id: str | None = None
    finish_reason: str | None = None
    chunks: int = 0
    first_chunk: float | None = None


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class ModelSkipped:
    """A model of the chain was passed over without being asked."""

    call: int
    at: float
    skip: Skip


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class FallbackUsed:
    """The call moves from one model to the next, because of a failure kind or a skip reason."""

    call: int
    at: float
    source: str
    target: str
    reason: str


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class RetrySuppressed:
    """A retry was allowed by the verdict and did not happen. `reason`: `budget | attempts | deadline | breaker | throttle | cost_cap`."""

    call: int
    at: float
    model: str
    provider: str
    reason: str


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class HedgeSuppressed:
    """An answer was late and no second request was sent. `reason`: `deadline | breaker | rate_limited | throttle | budget | cost_cap`."""

    call: int
    at: float
    model: str
    provider: str
    reason: str


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class HintIgnored:
    """A provider sent a wait hint that cannot be meant (negative, not a number, far beyond reason)."""

    call: int
    at: float
    model: str
    provider: str


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class OutputChecked:
    """An answer was validated. `action`: `pass | re-ask | next | raise`. `name` is the check's or type's name."""

    call: int
    at: float
    model: str
    provider: str
    name: str
    passed: bool
    action: str


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """A breaker changed its state. Not part of one call: `key` is the model's state key without its credential."""

    at: float
    model: str
    provider: str
    old: BreakerStateName
    new: BreakerStateName
    reason: str
    open_for: float | None = None


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class AlertRaised:
    """An operator has to act: a key is refused, a quota is spent, a model is gone."""

    at: float
    model: str
    provider: str
    kind: FailureKind


@final
@made_quickly
@dataclass(frozen=True, slots=True)
class CallFinished:
    """A call ended.

    Attributes:
        outcome: Its history.
        error: Why it failed, from the closed list of `error.type`; None if it was answered.
        late: It ended after its deadline.
        reply: The answer, or what came of it, or None. Observers may read its sizes and names, never its text.
    """

    call: int
    at: float
    wall: float
    outcome: Outcome
    error: str | None
    late: bool
    reply: Reply | None = None


Event: TypeAlias = (
    CallStarted
    | ModelStarted
    | AttemptStarted
    | AttemptFinished
    | StreamCommitted
    | ModelFinished
    | ModelSkipped
    | FallbackUsed
    | RetrySuppressed
    | HedgeSuppressed
    | HintIgnored
    | OutputChecked
    | BreakerChanged
    | AlertRaised
    | CallFinished
)

Observer: TypeAlias = Callable[[Event], object]

ERROR_TYPES: frozenset[str] = frozenset(
    {kind.value for kind in FailureKind} | {"deadline_exceeded", "circuit_open", "budget_exhausted", "_OTHER"}
)
"""The closed list of `error.type`, equal on spans, metrics and log lines."""
