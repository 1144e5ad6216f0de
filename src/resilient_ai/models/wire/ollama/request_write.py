"""A request as the body of Ollama's chat."""

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
from resilient_ai.models.wire.hints import lost
from resilient_ai.models.wire.jsonbody import JSONObject, encode_body
from resilient_ai.models.wire.ollama.names import FORMAT, THINKING
from resilient_ai.models.wire.ollama.reply import written_call

TOP_LEVEL: Final = frozenset(
    (
        "think",
        "keep_alive",
        "options",
        "tools",
        "format",
        "truncate",
        "shift",
        "logprobs",
        "top_logprobs",
    )
)
"""Parameters that stand beside the conversation; every other one is one of the model's `options`."""


def encode_request(
    request: Request, *, model: str, stream: bool, num_ctx: int | None, keep_alive: str | float | None
) -> Encoded:
    """See `Codec.encode_request`."""
    dropped: list[str] = []
    messages: list[JSON] = []
    names: dict[str, str] = {}
    for index, message in enumerate(request.messages):
        if message.name is not None:
            dropped.append("name")
        _write_message(message, f"messages[{index}]", messages, names, dropped)
    body: JSONObject = {"model": model, "messages": messages, "stream": stream}
    if keep_alive is not None:
        body["keep_alive"] = keep_alive
    dropped += _write_tools(request, body)
    if request.output_schema is not None:
        schema = request.output_schema.schema
        body["format"] = "json" if schema is None else schema
    if request.reasoning_effort is not None:
        dropped.append("reasoning_effort")  # a model that cannot think refuses to be told to
    options = _options(request, num_ctx)
    if request.extra_format not in (None, FORMAT):
        dropped += lost(request.extra)
    else:
        _add_extra(request.extra, body, options)
    if options:
        body["options"] = options
    return Encoded(encode_body(body), tuple(dict.fromkeys(dropped)))


def _options(request: Request, num_ctx: int | None) -> JSONObject:
    options: JSONObject = {
        name: value
        for name, value in (
            ("num_ctx", num_ctx),
            ("num_predict", request.max_tokens),
            ("temperature", request.temperature),
            ("top_p", request.top_p),
            ("seed", request.seed),
        )
        if value is not None
    }
    if request.stop:
        options["stop"] = list(request.stop)
    return options


def _add_extra(extra: Mapping[str, JSON], body: JSONObject, options: JSONObject) -> None:
    for name, value in extra.items():
        present = body.get(name)
        if name == "options" and isinstance(value, Mapping):
            options.update(value)
        elif name not in TOP_LEVEL:
            options[name] = value
        elif isinstance(present, list) and isinstance(value, (list, tuple)):
            body[name] = [*present, *value]
        else:
            body[name] = value


def _write_tools(request: Request, body: JSONObject) -> list[str]:
    """Writes the tools. Of a choice among them only `none` has a form: not to tell the model of any."""
    dropped: list[str] = []
    if request.tool_choice not in (None, "auto", "none"):
        dropped.append("tool_choice")
    if request.parallel_tool_calls is False:
        dropped.append("parallel_tool_calls")
    if any(tool.strict for tool in request.tools):
        dropped.append("strict")
    if request.tools and request.tool_choice != "none":
        body["tools"] = [_tool(tool) for tool in request.tools]
    return dropped


def _tool(tool: Tool) -> JSONObject:
    function: JSONObject = {
        "name": tool.name,
        "description": tool.description or "",
        "parameters": tool.parameters or {"type": "object", "properties": {}},
    }
    return {"type": "function", "function": function}


def _write_message(
    message: Message, where: str, out: list[JSON], names: dict[str, str], dropped: list[str]
) -> None:
    """Appends `message`; results of tools become messages of their own, as this format wants them."""
    texts: list[str] = []
    images: list[JSON] = []
    calls: list[JSON] = []
    thoughts: list[str] = []
    fields: JSONObject = {}
    others = False
    for part in message.parts:
        match part:
            case Text(text):
                texts.append(text)
            case Image():
                images.append(_image(part, where))
                if part.detail is not None:
                    dropped.append("detail")
            case ToolCall():
                names[part.id] = part.name
                calls.append(written_call(part))
            case ToolResult():
                out.append(_result(part, names))
                others = True
            case Reasoning():
                if THINKING in part.opaque:
                    thoughts.append(part.text)
                others = True
            case Foreign():
                if part.format != FORMAT or not isinstance(part.value, Mapping):
                    raise Unportable(part.field, f"it exists only in the format {part.format}")
                fields.update(part.value)
    if message.role == "tool" and (texts or images):
        raise Unportable(where, "a tool's turn holds more than results")
    if others and not (texts or images or calls or thoughts or fields):
        return  # it held only what went elsewhere, or another provider's reasoning
    body: JSONObject = {"role": message.role, "content": "".join(texts)}
    if thoughts:
        body["thinking"] = "".join(thoughts)
    if images:
        body["images"] = images
    if calls:
        body["tool_calls"] = calls
    body.update(fields)
    out.append(body)


def _image(image: Image, where: str) -> str:
    if image.data is None:
        raise Unportable(f"{where}.image.url", "this format takes a picture by value only")
    return image.data


def _result(result: ToolResult, names: Mapping[str, str]) -> JSONObject:
    body: JSONObject = {"role": "tool", "content": result.content, "tool_call_id": result.call_id}
    name = result.name or names.get(result.call_id)
    if name is not None:
        body["tool_name"] = name
    return body
