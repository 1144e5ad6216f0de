"""The body of Ollama's chat as a request, without loss.

Calls without identifiers are given one, and their results with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from resilient_ai.messages import (
    JSON,
    Foreign,
    Image,
    Message,
    OutputSchema,
    Part,
    Reasoning,
    Request,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from resilient_ai.models.wire import Malformed
from resilient_ai.models.wire.arguments import text_of
from resilient_ai.models.wire.functions import functions_among
from resilient_ai.models.wire.ollama.names import FORMAT, THINKING
from resilient_ai.models.wire.pairing import CallPairing
from resilient_ai.models.wire.shape import integer, items, mapping, number, present, string

_ROLES: Final[Mapping[str, Role]] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_MEDIA_TYPES: Final[Mapping[str, str]] = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}
"""How base64 of a picture begins: this format does not say what it is, and others must be told."""

_READ_MESSAGE_FIELDS: Final = frozenset(
    ("role", "content", "thinking", "images", "tool_calls", "tool_name", "name", "tool_call_id")
)
_TRANSPORT: Final = frozenset(("model", "stream"))
"""Decided anew for every model a request goes to."""

_READ_FIELDS: Final = frozenset(("messages", "tools", "format", "options"))
_READ_OPTIONS: Final = frozenset(("num_predict", "temperature", "top_p", "stop", "seed"))


def decode_request(body: Mapping[str, JSON]) -> Request:
    """See `Codec.decode_request`."""
    messages = items(body.get("messages"), "messages")
    if not messages:
        raise Malformed("the request has no messages")
    options = mapping(body.get("options"), "options")
    extra = {**present(body, _READ_FIELDS | _TRANSPORT), **present(options, _READ_OPTIONS)}
    if extra.get("think") is False:
        del extra["think"]  # what every other format does without being told
    tools, foreign = functions_among(body.get("tools"))
    if foreign:
        extra["tools"] = foreign
    limit = integer(options.get("num_predict"), "num_predict")
    pairing = CallPairing()
    return Request(
        messages=tuple(
            _message(message, f"messages[{index}]", pairing) for index, message in enumerate(messages)
        ),
        tools=tools,
        max_tokens=limit
        if limit is not None and limit > 0
        else None,  # below stand "no bound" and "fill the context"
        temperature=number(options.get("temperature"), "temperature"),
        top_p=number(options.get("top_p"), "top_p"),
        stop=_stop(options.get("stop")),
        seed=integer(options.get("seed"), "seed"),
        output_schema=_output(body.get("format"), extra),
        extra=extra,
        extra_format=FORMAT if extra else None,
    )


def _message(message: Mapping[str, JSON], where: str, pairing: CallPairing) -> Message:
    role = _ROLES.get(string(message.get("role"), f"{where}.role"))
    if role is None:
        raise Malformed(f"{where} has no role of this format")
    if role == "tool":
        told = string(message.get("tool_name"), f"{where}.tool_name") or string(
            message.get("name"), f"{where}.name"
        )
        call, name = pairing.answered(string(message.get("tool_call_id"), f"{where}.tool_call_id"), told)
        return Message("tool", (ToolResult(call, string(message.get("content"), f"{where}.content"), name),))
    return Message(role, tuple(_parts(message, where, pairing)))


def _parts(message: Mapping[str, JSON], where: str, pairing: CallPairing) -> Iterator[Part]:
    thought = string(message.get("thinking"), f"{where}.thinking")
    if thought:
        yield Reasoning(thought, {THINKING: True})
    text = string(message.get("content"), f"{where}.content")
    calls = items(message.get("tool_calls"), f"{where}.tool_calls")
    images = message.get("images") or ()
    if not isinstance(images, (list, tuple)):
        raise Malformed(f"{where}.images is not a list")
    if text or not (calls or images or thought):
        yield Text(text)
    for image in images:
        data = string(image, f"{where}.images")
        yield Image(data=data, media_type=_media_type(data))
    for call in calls:
        function = mapping(call.get("function"), f"{where}.tool_calls.function")
        name = string(function.get("name"), f"{where}.tool_calls.function.name")
        yield ToolCall(
            pairing.called(string(call.get("id"), f"{where}.tool_calls.id"), name),
            name,
            text_of(function.get("arguments"), f"{where}.tool_calls.function.arguments"),
        )
    for name, value in present(message, _READ_MESSAGE_FIELDS).items():
        yield Foreign(FORMAT, f"{where}.{name}", {name: value})


def _media_type(data: str) -> str:
    return next((kind for begin, kind in _MEDIA_TYPES.items() if data.startswith(begin)), "image/png")


def _stop(value: JSON) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, (list, tuple)):
        return tuple(string(entry, "stop") for entry in value)
    raise Malformed("stop is neither a string nor a list")


def _output(value: JSON, extra: dict[str, JSON]) -> OutputSchema | None:
    if isinstance(value, Mapping):
        return OutputSchema("answer", value) if value else None
    if value == "json":
        return OutputSchema("json", None, strict=False)
    if value:
        extra["format"] = value
    return None
