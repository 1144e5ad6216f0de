"""Where spans and metrics go: the application's provider, or one of our own with the exporters that are configured.

The first of these that applies, for spans and for metrics each:

1. a provider that was passed;
2. a destination that was named (a file, an endpoint, a port): a provider of our own, which nobody else sees;
3. the provider the application set;
4. what the environment configures (`OTEL_TRACES_EXPORTER`, `OTEL_EXPORTER_OTLP_ENDPOINT`, ...): a provider of our own;
5. nothing yet: the API's stand-in, which follows the application's provider once there is one.

The global providers are never set and never changed. `OTEL_SDK_DISABLED=true` switches off whatever would be made here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import entry_points
from os import environ
from pathlib import Path
from typing import Final, Literal, TypeAlias

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    InMemoryMetricReader,
    MetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from resilient_ai.errors import ConfigError
from resilient_ai.telemetry.export import JsonLinesSpanExporter

Signal: TypeAlias = Literal["traces", "metrics"]
Otlp: TypeAlias = str | bool | None
"""An OTLP endpoint; True for the environment's or the standard one; False for none; None leaves it to the environment."""

_PROMETHEUS_HOST: Final = "localhost"
"""Source: OpenTelemetry specification, OTEL_EXPORTER_PROMETHEUS_HOST."""


def disabled() -> bool:
    """The environment switches OpenTelemetry off."""
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def tracer_provider(
    given: trace.TracerProvider | None,
    *,
    span_file: Path | None,
    otlp: Otlp,
    cleanup: ExitStack,
) -> trace.TracerProvider:
    """Where spans are started.

    Args:
        given: The provider to use, or None.
        span_file: A file to append spans to, or None.
        otlp: Where to send spans by OTLP.
        cleanup: Receives what must be shut down.

    Raises:
        ConfigError: An exporter is missing or unknown, or two destinations contradict each other.
        OSError: `span_file` cannot be opened.
    """
    named = span_file is not None or bool(otlp)
    if given is not None:
        if named:
            raise ConfigError("tracer_provider says where spans go: leave span_file and otlp out")
        return given
    application = trace.get_tracer_provider()
    if not named and not isinstance(application, trace.ProxyTracerProvider):
        return application
    exporters = [
        _span_exporter(name, otlp=otlp) for name in _exporter_names("traces", otlp=otlp, named=named)
    ]
    if span_file is not None:
        exporters.append(JsonLinesSpanExporter(span_file))
    if not exporters:
        return application
    # Exit is handled by the observation, which waits a bounded time; the provider's own handler does not.
    provider = TracerProvider(shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    cleanup.callback(provider.shutdown)
    return provider


def meter_provider(
    given: metrics.MeterProvider | None,
    *,
    otlp: Otlp,
    prometheus_port: int | None,
    snapshot: InMemoryMetricReader | None,
    cleanup: ExitStack,
) -> metrics.MeterProvider:
    """Where metrics are recorded. Arguments and errors as for `tracer_provider`.

    Args:
        given: The provider to use, or None.
        otlp: Where to send metrics by OTLP.
        prometheus_port: A port of this host to serve metrics on, or None.
        snapshot: A reader to keep metrics in the process for, or None.
        cleanup: Receives what must be shut down.

    Raises:
        ConfigError: An exporter is missing or unknown, or two destinations contradict each other.
        OSError: The port is taken.
    """
    named = prometheus_port is not None or snapshot is not None or bool(otlp)
    if given is not None:
        if named:
            raise ConfigError(
                "meter_provider says where metrics go: leave prometheus_port, snapshot and otlp out"
            )
        return given
    application = metrics.get_meter_provider()
    # The stand-in has no public name; the tracing one has.
    if not named and type(application).__name__ != "_ProxyMeterProvider":
        return application
    readers = [_metric_reader(name, otlp=otlp) for name in _exporter_names("metrics", otlp=otlp, named=named)]
    if prometheus_port is not None:
        readers.append(_prometheus(prometheus_port, cleanup))
    if snapshot is not None:
        readers.append(snapshot)
    if not readers:
        return application
    provider = MeterProvider(readers, shutdown_on_exit=False)
    cleanup.callback(provider.shutdown)
    return provider


def missing(extra: str, package: str) -> ConfigError:
    """What is said when an optional package is not there."""
    return ConfigError(f"{package} is not installed: pip install 'resilient_ai[{extra}]'")


def _exporter_names(signal: Signal, *, otlp: Otlp, named: bool) -> list[str]:
    if otlp is not None:
        return ["otlp"] if otlp else []
    if named:
        return []  # a destination was named in code: the environment does not add another
    declared = environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip()
    if declared:
        return [name for part in declared.split(",") if (name := part.strip()) not in ("", "none")]
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    return ["otlp"] if any(environ.get(endpoint) for endpoint in endpoints) else []


def _span_exporter(name: str, *, otlp: Otlp) -> SpanExporter:
    made = _made("traces", name, otlp=otlp)
    if not isinstance(made, SpanExporter):
        raise ConfigError(f"OTEL_TRACES_EXPORTER={name} does not name a span exporter")
    return made


def _metric_reader(name: str, *, otlp: Otlp) -> MetricReader:
    made = _made("metrics", name, otlp=otlp)
    if isinstance(made, MetricExporter):
        return PeriodicExportingMetricReader(made)
    if not isinstance(made, MetricReader):
        raise ConfigError(f"OTEL_METRICS_EXPORTER={name} does not name a metric exporter")
    return made


def _made(signal: Signal, name: str, *, otlp: Otlp) -> object:
    """The exporter of that name, as the packages that are installed declare it."""
    if name == "otlp":
        over_grpc = (
            environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
            or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        ) == "grpc"
        name = "otlp_proto_grpc" if over_grpc else "otlp_proto_http"
    found = tuple(entry_points(group=f"opentelemetry_{signal}_exporter", name=name))
    if not found:
        if name == "otlp_proto_http":
            raise missing("otlp", "opentelemetry-exporter-otlp-proto-http")
        if name == "otlp_proto_grpc":
            raise ConfigError(
                "OTLP over gRPC needs a package of its own: pip install opentelemetry-exporter-otlp-proto-grpc"
            )
        raise ConfigError(f"OTEL_{signal.upper()}_EXPORTER={name}: no installed package provides it")
    make: Callable[..., object] = found[0].load()
    return make(endpoint=f"{otlp.rstrip('/')}/v1/{signal}") if isinstance(otlp, str) else make()


def _prometheus(port: int, cleanup: ExitStack) -> MetricReader:
    try:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as error:
        raise missing("prometheus", "opentelemetry-exporter-prometheus") from error
    # A registry of its own: the application's default one stays as it is.
    registry = CollectorRegistry()
    host = environ.get("OTEL_EXPORTER_PROMETHEUS_HOST", _PROMETHEUS_HOST)
    server, thread = start_http_server(port, host, registry)
    cleanup.callback(thread.join, 1.0)
    cleanup.callback(server.server_close)
    cleanup.callback(server.shutdown)
    return PrometheusMetricReader(registry=registry)
