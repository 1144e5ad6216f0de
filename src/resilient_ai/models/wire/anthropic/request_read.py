"""The body of Anthropic's messages as a request, without loss.

A user's turn that begins with results of tools becomes a turn of the tool and one of the user.
"""

from __future__ import annotations

import re
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
    Tool,
    ToolCall,
    ToolResult,
)
from resilient_ai.models.wire import Malformed
from resilient_ai.models.wire.anthropic.names import (
    CALL_STATE_FIELDS,
    FORMAT,
    REDACTED,
    SIGNATURE,
    TOOL_OPTIONS,
)
from resilient_ai.models.wire.arguments import text_of
from resilient_ai.models.wire.hints import CACHE_CONTROL, CACHE_HINTS
from resilient_ai.models.wire.shape import (
    boolean,
    integer,
    items,
    mapping,
    number,
    optional_string,
    present,
    string,
)

_ROLES: Final[Mapping[str, Role]] = {"user": "user", "assistant": "assistant", "system": "system"}
_TEXT_FIELDS: Final = frozenset(("type", "text", CACHE_CONTROL))
_IMAGE_FIELDS: Final = frozenset(("type", "source", CACHE_CONTROL))
_TOOL_FIELDS: Final = frozenset(("type", "name", "description", "input_schema", "strict", CACHE_CONTROL))
_SCHEMA_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")

_TRANSPORT: Final = frozenset(("model", "stream"))
"""Decided anew for every model a request goes to."""

_READ_FIELDS: Final = frozenset(
    (
        "messages",
        "system",
        "max_tokens",
        "tools",
        "tool_choice",
        "temperature",
        "top_p",
        "stop_sequences",
        "output_config",
        "output_format",
    )
)


def decode_request(body: Mapping[str, JSON]) -> Request:
    """See `Codec.decode_request`."""
    messages = items(body.get("messages"), "messages")
    if not messages:
        raise Malformed("the request has no messages")
    extra = present(body, _READ_FIELDS | _TRANSPORT)
    hints: dict[str, JSON] = {}
    tools = _tools(body.get("tools"), extra, hints)
    choice, parallel = _tool_choice(body.get("tool_choice"), extra)
    schema, effort = _output(body, extra)
    turns = _conversation(body.get("system"), messages, hints)
    if hints:
        extra[CACHE_HINTS] = hints
    return Request(
        messages=turns,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parallel,
        max_tokens=integer(body.get("max_tokens"), "max_tokens"),
        temperature=number(body.get("temperature"), "temperature"),
        top_p=number(body.get("top_p"), "top_p"),
        stop=_stop(body.get("stop_sequences")),
        output_schema=schema,
        reasoning_effort=effort,
        extra=extra,
        extra_format=FORMAT if extra else None,
    )


def _conversation(
    system: JSON, messages: list[Mapping[str, JSON]], hints: dict[str, JSON]
) -> tuple[Message, ...]:
    turns: list[Message] = []
    names: dict[str, str] = {}
    if system is not None:
        _add_turn("system", system, "system", turns, names, hints)
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = _ROLES.get(string(message.get("role"), f"{where}.role"))
        if role is None:
            raise Malformed(f"{where} has no role of this format")
        _add_turn(role, message.get("content"), f"{where}.content", turns, names, hints)
    return tuple(turns)


def _add_turn(
    role: Role,
    content: JSON,
    where: str,
    turns: list[Message],
    names: dict[str, str],
    hints: dict[str, JSON],
) -> None:
    """Appends one turn of the wire, which is two or more where it holds results of tools and other things."""
    if isinstance(content, str):
        turns.append(Message(role, (Text(content),)))
        return
    speaker = role
    parts: list[Part] = []
    for place, block in enumerate(items(content, where)):
        part = _part(block, f"{where}[{place}]", names)
        result = block.get("type") == "tool_result"
        due: Role = "tool" if result else role
        if due != speaker and parts:
            turns.append(Message(speaker, tuple(parts)))
            parts = []
        speaker = due
        hint = block.get(CACHE_CONTROL)
        if hint is not None and not isinstance(part, Foreign):
            hints[f"{len(turns)}.{len(parts)}"] = hint
        parts.append(part)
    turns.append(Message(speaker, tuple(parts)))


def _part(block: Mapping[str, JSON], where: str, names: dict[str, str]) -> Part:
    kind = string(block.get("type"), f"{where}.type")
    part: Part | None = None
    if kind == "text":
        rest = present(block, _TEXT_FIELDS)
        if not any(rest.values()):  # an empty list of citations is none
            part = Text(string(block.get("text"), f"{where}.text"))
    elif kind == "image":
        part = _image(block, where)
    elif kind == "thinking":
        state: dict[str, JSON] = {}
        if block.get(SIGNATURE) is not None:
            state[SIGNATURE] = block[SIGNATURE]
        part = Reasoning(string(block.get("thinking"), f"{where}.thinking"), state)
    elif kind == "redacted_thinking":
        part = Reasoning("", {REDACTED: block.get("data")})
    elif kind == "tool_use":
        part = read_call(block, where)
        names[part.id] = part.name
    elif kind == "tool_result":
        part = _result(block, where, names)
    return part or Foreign(FORMAT, f"{where}.{kind}" if kind else where, block)


def read_call(block: Mapping[str, JSON], where: str) -> ToolCall:
    """The call in a block."""
    return ToolCall(
        id=string(block.get("id"), f"{where}.id"),
        name=string(block.get("name"), f"{where}.name"),
        arguments=text_of(block.get("input"), f"{where}.input"),
        opaque={name: block[name] for name in CALL_STATE_FIELDS if block.get(name) is not None},
    )


def _image(block: Mapping[str, JSON], where: str) -> Image | None:
    """The picture, or None for one that only this provider can find (an uploaded file)."""
    source = mapping(block.get("source"), f"{where}.source")
    if present(block, _IMAGE_FIELDS):
        return None
    if source.get("type") == "base64" and source.get("data"):
        return Image(
            data=string(source["data"], f"{where}.source.data"),
            media_type=optional_string(source.get("media_type"), f"{where}.source.media_type"),
        )
    if source.get("type") == "url" and source.get("url"):
        return Image(url=string(source["url"], f"{where}.source.url"))
    return None


def _result(block: Mapping[str, JSON], where: str, names: Mapping[str, str]) -> ToolResult | None:
    """The result, or None for one that holds more than text."""
    texts = list(_texts(block.get("content"), where))
    if None in texts:
        return None
    call_id = string(block.get("tool_use_id"), f"{where}.tool_use_id")
    return ToolResult(
        call_id,
        "".join(text or "" for text in texts),
        names.get(call_id),
        is_error=boolean(block.get("is_error"), f"{where}.is_error") or False,
    )


def _texts(content: JSON, where: str) -> Iterator[str | None]:
    if content is None or isinstance(content, str):
        yield content or ""
        return
    for block in items(content, f"{where}.content"):
        plain = block.get("type") == "text" and not any(present(block, _TEXT_FIELDS).values())
        yield string(block.get("text"), f"{where}.content.text") if plain else None


def _tools(value: JSON, extra: dict[str, JSON], hints: dict[str, JSON]) -> tuple[Tool, ...]:
    """The functions; tools that run at the provider stay in `extra`, as they are."""
    functions: list[Tool] = []
    foreign: list[JSON] = []
    options: dict[str, JSON] = {}
    for tool in items(value, "tools"):
        if tool.get("type") not in (None, "custom"):
            foreign.append(tool)
            continue
        name = string(tool.get("name"), "tools.name")
        rest = present(tool, _TOOL_FIELDS)
        if rest:
            options[name] = rest
        if tool.get(CACHE_CONTROL) is not None:
            hints[f"tools.{name}"] = tool[CACHE_CONTROL]
        functions.append(
            Tool(
                name=name,
                description=optional_string(tool.get("description"), "tools.description"),
                parameters=mapping(tool.get("input_schema"), "tools.input_schema"),
                strict=boolean(tool.get("strict"), "tools.strict"),
            )
        )
    if foreign:
        extra["tools"] = foreign
    if options:
        extra[TOOL_OPTIONS] = options
    return tuple(functions)


def _tool_choice(value: JSON, extra: dict[str, JSON]) -> tuple[str | None, bool | None]:
    told = mapping(value, "tool_choice")
    disabled = boolean(told.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use")
    parallel = None if disabled is None else not disabled
    match told.get("type"):
        case "any":
            return "required", parallel
        case "auto":
            return "auto", parallel
        case "none":
            return "none", parallel
        case "tool":
            return f"tool:{string(told.get('name'), 'tool_choice.name')}", parallel
        case _:
            if told:
                extra["tool_choice"] = told
            return None, None


def _stop(value: JSON) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise Malformed("stop_sequences is not a list")
    return tuple(string(entry, "stop_sequences") for entry in value)


def _output(body: Mapping[str, JSON], extra: dict[str, JSON]) -> tuple[OutputSchema | None, str | None]:
    """The schema and the effort asked for. What else `output_config` says stays in `extra`."""
    config = mapping(body.get("output_config"), "output_config")
    rest = present(config, frozenset(("format", "effort")))
    form = mapping(config.get("format") or body.get("output_format"), "output_config.format")
    schema: OutputSchema | None = None
    if form.get("type") == "json_schema":
        fields = mapping(form.get("schema"), "output_config.format.schema")
        title = fields.get("title")
        named = isinstance(title, str) and _SCHEMA_NAME.fullmatch(title) is not None
        schema = OutputSchema(title if named and isinstance(title, str) else "answer", fields)
    elif form:
        rest["format"] = form
    if rest:
        extra["output_config"] = rest
    return schema, optional_string(config.get("effort"), "output_config.effort")
