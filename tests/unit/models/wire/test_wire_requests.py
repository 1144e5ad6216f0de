"""Requests of both OpenAI formats: read without loss, written as asked, moved from one to the other and back."""

from __future__ import annotations

import json
from dataclasses import replace

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
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from resilient_ai.models.wire import Codec, Malformed, Unportable
from resilient_ai.models.wire.openai_chat import OpenAIChat
from resilient_ai.models.wire.openai_responses import OpenAIResponses

CHAT = OpenAIChat()
RESPONSES = OpenAIResponses()
CODECS: list[Codec] = [CHAT, RESPONSES]
SCHEMA: JSON = {"type": "object", "properties": {"city": {"type": "string"}}}
CLOSED: dict[str, JSON] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
"""A schema as strict mode wants one."""
USER: JSON = {"role": "user", "content": "Hi"}


def written(codec: Codec, request: Request, *, stream: bool = False) -> dict[str, JSON]:
    body: dict[str, JSON] = json.loads(codec.encode_request(request, model="m", stream=stream).body)
    return body


def again(codec: Codec, request: Request) -> Request:
    return codec.decode_request(written(codec, request))


def ask(**fields: JSON) -> dict[str, JSON]:
    return {"model": "m", "messages": [USER], **fields}


def test_every_field_of_a_chat_request_has_its_place() -> None:
    body: dict[str, JSON] = {
        "model": "gpt-5-mini",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "name": "ann",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/4AAQ"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "look", "arguments": '{"city":"Oslo"}'},
                    },
                    {"id": "c2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "A cat"},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "A dog"}]},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA, "strict": True},
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": False,
        "max_completion_tokens": 64,
        "temperature": 0.5,
        "top_p": 1,
        "stop": "\n\n",
        "seed": 7,
        "n": 1,
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "answer",
                "schema": CLOSED,
                "strict": True,
                "description": "An answer",
            },
        },
        "reasoning_effort": "low",
        "user": "u1",
        "logit_bias": {"50256": -100},
        "verbosity": None,
    }
    request = CHAT.decode_request(body)
    assert request == Request(
        messages=(
            Message("system", (Text("Be brief."),)),
            Message(
                "user",
                (
                    Text("What is this?"),
                    Image(url="https://x.test/a.png", detail="low"),
                    Image(data="/9j/4AAQ", media_type="image/jpeg"),
                ),
                "ann",
            ),
            Message("assistant", (ToolCall("c1", "look", '{"city":"Oslo"}'), ToolCall("c2", "look", "{}"))),
            Message("tool", (ToolResult("c1", "A cat", "look"),)),
            Message("tool", (ToolResult("c2", "A dog", "look"),)),
        ),
        tools=(
            Tool(
                "look", "Looks.", {"type": "object", "properties": {"city": {"type": "string"}}}, strict=True
            ),
        ),
        tool_choice="tool:look",
        parallel_tool_calls=False,
        max_tokens=64,
        temperature=0.5,
        top_p=1,
        stop=("\n\n",),
        seed=7,
        output_schema=OutputSchema("answer", {**CLOSED, "description": "An answer"}, strict=True),
        reasoning_effort="low",
        extra={"user": "u1", "logit_bias": {"50256": -100}},
        extra_format="openai-chat",
    )
    assert again(CHAT, request) == request
    assert written(CHAT, request, stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in written(CHAT, request)


def test_every_field_of_a_responses_request_has_its_place() -> None:
    body: dict[str, JSON] = {
        "model": "gpt-5-mini",
        "instructions": "Be brief.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": "https://x.test/a.png", "detail": "auto"},
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Wait.", "annotations": []}],
            },
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "A cat"},
        ],
        "tools": [{"type": "function", "name": "look", "parameters": SCHEMA, "strict": True}],
        "tool_choice": {"type": "function", "name": "look"},
        "parallel_tool_calls": True,
        "max_output_tokens": 64,
        "temperature": 0.5,
        "top_p": 1,
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    request = RESPONSES.decode_request(body)
    reasoning: JSON = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    assert request == Request(
        messages=(
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("What is this?"), Image(url="https://x.test/a.png"))),
            Message(
                "assistant",
                (
                    Reasoning("", {"reasoning_item": reasoning}),
                    Text("Wait."),
                    ToolCall("c1", "look", "{}", {"id": "fc_1"}),
                ),
            ),
            Message("tool", (ToolResult("c1", "A cat", "look"),)),
        ),
        tools=(
            Tool("look", None, {"type": "object", "properties": {"city": {"type": "string"}}}, strict=True),
        ),
        tool_choice="tool:look",
        parallel_tool_calls=True,
        max_tokens=64,
        temperature=0.5,
        top_p=1,
        output_schema=OutputSchema("json", None, strict=False),
        reasoning_effort="low",
        extra={
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "text": {"verbosity": "low"},
            "reasoning": {"summary": "auto"},
        },
        extra_format="openai-responses",
    )
    assert again(RESPONSES, request) == request
    once = written(RESPONSES, request)
    assert once["text"] == {"verbosity": "low", "format": {"type": "json_object"}}
    assert once["reasoning"] == {"summary": "auto", "effort": "low"}


def test_a_plain_string_is_an_input() -> None:
    assert RESPONSES.decode_request({"input": "Hi"}) == Request((Message("user", (Text("Hi"),)),))


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}, "input_audio"),
        ({"type": "file", "file": {"file_id": "f1"}}, "file"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,raw"}}, "image_url"),
        ({"type": "text", "text": "x", "novelty": 1}, "text"),
    ],
)
def test_a_part_only_chat_has_goes_back_verbatim_and_nowhere_else(part: JSON, field: str) -> None:
    message: JSON = {
        "role": "user",
        "content": [{"type": "text", "text": "a"}, part, {"type": "text", "text": "b"}],
    }
    request = CHAT.decode_request({"messages": [message]})
    assert written(CHAT, request)["messages"] == [message]
    with pytest.raises(Unportable) as caught:
        RESPONSES.encode_request(request, model="m", stream=False)
    assert caught.value.field == f"messages[0].content[1].{field}"


@pytest.mark.parametrize(
    "message",
    [
        {"role": "function", "name": "f", "content": "1"},
        {
            "role": "tool",
            "tool_call_id": "1",
            "content": [{"type": "image_url", "image_url": {"url": "https://x"}}],
        },
        {"role": "assistant", "content": "x", "audio": {"id": "a1"}},
        {"role": "assistant", "content": "x", "prefix": True},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "g"}}],
        },
    ],
)
def test_a_message_only_chat_has_goes_back_verbatim_and_nowhere_else(message: JSON) -> None:
    request = CHAT.decode_request({"messages": [USER, message]})
    got = written(CHAT, request)["messages"]
    assert isinstance(got, list)
    assert isinstance(message, dict)
    assert got[1] == message or got[1] == {**message, "content": ""}
    with pytest.raises(Unportable):
        RESPONSES.encode_request(request, model="m", stream=False)


def test_reasoning_goes_back_to_the_format_it_came_from_and_nowhere_else() -> None:
    details: JSON = [{"type": "reasoning.encrypted", "data": "gAAA"}]
    message: JSON = {
        "role": "assistant",
        "content": "x",
        "reasoning_content": "hm",
        "reasoning_details": details,
    }
    request = CHAT.decode_request({"messages": [USER, message]})
    assert written(CHAT, request)["messages"] == [USER, message]
    assert "hm" not in json.dumps(written(RESPONSES, request))
    assert "gAAA" not in json.dumps(written(RESPONSES, request))
    item: JSON = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    request = RESPONSES.decode_request({"input": [{"role": "user", "content": "Hi"}, item]})
    assert "gAAA" in json.dumps(written(RESPONSES, request))
    assert written(CHAT, request)["messages"] == [USER]


def test_a_thought_signature_of_a_call_goes_back_with_it() -> None:
    call: JSON = {
        "id": "1",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "Cg=="}},
    }
    message: JSON = {"role": "assistant", "content": None, "tool_calls": [call]}
    request = CHAT.decode_request({"messages": [USER, message]})
    assert written(CHAT, request)["messages"] == [USER, message]
    assert "Cg==" not in json.dumps(written(RESPONSES, request))


@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "msg_1"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {
            "type": "function_call_output",
            "call_id": "1",
            "output": [{"type": "input_image", "image_url": "x"}],
        },
        {"role": "user", "content": [{"type": "input_file", "file_id": "f1"}], "type": "message"},
        {"role": "critic", "content": "x", "type": "message"},
    ],
)
def test_an_item_only_responses_have_goes_back_verbatim_and_nowhere_else(item: JSON) -> None:
    request = RESPONSES.decode_request({"input": [item]})
    assert written(RESPONSES, request)["input"] == [item]
    with pytest.raises(Unportable):
        CHAT.encode_request(request, model="m", stream=False)


def test_tools_of_other_kinds_stay_beside_the_functions() -> None:
    functions: list[JSON] = [{"type": "function", "function": {"name": "f"}}]
    custom: list[JSON] = [{"type": "custom", "custom": {"name": "g"}}]
    request = CHAT.decode_request(ask(tools=[*custom, *functions], tool_choice={"type": "custom"}))
    assert (len(request.tools), request.tool_choice) == (1, None)
    assert request.extra == {"tools": custom, "tool_choice": {"type": "custom"}}
    assert written(CHAT, request)["tools"] == [*functions, *custom]


def test_the_name_of_the_token_limit_is_a_choice() -> None:
    request = CHAT.decode_request(ask(max_tokens=5))
    assert written(CHAT, request)["max_completion_tokens"] == 5
    older = written(OpenAIChat(max_tokens_field="max_tokens"), request)
    assert (older["max_tokens"], "max_completion_tokens" in older) == (5, False)


def test_token_counts_are_not_asked_for_where_a_server_refuses_the_option() -> None:
    request = CHAT.decode_request(ask())
    assert "stream_options" not in written(OpenAIChat(stream_usage=False), request, stream=True)


def test_parameters_of_another_format_are_dropped_by_name() -> None:
    request = CHAT.decode_request(ask(user="u", seed=3, stop=["x"]))
    assert RESPONSES.encode_request(request, model="m", stream=False).dropped == ("stop", "seed", "user")
    request = RESPONSES.decode_request({"input": "Hi", "store": False})
    assert CHAT.encode_request(request, model="m", stream=False).dropped == ("store",)
    free = replace(request, extra_format=None)
    assert CHAT.encode_request(free, model="m", stream=False).dropped == ()
    assert written(CHAT, free)["store"] is False


def test_a_function_nobody_called_strict_is_not_strict_in_responses_either() -> None:
    request = CHAT.decode_request(
        ask(tools=[{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}])
    )
    tools = written(RESPONSES, request)["tools"]
    assert tools == [{"type": "function", "name": "f", "parameters": SCHEMA, "strict": False}]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "message",
    [
        Message("system", (Image(url="https://x.test"),)),
        Message("assistant", (Image(url="https://x.test"),)),
        Message("tool", (Text("x"),)),
        Message("user", (Image(),)),
        Message("user", (Foreign("anthropic", "messages[0].content[0].document", {"type": "document"}),)),
    ],
)
def test_what_a_format_cannot_carry_is_refused_by_name(codec: Codec, message: Message) -> None:
    with pytest.raises(Unportable) as caught:
        codec.encode_request(Request((message,)), model="m", stream=False)
    assert caught.value.field.startswith("messages[0]")


@pytest.mark.parametrize("codec", CODECS)
def test_a_value_json_has_no_form_for_is_refused(codec: Codec) -> None:
    extra: dict[str, JSON] = {"x": object()}  # type: ignore[dict-item] # what a careless caller passes
    with pytest.raises(Unportable):
        codec.encode_request(Request((Message("user", (Text("x"),)),), extra=extra), model="m", stream=False)


@pytest.mark.parametrize("codec", CODECS)
def test_half_of_a_surrogate_pair_in_a_prompt_is_sent_as_its_escape(codec: Codec) -> None:
    body = codec.encode_request(Request((Message("user", (Text("a\ud83d"),)),)), model="m", stream=False).body
    assert b"a\\ud83d" in body


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"messages": None},
        {"messages": {}},
        {"messages": [7]},
        {"messages": [{"content": "x"}]},
        {"messages": [{"role": 5}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "user", "content": [5]}]},
        ask(tools={}),
        ask(tools=[{"type": "function", "function": {"name": 5}}]),
        ask(stop=5),
        ask(seed="x"),
        ask(temperature="hot"),
        ask(max_tokens=1.5),
        ask(response_format="json"),
    ],
)
def test_what_is_no_chat_request_is_malformed(body: dict[str, JSON]) -> None:
    with pytest.raises(Malformed):
        CHAT.decode_request(body)


@pytest.mark.parametrize(
    "body", [{}, {"input": 5}, {"input": [5]}, {"input": [{"role": 5}]}, {"input": "x", "text": 5}]
)
def test_what_is_no_responses_request_is_malformed(body: dict[str, JSON]) -> None:
    with pytest.raises(Malformed):
        RESPONSES.decode_request(body)


WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
NAMES = st.sampled_from(["f", "g", "look_up"])
IMAGES = st.builds(
    Image, url=st.just("https://x.test/i.png"), detail=st.sampled_from([None, "low", "high"])
) | st.builds(Image, data=st.just("QUJD"), media_type=st.sampled_from(["image/png", "image/webp"]))
TEXTS = st.builds(Text, WORDS)


def turn(
    role: Role, parts: st.SearchStrategy[tuple[Text | Image | ToolCall, ...]]
) -> st.SearchStrategy[Message]:
    return st.builds(Message, st.just(role), parts)


@st.composite
def exchanges(draw: st.DrawFn) -> list[Message]:
    """A user's turn and the assistant's, with the results of the calls it makes."""
    user = draw(turn("user", st.lists(TEXTS | IMAGES, min_size=1, max_size=3).map(tuple)))
    text = draw(st.lists(TEXTS, min_size=1, max_size=1))
    names = draw(st.lists(NAMES, max_size=3))
    number = draw(st.integers(0, 9))  # ids come again in later turns, as some servers count
    calls = [ToolCall(f"call_{number}_{i}", name, draw(WORDS)) for i, name in enumerate(names)]
    results = [Message("tool", (ToolResult(call.id, draw(WORDS), call.name),)) for call in calls]
    return [user, Message("assistant", (*text, *calls)), *results]


@st.composite
def requests(draw: st.DrawFn) -> Request:
    system = draw(
        st.lists(st.builds(Message, st.just("system"), TEXTS.map(lambda text: (text,))), max_size=1)
    )
    turns = draw(st.lists(exchanges(), min_size=1, max_size=3))
    schema: dict[str, JSON] = {"type": "object", "properties": {}}
    tools = draw(
        st.lists(
            st.builds(Tool, NAMES, st.none() | st.just("Does."), st.just(schema), st.booleans()),
            max_size=2,
            unique_by=lambda tool: tool.name,
        )
    )
    return Request(
        messages=(*system, *(message for exchange in turns for message in exchange)),
        tools=tuple(tools),
        tool_choice=draw(st.sampled_from([None, "auto", "none", "required", "tool:f"])),
        parallel_tool_calls=draw(st.none() | st.booleans()),
        max_tokens=draw(st.none() | st.integers(1, 4096)),
        temperature=draw(st.none() | st.floats(0, 2)),
        top_p=draw(st.none() | st.floats(0, 1)),
        output_schema=draw(st.none() | st.builds(OutputSchema, NAMES, st.just(CLOSED), st.booleans())),
        reasoning_effort=draw(st.sampled_from([None, "low", "high"])),
    )


@settings(deadline=None)
@given(requests())
def test_a_request_comes_back_from_either_format_as_it_was(request: Request) -> None:
    for codec in CODECS:
        assert codec.encode_request(request, model="m", stream=False).dropped == ()
        assert again(codec, request) == request


@settings(deadline=None)
@given(requests())
def test_a_conversation_moves_from_chat_to_responses_and_back_without_loss(request: Request) -> None:
    there = again(RESPONSES, again(CHAT, request))
    assert again(CHAT, there) == request


@settings(deadline=None)
@given(requests())
def test_what_is_read_from_one_format_is_written_in_it_alike(request: Request) -> None:
    for codec in CODECS:
        body = written(codec, request)
        assert written(codec, codec.decode_request(body)) == body
