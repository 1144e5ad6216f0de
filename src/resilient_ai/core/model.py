"""Who can answer: the one protocol behind which every model stands.

A model is asked for one attempt at a time. It decides nothing about retries, fallback or time: it sends, reads, and
raises. The same coroutine serves both colours: with `scope.blocking` it must never suspend (it uses blocking I/O,
and the driver runs it with `send(None)`), without it it must never block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, final, get_args

from resilient_ai.core.brake import Brake
from resilient_ai.core.clock import Clock
from resilient_ai.errors import ConfigError
from resilient_ai.messages import JSON, Chunk, DataClassName, Reply, Request

_DATA_CLASSES: Final[frozenset[str]] = frozenset(get_args(DataClassName))


@final
@dataclass(frozen=True, slots=True)
class Price:
    """What tokens cost. `input` and `output` are money per `per` tokens, in `currency`.

    Raises:
        ConfigError: An amount is no number of at least 0, or `per` is below 1.
    """

    input: float
    output: float
    cached_input: float | None = None
    per: int = 1_000_000
    currency: str = "USD"

    def __post_init__(self) -> None:
        for name in ("input", "output", "cached_input"):
            amount: object = getattr(self, name)
            if amount is None and name == "cached_input":
                continue
            if not isinstance(amount, int | float) or not 0 <= amount < float("inf"):
                raise ConfigError(
                    f"Price.{name} is {amount!r}; it must be an amount of at least 0.", key=name
                )
        if self.per < 1:
            raise ConfigError(f"Price.per is {self.per!r}; it must be at least 1.", key="per")


@final
@dataclass(frozen=True, slots=True)
class Traits:
    """What the engine must know of a model before it asks it.

    Attributes:
        local: It runs on this device: nothing leaves, no network can fail it.
        stand_in: Its answers are a substitute (a canned text): always degraded.
        context_tokens: Size of its context window, or None if unknown.
        data_classes: Data classes it may see; None means all.
        capabilities: What it can do beyond chat; empty means a general chat model.
        typical_seconds: What an answer usually takes, until the engine has measured it; it sets the time reserved
            for this model while the ones before it are tried.
        price: What its tokens cost, or None if unknown.
        server_address: Host asked, for telemetry; None in the process.
        server_port: Port asked, for telemetry.
        wire: The wire format it speaks, or None.
        replayable: The same request may be under way twice at a time, so that it may be hedged: it changes nothing where it is answered, and
            what answers it can do two things at once.

    Raises:
        ConfigError: A data class is none, or the window holds nothing.
    """

    local: bool = False
    stand_in: bool = False
    context_tokens: int | None = None
    data_classes: frozenset[DataClassName] | None = None
    capabilities: tuple[str, ...] = ()
    typical_seconds: float = 5.0
    price: Price | None = None
    server_address: str | None = None
    server_port: int | None = None
    wire: str | None = None
    replayable: bool = False

    def __post_init__(self) -> None:
        if self.data_classes is not None and not _DATA_CLASSES.issuperset(self.data_classes):
            raise ConfigError(
                f"data_classes must hold names of data classes: {', '.join(sorted(_DATA_CLASSES))}.",
                key="data_classes",
            )
        if self.context_tokens is not None and self.context_tokens < 1:
            raise ConfigError(
                f"context_tokens is {self.context_tokens!r}; it must be at least 1.", key="context_tokens"
            )


@final
@dataclass(slots=True)
class Scope:
    """What one attempt may use: its time and its colour. Made by the runtime, read by the model.

    All instants are on `clock.now()`. The asynchronous runtime enforces `until` around the whole attempt by itself; a
    blocking model must pass the remaining time to every operation that waits.

    Attributes:
        blocking: The model must not suspend.
        clock: The clock all instants here are on.
        until: The instant by which the attempt must have answered.
        connect: Seconds a connection may take.
        first_token: Seconds until the first content of a stream.
        idle: Seconds between two pieces of content of a stream.
        notes: What the model wants recorded of this attempt (`status`, `request_id`, `sent`, `flags`), written as it becomes
            known so that a failed or cancelled attempt keeps it.
        brake: Ends a blocking attempt that is one of several beside each other; None for one that is alone, or asynchronous.
    """

    blocking: bool
    clock: Clock
    until: float
    connect: float
    first_token: float
    idle: float
    notes: dict[str, object] = field(default_factory=dict[str, object])
    brake: Brake | None = None

    def remaining(self) -> float:
        """Seconds left for this attempt; may be negative."""
        return self.until - self.clock.now()


@final
class CheckRaised(Exception):
    """A check raised something that is no objection to the answer: a fault of the check. The orchestrator puts `fault` in its place.

    Attributes:
        fault: What was raised.
        where: What raised it, in words, with its line where that is known.
        draft: The answer that was looked at.
    """

    def __init__(self, fault: Exception, where: str, draft: Reply) -> None:
        super().__init__(where)
        self.fault = fault
        self.where = where
        self.draft = draft


@final
class Refused(Exception):
    """Whoever asked cannot take an answer: what it is handed to raised. The orchestrator puts `fault` in its place.

    Attributes:
        fault: What was raised.
        draft: The answer, which is billed like one that was taken.
    """

    def __init__(self, fault: Exception, draft: Reply) -> None:
        super().__init__("refused")
        self.fault = fault
        self.draft = draft


class ChunkSource(Protocol):
    """An open stream of one attempt, before the engine has looked at it.

    Owned by the runtime, which closes it exactly once, on every ending. Not safe for two tasks or threads at a time.
    """

    async def receive(self, until: float) -> Sequence[Chunk] | None:
        """The next chunks, as many as one read brought and at least one, or None once the stream ended properly.

        What was read before a fault is returned first; the fault is raised by the next `receive`.

        Args:
            until: The instant (on the scope's clock) by which a chunk must have come. A blocking source bounds its
                reads by it; an asynchronous one is cancelled by the runtime.

        Raises:
            ModelError: The stream broke, ended without its terminator, carried an error or is malformed.
        """
        ...

    def completed(self, reply: Reply) -> Reply:
        """The answer put together from the stream, with what only the model can say of it (flags, identifiers).

        Called once, after `receive` gave None.
        """
        ...

    async def aclose(self) -> None:
        """Closes the connection. Idempotent; never raises for a connection that is gone."""
        ...

    def abandon(self) -> None:
        """Closes as far as is possible without waiting, from any thread: for garbage collection and interpreter exit."""
        ...


class Model(Protocol):
    """Who can answer. Implementations are safe to share between threads, tasks and event loops."""

    @property
    def name(self) -> str:
        """The model's name, as the provider knows it."""
        ...

    @property
    def provider(self) -> str:
        """Who serves it: `openai`, `anthropic`, `on-device`, `function`, ..."""
        ...

    @property
    def key(self) -> str:
        """Identity for shared state: provider, model, base URL and a digest of the credential."""
        ...

    @property
    def traits(self) -> Traits:
        """What the engine must know before it asks."""
        ...

    async def answer(self, request: Request, scope: Scope) -> Reply:
        """One attempt at a whole answer: a new `Reply` each time, into which the engine writes the call's outcome.

        Raises:
            Exception: Whatever went wrong; `core.classify` reads it. A model of this library raises `ModelError`.
        """
        ...

    async def open(self, request: Request, scope: Scope) -> ChunkSource:
        """One attempt at a streamed answer; returns once the provider began to answer.

        Raises:
            Exception: As for `answer`.
        """
        ...

    def close(self) -> None:
        """Frees connections and child processes, blocking as short as possible. Idempotent; the model may be used again."""
        ...

    async def aclose(self) -> None:
        """As `close`, without blocking the event loop."""
        ...


Raw = Mapping[str, JSON]
