"""A request as the body of a chat completion."""

from __future__ import annotations

from collections.abc import Mapping

from resilient_ai.messages import (
    JSON,
    Foreign,
    Image,
    Message,
    OutputSchema,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from resilient_ai.models.wire import Encoded, Unportable
from resilient_ai.models.wire.hints import lost
from resilient_ai.models.wire.images import url_of_image
from resilient_ai.models.wire.jsonbody import encode_body
from resilient_ai.models.wire.openai_chat.names import (
    CALL_STATE_FIELDS,
    FORMAT,
    REASONING_DETAILS,
    REASONING_FIELD,
    REASONING_FIELDS,
)
from resilient_ai.models.wire.shape import items
from resilient_ai.models.wire.strict_schema import strictly

_Fields = dict[str, JSON]


def encode_request(
    request: Request, *, model: str, stream: bool, max_tokens_field: str, stream_usage: bool
) -> Encoded:
    """See `Codec.encode_request`."""
    messages: list[JSON] = []
    for index, message in enumerate(request.messages):
        _write_message(message, f"messages[{index}]", messages)
    body: _Fields = {"model": model, "messages": messages}
    _write_parameters(request, body, max_tokens_field)
    dropped = _add_extra(request, body)
    options = body.pop("stream_options", None)
    if stream:
        body["stream"] = True
        own: _Fields = {"include_usage": True} if stream_usage else {}
        merged = {**(options if isinstance(options, Mapping) else {}), **own}
        if merged:
            body["stream_options"] = merged
    return Encoded(encode_body(body), dropped)


def _write_parameters(request: Request, body: _Fields, max_tokens_field: str) -> None:
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.stop:
        body["stop"] = list(request.stop)
    if request.output_schema is not None:
        body["response_format"] = _response_format(request.output_schema)
    for name, value in (
        ("parallel_tool_calls", request.parallel_tool_calls),
        (max_tokens_field, request.max_tokens),
        ("temperature", request.temperature),
        ("top_p", request.top_p),
        ("seed", request.seed),
        ("reasoning_effort", request.reasoning_effort),
    ):
        if value is not None:
            body[name] = value


def _add_extra(request: Request, body: _Fields) -> tuple[str, ...]:
    """Adds the request's own parameters, or names them as dropped where they belong to another format."""
    if request.extra_format not in (None, FORMAT):
        return tuple(lost(request.extra))
    for name, value in request.extra.items():
        tools = body.get("tools")
        if name == "tools" and isinstance(tools, list) and isinstance(value, (list, tuple)):
            body["tools"] = [*tools, *value]
        else:
            body[name] = value
    return ()


def _tool(tool: Tool) -> _Fields:
    function: _Fields = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: str) -> JSON:
    name = choice.removeprefix("tool:")
    return choice if name == choice else {"type": "function", "function": {"name": name}}


def _response_format(schema: OutputSchema) -> _Fields:
    if schema.schema is None:
        return {"type": "json_object"}
    written, strict = strictly(schema)
    return {
        "type": "json_schema",
        "json_schema": {"name": schema.name, "schema": written, "strict": strict},
    }


def _write_message(message: Message, where: str, out: list[JSON]) -> None:
    """Appends `message`; tool results become messages of their own, as this format wants them."""
    content: list[JSON] = []
    calls: list[JSON] = []
    fields: _Fields = {}
    for part in message.parts:
        match part:
            case Text(text):
                content.append({"type": "text", "text": text})
            case Image():
                if message.role != "user":
                    raise Unportable(where, "a picture stands in a turn other than the user's")
                content.append(_image(part, where))
            case ToolCall():
                calls.append(_call(part))
            case ToolResult():
                out.append({"role": "tool", "tool_call_id": part.call_id, "content": part.content})
            case Reasoning():
                _add_reasoning(part, fields)
            case Foreign():
                _add_foreign(part, content, calls, fields, out)
    if message.role == "tool":
        if content:
            raise Unportable(where, "a tool's turn holds more than results")
        return
    if not (content or calls or fields) and message.parts:
        return  # it held only what went elsewhere, or another provider's reasoning
    body: _Fields = {"role": message.role, "content": _content(content, calls)}
    if message.name is not None:
        body["name"] = message.name
    if calls:
        body["tool_calls"] = calls
    body.update(fields)
    out.append(body)


def _content(content: list[JSON], calls: list[JSON]) -> JSON:
    """One text as a plain string, which every compatible server takes; several parts as a list."""
    if not content:
        return None if calls else ""
    first = content[0]
    if len(content) == 1 and isinstance(first, Mapping) and first.get("type") == "text":
        return first["text"]
    return content


def _image(image: Image, where: str) -> _Fields:
    url = url_of_image(image)
    if url is None:
        raise Unportable(where, "a picture has neither an address nor data")
    inner: _Fields = {"url": url}
    if image.detail is not None:
        inner["detail"] = image.detail
    return {"type": "image_url", "image_url": inner}


def _call(call: ToolCall) -> _Fields:
    body: _Fields = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    for name in CALL_STATE_FIELDS:
        if name in call.opaque:
            body[name] = call.opaque[name]
    return body


def _add_reasoning(part: Reasoning, fields: _Fields) -> None:
    """Gives reasoning back to the server it came from, which its opaque state shows; another's is left out."""
    name = part.opaque.get(REASONING_FIELD)
    if isinstance(name, str) and name in REASONING_FIELDS:
        before = fields.get(name)
        fields[name] = before + part.text if isinstance(before, str) else part.text
    if REASONING_DETAILS in part.opaque:
        fields[REASONING_DETAILS] = part.opaque[REASONING_DETAILS]


def _add_foreign(
    part: Foreign, content: list[JSON], calls: list[JSON], fields: _Fields, out: list[JSON]
) -> None:
    """Puts back what only this format has: a whole message, a call, a field of the message, a part of the content."""
    if part.format != FORMAT:
        raise Unportable(part.field, f"it exists only in the format {part.format}")
    value = part.value
    if not isinstance(value, Mapping) or "type" in value:
        content.append(value)
    elif "role" in value:
        out.append(value)
    elif "tool_calls" in value:
        calls.extend(items(value["tool_calls"], part.field))
    else:
        fields.update(value)
