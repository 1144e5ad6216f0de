"""A request as the body of a response."""

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
from resilient_ai.models.wire.openai_responses.names import CALL_STATE_FIELDS, FORMAT, REASONING_ITEM
from resilient_ai.models.wire.strict_schema import strictly

_Fields = dict[str, JSON]


def encode_request(request: Request, *, model: str, stream: bool) -> Encoded:
    """See `Codec.encode_request`."""
    body: _Fields = {"model": model}
    messages = request.messages
    dropped: list[str] = []
    instructions = _instructions(messages[0]) if messages else None
    if instructions is not None:
        body["instructions"] = instructions
        messages = messages[1:]
    written: list[JSON] = []
    first = len(request.messages) - len(messages)
    for index, message in enumerate(messages, first):
        _write_message(message, f"messages[{index}]", written)
        if message.name is not None:
            dropped.append("name")
    body["input"] = written
    dropped += _write_parameters(request, body)
    dropped += _add_extra(request, body)
    if stream:
        body["stream"] = True
    else:
        body.pop("stream_options", None)
    return Encoded(encode_body(body), tuple(dict.fromkeys(dropped)))


def _instructions(message: Message) -> str | None:
    """The text of a leading system turn, which has a place of its own here."""
    if message.role == "system" and len(message.parts) == 1 and message.name is None:
        part = message.parts[0]
        return part.text if isinstance(part, Text) else None
    return None


def _write_parameters(request: Request, body: _Fields) -> list[str]:
    """Writes what this format has a place for and names what it has none for."""
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        name = request.tool_choice.removeprefix("tool:")
        named: JSON = {"type": "function", "name": name}
        body["tool_choice"] = name if name == request.tool_choice else named
    if request.output_schema is not None:
        body["text"] = {"format": _format(request.output_schema)}
    if request.reasoning_effort is not None:
        body["reasoning"] = {"effort": request.reasoning_effort}
    for name, value in (
        ("parallel_tool_calls", request.parallel_tool_calls),
        ("max_output_tokens", request.max_tokens),
        ("temperature", request.temperature),
        ("top_p", request.top_p),
    ):
        if value is not None:
            body[name] = value
    return [
        name for name, value in (("stop", request.stop), ("seed", request.seed)) if value not in ((), None)
    ]


def _add_extra(request: Request, body: _Fields) -> list[str]:
    """Adds the request's own parameters, or names them as dropped where they belong to another format."""
    if request.extra_format not in (None, FORMAT):
        return lost(request.extra)
    for name, value in request.extra.items():
        present = body.get(name)
        if isinstance(present, list) and isinstance(value, (list, tuple)):
            body[name] = [*present, *value]
        elif isinstance(present, dict) and isinstance(value, Mapping):
            body[name] = {**value, **present}  # `text` and `reasoning` hold fields of both kinds
        else:
            body[name] = value
    return []


def _tool(tool: Tool) -> _Fields:
    """A function. Strictness is said outright: here, and nowhere else, silence means strict."""
    body: _Fields = {
        "type": "function",
        "name": tool.name,
        "parameters": tool.parameters or {"type": "object", "properties": {}},
        "strict": tool.strict or False,
    }
    if tool.description is not None:
        body["description"] = tool.description
    return body


def _format(schema: OutputSchema) -> _Fields:
    if schema.schema is None:
        return {"type": "json_object"}
    written, strict = strictly(schema)
    return {"type": "json_schema", "name": schema.name, "schema": written, "strict": strict}


def _write_message(message: Message, where: str, out: list[JSON]) -> None:
    """Appends the items of one turn in their order; what stands together in one message stays together."""
    content: list[JSON] = []

    def close() -> None:
        if content:
            out.append({"type": "message", "role": message.role, "content": _content(content)})
            content.clear()

    for part in message.parts:
        match part:
            case Text(text):
                kind = "output_text" if message.role == "assistant" else "input_text"
                content.append({"type": kind, "text": text})
            case Image():
                if message.role != "user":
                    raise Unportable(where, "a picture stands in a turn other than the user's")
                content.append(_image(part, where))
            case Foreign() if part.format != FORMAT:
                raise Unportable(part.field, f"it exists only in the format {part.format}")
            case Foreign() if ".content[" in part.field:
                content.append(part.value)
            case Foreign():
                close()
                out.append(part.value)
            case Reasoning():
                if REASONING_ITEM in part.opaque:
                    close()
                    out.append(part.opaque[REASONING_ITEM])
            case ToolCall():
                close()
                out.append(_call(part))
            case ToolResult():
                close()
                out.append({"type": "function_call_output", "call_id": part.call_id, "output": part.content})
    if message.role == "tool" and content:
        raise Unportable(where, "a tool's turn holds more than results")
    close()


def _content(content: list[JSON]) -> JSON:
    """One text as a plain string; several parts, or a picture, as a list."""
    first = content[0]
    if (
        len(content) == 1
        and isinstance(first, Mapping)
        and first.get("type") in ("input_text", "output_text")
    ):
        return first["text"]
    return list(content)


def _image(image: Image, where: str) -> _Fields:
    url = url_of_image(image)
    if url is None:
        raise Unportable(where, "a picture has neither an address nor data")
    return {"type": "input_image", "image_url": url, "detail": image.detail or "auto"}


def _call(call: ToolCall) -> _Fields:
    body: _Fields = {
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
    }
    for name in CALL_STATE_FIELDS:
        if name in call.opaque:
            body[name] = call.opaque[name]
    return body
