"""Requests of Ollama's chat: read without loss, written as the server wants them."""

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
from resilient_ai.models.wire.ollama import Ollama
from resilient_ai.models.wire.portability import unportable

CODEC = Ollama()
SCHEMA: dict[str, JSON] = {"type": "object", "properties": {"city": {"type": "string"}}}
USER = Message("user", (Text("Hi"),))
HI: JSON = {"role": "user", "content": "Hi"}


def written(request: Request, codec: Ollama = CODEC, *, stream: bool = False) -> dict[str, JSON]:
    body: dict[str, JSON] = json.loads(codec.encode_request(request, model="m", stream=stream).body)
    return body


def dropped(request: Request) -> tuple[str, ...]:
    return CODEC.encode_request(request, model="m", stream=False).dropped


def test_every_field_has_its_place_and_goes_back_to_it() -> None:
    body: dict[str, JSON] = {
        "model": "m",
        "stream": False,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is this?", "images": ["/9j/4AAQ", "iVBORw0KGgoAAA"]},
            {
                "role": "assistant",
                "content": "Let me look.",
                "thinking": "hm",
                "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": {"at": "sky"}}}],
            },
            {"role": "tool", "content": "Blue", "tool_call_id": "c1", "tool_name": "look"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA}}
        ],
        "format": SCHEMA,
        "think": True,
        "keep_alive": "5m",
        "options": {
            "num_predict": 64,
            "temperature": 0.5,
            "top_p": 0.9,
            "stop": ["END"],
            "seed": 7,
            "num_ctx": 4096,
        },
    }
    request = CODEC.decode_request(body)
    assert request == Request(
        messages=(
            Message("system", (Text("Be brief."),)),
            Message(
                "user",
                (
                    Text("What is this?"),
                    Image(data="/9j/4AAQ", media_type="image/jpeg"),
                    Image(data="iVBORw0KGgoAAA", media_type="image/png"),
                ),
            ),
            Message(
                "assistant",
                (
                    Reasoning("hm", {"thinking": True}),
                    Text("Let me look."),
                    ToolCall("c1", "look", '{"at":"sky"}'),
                ),
            ),
            Message("tool", (ToolResult("c1", "Blue", "look"),)),
        ),
        tools=(Tool("look", "Looks.", SCHEMA),),
        max_tokens=64,
        temperature=0.5,
        top_p=0.9,
        stop=("END",),
        seed=7,
        output_schema=OutputSchema("answer", SCHEMA),
        extra={"think": True, "keep_alive": "5m", "num_ctx": 4096},
        extra_format="ollama",
    )
    assert written(request) == body
    assert dropped(request) == ()
    assert unportable(request) is None


def test_results_without_identifiers_find_their_calls_by_name_and_order() -> None:
    def call(name: str) -> JSON:
        return {"function": {"name": name, "arguments": {}}}

    turn: list[JSON] = [
        {"role": "assistant", "content": "", "tool_calls": [call("f"), call("g")]},
        {"role": "tool", "tool_name": "g", "content": "2"},
        {"role": "tool", "content": "1"},
    ]
    messages = CODEC.decode_request({"messages": [HI, *turn, *turn]}).messages
    calls = [part for message in messages for part in message.parts if isinstance(part, ToolCall)]
    results = [part for message in messages for part in message.parts if isinstance(part, ToolResult)]
    assert len({part.id for part in calls}) == 4
    assert [(part.call_id, part.name) for part in results] == [
        (calls[1].id, "g"),
        (calls[0].id, "f"),
        (calls[3].id, "g"),
        (calls[2].id, "f"),
    ]


def test_the_model_s_own_settings_are_sent_with_every_request() -> None:
    body = written(Request((USER,), max_tokens=5), Ollama(num_ctx=8192, keep_alive=0), stream=True)
    assert body["options"] == {"num_ctx": 8192, "num_predict": 5}
    assert body["keep_alive"] == 0
    assert body["stream"] is True
    own = Request((USER,), extra={"num_ctx": 64, "keep_alive": "1h", "options": {"mirostat": 1}})
    assert written(own, Ollama(num_ctx=8192, keep_alive=0))["options"] == {"num_ctx": 64, "mirostat": 1}


def test_a_picture_goes_by_value_only_and_the_error_names_its_field() -> None:
    request = Request((USER, Message("user", (Image(url="https://x.test/a.png"),))))
    with pytest.raises(Unportable, match=r"messages\[1\]\.image\.url"):
        written(request)


def test_forbidden_tools_are_not_shown_and_an_enforced_choice_is_dropped_by_name() -> None:
    tools = (Tool("f"),)
    assert "tools" not in written(Request((USER,), tools=tools, tool_choice="none"))
    assert dropped(Request((USER,), tools=tools, tool_choice="none")) == ()
    assert dropped(Request((USER,), tools=tools, tool_choice="required")) == ("tool_choice",)
    assert dropped(Request((USER,), tools=tools, tool_choice="tool:f")) == ("tool_choice",)


def test_what_has_no_form_is_dropped_by_name() -> None:
    request = Request(
        (Message("user", (Text("Hi"),), "ann"),),
        tools=(Tool("f", strict=True),),
        parallel_tool_calls=False,
        reasoning_effort="low",
        extra={"user": "u"},
        extra_format="openai-chat",
    )
    assert dropped(request) == ("name", "parallel_tool_calls", "strict", "reasoning_effort", "user")


def test_any_object_is_asked_for_by_one_word() -> None:
    request = Request((USER,), output_schema=OutputSchema("json", None, strict=False))
    assert written(request)["format"] == "json"
    assert CODEC.decode_request(written(request)).output_schema == OutputSchema("json", None, strict=False)


def test_arguments_that_are_no_object_survive_as_text() -> None:
    request = Request((USER, Message("assistant", (ToolCall("a", "look", '{"at": "sk'),))))
    assert CODEC.decode_request(written(request)).messages[1].parts == (ToolCall("a", "look", '{"at": "sk'),)


def test_a_bound_of_minus_one_is_none() -> None:
    assert CODEC.decode_request({"messages": [HI], "options": {"num_predict": -1}}).max_tokens is None


def test_another_models_thoughts_are_left_out() -> None:
    thoughts = Message("assistant", (Reasoning("hm", {"signature": "x"}),))
    assert written(Request((USER, thoughts)))["messages"] == [HI]


def test_a_field_nobody_knows_goes_back_to_ollama_and_nowhere_else() -> None:
    message: JSON = {"role": "user", "content": "Hi", "audio": ["AA"]}
    request = CODEC.decode_request({"messages": [message]})
    assert unportable(request) == "messages[0].audio"
    assert written(request)["messages"] == [message]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"messages": [{"role": "robot", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "user", "content": "Hi", "images": "AA"}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": 5}}]}]},
        {"messages": [HI], "options": []},
        {"messages": [HI], "options": {"stop": 5}},
    ],
)
def test_what_is_no_request_is_malformed(body: dict[str, JSON]) -> None:
    with pytest.raises(Malformed):
        CODEC.decode_request(body)
