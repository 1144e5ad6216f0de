"""A request as the body of Bedrock's Converse.

Turns of one role that follow each other are one turn here, results of tools stand first in it, and instructions stand outside the conversation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import (
    JSON,
    Foreign,
    Image,
    Message,
    Part,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from resilient_ai.models.wire import Encoded, Unportable
from resilient_ai.models.wire.arguments import object_of
from resilient_ai.models.wire.bedrock.names import FORMAT, READABLE, REDACTED, SIGNATURE
from resilient_ai.models.wire.call_ids import CallIds
from resilient_ai.models.wire.hints import lost
from resilient_ai.models.wire.jsonbody import JSONObject, encode, encode_body

_FORMATS: Final = frozenset(("png", "jpeg", "gif", "webp"))
_SCHEMA_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def encode_request(request: Request) -> Encoded:
    """See `Codec.encode_request`."""
    dropped: list[str] = []
    ids = CallIds()
    system: list[JSONObject] = []
    turns: list[tuple[str, list[JSONObject]]] = []
    for index, message in enumerate(request.messages):
        if message.name is not None:
            dropped.append("name")
        blocks = _blocks(message, f"messages[{index}]", ids)
        role = "assistant" if message.role == "assistant" else "user"
        if message.role == "system":
            system += blocks
        elif blocks and turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        elif blocks:
            turns.append((role, blocks))
    if not turns and system:
        turns.append(("user", system))  # instructions alone are asked as the user's turn
        system = []
    body: JSONObject = {
        "messages": [{"role": role, "content": _results_first(blocks)} for role, blocks in turns]
    }
    if system:
        body["system"] = list[JSON](system)
    _write_limits(request, body)
    dropped += _write_tools(request, body)
    dropped += _write_output(request, body)
    if request.extra_format not in (None, FORMAT):
        dropped += lost(request.extra)
    else:
        _add_extra(request.extra, body)
    return Encoded(encode_body(body), tuple(dict.fromkeys(dropped)))


def _add_extra(extra: Mapping[str, JSON], body: JSONObject) -> None:
    for name, value in extra.items():
        present = body.get(name)
        if not isinstance(present, dict) or not isinstance(value, Mapping):
            body[name] = value
            continue
        merged = {**value, **present}
        if isinstance(present.get("tools"), list) and isinstance(value.get("tools"), (list, tuple)):
            merged["tools"] = [*present["tools"], *value["tools"]]  # type: ignore[misc]
        body[name] = merged


def _write_limits(request: Request, body: JSONObject) -> None:
    told: tuple[tuple[str, JSON], ...] = (
        ("maxTokens", request.max_tokens),
        ("temperature", request.temperature),
        ("topP", request.top_p),
        ("stopSequences", list(request.stop) or None),
    )
    limits = {name: value for name, value in told if value is not None}
    if limits:
        body["inferenceConfig"] = limits


def _write_tools(request: Request, body: JSONObject) -> list[str]:
    """Writes the tools. Of a choice only `none` has no form: what the conversation has called already must be declared."""
    dropped = ["parallel_tool_calls"] if request.parallel_tool_calls is False else []
    if not request.tools:
        return dropped
    config: JSONObject = {"tools": [{"toolSpec": _tool(tool)} for tool in request.tools]}
    choice = request.tool_choice
    if choice == "none":
        dropped.append("tool_choice")
    elif choice == "required":
        config["toolChoice"] = {"any": {}}
    elif choice == "auto":
        config["toolChoice"] = {"auto": {}}
    elif choice is not None:
        config["toolChoice"] = {"tool": {"name": choice.removeprefix("tool:")}}
    body["toolConfig"] = config
    return dropped


def _tool(tool: Tool) -> JSONObject:
    fields: JSONObject = {
        "name": tool.name,
        "inputSchema": {"json": tool.parameters or {"type": "object", "properties": {}}},
    }
    if tool.description:
        fields["description"] = tool.description
    if tool.strict is not None:
        fields["strict"] = tool.strict
    return fields


def _write_output(request: Request, body: JSONObject) -> list[str]:
    dropped = [] if request.seed is None else ["seed"]
    config: JSONObject = {}
    output = request.output_schema
    if output is not None and output.schema is None:
        dropped.append("output_schema")  # any object at all cannot be asked for
    elif output is not None and output.schema is not None:
        definition: JSONObject = {"schema": encode(output.schema).decode()}
        if _SCHEMA_NAME.fullmatch(output.name):
            definition["name"] = output.name
        config["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": definition}}
    if request.reasoning_effort is not None:
        dropped.append("reasoning_effort")  # most models behind it refuse to be told
    if config:
        body["outputConfig"] = config
    return dropped


def _results_first(blocks: list[JSONObject]) -> list[JSON]:
    results = [block for block in blocks if "toolResult" in block]
    return [*results, *(block for block in blocks if "toolResult" not in block)]


def _blocks(message: Message, where: str, ids: CallIds) -> list[JSONObject]:
    found = (_block(part, message.role, where, ids) for part in message.parts)
    return [block for block in found if block is not None]


def _block(part: Part, role: str, where: str, ids: CallIds) -> JSONObject | None:
    match part:
        case Text(text):
            return {"text": text} if text.strip() else None  # refused if blank
        case Image():
            if role not in ("user", "tool"):
                raise Unportable(where, "a picture stands in a turn other than the user's")
            return {"image": _image(part, where)}
        case ToolCall():
            call: JSONObject = {
                "toolUseId": ids.called(part.id),
                "name": part.name,
                "input": object_of(part.arguments),
            }
            return {"toolUse": call}
        case ToolResult():
            result: JSONObject = {
                "toolUseId": ids.answered(part.call_id),
                "content": [{"text": part.content}],
            }
            if part.is_error:
                result["status"] = "error"
            return {"toolResult": result}
        case Reasoning():
            return write_thought(part)
        case Foreign():
            if part.format != FORMAT or not isinstance(part.value, Mapping):
                raise Unportable(part.field, f"it exists only in the format {part.format}")
            return dict(part.value)


def _image(image: Image, where: str) -> JSONObject:
    if image.data is None:
        raise Unportable(f"{where}.image.url", "this format takes a picture by value only")
    kind = (image.media_type or "image/png").removeprefix("image/")
    kind = "jpeg" if kind == "jpg" else kind
    if kind not in _FORMATS:
        raise Unportable(f"{where}.image", "this format does not take pictures of this kind")
    return {"format": kind, "source": {"bytes": image.data}}


def write_thought(part: Reasoning) -> JSONObject | None:
    """Gives a thought back to the provider it came from; another's is left out."""
    if REDACTED in part.opaque:
        return {"reasoningContent": {"redactedContent": part.opaque[REDACTED]}}
    if SIGNATURE in part.opaque:
        text: JSONObject = {"text": part.text, "signature": part.opaque[SIGNATURE]}
        return {"reasoningContent": {"reasoningText": text}}
    if READABLE in part.opaque:
        return {"reasoningContent": {"reasoningText": {"text": part.text}}}
    return None
