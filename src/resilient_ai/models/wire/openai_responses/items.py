"""The objects of a response as OpenAI's own client expects them: the frame, and the items in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from resilient_ai.messages import JSON

_Fields = dict[str, JSON]


def frame(
    identity: str,
    model: str,
    created: int,
    *,
    status: str,
    output: Sequence[JSON] = (),
    incomplete_details: Mapping[str, JSON] | None = None,
    usage: Mapping[str, JSON] | None = None,
) -> _Fields:
    """A response object. The parameters of the request, which it repeats, are given their defaults."""
    return {
        "id": identity,
        "object": "response",
        "created_at": created,
        "status": status,
        "error": None,
        "incomplete_details": incomplete_details,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": output,
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": usage,
    }


def text_part(text: str) -> _Fields:
    """A part of a message that is text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal_part(refusal: str) -> _Fields:
    """A part of a message that is a refusal."""
    return {"type": "refusal", "refusal": refusal}


def message_item(identity: str, text: str, refusal: str | None, *, status: str) -> _Fields:
    """The message of an answer."""
    content: list[JSON] = []
    if text or not refusal:
        content.append(text_part(text))
    if refusal:
        content.append(refusal_part(refusal))
    return {"type": "message", "id": identity, "role": "assistant", "status": status, "content": content}


def call_item(identity: str, call: str, name: str, arguments: str, *, status: str) -> _Fields:
    """A function call of an answer."""
    return {
        "type": "function_call",
        "id": identity,
        "call_id": call,
        "name": name,
        "arguments": arguments,
        "status": status,
    }


def reasoning_item(identity: str, text: str) -> _Fields:
    """What the model thought, as a summary of one part."""
    return {
        "type": "reasoning",
        "id": identity,
        "summary": [{"type": "summary_text", "text": text}] if text else [],
    }
