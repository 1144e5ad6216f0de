"""The body of Gemini as a request, without loss.

Calls without identifiers are given one, and their results with them. A user's turn that holds results becomes a turn of the
tool and, if it holds more, one of the user.
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
from resilient_ai.models.wire.arguments import text_of
from resilient_ai.models.wire.gemini.names import (
    CALL_ID,
    FORMAT,
    SIGNATURE,
    TEXT_SIGNATURE,
    THOUGHT,
    TOOL_OPTIONS,
    UNSIGNED,
)
from resilient_ai.models.wire.gemini.parts import media_type_of
from resilient_ai.models.wire.gemini.schema import from_openapi
from resilient_ai.models.wire.gemini.spelling import camel, camel_items, camel_object
from resilient_ai.models.wire.jsonbody import encode
from resilient_ai.models.wire.pairing import CallPairing
from resilient_ai.models.wire.shape import integer, mapping, number, optional_string, present, string

_TEXT_FIELDS: Final = frozenset(("text", "thought", SIGNATURE))
_CALL_FIELDS: Final = frozenset(("functionCall", SIGNATURE))
_SCHEMA_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_OWN_FILES: Final = ("generativelanguage.googleapis.com", "youtube.com", "youtu.be")

_READ_FIELDS: Final = frozenset(
    ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model")
)
_READ_CONFIG: Final = frozenset(
    (
        "maxOutputTokens",
        "temperature",
        "topP",
        "seed",
        "stopSequences",
        "responseMimeType",
        "responseJsonSchema",
        "responseSchema",
    )
)
_CALLING_FIELDS: Final = frozenset(("mode", "allowedFunctionNames"))
_CHOICES: Final[Mapping[str, str]] = {"AUTO": "auto", "NONE": "none", "ANY": "required", "VALIDATED": "auto"}
_USUAL: Final[Mapping[str, JSON]] = {"candidateCount": 1, "responseModalities": ["TEXT"]}
"""What everybody does without being told."""


def decode_request(body: Mapping[str, JSON]) -> Request:
    """See `Codec.decode_request`."""
    body = camel(body)
    contents = camel_items(body.get("contents"), "contents")
    if not contents:
        raise Malformed("the request has no contents")
    config = camel_object(body.get("generationConfig"), "generationConfig")
    extra = {**present(body, _READ_FIELDS), **present(config, _READ_CONFIG)}
    for name, value in _USUAL.items():
        if extra.get(name) == value:
            del extra[name]
    choice, validated = _tool_choice(body.get("toolConfig"), extra)
    tools = _tools(body.get("tools"), extra, strict=True if validated else None)
    stop = config.get("stopSequences")
    if stop is not None and not isinstance(stop, (list, tuple)):
        raise Malformed("stopSequences is not a list")
    return Request(
        messages=_conversation(body.get("systemInstruction"), contents),
        tools=tools,
        tool_choice=choice,
        max_tokens=integer(config.get("maxOutputTokens"), "maxOutputTokens"),
        temperature=number(config.get("temperature"), "temperature"),
        top_p=number(config.get("topP"), "topP"),
        stop=tuple(string(entry, "stopSequences") for entry in stop or ()),
        seed=integer(config.get("seed"), "seed"),
        output_schema=_output(config, extra),
        extra=extra,
        extra_format=FORMAT if extra else None,
    )


def _conversation(system: JSON, contents: list[Mapping[str, JSON]]) -> tuple[Message, ...]:
    turns: list[Message] = []
    pairing = CallPairing()
    if system is not None:
        told: Mapping[str, JSON] = (
            {"parts": [{"text": system}]} if isinstance(system, str) else mapping(system, "systemInstruction")
        )
        _add_turn("system", told, "systemInstruction", turns, pairing)
    for index, content in enumerate(contents):
        where = f"contents[{index}]"
        told_role = string(content.get("role"), f"{where}.role")
        role: Role = "assistant" if told_role in ("model", "assistant") else "user"
        _add_turn(role, content, where, turns, pairing)
    return tuple(turns)


def _add_turn(
    role: Role, content: Mapping[str, JSON], where: str, turns: list[Message], pairing: CallPairing
) -> None:
    """Appends one turn of the wire, which is two or more where it holds results and other things."""
    speaker = role
    parts: list[Part] = []
    for place, told in enumerate(camel_items(content.get("parts"), f"{where}.parts")):
        due: Role = "tool" if "functionResponse" in told else role
        if due != speaker and parts:
            turns.append(Message(speaker, tuple(parts)))
            parts = []
        speaker = due
        parts += _part(told, f"{where}.parts[{place}]", pairing)
    turns.append(Message(speaker, tuple(parts)))


def _part(part: Mapping[str, JSON], where: str, pairing: CallPairing) -> Iterator[Part]:
    signature = part.get(SIGNATURE)
    if isinstance(part.get("text"), str) and not present(part, _TEXT_FIELDS):
        text = string(part["text"], f"{where}.text")
        if part.get("thought") is True:
            yield Reasoning(
                text, {THOUGHT: True} if signature is None else {THOUGHT: True, SIGNATURE: signature}
            )
            return
        if signature is not None:
            yield Reasoning("", {TEXT_SIGNATURE: signature})
        yield Text(text)
    elif "functionCall" in part and not present(part, _CALL_FIELDS):
        yield _call(camel_object(part["functionCall"], f"{where}.functionCall"), signature, where, pairing)
    else:
        found: Part | None = None
        if set(part) == {"functionResponse"}:
            found = _result(camel_object(part["functionResponse"], where), where, pairing)
        elif set(part) in ({"inlineData"}, {"fileData"}):
            found = _image(part, where)
        yield found or Foreign(FORMAT, _place(part, where), part)


def _place(part: Mapping[str, JSON], where: str) -> str:
    kind = next((name for name in part if name not in ("thought", SIGNATURE)), None)
    return where if kind is None else f"{where}.{kind}"


def _call(call: Mapping[str, JSON], signature: JSON, where: str, pairing: CallPairing) -> ToolCall:
    told = string(call.get("id"), f"{where}.functionCall.id")
    name = string(call.get("name"), f"{where}.functionCall.name")
    state: dict[str, JSON] = {}
    if signature is not None and signature != UNSIGNED:
        state[SIGNATURE] = signature
    if told:
        state[CALL_ID] = True
    return ToolCall(
        pairing.called(told, name), name, text_of(call.get("args"), f"{where}.functionCall.args"), state
    )


def _result(told: Mapping[str, JSON], where: str, pairing: CallPairing) -> ToolResult | None:
    """The result, or None for one that holds more than an object."""
    if present(told, frozenset(("id", "name", "response"))):
        return None
    call_id, name = pairing.answered(
        string(told.get("id"), f"{where}.functionResponse.id"),
        string(told.get("name"), f"{where}.functionResponse.name"),
    )
    response = mapping(told.get("response"), f"{where}.functionResponse.response")
    for key in ("output", "error"):
        text = response.get(key)
        if len(response) == 1 and isinstance(text, str):
            return ToolResult(call_id, text, name, is_error=key == "error")
    return ToolResult(call_id, encode(response).decode(), name)


def _image(part: Mapping[str, JSON], where: str) -> Image | None:
    """The picture, or None for another medium, or one that only Google's servers can find."""
    inline = camel_object(part.get("inlineData"), f"{where}.inlineData")
    media_type = string(inline.get("mimeType"), f"{where}.inlineData.mimeType")
    if media_type.startswith("image/") and not present(inline, frozenset(("mimeType", "data"))):
        return Image(data=string(inline.get("data"), f"{where}.inlineData.data"), media_type=media_type)
    file = camel_object(part.get("fileData"), f"{where}.fileData")
    url = string(file.get("fileUri"), f"{where}.fileData.fileUri")
    media_type = string(file.get("mimeType"), f"{where}.fileData.mimeType") or media_type_of(url) or ""
    remote = url.startswith(("https://", "http://")) and not any(host in url for host in _OWN_FILES)
    if remote and media_type.startswith("image/") and not present(file, frozenset(("mimeType", "fileUri"))):
        return Image(url=url, media_type=media_type)
    return None


def _tools(value: JSON, extra: dict[str, JSON], *, strict: bool | None) -> tuple[Tool, ...]:
    """The functions; tools that run at Google stay in `extra`, as they are."""
    functions: list[Tool] = []
    foreign: list[JSON] = []
    options: dict[str, JSON] = {}
    for tool in camel_items(value, "tools"):
        for told in camel_items(tool.get("functionDeclarations"), "tools.functionDeclarations"):
            name = string(told.get("name"), "functionDeclarations.name")
            schema = told.get("parametersJsonSchema")
            if schema is None:
                schema = from_openapi(told.get("parameters"))
            rest = present(told, frozenset(("name", "description", "parameters", "parametersJsonSchema")))
            if rest:
                options[name] = rest
            functions.append(
                Tool(
                    name=name,
                    description=optional_string(told.get("description"), "functionDeclarations.description"),
                    parameters=mapping(schema, "functionDeclarations.parameters"),
                    strict=strict,
                )
            )
        others = present(tool, frozenset(("functionDeclarations",)))
        if others:
            foreign.append(others)
    if foreign:
        extra["tools"] = foreign
    if options:
        extra[TOOL_OPTIONS] = options
    return tuple(functions)


def _tool_choice(value: JSON, extra: dict[str, JSON]) -> tuple[str | None, bool]:
    """The choice, and whether calls must fit their schemas; what has no form elsewhere stays in `extra`."""
    config = camel_object(value, "toolConfig")
    calling = camel_object(config.get("functionCallingConfig"), "toolConfig.functionCallingConfig")
    rest = present(config, frozenset(("functionCallingConfig",)))
    mode = string(calling.get("mode"), "functionCallingConfig.mode").upper()
    allowed = calling.get("allowedFunctionNames") or ()
    choice = _CHOICES.get(mode)
    if mode == "ANY" and isinstance(allowed, (list, tuple)) and len(allowed) == 1:
        choice = f"tool:{string(allowed[0], 'allowedFunctionNames')}"
    elif allowed or (choice is None and calling) or present(calling, _CALLING_FIELDS):
        choice = None
        rest["functionCallingConfig"] = calling
    if rest:
        extra["toolConfig"] = rest
    return choice, choice is not None and mode == "VALIDATED"


def _output(config: Mapping[str, JSON], extra: dict[str, JSON]) -> OutputSchema | None:
    """The form of the answer; one that is not JSON stays in `extra`."""
    kind = string(config.get("responseMimeType"), "responseMimeType")
    schema = config.get("responseJsonSchema")
    if schema is None:
        schema = from_openapi(config.get("responseSchema"))
    if kind not in ("application/json", ""):
        if kind != "text/plain":
            extra["responseMimeType"] = kind
            if config.get("responseSchema") is not None:
                extra["responseSchema"] = config["responseSchema"]
        return None
    if schema is None:
        return OutputSchema("json", None, strict=False) if kind else None
    fields = mapping(schema, "responseSchema")
    title = fields.get("title")
    named = isinstance(title, str) and _SCHEMA_NAME.fullmatch(title) is not None
    return OutputSchema(title if named and isinstance(title, str) else "answer", fields)
