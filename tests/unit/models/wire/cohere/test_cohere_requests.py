"""Requests of Cohere's chat: read without loss, written as the server wants them, in the types of Cohere's own client."""

from __future__ import annotations

import json

import pytest

from resilient_ai.messages import (
    JSON,
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
from resilient_ai.models.wire import Malformed, Unportable
from resilient_ai.models.wire.cohere import Cohere
from resilient_ai.models.wire.portability import unportable

CODEC = Cohere()
SCHEMA: dict[str, JSON] = {"type": "object", "properties": {"city": {"type": "string"}}}
USER = Message("user", (Text("Hi"),))
HI: JSON = {"role": "user", "content": "Hi"}
LOOK = Tool("look", "Looks.", SCHEMA)


def written(request: Request) -> dict[str, JSON]:
    body: dict[str, JSON] = json.loads(CODEC.encode_request(request, model="m", stream=False).body)
    return body


def dropped(request: Request) -> tuple[str, ...]:
    return CODEC.encode_request(request, model="m", stream=False).dropped


def test_every_field_has_its_place_and_goes_back_to_it() -> None:
    call: JSON = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at":"sky"}'}}
    body: dict[str, JSON] = {
        "model": "m",
        "stream": False,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {
                        "type": "image_url",
                        "image_url": {"url": "data:image/jpeg;base64,/9j/4AAQ", "detail": "low"},
                    },
                ],
            },
            {
                "role": "assistant",
                "tool_plan": "I will look.",
                "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Let me see."}],
                "tool_calls": [call],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "Blue"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA}}
        ],
        "tool_choice": "REQUIRED",
        "strict_tools": True,
        "max_tokens": 64,
        "temperature": 0.5,
        "p": 0.9,
        "stop_sequences": ["END"],
        "seed": 7,
        "safety_mode": "STRICT",
        "k": 40,
    }
    request = CODEC.decode_request(body)
    assert request == Request(
        messages=(
            Message("system", (Text("Be brief."),)),
            Message(
                "user",
                (Text("What is this?"), Image(data="/9j/4AAQ", media_type="image/jpeg", detail="low")),
            ),
            Message(
                "assistant",
                (
                    Reasoning("I will look.", {"tool_plan": True}),
                    Reasoning("hm", {"cohere_thinking": True}),
                    Text("Let me see."),
                    ToolCall("c1", "look", '{"at":"sky"}'),
                ),
            ),
            Message("tool", (ToolResult("c1", "Blue", "look"),)),
        ),
        tools=(Tool("look", "Looks.", SCHEMA, strict=True),),
        tool_choice="required",
        max_tokens=64,
        temperature=0.5,
        top_p=0.9,
        stop=("END",),
        seed=7,
        extra={"safety_mode": "STRICT", "k": 40},
        extra_format="cohere",
    )
    assert written(request) == body
    assert dropped(request) == ()
    assert unportable(request) is None


def test_results_in_documents_are_read_as_the_text_the_model_reads() -> None:
    blocks: list[JSON] = [
        {"type": "document", "document": {"id": "1", "data": {"sky": "blue"}}},
        {"type": "document", "document": {"data": '{"sun": "up"}'}},
        {"type": "text", "text": "That is all."},
    ]
    request = CODEC.decode_request(
        {"messages": [HI, {"role": "tool", "tool_call_id": "c1", "content": blocks}]}
    )
    assert request.messages[1].parts == (ToolResult("c1", '{"sky":"blue"}\n{"sun": "up"}\nThat is all.'),)
    assert unportable(request) is None


def test_documents_that_cohere_reads_into_the_prompt_keep_the_request_there() -> None:
    assert unportable(CODEC.decode_request({"messages": [HI], "documents": ["A fact."]})) == "documents"
    assert unportable(CODEC.decode_request({"messages": [HI], "logprobs": True})) == "logprobs"
    assert unportable(CODEC.decode_request({"messages": [HI], "documents": [], "logprobs": False})) is None


def test_a_choice_of_one_tool_is_that_tool_alone() -> None:
    body = written(Request((USER,), tools=(LOOK, Tool("hear")), tool_choice="tool:look"))
    assert body["tool_choice"] == "REQUIRED"
    tools = body["tools"]
    assert isinstance(tools, list)
    assert len(tools) == 1
    assert written(Request((USER,), tools=(LOOK,), tool_choice="none"))["tool_choice"] == "NONE"
    assert "tool_choice" not in written(Request((USER,), tools=(LOOK,), tool_choice="auto"))


def test_a_schema_is_asked_for_but_not_beside_tools_where_cohere_refuses_it() -> None:
    schema = OutputSchema("answer", SCHEMA)
    assert written(Request((USER,), output_schema=schema))["response_format"] == {
        "type": "json_object",
        "json_schema": SCHEMA,
    }
    assert CODEC.decode_request(written(Request((USER,), output_schema=schema))).output_schema == schema
    both = Request((USER,), tools=(LOOK,), output_schema=schema)
    assert "response_format" not in written(both)
    assert dropped(both) == ("output_schema",)
    anything = OutputSchema("json", None, strict=False)
    assert CODEC.decode_request(written(Request((USER,), output_schema=anything))).output_schema == anything


def test_what_has_no_form_is_dropped_by_name() -> None:
    request = Request(
        (Message("user", (Text("Hi"),), "ann"),),
        tools=(Tool("f", strict=True), Tool("g")),
        parallel_tool_calls=False,
        reasoning_effort="low",
        extra={"user": "u"},
        extra_format="openai-chat",
    )
    assert dropped(request) == ("name", "parallel_tool_calls", "strict", "reasoning_effort", "user")


def test_the_highest_share_cohere_takes_stands_for_all() -> None:
    assert written(Request((USER,), top_p=1.0))["p"] == 0.99


def test_another_models_thoughts_are_left_out() -> None:
    thoughts = Message("assistant", (Reasoning("hm", {"signature": "x"}),))
    assert written(Request((USER, thoughts)))["messages"] == [HI]


def test_a_picture_stands_in_the_users_turn_only() -> None:
    request = Request((USER, Message("assistant", (Image(data="/9j/", media_type="image/jpeg"),))))
    with pytest.raises(Unportable, match=r"messages\[1\]"):
        written(request)


def test_a_block_and_a_field_nobody_knows_go_back_to_cohere_and_nowhere_else() -> None:
    block: JSON = {"role": "user", "content": [{"type": "audio", "audio": "AA"}]}
    request = CODEC.decode_request({"messages": [block]})
    assert unportable(request) == "messages[0].content[0].audio"
    assert written(request)["messages"] == [block]
    field: JSON = {"role": "user", "content": "Hi", "mood": "fine"}
    request = CODEC.decode_request({"messages": [field]})
    assert unportable(request) == "messages[0].mood"
    assert written(request)["messages"] == [field]


def test_citations_of_an_earlier_answer_are_a_record_and_no_obstacle() -> None:
    turn: JSON = {"role": "assistant", "content": "Blue.", "citations": [{"start": 0, "end": 4}]}
    assert unportable(CODEC.decode_request({"messages": [HI, turn, HI]})) is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"messages": [{"role": "robot", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": 5}}]}]},
        {"messages": [HI], "stop_sequences": "END"},
        {"messages": [HI], "max_tokens": "many"},
        {"messages": [HI], "tools": [{"type": "function", "function": {"name": "f", "parameters": "none"}}]},
    ],
)
def test_what_is_no_request_is_refused(body: dict[str, JSON]) -> None:
    with pytest.raises(Malformed):
        CODEC.decode_request(body)
