"""The body of Bedrock's Converse as a request, without loss.

A user's turn that holds results of tools becomes turns of the tool and of the user, in the order they stood.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from resilient_ai.models.wire import Malformed, Truncated
from resilient_ai.models.wire.arguments import text_of
from resilient_ai.models.wire.bedrock.names import FORMAT, READABLE, REDACTED, SIGNATURE
from resilient_ai.models.wire.jsonbody import decode_object, encode
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
_READ_FIELDS: Final = frozenset(
    ("messages", "system", "inferenceConfig", "toolConfig", "outputConfig", "modelId")
)
_READ_LIMITS: Final = frozenset(("maxTokens", "temperature", "topP", "stopSequences"))


def decode_request(body: Mapping[str, JSON]) -> Request:
    """See `Codec.decode_request`."""
    messages = items(body.get("messages"), "messages")
    if not messages:
        raise Malformed("the request has no messages")
    extra = present(body, _READ_FIELDS)
    limits = mapping(body.get("inferenceConfig"), "inferenceConfig")
    others = present(limits, _READ_LIMITS)
    if others:
        extra["inferenceConfig"] = others
    config = mapping(body.get("toolConfig"), "toolConfig")
    tools, foreign = _tools(config.get("tools"))
    if foreign:
        extra["toolConfig"] = {"tools": foreign}
    schema, effort = _output(body, extra)
    return Request(
        messages=_conversation(body.get("system"), messages),
        tools=tools,
        tool_choice=_tool_choice(config.get("toolChoice"), extra),
        max_tokens=integer(limits.get("maxTokens"), "maxTokens"),
        temperature=number(limits.get("temperature"), "temperature"),
        top_p=number(limits.get("topP"), "topP"),
        stop=_stop(limits.get("stopSequences")),
        output_schema=schema,
        reasoning_effort=effort,
        extra=extra,
        extra_format=FORMAT if extra else None,
    )


def _conversation(system: JSON, messages: list[Mapping[str, JSON]]) -> tuple[Message, ...]:
    turns: list[Message] = []
    names: dict[str, str] = {}
    instructions = items(system, "system")
    if instructions:
        _add_turn("system", instructions, "system", turns, names)
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = _ROLES.get(string(message.get("role"), f"{where}.role"))
        if role is None:
            raise Malformed(f"{where} has no role of this format")
        _add_turn(role, items(message.get("content"), f"{where}.content"), f"{where}.content", turns, names)
    return tuple(turns)


def _add_turn(
    role: Role,
    content: list[Mapping[str, JSON]],
    where: str,
    turns: list[Message],
    names: dict[str, str],
) -> None:
    """Appends one turn of the wire, which is two or more where it holds results of tools and other things."""
    speaker = role
    parts: list[Part] = []
    for place, block in enumerate(content):
        if set(block) == {"cachePoint"}:
            continue  # it changes what the answer costs and not what it says
        part = _part(block, f"{where}[{place}]", names)
        due: Role = "tool" if "toolResult" in block else role
        if due != speaker and parts:
            turns.append(Message(speaker, tuple(parts)))
            parts = []
        speaker = due
        parts.append(part)
    turns.append(Message(speaker, tuple(parts)))


def _part(block: Mapping[str, JSON], where: str, names: dict[str, str]) -> Part:
    kind = next(iter(block), "")
    value = block.get(kind)
    part: Part | None = None
    if len(block) != 1:
        pass
    elif kind == "text":
        part = Text(string(value, f"{where}.text"))
    elif kind == "image":
        part = _image(mapping(value, f"{where}.image"))
    elif kind == "reasoningContent":
        part = _thought(mapping(value, f"{where}.reasoningContent"), where)
    elif kind == "toolUse":
        part = read_call(mapping(value, f"{where}.toolUse"), where)
        if part is not None:
            names[part.id] = part.name
    elif kind == "toolResult":
        part = _result(mapping(value, f"{where}.toolResult"), where, names)
    return part or Foreign(FORMAT, f"{where}.{kind}" if kind else where, block)


def read_call(fields: Mapping[str, JSON], where: str) -> ToolCall | None:
    """The call in a block, or None for one of a tool that runs at the provider."""
    if fields.get("type") is not None:
        return None
    return ToolCall(
        id=string(fields.get("toolUseId"), f"{where}.toolUse.toolUseId"),
        name=string(fields.get("name"), f"{where}.toolUse.name"),
        arguments=text_of(fields.get("input"), f"{where}.toolUse.input"),
    )


def _image(fields: Mapping[str, JSON]) -> Image | None:
    """The picture, or None for one that only this provider can find (in a bucket)."""
    source = fields.get("source")
    data = source.get("bytes") if isinstance(source, Mapping) else None
    kind = fields.get("format")
    if not isinstance(data, str) or not isinstance(kind, str):
        return None
    return Image(data=data, media_type=f"image/{kind}")


def _thought(fields: Mapping[str, JSON], where: str) -> Reasoning:
    if fields.get("redactedContent") is not None:
        return Reasoning("", {REDACTED: fields["redactedContent"]})
    text = mapping(fields.get("reasoningText"), f"{where}.reasoningContent.reasoningText")
    signature = text.get("signature")
    state: dict[str, JSON] = {READABLE: True} if signature is None else {SIGNATURE: signature}
    return Reasoning(string(text.get("text"), f"{where}.reasoningContent.reasoningText.text"), state)


def _result(fields: Mapping[str, JSON], where: str, names: Mapping[str, str]) -> ToolResult | None:
    """The result, or None for one that holds more than text and JSON."""
    texts: list[str] = []
    for block in items(fields.get("content"), f"{where}.toolResult.content"):
        if set(block) == {"text"}:
            texts.append(string(block["text"], f"{where}.toolResult.content.text"))
        elif set(block) == {"json"}:
            texts.append(encode(block["json"]).decode())
        else:
            return None
    call_id = string(fields.get("toolUseId"), f"{where}.toolResult.toolUseId")
    return ToolResult(call_id, "\n".join(texts), names.get(call_id), is_error=fields.get("status") == "error")


def _tools(value: JSON) -> tuple[tuple[Tool, ...], list[JSON]]:
    """The functions; tools that run at the provider stay as they are. Where the prompt is cut for the cache is not told on."""
    functions: list[Tool] = []
    foreign: list[JSON] = []
    for tool in items(value, "toolConfig.tools"):
        fields = tool.get("toolSpec")
        if not isinstance(fields, Mapping):
            if "cachePoint" not in tool:
                foreign.append(tool)
            continue
        schema = mapping(fields.get("inputSchema"), "toolSpec.inputSchema")
        functions.append(
            Tool(
                name=string(fields.get("name"), "toolSpec.name"),
                description=optional_string(fields.get("description"), "toolSpec.description"),
                parameters=mapping(schema.get("json"), "toolSpec.inputSchema.json"),
                strict=boolean(fields.get("strict"), "toolSpec.strict"),
            )
        )
    return tuple(functions), foreign


def _tool_choice(value: JSON, extra: dict[str, JSON]) -> str | None:
    told = mapping(value, "toolConfig.toolChoice")
    if "any" in told:
        return "required"
    if "auto" in told:
        return "auto"
    if "tool" in told:
        return f"tool:{string(mapping(told['tool'], 'toolChoice.tool').get('name'), 'toolChoice.tool.name')}"
    if told:
        extra["tool_choice"] = told
    return None


def _stop(value: JSON) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise Malformed("stopSequences is not a list")
    return tuple(string(entry, "stopSequences") for entry in value)


def _output(body: Mapping[str, JSON], extra: dict[str, JSON]) -> tuple[OutputSchema | None, str | None]:
    """The schema, which stands here as text, and the effort asked for. What else `outputConfig` says stays in `extra`."""
    config = mapping(body.get("outputConfig"), "outputConfig")
    rest = present(config, frozenset(("textFormat", "effort")))
    schema: OutputSchema | None = None
    form = mapping(config.get("textFormat"), "outputConfig.textFormat")
    fields = mapping(mapping(form.get("structure"), "textFormat.structure").get("jsonSchema"), "jsonSchema")
    if fields:
        text = string(fields.get("schema"), "jsonSchema.schema").encode("utf-8", "surrogatepass")
        try:
            schema = OutputSchema(
                optional_string(fields.get("name"), "jsonSchema.name") or "answer", decode_object(text)
            )
        except Truncated:
            raise Malformed("jsonSchema.schema ends in the middle") from None
    elif form:
        rest["textFormat"] = form
    if rest:
        extra["outputConfig"] = rest
    return schema, optional_string(config.get("effort"), "outputConfig.effort")
