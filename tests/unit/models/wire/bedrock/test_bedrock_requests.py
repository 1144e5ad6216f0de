"""Requests of Bedrock's Converse: read without loss, written as botocore's own model of the service takes them."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

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
from resilient_ai.models.wire.bedrock import Bedrock
from resilient_ai.models.wire.portability import unportable

CODEC = Bedrock()
SCHEMA: dict[str, JSON] = {"type": "object", "properties": {"city": {"type": "string"}}}
USER = Message("user", (Text("Hi"),))
HI: JSON = {"role": "user", "content": [{"text": "Hi"}]}
LOOK = Tool("look", "Looks.", SCHEMA)


@pytest.fixture(scope="module")
def service() -> Any:
    session = import_module("botocore.session").get_session()
    return session.get_service_model("bedrock-runtime")


def written(request: Request) -> dict[str, JSON]:
    body: dict[str, JSON] = json.loads(CODEC.encode_request(request, model="m", stream=False).body)
    return body


def dropped(request: Request) -> tuple[str, ...]:
    return CODEC.encode_request(request, model="m", stream=False).dropped


def test_every_field_has_its_place_and_goes_back_to_it() -> None:
    use: JSON = {"toolUseId": "c1", "name": "look", "input": {"at": "sky"}}
    definition: JSON = {
        "schema": '{"type":"object","properties":{"city":{"type":"string"}}}',
        "name": "place",
    }
    body: dict[str, JSON] = {
        "system": [{"text": "Be brief."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"text": "What is this?"},
                    {"image": {"format": "jpeg", "source": {"bytes": "/9j/4AAQ"}}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "EqQB"}}},
                    {"reasoningContent": {"redactedContent": "AAAA"}},
                    {"text": "Let me look."},
                    {"toolUse": use},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "c1", "content": [{"text": "Blue"}], "status": "error"}},
                    {"text": "Well?"},
                ],
            },
        ],
        "inferenceConfig": {"maxTokens": 64, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "look",
                        "description": "Looks.",
                        "inputSchema": {"json": SCHEMA},
                        "strict": True,
                    }
                }
            ],
            "toolChoice": {"tool": {"name": "look"}},
        },
        "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}},
        "additionalModelRequestFields": {"top_k": 3},
    }
    request = CODEC.decode_request(body)
    assert request == Request(
        messages=(
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("What is this?"), Image(data="/9j/4AAQ", media_type="image/jpeg"))),
            Message(
                "assistant",
                (
                    Reasoning("hm", {"bedrock_signature": "EqQB"}),
                    Reasoning("", {"bedrock_redacted": "AAAA"}),
                    Text("Let me look."),
                    ToolCall("c1", "look", '{"at":"sky"}'),
                ),
            ),
            Message("tool", (ToolResult("c1", "Blue", "look", is_error=True),)),
            Message("user", (Text("Well?"),)),
        ),
        tools=(Tool("look", "Looks.", SCHEMA, strict=True),),
        tool_choice="tool:look",
        max_tokens=64,
        temperature=0.5,
        top_p=0.9,
        stop=("END",),
        output_schema=OutputSchema("place", SCHEMA),
        extra={"additionalModelRequestFields": {"top_k": 3}},
        extra_format="bedrock",
    )
    assert written(request) == body
    assert dropped(request) == ()
    assert unportable(request) is None


@pytest.mark.parametrize(
    "request_",
    [
        Request((USER,)),
        Request((Message("system", (Text("Be brief."),)),)),
        Request(
            (Message("system", (Text("Be brief."),)), USER), max_tokens=5, temperature=0.5, stop=("END",)
        ),
        Request((USER,), tools=(LOOK, Tool("hear")), tool_choice="required"),
        Request((USER,), tools=(LOOK,), tool_choice="auto"),
        Request((USER,), tools=(LOOK,), tool_choice="tool:look", output_schema=OutputSchema("a b", SCHEMA)),
        Request(
            (
                USER,
                Message("assistant", (Text("I look."), ToolCall("call:1.x", "look", '{"at": "sk'))),
                Message("tool", (ToolResult("call:1.x", "Blue", "look"),)),
                USER,
            ),
            tools=(LOOK,),
        ),
    ],
)
def test_what_is_written_is_what_botocores_model_of_the_service_takes(
    service: Any, request_: Request
) -> None:
    shape = service.operation_model("Converse").input_shape
    report = (
        import_module("botocore.validate")
        .ParamValidator()
        .validate({"modelId": "m", **written(request_)}, shape)
    )
    assert not report.has_errors(), report.generate_report()


def test_where_the_prompt_is_cut_for_the_cache_is_no_obstacle_and_a_guardrail_is_one() -> None:
    point: JSON = {"cachePoint": {"type": "default"}}
    turn: JSON = {"role": "user", "content": [{"text": "Hi"}, point]}
    tools: JSON = {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}, point]}
    request = CODEC.decode_request(
        {"messages": [turn], "toolConfig": tools, "system": [{"text": "Be."}, point]}
    )
    assert unportable(request) is None
    assert request.extra == {}
    guarded = CODEC.decode_request({"messages": [HI], "guardrailConfig": {"guardrailIdentifier": "g"}})
    assert unportable(guarded) == "guardrailConfig"


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ({"document": {"name": "a", "source": {"text": "b"}}}, "messages[0].content[0].document"),
        (
            {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://x"}}}},
            "messages[0].content[0].image",
        ),
        (
            {"toolResult": {"toolUseId": "a", "content": [{"image": {"format": "png"}}]}},
            "messages[0].content[0].toolResult",
        ),
        (
            {"toolUse": {"toolUseId": "a", "name": "f", "type": "server_tool_use"}},
            "messages[0].content[0].toolUse",
        ),
    ],
)
def test_what_only_bedrock_can_read_keeps_the_request_there(block: JSON, field: str) -> None:
    body: dict[str, JSON] = {"messages": [{"role": "user", "content": [block]}]}
    request = CODEC.decode_request(body)
    assert unportable(request) == field
    assert written(request) == body


def test_tools_that_run_at_the_provider_keep_the_request_there() -> None:
    tools: JSON = {"tools": [{"systemTool": {"name": "nova_grounding"}}]}
    request = CODEC.decode_request({"messages": [HI], "toolConfig": tools})
    assert unportable(request) == "toolConfig"
    assert written(request)["toolConfig"] == tools


def test_what_has_no_form_is_dropped_by_name() -> None:
    request = Request(
        (Message("user", (Text("Hi"),), "ann"),),
        tools=(LOOK,),
        tool_choice="none",
        parallel_tool_calls=False,
        seed=7,
        output_schema=OutputSchema("json", None, strict=False),
        reasoning_effort="low",
        extra={"user": "u"},
        extra_format="openai-chat",
    )
    told = ("name", "parallel_tool_calls", "tool_choice", "seed", "output_schema", "reasoning_effort", "user")
    assert dropped(request) == told


@pytest.mark.parametrize(
    "image", [Image(url="https://x.test/a.png"), Image(data="AA", media_type="image/tiff")]
)
def test_a_picture_goes_by_value_and_in_four_kinds_only(image: Image) -> None:
    with pytest.raises(Unportable, match=r"messages\[0\]\.image"):
        written(Request((Message("user", (image,)),)))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"messages": [{"role": "robot", "content": [{"text": "Hi"}]}]},
        {"messages": [{"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": [{"text": 5}]}]},
        {"messages": [HI], "inferenceConfig": {"maxTokens": "many"}},
        {"messages": [HI], "inferenceConfig": {"stopSequences": "END"}},
        {"messages": [HI], "toolConfig": {"tools": "none"}},
        {
            "messages": [HI],
            "outputConfig": {"textFormat": {"structure": {"jsonSchema": {"schema": '{"type": "obj'}}}},
        },
    ],
)
def test_what_is_no_request_is_refused(body: dict[str, JSON]) -> None:
    with pytest.raises(Malformed):
        CODEC.decode_request(body)
