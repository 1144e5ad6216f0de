"""Names and small readings that requests, replies and streams of Anthropic's messages share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import JSON, UNKNOWN_USAGE, FinishReason, Usage
from resilient_ai.models.wire.shape import count, details, optional_string

FORMAT: Final = "anthropic"

SIGNATURE: Final = "signature"
"""Opaque state of a `Reasoning`: proof that the model wrote it. Without it Anthropic refuses a thought that comes back."""

REDACTED: Final = "redacted_thinking"
"""Opaque state of a `Reasoning`: a thought that only Anthropic can read."""

CALL_STATE_FIELDS: Final = ("caller", "toolset_name")
"""Opaque state of a `ToolCall`: what made the call where it was not the model itself."""

TOOL_OPTIONS: Final = "tool_options"
"""Field of `Request.extra`: by the name of a tool, what tunes it in this format only."""

NO_FINISH_REASON: Final = "no_finish_reason"
"""Flag: the server ended the answer properly without saying why the model stopped."""

PAUSED: Final = "pause_turn"
"""Flag: the provider paused a long turn with tools of its own; asked again, it goes on."""

CONTEXT_EXCEEDED: Final = "context_window_exceeded"
"""Flag: the answer stopped because the context window was full, not at the limit asked for."""

PARTS_LEFT_OUT: Final = "parts_left_out"
"""Flag: the answer holds parts that are neither text, thought nor call (`Reply.raw` has them)."""

FINISHED: Final[Mapping[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "other",
}

WRITTEN: Final[Mapping[FinishReason, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filtered": "refusal",
    "refusal": "refusal",
    "other": "end_turn",
}
"""How a reason is written: Anthropic's client knows no others."""

_FLAGGED: Final[Mapping[str, str]] = {
    "": NO_FINISH_REASON,
    "pause_turn": PAUSED,
    "model_context_window_exceeded": CONTEXT_EXCEEDED,
}

_SAMPLED: Final = re.compile(
    r"claude-(?:instant|v?[123]|(?:opus|sonnet|haiku)-4(?:[-.][0-6])?(?![-.]?\d{1,2}(?!\d)))"
)
"""Claude up to 4.6. Later models refuse temperature and top_p.

Source: https://platform.claude.com/docs/en/about-claude/models/migration-guide
"""

_WITHOUT_EFFORT: Final = re.compile(
    r"claude-(?:instant|v?[123]|haiku-4|sonnet-4(?:[-.][0-5])?(?![-.]?\d{1,2}(?!\d))|opus-4(?:[-.][01])?(?![-.]?\d{1,2}(?!\d)))"
)
"""Claude before the effort parameter came with Opus 4.5.

Source: https://platform.claude.com/docs/en/build-with-claude/effort
"""


def takes_sampling(model: str) -> bool:
    """Whether `model` takes temperature and top_p. What is no Claude behind a compatible server does."""
    return "claude" not in model or _SAMPLED.search(model) is not None


def takes_effort(model: str) -> bool:
    """Whether `model` takes an effort."""
    return "claude" in model and _WITHOUT_EFFORT.search(model) is None


def finish_reason(told: str, flags: list[str], *, called: bool) -> FinishReason:
    """The reason behind `told`, with a flag where it does not say all. A few compatible servers say `end_turn` when they call a tool."""
    reason: FinishReason = FINISHED.get(told, "other")
    if told in _FLAGGED:
        flags.append(_FLAGGED[told])
    return "tool_calls" if reason == "stop" and called else reason


def refusal_text(stop_details: JSON) -> str | None:
    """Why the model refused, where the provider explains it."""
    if not isinstance(stop_details, Mapping):
        return None
    return optional_string(stop_details.get("explanation"), "stop_details.explanation")


def stop_details(reason: FinishReason, refusal: str | None) -> dict[str, JSON] | None:
    """The object that explains a refusal."""
    if WRITTEN[reason] != "refusal":
        return None
    return {"type": "refusal", "category": None, "explanation": refusal}


def read_usage(value: JSON, flags: list[str]) -> Usage:
    """Tokens of a `usage` object. Here alone the input excludes what a cache gave or took; the sum is all of it."""
    if not isinstance(value, Mapping):
        return UNKNOWN_USAGE
    fresh = count(value, "input_tokens", flags)
    cached = count(value, "cache_read_input_tokens", flags)
    created = count(value, "cache_creation_input_tokens", flags)
    return Usage(
        input_tokens=None if fresh is None else fresh + (cached or 0) + (created or 0),
        output_tokens=count(value, "output_tokens", flags),
        cached_tokens=cached,
        cache_creation_tokens=created,
        reasoning_tokens=count(details(value, "output_tokens_details"), "thinking_tokens", flags),
    )


def write_usage(usage: Usage) -> dict[str, JSON]:
    """`usage` as an object. The format obliges both counts; one that is unknown is written as 0."""
    told = (usage.cached_tokens or 0) + (usage.cache_creation_tokens or 0)
    body: dict[str, JSON] = {
        "input_tokens": max(0, (usage.input_tokens or 0) - told),
        "cache_creation_input_tokens": usage.cache_creation_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens or 0,
    }
    if usage.reasoning_tokens is not None:
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return body
