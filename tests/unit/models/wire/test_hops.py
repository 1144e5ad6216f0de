"""A conversation moves through every wire format and back: nobody's turn, no call and no result is lost or moved."""

from __future__ import annotations

import itertools
import json
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from resilient_ai.models.wire import Codec, Unportable
from resilient_ai.models.wire.anthropic import Anthropic
from resilient_ai.models.wire.bedrock import Bedrock
from resilient_ai.models.wire.cohere import Cohere
from resilient_ai.models.wire.gemini import Gemini
from resilient_ai.models.wire.ollama import Ollama
from resilient_ai.models.wire.openai_chat import OpenAIChat
from resilient_ai.models.wire.openai_responses import OpenAIResponses

CHAT = OpenAIChat()
CODECS: list[Codec] = [CHAT, Anthropic(), Gemini(), OpenAIResponses(), Ollama(), Cohere(), Bedrock()]
SCHEMA: dict[str, JSON] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
Line: TypeAlias = "tuple[object, ...]"


def hop(codec: Codec, request: Request) -> Request:
    """`request` as whoever receives it in this format reads it."""
    return codec.decode_request(json.loads(codec.encode_request(request, model="m", stream=False).body))


def script(request: Request) -> list[Line]:
    """Who says what in which order. A call is known by its place, because identifiers may change; thoughts do not count."""
    lines: list[Line] = []
    places: dict[str, int] = {}
    count = itertools.count()
    for message in request.messages:
        for part in message.parts:
            match part:
                case Text(text):
                    lines.append((message.role, "text", text))
                case Image():
                    lines.append((message.role, "image", part.data, part.media_type))
                case ToolCall():
                    places[part.id] = next(count)
                    told = part.parsed()
                    lines.append((message.role, "call", places[part.id], part.name, told or part.arguments))
                case ToolResult():
                    lines.append((message.role, "result", places[part.call_id], part.name, part.content))
                case Reasoning():
                    pass
                case Foreign():
                    raise AssertionError(part)
    return lines


def test_a_conversation_with_tools_pictures_and_thoughts_survives_all_formats() -> None:
    body: dict[str, JSON] = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Where is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/4AAQ"}},
                ],
            },
            {
                "role": "assistant",
                "reasoning_content": "A tower.",
                "content": "I look twice.",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "look", "arguments": '{"city": "Oslo"}'},
                    },
                    {
                        "id": "c2",
                        "type": "function",
                        "function": {"name": "look", "arguments": '{"city": "Par'},
                    },
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "No tower."},
            {"role": "tool", "tool_call_id": "c2", "content": "A tower."},
            {"role": "assistant", "content": "Paris."},
            {"role": "user", "content": "Sure?"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA}}
        ],
        "max_completion_tokens": 64,
        "temperature": 0.5,
    }
    start = CHAT.decode_request(body)
    request = start
    for codec in (*CODECS[1:], CHAT):
        request = hop(codec, request)
        assert script(request) == script(start)
        assert [tool.name for tool in request.tools] == ["look"]
        assert request.tools[0].parameters == SCHEMA
        assert (request.max_tokens, request.temperature) == (64, 0.5)
        assert request.extra_format is None


WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=12
)
NAMES = st.sampled_from(["f", "g", "look_up"])
ARGUMENTS = st.dictionaries(WORDS, st.integers() | WORDS, max_size=2).map(json.dumps) | st.sampled_from(
    ['{"cut', "[1]", '"x"']
)
PICTURES = st.builds(Image, data=st.just("iVBORw0KGgoAAA"), media_type=st.just("image/png"))


@st.composite
def exchanges(draw: st.DrawFn) -> list[Message]:
    """A user's turn and the assistant's, with the results of the calls it makes."""
    pictures = draw(st.lists(PICTURES, max_size=2))
    names = draw(st.lists(NAMES, max_size=3))
    number = draw(st.integers(0, 9))  # ids come again in later turns, as some servers count
    calls = [ToolCall(f"call:{number}_{i}", name, draw(ARGUMENTS)) for i, name in enumerate(names)]
    results = [Message("tool", (ToolResult(call.id, f"so {draw(WORDS)}", call.name),)) for call in calls]
    return [
        Message("user", (Text(draw(WORDS)), *pictures)),
        Message("assistant", (Text(draw(WORDS)), *calls)),
        *results,
    ]


@st.composite
def conversations(draw: st.DrawFn) -> Request:
    turns = [
        message for exchange in draw(st.lists(exchanges(), min_size=1, max_size=3)) for message in exchange
    ]
    system = [Message("system", (Text(draw(WORDS)),))] if draw(st.booleans()) else []
    return Request(
        (*system, *turns),
        tools=(Tool("f", "Does.", SCHEMA),),
        max_tokens=draw(st.integers(1, 999)),
        output_schema=draw(st.none() | st.just(OutputSchema("answer", SCHEMA))),
    )


@settings(deadline=None)
@given(request=conversations(), route=st.permutations(CODECS))
def test_no_route_through_the_formats_loses_or_moves_anything(request: Request, route: list[Codec]) -> None:
    there = request
    told: set[str] = set()
    for codec in route:
        told.update(codec.encode_request(there, model="m", stream=False).dropped)
        there = hop(codec, there)
    assert script(there) == script(request)
    assert there.tools == request.tools or [(tool.name, tool.parameters) for tool in there.tools] == [
        ("f", SCHEMA)
    ]
    assert there.max_tokens == request.max_tokens
    assert (there.output_schema is None) == (request.output_schema is None or "output_schema" in told)
    if there.output_schema is not None:
        assert there.output_schema.schema == SCHEMA


@settings(deadline=None)
@given(request=conversations())
def test_what_is_read_from_a_format_is_written_in_it_alike(request: Request) -> None:
    for codec in CODECS:
        body = json.loads(codec.encode_request(request, model="m", stream=False).body)
        again = codec.encode_request(codec.decode_request(body), model="m", stream=False)
        assert json.loads(again.body) == body
        assert again.dropped == ()


STATES: dict[str, tuple[JSON, str]] = {
    "anthropic": (
        {
            "messages": [
                {"role": "user", "content": "Hi"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "SECRET"},
                        {"type": "text", "text": "Yo"},
                    ],
                },
            ]
        },
        "SECRET",
    ),
    "gemini": (
        {
            "contents": [
                {"role": "user", "parts": [{"text": "Hi"}]},
                {
                    "role": "model",
                    "parts": [
                        {"text": "hm", "thought": True, "thoughtSignature": "SECRET"},
                        {"text": "Yo", "thoughtSignature": "SECRET"},
                    ],
                },
            ]
        },
        "SECRET",
    ),
    "ollama": (
        {
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Yo", "thinking": "SECRET"},
            ]
        },
        "SECRET",
    ),
    "bedrock": (
        {
            "messages": [
                {"role": "user", "content": [{"text": "Hi"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "SECRET"}}},
                        {"reasoningContent": {"reasoningText": {"text": "SECRET"}}},
                        {"reasoningContent": {"redactedContent": "SECRET"}},
                        {"text": "Yo"},
                    ],
                },
            ]
        },
        "SECRET",
    ),
    "cohere": (
        {
            "messages": [
                {"role": "user", "content": "Hi"},
                {
                    "role": "assistant",
                    "tool_plan": "SECRET",
                    "content": [{"type": "thinking", "thinking": "SECRET"}, {"type": "text", "text": "Yo"}],
                },
            ]
        },
        "SECRET",
    ),
    "openai-chat": (
        {
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Yo", "reasoning_content": "SECRET"},
            ]
        },
        "SECRET",
    ),
}


@pytest.mark.parametrize("name", STATES)
def test_private_state_goes_back_to_its_own_format_only(name: str) -> None:
    body, mark = STATES[name]
    for codec in CODECS:
        own = next(each for each in CODECS if each.format == name)
        assert isinstance(body, dict)
        sent = codec.encode_request(own.decode_request(body), model="m", stream=False).body
        assert (mark.encode() in sent) == (codec is own)
        assert b"Yo" in sent


@pytest.mark.parametrize("codec", CODECS)
def test_content_of_another_format_is_refused_by_its_field(codec: Codec) -> None:
    foreign = Foreign("nowhere", "messages[0].content[1].hologram", {"type": "hologram"})
    with pytest.raises(Unportable) as caught:
        codec.encode_request(Request((Message("user", (Text("Hi"), foreign)),)), model="m", stream=False)
    assert caught.value.field == "messages[0].content[1].hologram"


@pytest.mark.parametrize("codec", CODECS)
def test_a_system_turn_keeps_its_role(codec: Codec) -> None:
    request = Request((Message("system", (Text("Be brief."),)), Message("user", (Text("Hi"),))))
    assert hop(codec, request).messages == request.messages


def test_marks_for_the_cache_are_left_behind_without_a_word() -> None:
    mark: JSON = {"type": "ephemeral"}
    body: dict[str, JSON] = {
        "max_tokens": 9,
        "cache_control": mark,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": mark}]}],
    }
    for codec in CODECS:
        request = Anthropic().decode_request(body)
        sent = codec.encode_request(request, model="m", stream=False)
        assert sent.dropped == ()
        assert (b"ephemeral" in sent.body) == (codec.format == "anthropic")
