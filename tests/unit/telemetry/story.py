"""Calls as the runtime would report them, told on a clock of their own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from resilient_ai.core import events
from resilient_ai.core.failure import FailureKind
from resilient_ai.messages import (
    Attempt,
    Message,
    Outcome,
    OutputSchema,
    Request,
    Skip,
    Text,
    Tool,
    Usage,
)

CANARY: Final = "canary-7f3a9c"
"""Planted wherever a request holds content; it must come out nowhere."""

KEY: Final = "sk-" + "proj-" + "T3BlbkFJ" * 6
"""Of the shape of a provider's key. Put together here, so that no scanner takes this file for a leak."""

WALL: Final = 1_700_000_000.0
ORIGIN: Final = 500.0
"""What the monotonic clock shows when a call begins."""

REQUEST: Final = Request(
    messages=(Message("user", (Text(f"my secret is {CANARY}"),), name=CANARY),),
    tools=(Tool(CANARY, CANARY, {CANARY: CANARY}),),
    tool_choice=f"tool:{CANARY}",
    max_tokens=64,
    temperature=0.5,
    top_p=0.9,
    stop=(CANARY,),
    seed=7,
    output_schema=OutputSchema(CANARY, {CANARY: CANARY}),
    extra={CANARY: CANARY},
    extra_format=CANARY,
)

_numbers = itertools.count(1)


@dataclass
class Story:
    """One call, as events in the order in which observers see them."""

    operation: Literal["chat", "stream"] = "chat"
    request: Request = REQUEST
    chain: str = "support"
    call: int = field(default_factory=lambda: next(_numbers))
    at: float = ORIGIN
    told: list[events.Event] = field(default_factory=list[events.Event])
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    skips: list[Skip] = field(default_factory=list[Skip])
    n: int = 0
    waited: float = 0.0
    committed: float | None = None

    def __post_init__(self) -> None:
        models = ("openai:gpt-x", "on-device:llama")
        self.told.append(
            events.CallStarted(
                self.call, self.at, WALL, self.chain, models, 20.0, "abc123", self.operation, self.request
            )
        )

    def model(self, name: str = "gpt-x", provider: str = "openai", *, local: bool = False) -> Story:
        address, port = (None, None) if local else ("api.example.com", 443)
        self.told.append(events.ModelStarted(self.call, self.at, name, provider, local, address, port))
        self.name, self.provider, self.n = name, provider, 0
        return self

    def wait(self, seconds: float) -> Story:
        self.at += seconds
        self.waited = seconds
        return self

    def attempt(
        self,
        kind: FailureKind | None = None,
        *,
        verdict: str = "answered",
        seconds: float = 1.0,
        usage: Usage | None = None,
        cost: float | None = 0.25,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        commit: bool = False,
    ) -> Story:
        self.n += 1
        started = events.AttemptStarted(self.call, self.at, self.name, self.provider, self.n, self.waited)
        self.told.append(started)
        if commit:
            self.committed = seconds / 4
            self.told.append(
                events.StreamCommitted(
                    self.call, self.at + self.committed, self.name, self.provider, self.committed
                )
            )
        self.at += seconds
        attempt = Attempt(
            self.name,
            self.provider,
            self.n,
            kind,
            seconds,
            self.waited,
            Usage(10, 5) if usage is None else usage,
            cost,
            status,
            code,
            retry_after,
            f"req-{self.call}-{self.n}",
            verdict,
        )
        self.waited = 0.0
        self.attempts.append(attempt)
        self.told.append(events.AttemptFinished(self.call, self.at, attempt))
        return self

    def leave(self, kind: FailureKind | None = None, *, answered: bool = True, chunks: int = 0) -> Story:
        usage = Usage(10, 5, 4, 2, 3) if answered else Usage()
        self.told.append(
            events.ModelFinished(
                self.call,
                self.at,
                self.name,
                self.provider,
                kind,
                usage,
                f"{self.name}-2026" if answered else None,
                f"resp-{self.call}" if answered else None,
                "stop" if answered else None,
                chunks,
                self.committed,
            )
        )
        return self

    def skip(self, name: str, provider: str, reason: str, retry_after: float | None = None) -> Story:
        skip = Skip(name, provider, reason, retry_after)
        self.skips.append(skip)
        self.told.append(events.ModelSkipped(self.call, self.at, skip))
        return self

    def fall_back(self, source: str, target: str, reason: str) -> Story:
        self.told.append(events.FallbackUsed(self.call, self.at, source, target, reason))
        return self

    def tell(self, make: Callable[[Story], events.Event]) -> Story:
        self.told.append(make(self))
        return self

    def finish(
        self, served_by: str | None = None, *, error: str | None = None, late: bool = False
    ) -> list[events.Event]:
        degraded = served_by is not None and served_by != "gpt-x"
        seconds = self.at - ORIGIN
        outcome = Outcome(
            self.chain,
            served_by,
            degraded,
            tuple(self.attempts),
            tuple(self.skips),
            seconds,
            "abc123",
            ("truncated",) if degraded else (),
        )
        self.told.append(events.CallFinished(self.call, self.at, WALL + seconds, outcome, error, late))
        return self.told


def answered() -> list[events.Event]:
    return Story().model().attempt().leave().finish("gpt-x")


def retried() -> list[events.Event]:
    story = Story().model()
    story.attempt(
        FailureKind.RATE_LIMITED,
        verdict="retry",
        usage=Usage(),
        cost=None,
        status=429,
        code="rate_limit_exceeded",
        retry_after=2.0,
    )
    return story.wait(2.0).attempt().leave().finish("gpt-x")


def fell_back() -> list[events.Event]:
    story = Story().model()
    story.attempt(FailureKind.SERVER_ERROR, verdict="next", usage=Usage(), cost=None, status=503)
    story.leave(FailureKind.SERVER_ERROR, answered=False)
    story.fall_back("gpt-x", "llama", "server_error").model("llama", "on-device", local=True)
    return story.attempt(cost=0.0).leave().finish("llama")


def rejected_by_the_breaker() -> list[events.Event]:
    story = Story().skip("gpt-x", "openai", "circuit_open", 12.0)
    story.tell(lambda s: events.BreakerChanged(s.at, "gpt-x", "openai", "closed", "open", "timeout", 15.0))
    story.fall_back("gpt-x", "llama", "circuit_open").model("llama", "on-device", local=True)
    return story.attempt(cost=0.0).leave().finish("llama")


def streamed() -> list[events.Event]:
    story = Story(operation="stream").model()
    return story.attempt(seconds=4.0, commit=True).leave(chunks=31).finish("gpt-x")


def cancelled() -> list[events.Event]:
    story = Story().model().attempt(None, verdict="cancelled", usage=Usage(), cost=None)
    return story.leave(answered=False).finish(error="cancelled")


def failed() -> list[events.Event]:
    story = Story().model()
    story.attempt(FailureKind.TIMEOUT, verdict="retry", usage=Usage(), cost=None)
    story.tell(lambda s: events.RetrySuppressed(s.call, s.at, "gpt-x", "openai", "budget"))
    story.tell(lambda s: events.HintIgnored(s.call, s.at, "gpt-x", "openai"))
    story.leave(FailureKind.TIMEOUT, answered=False)
    story.fall_back("gpt-x", "claude-y", "timeout").model("claude-y", "anthropic")
    story.attempt(FailureKind.AUTHENTICATION, verdict="raise", usage=Usage(), cost=None, status=401)
    story.tell(lambda s: events.AlertRaised(s.at, "claude-y", "anthropic", FailureKind.AUTHENTICATION))
    return story.leave(FailureKind.AUTHENTICATION, answered=False).finish(error="timeout", late=True)


def asked_again() -> list[events.Event]:
    story = Story().model().attempt(FailureKind.INVALID_OUTPUT, verdict="re-ask")
    story.tell(lambda s: events.OutputChecked(s.call, s.at, "gpt-x", "openai", "Ticket", False, "re-ask"))
    story.attempt()
    story.tell(lambda s: events.OutputChecked(s.call, s.at, "gpt-x", "openai", "Ticket", True, "pass"))
    return story.leave().finish("gpt-x")


def abandoned() -> list[events.Event]:
    """A call whose end is never reported."""
    return Story(operation="stream").model().attempt(commit=True).told


STORIES: Final[dict[str, Callable[[], list[events.Event]]]] = {
    story.__name__: story
    for story in (
        answered,
        retried,
        fell_back,
        rejected_by_the_breaker,
        streamed,
        cancelled,
        failed,
        asked_again,
    )
}


def every_event() -> Iterator[events.Event]:
    """The events of every story that ends."""
    for story in STORIES.values():
        yield from story()
