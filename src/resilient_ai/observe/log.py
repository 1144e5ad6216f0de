"""Calls as structured log lines, through structlog.

The lines have fixed names and fixed keys (`names.LOG_EVENTS`). Above INFO there is one line a call at most: WARNING if it
needed help, ERROR if it failed. What a line may hold is a list, not a filter: numbers, closed lists and names.
structlog is configured for this logger alone; its global configuration and the one of `logging` stay as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, TextIO, TypeAlias, final

import structlog
from opentelemetry import trace

from resilient_ai.core import events
from resilient_ai.core.clock import SYSTEM_CLOCK, Clock
from resilient_ai.messages import Outcome
from resilient_ai.observe import names
from resilient_ai.observe.redaction import clean, clean_once
from resilient_ai.observe.spans import hex_ids

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

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
            input_tokens=_tokens(outcome, "input_tokens"),
            output_tokens=_tokens(outcome, "output_tokens"),
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
        trace_id, span_id = found or hex_ids(trace.get_current_span()) or (None, None)
        stamp = datetime.fromtimestamp(self._clock.wall(), UTC).isoformat(timespec="milliseconds")
        self._write(
            level,
            {
                "timestamp": stamp,
                "level": level,
                "event": event,
                "call": call,
                **keys,
                "trace_id": trace_id,
                "span_id": span_id,
            },
        )


def _level(event: events.CallFinished) -> LevelName:
    if event.error == names.CANCELLED:
        return "info"  # the caller left; nothing went wrong
    if event.error is not None:
        return "error"
    outcome = event.outcome
    helped = outcome.degraded or event.late or outcome.skipped or len(outcome.attempts) > 1
    return "warning" if helped else "info"


def _tokens(outcome: Outcome, which: Literal["input_tokens", "output_tokens"]) -> int | None:
    """Tokens of all attempts together; None if any of them is unknown."""
    counts = [
        attempt.usage.input_tokens if which == "input_tokens" else attempt.usage.output_tokens
        for attempt in outcome.attempts
    ]
    return None if not counts or None in counts else sum(count for count in counts if count is not None)


def to_stream(stream: TextIO, form: LogFormat) -> Write:
    """Lines to an open text stream, rendered by structlog, one write a line."""
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    return _through(_wrapped(structlog.WriteLogger(stream), renderer))


def to_logger(logger: WrappedLogger) -> Write:
    """Lines to a logger the application made: a structlog logger, or one of `logging` (keys go into `extra`)."""
    return _through(_wrapped(logger, _as_extra) if isinstance(logger, logging.Logger) else logger)


def _wrapped(sink: WrappedLogger, processor: Processor) -> WrappedLogger:
    """A logger of its own: with every part named, nothing is taken from structlog's global configuration."""
    return structlog.wrap_logger(
        sink,
        processors=[processor],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        context_class=dict,
    ).bind()


def _through(logger: WrappedLogger) -> Write:
    def write(level: str, line: dict[str, object]) -> object:
        return getattr(logger, level)(**line)

    return write


def _as_extra(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """What `logging.Logger.info` takes: the event as the message, the keys as attributes of the record."""
    return {"msg": line.pop("event"), "extra": {f"resilient_ai.{key}": value for key, value in line.items()}}
