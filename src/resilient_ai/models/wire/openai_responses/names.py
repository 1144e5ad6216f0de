"""Names and small readings that requests, replies and streams of responses share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import JSON, UNKNOWN_USAGE, FinishReason, Usage
from resilient_ai.models.wire import Malformed, ReportedError
from resilient_ai.models.wire.reported import reported_event
from resilient_ai.models.wire.shape import count, details, items, mapping, string

FORMAT: Final = "openai-responses"

REASONING_ITEM: Final = "reasoning_item"
"""Opaque state of a `Reasoning`: the item as it came, with its id and encrypted content, to go back unchanged."""

CALL_STATE_FIELDS: Final = ("id", "namespace", "caller", "async")
"""Opaque state of a `ToolCall`: fields of its item beside those every format has."""

UNFINISHED: Final = "unfinished"
"""Flag: the provider still works on the answer, as with `background`, or somebody cancelled it."""

PARAGRAPH: Final = "\n\n"
"""Between two parts of a reasoning summary."""

_INCOMPLETE: Final[Mapping[str, FinishReason]] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "content_filtered",
}


def finish_reason(response: Mapping[str, JSON], *, called: bool, refused: bool) -> FinishReason:
    """Why the answer stopped, from `status` and `incomplete_details`."""
    status = string(response.get("status"), "status")
    if status == "incomplete":
        details = mapping(response.get("incomplete_details"), "incomplete_details")
        return _INCOMPLETE.get(string(details.get("reason"), "incomplete_details.reason"), "other")
    if status not in ("completed", ""):
        return "other"
    return "tool_calls" if called else "refusal" if refused else "stop"


def write_status(reason: FinishReason) -> tuple[str, dict[str, JSON] | None]:
    """`status` and `incomplete_details` for a finish reason."""
    if reason == "length":
        return "incomplete", {"reason": "max_output_tokens"}
    if reason == "content_filtered":
        return "incomplete", {"reason": "content_filter"}
    return "completed", None


def failure(response: Mapping[str, JSON]) -> ReportedError | None:
    """The error a response reports about itself, or None."""
    error = response.get("error")
    if error:
        return reported_event(error, event=response)
    if response.get("status") == "failed":
        return reported_event({"message": "the response failed"}, event=response)
    return None


def reasoning_text(item: Mapping[str, JSON]) -> str:
    """The readable part of a reasoning item: its summary, or what open models show of their thoughts."""
    for field in ("summary", "content"):
        texts = [string(part.get("text"), f"reasoning.{field}") for part in items(item.get(field), field)]
        if any(texts):
            return PARAGRAPH.join(texts)
    return ""


def message_texts(item: Mapping[str, JSON]) -> tuple[str, str]:
    """Text and refusal of a message item."""
    content = item.get("content")
    if isinstance(content, str):  # a few compatible servers leave the list out
        return content, ""
    texts: list[str] = []
    refusals: list[str] = []
    for part in items(content, "output.content"):
        kind = part.get("type")
        if kind in ("output_text", "text"):
            texts.append(string(part.get("text"), "output.content.text"))
        elif kind == "refusal":
            refusals.append(string(part.get("refusal"), "output.content.refusal"))
    return "".join(texts), "".join(refusals)


def read_usage(value: JSON, flags: list[str]) -> Usage:
    """Tokens of a `usage` object. Absent and senseless counts are unknown, the latter with a flag."""
    if not isinstance(value, Mapping):
        return UNKNOWN_USAGE
    inputs = details(value, "input_tokens_details")
    outputs = details(value, "output_tokens_details")
    return Usage(
        input_tokens=count(value, "input_tokens", flags),
        output_tokens=count(value, "output_tokens", flags),
        cached_tokens=count(inputs, "cached_tokens", flags),
        cache_creation_tokens=count(inputs, "cache_write_tokens", flags),
        reasoning_tokens=count(outputs, "reasoning_tokens", flags),
    )


def write_usage(usage: Usage) -> dict[str, JSON] | None:
    """`usage` as an object, or None where a count it must hold is unknown.

    The details are obligatory in this format; a part of a known total that nobody counted is written as 0.
    """
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens or 0,
            "cache_write_tokens": usage.cache_creation_tokens or 0,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def output_items(response: Mapping[str, JSON]) -> list[Mapping[str, JSON]]:
    """The items of an answer.

    Raises:
        Malformed: There is no list of items.
    """
    if not isinstance(response.get("output"), (list, tuple)):
        raise Malformed("the answer holds no output")
    return items(response["output"], "output")
