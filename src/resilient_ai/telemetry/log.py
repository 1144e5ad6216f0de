"""Calls as structured log lines, through structlog.

The lines have fixed names and fixed keys (`names.LOG_EVENTS`). Above INFO there is one line a call at most: WARNING if it
needed help, ERROR if it failed. What a line may hold is a list, not a filter: numbers, closed lists and names.
structlog renders and writes; its global configuration and the one of `logging` are neither read nor changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, TextIO, TypeAlias, final

import structlog
from opentelemetry import trace

from resilient_ai.core import events
from resilient_ai.core.clock import SYSTEM_CLOCK, Clock
from resilient_ai.messages import Attempt
from resilient_ai.telemetry import names
from resilient_ai.telemetry.redaction import clean, clean_once
from resilient_ai.telemetry.spans import hex_ids

if TYPE_CHECKING:
    from structlog.typing import Processor, WrappedLogger

LogFormat: TypeAlias = Literal["json", "console"]
LevelName: TypeAlias = Literal["debug", "info", "warning", "error"]
Ids: TypeAlias = Callable[[int], tuple[str, str] | None]
"""Trace and span id of a call, or None."""

Write: TypeAlias = Callable[[str, dict[str, object]], object]
"""Writes one line: the name of its level, and its keys."""

_LEVELS: Final[dict[LevelName, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


@final
class Log:
    """Writes a line for each event worth one. An observer; as safe to share as what it writes to.

    It writes in the thread of the call, as `logging` does: a sink that blocks blocks the call, so a slow sink belongs behind
    a queue.

    Args:
        write: Where lines go.
        level: Below it nothing is written, and no line is even put together.
        ids: Trace and span id of a call; without it, those of the application's current span.
        clock: What lines are stamped by.
    """

    def __init__(
        self, write: Write, *, level: LevelName = "info", ids: Ids | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._write = write
        self._level = _LEVELS[level]
        self._ids = ids
        self._clock = clock
        self._second = (0, "1970-01-01T00:00:00")

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.CallFinished():
                self._finished(event)
            case _ if self._level > logging.INFO:
                return
            case events.AttemptFinished():
                if event.attempt.kind is not None:
                    self._failed(event)
            case events.FallbackUsed():
                self._put(
                    "info",
                    names.LOG_FALLBACK_USED,
                    event.call,
                    source=clean(event.source),
                    target=clean(event.target),
                    reason=clean(event.reason),
                )
            case events.RetrySuppressed(reason="budget"):
                self._put(
                    "info",
                    names.LOG_BUDGET_EXHAUSTED,
                    event.call,
                    provider=clean(event.provider),
                    model=clean(event.model),
                )
            case events.BreakerChanged():
                self._put(
                    "info",
                    names.LOG_BREAKER_CHANGED,
                    None,
                    provider=clean(event.provider),
                    model=clean(event.model),
                    old=event.old,
                    new=event.new,
                    reason=clean(event.reason),
                    open_for=event.open_for,
                )
            case events.AlertRaised():
                self._put(
                    "info",
                    names.LOG_ALERT_RAISED,
                    None,
                    provider=clean(event.provider),
                    model=clean(event.model),
                    error_type=names.error_type(event.kind.value),
                )
            case _:
                pass

    def config_loaded(self, *, source: str, policy: str, chains: int, models: int) -> None:
        """Says that a configuration is in force.

        Args:
            source: What it was read from: a file's name without its folder, or `code`.
            policy: Digest of the configuration.
            chains: How many chains it defines.
            models: How many models it defines.
        """
        if self._level <= logging.INFO:
            self._put(
                "info",
                names.LOG_CONFIG_LOADED,
                None,
                source=clean(source),
                policy=clean(policy),
                chains=chains,
                models=models,
            )

    def _finished(self, event: events.CallFinished) -> None:
        level = _level(event)
        if _LEVELS[level] < self._level:
            return
        outcome = event.outcome
        input_tokens, output_tokens = _tokens(outcome.attempts)
        self._put(
            level,
            names.LOG_CALL_FINISHED,
            event.call,
            chain=clean(outcome.chain),
            outcome=names.outcome(error=event.error, degraded=outcome.degraded),
            served_by=None if outcome.served_by is None else clean(outcome.served_by),
            error_type=None if event.error is None else names.error_type(event.error),
            attempts=len(outcome.attempts),
            failures=[a.kind.value for a in outcome.attempts if a.kind is not None],
            skipped=[clean(skip.reason) for skip in outcome.skipped],
            seconds=round(outcome.seconds, 6),
            late=event.late,
            cost=outcome.cost,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            policy=clean(outcome.policy),
            flags=[clean(flag) for flag in outcome.flags],
        )

    def _failed(self, event: events.AttemptFinished) -> None:
        attempt = event.attempt
        self._put(
            "info",
            names.LOG_ATTEMPT_FAILED,
            event.call,
            provider=clean(attempt.provider),
            model=clean(attempt.model),
            n=attempt.n,
            error_type=names.error_type(None if attempt.kind is None else attempt.kind.value),
            verdict=clean(attempt.verdict),
            status=attempt.status,
            code=None if attempt.code is None else clean(attempt.code),
            retry_after=attempt.retry_after,
            waited=attempt.waited,
            seconds=round(attempt.seconds, 6),
            request_id=None if attempt.request_id is None else clean_once(attempt.request_id),
        )

    def _put(self, level: LevelName, event: str, call: int | None, **keys: object) -> None:
        found = None if self._ids is None or call is None else self._ids(call)
        keys["trace_id"], keys["span_id"] = found or hex_ids(trace.get_current_span()) or (None, None)
        self._write(level, {"timestamp": self._stamp(), "level": level, "event": event, "call": call, **keys})

    def _stamp(self) -> str:
        """Now, in ISO 8601. The part down to the second is formatted once a second: it is the dear one."""
        wall = self._clock.wall()
        second, text = self._second
        if second != int(wall):
            second = int(wall)
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = (second, text)
        return f"{text}.{int((wall - second) * 1000):03d}Z"


def _level(event: events.CallFinished) -> LevelName:
    if event.error == names.CANCELLED:
        return "info"  # the caller left; nothing went wrong
    if event.error is not None:
        return "error"
    outcome = event.outcome
    helped = outcome.degraded or event.late or outcome.skipped or len(outcome.attempts) > 1
    return "warning" if helped else "info"


def _tokens(attempts: Sequence[Attempt]) -> tuple[int | None, int | None]:
    """Input and output tokens of all attempts together; None where any of them is unknown."""
    if not attempts:
        return None, None
    read: int | None = 0
    written: int | None = 0
    for attempt in attempts:
        usage = attempt.usage
        read = None if read is None or usage.input_tokens is None else read + usage.input_tokens
        written = None if written is None or usage.output_tokens is None else written + usage.output_tokens
    return read, written


def to_stream(stream: TextIO, form: LogFormat) -> Write:
    """Lines to an open text stream, rendered by structlog, one write a line.

    The renderer and the writer are called directly: a bound logger between them would copy the line three times.
    """
    render: Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    sink = structlog.WriteLogger(stream)

    def write(level: str, line: dict[str, object]) -> None:
        sink.msg(str(render(sink, level, line)))

    return write


def to_logger(logger: WrappedLogger) -> Write:
    """Lines to a logger the application made: a structlog logger, or one of `logging` (keys go into `extra`)."""
    if isinstance(logger, logging.Logger):

        def write_record(level: str, line: dict[str, object]) -> None:
            extra = {f"resilient_ai.{key}": value for key, value in line.items() if key != "event"}
            getattr(logger, level)(line["event"], extra=extra)

        return write_record

    def write(level: str, line: dict[str, object]) -> None:
        getattr(logger, level)(**line)

    return write
