"""Whether an answer, as the SDK has read it, plainly is one.

Most calls end in a whole text of the model that was asked. That shows in a few fields of the object the SDK makes in any case, so such an
answer is not read a second time: its tokens are read when somebody asks for the outcome. Everything else (a tool call, a refusal, an
answer cut short, another model, a field that is not what it should be) is left to the codec, which alone finds an answer bad.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, final

from resilient_ai.engine.cost import cost_of
from resilient_ai.messages import UNKNOWN_USAGE
from resilient_ai.models.wire.flags import USAGE_MISSING, odd_characters, same_model
from resilient_ai.privacy.known_values import repeatable

if TYPE_CHECKING:
    from resilient_ai.core.model import Price
    from resilient_ai.messages import JSON, Outcome, Usage

_LONGEST_NAME: Final = 128
"""Characters of a model's name that are worth remembering."""

_MESSAGE: Final = frozenset({"content", "role", "annotations"})
"""Fields of a chat message that may hold something without changing what it is."""

_EMPTY: Final[Mapping[str, object]] = {"tool_calls": [], "refusal": ""}
"""What stands in a field of a chat message and says nothing, null aside."""


@final
@dataclass(frozen=True, slots=True)
class Glance:
    """How an answer of one format shows itself.

    Attributes:
        shows: Whether the SDK's object, the answer of the model named second, shows that it is one and that no flag would stand on it.
            Raises AttributeError for another object.
        usage: Reads the tokens in an answer's `usage`, with the flags that go with them.
    """

    shows: Callable[[Any, str], bool]
    usage: Callable[[JSON, list[str]], Usage]

    def plain(self, answer: object, model: str) -> bool:
        """`answer`, what the SDK made of an answer of `model`, plainly is a good one."""
        try:
            return self.shows(answer, model)
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


def _plain_chat(answer: Any, model: str) -> bool:
    choices = answer.choices
    if choices.__class__ is not list or len(choices) != 1:
        return False
    choice = choices[0]
    message = choice.message
    return (
        choice.finish_reason == "stop"
        and not choice.index
        and _is_text(message.content)
        and _holds_only(message, _MESSAGE)
        and _reports_nothing(choice)
        and _reports_nothing(answer)
        and (answer.model == model or _may_be(answer.model, model))
    )


def _plain_message(answer: Any, model: str) -> bool:
    return (
        answer.stop_reason == "end_turn"
        and _are_texts(answer.content, "text")
        and not answer.__dict__.get("stop_details")
        and _reports_nothing(answer)
        and (answer.model == model or _may_be(answer.model, model))
    )


def _plain_response(answer: Any, model: str) -> bool:
    output = answer.output
    if output.__class__ is not list or answer.status != "completed":
        return False
    told = False
    for item in output:
        if item.type == "message" and _are_texts(item.content, "output_text"):
            told = True
        elif item.type != "reasoning" or item.summary != [] or item.content:
            return False
    return told and _reports_nothing(answer) and (answer.model == model or _may_be(answer.model, model))


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
