"""Names and small readings that requests, replies and streams of Cohere share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import JSON, UNKNOWN_USAGE, FinishReason, Usage
from resilient_ai.models.wire import ReportedError
from resilient_ai.models.wire.jsonbody import encode
from resilient_ai.models.wire.shape import count, details

FORMAT: Final = "cohere"

THINKING: Final = "cohere_thinking"
"""Opaque state of a `Reasoning`: it came from Cohere as a block of the content."""

TOOL_PLAN: Final = "tool_plan"
"""Opaque state of a `Reasoning`: Cohere's plan of which tools to call and why, which stands beside the content."""

NO_FINISH_REASON: Final = "no_finish_reason"
"""Flag: the server ended the answer properly without saying why the model stopped."""

PARTS_LEFT_OUT: Final = "parts_left_out"
"""Flag: the answer holds parts that are neither text, thought nor call (`Reply.raw` has them)."""

_FINISHED: Final[Mapping[str, FinishReason]] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filtered",
}

_WRITTEN: Final[Mapping[FinishReason, str]] = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
    "content_filtered": "ERROR_TOXIC",
    "refusal": "COMPLETE",
    "other": "COMPLETE",
}

_FAILED: Final[Mapping[str, int]] = {"ERROR": 500, "TIMEOUT": 504}
"""Reasons that say the server failed, and the status each would have had before the answer began."""


def finish_reason(told: str, flags: list[str], *, called: bool) -> FinishReason:
    """The reason behind `told`, with a flag where there is none."""
    if not told:
        flags.append(NO_FINISH_REASON)
    reason: FinishReason = _FINISHED.get(told, "other")
    return "tool_calls" if reason == "stop" and called else reason


def failure(told: str, error: JSON) -> ReportedError | None:
    """The error that an answer ended with, or None."""
    status = _FAILED.get(told)
    if status is None and not error:
        return None
    message = error if isinstance(error, str) and error else told
    return ReportedError(
        "the provider reported an error at the end of its answer",
        body=encode({"error": {"message": message, "code": told or None}}),
        status=status or 500,
    )


def write_reason(reason: FinishReason) -> str:
    """How a reason is written. A refusal is an answer here, told by its text alone."""
    return _WRITTEN[reason]


def read_usage(value: JSON, flags: list[str]) -> Usage:
    """Tokens of a `usage` object: those the model saw, else those that were billed."""
    if not isinstance(value, Mapping):
        return UNKNOWN_USAGE
    counted = details(value, "tokens") or details(value, "billed_units")
    return Usage(
        input_tokens=count(counted, "input_tokens", flags),
        output_tokens=count(counted, "output_tokens", flags),
        cached_tokens=count(value, "cached_tokens", flags),
    )


def write_usage(usage: Usage) -> dict[str, JSON] | None:
    """`usage` as an object; None where nothing is known. What was billed is not ours to say."""
    if usage == UNKNOWN_USAGE:
        return None
    body: dict[str, JSON] = {
        "tokens": {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    }
    if usage.cached_tokens is not None:
        body["cached_tokens"] = usage.cached_tokens
    return body
