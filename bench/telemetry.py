"""Measures what telemetry adds to a call, part by part, beside the price of one line, one span and one measurement.

Run: python bench/telemetry.py

A call is the six events of one that was answered at once, or the ten of one that was retried and fell back. Reported is
CPU time of this process, the best of several rounds; the contenders take turns within each round, so that
the ratios hold on a busy machine as well.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import structlog
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider, SpanKind

from resilient_ai.core import events
from resilient_ai.core.events import Event, Observer
from resilient_ai.core.failure import FailureKind
from resilient_ai.messages import Attempt, Message, Outcome, Request, Text, Usage
from resilient_ai.privacy import Secret
from resilient_ai.runtime import observers
from resilient_ai.telemetry import Audit, Ledger, Log, Metrics, Spans
from resilient_ai.telemetry.audit.trail import AuditTrail
from resilient_ai.telemetry.log import to_stream

_ROUNDS = 200
"""Many short rounds: on a busy machine only a short one is ever undisturbed."""
_CALLS = 20
_REQUEST = Request((Message("user", (Text("Where is my parcel?"),)),), max_tokens=64, temperature=0.0)
_USAGE = Usage(1873, 412, 1024)


def _answered(call: int) -> list[Event]:
    attempt = Attempt("gpt-x", "openai", 1, None, 1.2, 0.0, _USAGE, 0.004, 200, None, None, "req_7c9e6679")
    outcome = Outcome("support", "gpt-x", False, (attempt,), (), 1.2, "9f86d081")
    return [
        events.CallStarted(
            call, 5.0, 1.7e9, "support", ("openai:gpt-x",), 20.0, "9f86d081", "chat", _REQUEST
        ),
        events.ModelStarted(call, 5.0, "gpt-x", "openai", False, "api.openai.com", 443),
        events.AttemptStarted(call, 5.0, "gpt-x", "openai", 1, 0.0),
        events.AttemptFinished(call, 6.2, attempt),
        events.ModelFinished(
            call, 6.2, "gpt-x", "openai", None, _USAGE, "gpt-x-2026-01", f"chatcmpl-{call:08d}", "stop"
        ),
        events.CallFinished(call, 6.2, 1.7e9 + 1.2, outcome, None, late=False),
    ]


def _fell_back(call: int) -> list[Event]:
    kind = FailureKind.SERVER_ERROR
    failed = Attempt("gpt-x", "openai", 1, kind, 1.0, status=503, request_id="req_1", verdict="next")
    answered = Attempt("llama", "on-device", 1, None, 1.0, 0.0, _USAGE, 0.0)
    outcome = Outcome("support", "llama", True, (failed, answered), (), 2.0, "9f86d081")
    return [
        events.CallStarted(
            call,
            5.0,
            1.7e9,
            "support",
            ("openai:gpt-x", "on-device:llama"),
            20.0,
            "9f86d081",
            "chat",
            _REQUEST,
        ),
        events.ModelStarted(call, 5.0, "gpt-x", "openai", False, "api.openai.com", 443),
        events.AttemptStarted(call, 5.0, "gpt-x", "openai", 1, 0.0),
        events.AttemptFinished(call, 6.0, failed),
        events.ModelFinished(call, 6.0, "gpt-x", "openai", kind, Usage()),
        events.FallbackUsed(call, 6.0, "gpt-x", "llama", "server_error"),
        events.ModelStarted(call, 6.0, "llama", "on-device", True),
        events.AttemptStarted(call, 6.0, "llama", "on-device", 1, 0.0),
        events.AttemptFinished(call, 7.0, answered),
        events.ModelFinished(call, 7.0, "llama", "on-device", None, _USAGE, "llama", None, "stop"),
        events.CallFinished(call, 7.0, 1.7e9 + 2.0, outcome, None, late=False),
    ]


class _Discard(SpanProcessor):
    """Takes finished spans and drops them: what exporting costs is not the call's."""

    def on_end(self, span: ReadableSpan) -> None:
        pass


def _nothing(_: Event) -> None:
    pass


def _calls(make: Callable[[int], list[Event]], watching: tuple[Observer, ...]) -> Callable[[], None]:
    def run() -> None:
        for call in range(_CALLS):
            # As the runtime does: with nobody watching no event is built.
            if watching:
                for event in make(call):
                    observers.emit(watching, event)

    return run


def _prices(sink: Path, tracers: TracerProvider, meters: MeterProvider) -> dict[str, Callable[[], None]]:
    logger = structlog.wrap_logger(
        structlog.WriteLogger(sink.open("w", encoding="utf-8")),
        processors=[structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        context_class=dict,
    ).bind()
    tracer = tracers.get_tracer("price")
    histogram = meters.get_meter("price").create_histogram("price")
    keys = {f"key_{n}": n for n in range(18)}
    few = {f"some.attribute.{n}": "value" for n in range(5)}
    more = {f"other.attribute.{n}": n for n in range(5)}

    def line() -> None:
        for _ in range(_CALLS):
            logger.info("event", **keys)

    def span() -> None:
        for _ in range(_CALLS):
            one = tracer.start_span("chat gpt-x", kind=SpanKind.CLIENT, attributes=few)
            one.set_attributes(more)
            one.end()

    def measurement() -> None:
        for _ in range(_CALLS):
            histogram.record(1.0, few)

    return {
        "one line of 18 keys, structlog alone": line,
        "one span of 10 attributes, OpenTelemetry alone": span,
        "one histogram.record of 5 labels, OpenTelemetry alone": measurement,
    }


def _contenders() -> dict[str, Callable[[], None]]:
    sink = Path(os.devnull)
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(_Discard())
    meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    spans = Spans(tracers.get_tracer("bench"))
    dropped = Spans(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("bench"))
    unset = Spans(NoOpTracerProvider().get_tracer("bench"))
    log = Log(to_stream(sink.open("w", encoding="utf-8"), "json"), ids=spans.ids)
    quiet = Log(to_stream(sink.open("w", encoding="utf-8"), "json"), level="warning")
    metrics, ledger = Metrics(meters), Ledger()
    # A file, because a trail on a device that keeps nothing is none.
    folder = mkdtemp()
    atexit.register(rmtree, folder)
    trail = AuditTrail(Audit(Path(folder) / "audit.jsonl", Secret("k" * 32)))
    parts: dict[str, tuple[Observer, ...]] = {
        "nobody watches": (),
        "events built, nothing done with them": (_nothing,),
        "ledger": (ledger,),
        "audit trail with a key": (trail,),
        "log": (log,),
        "log at WARNING": (quiet,),
        "spans": (spans,),
        "spans, sampled out": (dropped,),
        "spans, no provider": (unset,),
        "metrics": (metrics,),
        "everything": (ledger, metrics, log, spans),
    }
    return {
        **_prices(sink, tracers, meters),
        **{f"answered: {name}": _calls(_answered, watching) for name, watching in parts.items()},
        **{
            f"fell back: {name}": _calls(_fell_back, parts[name])
            for name in ("events built, nothing done with them", "log", "spans", "metrics", "everything")
        },
    }


def measure() -> dict[str, float]:
    """Microseconds of CPU time a call (or a piece, for the prices) takes."""
    contenders = _contenders()
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(_ROUNDS):
        for name, run in contenders.items():
            run()  # warms the caches that the contender before it has filled
            begun = time.process_time()
            run()
            best[name] = min(best[name], (time.process_time() - begun) / _CALLS * 1e6)
    return best


def main() -> None:
    """Prints the table."""
    best = measure()
    for name, microseconds in best.items():
        print(f"{name:<60} {microseconds:8.2f} us")
    line, span, record = list(best.values())[:3]
    pieces = line + 2 * span + 4 * record
    print(
        f"\nanswered, everything / (1 line + 2 spans + 4 records): {best['answered: everything'] / pieces:.2f}"
    )


if __name__ == "__main__":
    main()
