"""The body of Cohere's chat as a request, without loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from resilient_ai.messages import (
    JSON,
    Foreign,
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
from resilient_ai.models.wire.cohere.names import FORMAT, THINKING, TOOL_PLAN
from resilient_ai.models.wire.functions import functions_among
from resilient_ai.models.wire.images import image_of_url
from resilient_ai.models.wire.jsonbody import encode
from resilient_ai.models.wire.shape import (
    arguments_text,
    boolean,
    integer,
    items,
    mapping,
    number,
    optional_string,
    present,
    string,
)

_ROLES: Final[Mapping[str, Role]] = {
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_CHOICES: Final[Mapping[str, str]] = {"REQUIRED": "required", "NONE": "none"}

_READ_MESSAGE_FIELDS: Final = frozenset(("role", "content", "tool_calls", "tool_plan", "tool_call_id"))
_RECORDS: Final = frozenset(("citations",))
"""What stands on an answer that is sent back: where its text came from. No model reads it."""

_TRANSPORT: Final = frozenset(("model", "stream"))
"""Decided anew for every model a request goes to."""

_READ_FIELDS: Final = frozenset(
    (
        "messages",
        "tools",
        "tool_choice",
        "strict_tools",
        "max_tokens",
        "temperature",
        "p",
        "stop_sequences",
        "seed",
        "response_format",
    )
)


def decode_request(body: Mapping[str, JSON]) -> Request:
    """See `Codec.decode_request`."""
    messages = items(body.get("messages"), "messages")
    if not messages:
        raise Malformed("the request has no messages")
    extra = present(body, _READ_FIELDS | _TRANSPORT)
    for name in ("documents", "logprobs"):
        if name in extra and not extra[name]:
            del extra[name]  # an empty list and false ask for nothing
    strict = boolean(body.get("strict_tools"), "strict_tools") or None
    tools, foreign = functions_among(body.get("tools"), strict=strict)
    if foreign:
        extra["tools"] = foreign
    choice = body.get("tool_choice")
    chosen = _CHOICES.get(choice.upper()) if isinstance(choice, str) else None
    if chosen is None and choice is not None:
        extra["tool_choice"] = choice
    return Request(
        messages=_conversation(messages),
        tools=tools,
        tool_choice=chosen,
        max_tokens=integer(body.get("max_tokens"), "max_tokens"),
        temperature=number(body.get("temperature"), "temperature"),
        top_p=number(body.get("p"), "p"),
        stop=_stop(body.get("stop_sequences")),
        seed=integer(body.get("seed"), "seed"),
        output_schema=_output(body.get("response_format"), extra),
        extra=extra,
        extra_format=FORMAT if extra else None,
    )


def _conversation(messages: list[Mapping[str, JSON]]) -> tuple[Message, ...]:
    """All turns. A result gets the name of the nearest call before it, which other formats want beside it."""
    names: dict[str, str] = {}
    turns: list[Message] = []
    for index, message in enumerate(messages):
        turn = _message(message, f"messages[{index}]", names)
        names.update((part.id, part.name) for part in turn.parts if isinstance(part, ToolCall))
        turns.append(turn)
    return tuple(turns)


def _message(message: Mapping[str, JSON], where: str, names: Mapping[str, str]) -> Message:
    role = _ROLES.get(string(message.get("role"), f"{where}.role"))
    if role is None:
        raise Malformed(f"{where} has no role of this format")
    others = [
        Foreign(FORMAT, f"{where}.{name}", {name: value})
        for name, value in present(message, _READ_MESSAGE_FIELDS | _RECORDS).items()
    ]
    if role == "tool":
        return Message("tool", (_result(message, where, names), *others))
    return Message(role, (*_parts(message, where), *others))


def _parts(message: Mapping[str, JSON], where: str) -> Iterator[Part]:
    plan = string(message.get("tool_plan"), f"{where}.tool_plan")
    if plan:
        yield Reasoning(plan, {TOOL_PLAN: True})
    content = message.get("content")
    if isinstance(content, str):
        yield Text(content)
    else:
        for index, block in enumerate(items(content, f"{where}.content")):
            yield _block(block, f"{where}.content[{index}]")
    for call in items(message.get("tool_calls"), f"{where}.tool_calls"):
        function = mapping(call.get("function"), f"{where}.tool_calls.function")
        yield ToolCall(
            string(call.get("id"), f"{where}.tool_calls.id"),
            string(function.get("name"), f"{where}.tool_calls.function.name"),
            arguments_text(function.get("arguments"), f"{where}.tool_calls.function.arguments"),
        )


def _block(block: Mapping[str, JSON], where: str) -> Part:
    kind = string(block.get("type"), f"{where}.type")
    if kind == "text" and not present(block, frozenset(("type", "text"))):
        return Text(string(block.get("text"), f"{where}.text"))
    if kind == "thinking" and not present(block, frozenset(("type", "thinking"))):
        return Reasoning(string(block.get("thinking"), f"{where}.thinking"), {THINKING: True})
    if kind == "image_url":
        address = mapping(block.get("image_url"), f"{where}.image_url")
        image = image_of_url(
            string(address.get("url"), f"{where}.image_url.url"),
            optional_string(address.get("detail"), f"{where}.image_url.detail"),
        )
        if image is not None and not present(address, frozenset(("url", "detail"))):
            return image
    return Foreign(FORMAT, f"{where}.{kind}" if kind else where, block)


def _result(message: Mapping[str, JSON], where: str, names: Mapping[str, str]) -> ToolResult | Foreign:
    """The result. One in documents, as Cohere advises them, is their text: what the model reads is the same."""
    content = message.get("content")
    texts = (
        [content]
        if isinstance(content, str)
        else [_text_in(block, where) for block in items(content, f"{where}.content")]
    )
    if None in texts:
        return Foreign(FORMAT, f"{where}.content", dict(message))
    call_id = string(message.get("tool_call_id"), f"{where}.tool_call_id")
    return ToolResult(call_id, "\n".join(text or "" for text in texts), names.get(call_id))


def _text_in(block: Mapping[str, JSON], where: str) -> str | None:
    """The text of a block of a result, or None for a block of another kind."""
    if block.get("type") == "text":
        return string(block.get("text"), f"{where}.content.text")
    if block.get("type") == "document":
        data = mapping(block.get("document"), f"{where}.content.document").get("data")
        return data if isinstance(data, str) else encode(data).decode()
    return None


def _stop(value: JSON) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise Malformed("stop_sequences is not a list")
    return tuple(string(entry, "stop_sequences") for entry in value)


def _output(value: JSON, extra: dict[str, JSON]) -> OutputSchema | None:
    """The schema asked for. A form of answer unknown here stays in `extra`."""
    told = mapping(value, "response_format")
    kind = told.get("type")
    if kind == "json_object":
        schema = told.get("json_schema") or told.get("schema")
        if schema is None:
            return OutputSchema("json", None, strict=False)
        return OutputSchema("answer", mapping(schema, "response_format.json_schema"))
    if told and kind != "text":
        extra["response_format"] = told
    return None
