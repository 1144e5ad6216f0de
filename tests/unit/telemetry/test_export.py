from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, Status, StatusCode

from resilient_ai.telemetry import JsonLinesSpanExporter, RedactingProcessor, RedactingSpanExporter, Spans
from unit.telemetry import story
from unit.telemetry.story import KEY


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    yield provider
    provider.shutdown()


class Broken:
    """A redactor that fails, and whose failure's text holds what it was given."""

    errors = 0

    def text(self, text: str) -> str:
        raise RuntimeError(text)

    def value(self, value: object) -> object:
        raise RuntimeError(value)


class Leaky(Broken):
    """A redactor that gives something else than a mapping for a mapping."""

    def text(self, text: str) -> str:
        return text

    def value(self, value: object) -> object:
        return [value]


def test_an_applications_spans_are_exported_redacted_and_otherwise_as_they_were(
    provider: TracerProvider,
) -> None:
    plain, clean = InMemorySpanExporter(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(plain))
    provider.add_span_processor(SimpleSpanProcessor(RedactingSpanExporter(clean)))
    tracer = provider.get_tracer("app")
    with tracer.start_as_current_span("parent") as parent:
        linked = parent.get_span_context()
    span = tracer.start_span(
        f"handle {KEY}",
        links=[Link(linked, {"note": KEY})],
        attributes={
            "gen_ai.input.messages": f"[{story.CANARY}]",
            "api_key": "short-but-secret",
            "note": f"the key is {KEY}",
            "gen_ai.request.max_tokens": 64,
            "models": ("gpt-x", "llama"),
        },
    )
    span.add_event("seen", {"header": f"Bearer {KEY}"}, 5)
    try:
        raise ValueError(story.CANARY)
    except ValueError as error:
        span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, f"failed with {KEY}"))
    span.end()
    before, after = plain.get_finished_spans()[-1], clean.get_finished_spans()[-1]
    written = after.to_json()
    assert KEY in before.to_json()
    assert story.CANARY in before.to_json()
    assert KEY not in written
    assert story.CANARY not in written
    assert "short-but-secret" not in written
    attributes = dict(after.attributes or {})
    assert attributes["gen_ai.input.messages"] == f"<{len(story.CANARY) + 2} characters>"
    assert attributes["gen_ai.request.max_tokens"] == 64
    assert list(attributes["models"]) == ["gpt-x", "llama"]  # type: ignore[arg-type]
    assert (after.context, after.parent, after.kind) == (before.context, before.parent, before.kind)
    assert (after.start_time, after.end_time) == (before.start_time, before.end_time)
    assert after.resource == before.resource
    assert after.instrumentation_scope == before.instrumentation_scope
    assert after.status.status_code is StatusCode.ERROR
    assert [event.name for event in after.events] == ["seen", "exception"]
    assert after.links[0].context == linked


@pytest.mark.parametrize("redactor", [Broken(), Leaky()])
def test_a_span_the_redactor_fails_on_keeps_its_ids_and_nothing_else(
    provider: TracerProvider, redactor: Broken
) -> None:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(RedactingSpanExporter(exporter, redactor=redactor)))
    span = provider.get_tracer("app").start_span("x", attributes={"note": story.CANARY})
    span.add_event(story.CANARY)
    span.set_status(Status(StatusCode.ERROR, story.CANARY))
    span.end()
    (exported,) = exporter.get_finished_spans()
    assert story.CANARY not in exported.to_json()
    assert exported.context == span.get_span_context()
    assert exported.name == "<REDACTION_FAILED>"


def test_the_redacting_exporter_flushes_and_shuts_down_the_one_behind_it() -> None:
    class Behind(InMemorySpanExporter):
        calls: list[object]

        def shutdown(self) -> None:
            self.calls.append("shutdown")

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            self.calls.append(timeout_millis)
            return False

    behind = Behind()
    behind.calls = []
    exporter = RedactingSpanExporter(behind)
    assert exporter.force_flush(5) is False
    exporter.shutdown()
    assert behind.calls == [5, "shutdown"]


def test_structlog_events_are_redacted_by_key_and_by_value() -> None:
    sink = structlog.testing.CapturingLogger()
    logger = structlog.wrap_logger(
        sink, processors=[RedactingProcessor(), lambda _logger, _method, event: ((), dict(event))]
    )
    logger.info("handled", password="short", note=f"with {KEY}", max_tokens=64, model="gpt-x")
    (call,) = sink.calls
    assert KEY not in str(call)
    assert "short" not in str(call)
    assert (call.kwargs["event"], call.kwargs["max_tokens"], call.kwargs["model"]) == ("handled", 64, "gpt-x")


@pytest.mark.parametrize("redactor", [Broken(), Leaky()])
def test_a_line_the_redactor_fails_on_keeps_its_level_and_its_time(redactor: Broken) -> None:
    processor = RedactingProcessor(redactor=redactor)
    event: dict[str, object] = {
        "event": story.CANARY,
        "level": "info",
        "timestamp": "now",
        "note": story.CANARY,
    }
    assert processor(None, "info", event) == {
        "timestamp": "now",
        "level": "info",
        "event": "<REDACTION_FAILED>",
    }


def test_spans_are_written_one_json_object_a_line(provider: TracerProvider, tmp_path: Path) -> None:
    exporter = JsonLinesSpanExporter(tmp_path / "spans.jsonl")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = Spans(provider.get_tracer("test"))
    for event in story.rejected_by_the_breaker():
        spans(event)
    exporter.force_flush()
    written = [json.loads(line) for line in (tmp_path / "spans.jsonl").read_text().splitlines()]
    model, request = written
    assert (model["name"], model["kind"], model["status"]) == ("chat llama", "INTERNAL", "UNSET")
    assert model["parent_id"] == request["span_id"]
    assert request["parent_id"] is None
    assert (request["start"], request["seconds"]) == (story.WALL, 1.0)
    assert request["attributes"]["resilient_ai.served_by"] == "llama"
    assert [event["name"] for event in request["events"]] == [
        "resilient_ai.model_skipped",
        "resilient_ai.fallback",
    ]


def test_a_file_that_cannot_be_written_loses_spans_and_says_so_once(
    provider: TracerProvider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = JsonLinesSpanExporter(tmp_path / "spans.jsonl")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = Spans(provider.get_tracer("test"))
    exporter.shutdown()
    with caplog.at_level(logging.WARNING):
        assert exporter.export([]) is SpanExportResult.FAILURE
        for event in story.answered():
            spans(event)
    assert [record.getMessage() for record in caplog.records] == [
        "spans cannot be written to their file: ValueError"
    ]
