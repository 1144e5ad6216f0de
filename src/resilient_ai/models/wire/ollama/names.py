"""Names and small readings that requests, replies and streams of Ollama share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import JSON, UNKNOWN_USAGE, FinishReason, Usage
from resilient_ai.models.wire.shape import count

FORMAT: Final = "ollama"

THINKING: Final = "thinking"
"""Opaque state of a `Reasoning`: it came from Ollama, which wants it back while tools are called."""

NO_FINISH_REASON: Final = "no_finish_reason"
"""Flag: the server ended the answer properly without saying why the model stopped."""

PARTS_LEFT_OUT: Final = "parts_left_out"
"""Flag: the answer holds parts that are neither text, thought nor call (`Reply.raw` has them)."""

_FINISHED: Final[Mapping[str, FinishReason]] = {"stop": "stop", "length": "length", "": "stop"}


def finish_reason(told: str, *, called: bool) -> FinishReason:
    """The reason behind `told`. Ollama says `stop` when it calls a tool; old servers say nothing."""
    reason: FinishReason = _FINISHED.get(told, "other")
    return "tool_calls" if reason == "stop" and called else reason


def write_reason(reason: FinishReason) -> str:
    """How a reason is written: this format knows two."""
    return "length" if reason == "length" else "stop"


def read_usage(line: Mapping[str, JSON], flags: list[str]) -> Usage:
    """Tokens of a last line. The prompt's are left out where all of it was in the cache."""
    usage = Usage(
        input_tokens=count(line, "prompt_eval_count", flags), output_tokens=count(line, "eval_count", flags)
    )
    return UNKNOWN_USAGE if usage == UNKNOWN_USAGE else usage


def write_usage(usage: Usage) -> dict[str, JSON]:
    """The counts that are known, as fields of a last line."""
    told = {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens}
    return {name: value for name, value in told.items() if value is not None}
