"""Faults of the content: well-formed transport around an answer that is not what it should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from resilient_ai.messages import JSON
from resilient_ai.testing.fault_server.dialects.answer import (
    TEXT,
    Answer,
    Event,
    JsonObject,
    TokenCount,
    ToolUse,
    encode,
)
from resilient_ai.testing.fault_server.fault import Family, Ideal

if TYPE_CHECKING:
    from resilient_ai.testing.fault_server.exchange import Exchange

FAMILY: Final = Family("content")

Edit: TypeAlias = Callable[[JSON], JSON]


def _say(exchange: Exchange, *, change: Callable[[Answer], Answer]) -> None:
    """Serves the good answer after `change`."""
    exchange.answer = change(exchange.answer)
    exchange.good()


def _edit(exchange: Exchange, *, edit: Callable[[JsonObject, str], JsonObject]) -> None:
    """Serves the good answer with every JSON object edited; `edit` is told the key of the content."""
    if not exchange.streaming:
        exchange.bill()
        body = edit(exchange.dialect.unary(exchange.answer), exchange.dialect.carrier)
        exchange.respond(encode(body))
        return
    key = exchange.dialect.event_carrier
    exchange.stream(exchange.frames(_edited(event, edit, key) for event in exchange.events()))


def _edited(event: Event, edit: Callable[[JsonObject, str], JsonObject], key: str) -> Event:
    if isinstance(event.payload, str):
        return event
    return replace(event, payload=edit(dict(event.payload), key))


# The answer says something else.

_BROKEN: Final = ToolUse("get_weather", '{"city": "Par')
_UNKNOWN: Final = ToolUse("launch_rocket", '{"when": "now"}')
_TRAILING: Final = ToolUse("get_weather", '{"city": "Paris"}{"city": "Rome"}')
_NOT_AN_OBJECT: Final = ToolUse("get_weather", '"Paris"')
_GOOD_CALL: Final = ToolUse("get_weather", '{"city": "Paris"}')

_CHANGES: Final[Sequence[tuple[str, Callable[[Answer], Answer], Ideal, str]]] = [
    (
        "null-content",
        lambda answer: replace(answer, text=None),
        Ideal.FLAG,
        "No content, no tool call, finish 'stop': an empty answer must be visible, a policy may retry it.",
    ),
    (
        "empty-content",
        lambda answer: replace(answer, text=""),
        Ideal.FLAG,
        "The text is the empty string.",
    ),
    (
        "wrong-model",
        lambda answer: replace(answer, model="some-other-model"),
        Ideal.FLAG,
        "Another model answered.",
    ),
    (
        "finish-length",
        lambda answer: replace(answer, finish="length"),
        Ideal.FLAG,
        "The answer ended at the token limit.",
    ),
    (
        "finish-filter",
        lambda answer: replace(answer, finish="content_filtered"),
        Ideal.FLAG,
        "The answer was cut by the content filter.",
    ),
    (
        "refusal",
        lambda answer: replace(answer, text=None, refusal="I cannot help with that.", finish="refusal"),
        Ideal.FLAG,
        "A refusal, and no content.",
    ),
    (
        "tool-call",
        lambda answer: replace(answer, text=None, tool=_GOOD_CALL, finish="tool_calls"),
        Ideal.OK,
        "A good tool call instead of text.",
    ),
    (
        "tool-call-broken",
        lambda answer: replace(answer, text=None, tool=_BROKEN, finish="tool_calls"),
        Ideal.FLAG,
        "The tool's arguments are cut JSON: must not reach a tool as if valid.",
    ),
    (
        "tool-call-unknown",
        lambda answer: replace(answer, text=None, tool=_UNKNOWN, finish="tool_calls"),
        Ideal.FLAG,
        "A tool nobody offered.",
    ),
    (
        "tool-call-trailing",
        lambda answer: replace(answer, text=None, tool=_TRAILING, finish="tool_calls"),
        Ideal.FLAG,
        "Two JSON objects in one arguments string.",
    ),
    (
        "tool-call-not-object",
        lambda answer: replace(answer, text=None, tool=_NOT_AN_OBJECT, finish="tool_calls"),
        Ideal.FLAG,
        "The tool's arguments are a JSON string where an object is due.",
    ),
    (
        "lone-surrogate",
        lambda answer: replace(answer, text=f"{TEXT} \ud83d"),
        Ideal.FLAG,
        r"The text ends in half of an emoji (an escaped \ud83d): it cannot be encoded again.",
    ),
    (
        "nul-in-text",
        lambda answer: replace(answer, text=f"{TEXT} \0"),
        Ideal.FLAG,
        "The text has a NUL in it: legal JSON, which databases and C libraries cut or refuse.",
    ),
]
for _name, _change, _ideal, _description in _CHANGES:
    FAMILY.add(_name, _description, partial(_say, change=_change), _ideal)

_USAGES: Final[Sequence[tuple[str, TokenCount | None, str]]] = [
    ("missing-usage", None, "No usage: the cost is unknown, not zero."),
    ("negative-usage", TokenCount(-21, -57), "Usage below zero must not credit a budget."),
    ("huge-usage", TokenCount(10**18, 10**18), "Usage of 10^18 tokens must not empty a budget for ever."),
]
for _name, _tokens, _description in _USAGES:
    _serve = partial(_say, change=partial(replace, tokens=_tokens))
    # A stream without usage is ordinary: OpenAI sends it on request only.
    FAMILY.add(_name, _description, _serve, Ideal.FLAG, Ideal.OK)


# The answer has another shape.


def _emptied(value: JSON) -> JSON:
    if isinstance(value, str):
        return ""
    return {} if isinstance(value, Mapping) else []


def _retyped(value: JSON) -> JSON:
    if isinstance(value, str | Mapping):
        return 42
    return {"0": value}


def _at(key: str, body: JsonObject, change: Edit) -> JsonObject:
    """`body` with `change` made to what lies under `key`, also inside the `response` of a final event."""
    response = body.get("response")
    if isinstance(response, Mapping):
        return {**body, "response": _at("output", dict(response), change)}
    return {**body, key: change(body[key])} if key in body else body


def _without(body: JsonObject, key: str) -> JsonObject:
    response = body.get("response")
    if isinstance(response, Mapping):
        return {**body, "response": _without(dict(response), "output")}
    return {name: value for name, value in body.items() if name != key}


def _with_unknown_fields(value: JSON) -> JSON:
    """`value` with a field nobody knows in every object."""
    if isinstance(value, Mapping):
        known = {key: _with_unknown_fields(each) for key, each in value.items()}
        return {**known, "x_weather": {"sky": "clear", "wind": [1, 2.5, None, True]}}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_with_unknown_fields(each) for each in value]
    return value


def _all_unknown(body: JsonObject, key: str) -> JsonObject:
    del key
    return {name: _with_unknown_fields(value) for name, value in body.items()} | {"x_weather": "clear"}


_EDITS: Final[Sequence[tuple[str, Callable[[JsonObject, str], JsonObject], Ideal, str]]] = [
    (
        "empty-choices",
        lambda body, key: _at(key, body, _emptied),
        Ideal.ERROR,
        "The list of choices (content, candidates, output) is empty.",
    ),
    ("missing-choices", _without, Ideal.ERROR, "There are no choices (content, candidates, output) at all."),
    (
        "null-choices",
        lambda body, key: _at(key, body, lambda _: None),
        Ideal.ERROR,
        "The choices (content, candidates, output) are null.",
    ),
    (
        "wrong-types",
        lambda body, key: _at(key, body, _retyped),
        Ideal.ERROR,
        "The choices (content, candidates, output) are a mapping or a number.",
    ),
    ("unknown-fields", _all_unknown, Ideal.OK, "Extra fields nobody knows, in every object."),
    (
        "error-null",
        lambda body, _key: {**body, "error": None},
        Ideal.OK,
        "'error': null beside a good answer.",
    ),
]
for _name, _edit_body, _ideal, _description in _EDITS:
    FAMILY.add(_name, _description, partial(_edit, edit=_edit_body), _ideal)
