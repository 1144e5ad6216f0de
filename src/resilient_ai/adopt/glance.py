"""Whether an answer, as the SDK has read it, plainly is one.

Most calls end in a whole text of the model that was asked, or in calls of functions it was offered. That shows in a few fields of the object
the SDK makes in any case, so such an answer is not read a second time: its tokens are read when somebody asks for the outcome. Everything
else (a refusal, an answer cut short, another model, an unknown function, arguments that are no object, a field that is not what it should
be) is left to the codec, which alone finds an answer bad.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

from resilient_ai.engine.cost import cost_of
from resilient_ai.messages import UNKNOWN_USAGE
from resilient_ai.models.wire.arguments import INVALID_JSON
from resilient_ai.models.wire.flags import USAGE_MISSING, holds_object, odd_characters, same_model
from resilient_ai.privacy.known_values import repeatable

if TYPE_CHECKING:
    from resilient_ai.core.model import Price
    from resilient_ai.messages import JSON, Outcome, Usage

_LONGEST_NAME: Final = 128
"""Characters of a model's name that are worth remembering."""

_MESSAGE: Final = frozenset({"content", "role", "annotations"})
"""Fields of a chat message that may hold something without changing what it is."""

_CALLING_MESSAGE: Final = _MESSAGE | {"tool_calls"}
"""The same of one that calls functions."""

Asked: TypeAlias = Callable[[], "Mapping[str, JSON]"]
"""Tells the body of the request."""

_EMPTY: Final[Mapping[str, object]] = {"tool_calls": [], "refusal": ""}
"""What stands in a field of a chat message and says nothing, null aside."""


@final
@dataclass(frozen=True, slots=True)
class Glance:
    """How an answer of one format shows itself.

    Attributes:
        shows: Whether the SDK's object, the answer of the model named second to what is asked third, shows that it is one and that no flag
            would stand on it. Raises AttributeError for another object.
        usage: Reads the tokens in an answer's `usage`, with the flags that go with them.
    """

    shows: Callable[[Any, str, Asked], bool]
    usage: Callable[[JSON, list[str]], Usage]

    def plain(self, answer: object, model: str, asked: Asked) -> bool:
        """`answer`, what the SDK made of an answer of `model` to what was `asked`, plainly is a good one."""
        try:
            return self.shows(answer, model, asked)
        except AttributeError:  # no object of the format: a raw response, a text, a class of the caller's
            return False

    def outcome(self, outcome: Outcome, answer: object, price: Price | None) -> Outcome:
        """`outcome`, which knows no tokens, with those `answer` tells; as the SDK reads them, to which `true` is 1.

        Args:
            outcome: The history, its last attempt the one that answered.
            answer: The SDK's object.
            price: What the model's tokens cost.
        """
        flags: list[str] = []
        usage = self.usage(_as_it_came(getattr(answer, "usage", None)), flags)
        if usage == UNKNOWN_USAGE:
            flags.append(USAGE_MISSING)
        *before, last = outcome.attempts
        request_id = last.request_id or named(answer)
        last = replace(
            last,
            usage=usage,
            cost=cost_of(price, usage),
            request_id=repeatable(request_id),
        )
        return replace(outcome, attempts=(*before, last), flags=tuple(flags))


def named(answer: object) -> str | None:
    """The identifier of the request that the SDK keeps with its object, if it does."""
    name = getattr(answer, "_request_id", None)
    return name if isinstance(name, str) and name else None


def glance_of(wire: str) -> Glance | None:
    """How an answer of the format `wire` shows itself, or None where every answer is read."""
    match wire:
        case "openai-chat":
            from resilient_ai.models.wire.openai_chat.names import read_usage

            return Glance(_plain_chat, read_usage)
        case "openai-responses":
            from resilient_ai.models.wire.openai_responses.names import read_usage

            return Glance(_plain_response, read_usage)
        case "anthropic":
            from resilient_ai.models.wire.anthropic.names import read_usage

            return Glance(_plain_message, read_usage)
        case _:
            return None


def _plain_chat(answer: Any, model: str, asked: Asked) -> bool:
    choices = answer.choices
    if choices.__class__ is not list or len(choices) != 1:
        return False
    choice = choices[0]
    message = choice.message
    match choice.finish_reason:
        case "stop":
            said = _is_text(message.content) and _holds_only(message, _MESSAGE)
        case "tool_calls":
            said = (
                (message.content in (None, "") or _is_text(message.content))
                and _holds_only(message, _CALLING_MESSAGE)
                and _are_calls(message.tool_calls, asked)
            )
        case _:
            return False
    return (
        said
        and not choice.index
        and _reports_nothing(choice)
        and _reports_nothing(answer)
        and (answer.model == model or _may_be(answer.model, model))
    )


def _plain_message(answer: Any, model: str, asked: Asked) -> bool:
    match answer.stop_reason:
        case "end_turn":
            said = _are_texts(answer.content, "text") or _are_blocks(answer.content, None)
        case "tool_use":
            said = _are_blocks(answer.content, asked)
        case _:
            return False
    return (
        said
        and not answer.__dict__.get("stop_details")
        and _reports_nothing(answer)
        and (answer.model == model or _may_be(answer.model, model))
    )


def _plain_response(answer: Any, model: str, asked: Asked) -> bool:
    output = answer.output
    if output.__class__ is not list or answer.status != "completed":
        return False
    said = False
    for item in output:
        match item.type:
            case "message" if _are_texts(item.content, "output_text"):
                said = True
            case "function_call" if (
                type(item.call_id) is str
                and _is_offered(item.name, asked, _response_function)
                and _holds_arguments(item)
            ):
                said = True
            case "reasoning" if item.summary == [] and not item.content:
                pass
            case _:
                return False
    return said and _reports_nothing(answer) and (answer.model == model or _may_be(answer.model, model))


def _are_calls(calls: Any, asked: Asked) -> bool:
    """Calls of functions that were offered, as a chat message holds them."""
    return (
        calls.__class__ is list
        and bool(calls)
        and all(
            type(call.id) is str
            and _is_offered(call.function.name, asked, _chat_function)
            and _holds_arguments(call.function)
            for call in calls
        )
    )


def _holds_arguments(call: Any) -> bool:
    """The arguments in `call` are the text of an object."""
    return type(call.arguments) is str and holds_object(call.arguments)


def _are_blocks(content: Any, asked: Asked | None) -> bool:
    """A message's text and thoughts; and calls of functions that were offered, where `asked` says that it ends in some."""
    if content.__class__ is not list:
        return False
    said = called = False
    for block in content:
        match block.type:
            case "text" if _is_text(block.text):
                said = True
            case "thinking" if type(block.thinking) is str and type(block.signature) is str:
                pass
            case "tool_use" if (
                asked is not None
                and type(block.id) is str
                and _is_object(block.input)
                and _is_offered(block.name, asked, _message_function)
            ):
                called = True
            case _:
                return False
    return said if asked is None else called


def _is_object(arguments: object) -> bool:
    """Arguments of a call, and not the text of some that are none."""
    return type(arguments) is dict and INVALID_JSON not in arguments


def _is_offered(name: object, asked: Asked, function_in: Callable[[Mapping[str, JSON]], JSON]) -> bool:
    """A function called `name` is among the tools of the request, which `function_in` reads the names of."""
    tools = asked().get("tools")
    if type(name) is not str or not isinstance(tools, list):
        return False
    return any(type(tool) is dict and function_in(tool) == name for tool in tools)


def _chat_function(tool: Mapping[str, JSON]) -> JSON:
    function = tool.get("function") if tool.get("type", "function") == "function" else None
    return function.get("name") if isinstance(function, dict) else None


def _response_function(tool: Mapping[str, JSON]) -> JSON:
    return tool.get("name") if tool.get("type") == "function" else None


def _message_function(tool: Mapping[str, JSON]) -> JSON:
    return tool.get("name") if tool.get("type") in (None, "custom") else None


def _is_text(text: object) -> bool:
    """Text that is not empty and holds no odd character."""
    if type(text) is not str or not text:
        return False
    return (text.isascii() and "\x00" not in text) or not odd_characters(text)


def _are_texts(parts: Any, kind: str) -> bool:
    """Parts that are all text."""
    if parts.__class__ is not list or not parts:
        return False
    for part in parts:  # noqa: SIM110 - a generator for one part is dearer than the look at it
        if part.type != kind or not _is_text(part.text):
            return False
    return True


def _holds_only(part: Any, known: frozenset[str]) -> bool:
    """Nothing stands in `part`, an object of the SDK, but in the fields `known`."""
    extra = getattr(part, "__pydantic_extra__", None)
    if extra is None:
        return False
    for fields in (part.__dict__, extra):
        for name, value in fields.items():
            if value is not None and name not in known and value != _EMPTY.get(name):
                return False
    return True


def _as_it_came(part: Any) -> Any:
    """An object of the SDK as the data it was made of."""
    extra = getattr(part, "__pydantic_extra__", None)
    if extra is None:
        return part
    return {name: _as_it_came(value) for name, value in (*part.__dict__.items(), *extra.items())}


def _reports_nothing(part: Any) -> bool:
    """No error stands in `part`, an object of the SDK, as a field it knows or one it does not."""
    extra = getattr(part, "__pydantic_extra__", None)
    # In its own dictionary: these classes look long for an attribute they do not have.
    return extra is not None and not extra.get("error") and not part.__dict__.get("error")


def _may_be(answered: object, asked: str) -> bool:
    """The answer names no model, or one that may be what was meant."""
    if answered is None:
        return True
    return type(answered) is str and len(answered) <= _LONGEST_NAME and _same(asked, answered)


_same: Final = lru_cache(maxsize=256)(same_model)
"""A client hears the same few names all its life."""
