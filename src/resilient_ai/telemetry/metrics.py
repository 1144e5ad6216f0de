"""Calls as OpenTelemetry metrics: `gen_ai.*` per model asked, `resilient_ai.*` for what this library adds.

No label ever holds a user, a prompt or a message. A label whose values come from outside (a model's name as the provider
answered it) is bounded: what comes past the bound is counted as `_OTHER`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias, assert_never, final
from weakref import WeakKeyDictionary

from opentelemetry.metrics import (
    CallbackOptions,
    Histogram,
    Meter,
    MeterProvider,
    Observation,
)

from resilient_ai.core import events
from resilient_ai.core.fork import ChildLock
from resilient_ai.runtime import observers
from resilient_ai.telemetry import names, redaction
from resilient_ai.telemetry.audit.trail import counts as audit_counts
from resilient_ai.telemetry.calls import MAX_CALLS, Calls
from resilient_ai.telemetry.neighbours import counted_already

MAX_VALUES: Final = 200
"""Different values a label may take in a process. The SDK drops series beyond 2000 a metric without saying which."""

Labels: TypeAlias = dict[str, str | int]

_ROWS: Final[Mapping[str, names.MetricRow]] = {row.name: row for row in names.METRICS}


@final
class _Bounded:
    """Cleans a label's value, and answers `_OTHER` once the label has taken too many."""

    __slots__ = ("_limit", "_seen")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        if value not in self._seen:
            if len(self._seen) >= self._limit:
                return names.OTHER
            self._seen.add(value)
        return redaction.clean(value)


@final
class _BreakerStates:
    """Which state the breaker of each model is in, as the gauge reads it."""

    def __init__(self) -> None:
        self._lock = ChildLock()
        self._states: dict[tuple[str, str], str] = {}

    def seen(self, provider: str, model: str) -> None:
        """A model was asked: its breaker is closed unless it is known to be otherwise."""
        key = (provider, model)
        if key not in self._states:
            with self._lock:
                self._states.setdefault(key, "closed")

    def changed(self, provider: str, model: str, state: str) -> None:
        with self._lock:
            self._states[provider, model] = state

    def forget(self) -> None:
        with self._lock:
            self._states.clear()

    def observe(self, _options: CallbackOptions) -> Iterator[Observation]:
        with self._lock:
            states = list(self._states.items())
        for (provider, model), current in states:
            for state in names.BREAKER_STATES:
                labels = {names.PROVIDER_NAME: provider, names.REQUEST_MODEL: model, names.STATE: state}
                yield Observation(int(state == current), labels)


@final
class _Tally:
    """A counter that is kept here and read by the SDK when it collects.

    Adding to one of the SDK's own counters costs as much as recording into a histogram (6 us); most of what is counted in a
    call are counters, and a dictionary does it for a tenth.
    """

    def __init__(self) -> None:
        self._lock = ChildLock()
        self._counts: dict[tuple[tuple[str, str | int], ...], float] = {}

    def add(self, amount: float, labels: Labels) -> None:
        """Adds to the series of `labels`, which always come in the same order."""
        series = tuple(labels.items())
        with self._lock:
            self._counts[series] = self._counts.get(series, 0) + amount

    def observe(self, _options: CallbackOptions) -> Iterator[Observation]:
        with self._lock:
            counts = list(self._counts.items())
        for series, count in counts:
            yield Observation(count, dict(series))


@final
class _Instruments:
    """The instruments of one meter provider. Made once: a provider never lets go of an instrument."""

    def __init__(self, meter: Meter) -> None:
        self.breakers = _BreakerStates()
        self.operation_duration = _histogram(meter, names.METRIC_OPERATION_DURATION)
        self.tokens = _histogram(meter, names.METRIC_TOKEN_USAGE)
        self.first_chunk = _histogram(meter, names.METRIC_FIRST_CHUNK)
        self.per_chunk = _histogram(meter, names.METRIC_PER_CHUNK)
        self.request_duration = _histogram(meter, names.METRIC_REQUEST_DURATION)
        self.retry_delay = _histogram(meter, names.METRIC_RETRY_DELAY)
        self.attempts = _counter(meter, names.METRIC_ATTEMPTS)
        self.retry_suppressed = _counter(meter, names.METRIC_RETRY_SUPPRESSED)
        self.hedge_suppressed = _counter(meter, names.METRIC_HEDGE_SUPPRESSED)
        self.fallbacks = _counter(meter, names.METRIC_FALLBACKS)
        self.transitions = _counter(meter, names.METRIC_BREAKER_TRANSITIONS)
        self.rejections = _counter(meter, names.METRIC_BREAKER_REJECTIONS)
        self.throttled = _counter(meter, names.METRIC_THROTTLE_REJECTIONS)
        self.validations = _counter(meter, names.METRIC_VALIDATIONS)
        self.alerts = _counter(meter, names.METRIC_ALERTS)
        self.cost = _counter(meter, names.METRIC_COST)
        self.active = _Tally()
        row = _ROWS[names.METRIC_ACTIVE]
        meter.create_observable_up_down_counter(row.name, [self.active.observe], row.unit, row.description)
        row = _ROWS[names.METRIC_BREAKER_STATE]
        meter.create_observable_gauge(row.name, [self.breakers.observe], row.unit, row.description)
        row = _ROWS[names.METRIC_REDACTIONS]
        meter.create_observable_counter(row.name, [_redactions], row.unit, row.description)
        row = _ROWS[names.METRIC_REDACTION_ERRORS]
        meter.create_observable_counter(row.name, [_redaction_errors], row.unit, row.description)
        row = _ROWS[names.METRIC_OBSERVER_ERRORS]
        meter.create_observable_counter(row.name, [_observer_errors], row.unit, row.description)
        row = _ROWS[names.METRIC_AUDIT_RECORDS]
        meter.create_observable_counter(row.name, [_audit_records], row.unit, row.description)
        row = _ROWS[names.METRIC_AUDIT_ERRORS]
        meter.create_observable_counter(row.name, [_audit_errors], row.unit, row.description)


_made: WeakKeyDictionary[MeterProvider, _Instruments] = WeakKeyDictionary()
_made_lock = ChildLock()


@final
class _OpenModel:
    """A model that is being asked."""

    __slots__ = ("committed", "labels", "started")

    def __init__(self, started: float, labels: Labels) -> None:
        self.started = started
        self.labels = labels
        self.committed: float | None = None


@final
class _OpenCall:
    """A call in flight."""

    __slots__ = ("chain", "counted", "failure", "models", "operation")

    def __init__(self, chain: str, operation: str) -> None:
        self.chain = chain
        self.operation = operation
        self.counted = counted_already()
        self.models: dict[tuple[str, str], _OpenModel] = {}
        self.failure = names.OTHER


@final
class Metrics:
    """Records metrics of calls. An observer; safe to share between threads and tasks.

    Args:
        provider: Whose meter records. Two observers of one provider share its instruments.
        currency: What `Attempt.cost` is in; a label, nothing is converted.
        max_values: Different values a label may take; what comes after them is counted as `_OTHER`.
        limit: How many calls in flight are remembered.
    """

    def __init__(
        self,
        provider: MeterProvider,
        *,
        currency: str = "USD",
        max_values: int = MAX_VALUES,
        limit: int = MAX_CALLS,
    ) -> None:
        with _made_lock:
            instruments = _made.get(provider)
            if instruments is None:
                meter = provider.get_meter(names.SCOPE, schema_url=names.SCHEMA_URL)
                instruments = _made[provider] = _Instruments(meter)
        self._to = instruments
        self._currency = currency
        self._calls: Calls[_OpenCall] = Calls(self._give_up, limit=limit)
        self._chain = _Bounded(max_values)
        self._model = _Bounded(max_values)
        self._served_model = _Bounded(max_values)
        self._provider = _Bounded(max_values)
        self._address = _Bounded(max_values)
        self._reason = _Bounded(max_values)
        self._check = _Bounded(max_values)

    def __len__(self) -> int:
        """Calls in flight that are remembered."""
        return len(self._calls)

    def close(self) -> None:
        """Counts the calls that are still in flight as gone. What the breakers were last is still told, until `forget`."""
        self._calls.drain()

    def forget(self) -> None:
        """No longer tells how the breakers are, which nobody watches any more. Called when the last export has read it."""
        self._to.breakers.forget()

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.CallStarted():
                chain = self._chain(event.chain)
                self._calls.put(event.call, _OpenCall(chain, event.operation))
                self._to.active.add(1, {names.CHAIN: chain})
            case events.ModelStarted():
                self._begin_model(event)
            case events.AttemptStarted():
                if event.waited > 0 and (call := self._calls.get(event.call)) is not None:
                    labels: Labels = {
                        names.PROVIDER_NAME: self._provider_name(event.provider),
                        names.REASON: call.failure,
                    }
                    self._to.retry_delay.record(event.waited, labels)
            case events.AttemptFinished():
                self._attempt(event)
            case events.StreamCommitted():
                call = self._calls.get(event.call)
                if call is not None and (model := call.models.get((event.provider, event.model))) is not None:
                    model.committed = event.at
            case events.ModelFinished():
                self._finish_model(event)
            case events.CallFinished():
                self._finish(event)
            case _:
                self._rare(event)

    def _rare(self, event: _Rare) -> None:
        match event:
            case events.ModelSkipped():
                if event.skip.reason == "circuit_open":
                    self._to.rejections.add(1, self._who(event.skip.provider, event.skip.model))
                elif event.skip.reason == "throttled":
                    self._to.throttled.add(1, self._who(event.skip.provider, event.skip.model))
            case events.FallbackUsed():
                labels: Labels = {
                    names.FALLBACK_FROM: self._model(event.source),
                    names.FALLBACK_TO: self._model(event.target),
                    names.REASON: self._reason(event.reason),
                }
                self._to.fallbacks.add(1, labels)
            case events.RetrySuppressed():
                labels = self._who(event.provider, event.model)
                if event.reason == "throttle":
                    self._to.throttled.add(1, labels.copy())
                labels[names.REASON] = self._reason(event.reason)
                self._to.retry_suppressed.add(1, labels)
            case events.HedgeSuppressed():
                labels = self._who(event.provider, event.model)
                if event.reason == "throttle":
                    self._to.throttled.add(1, labels.copy())
                labels[names.REASON] = self._reason(event.reason)
                self._to.hedge_suppressed.add(1, labels)
            case events.OutputChecked():
                labels = {
                    names.VALIDATION_NAME: self._check(event.name),
                    names.VALIDATION_RESULT: "pass" if event.passed else "fail",
                    names.VALIDATION_ACTION: self._reason(event.action),
                }
                self._to.validations.add(1, labels)
            case events.BreakerChanged():
                labels = self._who(event.provider, event.model)
                provider, model = str(labels[names.PROVIDER_NAME]), str(labels[names.REQUEST_MODEL])
                self._to.breakers.changed(provider, model, event.new)
                self._to.transitions.add(
                    1, {**labels, names.STATE_OLD: event.old, names.STATE_NEW: event.new}
                )
            case events.AlertRaised():
                labels = self._who(event.provider, event.model)
                labels[names.ERROR_TYPE] = names.error_type(event.kind.value)
                self._to.alerts.add(1, labels)
            case events.HintIgnored():
                pass
            case _:
                assert_never(event)

    def _begin_model(self, event: events.ModelStarted) -> None:
        call = self._calls.get(event.call)
        if call is None:
            return
        labels = self._who(event.provider, event.model)
        provider, model = str(labels[names.PROVIDER_NAME]), str(labels[names.REQUEST_MODEL])
        self._to.breakers.seen(provider, model)
        labels[names.OPERATION_NAME] = names.OPERATION_CHAT
        if event.server_address is not None:
            labels[names.SERVER_ADDRESS] = self._address(event.server_address)
            if event.server_port is not None:
                labels[names.SERVER_PORT] = event.server_port
        call.models[event.provider, event.model] = _OpenModel(event.at, labels)

    def _attempt(self, event: events.AttemptFinished) -> None:
        attempt = event.attempt
        labels = self._who(attempt.provider, attempt.model)
        if attempt.cost:
            self._to.cost.add(attempt.cost, {**labels, names.CURRENCY: self._currency})
        labels[names.OUTCOME] = self._reason(attempt.verdict)
        if attempt.kind is not None:
            failure = labels[names.ERROR_TYPE] = names.error_type(attempt.kind.value)
            call = self._calls.get(event.call)
            if call is not None:
                call.failure = failure
        self._to.attempts.add(1, labels)

    def _finish_model(self, event: events.ModelFinished) -> None:
        call = self._calls.get(event.call)
        model = None if call is None else call.models.pop((event.provider, event.model), None)
        if call is None or model is None:
            return
        labels = model.labels
        if event.served_model is not None:
            labels[names.RESPONSE_MODEL] = self._served_model(event.served_model)
        usage = event.usage
        if not call.counted:
            if usage.input_tokens is not None:
                self._to.tokens.record(usage.input_tokens, {**labels, names.TOKEN_TYPE: "input"})
            if usage.output_tokens is not None:
                self._to.tokens.record(usage.output_tokens, {**labels, names.TOKEN_TYPE: "output"})
        if event.first_chunk is not None:
            self._to.first_chunk.record(event.first_chunk, labels)
        if model.committed is not None and event.chunks > 1:
            self._to.per_chunk.record((event.at - model.committed) / (event.chunks - 1), labels)
        if event.kind is not None:
            labels[names.ERROR_TYPE] = names.error_type(event.kind.value)
        self._to.operation_duration.record(event.at - model.started, labels)

    def _finish(self, event: events.CallFinished) -> None:
        call = self._calls.pop(event.call)
        if call is None:
            return
        self._to.active.add(-1, {names.CHAIN: call.chain})
        outcome = event.outcome
        labels: Labels = {
            names.CHAIN: call.chain,
            names.OPERATION: call.operation,
            names.OUTCOME: names.outcome(error=event.error, degraded=outcome.degraded),
        }
        if outcome.served_by is not None:
            labels[names.SERVED_BY] = self._model(outcome.served_by)
        if event.error is not None:
            labels[names.ERROR_TYPE] = names.error_type(event.error)
        self._to.request_duration.record(outcome.seconds, labels)

    def _give_up(self, call: _OpenCall) -> None:
        self._to.active.add(-1, {names.CHAIN: call.chain})

    def _who(self, provider: str, model: str) -> Labels:
        return {
            names.PROVIDER_NAME: self._provider_name(provider),
            names.REQUEST_MODEL: self._model(model),
        }

    def _provider_name(self, provider: str) -> str:
        return self._provider(names.PROVIDERS.get(provider, provider))


_Rare: TypeAlias = (
    events.ModelSkipped
    | events.FallbackUsed
    | events.RetrySuppressed
    | events.HedgeSuppressed
    | events.HintIgnored
    | events.OutputChecked
    | events.BreakerChanged
    | events.AlertRaised
)


def _histogram(meter: Meter, name: str) -> Histogram:
    row = _ROWS[name]
    return meter.create_histogram(
        row.name, row.unit, row.description, explicit_bucket_boundaries_advisory=row.buckets
    )


def _counter(meter: Meter, name: str) -> _Tally:
    row = _ROWS[name]
    tally = _Tally()
    meter.create_observable_counter(row.name, [tally.observe], row.unit, row.description)
    return tally


def _redactions(_options: CallbackOptions) -> Iterable[Observation]:
    return [Observation(redaction.counts()[0])]


def _redaction_errors(_options: CallbackOptions) -> Iterable[Observation]:
    return [Observation(redaction.counts()[1])]


def _audit_records(_options: CallbackOptions) -> Iterable[Observation]:
    return [Observation(audit_counts()[0])]


def _audit_errors(_options: CallbackOptions) -> Iterable[Observation]:
    return [Observation(audit_counts()[1])]


def _observer_errors(_options: CallbackOptions) -> Iterable[Observation]:
    return [
        Observation(count, {names.OBSERVER: redaction.clean(observer)})
        for observer, count in observers.failures().items()
    ]
