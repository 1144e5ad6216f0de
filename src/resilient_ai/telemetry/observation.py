"""Telemetry that is switched on: its observers, what they write to, and how it ends."""

from __future__ import annotations

import atexit
import logging
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, TypeAlias, final, get_args

from opentelemetry import trace
from opentelemetry.metrics import MeterProvider  # noqa: TC002 - annotations stay evaluable, as for our own
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.trace import TracerProvider  # noqa: TC002 - as above

from resilient_ai.core.clock import Clock
from resilient_ai.core.events import Observer
from resilient_ai.core.fork import ChildLock
from resilient_ai.errors import ConfigError
from resilient_ai.runtime import observers
from resilient_ai.telemetry import names, providers
from resilient_ai.telemetry.audit.options import Audit
from resilient_ai.telemetry.audit.trail import AuditTrail
from resilient_ai.telemetry.ledger import Ledger
from resilient_ai.telemetry.log import LevelName, Log, LogFormat, to_logger, to_stream
from resilient_ai.telemetry.metrics import Metrics
from resilient_ai.telemetry.spans import AttemptSpans, Spans, hex_ids

FLUSH_SECONDS: Final = 5.0
"""How long `close` waits for exporters. A collector that is gone must not hold up the end of a process."""

Label: TypeAlias = str | bool | int | float

_log = logging.getLogger("resilient_ai")


@final
@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One series of one metric, as it stands.

    Attributes:
        name: The metric.
        labels: What tells this series from others of the metric.
        value: The count, the gauge's reading, or the sum of a histogram's values.
        count: How many values a histogram took; None for other metrics.
    """

    name: str
    labels: Mapping[str, Label]
    value: float
    count: int | None = None


@final
@dataclass(frozen=True, slots=True)
class Options:
    """What `observe` was asked for; equal options make the same observation.

    Raises:
        ConfigError: One of them is none of the choices there are.
    """

    logs: LogFormat | None
    log_file: Path | None
    log_level: LevelName
    logger: object
    spans: bool
    span_file: Path | None
    attempt_spans: AttemptSpans
    tracer_provider: TracerProvider | None
    metrics: bool
    snapshot: bool
    prometheus_port: int | None
    meter_provider: MeterProvider | None
    otlp: providers.Otlp
    audit: Audit | None
    currency: str
    clock: Clock

    def __post_init__(self) -> None:
        for name, value, choices, nothing in (
            ("logs", self.logs, get_args(LogFormat), ", or None"),
            ("log_level", self.log_level, get_args(LevelName), ""),
            ("attempt_spans", self.attempt_spans, get_args(AttemptSpans), ""),
        ):
            if value not in choices and not (nothing and value is None):
                raise ConfigError(
                    f"{name} is {value!r}; it must be one of {', '.join(choices)}{nothing}.", key=name
                )
        if self.logger is not None and not callable(getattr(self.logger, "info", None)):
            raise ConfigError(
                f"logger is of type {type(self.logger).__name__}; give a logger of structlog or of logging.",
                key="logger",
            )


@final
class Observation:
    """Telemetry that is switched on. Close it, or use it as a context manager; the end of the process closes it too.

    Safe to use from any thread. Made by `observe`.

    Args:
        options: What to switch on.

    Raises:
        ConfigError: Options contradict each other, or an extra is missing.
        OSError: A file cannot be opened, or the port is taken.

    Attributes:
        ledger: Tokens and money of every attempt since this began.
    """

    def __init__(self, options: Options) -> None:
        self.ledger = Ledger()
        self._options = options
        self._reader = InMemoryMetricReader() if options.snapshot and options.metrics else None
        self._closed = False
        self._lock = ChildLock()
        self._state = ExitStack()
        self._outside = ExitStack()
        self._audit: AuditTrail | None = None
        self._metrics: Metrics | None = None
        with ExitStack() as undo:
            undo.callback(self._outside.close)
            self._watching, self._log = self._assemble()
            undo.pop_all()

    @property
    def options(self) -> Options:
        """What it was made with."""
        return self._options

    @property
    def closed(self) -> bool:
        """It no longer watches."""
        return self._closed

    def snapshot(self) -> tuple[MetricPoint, ...]:
        """The metrics as they stand, in the order of their names.

        Raises:
            ConfigError: `observe` was not asked to keep them (`snapshot=True`).
        """
        if self._reader is None:
            raise ConfigError("no metrics are kept to be read: observe(snapshot=True)")
        data = self._reader.get_metrics_data()
        if data is None:
            return ()
        points = [
            _point(metric.name, point)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
            if isinstance(point, NumberDataPoint | HistogramDataPoint)
        ]
        return tuple(sorted(points, key=lambda point: (point.name, sorted(map(str, point.labels.items())))))

    def close(self, *, timeout: float = FLUSH_SECONDS) -> None:
        """Stops watching, and flushes and shuts down what `observe` made; a provider of the application is left alone.

        Idempotent. Calls that are in flight end unseen, their spans end here.

        Args:
            timeout: Seconds to wait for exporters. One that hangs longer is left to itself, with a warning.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for observer in self._watching:
            observers.remove(observer)
        atexit.unregister(self.close)
        self._state.close()
        self._flush_within(timeout)
        if self._metrics is not None:
            self._metrics.forget()

    def __enter__(self) -> Observation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Observation(closed={self._closed})"

    def _flush_within(self, timeout: float) -> None:
        flush = threading.Thread(target=self._flush, name="resilient_ai-flush", daemon=True)
        try:
            flush.start()
        except RuntimeError:
            # At the end of the interpreter no thread can be started (Python >= 3.12); the SDK's own bounds hold then.
            self._flush()
            return
        flush.join(timeout)
        if flush.is_alive():
            _log.warning("telemetry was not flushed within %g s; what is left of it is lost", timeout)

    def _flush(self) -> None:
        try:
            self._outside.close()
        except Exception as error:  # noqa: BLE001 - an exporter is foreign code; its text may hold what it exported
            _log.warning("telemetry was not shut down cleanly: %s", type(error).__qualname__)

    def watch(self) -> None:
        """Begins to watch every call of this process."""
        for observer in self._watching:
            observers.add(observer)
        atexit.register(self.close)

    def config_loaded(self, *, source: str, policy: str, chains: int, models: int) -> None:
        """Writes the log line `config.loaded`, and the audit record. Never raises; see `observe.config_loaded`."""
        if self._audit is not None:
            self._audit.config_loaded(source=source, policy=policy, chains=chains, models=models)
        if self._log is not None:
            # As in `observers.emit`: a log that cannot be written changes nothing.
            with suppress(Exception):
                self._log.config_loaded(source=source, policy=policy, chains=chains, models=models)

    def _assemble(self) -> tuple[tuple[Observer, ...], Log | None]:
        options = self._options
        watching: list[Observer] = [self.ledger]
        enabled = not providers.disabled()
        if options.metrics and enabled:
            meters = providers.meter_provider(
                options.meter_provider,
                otlp=options.otlp,
                prometheus_port=options.prometheus_port,
                snapshot=self._reader,
                cleanup=self._outside,
            )
            self._metrics = Metrics(meters, currency=options.currency)
            self._state.callback(self._metrics.close)
            watching.append(self._metrics)
        spans = None
        if options.spans and enabled:
            tracers = providers.tracer_provider(
                options.tracer_provider,
                span_file=options.span_file,
                otlp=options.otlp,
                cleanup=self._outside,
            )
            tracer = tracers.get_tracer(names.SCOPE, schema_url=names.SCHEMA_URL)
            spans = Spans(tracer, attempts=options.attempt_spans)
            self._state.callback(spans.close)
        log = self._make_log(spans)
        if log is not None:
            watching.append(log)
        if options.audit is not None:
            self._audit = AuditTrail(
                options.audit,
                ids=lambda call: (
                    (None if spans is None else spans.ids(call)) or hex_ids(trace.get_current_span())
                ),
                clock=options.clock,
                currency=options.currency,
            )
            self._state.callback(self._audit.close)
            watching.append(self._audit)
        if spans is not None:
            # Behind the log and the audit trail: at the end of a call it forgets the ids that their last lines want.
            watching.append(spans)
        return tuple(watching), log

    def _make_log(self, spans: Spans | None) -> Log | None:
        options = self._options
        if options.logger is not None:
            write = to_logger(options.logger)
        elif options.logs is None:
            return None
        elif options.log_file is None:
            if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] - the process was started without one
                return None
            write = to_stream(sys.stderr, options.logs)
        else:
            stream = options.log_file.open("a", encoding="utf-8")
            self._outside.callback(stream.close)
            write = to_stream(stream, options.logs)
        ids = None if spans is None else spans.ids
        return Log(write, level=options.log_level, ids=ids, clock=options.clock)


def _point(name: str, point: NumberDataPoint | HistogramDataPoint) -> MetricPoint:
    labels: dict[str, Label] = {
        key: value
        for key, value in (point.attributes or {}).items()
        if isinstance(value, str | bool | int | float)
    }
    if isinstance(point, HistogramDataPoint):
        return MetricPoint(name, labels, point.sum, point.count)
    return MetricPoint(name, labels, point.value)
