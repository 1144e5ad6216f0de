"""For every parameter, block and tool the official clients know: whether it is carried to another format, dropped and told, or keeps a
request where it is. A client that grows one more fails here until that is decided."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any, Final

import anthropic.types.beta.message_create_params as beta_messages
import anthropic.types.message_create_params as messages
import groq.types.chat.completion_create_params as groq_chat
import openai.types.chat.completion_create_params as chat
import openai.types.responses.response_create_params as responses
import pytest
import together.types.chat.completion_create_params as together_chat
from anthropic.types.content_block_param import ContentBlockParam
from anthropic.types.tool_union_param import ToolUnionParam
from openai.types.chat.chat_completion_content_part_param import ChatCompletionContentPartParam
from openai.types.chat.chat_completion_tool_union_param import ChatCompletionToolUnionParam
from openai.types.responses.response_input_content_param import ResponseInputContentParam
from openai.types.responses.response_input_item_param import ResponseInputItemParam
from openai.types.responses.tool_param import ToolParam

from parameter_decisions import BESIDE, BODIES, CARRIED, CONVERSATIONS, DROPPED, REFUSED, SECRET, Decisions
from resilient_ai.messages import JSON, Foreign, Message, Request, Text
from resilient_ai.models.wire import Codec, Unportable
from resilient_ai.models.wire.anthropic import Anthropic
from resilient_ai.models.wire.gemini import Gemini
from resilient_ai.models.wire.ollama import Ollama
from resilient_ai.models.wire.openai_chat import OpenAIChat
from resilient_ai.models.wire.openai_responses import OpenAIResponses
from resilient_ai.models.wire.portability import unportable, without_opaque

CHAT: Final[Codec] = OpenAIChat()
RESPONSES: Final[Codec] = OpenAIResponses()
MESSAGES: Final[Codec] = Anthropic()
CODECS: Final[tuple[Codec, ...]] = (CHAT, RESPONSES, MESSAGES, Gemini(), Ollama())

SET_ANEW: Final = frozenset(("model", "stream", "messages", "input"))
"""Read in every request, or chosen for every model."""

CLIENTS: Final[dict[str, Any]] = {
    "openai-chat": chat.CompletionCreateParamsBase,
    "openai-responses": responses.ResponseCreateParamsBase,
    "anthropic": messages.MessageCreateParamsBase,
    "anthropic beta": beta_messages.MessageCreateParamsBase,
    "groq": groq_chat.CompletionCreateParams,
    "together": together_chat.CompletionCreateParamsBase,
}
"""The parameters each client knows."""

IN_HEADERS: Final = frozenset(("betas", "user_profile_id", "workspace_id"))
"""Named like parameters; the client sends them as headers, which no other provider gets."""


def codec_named(name: str) -> Codec:
    (codec,) = (codec for codec in CODECS if codec.format == name)
    return codec


def asked(wire: str, **fields: JSON) -> Request:
    return codec_named(wire).decode_request({**BODIES[wire], **fields})


def cases(table: Mapping[str, Decisions], beside: int | None = None) -> list[tuple[str, str, JSON]]:
    found = [(wire, name, value) for wire, fields in table.items() for name, value in fields.items()]
    if beside is not None:
        for wire, dropped, refused in BESIDE.values():
            found += [(wire, name, value) for name, value in (dropped, refused)[beside].items()]
    return found


@pytest.mark.parametrize("wire", CLIENTS)
def test_every_parameter_of_the_client_is_decided(wire: str) -> None:
    kind = CLIENTS[wire]
    known = set(kind.__required_keys__ | kind.__optional_keys__)
    also: set[str] = set()
    if wire in BESIDE:
        wire, dropped, refused = BESIDE[wire]
        also = {*dropped, *refused}
    decided = {*CARRIED[wire], *DROPPED[wire], *REFUSED[wire], *SET_ANEW, *IN_HEADERS}
    assert also <= known
    assert known - decided - also == set()


@pytest.mark.parametrize(("wire", "name", "value"), cases(CARRIED))
def test_what_is_carried_reaches_the_request_and_every_format_that_has_it(
    wire: str, name: str, value: JSON
) -> None:
    request = asked(wire, **{name: value})
    assert unportable(request) is None
    assert name not in request.extra or name == "cache_control"
    for codec in CODECS:
        if codec.format != wire:
            told = codec.encode_request(request, model="claude-sonnet-4-5", stream=False).dropped
            again = codec.decode_request(_body(codec, request))
            missing = [field for field in _given(request) if getattr(again, field) in (None, (), "")]
            assert set(missing) <= set(told) | {"parallel_tool_calls", "tool_choice"}, codec.format


@pytest.mark.parametrize(("wire", "name", "value"), cases(DROPPED, 0))
def test_what_is_dropped_is_told_by_every_other_format(wire: str, name: str, value: JSON) -> None:
    request = asked(wire, **{name: value})
    assert unportable(request) is None
    for codec in CODECS:
        if codec.format != wire:
            assert name in codec.encode_request(request, model="m", stream=False).dropped, codec.format


@pytest.mark.parametrize(("wire", "name", "value"), cases(REFUSED, 1))
def test_what_no_other_format_can_say_keeps_the_request_where_it_is(
    wire: str, name: str, value: JSON
) -> None:
    assert unportable(asked(wire, **{name: value})) == name


@pytest.mark.parametrize(("wire", "name"), [(wire, name) for wire, name, _ in cases(REFUSED, 1)])
def test_a_refusing_parameter_that_is_null_refuses_nothing(wire: str, name: str) -> None:
    assert unportable(asked(wire, **{name: None})) is None


def _body(codec: Codec, request: Request) -> Any:
    import json

    return json.loads(codec.encode_request(request, model="claude-sonnet-4-5", stream=False).body)


def _given(request: Request) -> list[str]:
    names = (
        "tools",
        "max_tokens",
        "temperature",
        "top_p",
        "stop",
        "seed",
        "output_schema",
        "reasoning_effort",
    )
    return [name for name in names if getattr(request, name) not in (None, ())]


# --- blocks, items and tools ----------------------------------------------------------------------------------------------

MOVES: Final[dict[str, frozenset[str]]] = {
    "chat parts": frozenset(("text", "image_url")),
    "chat tools": frozenset(("function",)),
    "responses content": frozenset(("input_text", "input_image")),
    "responses items": frozenset(("message", "function_call", "function_call_output", "reasoning")),
    "responses tools": frozenset(("function",)),
    "messages blocks": frozenset(
        ("text", "image", "thinking", "redacted_thinking", "tool_use", "tool_result")
    ),
    "messages tools": frozenset(("custom",)),
}
"""Kinds that have a counterpart elsewhere; every other kind the client knows keeps a request where it is, a new one too."""

KINDS: Final[dict[str, Any]] = {
    "chat parts": ChatCompletionContentPartParam,
    "chat tools": ChatCompletionToolUnionParam,
    "responses content": ResponseInputContentParam,
    "responses items": ResponseInputItemParam,
    "responses tools": ToolParam,
    "messages blocks": ContentBlockParam,
    "messages tools": ToolUnionParam,
}


def members(union: Any) -> list[Any]:
    if typing.get_origin(union) in (typing.Union, types.UnionType):
        return [member for part in typing.get_args(union) for member in members(part)]
    return [union]


def literals(hint: Any) -> list[str]:
    if typing.get_origin(hint) is typing.Literal:
        return [str(value) for value in typing.get_args(hint)]
    return [value for part in typing.get_args(hint) for value in literals(part)]


def kinds_of(union: Any) -> set[str]:
    return {kind for member in members(union) for kind in literals(typing.get_type_hints(member)["type"])}


def with_kind(place: str, kind: str) -> Request:
    """A request that holds one block, item or tool of `kind` and nothing else of note."""
    thing: JSON = {"type": kind, "name": "x", "text": "x"}
    match place:
        case "chat parts":
            return CHAT.decode_request({"messages": [{"role": "user", "content": [thing]}]})
        case "chat tools":
            return asked("openai-chat", tools=[thing])
        case "responses content":
            return RESPONSES.decode_request({"input": [{"role": "user", "content": [thing]}]})
        case "responses items":
            return RESPONSES.decode_request({"input": [thing]})
        case "responses tools":
            return asked("openai-responses", tools=[thing])
        case "messages blocks":
            turn: JSON = {"role": "assistant", "content": [thing]}
            return MESSAGES.decode_request({"messages": [{"role": "user", "content": "?"}, turn]})
        case _:
            return asked("anthropic", tools=[thing])


@pytest.mark.parametrize(
    ("place", "kind"), sorted((place, kind) for place, union in KINDS.items() for kind in kinds_of(union))
)
def test_a_kind_without_a_counterpart_keeps_the_request_where_it_is_and_is_named(
    place: str, kind: str
) -> None:
    if kind in MOVES[place]:
        return
    field = unportable(with_kind(place, kind))
    assert field is not None
    assert field == "tools" or field.endswith(kind)


def test_the_kinds_that_move_are_kinds_of_the_clients() -> None:
    for place, union in KINDS.items():
        assert MOVES[place] <= kinds_of(union), place


@pytest.mark.parametrize("target", CODECS, ids=lambda codec: codec.format)
def test_a_value_that_json_has_no_form_for_is_told_by_the_name_of_its_field(target: Codec) -> None:
    unwritable: Any = {"logit_bias": object()}
    hello = (Message("user", (Text("Hello"),)),)
    request = Request(hello, extra=unwritable, extra_format=target.format, seed=7)
    with pytest.raises(Unportable, match=r"^(logit_bias|options|inferenceConfig|generationConfig): "):
        target.encode_request(request, model="m", stream=False)


# --- private state --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", CODECS, ids=lambda codec: codec.format)
@pytest.mark.parametrize("source", CONVERSATIONS)
def test_private_state_never_reaches_another_model_in_any_format(source: str, target: Codec) -> None:
    request = codec_named(source).decode_request(CONVERSATIONS[source])
    assert not any(isinstance(part, Foreign) for message in request.messages for part in message.parts)
    assert unportable(request) is None
    body = target.encode_request(without_opaque(request), model="m", stream=False).body
    assert SECRET.encode() not in body
    assert b"f" in body
    if target.format == source:
        assert SECRET.encode() in target.encode_request(request, model="m", stream=False).body
