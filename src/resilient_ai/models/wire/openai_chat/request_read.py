"""The body of a chat completion as a request, without loss.

`developer` turns become `system` turns: OpenAI takes the two for the same, and no other format knows the first. Text that the
model once refused with is read as text.
"""

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
    Tool,
    ToolCall,
    ToolResult,
)
from resilient_ai.models.wire import Malformed
from resilient_ai.models.wire.images import image_of_url
from resilient_ai.models.wire.openai_chat.names import (
    CALL_STATE_FIELDS,
    FORMAT,
    REASONING_DETAILS,
    REASONING_FIELD,
    REASONING_FIELDS,
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
    "tool": "tool",
}

_READ_MESSAGE_FIELDS: Final = frozenset(
    ("role", "content", "name", "tool_calls", "tool_call_id", "refusal", REASONING_DETAILS, *REASONING_FIELDS)
)
_HINTS: Final = frozenset(("cache_control", "prompt_cache_breakpoint"))
"""Where to cut a prompt for a cache: it changes what an answer costs, not what it says."""

_RECORDS: Final = _HINTS | frozenset(
    ("annotations", "id", "index", "created", "created_at", "parsed", "provider_specific_fields")
)
"""What clients leave on a message when they send back an answer they stored. Servers ignore it."""

_DEFAULTS: Final = (("prefix", False),)
"""What a client writes on every message although it asks for nothing: Mistral's, that the answer need not begin with this text."""

_TRANSPORT: Final = frozenset(("model", "stream"))
"""Decided anew for every model a request goes to."""

_READ_FIELDS: Final = frozenset(
    (
        "messages",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_completion_tokens",
        "max_tokens",
        "temperature",
        "top_p",
        "stop",
        "seed",
        "response_format",
        "reasoning_effort",
        "stream_options",
    )
)


def decode_request(body: Mapping[str, JSON]) -> Request:
    """See `Codec.decode_request`."""
    messages = items(body.get("messages"), "messages")
    if not messages:
        raise Malformed("the request has no messages")
    extra = present(body, _READ_FIELDS | _TRANSPORT)
    if extra.get("n") == 1:
        del extra["n"]  # what everybody does without being told
    options = present(mapping(body.get("stream_options"), "stream_options"), frozenset(("include_usage",)))
    if options:
        extra["stream_options"] = options
    tools, foreign_tools = _tools(body.get("tools"))
    if foreign_tools:
        extra["tools"] = foreign_tools
    choice = _tool_choice(body.get("tool_choice"))
    if choice is None and body.get("tool_choice") is not None:
        extra["tool_choice"] = body["tool_choice"]
    schema = _output_schema(body.get("response_format"), extra)
    limit = integer(body.get("max_completion_tokens"), "max_completion_tokens")
    return Request(
        messages=_conversation(messages),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=boolean(body.get("parallel_tool_calls"), "parallel_tool_calls"),
        max_tokens=integer(body.get("max_tokens"), "max_tokens") if limit is None else limit,
        temperature=number(body.get("temperature"), "temperature"),
        top_p=number(body.get("top_p"), "top_p"),
        stop=_stop(body.get("stop")),
        seed=integer(body.get("seed"), "seed"),
        output_schema=schema,
        reasoning_effort=optional_string(body.get("reasoning_effort"), "reasoning_effort"),
        extra=extra,
        extra_format=FORMAT if extra else None,
    )


def _conversation(messages: list[Mapping[str, JSON]]) -> tuple[Message, ...]:
    """All turns. A result gets the name of its call, which two other formats want beside it.

    The nearest call before it counts: servers that number the calls of each answer give the same id again and again.
    """
    names: dict[str, str] = {}
    turns: list[Message] = []
    for index, message in enumerate(messages):
        turn = _message(message, f"messages[{index}]", names)
        names.update((part.id, part.name) for part in turn.parts if isinstance(part, ToolCall))
        turns.append(turn)
    return tuple(turns)


def _message(message: Mapping[str, JSON], where: str, names: Mapping[str, str]) -> Message:
    told = string(message.get("role"), f"{where}.role")
    role = _ROLES.get(told)
    if not told:
        raise Malformed(f"{where} has no role")
    if role is None:
        return Message("tool" if told == "function" else "user", (Foreign(FORMAT, where, dict(message)),))
    content = message.get("content")
    if role == "tool":
        return Message("tool", (_tool_result(message, content, where, names),))
    parts: list[Part] = [
        *_reasoning(message, where),
        *_content(content, where),
        *(_call(call, f"{where}.tool_calls") for call in items(message.get("tool_calls"), "tool_calls")),
    ]
    refusal = string(message.get("refusal"), f"{where}.refusal")
    if refusal:
        parts.append(Text(refusal))
    parts += [
        Foreign(FORMAT, f"{where}.{name}", {name: value})
        for name, value in present(message, _READ_MESSAGE_FIELDS | _RECORDS).items()
        if (name, value) not in _DEFAULTS
    ]
    return Message(role, tuple(parts), optional_string(message.get("name"), f"{where}.name"))


def _content(content: JSON, where: str) -> Iterator[Part]:
    if content is None or isinstance(content, str):
        if content is not None:
            yield Text(content)
        return
    if not isinstance(content, (list, tuple)):
        raise Malformed(f"{where}.content is neither text nor a list of parts")
    for index, part in enumerate(items(content, f"{where}.content")):
        yield _part(part, f"{where}.content[{index}]")


def _part(part: Mapping[str, JSON], where: str) -> Part:
    kind = string(part.get("type"), f"{where}.type")
    if kind == "text" and not present(part, _HINTS | {"type", "text"}):
        return Text(string(part.get("text"), f"{where}.text"))
    if kind == "refusal":
        return Text(string(part.get("refusal"), f"{where}.refusal"))
    if kind == "image_url" and not present(part, _HINTS | {"type", "image_url"}):
        told = part.get("image_url")
        fields: Mapping[str, JSON] = (
            {"url": told} if isinstance(told, str) else mapping(told, f"{where}.image_url")
        )
        image = image_of_url(
            string(fields.get("url"), f"{where}.image_url.url"),
            optional_string(fields.get("detail"), f"{where}.image_url.detail"),
        )
        if image is not None and not present(fields, frozenset(("url", "detail"))):
            return image
    return Foreign(FORMAT, f"{where}.{kind}" if kind else where, part)


def _tool_result(
    message: Mapping[str, JSON], content: JSON, where: str, names: Mapping[str, str]
) -> ToolResult | Foreign:
    parts = list(_content(content, where))
    texts = [part.text for part in parts if isinstance(part, Text)]
    if len(texts) < len(parts):
        return Foreign(FORMAT, f"{where}.content", dict(message))
    call_id = string(message.get("tool_call_id"), f"{where}.tool_call_id")
    name = optional_string(message.get("name"), f"{where}.name") or names.get(call_id) or None
    return ToolResult(call_id, "".join(texts), name)


def _reasoning(message: Mapping[str, JSON], where: str) -> Iterator[Reasoning]:
    opaque: dict[str, JSON] = {}
    text = ""
    for name in REASONING_FIELDS:
        if message.get(name) is not None:
            text = string(message[name], f"{where}.{name}")
            opaque[REASONING_FIELD] = name
            break
    if message.get(REASONING_DETAILS):
        opaque[REASONING_DETAILS] = message[REASONING_DETAILS]
    if opaque:
        yield Reasoning(text, opaque)


def _call(call: Mapping[str, JSON], where: str) -> ToolCall | Foreign:
    function = call.get("function")
    if not isinstance(function, Mapping):
        kind = string(call.get("type"), f"{where}.type")
        return Foreign(FORMAT, f"{where}.{kind}" if kind else where, {"tool_calls": [call]})
    return ToolCall(
        id=string(call.get("id"), f"{where}.id"),
        name=string(function.get("name"), f"{where}.name"),
        arguments=arguments_text(function.get("arguments"), f"{where}.arguments"),
        opaque={name: call[name] for name in CALL_STATE_FIELDS if call.get(name) is not None},
    )


def _tools(value: JSON) -> tuple[tuple[Tool, ...], list[JSON]]:
    """The functions, and the tools of other kinds as they are."""
    functions: list[Tool] = []
    foreign: list[JSON] = []
    for tool in items(value, "tools"):
        function = tool.get("function")
        if tool.get("type", "function") != "function" or not isinstance(function, Mapping):
            foreign.append(tool)
            continue
        functions.append(
            Tool(
                name=string(function.get("name"), "tools.function.name"),
                description=optional_string(function.get("description"), "tools.function.description"),
                parameters=mapping(function.get("parameters"), "tools.function.parameters"),
                strict=boolean(function.get("strict"), "tools.function.strict"),
            )
        )
    return tuple(functions), foreign


def _tool_choice(value: JSON) -> str | None:
    if isinstance(value, str):
        return "required" if value == "any" else value
    if isinstance(value, Mapping) and value.get("type") == "function":
        return f"tool:{string(mapping(value.get('function'), 'tool_choice.function').get('name'), 'tool_choice.name')}"
    return None


def _stop(value: JSON) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, (list, tuple)):
        return tuple(string(entry, "stop") for entry in value)
    raise Malformed("stop is neither a string nor a list")


def _output_schema(value: JSON, extra: dict[str, JSON]) -> OutputSchema | None:
    """The schema asked for. A form of answer unknown here stays in `extra`."""
    told = mapping(value, "response_format")
    kind = told.get("type")
    if kind == "json_object":
        return OutputSchema("json", None, strict=False)
    if kind != "json_schema":
        if told and kind != "text":
            extra["response_format"] = told
        return None
    inner = mapping(told.get("json_schema"), "response_format.json_schema")
    schema = dict(mapping(inner.get("schema"), "response_format.json_schema.schema"))
    if inner.get("description") is not None:
        schema.setdefault("description", inner["description"])
    return OutputSchema(
        name=string(inner.get("name"), "response_format.json_schema.name"),
        schema=schema,
        strict=boolean(inner.get("strict"), "response_format.json_schema.strict") or False,
    )
