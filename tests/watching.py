"""Everything that a call can be seen by, collected in one place and searched for what must not be seen."""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import traceback
import warnings
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, generate_latest

from resilient_ai import explain_failure, outcome_of
from resilient_ai.privacy import Secret
from resilient_ai.runtime import observers
from resilient_ai.telemetry import Audit, Metrics, Spans, observe, verify_audit
from resilient_ai.telemetry.export import as_dict
from resilient_ai.telemetry.log import Log, to_stream
from resilient_ai.testing import Captured

MARK: Final = "zq7x"
"""Stands in everything that is planted, and nowhere else: not in a file's name, not in a line of code."""


def planted(what: str) -> str:
    """Something secret or personal, recognisable wherever it turns up."""
    return f"{MARK}-{what}-5f0c"


def planted_key(number: int = 1) -> str:
    """A key that has no published shape: only that it is known can keep it out of sight."""
    return f"{MARK}key{number}Q5f0cT8w"


@dataclass
class Seen:
    """What was seen of the calls of a block."""

    console: io.StringIO = field(default_factory=io.StringIO)
    records: io.StringIO = field(default_factory=io.StringIO)
    captured: Captured = field(default_factory=Captured)
    texts: dict[str, str] = field(default_factory=dict[str, str])

    def note(self, what: str, *shown: object) -> None:
        """Adds what something looks like."""
        self.texts[what] = self.texts.get(what, "") + "\n".join(f"{one!r} {one}" for one in shown)

    def met(self, error: BaseException, *, foreign: bool = False) -> None:
        """Adds all that an exception shows without its frames' locals.

        Args:
            error: What the caller met.
            foreign: Somebody else's exception is in it, whose own text is not ours to change.
        """
        self.note("the outcome", outcome_of(error), *getattr(error, "attempts", ()))
        self.note("its explanation", explain_failure(error))
        self.note("its notes", *getattr(error, "__notes__", ()))
        if type(error).__module__.startswith("resilient_ai"):
            self.note("the exception", error, error.args[:1])
        if not foreign:
            self.note("the traceback", "".join(traceback.format_exception(error)))

    def leaks(self) -> dict[str, str]:
        """Where what was planted is seen, in the clear or in a usual disguise, with its neighbourhood."""
        forms = {
            MARK,
            quote(MARK),
            *(base64.b64encode(f"{pad}{planted_key()}".encode())[4:-4].decode() for pad in ("", "a", "ab")),
        }
        everything = {
            **self.texts,
            "the console": self.console.getvalue(),
            "the log records": self.records.getvalue(),
            "the events": "\n".join(map(repr, self.captured.events)),
        }
        found: dict[str, str] = {}
        for where, text in everything.items():
            for form in forms:
                at = text.lower().find(form.lower())
                if at >= 0:
                    found[where] = text[max(0, at - 200) : at + 100]
        return found


@contextlib.contextmanager
def watched(folder: Path) -> Generator[Seen]:
    """Switches on all telemetry there is, in every form, and the capture of log records and warnings."""
    seen = Seen()
    in_memory = InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(in_memory))
    registry = CollectorRegistry()
    meters = MeterProvider([PrometheusMetricReader(registry=registry)], shutdown_on_exit=False)
    spans, recorded = Spans(tracers.get_tracer("test"), attempts="all"), Metrics(meters)
    others = (Log(to_stream(seen.console, "console"), level="debug"), spans, recorded, seen.captured)
    handler = logging.StreamHandler(seen.records)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    log_file, span_file = folder / "calls.jsonl", folder / "spans.jsonl"
    audit = Audit(folder / "audit.jsonl", Secret(planted_key(9)))
    try:
        with (
            warnings.catch_warnings(record=True) as caught,
            observe(
                log_file=log_file,
                log_level="debug",
                span_file=span_file,
                attempt_spans="all",
                snapshot=True,
                audit=audit,
            ) as observation,
        ):
            warnings.simplefilter("always")
            for other in others:
                observers.add(other)
            yield seen
            seen.note("the metrics", *observation.snapshot())
            seen.note("the ledger", observation.ledger.total, *observation.ledger.entries)
            seen.note("Prometheus", generate_latest(registry).decode())
        seen.note("the warnings", *(warning.message for warning in caught))
    finally:
        for other in others:
            observers.remove(other)
        root.removeHandler(handler)
        root.setLevel(level)
        spans.close()
        recorded.close()
        tracers.shutdown()
        meters.shutdown()
    seen.note("the spans in memory", *map(as_dict, in_memory.get_finished_spans()))
    seen.note("the failures of observers", observers.failures())
    seen.texts["the log file"] = log_file.read_text()
    seen.texts["the span file"] = span_file.read_text()
    seen.texts["the audit trail"] = audit.file.read_text()
    assert verify_audit(audit.file, key=audit.key).whole
