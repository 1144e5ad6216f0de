"""Names and small readings that requests, replies and streams of Bedrock's Converse share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import JSON, UNKNOWN_USAGE, FinishReason, Usage
from resilient_ai.models.wire import ReportedError
from resilient_ai.models.wire.jsonbody import encode
from resilient_ai.models.wire.shape import count

FORMAT: Final = "bedrock"

SIGNATURE: Final = "bedrock_signature"
"""Opaque state of a `Reasoning`: proof that the model behind Bedrock wrote it."""

REDACTED: Final = "bedrock_redacted"
"""Opaque state of a `Reasoning`: a thought that only the provider can read."""

READABLE: Final = "bedrock_thought"
"""Opaque state of a `Reasoning`: a thought Bedrock gave without a signature."""

NO_FINISH_REASON: Final = "no_finish_reason"
"""Flag: the server ended the answer properly without saying why the model stopped."""

CONTEXT_EXCEEDED: Final = "context_window_exceeded"
"""Flag: the answer stopped because the context window was full, not at the limit asked for."""

PARTS_LEFT_OUT: Final = "parts_left_out"
"""Flag: the answer holds parts that are neither text, thought nor call (`Reply.raw` has them)."""

_FINISHED: Final[Mapping[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filtered",
    "content_filtered": "content_filtered",
}

_WRITTEN: Final[Mapping[FinishReason, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filtered": "content_filtered",
    "refusal": "content_filtered",
    "other": "end_turn",
}

_BOTCHED: Final = frozenset(("malformed_model_output", "malformed_tool_use"))

STATUSES: Final[Mapping[str, int]] = {
    "internalServerException": 500,
    "modelStreamErrorException": 424,
    "modelTimeoutException": 408,
    "serviceUnavailableException": 503,
    "throttlingException": 429,
    "validationException": 400,
}
"""Errors inside a stream, and the status each would have had before it began.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""


def finish_reason(told: str, flags: list[str], *, called: bool) -> FinishReason:
    """The reason behind `told`, with a flag where it does not say all.

    Raises:
        ReportedError: The model botched its answer.
    """
    if told in _BOTCHED:
        body = encode({"error": {"message": "the model's output is malformed", "code": told}})
        raise ReportedError("the model botched its answer", body=body)
    if not told:
        flags.append(NO_FINISH_REASON)
    if told == "model_context_window_exceeded":
        flags.append(CONTEXT_EXCEEDED)
    reason: FinishReason = _FINISHED.get(told, "other")
    return "tool_calls" if reason == "stop" and called else reason


def write_reason(reason: FinishReason) -> str:
    """How a reason is written."""
    return _WRITTEN[reason]


def read_usage(value: JSON, flags: list[str]) -> Usage:
    """Tokens of a `usage` object. The input excludes what a cache gave or took; the sum is all of it."""
    if not isinstance(value, Mapping):
        return UNKNOWN_USAGE
    fresh = count(value, "inputTokens", flags)
    cached = count(value, "cacheReadInputTokens", flags)
    created = count(value, "cacheWriteInputTokens", flags)
    return Usage(
        input_tokens=None if fresh is None else fresh + (cached or 0) + (created or 0),
        output_tokens=count(value, "outputTokens", flags),
        cached_tokens=cached,
        cache_creation_tokens=created,
    )


def write_usage(usage: Usage) -> dict[str, JSON]:
    """`usage` as an object. The format obliges the counts; one that is unknown is written as 0."""
    cached = (usage.cached_tokens or 0) + (usage.cache_creation_tokens or 0)
    told, output = usage.input_tokens or 0, usage.output_tokens or 0
    body: dict[str, JSON] = {
        "inputTokens": max(0, told - cached),
        "outputTokens": output,
        "totalTokens": told + output,
    }
    if usage.cached_tokens is not None:
        body["cacheReadInputTokens"] = usage.cached_tokens
    if usage.cache_creation_tokens is not None:
        body["cacheWriteInputTokens"] = usage.cache_creation_tokens
    return body
