"""The body of a response as a request, without loss.

Items that one answer gave (reasoning, a message, function calls) become one turn of the assistant, because every other format wants
them so. `developer` turns become `system` turns, and text that the model once refused with is read as text.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    Tool,
    ToolCall,
    ToolResult,
)
from resilient_ai.models.wire import Malformed
from resilient_ai.models.wire.images import image_of_url
from resilient_ai.models.wire.openai_responses.names import (
    CALL_STATE_FIELDS,
    FORMAT,
    REASONING_ITEM,
    reasoning_text,
)
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
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_TEXTS: Final = frozenset(("input_text", "output_text", "text", "summary_text"))
_TEXT_FIELDS: Final = frozenset(("type", "text", "annotations", "logprobs", "prompt_cache_breakpoint"))
_IMAGE_FIELDS: Final = frozenset(("type", "image_url", "detail", "prompt_cache_breakpoint"))

_TRANSPORT: Final = frozenset(("model", "stream"))
"""Decided anew for every model a request goes to."""

_READ_FIELDS: Final = frozenset(
    (
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_output_tokens",
        "temperature",
        "top_p",
        "text",
        "reasoning",
    )
)


def decode_request(body: Mapping[str, JSON]) -> Request:
    """See `Codec.decode_request`."""
    extra = present(body, _READ_FIELDS | _TRANSPORT)
    tools, foreign_tools = _tools(body.get("tools"))
    if foreign_tools:
        extra["tools"] = foreign_tools
    choice = _tool_choice(body.get("tool_choice"))
    if choice is None and body.get("tool_choice") is not None:
        extra["tool_choice"] = body["tool_choice"]
    schema = _output_schema(body.get("text"), extra)
    reasoning = mapping(body.get("reasoning"), "reasoning")
    rest = present(reasoning, frozenset(("effort",)))
    if rest:
        extra["reasoning"] = rest
    messages = [*_instructions(body.get("instructions"), extra), *_conversation(body.get("input"))]
    if not messages and not extra.keys() & {"previous_response_id", "conversation", "prompt"}:
        raise Malformed("the request has no input")
    return Request(
        messages=tuple(messages),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=boolean(body.get("parallel_tool_calls"), "parallel_tool_calls"),
        max_tokens=integer(body.get("max_output_tokens"), "max_output_tokens"),
        temperature=number(body.get("temperature"), "temperature"),
        top_p=number(body.get("top_p"), "top_p"),
        output_schema=schema,
        reasoning_effort=optional_string(reasoning.get("effort"), "reasoning.effort"),
        extra=extra,
        extra_format=FORMAT if extra else None,
    )


def _instructions(value: JSON, extra: dict[str, JSON]) -> list[Message]:
    if isinstance(value, str):
        return [Message("system", (Text(value),))]
    if value is not None:
        extra["instructions"] = value
    return []


def _conversation(value: JSON) -> list[Message]:
    if isinstance(value, str):
        return [Message("user", (Text(value),))]
    conversation: list[Message] = []
    turn: list[Part] = []  # the assistant's turn that is being put together

    def close() -> None:
        if turn:
            conversation.append(Message("assistant", tuple(turn)))
            turn.clear()

    names: dict[str, str] = {}
    for index, item in enumerate(items(value, "input")):
        where = f"input[{index}]"
        kind = string(item.get("type"), f"{where}.type") or "message"
        if kind == "message" and "role" in item:
            message = _message(item, where)
            if message.role != "assistant":
                close()
                conversation.append(message)
                continue
            if any(isinstance(part, Text) for part in turn) and not isinstance(turn[-1], ToolCall):
                close()  # two messages in a row are two turns
            turn += message.parts
        elif kind == "function_call":
            call = _call(item, where)
            names[call.id] = call.name
            turn.append(call)
        elif kind == "reasoning":
            turn.append(Reasoning(reasoning_text(item), {REASONING_ITEM: item}))
        elif kind == "function_call_output":
            close()
            conversation.append(Message("tool", (_result(item, where, names),)))
        else:
            close()
            role: Role = "tool" if kind.endswith("_output") else "assistant"
            conversation.append(Message(role, (Foreign(FORMAT, f"{where}.{kind}", item),)))
    close()
    return conversation


def _message(item: Mapping[str, JSON], where: str) -> Message:
    role = _ROLES.get(string(item["role"], f"{where}.role"))
    if role is None:
        return Message("user", (Foreign(FORMAT, where, item),))
    content = item.get("content")
    if isinstance(content, str):
        return Message(role, (Text(content),))
    return Message(
        role,
        tuple(
            _part(part, f"{where}.content[{index}]")
            for index, part in enumerate(items(content, f"{where}.content"))
        ),
    )


def _part(part: Mapping[str, JSON], where: str) -> Part:
    kind = string(part.get("type"), f"{where}.type")
    if kind in _TEXTS and not present(part, _TEXT_FIELDS):
        return Text(string(part.get("text"), f"{where}.text"))
    if kind == "refusal":
        return Text(string(part.get("refusal"), f"{where}.refusal"))
    if kind == "input_image" and not present(part, _IMAGE_FIELDS):
        detail = optional_string(part.get("detail"), f"{where}.detail")
        url = string(part.get("image_url"), f"{where}.image_url")
        image = image_of_url(url, None if detail == "auto" else detail)
        if image is not None:
            return image
    return Foreign(FORMAT, f"{where}.{kind}", part)


def _call(item: Mapping[str, JSON], where: str) -> ToolCall:
    return ToolCall(
        id=string(item.get("call_id"), f"{where}.call_id"),
        name=string(item.get("name"), f"{where}.name"),
        arguments=arguments_text(item.get("arguments"), f"{where}.arguments"),
        opaque={name: item[name] for name in CALL_STATE_FIELDS if item.get(name) is not None},
    )


def _result(item: Mapping[str, JSON], where: str, names: Mapping[str, str]) -> ToolResult | Foreign:
    output = item.get("output")
    if not isinstance(output, str):
        parts = [
            _part(part, f"{where}.output[{index}]")
            for index, part in enumerate(items(output, f"{where}.output"))
        ]
        texts = [part.text for part in parts if isinstance(part, Text)]
        if len(texts) < len(parts):
            return Foreign(FORMAT, f"{where}.output", item)
        output = "".join(texts)
    call_id = string(item.get("call_id"), f"{where}.call_id")
    return ToolResult(call_id, output, names.get(call_id))


def _tools(value: JSON) -> tuple[tuple[Tool, ...], list[JSON]]:
    """The functions, and the tools of other kinds as they are."""
    functions: list[Tool] = []
    foreign: list[JSON] = []
    for tool in items(value, "tools"):
        if tool.get("type") != "function":
            foreign.append(tool)
            continue
        functions.append(
            Tool(
                name=string(tool.get("name"), "tools.name"),
                description=optional_string(tool.get("description"), "tools.description"),
                parameters=mapping(tool.get("parameters"), "tools.parameters"),
                strict=boolean(tool.get("strict"), "tools.strict"),
            )
        )
    return tuple(functions), foreign


def _tool_choice(value: JSON) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and value.get("type") == "function":
        return f"tool:{string(value.get('name'), 'tool_choice.name')}"
    return None


def _output_schema(value: JSON, extra: dict[str, JSON]) -> OutputSchema | None:
    """The schema asked for. What else `text` says (its verbosity) stays in `extra`."""
    text = mapping(value, "text")
    rest = present(text, frozenset(("format",)))
    told = mapping(text.get("format"), "text.format")
    kind = told.get("type")
    schema: OutputSchema | None = None
    if kind == "json_object":
        schema = OutputSchema("json", None, strict=False)
    elif kind == "json_schema":
        fields = dict(mapping(told.get("schema"), "text.format.schema"))
        if told.get("description") is not None:
            fields.setdefault("description", told["description"])
        schema = OutputSchema(
            name=string(told.get("name"), "text.format.name"),
            schema=fields,
            strict=boolean(told.get("strict"), "text.format.strict") or False,
        )
    elif told and kind != "text":
        rest["format"] = told
    if rest:
        extra["text"] = rest
    return schema
