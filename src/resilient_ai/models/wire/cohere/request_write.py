"""A request as the body of Cohere's chat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import (
    JSON,
    Foreign,
    Image,
    Message,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from resilient_ai.models.wire import Encoded, Unportable
from resilient_ai.models.wire.cohere.names import FORMAT, THINKING, TOOL_PLAN
from resilient_ai.models.wire.cohere.reply import written_call
from resilient_ai.models.wire.hints import lost
from resilient_ai.models.wire.images import url_of_image
from resilient_ai.models.wire.jsonbody import JSONObject, encode_body

_HIGHEST_P: Final = 0.99
"""Source: https://docs.cohere.com/reference/chat, `p`."""


def encode_request(request: Request, *, model: str, stream: bool) -> Encoded:
    """See `Codec.encode_request`."""
    dropped: list[str] = []
    messages: list[JSON] = []
    for index, message in enumerate(request.messages):
        if message.name is not None:
            dropped.append("name")
        _write_message(message, f"messages[{index}]", messages)
    body: JSONObject = {"model": model, "messages": messages, "stream": stream}
    dropped += _write_tools(request, body)
    dropped += _write_output(request, body)
    dropped += _write_sampling(request, body)
    if request.extra_format not in (None, FORMAT):
        dropped += lost(request.extra)
    else:
        _add_extra(request.extra, body)
    return Encoded(encode_body(body), tuple(dict.fromkeys(dropped)))


def _add_extra(extra: Mapping[str, JSON], body: JSONObject) -> None:
    for name, value in extra.items():
        present = body.get(name)
        if isinstance(present, list) and isinstance(value, (list, tuple)):
            body[name] = [*present, *value]
        else:
            body[name] = value


def _write_tools(request: Request, body: JSONObject) -> list[str]:
    """Writes the tools. A choice of one tool by name is written as that tool alone, which must be called."""
    dropped = ["parallel_tool_calls"] if request.parallel_tool_calls is False else []
    choice = request.tool_choice
    tools = request.tools
    if choice is not None and choice.startswith("tool:"):
        tools = tuple(tool for tool in tools if tool.name == choice.removeprefix("tool:"))
    if not tools:
        return dropped
    body["tools"] = [_tool(tool) for tool in tools]
    if choice in ("required", "none"):
        body["tool_choice"] = choice.upper()
    elif choice not in (None, "auto"):
        body["tool_choice"] = "REQUIRED"
    if all(tool.strict for tool in tools):
        body["strict_tools"] = True
    elif any(tool.strict for tool in tools):
        dropped.append("strict")  # here all tools are strict or none
    return dropped


def _tool(tool: Tool) -> JSONObject:
    function: JSONObject = {
        "name": tool.name,
        "parameters": tool.parameters or {"type": "object", "properties": {}},
    }
    if tool.description is not None:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _write_output(request: Request, body: JSONObject) -> list[str]:
    """Writes the form of the answer, which Cohere refuses beside tools."""
    if request.output_schema is None:
        return []
    if "tools" in body:
        return ["output_schema"]
    form: JSONObject = {"type": "json_object"}
    if request.output_schema.schema is not None:
        form["json_schema"] = request.output_schema.schema
    body["response_format"] = form
    return []


def _write_sampling(request: Request, body: JSONObject) -> list[str]:
    told: tuple[tuple[str, JSON], ...] = (
        ("max_tokens", request.max_tokens),
        ("temperature", request.temperature),
        ("p", None if request.top_p is None else min(request.top_p, _HIGHEST_P)),
        ("seed", request.seed),
        ("stop_sequences", list(request.stop) or None),
    )
    body.update((name, value) for name, value in told if value is not None)
    return [] if request.reasoning_effort is None else ["reasoning_effort"]


def _write_message(message: Message, where: str, out: list[JSON]) -> None:
    """Appends `message`; results of tools become messages of their own, as this format wants them."""
    blocks: list[JSONObject] = []
    calls: list[JSON] = []
    plans: list[str] = []
    fields: JSONObject = {}
    others = False
    for part in message.parts:
        match part:
            case Text(text):
                blocks.append({"type": "text", "text": text})
            case Image():
                blocks.append(_image(part, message.role, where))
            case ToolCall():
                calls.append(written_call(part))
            case ToolResult():
                out.append({"role": "tool", "tool_call_id": part.call_id, "content": part.content})
                others = True
            case Reasoning():
                if TOOL_PLAN in part.opaque:
                    plans.append(part.text)
                elif THINKING in part.opaque:
                    blocks.append({"type": "thinking", "thinking": part.text})
                others = True
            case Foreign():
                _add_foreign(part, blocks, fields)
    if message.role == "tool" and blocks:
        raise Unportable(where, "a tool's turn holds more than results")
    if others and not (blocks or calls or plans or fields):
        return  # it held only what went elsewhere, or another provider's reasoning
    body: JSONObject = {"role": message.role}
    if blocks or not (calls or plans or fields):
        body["content"] = _plain(blocks)
    if plans:
        body["tool_plan"] = "".join(plans)
    if calls:
        body["tool_calls"] = calls
    body.update(fields)
    out.append(body)


def _add_foreign(part: Foreign, blocks: list[JSONObject], fields: JSONObject) -> None:
    if part.format != FORMAT or not isinstance(part.value, Mapping):
        raise Unportable(part.field, f"it exists only in the format {part.format}")
    if "type" in part.value:
        blocks.append(dict(part.value))
    else:
        fields.update(part.value)


def _plain(blocks: list[JSONObject]) -> JSON:
    """One text as a plain string; anything else as a list."""
    if not blocks:
        return ""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"]
    return list(blocks)


def _image(image: Image, role: str, where: str) -> JSONObject:
    if role != "user":
        raise Unportable(where, "a picture stands in a turn other than the user's")
    url = url_of_image(image)
    if url is None:
        raise Unportable(where, "a picture has neither an address nor data")
    address: JSONObject = {"url": url}
    if image.detail is not None:
        address["detail"] = image.detail
    return {"type": "image_url", "image_url": address}
