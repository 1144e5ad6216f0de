"""Calls as OpenTelemetry spans.

    resilient_ai.request          INTERNAL  the call
      chat {model}                CLIENT    one model that was asked, with its retries; INTERNAL on this device
        resilient_ai.attempt      INTERNAL  one request, from the first that failed on

No span is ever made the *current* one: a stream hands control to its caller between two chunks, and a span attached to
the context there would become the parent of whatever the caller does next. Parents are passed explicitly, from the context the
call began in. Times are computed from the events, so that a span shows what the engine measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, assert_never, final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from resilient_ai.core import events
from resilient_ai.core.failure import FailureKind
from resilient_ai.messages import Attempt, Request, Skip, Usage
from resilient_ai.telemetry import names
from resilient_ai.telemetry.calls import MAX_CALLS, Calls
from resilient_ai.telemetry.neighbours import counted_already
from resilient_ai.telemetry.redaction import clean, clean_once

AttemptSpans: TypeAlias = Literal["failed", "all", "none"]
"""Which attempts become spans: those from the first failure of a model on, every one, or none."""

Value: TypeAlias = str | bool | int | float | Sequence[str]

_Within: TypeAlias = (
    events.ModelStarted
    | events.AttemptStarted
    | events.AttemptFinished
    | events.StreamCommitted
    | events.ModelFinished
    | events.ModelSkipped
    | events.FallbackUsed
    | events.RetrySuppressed
    | events.HedgeSuppressed
    | events.HintIgnored
    | events.OutputChecked
)
"""What happens between the begin and the end of a call."""

_NANOSECONDS: Final = 1_000_000_000
_ERROR: Final = Status(StatusCode.ERROR)
"""Without a description: text about a failure may repeat what failed. `error.type` says why."""


@final
class _OpenModel:
    """The span of a model that is being asked."""

    __slots__ = ("attempts", "failed", "span")

    def __init__(self, span: Span) -> None:
        self.span = span
        self.attempts = 0
        self.failed = False


@final
class _OpenCall:
    """A call in flight."""

    __slots__ = (
        "context",
        "counted",
        "fallbacks",
        "last",
        "models",
        "policy",
        "request",
        "span",
        "streamed",
        "zero",
    )

    def __init__(self, started: events.CallStarted, span: Span, context: otel_context.Context) -> None:
        self.span = span
        self.context = context
        self.counted = counted_already()
        # Nanoseconds since the epoch at which the monotonic clock of the call was zero.
        self.zero = int(started.wall * _NANOSECONDS) - int(started.at * _NANOSECONDS)
        self.last = started.at
        self.request = started.request
        self.policy = started.policy
        self.streamed = started.operation == "stream"
        self.fallbacks = 0
        self.models: dict[tuple[str, str], _OpenModel] = {}

    def when(self, at: float) -> int:
        """Nanoseconds since the epoch of an instant on the call's clock."""
        return self.zero + int(at * _NANOSECONDS)


@final
class Spans:
    """Makes spans of calls. An observer; safe to share between threads and tasks.

    A call that is sampled out makes no spans below its own. State is held per call and dropped at its end; calls that never
    end are given up, oldest first, past a bound.

    Args:
        tracer: Where spans are started.
        attempts: Which attempts become spans.
        limit: How many calls in flight are remembered.
    """

    def __init__(self, tracer: Tracer, *, attempts: AttemptSpans = "failed", limit: int = MAX_CALLS) -> None:
        self._tracer = tracer
        self._attempts: AttemptSpans = attempts
        self._calls: Calls[_OpenCall] = Calls(_give_up, limit=limit)

    def __len__(self) -> int:
        """Calls in flight that are remembered."""
        return len(self._calls)

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.CallStarted():
                self._begin(event)
            case events.CallFinished():
                call = self._calls.pop(event.call)
                if call is not None and call.span.is_recording():
                    _finish(call, event)
            case events.BreakerChanged() | events.AlertRaised():
                pass  # of no call; metrics and log lines tell
            case _:
                call = self._calls.get(event.call)
                if call is not None and call.span.is_recording():
                    call.last = event.at
                    self._within(call, event)

    def _within(self, call: _OpenCall, event: _Within) -> None:
        match event:
            case events.ModelStarted():
                self._begin_model(call, event)
            case events.AttemptFinished():
                self._attempt(call, event)
            case events.ModelFinished():
                _finish_model(call, event)
            case events.ModelSkipped():
                call.span.add_event(names.EVENT_SKIPPED, _skip_attributes(event.skip), call.when(event.at))
            case events.FallbackUsed():
                call.fallbacks += 1
                call.span.add_event(names.EVENT_FALLBACK, _fallback_attributes(event), call.when(event.at))
            case events.RetrySuppressed():
                reason: dict[str, Value] = {names.REASON: clean(event.reason)}
                span = _span_of(call, event.provider, event.model)
                span.add_event(names.EVENT_RETRY_SUPPRESSED, reason, call.when(event.at))
            case events.HedgeSuppressed():
                span = _span_of(call, event.provider, event.model)
                why: dict[str, Value] = {names.REASON: clean(event.reason)}
                span.add_event(names.EVENT_HEDGE_SUPPRESSED, why, call.when(event.at))
            case events.HintIgnored():
                span = _span_of(call, event.provider, event.model)
                span.add_event(names.EVENT_HINT_IGNORED, None, call.when(event.at))
            case events.OutputChecked():
                span = _span_of(call, event.provider, event.model)
                span.add_event(names.EVENT_EVALUATION, _check_attributes(event), call.when(event.at))
            case events.AttemptStarted() | events.StreamCommitted():
                pass  # their instants stand in AttemptFinished and ModelFinished
            case _:
                assert_never(event)

    def ids(self, call: int) -> tuple[str, str] | None:
        """Trace and span id of the call's innermost open span, in hexadecimal, or None if it has none."""
        state = self._calls.get(call)
        if state is None:
            return None
        open_models = state.models
        span = next(reversed(open_models.values())).span if open_models else state.span
        return hex_ids(span)

    def close(self) -> None:
        """Ends the spans of the calls that are still in flight, so that they are exported."""
        self._calls.drain()

    def _begin(self, event: events.CallStarted) -> None:
        parent = otel_context.get_current()
        span = self._tracer.start_span(
            names.SPAN_REQUEST,
            context=parent,
            kind=SpanKind.INTERNAL,
            attributes={
                names.CHAIN: clean(event.chain),
                names.OPERATION: event.operation,
                names.DEADLINE: event.deadline,
                names.POLICY: clean(event.policy),
            },
            start_time=int(event.wall * _NANOSECONDS),
            record_exception=False,
            set_status_on_exception=False,
        )
        self._calls.put(event.call, _OpenCall(event, span, trace.set_span_in_context(span, parent)))

    def _begin_model(self, call: _OpenCall, event: events.ModelStarted) -> None:
        model = clean(event.model)
        attributes: dict[str, Value] = {
            names.OPERATION_NAME: names.OPERATION_CHAT,
            names.PROVIDER_NAME: _provider(event.provider),
            names.REQUEST_MODEL: model,
        }
        if event.server_address is not None:
            attributes[names.SERVER_ADDRESS] = clean(event.server_address)
            if event.server_port is not None:
                attributes[names.SERVER_PORT] = event.server_port
        span = self._tracer.start_span(
            f"{names.OPERATION_CHAT} {model}",
            context=call.context,
            kind=SpanKind.INTERNAL if event.local else SpanKind.CLIENT,
            attributes=attributes,
            start_time=call.when(event.at),
            record_exception=False,
            set_status_on_exception=False,
        )
        call.models[event.provider, event.model] = _OpenModel(span)

    def _attempt(self, call: _OpenCall, event: events.AttemptFinished) -> None:
        attempt = event.attempt
        model = call.models.get((attempt.provider, attempt.model))
        if model is None:
            return
        model.attempts += 1
        model.failed = model.failed or attempt.kind is not None
        if self._attempts == "none" or (self._attempts == "failed" and not model.failed):
            return
        if not model.span.is_recording():
            return
        self._tracer.start_span(
            names.SPAN_ATTEMPT,
            context=trace.set_span_in_context(model.span, call.context),
            kind=SpanKind.INTERNAL,
            attributes=_attempt_attributes(attempt),
            start_time=call.when(event.at - attempt.seconds),
            record_exception=False,
            set_status_on_exception=False,
        ).end(call.when(event.at))


def hex_ids(span: Span) -> tuple[str, str] | None:
    """Trace and span id in hexadecimal, or None if the span has none (no tracing is configured)."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return format(context.trace_id, "032x"), format(context.span_id, "016x")


def _provider(name: str) -> str:
    return clean(names.PROVIDERS.get(name, name))


def _span_of(call: _OpenCall, provider: str, model: str) -> Span:
    """The span of a model that is being asked; the call's own if the model is done with."""
    found = call.models.get((provider, model))
    return call.span if found is None else found.span


def _skip_attributes(skip: Skip) -> dict[str, Value]:
    attributes: dict[str, Value] = {
        names.PROVIDER_NAME: _provider(skip.provider),
        names.REQUEST_MODEL: clean(skip.model),
        names.REASON: clean(skip.reason),
    }
    if skip.retry_after is not None:
        attributes[names.RETRY_AFTER] = skip.retry_after
    return attributes


def _fallback_attributes(event: events.FallbackUsed) -> dict[str, Value]:
    return {
        names.FALLBACK_FROM: clean(event.source),
        names.FALLBACK_TO: clean(event.target),
        names.REASON: clean(event.reason),
    }


def _check_attributes(event: events.OutputChecked) -> dict[str, Value]:
    return {
        names.EVALUATION_NAME: clean(event.name),
        names.EVALUATION_LABEL: "pass" if event.passed else "fail",
        names.VALIDATION_ACTION: clean(event.action),
    }


def _attempt_attributes(attempt: Attempt) -> dict[str, Value]:
    attributes: dict[str, Value] = {
        names.ATTEMPT_N: attempt.n,
        names.ATTEMPT_VERDICT: clean(attempt.verdict),
        names.ATTEMPT_WAITED: attempt.waited,
    }
    if attempt.kind is not None:
        # No error status here: whether the failure mattered is told by the model's span and the call's.
        attributes[names.ERROR_TYPE] = names.error_type(attempt.kind.value)
    if attempt.status is not None:
        attributes[names.HTTP_STATUS] = attempt.status
    if attempt.code is not None:
        attributes[names.ATTEMPT_CODE] = clean(attempt.code)
    if attempt.retry_after is not None:
        attributes[names.ATTEMPT_RETRY_AFTER] = attempt.retry_after
    if attempt.request_id is not None:
        attributes[names.ATTEMPT_REQUEST_ID] = clean_once(attempt.request_id)
    return attributes


def _request_attributes(request: Request) -> dict[str, Value]:
    """All that is read of a request: numbers and names. Stop sequences are left out, they are the caller's text."""
    numbers: tuple[tuple[str, object], ...] = (
        (names.REQUEST_MAX_TOKENS, request.max_tokens),
        (names.REQUEST_TEMPERATURE, request.temperature),
        (names.REQUEST_TOP_P, request.top_p),
        (names.REQUEST_SEED, request.seed),
    )
    # Types are checked because nobody validated them: text where a number belongs would be content.
    attributes: dict[str, Value] = {
        name: number for name, number in numbers if isinstance(number, int | float)
    }
    if request.output_schema is not None:
        attributes[names.OUTPUT_TYPE] = "json"
    return attributes


def _finish_model(call: _OpenCall, event: events.ModelFinished) -> None:
    model = call.models.pop((event.provider, event.model), None)
    if model is None or not model.span.is_recording():
        return
    attributes = _request_attributes(call.request)
    attributes[names.ATTEMPTS] = model.attempts
    attributes[names.POLICY] = clean(call.policy)
    if call.streamed:
        attributes[names.REQUEST_STREAM] = True
    if event.id is not None:
        attributes[names.RESPONSE_ID] = clean_once(event.id)
    if event.served_model is not None:
        attributes[names.RESPONSE_MODEL] = clean(event.served_model)
    if event.finish_reason is not None:
        attributes[names.RESPONSE_FINISH_REASONS] = (clean(event.finish_reason),)
    if event.first_chunk is not None:
        attributes[names.RESPONSE_TIME_TO_FIRST_CHUNK] = event.first_chunk
    if not call.counted:
        attributes.update(_usage_attributes(event.usage))
    # Leaving a model because the caller left is no failure of it.
    failed = event.kind is not None and event.kind is not FailureKind.CANCELLED
    if failed and event.kind is not None:
        attributes[names.ERROR_TYPE] = names.error_type(event.kind.value)
    model.span.set_attributes(attributes)
    if failed:
        model.span.set_status(_ERROR)
    model.span.end(call.when(event.at))


def _usage_attributes(usage: Usage) -> dict[str, Value]:
    told = (
        (names.USAGE_INPUT_TOKENS, usage.input_tokens),
        (names.USAGE_OUTPUT_TOKENS, usage.output_tokens),
        (names.USAGE_CACHE_READ, usage.cached_tokens),
        (names.USAGE_CACHE_CREATION, usage.cache_creation_tokens),
        (names.USAGE_REASONING, usage.reasoning_tokens),
    )
    return {name: tokens for name, tokens in told if tokens is not None}


def _finish(call: _OpenCall, event: events.CallFinished) -> None:
    end = call.when(event.at)
    _end_models(call, end)
    outcome = event.outcome
    attributes: dict[str, Value] = {
        names.OUTCOME: names.outcome(error=event.error, degraded=outcome.degraded),
        names.ATTEMPTS: len(outcome.attempts),
        names.FALLBACKS: call.fallbacks,
        names.LATE: event.late,
    }
    if outcome.served_by is not None:
        attributes[names.SERVED_BY] = clean(outcome.served_by)
    if outcome.flags:
        attributes[names.FLAGS] = tuple(clean(flag) for flag in outcome.flags)
    if event.error is not None:
        attributes[names.ERROR_TYPE] = names.error_type(event.error)
    call.span.set_attributes(attributes)
    # A caller who leaves is told apart by `error.type`, but nothing went wrong: no trace is painted red for it.
    if event.error is not None and event.error != names.CANCELLED:
        call.span.set_status(_ERROR)
    call.span.end(end)


def _end_models(call: _OpenCall, end: int) -> None:
    """Ends the spans of models whose end was never reported (the call was cut short)."""
    for model in call.models.values():
        model.span.end(end)
    call.models.clear()


def _give_up(call: _OpenCall) -> None:
    """Ends the spans of a call whose end will not be reported, at the last instant it was heard of."""
    if call.span.is_recording():
        end = call.when(call.last)
        _end_models(call, end)
        call.span.end(end)
