"""Names and small readings that requests, replies and streams of Gemini share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import JSON, UNKNOWN_USAGE, FinishReason, Usage
from resilient_ai.models.wire.shape import count

FORMAT: Final = "gemini"

THOUGHT: Final = "thought"
"""Opaque state of a `Reasoning`: it came from Gemini as a part of its own, and goes back as one."""

SIGNATURE: Final = "thoughtSignature"
"""Opaque state of a `Reasoning` or a `ToolCall`: Gemini's own memory of the thought behind the part it stood on."""

TEXT_SIGNATURE: Final = "textSignature"
"""Opaque state of a `Reasoning` without text: the signature of the text that follows it."""

CALL_ID: Final = "functionCallId"
"""Opaque state of a `ToolCall`: the identifier is Gemini's own, so its result must name it."""

TOOL_OPTIONS: Final = "functionOptions"
"""Field of `Request.extra`: by the name of a tool, what its declaration says in this format only."""

UNSIGNED: Final = "skip_thought_signature_validator"
"""Stands for the signature of a call that another model made.

Source: https://ai.google.dev/gemini-api/docs/thought-signatures, on moving a conversation from another model.
"""

NO_FINISH_REASON: Final = "no_finish_reason"
"""Flag: the server ended the answer properly without saying why the model stopped."""

OTHER_CANDIDATES: Final = "other_choices"
"""Flag: the provider sent several answers; the first counts."""

PARTS_LEFT_OUT: Final = "parts_left_out"
"""Flag: the answer holds parts that are neither text, thought nor call (`Reply.raw` has them)."""

PROMPT_BLOCKED: Final = "prompt_blocked"
"""Flag: a filter stopped the request before the model saw it."""

UNSPECIFIED: Final = frozenset(("", "FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED"))

FINISHED: Final[Mapping[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filtered",
    "RECITATION": "content_filtered",
    "BLOCKLIST": "content_filtered",
    "PROHIBITED_CONTENT": "content_filtered",
    "SPII": "content_filtered",
    "MODEL_ARMOR": "content_filtered",
    "IMAGE_SAFETY": "content_filtered",
    "IMAGE_PROHIBITED_CONTENT": "content_filtered",
    "IMAGE_RECITATION": "content_filtered",
}

FAILED: Final = frozenset(
    (
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    )
)
"""Reasons that mean there is no usable answer: the model drew nonsense, and the next draw may be good. They are errors here, and the
classifier reads them by these names."""

WRITTEN: Final[Mapping[FinishReason, str]] = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filtered": "SAFETY",
    "refusal": "SAFETY",
    "other": "OTHER",
}

_SIGNING: Final = re.compile(r"gemini-(?:[3-9]|[a-z-]*latest)")
"""Models that refuse a call without a signature: Gemini 3 and later, and the names that move with the newest."""

_UNVALIDATED: Final = re.compile(r"gemini-(?:1|2\.0)|gemini-pro(?!-latest)|gemma")
"""Source: https://ai.google.dev/gemini-api/docs/function-calling, on the mode VALIDATED."""

_BUDGETED: Final = re.compile(r"gemini-2\.5")
_EARLY: Final = re.compile(r"gemini-(?:1|2)\b|gemini-pro(?!-latest)|gemma")

_LEVELS: Final[Mapping[str, str]] = {"minimal": "low", "low": "low", "medium": "high", "high": "high"}
"""Every Gemini 3 takes these two levels."""

_BUDGETS: Final[Mapping[str, int]] = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""Source: https://ai.google.dev/gemini-api/docs/openai, on `reasoning_effort`."""


def needs_signatures(model: str) -> bool:
    """Whether `model` refuses a call in the conversation that carries no signature."""
    return _SIGNING.search(model) is not None


def validates_calls(model: str) -> bool:
    """Whether `model` can be told to keep to the schemas of its tools while it is free to call none."""
    return _UNVALIDATED.search(model) is None


def schema_beside_tools(model: str) -> bool:
    """Whether `model` takes a schema for its answer while it has tools, as Gemini does from 3 on."""
    return _EARLY.search(model) is None


def thinking(model: str, effort: str) -> dict[str, JSON] | None:
    """How `model` is told how hard to think, or None if it cannot be."""
    if _BUDGETED.search(model) is not None and effort in _BUDGETS:
        return {"thinkingBudget": _BUDGETS[effort]}
    if _SIGNING.search(model) is not None and effort in _LEVELS:
        return {"thinkingLevel": _LEVELS[effort]}
    return None


def finish_reason(told: str, *, called: bool) -> FinishReason:
    """The reason behind `told`. Gemini says STOP when it calls a function."""
    reason: FinishReason = FINISHED.get(told, "other")
    return "tool_calls" if reason == "stop" and called else reason


def read_usage(value: JSON, flags: list[str]) -> Usage:
    """Tokens of a `usageMetadata` object. A count of zero is left out there; thoughts are counted beside the answer."""
    if not isinstance(value, Mapping) or not value:
        return UNKNOWN_USAGE
    prompt = count(value, "promptTokenCount", flags)
    tools = count(value, "toolUsePromptTokenCount", flags)
    answer = count(value, "candidatesTokenCount", flags)
    thoughts = count(value, "thoughtsTokenCount", flags)
    if answer is None and value.get("candidatesTokenCount") is None and prompt is not None:
        answer = 0
    return Usage(
        input_tokens=None if prompt is None else prompt + (tools or 0),
        output_tokens=None if answer is None else answer + (thoughts or 0),
        cached_tokens=count(value, "cachedContentTokenCount", flags),
        reasoning_tokens=thoughts,
    )


def write_usage(usage: Usage) -> dict[str, JSON] | None:
    """`usage` as an object, or None where a count it must hold is unknown."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    thoughts = min(usage.reasoning_tokens or 0, usage.output_tokens)
    body: dict[str, JSON] = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - thoughts,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    if usage.cached_tokens is not None:
        body["cachedContentTokenCount"] = usage.cached_tokens
    if usage.reasoning_tokens is not None:
        body["thoughtsTokenCount"] = thoughts
    return body
