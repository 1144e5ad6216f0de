from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode

from resilient_ai.core import events
from resilient_ai.core.failure import FailureKind
from resilient_ai.telemetry import Spans
from resilient_ai.telemetry.spans import AttemptSpans
from unit.telemetry import story
from unit.telemetry.story import ORIGIN, WALL, Story


class Traced:
    """A tracer provider that keeps what it is given."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    def observe(self, told: list[events.Event], *, attempts: AttemptSpans = "failed") -> Spans:
        spans = Spans(self.tracer, attempts=attempts)
        for event in told:
            spans(event)
        return spans

    def spans(self) -> list[ReadableSpan]:
        """By start; of spans that start together the outer one, which ends last, comes first."""
        ended = enumerate(self.exporter.get_finished_spans())
        return [span for _, span in sorted(ended, key=lambda pair: (pair[1].start_time or 0, -pair[0]))]

    def tree(self) -> list[str]:
        """Each span's path of names, kind and status, by start."""
        by_id = {span.context.span_id: span for span in self.spans() if span.context is not None}

        def path(span: ReadableSpan) -> str:
            parent = None if span.parent is None else by_id.get(span.parent.span_id)
            return span.name if parent is None else f"{path(parent)} > {span.name}"

        return [f"{path(span)} [{span.kind.name} {span.status.status_code.name}]" for span in self.spans()]

    def named(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans() if span.name == name]
        return found


@pytest.fixture
def traced() -> Iterator[Traced]:
    traced = Traced()
    yield traced
    traced.provider.shutdown()


def since_start(span: ReadableSpan) -> tuple[float, float]:
    zero = int(WALL * 1e9)
    return ((span.start_time or 0) - zero) / 1e9, ((span.end_time or 0) - zero) / 1e9


def test_a_call_that_was_answered_at_once_is_a_request_and_one_model(traced: Traced) -> None:
    traced.observe(story.answered())
    assert traced.tree() == [
        "resilient_ai.request [INTERNAL UNSET]",
        "resilient_ai.request > chat gpt-x [CLIENT UNSET]",
    ]
    assert dict(traced.named("resilient_ai.request").attributes or {}) == {
        "resilient_ai.chain": "support",
        "resilient_ai.operation": "chat",
        "resilient_ai.deadline": 20.0,
        "resilient_ai.policy": "abc123",
        "resilient_ai.outcome": "ok",
        "resilient_ai.served_by": "gpt-x",
        "resilient_ai.attempts": 1,
        "resilient_ai.fallbacks": 0,
        "resilient_ai.late": False,
    }
    model = dict(traced.named("chat gpt-x").attributes or {})
    assert str(model.pop("gen_ai.response.id")).startswith("resp-")
    assert model == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "server.address": "api.example.com",
        "server.port": 443,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.seed": 7,
        "gen_ai.output.type": "json",
        "gen_ai.response.model": "gpt-x-2026",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_creation.input_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 3,
        "resilient_ai.attempts": 1,
        "resilient_ai.policy": "abc123",
    }


def test_a_retried_call_shows_each_attempt_and_no_error(traced: Traced) -> None:
    traced.observe(story.retried())
    assert traced.tree() == [
        "resilient_ai.request [INTERNAL UNSET]",
        "resilient_ai.request > chat gpt-x [CLIENT UNSET]",
        "resilient_ai.request > chat gpt-x > resilient_ai.attempt [INTERNAL UNSET]",
        "resilient_ai.request > chat gpt-x > resilient_ai.attempt [INTERNAL UNSET]",
    ]
    request, model, first, second = traced.spans()
    assert "error.type" not in (request.attributes or {})
    assert "error.type" not in (model.attributes or {})
    attributes = dict(first.attributes or {})
    assert str(attributes.pop("resilient_ai.attempt.request_id")).startswith("req-")
    assert attributes == {
        "resilient_ai.attempt.n": 1,
        "resilient_ai.attempt.verdict": "retry",
        "resilient_ai.attempt.waited": 0.0,
        "resilient_ai.attempt.retry_after": 2.0,
        "resilient_ai.attempt.code": "rate_limit_exceeded",
        "http.response.status_code": 429,
        "error.type": "rate_limited",
    }
    assert (second.attributes or {})["resilient_ai.attempt.waited"] == 2.0
    assert since_start(first) == pytest.approx((0.0, 1.0))
    assert since_start(second) == pytest.approx((3.0, 4.0))
    assert since_start(model) == pytest.approx((0.0, 4.0))


@pytest.mark.parametrize(("attempts", "expected"), [("failed", 0), ("all", 1), ("none", 0)])
def test_the_one_attempt_of_a_healthy_call_has_a_span_only_if_all_have(
    traced: Traced, attempts: AttemptSpans, expected: int
) -> None:
    traced.observe(story.answered(), attempts=attempts)
    assert len([span for span in traced.spans() if span.name == "resilient_ai.attempt"]) == expected


def test_attempt_spans_can_be_left_out(traced: Traced) -> None:
    traced.observe(story.retried(), attempts="none")
    assert traced.tree() == [
        "resilient_ai.request [INTERNAL UNSET]",
        "resilient_ai.request > chat gpt-x [CLIENT UNSET]",
    ]
    assert (traced.named("chat gpt-x").attributes or {})["resilient_ai.attempts"] == 2


def test_a_fallback_leaves_the_error_on_the_model_that_failed_only(traced: Traced) -> None:
    traced.observe(story.fell_back())
    assert traced.tree() == [
        "resilient_ai.request [INTERNAL UNSET]",
        "resilient_ai.request > chat gpt-x [CLIENT ERROR]",
        "resilient_ai.request > chat gpt-x > resilient_ai.attempt [INTERNAL UNSET]",
        "resilient_ai.request > chat llama [INTERNAL UNSET]",
    ]
    failed = traced.named("chat gpt-x")
    assert (failed.attributes or {})["error.type"] == "server_error"
    assert failed.status.description is None
    assert "gen_ai.usage.input_tokens" not in (failed.attributes or {})
    request = traced.named("resilient_ai.request")
    attributes = request.attributes or {}
    assert attributes["resilient_ai.outcome"] == "degraded"
    assert attributes["resilient_ai.fallbacks"] == 1
    assert attributes["resilient_ai.flags"] == ("truncated",)
    assert "error.type" not in attributes
    assert not [name for name in attributes if name.startswith("gen_ai.usage.")]
    (moved,) = request.events
    assert moved.name == "resilient_ai.fallback"
    assert dict(moved.attributes or {}) == {
        "resilient_ai.fallback.from": "gpt-x",
        "resilient_ai.fallback.to": "llama",
        "resilient_ai.reason": "server_error",
    }
    assert moved.timestamp == int(WALL * 1e9) + int((ORIGIN + 1.0) * 1e9) - int(ORIGIN * 1e9)


def test_a_model_its_breaker_rejects_is_an_event_and_no_span(traced: Traced) -> None:
    traced.observe(story.rejected_by_the_breaker())
    assert traced.tree() == [
        "resilient_ai.request [INTERNAL UNSET]",
        "resilient_ai.request > chat llama [INTERNAL UNSET]",
    ]
    skipped, moved = traced.named("resilient_ai.request").events
    assert skipped.name == "resilient_ai.model_skipped"
    assert dict(skipped.attributes or {}) == {
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "resilient_ai.reason": "circuit_open",
        "resilient_ai.retry_after": 12.0,
    }
    assert moved.name == "resilient_ai.fallback"


def test_a_stream_tells_when_its_first_content_came(traced: Traced) -> None:
    traced.observe(story.streamed())
    attributes = traced.named("chat gpt-x").attributes or {}
    assert attributes["gen_ai.request.stream"] is True
    assert attributes["gen_ai.response.time_to_first_chunk"] == 1.0
    assert (traced.named("resilient_ai.request").attributes or {})["resilient_ai.operation"] == "stream"


def test_a_cancelled_call_is_told_apart_and_is_no_error(traced: Traced) -> None:
    traced.observe(story.cancelled())
    assert traced.tree() == [
        "resilient_ai.request [INTERNAL UNSET]",
        "resilient_ai.request > chat gpt-x [CLIENT UNSET]",
    ]
    attributes = traced.named("resilient_ai.request").attributes or {}
    assert attributes["error.type"] == "cancelled"
    assert attributes["resilient_ai.outcome"] == "error"


def test_a_call_that_failed_has_error_status_without_a_description(traced: Traced) -> None:
    traced.observe(story.failed())
    request = traced.named("resilient_ai.request")
    assert request.status.status_code is StatusCode.ERROR
    assert request.status.description is None
    attributes = request.attributes or {}
    assert attributes["error.type"] == "timeout"
    assert attributes["resilient_ai.late"] is True
    assert "resilient_ai.served_by" not in attributes
    assert [event.name for event in traced.named("chat gpt-x").events] == [
        "resilient_ai.retry_suppressed",
        "resilient_ai.hint_ignored",
    ]


def test_an_error_outside_the_closed_list_is_written_as_other(traced: Traced) -> None:
    traced.observe(Story().finish(error="ValueError: the text of it"))
    assert (traced.named("resilient_ai.request").attributes or {})["error.type"] == "_OTHER"


def test_a_checked_answer_is_an_evaluation_event_on_its_model(traced: Traced) -> None:
    traced.observe(story.asked_again())
    failed, passed = traced.named("chat gpt-x").events
    assert failed.name == passed.name == "gen_ai.evaluation.result"
    assert dict(failed.attributes or {}) == {
        "gen_ai.evaluation.name": "Ticket",
        "gen_ai.evaluation.score.label": "fail",
        "resilient_ai.validation.action": "re-ask",
    }
    assert (passed.attributes or {})["gen_ai.evaluation.score.label"] == "pass"


def test_a_provider_is_named_as_the_conventions_name_it(traced: Traced) -> None:
    traced.observe(Story().model("gemini-pro", "gemini").attempt().leave().finish("gemini-pro"))
    attributes = traced.named("chat gemini-pro").attributes or {}
    assert attributes["gen_ai.provider.name"] == "gcp.gemini"


def test_a_request_is_the_child_of_the_span_the_call_began_under_and_is_never_current(traced: Traced) -> None:
    told = story.streamed()
    spans = Spans(traced.tracer)
    with traced.tracer.start_as_current_span("handler") as handler:
        before = context.get_current()
        spans(told[0])
        assert context.get_current() is before
        assert trace.get_current_span() is handler
    for event in told[1:]:
        spans(event)
        assert trace.get_current_span() is trace.INVALID_SPAN
    assert "handler > resilient_ai.request > chat gpt-x [CLIENT UNSET]" in traced.tree()


def test_what_a_sampler_decides_by_is_there_at_the_start() -> None:
    seen: list[tuple[str, SpanKind, dict[str, object]]] = []

    class Recorder(SimpleSpanProcessor):
        def on_start(self, span: trace.Span, parent_context: context.Context | None = None) -> None:
            assert isinstance(span, ReadableSpan)
            seen.append((span.name, span.kind, dict(span.attributes or {})))

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Recorder(InMemorySpanExporter()))
    spans = Spans(provider.get_tracer("test"))
    for event in story.fell_back():
        spans(event)
    assert seen[0][2].keys() == {
        "resilient_ai.chain",
        "resilient_ai.operation",
        "resilient_ai.deadline",
        "resilient_ai.policy",
    }
    assert seen[1] == (
        "chat gpt-x",
        SpanKind.CLIENT,
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-x",
            "server.address": "api.example.com",
            "server.port": 443,
        },
    )


def test_a_call_that_is_sampled_out_makes_no_spans_below_it() -> None:
    asked: list[str] = []

    class Refuse(Sampler):
        def should_sample(
            self,
            parent_context: context.Context | None,
            trace_id: int,
            name: str,
            *_: object,
            **__: object,
        ) -> SamplingResult:
            asked.append(name)
            return SamplingResult(Decision.DROP)

        def get_description(self) -> str:
            return "Refuse"

    spans = Spans(TracerProvider(sampler=Refuse(), shutdown_on_exit=False).get_tracer("test"))
    for event in story.every_event():
        spans(event)
    assert asked == ["resilient_ai.request"] * len(story.STORIES)
    assert len(spans) == 0


def test_nothing_is_left_of_calls_that_ended(traced: Traced) -> None:
    spans = traced.observe(list(story.every_event()))
    assert len(spans) == 0


def test_calls_that_never_end_are_given_up_oldest_first_and_their_spans_end(traced: Traced) -> None:
    spans = Spans(traced.tracer, limit=3)
    for _ in range(10):
        for event in story.abandoned():
            spans(event)
    assert len(spans) == 3
    assert len([s for s in traced.spans() if s.name == "resilient_ai.request"]) == 7
    spans.close()
    assert len(spans) == 0
    assert len([s for s in traced.spans() if s.name == "chat gpt-x"]) == 10


def test_an_event_of_a_call_that_is_not_known_changes_nothing(traced: Traced) -> None:
    traced.observe(story.failed()[1:])
    assert traced.spans() == []


def test_the_ids_of_a_call_are_those_of_its_innermost_span_while_it_is_open(traced: Traced) -> None:
    told = story.answered()
    call = told[0].call if isinstance(told[0], events.CallStarted) else 0
    spans = Spans(traced.tracer)
    assert spans.ids(call) is None
    spans(told[0])
    request = spans.ids(call)
    spans(told[1])
    model = spans.ids(call)
    assert request is not None
    assert model is not None
    assert request[0] == model[0]
    assert request[1] != model[1]
    for event in told[2:]:
        spans(event)
    assert spans.ids(call) is None
    root = traced.named("resilient_ai.request").context
    assert root is not None
    assert request == (format(root.trace_id, "032x"), format(root.span_id, "016x"))


def test_eight_threads_make_whole_trees(traced: Traced) -> None:
    spans = Spans(traced.tracer)
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        for _ in range(20):
            for event in story.fell_back():
                spans(event)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(spans) == 0
    finished = traced.spans()
    assert len(finished) == 8 * 20 * 4
    by_trace: dict[int, list[str]] = {}
    for span in finished:
        assert span.context is not None
        by_trace.setdefault(span.context.trace_id, []).append(span.name)
    assert all(
        sorted(names) == ["chat gpt-x", "chat llama", "resilient_ai.attempt", "resilient_ai.request"]
        for names in by_trace.values()
    )


def test_text_where_a_number_belongs_is_not_written(traced: Traced) -> None:
    request = replace(story.REQUEST, temperature=story.CANARY)  # type: ignore[arg-type]
    traced.observe(Story(request=request).model().attempt().leave().finish("gpt-x"))
    assert story.CANARY not in str([span.to_json() for span in traced.spans()])


def test_a_model_left_for_a_cancelled_call_is_no_failure(traced: Traced) -> None:
    told = Story().model().attempt(FailureKind.CANCELLED, verdict="cancelled")
    traced.observe(told.leave(FailureKind.CANCELLED, answered=False).finish(error="cancelled"))
    assert "error.type" not in (traced.named("chat gpt-x").attributes or {})
