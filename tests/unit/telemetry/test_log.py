from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from structlog.testing import CapturingLogger

from resilient_ai.core import events
from resilient_ai.core.failure import FailureKind
from resilient_ai.telemetry import Log, Spans, names
from resilient_ai.telemetry.log import LevelName, to_logger, to_stream
from unit.telemetry import story
from unit.telemetry.story import Story


class StoppedClock:
    """A clock that shows one instant."""

    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        return story.WALL + 0.25

    def sleep(self, seconds: float) -> None:
        raise AssertionError("telemetry does not wait")

    async def asleep(self, seconds: float) -> None:
        raise AssertionError("telemetry does not wait")


def lines(told: list[events.Event], *, level: LevelName = "info") -> list[dict[str, object]]:
    stream = io.StringIO()
    log = Log(to_stream(stream, "json"), level=level, clock=StoppedClock())
    for event in told:
        log(event)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_answered_call_is_one_line_with_the_fixed_keys() -> None:
    told = story.answered()
    (line,) = lines(told)
    assert line == {
        "timestamp": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "event": "call.finished",
        "call": told[0].call if isinstance(told[0], events.CallStarted) else None,
        "chain": "support",
        "outcome": "ok",
        "served_by": "gpt-x",
        "error_type": None,
        "attempts": 1,
        "failures": [],
        "skipped": [],
        "seconds": 1.0,
        "late": False,
        "cost": 0.25,
        "input_tokens": 10,
        "output_tokens": 5,
        "policy": "abc123",
        "flags": [],
        "trace_id": None,
        "span_id": None,
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("answered", [("info", "call.finished")]),
        ("retried", [("info", "attempt.failed"), ("warning", "call.finished")]),
        (
            "fell_back",
            [("info", "attempt.failed"), ("info", "fallback.used"), ("warning", "call.finished")],
        ),
        (
            "rejected_by_the_breaker",
            [("info", "breaker.changed"), ("info", "fallback.used"), ("warning", "call.finished")],
        ),
        ("streamed", [("info", "call.finished")]),
        ("cancelled", [("info", "call.finished")]),
        (
            "failed",
            [
                ("info", "attempt.failed"),
                ("info", "budget.exhausted"),
                ("info", "fallback.used"),
                ("info", "attempt.failed"),
                ("info", "alert.raised"),
                ("error", "call.finished"),
            ],
        ),
        ("asked_again", [("info", "attempt.failed"), ("warning", "call.finished")]),
    ],
)
def test_above_info_there_is_one_line_a_call_at_most(name: str, expected: list[tuple[str, str]]) -> None:
    assert [(line["level"], line["event"]) for line in lines(story.STORIES[name]())] == expected


@pytest.mark.parametrize(("level", "expected"), [("warning", 5), ("error", 1)])
def test_lines_below_the_level_are_not_written(level: LevelName, expected: int) -> None:
    assert len(lines(list(story.every_event()), level=level)) == expected


def test_every_line_has_exactly_the_keys_of_the_table() -> None:
    seen: set[object] = set()
    rows = {row.event: row for row in names.LOG_EVENTS}
    for line in lines(list(story.every_event())):
        seen.add(line["event"])
        assert set(line) == {*names.LOG_COMMON, *rows[str(line["event"])].keys}
    stream = io.StringIO()
    log = Log(to_stream(stream, "json"))
    log.config_loaded(source="resilient.toml", policy="abc", chains=1, models=2)
    line = json.loads(stream.getvalue())
    seen.add(line["event"])
    assert set(line) == {*names.LOG_COMMON, *rows["config.loaded"].keys}
    assert seen == set(rows)


def test_a_failed_attempt_tells_why_in_closed_lists_and_numbers() -> None:
    line = lines(story.retried())[0]
    assert str(line.pop("request_id")).startswith("req-")
    assert {key: value for key, value in line.items() if key not in names.LOG_COMMON} == {
        "provider": "openai",
        "model": "gpt-x",
        "n": 1,
        "error_type": "rate_limited",
        "verdict": "retry",
        "status": 429,
        "code": "rate_limit_exceeded",
        "retry_after": 2.0,
        "waited": 0.0,
        "seconds": 1.0,
    }


def test_a_call_that_failed_late_says_what_failed_before() -> None:
    line = lines(story.failed())[-1]
    assert line["failures"] == ["timeout", "authentication"]
    assert (line["outcome"], line["error_type"], line["late"], line["served_by"]) == (
        "error",
        "timeout",
        True,
        None,
    )
    assert (line["cost"], line["input_tokens"]) == (None, None)


def test_a_retry_left_out_for_another_reason_than_the_budget_is_not_logged() -> None:
    told = Story().model().tell(lambda s: events.RetrySuppressed(s.call, s.at, "m", "p", "attempts")).told
    assert lines(told) == []


@pytest.fixture
def spans() -> Iterator[Spans]:
    provider = TracerProvider(shutdown_on_exit=False)
    yield Spans(provider.get_tracer("test"))
    provider.shutdown()


def test_lines_carry_the_ids_of_the_call_they_are_of(spans: Spans) -> None:
    stream = io.StringIO()
    log = Log(to_stream(stream, "json"), ids=spans.ids)
    for event in story.fell_back():
        log(event)
        spans(event)
    written = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in written] == ["attempt.failed", "fallback.used", "call.finished"]
    assert len({line["trace_id"] for line in written}) == 1
    assert all(len(line["trace_id"]) == 32 and len(line["span_id"]) == 16 for line in written)
    assert written[0]["span_id"] != written[1]["span_id"] == written[2]["span_id"]


def test_without_spans_lines_carry_the_ids_of_the_applications_span() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    with provider.get_tracer("app").start_as_current_span("handler") as handler:
        line = lines(story.answered())[0]
    assert line["span_id"] == format(handler.get_span_context().span_id, "016x")
    provider.shutdown()


def test_console_lines_name_the_event_and_its_keys() -> None:
    stream = io.StringIO()
    Log(to_stream(stream, "console"))(story.answered()[-1])
    assert "call.finished" in stream.getvalue()
    assert "outcome=ok" in stream.getvalue()


def test_an_applications_structlog_logger_receives_the_event_and_its_keys() -> None:
    sink = CapturingLogger()
    logger = structlog.wrap_logger(sink, processors=[lambda _logger, _method, event: ((), event)])
    Log(to_logger(logger))(story.failed()[-1])
    (call,) = sink.calls
    assert call.method_name == "error"
    assert call.kwargs["event"] == "call.finished"
    assert call.kwargs["error_type"] == "timeout"


def test_an_applications_logging_logger_receives_the_keys_as_extra(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("an-application")
    with caplog.at_level(logging.INFO, logger="an-application"):
        Log(to_logger(logger))(story.retried()[-1])
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("WARNING", "call.finished")
    assert record.__dict__["resilient_ai.attempts"] == 2


def test_the_global_configuration_of_structlog_is_neither_used_nor_changed() -> None:
    def refuse(*_: object) -> dict[str, object]:
        raise AssertionError("the global processors are the application's")

    before = structlog.get_config().copy()
    structlog.configure(processors=[refuse])
    try:
        assert len(lines(story.answered())) == 1
        assert structlog.get_config()["processors"] == [refuse]
    finally:
        structlog.configure(**before)


def test_an_unknown_error_is_written_as_other() -> None:
    assert lines(Story().finish(error="KeyError: 'secret'"))[0]["error_type"] == "_OTHER"


def test_a_late_answer_needed_help() -> None:
    told = Story().model().attempt(seconds=30.0).leave().finish("gpt-x", late=True)
    assert lines(told)[0]["level"] == "warning"


def test_the_kinds_of_failed_attempts_are_of_the_closed_list() -> None:
    told = Story().model()
    for kind in FailureKind:
        told.attempt(kind, verdict="retry")
    line = lines(told.finish(error="unknown"))[-1]
    assert line["failures"] == [kind.value for kind in FailureKind]
