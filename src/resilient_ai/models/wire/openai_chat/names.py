"""Names and small readings that requests, replies and streams of chat completions share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import JSON, UNKNOWN_USAGE, FinishReason, Usage
from resilient_ai.models.wire.shape import count, details

FORMAT: Final = "openai-chat"

REASONING_FIELDS: Final = ("reasoning_content", "reasoning")
"""Where servers put what a model thought: DeepSeek, vLLM and llama-server the first, OpenRouter, Groq and newer vLLM the second."""

REASONING_FIELD: Final = "reasoning_field"
"""Opaque state of a `Reasoning`: under which of those names its server sent it, and wants it back while tools are called."""

REASONING_DETAILS: Final = "reasoning_details"
"""Opaque state of a `Reasoning`: OpenRouter's structured form, with signatures and encrypted parts."""

CALL_STATE_FIELDS: Final = ("extra_content",)
"""Opaque state of a `ToolCall`: Google's compatible endpoint keeps its thought signatures there."""

FINISHED: Final[Mapping[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filtered",
    # Spellings of compatible servers.
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_length": "length",
    "safety": "content_filtered",
    "recitation": "content_filtered",
    "refusal": "refusal",
}

FAILED: Final = "error"
"""The finish reason of an answer that its server gave up in the middle (OpenRouter, Mistral)."""

WRITTEN: Final[Mapping[FinishReason, str]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filtered": "content_filter",
    "refusal": "stop",
    "other": "stop",
}
"""How a reason is written: OpenAI's client knows no others."""


def finish_reason(told: str, *, called: bool, refused: bool) -> FinishReason:
    """The reason behind `told`. Several servers say `stop` when they call a tool, and OpenAI does when it refuses."""
    reason: FinishReason = FINISHED.get(told) or FINISHED.get(told.lower()) or "other"
    if reason == "stop" and called:
        return "tool_calls"
    if reason == "stop" and refused:
        return "refusal"
    return reason


def read_usage(value: JSON, flags: list[str]) -> Usage:
    """Tokens of a `usage` object. Absent and senseless counts are unknown, the latter with a flag."""
    if not isinstance(value, Mapping):
        return UNKNOWN_USAGE
    inputs = details(value, "prompt_tokens_details")
    outputs = details(value, "completion_tokens_details")
    prompt = count(value, "prompt_tokens", flags)
    completion = count(value, "completion_tokens", flags)
    reasoning = count(outputs, "reasoning_tokens", flags)
    cached = count(inputs, "cached_tokens", flags)
    if cached is None:
        # DeepSeek and Together name it elsewhere.
        cached = count(value, "prompt_cache_hit_tokens", flags)
        if cached is None:
            cached = count(value, "cached_tokens", flags)
    if prompt is not None and completion is not None and reasoning:
        # xAI counts reasoning beside the completion; its total gives it away.
        total = count(value, "total_tokens", flags)
        if total == prompt + completion + reasoning:
            completion += reasoning
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cached_tokens=cached,
        cache_creation_tokens=count(inputs, "cache_write_tokens", flags),
        reasoning_tokens=reasoning,
    )


def write_usage(usage: Usage) -> dict[str, JSON] | None:
    """`usage` as an object, or None where a count it must hold is unknown."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    body: dict[str, JSON] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    inputs: dict[str, JSON] = {}
    if usage.cached_tokens is not None:
        inputs["cached_tokens"] = usage.cached_tokens
    if usage.cache_creation_tokens is not None:
        inputs["cache_write_tokens"] = usage.cache_creation_tokens
    if inputs:
        body["prompt_tokens_details"] = inputs
    if usage.reasoning_tokens is not None:
        body["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return body
