"""Whether a request plainly is one that any model may be asked, told without reading it.

Most are: text, calls of the application's functions and their results, settings that merely tune. A wrapped client need not read such a
request before it is sent; it is read when another model is to be asked. What is not sure here is read at once, which tells.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeAlias, cast

from resilient_ai.messages import JSON
from resilient_ai.models.wire.portability import BLOCKERS

Check: TypeAlias = Callable[[Any], bool]
"""Whether a value is one that its format reads, and reads as something every format has."""


def surely_portable(wire: str | None, body: Mapping[str, JSON], unset: Collection[type] = ()) -> bool:
    """Whether `body`, a request in the format `wire`, can be read, and `unportable` would name no field of it. False says nothing.

    Args:
        wire: The format.
        body: What is asked, perhaps as the caller wrote it, objects of the SDK among its parts.
        unset: Classes of what stands for a value that was not given.
    """
    form = None if wire is None else _FORMS.get(wire)
    if form is None:
        return False
    place, is_turn, kinds, checks = form
    turns: Any = None
    for name, value in body.items():
        kind = type(value)
        if value is None or kind in unset:
            continue
        if name == place:
            turns = value
        elif name in kinds:
            if kind not in kinds[name]:
                return False
        elif name in checks:
            if not checks[name](value):
                return False
        elif name in BLOCKERS and BLOCKERS[name](value):
            return False
    if turns.__class__ is not list:
        return _text(turns) and bool(turns) and place == _INPUT
    for turn in turns:
        # Nearly every turn is a text and who said it; the rest is looked at field by field.
        plain = turn.__class__ is dict and len(turn) == len(_TURN) and type(turn.get("content")) is str
        if not (plain and turn.get("role") in _ROLES) and not is_turn(turn):
            return False
    return bool(turns)


_INPUT: Final = "input"
"""Where responses have their turns, or one text in their place."""
_TURN: Final = ("role", "content")
_ROLES: Final = ("user", "assistant", "system")


# --- values -----------------------------------------------------------------------------------------------------------


def _text(value: object) -> bool:
    return type(value) is str


def _switch(value: object) -> bool:
    return type(value) is bool


def _object(value: object) -> bool:
    return type(value) is dict


def _texts(value: object) -> bool:
    return type(value) is list and all(map(_text, cast("list[object]", value)))


def _text_or_texts(value: object) -> bool:
    return _text(value) or _texts(value)


def _list_of(check: Check) -> Check:
    return lambda value: type(value) is list and all(map(check, cast("list[object]", value)))


def _fields(part: Any) -> Mapping[str, Any]:
    """The fields of an object of JSON, or of one of the SDK's; none where it is neither, or holds what the SDK does not know."""
    if type(part) is dict:
        return cast("dict[str, Any]", part)
    unknown = getattr(part, "__pydantic_extra__", part)
    return _NOTHING if unknown is part or unknown else part.__dict__


_NOTHING: Final[Mapping[str, Any]] = {}


def _given(fields: Mapping[str, Any], checks: Mapping[str, Check]) -> bool:
    """The fields of `checks` are what they should be, where they are given."""
    for name, check in checks.items():
        value = fields.get(name)
        if value is not None and not check(value):
            return False
    return True


def _nothing_but(fields: Mapping[str, Any], known: frozenset[str]) -> bool:
    for name, value in fields.items():  # noqa: SIM110 - a generator for few fields is dearer than the look at them
        if value is not None and name not in known:
            return False
    return True


def _json_schema(value: Any) -> bool:
    fields = _fields(value)
    return bool(fields) and _given(fields, _SCHEMA)


_SCHEMA: Final[Mapping[str, Check]] = {"name": _text, "schema": _object, "strict": _switch}
_FUNCTION: Final[Mapping[str, Check]] = {
    "name": _text,
    "description": _text,
    "parameters": _object,
    "strict": _switch,
}
_CALLED: Final[Mapping[str, Check]] = {"call_id": _text, "name": _text, "arguments": _text}
"""What a function's description holds, and a call of one, in both of OpenAI's formats."""


# --- OpenAI's chat ----------------------------------------------------------------------------------------------------

_HINTS: Final = ("cache_control", "prompt_cache_breakpoint")
_CHAT_TEXT: Final = frozenset(("type", "text", *_HINTS))
_CHAT_ROLES: Final = ("system", "developer", "user", "assistant")
_CHAT_RECORDS: Final = (
    "annotations",
    "id",
    "index",
    "created",
    "created_at",
    "parsed",
    "provider_specific_fields",
)
_CHAT_SAID: Final[Mapping[str, Check]] = dict.fromkeys(
    ("name", "refusal", "tool_call_id", "reasoning", "reasoning_content"), _text
)
_CHAT_TURN: Final = frozenset(
    ("role", "content", "tool_calls", "reasoning_details", *_CHAT_SAID, *_HINTS, *_CHAT_RECORDS)
)


def _chat_text(part: Any) -> bool:
    fields = _fields(part)
    return fields.get("type") == "text" and _text(fields.get("text")) and _nothing_but(fields, _CHAT_TEXT)


_chat_texts: Final = _list_of(_chat_text)


_CHAT_CALL: Final[Mapping[str, Check]] = {"id": _text}


def _chat_call(call: Any) -> bool:
    fields = _fields(call)
    function = _fields(fields.get("function"))
    return bool(function) and _given(fields, _CHAT_CALL) and _given(function, _CALLED)


_chat_calls: Final = _list_of(_chat_call)


def _chat_turn(turn: Any) -> bool:
    fields = _fields(turn)
    role, content, calls = fields.get("role"), fields.get("content"), fields.get("tool_calls")
    if not (content is None or _text(content) or _chat_texts(content)) or not _given(fields, _CHAT_SAID):
        return False
    if role == "tool":
        return True
    return role in _CHAT_ROLES and (calls is None or _chat_calls(calls)) and _nothing_but(fields, _CHAT_TURN)


def _chat_tool(tool: Any) -> bool:
    fields = _fields(tool)
    function = _fields(fields.get("function"))
    return fields.get("type", "function") == "function" and bool(function) and _given(function, _FUNCTION)


def _chat_choice(choice: Any) -> bool:
    fields = _fields(choice)
    named = fields.get("type") == "function" and _text(_fields(fields.get("function")).get("name"))
    return named or _text(choice)


def _chat_format(value: Any) -> bool:
    fields = _fields(value)
    match fields.get("type"):
        case "text" | "json_object":
            return True
        case "json_schema":
            return _json_schema(fields.get("json_schema"))
        case _:
            return False


# --- OpenAI's responses -----------------------------------------------------------------------------------------------

_ITEM_TEXTS: Final = ("input_text", "output_text", "text")
_ITEM_TEXT: Final = frozenset(("type", "text", "annotations", "logprobs", "prompt_cache_breakpoint"))


def _item_text(part: Any) -> bool:
    fields = _fields(part)
    return (
        fields.get("type") in _ITEM_TEXTS and _text(fields.get("text")) and _nothing_but(fields, _ITEM_TEXT)
    )


_item_texts: Final = _list_of(_item_text)
_thoughts: Final = _list_of(lambda part: _text(_fields(part).get("text")))
_THOUGHT: Final[Mapping[str, Check]] = {"summary": _thoughts, "content": _thoughts}


def _item(item: Any) -> bool:
    fields = _fields(item)
    match fields.get("type"):
        case None | "message":
            content = fields.get("content")
            said = _text(content) or (bool(content) and _item_texts(content))
            return said and fields.get("role") in _CHAT_ROLES
        case "function_call":
            return _given(fields, _CALLED)
        case "function_call_output":
            output = fields.get("output")
            return _given(fields, _CALLED) and (_text(output) or _item_texts(output))
        case "reasoning":
            return _given(fields, _THOUGHT)
        case _:
            return False


def _item_tool(tool: Any) -> bool:
    fields = _fields(tool)
    return fields.get("type") == "function" and _given(fields, _FUNCTION)


def _item_choice(choice: Any) -> bool:
    fields = _fields(choice)
    return (fields.get("type") == "function" and _text(fields.get("name"))) or _text(choice)


def _effort(value: Any) -> bool:
    return _object(value) and _given(_fields(value), {"effort": _text})


# --- Anthropic's messages ---------------------------------------------------------------------------------------------

_BLOCK_TEXT: Final = frozenset(("type", "text", "cache_control"))
_BLOCK_IMAGE: Final = frozenset(("type", "source", "cache_control"))
_MESSAGE_ROLES: Final = ("user", "assistant", "system")
_CHOICES: Final = ("auto", "any", "none", "tool")


def _block_text(block: Any) -> bool:
    fields = _fields(block)
    return fields.get("type") == "text" and _text(fields.get("text")) and _nothing_but(fields, _BLOCK_TEXT)


_block_texts: Final = _list_of(_block_text)


def _text_or_blocks(value: Any) -> bool:
    return _text(value) or _block_texts(value)


_PICTURE: Final[Mapping[str, Check]] = {"data": _text, "media_type": _text}
_TOOL_USE: Final[Mapping[str, Check]] = {"id": _text, "name": _text, "input": _object}
_TOOL_RESULT: Final[Mapping[str, Check]] = {
    "tool_use_id": _text,
    "is_error": _switch,
    "content": _text_or_blocks,
}
_THINKING: Final[Mapping[str, Check]] = {"thinking": _text, "signature": _text}
_MESSAGE_TOOL: Final[Mapping[str, Check]] = {
    "name": _text,
    "description": _text,
    "input_schema": _object,
    "strict": _switch,
}
_MESSAGE_CHOICE: Final[Mapping[str, Check]] = {"name": _text, "disable_parallel_tool_use": _switch}


def _image(source: Any) -> bool:
    fields = _fields(source)
    match fields.get("type"):
        case "base64":
            return bool(fields.get("data")) and _given(fields, _PICTURE)
        case "url":
            return bool(fields.get("url")) and _text(fields["url"])
        case _:
            return False


def _block(block: Any) -> bool:
    fields = _fields(block)
    match fields.get("type"):
        case "text":
            return _block_text(block)
        case "tool_use":
            return _given(fields, _TOOL_USE)
        case "tool_result":
            return _given(fields, _TOOL_RESULT)
        case "thinking":
            return _given(fields, _THINKING)
        case "image":
            return _image(fields.get("source")) and _nothing_but(fields, _BLOCK_IMAGE)
        case _:
            return False


_blocks: Final = _list_of(_block)


def _message(message: Any) -> bool:
    fields = _fields(message)
    content = fields.get("content")
    return fields.get("role") in _MESSAGE_ROLES and (_text(content) or _blocks(content))


def _message_tool(tool: Any) -> bool:
    fields = _fields(tool)
    return bool(fields) and fields.get("type") in (None, "custom") and _given(fields, _MESSAGE_TOOL)


def _message_choice(choice: Any) -> bool:
    fields = _fields(choice)
    return fields.get("type") in _CHOICES and _given(fields, _MESSAGE_CHOICE)


# --- the formats ------------------------------------------------------------------------------------------------------

_NUMBER: Final = (int, float)
_ANY_FORMAT: Final[Mapping[str, tuple[type, ...]]] = {"temperature": _NUMBER, "top_p": _NUMBER}
_FORMS: Final[Mapping[str, tuple[str, Check, Mapping[str, tuple[type, ...]], Mapping[str, Check]]]] = {
    "openai-chat": (
        "messages",
        _chat_turn,
        {
            **_ANY_FORMAT,
            "parallel_tool_calls": (bool,),
            "max_completion_tokens": (int,),
            "max_tokens": (int,),
            "seed": (int,),
            "reasoning_effort": (str,),
            "stream_options": (dict,),
        },
        {
            "tools": _list_of(_chat_tool),
            "tool_choice": _chat_choice,
            "stop": _text_or_texts,
            "response_format": _chat_format,
        },
    ),
    "openai-responses": (
        _INPUT,
        _item,
        {
            **_ANY_FORMAT,
            "instructions": (str,),
            "parallel_tool_calls": (bool,),
            "max_output_tokens": (int,),
            "text": (),
        },
        {"tools": _list_of(_item_tool), "tool_choice": _item_choice, "reasoning": _effort},
    ),
    "anthropic": (
        "messages",
        _message,
        {**_ANY_FORMAT, "max_tokens": (int,), "output_config": (), "output_format": ()},
        {
            "system": _text_or_blocks,
            "tools": _list_of(_message_tool),
            "tool_choice": _message_choice,
            "stop_sequences": _texts,
        },
    ),
}
"""Where the turns stand, and what is one; of what type the other fields are that are read, and what they may hold. Whatever else there is
stays behind where it does not keep the request."""
