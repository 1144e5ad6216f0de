"""Oddities of an answer that are no failures, but that whoever reads the outcome wants to know."""

from __future__ import annotations

import re
from typing import Final

from resilient_ai.messages import UNKNOWN_USAGE, Reply, Request, ToolCall
from resilient_ai.models.wire import WireError
from resilient_ai.models.wire.jsonbody import decode

EMPTY: Final = "empty"
"""Flag: neither text nor tool call nor refusal."""

TRUNCATED: Final = "truncated"
"""Flag: the answer stopped at its token limit."""

CONTENT_FILTERED: Final = "content_filtered"
"""Flag: a filter of the provider stopped the answer."""

REFUSAL: Final = "refusal"
"""Flag: the model refused."""

TOOL_ARGUMENTS_INVALID: Final = "tool_arguments_invalid"
"""Flag: a tool call's arguments are not one JSON object."""

UNKNOWN_TOOL: Final = "unknown_tool"
"""Flag: the model calls a tool that was not offered."""

USAGE_MISSING: Final = "usage_missing"
"""Flag: the provider reported no tokens; what the answer cost is unknown."""

WRONG_MODEL: Final = "wrong_model"
"""Flag: the answer names another model than was asked."""

ODD_CHARACTERS: Final = "odd_characters"
"""Flag: the text holds NUL, a lone surrogate or a replacement character."""

REPEATED: Final = "repeated"
"""Flag: most pieces of the stream came twice in a row, as from a proxy that replays."""

AFTER_FINISH: Final = "content_after_finish"
"""Flag: content came after the finish reason: the events were out of order."""

FINISH_MISSING: Final = "finish_missing"
"""Flag: the stream ended by its marker but never said why the model stopped; it may be cut."""

_ODD: Final = re.compile("[\x00\ud800-\udfff\ufffd]")
_VARIANT: Final = re.compile(r"[:@].*$")
_VERSION: Final = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{2}-\d{4}|\d{8}|\d{6}|\d{4}|\d{3}|v\d+|0|latest)$")


def flags_of(request: Request, reply: Reply, *, model: str | None = None) -> tuple[str, ...]:
    """All flags of `reply`, those it has included, each once, in a stable order.

    Args:
        request: What was asked.
        reply: What came.
        model: The model that was asked; None leaves `wrong_model` out, as for a deployment name of the user's own.
    """
    found = dict.fromkeys(reply.flags)
    if reply.finish_reason == "length":
        found[TRUNCATED] = None
    if reply.finish_reason == "content_filtered":
        found[CONTENT_FILTERED] = None
    if reply.refusal is not None or reply.finish_reason == "refusal":
        found[REFUSAL] = None
    elif not reply.text and not reply.tool_calls:
        found[EMPTY] = None
    if odd_characters(reply.text):
        found[ODD_CHARACTERS] = None
    if any(not arguments_valid(call) for call in reply.tool_calls):
        found[TOOL_ARGUMENTS_INVALID] = None
    if reply.tool_calls and not offered(request).issuperset(call.name for call in reply.tool_calls):
        found[UNKNOWN_TOOL] = None
    if reply.usage == UNKNOWN_USAGE:
        found[USAGE_MISSING] = None
    if model is not None and not same_model(model, reply.model):
        found[WRONG_MODEL] = None
    return tuple(found)


def odd_characters(text: str) -> bool:
    """`text` holds NUL, a lone surrogate or a replacement character."""
    return (not text.isascii() or "\x00" in text) and _ODD.search(text) is not None


def arguments_valid(call: ToolCall) -> bool:
    """The arguments are exactly one JSON object; no text at all stands for an empty one."""
    return holds_object(call.arguments)


def holds_object(arguments: str) -> bool:
    """The text of a call's arguments is exactly one JSON object; no text at all stands for an empty one."""
    try:
        return isinstance(decode(arguments.encode("utf-8", "surrogatepass") or b"{}"), dict)
    except WireError:
        return False


def offered(request: Request) -> frozenset[str]:
    """Names of the tools the model may call."""
    return frozenset(tool.name for tool in request.tools)


def same_model(asked: str, answered: str) -> bool:
    """Whether `answered` may be what was meant by `asked`.

    A provider prefix (`openai/`, `models/`), a variant (`:free`, `@20240620`), upper case and a version or date that only one
    of the two names carries do not count: `gpt-4o` is answered by `gpt-4o-2024-08-06`, not by `gpt-4o-mini`. A provider that
    names no model is believed.
    """
    if not answered:
        return True
    left, right = _name(asked), _name(answered)
    return left == right or _undated(left) == right or left == _undated(right) or _aliases(left, right)


def _name(model: str) -> str:
    return _VARIANT.sub("", model.strip().lower()).rpartition("/")[2]


def _undated(name: str) -> str:
    return _VERSION.sub("", name)


def _aliases(left: str, right: str) -> bool:
    """One of the two is an alias for whatever is current (`-latest`, `-0`), the other a dated name."""
    moving = left.endswith(("-latest", "-0")) or right.endswith(("-latest", "-0"))
    return moving and _undated(left) == _undated(right)
