"""A request as the body of Gemini.

Instructions stand outside the conversation, wherever they were. The results of one turn's calls stand together, in the order of the calls,
because without identifiers the order tells which is which. A conversation of instructions alone is asked as the user's turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, final

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
from resilient_ai.models.wire.arguments import INVALID_JSON, object_of
from resilient_ai.models.wire.gemini.names import (
    CALL_ID,
    FORMAT,
    SIGNATURE,
    TEXT_SIGNATURE,
    TOOL_OPTIONS,
    needs_signatures,
    schema_beside_tools,
    thinking,
    validates_calls,
)
from resilient_ai.models.wire.gemini.parts import (
    Fields,
    call_parts,
    image_part,
    is_own_thought,
    thought_part,
)
from resilient_ai.models.wire.gemini.schema import known_schema
from resilient_ai.models.wire.gemini.spelling import camel
from resilient_ai.models.wire.hints import lost
from resilient_ai.models.wire.jsonbody import encode_body

_TOP_LEVEL: Final = frozenset(
    (
        "safetySettings",
        "cachedContent",
        "toolConfig",
        "tools",
        "labels",
        "store",
        "serviceTier",
        "modelArmorConfig",
        "generationConfig",
    )
)
"""Parameters that stand beside the conversation; every other one tunes the generation and stands with those that do."""


def encode_request(request: Request, *, model: str) -> Encoded:
    """See `Codec.encode_request`."""
    own = request.extra_format in (None, FORMAT)
    extra = dict(camel(request.extra)) if own else {}
    options = extra.pop(TOOL_OPTIONS, None)
    dropped: list[str] = [] if own else lost(request.extra)
    talk = _Conversation(signed=needs_signatures(model))
    for index, message in enumerate(request.messages):
        talk.add(message, f"messages[{index}]")
    dropped += talk.dropped
    body: Fields = {"contents": talk.contents()}
    if talk.system:
        body["systemInstruction"] = {"parts": list(talk.system)}
    dropped += _write_tools(request, body, options if isinstance(options, Mapping) else {}, model)
    config, missing = _config(request, model)
    dropped += missing
    for name, value in extra.items():
        target = body if name in _TOP_LEVEL else config
        present = target.get(name)
        if isinstance(present, list) and isinstance(value, (list, tuple)):
            target[name] = [*present, *value]
        elif isinstance(present, dict) and isinstance(value, Mapping):
            target[name] = {**value, **present}
        else:
            target[name] = value
    if config:
        told = body.get("generationConfig")
        body["generationConfig"] = {**(told if isinstance(told, Mapping) else {}), **config}
    return Encoded(encode_body(body), tuple(dict.fromkeys(dropped)))


def _write_tools(request: Request, body: Fields, options: Mapping[str, JSON], model: str) -> list[str]:
    """Writes the tools and the choice among them; names what has no form here."""
    dropped = ["parallel_tool_calls"] if request.parallel_tool_calls is False else []
    if not request.tools:
        return dropped
    declared: list[JSON] = [_declaration(tool, options.get(tool.name)) for tool in request.tools]
    body["tools"] = [{"functionDeclarations": declared}]
    choice = request.tool_choice
    mode = None if choice is None else _MODES.get(choice, "ANY")
    if any(tool.strict for tool in request.tools) and mode in (None, "AUTO"):
        if validates_calls(model):
            mode = "VALIDATED"
        else:
            dropped.append("strict")
    if mode is not None:
        calling: Fields = {"mode": mode}
        if choice is not None and choice not in _MODES:
            calling["allowedFunctionNames"] = [choice.removeprefix("tool:")]
        body["toolConfig"] = {"functionCallingConfig": calling}
    return dropped


_MODES: Final[Mapping[str, str]] = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def _declaration(tool: Tool, options: JSON) -> Fields:
    body: Fields = {"name": tool.name}
    if tool.description is not None:
        body["description"] = tool.description
    if tool.parameters:
        body["parametersJsonSchema"] = known_schema(tool.parameters)
    if isinstance(options, Mapping):
        body.update(options)
    return body


def _config(request: Request, model: str) -> tuple[Fields, list[str]]:
    """The part of the body that tunes the generation, and what has no form in it."""
    dropped: list[str] = []
    config: Fields = {
        name: value
        for name, value in (
            ("maxOutputTokens", request.max_tokens),
            ("temperature", request.temperature),
            ("topP", request.top_p),
            ("seed", request.seed),
        )
        if value is not None
    }
    if request.stop:
        config["stopSequences"] = list(request.stop)
    if request.output_schema is not None:
        if request.tools and not schema_beside_tools(model):
            dropped.append("output_schema")
        else:
            config.update(_output(request.output_schema))
    if request.reasoning_effort is not None:
        told = thinking(model, request.reasoning_effort)
        if told is None:
            dropped.append("reasoning_effort")
        else:
            config["thinkingConfig"] = told
    return config, dropped


def _output(output: OutputSchema) -> Fields:
    body: Fields = {"responseMimeType": "application/json"}
    if output.schema is not None:
        body["responseJsonSchema"] = known_schema(output.schema)
    return body


@final
@dataclass(slots=True)
class _Turn:
    """One turn: its parts, each beside the identifier of the call it makes or answers, if it does."""

    role: str
    parts: list[tuple[str | None, Fields]]


@final
class _Conversation:
    """Puts the turns together as this format wants them."""

    __slots__ = ("_calls", "_signed", "_turns", "dropped", "system")

    def __init__(self, *, signed: bool) -> None:
        self._signed = signed
        self._calls: dict[str, ToolCall] = {}  # the nearest call before, by its identifier
        self._turns: list[_Turn] = []
        self.system: list[Fields] = []
        self.dropped: list[str] = []

    def add(self, message: Message, where: str) -> None:
        """Takes the next turn."""
        if message.name is not None:
            self.dropped.append("name")
        parts = self._parts(message, where)
        if message.role == "system":
            self.system += [part for _, part in parts]
        elif message.role != "user" and self._turns and self._turns[-1].role == message.role:
            self._turns[-1].parts += parts
        elif parts:
            self._turns.append(_Turn(message.role, parts))

    def contents(self) -> list[JSON]:
        """All turns but the instructions."""
        if not self._turns and self.system:
            self._turns.append(_Turn("user", [(None, part) for part in self.system]))
            self.system = []
        for before, turn in pairwise(self._turns):
            if turn.role == "tool":
                order = {call: place for place, (call, _) in enumerate(before.parts) if call is not None}
                turn.parts.sort(key=lambda entry: order.get(entry[0] or "", len(order)))
        return [
            {
                "role": "model" if turn.role == "assistant" else "user",
                "parts": [part for _, part in turn.parts],
            }
            for turn in self._turns
        ]

    def _parts(self, message: Message, where: str) -> list[tuple[str | None, Fields]]:
        parts: list[tuple[str | None, Fields]] = []
        signature: JSON = None  # of the text that comes next
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        self._calls.update((call.id, call) for call in calls)
        written = iter(call_parts(calls, signed=self._signed, with_ids=False))
        for part in message.parts:
            match part:
                case Text(text):
                    parts.append((None, _text(text, signature)))
                    signature = None
                case Reasoning() if TEXT_SIGNATURE in part.opaque:
                    signature = part.opaque[TEXT_SIGNATURE]
                case Reasoning():
                    if is_own_thought(part):
                        parts.append((None, thought_part(part)))
                case Image():
                    if message.role == "system":
                        raise Unportable(where, "a picture stands in the instructions")
                    parts.append((None, image_part(part, where)))
                    if part.detail is not None:
                        self.dropped.append("detail")
                case ToolCall():
                    parts.append((part.id, next(written)))
                case ToolResult():
                    parts.append((part.call_id, self._result(part, where)))
                case Foreign():
                    if part.format != FORMAT or not isinstance(part.value, Mapping):
                        raise Unportable(part.field, f"it exists only in the format {part.format}")
                    parts.append((None, dict(part.value)))
        if signature is not None:
            parts.append((None, _text("", signature)))
        return parts

    def _result(self, result: ToolResult, where: str) -> Fields:
        call = self._calls.get(result.call_id)
        name = result.name or (call.name if call is not None else None)
        if name is None:
            raise Unportable(where, "a result names no tool, and its call is not in the conversation")
        body: Fields = {"name": name, "response": _response(result)}
        if call is not None and CALL_ID in call.opaque:
            body["id"] = call.id
        return {"functionResponse": body}


def _text(text: str, signature: JSON) -> Fields:
    return {"text": text} if signature is None else {"text": text, SIGNATURE: signature}


def _response(result: ToolResult) -> Mapping[str, JSON]:
    """The result as an object: itself if it is one, else under the name Gemini expects text or an error in.

    Source: https://ai.google.dev/api/caching, `FunctionResponse.response`
    """
    if result.is_error:
        return {"error": result.content}
    told = object_of(result.content)
    one = len(told) == 1 and not told.keys().isdisjoint(("output", "error", INVALID_JSON))
    return {"output": result.content} if one or not result.content else told
