"""From what a caller writes to a `Request`: a string, a conversation, tools and parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias, cast

from resilient_ai.errors import InvalidRequest
from resilient_ai.messages import JSON, DataClassName, Message, OutputSchema, Request, Role, Text, Tool

Messages: TypeAlias = "str | Request | Sequence[Message | Mapping[str, JSON]]"
"""A question, a conversation in OpenAI's `{"role", "content"}` form or as `Message`s, or a whole `Request`."""

_PARAMETERS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "tool_choice": ((str,), "'auto', 'none', 'required', 'tool:NAME', or a choice in OpenAI's form"),
    "parallel_tool_calls": ((bool,), "True or False"),
    "max_tokens": ((int,), "a whole number, at least 1"),
    "temperature": ((int, float), "a finite number"),
    "top_p": ((int, float), "a finite number"),
    "seed": ((int,), "a whole number"),
    "reasoning_effort": ((str,), "a text, such as 'low'"),
}
"""What each may be. A wrong one is told here: further on it would be a failure of the model that met it first."""
_ELSEWHERE: Final[Mapping[str, str]] = {
    "model": "the chain says who is asked; build another ResilientModel",
    "timeout": "give deadline=",
    "max_retries": "the chain says it, by retry=",
    "api_key": "it belongs to a model of the chain",
    "base_url": "it belongs to a model of the chain",
    "stream": "call stream() or astream()",
}
"""What other libraries take with a call. As parameters they would go out in the body of every request, the key too."""
ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")
_PLAIN_ROLES: Final[Mapping[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
DATA_CLASSES: Final = ("public", "internal", "personal", "restricted")


def request_of(
    messages: Messages,
    tools: Sequence[Tool | Mapping[str, JSON]],
    parameters: Mapping[str, object],
    data_class: DataClassName | None,
    schema: OutputSchema | None,
) -> Request:
    """The request for what a caller wrote.

    Raises:
        InvalidRequest: There are no messages, or one of them or a parameter cannot be taken; the text says which.
    """
    if data_class is None and schema is None and not parameters and not tools:
        return _base(messages)
    if data_class is not None and data_class not in DATA_CLASSES:
        raise InvalidRequest(f"data_class is {data_class!r}; it must be one of {', '.join(DATA_CLASSES)}.")
    refuse_elsewhere(parameters)
    request = _base(messages)
    changes: dict[str, Any] = {}
    extra: dict[str, JSON] = {}
    for name, value in parameters.items():
        if name in _PARAMETERS:
            changes[name] = _parameter(name, value)
        elif name == "stop":
            changes["stop"] = _stop(value)
        else:
            extra[name] = cast("JSON", value)
    if extra:
        changes["extra"] = {**request.extra, **extra}
    if isinstance(tools, str | bytes | Mapping) or not isinstance(tools, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise InvalidRequest(f"tools is of type {type(tools).__name__}; give a list of tools.")
    if tools:
        changes["tools"] = tuple(_tool(tool, index) for index, tool in enumerate(tools))
    if data_class is not None:
        changes["data_class"] = data_class
    if schema is not None:
        changes["output_schema"] = schema
    return replace(request, **changes) if changes else request


def refuse_elsewhere(parameters: Mapping[str, object]) -> None:
    """Refuses what is decided elsewhere than with a call.

    Raises:
        InvalidRequest: One of `parameters` is; the text says where.
    """
    for name in parameters:
        if name in _ELSEWHERE:
            raise InvalidRequest(f"{name}= cannot be given with a call: {_ELSEWHERE[name]}.")


def _parameter(name: str, value: object) -> object:
    """A parameter of the vocabulary as a `Request` holds it.

    Raises:
        InvalidRequest: It has another type, or is no number one can count with. The text tells a number, but no text: it may be anything.
    """
    if name == "tool_choice" and isinstance(value, Mapping):
        value = _named_tool(cast("Mapping[str, JSON]", value))
    kinds, words = _PARAMETERS[name]
    fits = value is None or (isinstance(value, kinds) and isinstance(value, bool) == (kinds == (bool,)))
    if isinstance(value, float):
        fits = fits and math.isfinite(value)
    if name == "max_tokens" and isinstance(value, int):
        fits = fits and value >= 1
    if not fits:
        told = repr(value) if isinstance(value, int | float) else f"of type {type(value).__name__}"
        raise InvalidRequest(f"{name} is {told}; it must be {words}.")
    return value


def _named_tool(choice: Mapping[str, JSON]) -> object:
    """`tool:NAME` for OpenAI's form of a choice, chat's or that of responses; else the choice as it is."""
    function = choice.get("function", choice)
    name = function.get("name") if isinstance(function, Mapping) else None
    return f"tool:{name}" if choice.get("type") == "function" and isinstance(name, str) else choice


def _stop(value: object) -> tuple[str, ...]:
    ends: object = (value,) if isinstance(value, str) else value or ()
    if not isinstance(ends, list | tuple) or not all(isinstance(end, str) for end in cast("Any", ends)):
        raise InvalidRequest("stop must be a text, or a list of texts.")
    return tuple(cast("Sequence[str]", ends))


def _base(messages: Messages) -> Request:
    if isinstance(messages, Request):
        if not messages.messages and messages.payload is None:
            raise InvalidRequest("The request has no messages; give at least one.")
        return messages
    if isinstance(messages, str):
        if not messages:
            raise InvalidRequest("The question is empty; give some text.")
        return Request((Message("user", (Text(messages),)),))
    if isinstance(messages, bytes | bytearray | Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
        raise InvalidRequest(
            f"The messages are a {type(messages).__name__}; give text, or a list of {{'role', 'content'}}."
        )
    if messages is not None and not isinstance(messages, Sequence):  # pyright: ignore[reportUnnecessaryComparison, reportUnnecessaryIsInstance] - callers are not all typed
        raise InvalidRequest(
            f"The messages are of type {type(messages).__name__}; give text, or a list of {{'role', 'content'}}."
        )
    if not messages:
        raise InvalidRequest("There are no messages; give a question, or a list of {'role', 'content'}.")
    turns: Any = messages
    plain = [_plain(turn) for turn in turns]
    return Request(tuple(cast("list[Message]", plain))) if all(plain) else _by_codec(turns)


def _plain(message: object) -> Message | None:
    """A turn that is a role and a text, which is nearly all of them; None for any other."""
    if isinstance(message, Message):
        return message
    if not isinstance(message, Mapping):
        return None
    turn = cast("Mapping[str, object]", message)
    role, content = turn.get("role"), turn.get("content")
    if not isinstance(content, str) or len(turn) > 2:
        return None
    spoken_by = _PLAIN_ROLES.get(role) if isinstance(role, str) else None
    return None if spoken_by is None else Message(spoken_by, (Text(content),))


def _by_codec(messages: Sequence[Message | Mapping[str, JSON]]) -> Request:
    """Conversations with pictures, tool calls and the like, in OpenAI's form."""
    from resilient_ai.models.wire import WireError
    from resilient_ai.models.wire.openai_chat import OpenAIChat

    done: list[Message] = []
    for index, message in enumerate(messages):
        if isinstance(message, Message):
            done.append(message)
            continue
        if not isinstance(message, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
            raise InvalidRequest(
                f"messages[{index}] is of type {type(message).__name__}; give a mapping with 'role' and 'content', or a Message."
            )
        if message.get("role") not in ROLES:
            raise InvalidRequest(
                f"messages[{index}] has no role a model knows; the roles are {', '.join(ROLES)}."
            )
        if message.get("content") is None and message["role"] in ("system", "developer", "user"):
            raise InvalidRequest(f"messages[{index}] has no content; give text, or a list of parts.")
        try:
            done += OpenAIChat().decode_request({"messages": [message]}).messages
        except WireError as error:
            what = error.what.replace("messages[0]", f"messages[{index}]")
            raise InvalidRequest(
                f"{what}." if what.startswith("messages[") else f"messages[{index}] cannot be read: {what}."
            ) from error
    return Request(tuple(done))


def _tool(tool: Tool | Mapping[str, JSON], index: int) -> Tool:
    if isinstance(tool, Tool):
        return tool
    inner = tool.get("function", tool) if isinstance(tool, Mapping) else None  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        raise InvalidRequest(f"tools[{index}] has no name; give a Tool or OpenAI's form of a function.")
    described = inner.get("description")
    parameters = inner.get("parameters", inner.get("input_schema", {}))
    strict = inner.get("strict")
    return Tool(
        cast("str", inner["name"]),
        described if isinstance(described, str) else None,
        cast("Mapping[str, JSON]", parameters if isinstance(parameters, Mapping) else {}),
        strict if isinstance(strict, bool) else None,
    )
