"""Whether an answer, as the SDK has read it, plainly is one.

Most calls end in a whole text of the model that was asked. That shows in a few fields of the object the SDK makes in any case, so such an
answer is not read a second time: its tokens are read when somebody asks for the outcome. Everything else (a tool call, a refusal, an
answer cut short, another model, a field that is not what it should be) is left to the codec, which alone finds an answer bad.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast, final

from resilient_ai.core.identifiers import identifier
from resilient_ai.engine.cost import cost_of
from resilient_ai.messages import UNKNOWN_USAGE
from resilient_ai.models.wire.flags import USAGE_MISSING, odd_characters, same_model

if TYPE_CHECKING:
    from resilient_ai.core.model import Price
    from resilient_ai.messages import JSON, Outcome, Usage

_LONGEST_NAME: Final = 128
"""Characters of a model's name that are worth remembering."""

_MESSAGE: Final = frozenset({"content", "role", "annotations"})
"""Fields of a chat message that may hold something without changing what it is."""


@final
@dataclass(frozen=True, slots=True)
class Glance:
    """How an answer of one format shows itself.

    Attributes:
        plain: Whether the SDK's object, the answer of the model named second, plainly is an answer that no flag would stand on.
        usage: Reads the tokens in an answer's `usage`, with the flags that go with them.
    """

    plain: Callable[[Any, str], bool]
    usage: Callable[[JSON, list[str]], Usage]

    def outcome(self, outcome: Outcome, answer: object, price: Price | None) -> Outcome:
        """`outcome`, which knows no tokens, with those `answer` tells.

        Args:
            outcome: The history, its last attempt the one that answered.
            answer: The SDK's object.
            price: What the model's tokens cost.
        """
        told = getattr(answer, "usage", None)
        if hasattr(told, "model_dump"):
            # Whatever stands there is for the reading to judge, not for a warning of the SDK's classes.
            told = cast("Any", told).model_dump(by_alias=True, warnings=False)
        flags: list[str] = []
        usage = self.usage(told, flags)
        if usage == UNKNOWN_USAGE:
            flags.append(USAGE_MISSING)
        *before, last = outcome.attempts
        request_id = last.request_id or named(answer)
        last = replace(
            last,
            usage=usage,
            cost=cost_of(price, usage),
            request_id=None if request_id is None else identifier(request_id),
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
    choices = getattr(answer, "choices", None)
    if type(choices) is not list or len(cast("list[Any]", choices)) != 1:
        return False
    choice = cast("list[Any]", choices)[0]
    message = getattr(choice, "message", None)
    return (
        getattr(choice, "finish_reason", None) == "stop"
        and not getattr(choice, "index", 0)
        and _plain_text(getattr(message, "content", None))
        and _holds_only(message, _MESSAGE)
        and _reports_nothing(choice)
        and _reports_nothing(answer)
        and _is(getattr(answer, "model", None), model)
    )


def _plain_message(answer: Any, model: str) -> bool:
    content = getattr(answer, "content", None)
    if type(content) is not list or getattr(answer, "stop_reason", None) != "end_turn":
        return False
    return (
        _plain_texts(cast("list[Any]", content), "text")
        and not getattr(answer, "stop_details", None)
        and _reports_nothing(answer)
        and _is(getattr(answer, "model", None), model)
    )


def _plain_response(answer: Any, model: str) -> bool:
    output = getattr(answer, "output", None)
    if type(output) is not list or getattr(answer, "status", None) != "completed":
        return False
    told = False
    for item in cast("list[Any]", output):
        kind = getattr(item, "type", None)
        if kind == "message" and _plain_texts(getattr(item, "content", None), "output_text"):
            told = True
        elif kind != "reasoning" or getattr(item, "summary", None) != [] or getattr(item, "content", None):
            return False
    return told and _reports_nothing(answer) and _is(getattr(answer, "model", None), model)


def _plain_text(text: object) -> bool:
    """Text that is not empty and holds no odd character."""
    return type(text) is str and text != "" and not odd_characters(text)


def _plain_texts(parts: object, kind: str) -> bool:
    """Parts that are all plain text."""
    if type(parts) is not list or not parts:
        return False
    return all(
        getattr(part, "type", None) == kind and _plain_text(getattr(part, "text", None))
        for part in cast("list[Any]", parts)
    )


def _holds_only(part: Any, known: frozenset[str]) -> bool:
    """Nothing stands in `part`, an object of the SDK, but in the fields `known`."""
    extra = getattr(part, "__pydantic_extra__", None)
    if extra is None:
        return False
    for fields in (part.__dict__, extra):
        for name, value in fields.items():
            if value and name not in known:
                return False
    return True


def _reports_nothing(part: Any) -> bool:
    """No error stands in `part`, an object of the SDK, as a field it knows or one it does not."""
    extra = getattr(part, "__pydantic_extra__", None)
    # In its own dictionary: these classes look long for an attribute they do not have.
    return extra is not None and not extra.get("error") and not part.__dict__.get("error")


def _is(answered: object, asked: str) -> bool:
    """The answer names the model that was asked, or none."""
    if answered is None or answered == asked:
        return True
    return type(answered) is str and len(answered) <= _LONGEST_NAME and _same(asked, answered)


_same: Final = lru_cache(maxsize=256)(same_model)
"""A client hears the same few names all its life."""
