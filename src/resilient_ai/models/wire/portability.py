"""Whether a request may move to another model, and what must stay behind when it does.

A hop must not change what the request means. What only one format, or only one provider's servers, can do refuses the hop
by name; what merely tunes a model is dropped, and the reply's flags say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from resilient_ai.core.identifiers import place
from resilient_ai.messages import JSON, Foreign, Message, Part, Reasoning, Request, ToolCall


def unportable(request: Request) -> str | None:
    """The field that keeps `request` from any other format, or None if it may move.

    A field of `extra` counts only if `extra_format` ties it to one format; with None its owner wants it sent everywhere.
    """
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, Foreign):
                return place(part.field)
    if request.extra_format is None:
        return None
    for name, value in request.extra.items():
        blocks = BLOCKERS.get(name)
        if blocks is not None and blocks(value):
            return name
    return None


def without_opaque(request: Request) -> Request:
    """`request` without the private state of the provider that answered earlier turns.

    For a hop between two providers of one format: between formats no codec writes another's state anyway. The same object
    comes back if there is none.
    """
    if not any(_holds_opaque(part) for message in request.messages for part in message.parts):
        return request
    return replace(request, messages=tuple(_plain(message) for message in request.messages))


def _holds_opaque(part: Part) -> bool:
    return isinstance(part, (Reasoning, ToolCall)) and bool(part.opaque)


def _plain(message: Message) -> Message:
    return replace(
        message,
        parts=tuple(
            replace(part, opaque={}) if isinstance(part, (Reasoning, ToolCall)) and part.opaque else part
            for part in message.parts
        ),
    )


def _given(value: JSON) -> bool:
    """Anything but null, false, zero and the empty list or object."""
    return bool(value)


def _several(value: JSON) -> bool:
    return value != 1 and bool(value)


def _beyond_text(value: JSON) -> bool:
    return not isinstance(value, (list, tuple)) or any(
        not isinstance(kind, str) or kind.lower() != "text" for kind in value
    )


def _asks_for_logprobs(value: JSON) -> bool:
    return isinstance(value, (list, tuple)) and any("logprobs" in str(entry) for entry in value)


_TUNING: Final = 1
"""Up to here a bias makes a token more or less likely; far beyond, it bans or forces it."""


def _forces_tokens(value: JSON) -> bool:
    """Bans or forces tokens, by numbers that are other tokens to another model."""
    if not isinstance(value, Mapping):
        return bool(value)
    return any(not isinstance(bias, int | float) or abs(bias) > _TUNING for bias in value.values())


def _somewhere(value: JSON) -> bool:
    return bool(value) and value != "global"


def _bills_another(value: JSON) -> bool:
    return bool(value) and not (isinstance(value, Mapping) and value.get("bill_to") == "self")


BLOCKERS: Final[Mapping[str, Callable[[JSON], bool]]] = {
    # Conversation kept by the provider.
    "previous_response_id": _given,
    "conversation": _given,
    "prompt": _given,
    "promptVariables": _given,
    "instructions": _given,
    "container": _given,
    "cachedContent": _given,
    "thread": _given,
    "background": _given,
    "compaction": _given,
    # Tools that run at the provider, and the older function dialect.
    "tools": _given,
    "tool_choice": _given,
    "tool_config": _given,
    "toolConfig": _given,
    "mcp_servers": _given,
    "functions": _given,
    "function_call": _given,
    "web_search_options": _given,
    "search_parameters": _given,
    "search_settings": _given,
    "include_domains": _given,
    "exclude_domains": _given,
    "compound_custom": _given,
    "plugins": _given,
    # Sources the provider itself reads into the prompt.
    "documents": _given,
    # More, or other, than one text.
    "n": _several,
    "candidateCount": _several,
    "modalities": _beyond_text,
    "responseModalities": _beyond_text,
    "audio": _given,
    "speechConfig": _given,
    "response_format": _given,
    "logprobs": _given,
    "top_logprobs": _given,
    "responseLogprobs": _given,
    "include": _asks_for_logprobs,
    "echo": _given,
    "logit_bias": _forces_tokens,
    # Where it may be read, who watches over it, and who pays.
    "inference_geo": _somewhere,
    "compliance": _given,
    "moderation": _given,
    "guardrails": _given,
    "guardrailConfig": _given,
    "safety_model": _given,
    "billing_policy": _bills_another,
}
"""Parameters of any format that change what is asked, and for which values they do.

Source: the parameters of the clients of OpenAI, Anthropic, Groq and Together, and the public API references of Google, Mistral, Cohere, Amazon,
xAI and OpenRouter, read for those without a counterpart elsewhere. The tests hold what was decided for every parameter of those clients.
"""
