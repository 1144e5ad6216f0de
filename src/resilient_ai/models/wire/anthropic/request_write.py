"""A request as the body of Anthropic's messages.

Turns of one role that follow each other are one turn here, results of tools stand first in it, and instructions stand outside
the conversation, wherever they were. A conversation of instructions alone is asked as the user's turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from resilient_ai.messages import (
    JSON,
    Foreign,
    Image,
    Message,
    OutputSchema,
    Part,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from resilient_ai.models.wire import Encoded, Unportable
from resilient_ai.models.wire.anthropic.names import (
    CALL_STATE_FIELDS,
    FORMAT,
    REDACTED,
    SIGNATURE,
    TOOL_OPTIONS,
    takes_effort,
    takes_sampling,
)
from resilient_ai.models.wire.anthropic.schema import closed_schema
from resilient_ai.models.wire.arguments import object_of
from resilient_ai.models.wire.call_ids import CallIds
from resilient_ai.models.wire.hints import CACHE_CONTROL, CACHE_HINTS, lost
from resilient_ai.models.wire.jsonbody import encode_body

_Fields = dict[str, JSON]
_Hints = Mapping[str, JSON]

_HIGHEST_TEMPERATURE = 1.0


def encode_request(request: Request, *, model: str, stream: bool, default_max_tokens: int) -> Encoded:
    """See `Codec.encode_request`."""
    own = request.extra_format in (None, FORMAT)
    extra = dict(request.extra) if own else {}
    hints = _object(extra.pop(CACHE_HINTS, None))
    options = _object(extra.pop(TOOL_OPTIONS, None))
    dropped: list[str] = [] if own else lost(request.extra)

    talk = _Conversation(hints)
    for index, message in enumerate(request.messages):
        talk.add(message, index)
        if message.name is not None:
            dropped.append("name")
    body: _Fields = {
        "model": model,
        "max_tokens": default_max_tokens if request.max_tokens is None else request.max_tokens,
    }
    body["messages"] = talk.messages()
    if talk.system:
        body["system"] = _plain(talk.system)
    _write_tools(request, body, extra, hints, options)
    dropped += _write_output(request, body, model)
    dropped += _write_sampling(request, body, model)
    for name, value in extra.items():
        present = body.get(name)
        if isinstance(present, dict) and isinstance(value, Mapping):
            body[name] = {**value, **present}  # `output_config` holds fields of both kinds
        else:
            body[name] = value
    if stream:
        body["stream"] = True
    return Encoded(encode_body(body), tuple(dict.fromkeys(dropped)))


def _write_tools(
    request: Request, body: _Fields, extra: _Fields, hints: _Hints, options: Mapping[str, JSON]
) -> None:
    tools: list[JSON] = [_tool(tool, hints, options) for tool in request.tools]
    others = extra.pop("tools", None)
    if isinstance(others, (list, tuple)):
        tools += others
    if not tools:
        return  # a choice among no tools is refused
    body["tools"] = tools
    choice = _tool_choice(request.tool_choice, parallel=request.parallel_tool_calls)
    if choice is not None:
        body["tool_choice"] = choice


def _tool(tool: Tool, hints: _Hints, options: Mapping[str, JSON]) -> _Fields:
    """A function. Strictness is asked for only where Anthropic can keep it, because it refuses the rest."""
    body: _Fields = {"name": tool.name, "input_schema": {"type": "object", **tool.parameters}}
    if tool.description is not None:
        body["description"] = tool.description
    if tool.strict is False or (tool.strict and closed_schema(tool.parameters) == body["input_schema"]):
        body["strict"] = tool.strict
    body.update(_object(options.get(tool.name)))
    hint = hints.get(f"tools.{tool.name}")
    if hint is not None:
        body[CACHE_CONTROL] = hint
    return body


def _tool_choice(choice: str | None, *, parallel: bool | None) -> _Fields | None:
    if choice is None and parallel is None:
        return None
    if choice == "required":
        body: _Fields = {"type": "any"}
    elif choice in (None, "auto", "none"):
        body = {"type": choice or "auto"}
    else:
        body = {"type": "tool", "name": choice.removeprefix("tool:")}
    if parallel is not None and choice != "none":
        body["disable_parallel_tool_use"] = not parallel
    return body


def _write_output(request: Request, body: _Fields, model: str) -> list[str]:
    """Writes the form of the answer and how hard to think about it; names what has no form here."""
    dropped: list[str] = []
    config: _Fields = {}
    if request.output_schema is not None:
        schema = _closed(request.output_schema)
        if schema is None:
            dropped.append("output_schema")
        else:
            config["format"] = {"type": "json_schema", "schema": schema}
    if request.reasoning_effort is not None:
        if takes_effort(model) and request.reasoning_effort != "none":
            config["effort"] = "low" if request.reasoning_effort == "minimal" else request.reasoning_effort
        else:
            dropped.append("reasoning_effort")
    if config:
        body["output_config"] = config
    return dropped


def _closed(output: OutputSchema) -> _Fields | None:
    return None if output.schema is None else closed_schema(output.schema)


def _write_sampling(request: Request, body: _Fields, model: str) -> list[str]:
    """Writes what tunes the sampling; names what this model would refuse."""
    dropped: list[str] = []
    heat = request.temperature
    if not takes_sampling(model):
        if heat not in (None, _HIGHEST_TEMPERATURE):
            dropped.append("temperature")
        if request.top_p is not None:
            dropped.append("top_p")
    elif heat is not None:
        body["temperature"] = min(heat, _HIGHEST_TEMPERATURE)  # other formats go to 2
        if heat > _HIGHEST_TEMPERATURE:
            dropped.append("temperature")
        if request.top_p is not None:
            dropped.append("top_p")  # models since 4.5 take only one of the two
    elif request.top_p is not None:
        body["top_p"] = request.top_p
    stop: list[JSON] = [text for text in request.stop if not text.isspace()]
    if stop:
        body["stop_sequences"] = stop
    if len(stop) < len(request.stop):
        dropped.append("stop")  # Anthropic refuses blank ones
    if request.seed is not None:
        dropped.append("seed")
    return dropped


@final
@dataclass(slots=True)
class _Turn:
    role: str
    blocks: list[_Fields] = field(default_factory=list[_Fields])


@final
class _Conversation:
    """Puts the turns together as this format wants them."""

    __slots__ = ("_hints", "_ids", "_turns", "system")

    def __init__(self, hints: _Hints) -> None:
        self._hints = hints
        self._ids = CallIds()
        self._turns: list[_Turn] = []
        self.system: list[_Fields] = []

    def add(self, message: Message, index: int) -> None:
        """Takes the next turn."""
        where = f"messages[{index}]"
        if message.role == "system":
            blocks = self.system
        else:
            role = "assistant" if message.role == "assistant" else "user"
            if not self._turns or self._turns[-1].role != role:
                self._turns.append(_Turn(role))
            blocks = self._turns[-1].blocks
        for place, part in enumerate(message.parts):
            block = self._block(part, message.role, where)
            if block is None:
                continue
            hint = self._hints.get(f"{index}.{place}")
            if hint is not None:
                block[CACHE_CONTROL] = hint
            blocks.append(block)

    def messages(self) -> list[JSON]:
        """All turns but the instructions; a turn left with nothing is left out."""
        turns: list[_Turn] = []
        for turn in self._turns:
            if turns and turn.blocks and turns[-1].role == turn.role:
                turns[-1].blocks += turn.blocks
            elif turn.blocks:
                turns.append(turn)
        if not turns and self.system:
            turns.append(_Turn("user", self.system))
            self.system = []
        return [{"role": turn.role, "content": _plain(_results_first(turn.blocks))} for turn in turns]

    def _block(self, part: Part, role: str, where: str) -> _Fields | None:
        match part:
            case Text(text):
                return {"type": "text", "text": text} if text.strip() else None  # refused if blank
            case Image():
                if role not in ("user", "tool"):
                    raise Unportable(where, "a picture stands in a turn other than the user's")
                return _image(part, where)
            case ToolCall():
                return self._call(part)
            case ToolResult():
                return self._result(part)
            case Reasoning():
                return _thought(part)
            case Foreign():
                if part.format != FORMAT or not isinstance(part.value, Mapping):
                    raise Unportable(part.field, f"it exists only in the format {part.format}")
                return dict(part.value)

    def _call(self, call: ToolCall) -> _Fields:
        body: _Fields = {
            "type": "tool_use",
            "id": self._ids.called(call.id),
            "name": call.name,
            "input": object_of(call.arguments),
        }
        for name in CALL_STATE_FIELDS:
            if name in call.opaque:
                body[name] = call.opaque[name]
        return body

    def _result(self, result: ToolResult) -> _Fields:
        body: _Fields = {
            "type": "tool_result",
            "tool_use_id": self._ids.answered(result.call_id),
            "content": result.content,
        }
        if result.is_error:
            body["is_error"] = True
        return body


def _results_first(blocks: list[_Fields]) -> list[_Fields]:
    return sorted(blocks, key=lambda block: block.get("type") != "tool_result")


def _plain(blocks: list[_Fields]) -> JSON:
    """One text as a plain string, which every compatible server takes; anything else as a list."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"]
    return list(blocks)


def _image(image: Image, where: str) -> _Fields:
    if image.data is not None:
        source: _Fields = {
            "type": "base64",
            "media_type": image.media_type or "image/png",
            "data": image.data,
        }
    elif image.url is not None:
        source = {"type": "url", "url": image.url}
    else:
        raise Unportable(where, "a picture has neither an address nor data")
    return {"type": "image", "source": source}


def _thought(part: Reasoning) -> _Fields | None:
    """Gives a thought back to the provider that signed it; another's is left out."""
    if REDACTED in part.opaque:
        return {"type": "redacted_thinking", "data": part.opaque[REDACTED]}
    if SIGNATURE in part.opaque:
        return {"type": "thinking", "thinking": part.text, "signature": part.opaque[SIGNATURE]}
    return None


def _object(value: JSON) -> Mapping[str, JSON]:
    return value if isinstance(value, Mapping) else {}
