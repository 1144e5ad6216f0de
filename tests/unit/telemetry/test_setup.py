from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from opentelemetry import metrics, trace
from opentelemetry.metrics import _internal as metrics_api  # the only way to undo a global provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Tracer, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otlp_collector import Collector
from resilient_ai.core import events
from resilient_ai.core.failure import FailureKind
from resilient_ai.errors import ConfigError
from resilient_ai.runtime import observers
from resilient_ai.telemetry import Observation, Spans, config_loaded, observe, providers
from unit.telemetry import story
from unit.telemetry.story import KEY


@pytest.fixture(autouse=True)
def clean_slate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (
        "OTEL_SDK_DISABLED",
        "OTEL_TRACES_EXPORTER",
        "OTEL_METRICS_EXPORTER",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ):
        monkeypatch.delenv(name, raising=False)
    yield
    assert observers.current() == (), "an observation was left open"
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider), "a global was set"
    assert isinstance(metrics.get_meter_provider(), metrics_api._ProxyMeterProvider), "a global was set"


@pytest.fixture
def application_tracing(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """An application that has set a tracer provider of its own."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


def tell(told: Sequence[events.Event]) -> None:
    for event in told:
        observers.emit(observers.current(), event)


def read_lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_one_call_writes_lines_spans_metrics_and_the_books(tmp_path: Path) -> None:
    log, spans = tmp_path / "log.jsonl", tmp_path / "spans.jsonl"
    with observe(log_file=log, span_file=spans, snapshot=True) as observation:
        tell(story.fell_back())
        points = {point.name: point for point in observation.snapshot()}
    assert points["resilient_ai.fallbacks"].value == 1
    assert points["resilient_ai.request.duration"].count == 1
    assert observation.ledger.total.attempts == 2
    written = read_lines(spans)
    assert [span["name"] for span in written] == [
        "resilient_ai.attempt",
        "chat gpt-x",
        "chat llama",
        "resilient_ai.request",
    ]
    lines = read_lines(log)
    assert [line["event"] for line in lines] == ["attempt.failed", "fallback.used", "call.finished"]
    assert {line["trace_id"] for line in lines} == {span["trace_id"] for span in written}


def test_nothing_is_watched_any_more_once_it_is_closed(tmp_path: Path) -> None:
    observation = observe(log_file=tmp_path / "log.jsonl")
    assert len(observers.current()) == 4
    observation.close()
    observation.close()
    tell(story.answered())
    assert observers.current() == ()
    assert (tmp_path / "log.jsonl").read_text() == ""


def test_asked_again_it_answers_with_the_same_observation(tmp_path: Path) -> None:
    first = observe(log_file=tmp_path / "log.jsonl")
    assert observe(log_file=str(tmp_path / "log.jsonl")) is first
    assert len(observers.current()) == 4
    other = observe(log_file=tmp_path / "other.jsonl")
    assert other is not first
    assert first.closed
    assert len(observers.current()) == 4
    other.close()
    again = observe(log_file=tmp_path / "log.jsonl")
    assert again is not first
    again.close()


def test_each_part_can_be_left_out() -> None:
    with observe(logs=None, spans=False, metrics=False) as observation:
        assert observers.current() == (observation.ledger,)


def test_lines_go_to_standard_error_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    with observe(spans=False, metrics=False):
        tell(story.answered())
    written = capsys.readouterr()
    assert json.loads(written.err)["event"] == "call.finished"
    assert written.out == ""


def test_the_configurations_of_logging_and_structlog_stay_as_they_are(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = (
        root.handlers[:],
        root.level,
        structlog.get_config().copy(),
        set(logging.root.manager.loggerDict),
    )
    with observe(log_file=tmp_path / "log.jsonl"):
        tell(list(story.every_event()))
    assert (root.handlers, root.level, structlog.get_config()) == before[:3]
    ours = logging.getLogger("resilient_ai")
    assert (ours.handlers, ours.level, ours.propagate) == ([], logging.NOTSET, True)


def test_the_applications_providers_are_used_and_left_alone(
    application_tracing: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    tracers = trace.get_tracer_provider()
    assert isinstance(tracers, TracerProvider)
    processors = tracers._active_span_processor._span_processors
    with observe(logs=None, meter_provider=meters):
        tell(story.answered())
    assert {span.name for span in application_tracing.get_finished_spans()} == {
        "resilient_ai.request",
        "chat gpt-x",
    }
    assert tracers._active_span_processor._span_processors == processors
    tracers.get_tracer("app").start_span("after").end()
    assert len(application_tracing.get_finished_spans()) == 3, "it was not shut down"
    assert reader.get_metrics_data() is not None
    meters.shutdown()
    monkeypatch.undo()


def test_a_named_destination_gets_our_spans_with_the_applications_trace_ids(
    application_tracing: InMemorySpanExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracer = trace.get_tracer_provider().get_tracer("app")
    with (
        observe(logs=None, metrics=False, span_file=tmp_path / "spans.jsonl"),
        tracer.start_as_current_span("handler") as handler,
    ):
        tell(story.answered())
    (model, request) = read_lines(tmp_path / "spans.jsonl")
    context = handler.get_span_context()
    assert request["parent_id"] == format(context.span_id, "016x")
    assert model["trace_id"] == format(context.trace_id, "032x")
    assert [span.name for span in application_tracing.get_finished_spans()] == ["handler"]
    monkeypatch.undo()


def test_an_application_that_sets_its_provider_later_is_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exporter = InMemorySpanExporter()
    with observe(logs=None, metrics=False):
        tell(story.answered())
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
        tell(story.answered())
    assert len(exporter.get_finished_spans()) == 2
    monkeypatch.undo()


def test_without_a_destination_no_exporter_is_made() -> None:
    threads = set(threading.enumerate())
    with observe(logs=None):
        tell(list(story.every_event()))
        assert set(threading.enumerate()) == threads


def test_the_environment_switches_opentelemetry_off_and_leaves_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "TRUE")
    with observe(log_file=tmp_path / "log.jsonl", span_file=tmp_path / "spans.jsonl"):
        tell(story.answered())
    assert len(read_lines(tmp_path / "log.jsonl")) == 1
    assert not (tmp_path / "spans.jsonl").exists()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.mark.parametrize("named", ["argument", "environment", "declared"])
def test_spans_and_metrics_are_sent_by_otlp_when_it_is_asked_for(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "the-shop")
    if named != "argument":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    if named == "declared":
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    with observe(logs=None, otlp=collector.url if named == "argument" else None):
        tell(story.answered())
    expected = {"/v1/traces"} if named == "declared" else {"/v1/traces", "/v1/metrics"}
    assert {path for path, _ in collector.received} == expected


def test_the_last_export_tells_how_the_breakers_were(collector: Collector) -> None:
    with observe(logs=None, spans=False, otlp=collector.url):
        tell(story.fell_back())
    assert b"resilient_ai.circuit_breaker.state" in collector.bodies("/v1/metrics")[-1]


def test_a_closed_observation_tells_the_applications_meters_no_breaker_any_more() -> None:
    """Nobody watches them: the state that was seen last would stand there for ever."""
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    with observe(logs=None, spans=False, meter_provider=meters):
        tell(story.fell_back())
        assert "resilient_ai.circuit_breaker.state" in str(reader.get_metrics_data())
    assert "resilient_ai.circuit_breaker.state" not in str(reader.get_metrics_data())
    meters.shutdown()


def test_otlp_can_be_ruled_out(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    with observe(logs=None, otlp=False):
        tell(story.answered())
    assert collector.received == []


def test_metrics_are_served_to_prometheus_and_the_port_is_free_again() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    page = ""
    for _ in range(2):
        with observe(logs=None, spans=False, prometheus_port=port):
            tell(story.fell_back())
            with urllib.request.urlopen(f"http://localhost:{port}/metrics", timeout=5) as answer:
                page = answer.read().decode()
    assert "resilient_ai_fallbacks_total{" in page
    assert 'resilient_ai_circuit_breaker_state{gen_ai_provider_name="openai"' in page
    assert "gen_ai_client_operation_duration_seconds_bucket{" in page
    assert 'le="327.68"' in page


@pytest.mark.parametrize(
    ("options", "package", "extra"),
    [
        ({"otlp": True}, "opentelemetry-exporter-otlp-proto-http", "otlp"),
        ({"prometheus_port": 9464}, "opentelemetry-exporter-prometheus", "prometheus"),
    ],
)
def test_a_missing_extra_is_one_sentence_with_the_command(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, bool], package: str, extra: str
) -> None:
    def nothing_installed(**_: str) -> tuple[()]:
        return ()

    monkeypatch.setattr(providers, "entry_points", nothing_installed)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.prometheus", None)
    with pytest.raises(ConfigError) as caught:
        observe(logs=None, **options)  # type: ignore[arg-type]
    assert str(caught.value) == f"{package} is not installed: pip install 'resilient_ai[{extra}]'"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER=zipkin: no installed package provides it"),
        ("OTEL_METRICS_EXPORTER", "statsd", "OTEL_METRICS_EXPORTER=statsd: no installed package provides it"),
    ],
)
def test_an_exporter_nobody_knows_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=said):
        observe(logs=None)


def test_otlp_over_grpc_names_the_package_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    with pytest.raises(ConfigError, match="pip install opentelemetry-exporter-otlp-proto-grpc"):
        observe(logs=None, metrics=False)


def test_a_provider_and_a_destination_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave span_file and otlp out"):
        observe(logs=None, tracer_provider=trace.NoOpTracerProvider(), span_file=tmp_path / "s")
    with pytest.raises(ConfigError, match="leave prometheus_port, snapshot and otlp out"):
        observe(logs=None, meter_provider=metrics.NoOpMeterProvider(), snapshot=True)


def test_what_was_opened_is_closed_when_a_later_part_fails(tmp_path: Path) -> None:
    threads = set(threading.enumerate())
    with pytest.raises(FileNotFoundError):
        observe(log_file=tmp_path / "no-such-folder" / "log", span_file=tmp_path / "spans.jsonl")
    assert set(threading.enumerate()) == threads
    assert observers.current() == ()


def test_a_snapshot_nobody_asked_for_says_how_to_ask() -> None:
    with observe(logs=None) as observation, pytest.raises(ConfigError, match=r"observe\(snapshot=True\)"):
        observation.snapshot()


def test_a_loaded_configuration_is_one_line_and_without_telemetry_nothing(tmp_path: Path) -> None:
    config_loaded(source="resilient.toml", policy="abc", chains=1, models=2)
    with observe(log_file=tmp_path / "log.jsonl", spans=False, metrics=False):
        config_loaded(source="resilient.toml", policy="abc", chains=1, models=2)
    (line,) = read_lines(tmp_path / "log.jsonl")
    assert (line["event"], line["source"], line["chains"]) == ("config.loaded", "resilient.toml", 1)


def always(exporter: SpanExporter) -> Callable[[Path], SpanExporter]:
    """Takes the place of an exporter's class, whatever file it is to write."""
    return lambda _path: exporter


class Hanging(SpanExporter):
    """An exporter whose collector never answers, until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.begun.set()
        self.go.wait()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def test_an_exporter_that_hangs_holds_up_neither_calls_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hanging = Hanging()
    monkeypatch.setattr(providers, "JsonLinesSpanExporter", always(hanging))
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    observation = observe(logs=None, metrics=False, span_file=tmp_path / "unused")
    tell(story.answered())
    tell(story.answered())
    assert hanging.begun.wait(30), "four spans make a batch"
    for _ in range(100):
        tell(story.answered())
    (spans,) = [o for o in observers.current() if o is not observation.ledger]
    assert isinstance(spans, Spans)
    assert len(spans) == 0
    observation.close(timeout=0.01)
    assert "telemetry was not flushed within 0.01 s" in caplog.text
    hanging.go.set()
    for thread in threading.enumerate():
        if thread.name in ("resilient_ai-flush", "OtelBatchSpanRecordProcessor"):
            thread.join()


def test_an_exporter_that_raises_is_not_heard_by_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Raising(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            raise OSError("collector gone")

        def shutdown(self) -> None:
            raise ConnectionError(story.CANARY)

    monkeypatch.setattr(providers, "JsonLinesSpanExporter", always(Raising()))
    failures = dict(observers.failures())
    with observe(logs=None, metrics=False, span_file=tmp_path / "unused"):
        tell(list(story.every_event()))
    assert observers.failures() == failures
    assert "telemetry was not shut down cleanly: ConnectionError" in caplog.text
    assert story.CANARY not in caplog.text


def test_a_log_that_is_full_changes_no_call_and_stops_no_span(
    application_tracing: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Full:
        def info(self, **_: object) -> None:
            raise OSError(28, "No space left on device")

        warning = error = info

    monkeypatch.setattr(observers, "_failures", {})
    with observe(logger=Full(), metrics=False):
        tell(list(story.every_event()))
        config_loaded(source="code", policy="abc", chains=1, models=1)
    (record,) = caplog.records
    assert record.getMessage().startswith("observer resilient_ai.telemetry.log.Log raised OSError;")
    requests = [s for s in application_tracing.get_finished_spans() if s.name == "resilient_ai.request"]
    assert len(requests) == len(story.STORIES)
    monkeypatch.undo()


def test_calls_in_flight_at_the_end_leave_their_spans(tmp_path: Path) -> None:
    with observe(logs=None, metrics=False, span_file=tmp_path / "spans.jsonl"):
        tell(story.abandoned())
    assert {span["name"] for span in read_lines(tmp_path / "spans.jsonl")} == {
        "chat gpt-x",
        "resilient_ai.request",
    }


def test_what_a_request_holds_comes_out_nowhere(
    tmp_path: Path, collector: Collector, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Content stands in every field of the request, a key in every name that comes from outside."""
    told = [*story.every_event(), *story.abandoned()]
    key_everywhere = story.Story(chain=KEY).model(KEY, KEY)
    key_everywhere.attempt(FailureKind.SERVER_ERROR, verdict=KEY, code=KEY).leave()
    key_everywhere.skip(KEY, KEY, KEY).fall_back(KEY, KEY, KEY)
    key_everywhere.tell(lambda s: events.OutputChecked(s.call, s.at, KEY, KEY, KEY, passed=True, action=KEY))
    key_everywhere.tell(lambda s: events.RetrySuppressed(s.call, s.at, KEY, KEY, "budget"))
    key_everywhere.tell(lambda s: events.BreakerChanged(s.at, KEY, KEY, "closed", "open", KEY))
    told += key_everywhere.finish(KEY, error=KEY)

    def at_file() -> Observation:
        return observe(
            log_file=tmp_path / "log.jsonl", span_file=tmp_path / "spans.jsonl", snapshot=True, otlp=False
        )

    def at_collector() -> Observation:
        return observe(log_file=tmp_path / "log.jsonl", otlp=collector.url)

    for begin in (at_file, at_collector):
        with begin() as observation:
            tell(told)
            config_loaded(source=KEY, policy=KEY, chains=1, models=1)
            read = repr(observation.snapshot()) if begin is at_file else ""
            assert story.CANARY not in read
            assert KEY not in read
    with observe(logs="console", spans=False, metrics=False):
        tell(told)
    out, err = capfd.readouterr()
    places = {
        "spans": (tmp_path / "spans.jsonl").read_text(),
        "lines": (tmp_path / "log.jsonl").read_text(),
        "standard output": out,
        "standard error": err,
        "logging": caplog.text,
        "collector": repr([body for _, body in collector.received]),
    }
    for place, text in places.items():
        assert story.CANARY not in text, place
        assert KEY not in text, place
    assert "call.finished" in places["lines"]
    assert "call.finished" in places["standard error"]
    assert len(collector.received) >= 2


def test_eight_threads_under_one_observation_lose_nothing(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        for _ in range(25):
            tell(story.fell_back())

    with observe(log_file=tmp_path / "log.jsonl", span_file=tmp_path / "spans.jsonl", snapshot=True) as seen:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        points = {point.name: point for point in seen.snapshot()}
    assert len(read_lines(tmp_path / "log.jsonl")) == 8 * 25 * 3
    assert len(read_lines(tmp_path / "spans.jsonl")) == 8 * 25 * 4
    assert points["resilient_ai.request.duration"].count == 200
    assert points["resilient_ai.requests.active"].value == 0
    assert seen.ledger.total.attempts == 400


def test_the_spans_of_our_own_provider_are_batched() -> None:
    """A file is never written in the thread of a call."""
    with observe(logs=None, metrics=False, span_file="/dev/null") as observation:
        (spans,) = [o for o in observers.current() if o is not observation.ledger]
        assert isinstance(spans, Spans)
        assert isinstance(spans._tracer, Tracer)
        assert [type(p) for p in spans._tracer.span_processor._span_processors] == [BatchSpanProcessor]


def test_importing_the_package_imports_neither_structlog_nor_opentelemetry() -> None:
    program = (
        "import sys, resilient_ai.telemetry as o; o.config_loaded(source='x', policy='y', chains=1, models=1);"
        "heavy = {'structlog', 'opentelemetry', 'pydantic', 'httpx'} & set(sys.modules);"
        "assert not heavy, heavy;"
        "assert o.observe.__name__ == 'observe' and 'structlog' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_public_name_can_be_loaded() -> None:
    import resilient_ai.telemetry as package

    assert package.__all__ == sorted(package.__all__)
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert dir(package) == package.__all__
    assert package.Observation is Observation
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("logs", "xml", "logs is 'xml'; it must be one of json, console, or None"),
        ("log_level", "verbose", "log_level is 'verbose'; it must be one of debug, info, warning, error"),
        ("attempt_spans", "some", "attempt_spans is 'some'; it must be one of failed, all, none"),
        ("logger", "app", "logger is of type str; give a logger"),
    ],
)
def test_a_choice_there_is_not_is_refused_with_those_there_are(option: str, value: str, said: str) -> None:
    chosen: dict[str, Any] = {"spans": False, "metrics": False, option: value}
    with pytest.raises(ConfigError, match=said):
        observe(**chosen)
