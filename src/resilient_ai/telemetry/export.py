"""What stands between finished telemetry and the outside: a file of spans, and redaction for an application's own.

Our own spans and lines are clean when they are made. An application's are not: their attributes may hold a prompt, and
an exception recorded on a span is exported with its whole traceback. The two redactors here are for those; wrap the
exporter, or put the processor last before the renderer.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol, cast, final

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Status, format_span_id, format_trace_id

from resilient_ai.core.fork import ChildLock
from resilient_ai.privacy.redactor import Redactor as MachineRedactor
from resilient_ai.telemetry import redaction

if TYPE_CHECKING:
    from opentelemetry.util.types import AnyValue, Attributes

CONTENT: Final = frozenset(
    {
        "exception.message",
        "exception.stacktrace",
        "gen_ai.completion",
        "gen_ai.evaluation.explanation",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.prompt",
        "gen_ai.retrieval.documents",
        "gen_ai.retrieval.query.text",
        "gen_ai.system_instructions",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.tool.definitions",
        "url.query",
    }
)
"""Attributes that hold free text. No pattern finds a name or an address in prose, so they are dropped, not searched."""

_log = logging.getLogger("resilient_ai")


class Redactor(redaction.TextRedactor, Protocol):
    """What the redactors here need ; `resilient_ai.privacy.Redactor` is one."""

    def value(self, value: object, /) -> object:
        """`value` without what must not be seen, also by the name of the key it stands under. Same shape."""
        ...


@final
class RedactingSpanExporter(SpanExporter):
    """Hands spans on to another exporter, redacted. For the exporters of an application's own spans.

    A finished span cannot be changed, so it is built anew: name, attributes, events, links and the status' description are
    redacted, attributes that hold free text (`CONTENT`) give way to their length; ids, times and the resource stay. A span the
    redactor fails on keeps its ids and times and nothing else.

    Args:
        inner: Where spans go.
        redactor: What cleans them; the `machine` profile if None.
    """

    def __init__(self, inner: SpanExporter, *, redactor: Redactor | None = None) -> None:
        self._inner = inner
        self._redactor = MachineRedactor(profile="machine") if redactor is None else redactor

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._inner.export([self._clean(span) for span in spans])

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)

    def _clean(self, span: ReadableSpan) -> ReadableSpan:
        try:
            text = self._redactor.text
            description = span.status.description
            return _rebuilt(
                span,
                name=text(span.name),
                attributes=self._attributes(span.attributes),
                events=[
                    Event(text(event.name), self._attributes(event.attributes), event.timestamp)
                    for event in span.events
                ],
                links=[Link(link.context, self._attributes(link.attributes)) for link in span.links],
                status=Status(span.status.status_code, None if description is None else text(description)),
            )
        except Exception:  # noqa: BLE001 - closed, whatever failed: nothing unchecked may pass
            redaction.count(errors=1)
            return _rebuilt(
                span,
                name=redaction.PLACEHOLDER,
                attributes={},
                events=(),
                links=(),
                status=Status(span.status.status_code),
            )

    def _attributes(self, attributes: Attributes) -> Attributes:
        if not attributes:
            return attributes
        kept = {key: value for key, value in attributes.items() if key not in CONTENT}
        cleaned = cast("dict[str, AnyValue]", _redacted(self._redactor, kept))
        return {**cleaned, **{key: _size(attributes[key]) for key in attributes if key in CONTENT}}


@final
class RedactingProcessor:
    """Redacts structlog events. A processor: put it last before the renderer.

    A line the redactor fails on keeps its level and its timestamp and nothing else.

    Args:
        redactor: What cleans events; the `machine` profile if None.
    """

    def __init__(self, *, redactor: Redactor | None = None) -> None:
        self._redactor = MachineRedactor(profile="machine") if redactor is None else redactor

    def __call__(
        self, _logger: object, _method: str, event_dict: MutableMapping[str, object]
    ) -> Mapping[str, object]:
        try:
            return _redacted(self._redactor, event_dict)
        except Exception:  # noqa: BLE001 - closed, as above
            redaction.count(errors=1)
            kept = {key: event_dict[key] for key in ("timestamp", "level") if key in event_dict}
            return {**kept, "event": redaction.PLACEHOLDER}


@final
class JsonLinesSpanExporter(SpanExporter):
    """Appends spans to a file, one JSON object a line. For a demo, a test, or a machine without a collector.

    A file that cannot be written (a full disk) loses spans, says so once, and never raises.

    Args:
        path: The file; its folder must exist.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._lock = ChildLock()
        self._file: IO[str] = path.open("a", encoding="utf-8")
        self._reported = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        lines = "".join(f"{json.dumps(as_dict(span), separators=(',', ':'))}\n" for span in spans)
        try:
            with self._lock:
                self._file.write(lines)
                self._file.flush()
        except (OSError, ValueError) as error:  # ValueError: the file is closed
            if not self._reported:
                self._reported = True
                _log.warning("spans cannot be written to their file: %s", type(error).__qualname__)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        with self._lock:
            self._file.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - each export is flushed
        return True


def as_dict(span: ReadableSpan) -> dict[str, object]:
    """A finished span as plain values: ids in hexadecimal, times in seconds since the epoch."""
    context = span.context
    start = span.start_time or 0
    end = span.end_time or start
    return {
        "name": span.name,
        "kind": span.kind.name,
        "trace_id": None if context is None else format_trace_id(context.trace_id),
        "span_id": None if context is None else format_span_id(context.span_id),
        "parent_id": None if span.parent is None else format_span_id(span.parent.span_id),
        "start": start / 1e9,
        "seconds": (end - start) / 1e9,
        "status": span.status.status_code.name,
        "attributes": dict(span.attributes or {}),
        "events": [
            {
                "name": event.name,
                "at": event.timestamp / 1e9,
                "attributes": dict(event.attributes or {}),
            }
            for event in span.events
        ],
    }


def _rebuilt(
    span: ReadableSpan,
    *,
    name: str,
    attributes: Attributes,
    events: Sequence[Event],
    links: Sequence[Link],
    status: Status,
) -> ReadableSpan:
    return ReadableSpan(
        name=name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=events,
        links=links,
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _redacted(redactor: Redactor, mapping: Mapping[str, object]) -> dict[str, object]:
    cleaned = redactor.value(dict(mapping))
    if not isinstance(cleaned, dict):
        raise TypeError("a redactor must give a mapping for a mapping")
    return cast("dict[str, object]", cleaned)


def _size(value: object) -> str:
    size = len(value) if isinstance(value, str) else len(repr(value))
    return f"<{size} characters>"
