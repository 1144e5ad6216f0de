"""Requests of Anthropic's messages: read without loss, written as the API wants them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

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
from resilient_ai.models.wire import Malformed, Unportable
from resilient_ai.models.wire.anthropic import Anthropic
from resilient_ai.models.wire.portability import unportable

CODEC = Anthropic()
CACHE: JSON = {"type": "ephemeral"}
SCHEMA: dict[str, JSON] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
USER = Message("user", (Text("Hi"),))


def written(request: Request, model: str = "claude-sonnet-4-6") -> dict[str, JSON]:
    body: dict[str, JSON] = json.loads(CODEC.encode_request(request, model=model, stream=False).body)
    return body


def dropped(request: Request, model: str = "claude-sonnet-4-6") -> tuple[str, ...]:
    return CODEC.encode_request(request, model=model, stream=False).dropped


def test_every_field_has_its_place_and_goes_back_to_it() -> None:
    body: dict[str, JSON] = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 1024,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": CACHE}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"},
                    },
                    {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
                    {"type": "redacted_thinking", "data": "Emw"},
                    {"type": "text", "text": "Let me look."},
                    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "sky"}},
                    {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Blue"},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": "Oops", "is_error": True},
                    {"type": "text", "text": "Go on.", "cache_control": CACHE},
                ],
            },
        ],
        "tools": [
            {
                "name": "look",
                "description": "Looks.",
                "input_schema": SCHEMA,
                "strict": True,
                "eager_input_streaming": True,
                "cache_control": CACHE,
            }
        ],
        "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"},
        "thinking": {"type": "adaptive"},
        "metadata": {"user_id": "u1"},
    }
    request = CODEC.decode_request(body)
    assert request == Request(
        messages=(
            Message("system", (Text("Be brief."),)),
            Message(
                "user",
                (
                    Text("What is this?"),
                    Image(data="/9j/", media_type="image/jpeg"),
                    Image(url="https://x.test/a.png"),
                ),
            ),
            Message(
                "assistant",
                (
                    Reasoning("hm", {"signature": "EqQB"}),
                    Reasoning("", {"redacted_thinking": "Emw"}),
                    Text("Let me look."),
                    ToolCall("toolu_1", "look", '{"at":"sky"}'),
                    ToolCall("toolu_2", "look", "{}"),
                ),
            ),
            Message(
                "tool",
                (ToolResult("toolu_1", "Blue", "look"), ToolResult("toolu_2", "Oops", "look", is_error=True)),
            ),
            Message("user", (Text("Go on."),)),
        ),
        tools=(Tool("look", "Looks.", SCHEMA, strict=True),),
        tool_choice="tool:look",
        parallel_tool_calls=False,
        max_tokens=1024,
        temperature=0.5,
        stop=("END",),
        output_schema=OutputSchema("answer", SCHEMA),
        reasoning_effort="low",
        extra={
            "thinking": {"type": "adaptive"},
            "metadata": {"user_id": "u1"},
            "cache_control_at": {"0.0": CACHE, "4.0": CACHE, "tools.look": CACHE},
            "tool_options": {"look": {"eager_input_streaming": True}},
        },
        extra_format="anthropic",
    )
    assert written(request) == body
    assert dropped(request) == ()
    assert unportable(request) is None


def test_the_older_place_of_an_output_schema_is_read() -> None:
    body: dict[str, JSON] = {
        "messages": [{"role": "user", "content": "Hi"}],
        "output_format": {"type": "json_schema", "schema": {**SCHEMA, "title": "City"}},
    }
    assert CODEC.decode_request(body).output_schema == OutputSchema("City", {**SCHEMA, "title": "City"})


ANTHROPICS_OWN: list[tuple[str, JSON]] = [
    ("document", {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}}),
    ("image", {"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
    (
        "tool_result",
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": {}}]},
    ),
    ("text", {"type": "text", "text": "x", "citations": [{"type": "page_location"}]}),
    ("server_tool_use", {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
]


@pytest.mark.parametrize(("where", "block"), ANTHROPICS_OWN)
def test_what_only_anthropic_has_goes_back_to_it_and_nowhere_else(where: str, block: JSON) -> None:
    content: JSON = [{"type": "text", "text": "See"}, block]
    request = CODEC.decode_request({"messages": [{"role": "user", "content": content}]})
    field = f"messages[0].content[1].{where}"
    assert unportable(request) == field
    foreign = [part for message in request.messages for part in message.parts if isinstance(part, Foreign)]
    assert foreign == [Foreign("anthropic", field, block)]
    sent = written(request)["messages"]
    assert isinstance(sent, list)
    assert isinstance(sent[0], dict)
    blocks = sent[0]["content"]
    assert isinstance(blocks, list)
    assert block in blocks
    other = Request((Message("user", (Foreign("gemini", "contents[0].parts[0].inlineData", {}),)),))
    with pytest.raises(Unportable, match="inlineData"):
        written(other)


def test_a_tool_of_the_provider_keeps_a_request_from_other_formats() -> None:
    search: JSON = {"type": "web_search_20250305", "name": "web_search"}
    request = CODEC.decode_request({"messages": [{"role": "user", "content": "Hi"}], "tools": [search]})
    assert unportable(request) == "tools"
    assert written(request)["tools"] == [search]


def test_turns_of_one_role_become_one_and_results_stand_first() -> None:
    request = Request(
        (
            USER,
            Message("assistant", (Text("Let me look."),)),
            Message("assistant", (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}"))),
            Message("tool", (ToolResult("a", "1"),)),
            Message("user", (Text("Well?"),)),
            Message("tool", (ToolResult("b", "2"),)),
        )
    )
    turns = written(request)["messages"]
    assert isinstance(turns, list)
    kinds = [
        (
            turn["role"],
            turn["content"]
            if isinstance(turn["content"], str)
            else [block["type"] for block in turn["content"]],
        )
        for turn in json.loads(json.dumps(turns))
    ]
    assert kinds == [
        ("user", "Hi"),
        ("assistant", ["text", "tool_use", "tool_use"]),
        ("user", ["tool_result", "tool_result", "text"]),
    ]


def test_instructions_stand_outside_the_conversation_and_are_the_question_if_there_is_no_other() -> None:
    late = Request((USER, Message("system", (Text("Be brief."),))))
    assert written(late)["system"] == "Be brief."
    alone = written(Request((Message("system", (Text("Say hi."),)),)))
    assert alone["messages"] == [{"role": "user", "content": "Say hi."}]
    assert "system" not in alone


def test_blank_text_is_left_out_because_the_api_refuses_it() -> None:
    request = Request((USER, Message("assistant", (Text(""),)), Message("user", (Text(" "), Text("So?")))))
    assert written(request)["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "So?"}]}
    ]


def test_an_output_bound_is_always_sent() -> None:
    assert written(Request((USER,)))["max_tokens"] == 8192
    assert written(Request((USER,), max_tokens=7))["max_tokens"] == 7


def test_identifiers_of_calls_are_made_fit_and_unique() -> None:
    calls = Message("assistant", (ToolCall("functions.look:0", "look", "{}"),))
    result = Message("tool", (ToolResult("functions.look:0", "1"),))
    turns = json.loads(json.dumps(written(Request((USER, calls, result, calls, result)))["messages"]))
    used = [turn["content"][0]["id"] for turn in turns if turn["role"] == "assistant"]
    assert len(set(used)) == 2
    assert all(identity.replace("_", "").isalnum() for identity in used)
    assert [turn["content"][0]["tool_use_id"] for turn in turns[2::2]] == used


def test_arguments_that_are_no_object_survive_as_text() -> None:
    request = Request((USER, Message("assistant", (ToolCall("a", "look", '{"at": "sk'),))))
    assert CODEC.decode_request(written(request)).messages[1].parts == (ToolCall("a", "look", '{"at": "sk'),)


def test_another_models_thoughts_are_left_out() -> None:
    foreign = (Reasoning("hm"), Reasoning("so", {"thought": True}), Text("Hello"))
    assert written(Request((USER, Message("assistant", foreign))))["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
    ]


@pytest.mark.parametrize(
    ("request_", "model", "sent", "missing"),
    [
        (Request((USER,), temperature=1.7), "claude-sonnet-4-6", {"temperature": 1.0}, ("temperature",)),
        (Request((USER,), temperature=0.0), "claude-opus-4-7", {}, ("temperature",)),
        (Request((USER,), temperature=1.0), "claude-opus-4-7", {}, ()),
        (Request((USER,), top_p=0.5), "claude-opus-4-7", {}, ("top_p",)),
        (Request((USER,), top_p=0.5), "claude-haiku-4-5-20251001", {"top_p": 0.5}, ()),
        (Request((USER,), temperature=0.1, top_p=0.5), "kimi-k2", {"temperature": 0.1}, ("top_p",)),
        (
            Request((USER,), seed=1, stop=("\n", "END")),
            "claude-x",
            {"stop_sequences": ["END"]},
            ("stop", "seed"),
        ),
        (
            Request((USER,), reasoning_effort="minimal"),
            "claude-opus-4-5",
            {"output_config": {"effort": "low"}},
            (),
        ),
        (Request((USER,), reasoning_effort="high"), "claude-sonnet-4-5", {}, ("reasoning_effort",)),
        (Request((USER,), output_schema=OutputSchema("json", None)), "claude-x", {}, ("output_schema",)),
        (Request((USER,), tool_choice="required"), "claude-x", {}, ()),
        (Request((replace(USER, name="ann"),)), "claude-x", {}, ("name",)),
        (Request((USER,), extra={"user": "u"}, extra_format="openai-chat"), "claude-x", {}, ("user",)),
        (Request((USER,), extra={"top_k": 5}), "claude-x", {"top_k": 5}, ()),
    ],
)
def test_what_a_model_would_refuse_is_dropped_by_name(
    request_: Request, model: str, sent: dict[str, JSON], missing: tuple[str, ...]
) -> None:
    body = written(request_, model)
    assert {
        key: value for key, value in body.items() if key not in ("model", "messages", "max_tokens")
    } == sent
    assert dropped(request_, model) == missing


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        ("auto", None, {"type": "auto"}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        ("tool:look", None, {"type": "tool", "name": "look"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (None, None, None),
    ],
)
def test_a_choice_among_tools_is_written(choice: str | None, *, parallel: bool | None, sent: JSON) -> None:
    request = Request((USER,), tools=(Tool("look"),), tool_choice=choice, parallel_tool_calls=parallel)
    assert written(request).get("tool_choice") == sent


def test_a_schema_is_closed_and_constraints_become_words() -> None:
    schema: dict[str, JSON] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "description": "How many."},
            "tags": {"type": "array", "items": {"type": "string", "format": "uuid"}, "minItems": 1},
            "kind": {"oneOf": [{"const": "a"}, {"$ref": "#/$defs/B"}]},
        },
        "$defs": {"B": {"type": "string", "format": "odd"}},
    }
    config = written(Request((USER,), output_schema=OutputSchema("x", schema)))["output_config"]
    assert config == {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {
                    "n": {"type": "integer", "description": 'How many. Must also satisfy {"minimum":1}'},
                    "tags": {"type": "array", "items": {"type": "string", "format": "uuid"}, "minItems": 1},
                    "kind": {"anyOf": [{"const": "a"}, {"$ref": "#/$defs/B"}]},
                },
                "$defs": {"B": {"type": "string", "description": 'Must also satisfy {"format":"odd"}'}},
                "additionalProperties": False,
            },
        }
    }


def test_a_schema_that_cannot_be_closed_is_dropped_by_name() -> None:
    free: dict[str, JSON] = {"type": "object", "additionalProperties": {"type": "integer"}}
    request = Request(
        (USER,), output_schema=OutputSchema("x", free), tools=(Tool("f", parameters=free, strict=True),)
    )
    assert dropped(request) == ("output_schema",)
    assert written(request)["tools"] == [{"name": "f", "input_schema": free}]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"messages": "Hi"},
        {"messages": [{"content": "Hi"}]},
        {"messages": [{"role": "robot", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
        {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": "many"},
        {"messages": [{"role": "user", "content": "Hi"}], "stop_sequences": "END"},
        {"messages": [{"role": "user", "content": "Hi"}], "tools": {}},
    ],
)
def test_what_is_no_request_is_malformed(body: dict[str, JSON]) -> None:
    with pytest.raises(Malformed):
        CODEC.decode_request(body)


def test_what_cannot_be_written_names_its_field() -> None:
    picture = Message("assistant", (Image(data="AA", media_type="image/png"),))
    with pytest.raises(Unportable, match=r"messages\[0\]"):
        written(Request((picture,)))
    with pytest.raises(Unportable, match="metadata"):
        written(Request((USER,), extra={"metadata": object()}))  # type: ignore[dict-item]  # what a caller may do
