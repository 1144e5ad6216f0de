"""A model that does what a test tells it, step by step."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

from resilient_ai.core.classify import classify
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.core.failure import FailureKind, verdict_of
from resilient_ai.core.model import Traits
from resilient_ai.errors import ModelError
from resilient_ai.messages import Chunk, Reply, ToolCall, Usage

if TYPE_CHECKING:
    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.messages import Request


@final
class ScriptExhausted(BaseException):
    """A scripted model was asked more often than its script has steps. Not an `Exception`, so that no fallback answers in its place."""


_serial: Final = itertools.count(1)


@final
@dataclass(frozen=True, slots=True)
class Step:
    """One attempt's behaviour; made by `ok`, `error`, `stall`, `cut`, `raises`.

    Attributes:
        text: What is answered, or what comes before a cut.
        seconds: How long the attempt takes before it does anything.
        fails: Raised at the end, or None.
        cut_after: Streamed pieces after which the stream breaks, or None.
        reply: The whole answer where text is not all of it.
        gap: Seconds between two streamed pieces.
    """

    text: str = ""
    seconds: float = 0.0
    fails: Exception | None = None
    cut_after: int | None = None
    reply: Reply | None = None
    gap: float = 0.0


def ok(
    text: str = "ok",
    *,
    after: float = 0.0,
    gap: float = 0.0,
    usage: Usage | None = None,
    tool_calls: Sequence[ToolCall] = (),
    finish_reason: Any = "stop",
) -> Step:
    """Answers `text` after `after` seconds; streamed word by word, `gap` seconds apart."""
    reply = Reply(text, tuple(tool_calls), finish_reason, usage or Usage(3, max(1, len(text.split()))))
    return Step(text, after, reply=reply, gap=gap)


def error(
    status: int | None = None,
    *,
    kind: FailureKind | str | None = None,
    retry_after: float | None = None,
    after: float = 0.0,
    body: bytes = b"",
) -> Step:
    """Fails after `after` seconds: with an HTTP `status` and `body` as a provider would, or with a failure `kind`.

    Raises:
        TypeError: `status` is no number.
        ValueError: There is no such kind.
    """
    if status is not None and not isinstance(status, int):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise TypeError(
            f"error takes an HTTP status, such as error(429); a failure kind goes by its name: error(kind={status!r})."
        )
    if kind is not None:
        if kind not in set(FailureKind):
            raise ValueError(f"{kind!r} is not a failure kind; the kinds are {', '.join(FailureKind)}.")
        verdict = verdict_of(FailureKind(kind), retry_after=retry_after, status=status)
    else:
        headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
        verdict = classify(status=status or 500, headers=headers, body=body)
    failure = ModelError(
        f"{verdict.kind} (scripted)",
        verdict=verdict,
        model="scripted",
        provider="scripted",
        status_code=status,
    )
    return Step(seconds=after, fails=failure)


def raises(failure: Exception, *, after: float = 0.0) -> Step:
    """Raises `failure` after `after` seconds."""
    return Step(seconds=after, fails=failure)


def stall(seconds: float) -> Step:
    """Says nothing for `seconds`, then answers. An attempt with less time ends as a timeout."""
    return Step("late", seconds, reply=Reply("late", usage=Usage(3, 1)))


def cut(after: int = 1, text: str = "one two three four five six") -> Step:
    """Streams `after` words of `text`, then the connection breaks. A whole answer fails at once."""
    verdict = verdict_of(FailureKind.CONNECTION, sent=True)
    failure = ModelError("connection cut (scripted)", verdict=verdict, model="scripted", provider="scripted")
    return Step(text, fails=failure, cut_after=after)


Script: TypeAlias = Iterable[Step]


@final
class ScriptedModel:
    """Answers each attempt with the next step of a script.

    An attempt beyond the script's end raises `ScriptExhausted`, which fails the test whatever stands behind in the chain; so does `assert_done` (or leaving it as a context manager) while steps are left.

    Args:
        steps: What the attempts do, in order.
        name: The model's name.
        provider: The provider's name.
        repeat: Start over at the end of the script instead of failing.
        traits: What the engine knows of it.

    Raises:
        TypeError: `steps` holds something that is no step.
    """

    def __init__(
        self,
        steps: Script = (),
        *,
        name: str = "scripted",
        provider: str = "scripted",
        repeat: bool = False,
        traits: Traits | None = None,
    ) -> None:
        self._script = tuple(steps)
        for place, step in enumerate(self._script):
            if not isinstance(step, Step):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
                raise TypeError(
                    f"A script is a list of steps, such as [ok('hi'), error(429)]; steps[{place}] is of type {type(step).__name__}."
                )
        self._steps: deque[Step] = deque(self._script)
        self._repeat = repeat
        self._name = name
        self._provider = provider
        self._key = f"{provider}:{name}#{next(_serial)}"
        self._traits = traits or Traits(typical_seconds=0.05, replayable=True)
        self._lock = threading.Lock()
        self.log: list[Asked] = []
        """Every attempt, in order of arrival."""
        self.open_streams = 0
        """Streams that were opened and not closed."""
        self.closed = 0
        """How often it was closed."""

    @property
    def name(self) -> str:
        return self._name

    @property
    def provider(self) -> str:
        return self._provider

    @property
    def key(self) -> str:
        return self._key

    @property
    def traits(self) -> Traits:
        return self._traits

    @property
    def requests(self) -> list[Request]:
        """The requests it was asked, in order."""
        return [asked.request for asked in self.log]

    @property
    def steps_left(self) -> int:
        """Steps nobody has asked for yet."""
        return len(self._steps)

    def assert_done(self) -> None:
        """Checks that the whole script was played.

        Raises:
            AssertionError: Steps are left.
        """
        if self._steps and not self._repeat:
            raise AssertionError(
                f"{self._provider}:{self._name}: {len(self._steps)} scripted steps were never asked for"
            )

    def __enter__(self) -> ScriptedModel:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.assert_done()

    async def answer(self, request: Request, scope: Scope) -> Reply:
        """The next step, as a whole answer."""
        step = self._next(request, scope)
        await _pass_time(scope, step.seconds, scope.until)
        if step.fails is not None:
            raise _fresh(step.fails)
        return self._named(step)

    async def open(self, request: Request, scope: Scope) -> ChunkSource:
        """The next step, as a stream of words."""
        step = self._next(request, scope)
        await _pass_time(scope, step.seconds, min(scope.until, scope.clock.now() + scope.first_token))
        if step.fails is not None and step.cut_after is None:
            raise _fresh(step.fails)
        self.open_streams += 1
        return _Words(self, step, scope)

    def close(self) -> None:
        """Counts itself."""
        self.closed += 1

    async def aclose(self) -> None:
        """Counts itself."""
        self.closed += 1

    def _next(self, request: Request, scope: Scope) -> Step:
        with self._lock:
            self.log.append(Asked(request, scope.clock.now(), scope.until))
            if not self._steps and self._repeat:
                self._steps.extend(self._script)
            if not self._steps:
                raise ScriptExhausted(
                    f"{self._provider}:{self._name} was asked more often than its script has steps ({len(self._script)}); "
                    "give it more, or repeat=True"
                )
            return self._steps.popleft()

    def _named(self, step: Step) -> Reply:
        from dataclasses import replace

        reply = step.reply or Reply(step.text)
        return replace(reply, model=self._name, provider=self._provider)


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """One attempt as a scripted model saw it: the request, the instant, and the instant it had to answer by."""

    request: Request = field(repr=False)
    at: float
    until: float


@final
class _Words:
    """A scripted stream."""

    def __init__(self, model: ScriptedModel, step: Step, scope: Scope) -> None:
        self._model = model
        self._step = step
        self._scope = scope
        words = step.text.split(" ")
        self._words = (
            [word if index == 0 else f" {word}" for index, word in enumerate(words)] if step.text else []
        )
        self._at = 0
        self._told_end = False
        self._open = True

    async def receive(self, until: float) -> Sequence[Chunk] | None:
        step = self._step
        if step.cut_after is not None and self._at >= step.cut_after and step.fails is not None:
            raise _fresh(step.fails)
        if self._at < len(self._words):
            if self._at:
                await _pass_time(self._scope, step.gap, until)
            word = self._words[self._at]
            self._at += 1
            return [Chunk(text=word)]
        if self._told_end:
            return None
        self._told_end = True
        reply = step.reply or Reply(step.text)
        from resilient_ai.messages import ToolCallDelta

        calls = [
            Chunk(tool_call=ToolCallDelta(index, call.id, call.name, call.arguments))
            for index, call in enumerate(reply.tool_calls)
        ]
        return [*calls, Chunk(finish_reason=reply.finish_reason, usage=reply.usage)]

    def completed(self, reply: Reply) -> Reply:
        return reply

    async def aclose(self) -> None:
        self.abandon()

    def abandon(self) -> None:
        if self._open:
            self._open = False
            self._model.open_streams -= 1


async def _pass_time(scope: Scope, seconds: float, until: float) -> None:
    """Waits as a provider would make one wait; a blocking attempt ends at its time, as its sockets would.

    So does an asynchronous one on a clock that its loop does not follow: no timer of that loop could end it.
    """
    if not seconds:
        return
    left = until - scope.clock.now()
    if not scope.blocking:
        await scope.clock.asleep(max(0.0, min(seconds, left)))
        if seconds > left:
            raise AttemptTimeout
        return
    scope.clock.sleep(max(0.0, min(seconds, left)))
    if seconds > left:
        raise AttemptTimeout


def _fresh(failure: Exception) -> Exception:
    """The same failure as a new object: one script may serve many threads, and each adds its own history."""
    if isinstance(failure, ModelError):
        return ModelError(
            str(failure).partition(": ")[2],
            verdict=failure.verdict,
            model=failure.model,
            provider=failure.provider,
            status_code=failure.status_code,
        )
    return failure
