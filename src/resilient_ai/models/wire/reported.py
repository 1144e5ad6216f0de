"""Recognises a provider's error where an answer was due: in a 200, in an event, in a bare line of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import JSON
from resilient_ai.models.wire import ReportedError
from resilient_ai.models.wire.jsonbody import encode

_STATUS_FIELDS: Final = ("status_code", "status", "code", "http_status")
_BARE_FIELDS: Final = ("detail", "errors", "message")


def reported(body: Mapping[str, JSON]) -> ReportedError | None:
    """The error in `body`, or None if it holds none. `"error": null` is none."""
    error = body.get("error")
    if not error:
        return None
    return ReportedError("the provider reported an error", body=encode(body), status=_status(error, body))


def reported_without_answer(body: Mapping[str, JSON]) -> ReportedError | None:
    """The error in a body that has no answer either.

    There, other shapes count as well: `{"detail": ...}`, `{"object": "error", "message": ...}`, `{"errors": [...]}`.
    """
    found = reported(body)
    if found is not None or not any(body.get(field) for field in _BARE_FIELDS):
        return found
    return ReportedError("the provider reported an error", body=encode(body), status=_status(None, body))


def reported_event(error: JSON, *, event: Mapping[str, JSON]) -> ReportedError:
    """An event that is an error as a whole, put into the shape of an error body."""
    return ReportedError(
        "the provider reported an error in its stream",
        body=encode({"error": error}),
        status=_status(error, event),
    )


def _status(error: JSON, body: Mapping[str, JSON]) -> int | None:
    for fields in (error, body):
        if not isinstance(fields, Mapping):
            continue
        for name in _STATUS_FIELDS:
            value = fields.get(name)
            if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
                value = int(value)
            if isinstance(value, int) and 400 <= value <= 599:
                return value
    return None
