"""Requests of Gemini: read without loss, written as the API wants them."""

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
from resilient_ai.models.wire.gemini import Gemini
from resilient_ai.models.wire.portability import unportable

CODEC = Gemini()
SCHEMA: dict[str, JSON] = {"type": "object", "properties": {"city": {"type": "string"}}}
USER = Message("user", (Text("Hi"),))
HI: JSON = {"role": "user", "parts": [{"text": "Hi"}]}


def written(request: Request, model: str = "gemini-2.5-flash") -> dict[str, JSON]:
    body: dict[str, JSON] = json.loads(CODEC.encode_request(request, model=model, stream=False).body)
    return body


def dropped(request: Request, model: str = "gemini-2.5-flash") -> tuple[str, ...]:
    return CODEC.encode_request(request, model=model, stream=False).dropped


def test_every_field_has_its_place_and_goes_back_to_it() -> None:
    body: dict[str, JSON] = {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "What is this?"},
                    {"inlineData": {"mimeType": "image/jpeg", "data": "/9j/"}},
                    {"fileData": {"mimeType": "image/png", "fileUri": "https://x.test/a.png"}},
                ],
            },
            {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True, "thoughtSignature": "Ci"},
                    {"text": "Let me look.", "thoughtSignature": "Ej"},
                    {"functionCall": {"name": "look", "args": {"at": "sky"}}, "thoughtSignature": "Cq"},
                    {"functionCall": {"id": "fc_2", "name": "look", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "look", "response": {"output": "Blue"}}},
                    {"functionResponse": {"id": "fc_2", "name": "look", "response": {"error": "Oops"}}},
                ],
            },
            HI,
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "look",
                        "description": "Looks.",
                        "parametersJsonSchema": SCHEMA,
                        "responseJsonSchema": {"type": "string"},
                    }
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "generationConfig": {
            "maxOutputTokens": 64,
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 40,
            "seed": 7,
            "stopSequences": ["END"],
            "thinkingConfig": {"includeThoughts": True},
        },
    }
    request = CODEC.decode_request(body)
    first, second = (part for part in request.messages[2].parts if isinstance(part, ToolCall))
    assert request == Request(
        messages=(
            Message("system", (Text("Be brief."),)),
            Message(
                "user",
                (
                    Text("What is this?"),
                    Image(data="/9j/", media_type="image/jpeg"),
                    Image(url="https://x.test/a.png", media_type="image/png"),
                ),
            ),
            Message(
                "assistant",
                (
                    Reasoning("hm", {"thought": True, "thoughtSignature": "Ci"}),
                    Reasoning("", {"textSignature": "Ej"}),
                    Text("Let me look."),
                    ToolCall(first.id, "look", '{"at":"sky"}', {"thoughtSignature": "Cq"}),
                    ToolCall("fc_2", "look", "{}", {"functionCallId": True}),
                ),
            ),
            Message(
                "tool",
                (ToolResult(first.id, "Blue", "look"), ToolResult("fc_2", "Oops", "look", is_error=True)),
            ),
            Message("user", (Text("Hi"),)),
        ),
        tools=(Tool("look", "Looks.", SCHEMA),),
        tool_choice="tool:look",
        max_tokens=64,
        temperature=0.5,
        top_p=0.9,
        stop=("END",),
        seed=7,
        extra={
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
            "topK": 40,
            "thinkingConfig": {"includeThoughts": True},
            "functionOptions": {"look": {"responseJsonSchema": {"type": "string"}}},
        },
        extra_format="gemini",
    )
    assert first.id != second.id
    assert written(request) == body
    assert dropped(request) == ()
    assert unportable(request) is None


def test_either_spelling_of_names_and_the_older_schema_are_read() -> None:
    told: JSON = {
        "type": "OBJECT",
        "properties": {
            "a": {"type": "STRING", "nullable": True},
            "b": {"type": "ARRAY", "items": {"type": "NUMBER"}, "maxItems": "3"},
        },
    }
    meant: JSON = {
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"]},
            "b": {"type": "array", "items": {"type": "number"}, "maxItems": 3},
        },
    }
    request = CODEC.decode_request(
        {
            "system_instruction": {"parts": {"text": "Be brief."}},
            "contents": {"parts": [{"inline_data": {"mime_type": "image/png", "data": "AA"}}]},
            "tools": [{"function_declarations": [{"name": "f", "parameters": told}]}],
            "tool_config": {"function_calling_config": {"mode": "any"}},
            "generation_config": {"response_mime_type": "application/json", "response_schema": told},
        }
    )
    assert request.messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Image(data="AA", media_type="image/png"),)),
    )
    assert request.tools == (Tool("f", None, meant),)  # type: ignore[arg-type]  # an object
    assert request.tool_choice == "required"
    assert request.output_schema == OutputSchema("answer", meant)  # type: ignore[arg-type]  # an object


def test_results_without_identifiers_find_their_calls_by_name_and_order() -> None:
    def call(name: str) -> JSON:
        return {"functionCall": {"name": name, "args": {}}}

    def result(name: str, text: str) -> JSON:
        return {"functionResponse": {"name": name, "response": {"output": text}}}

    turn: list[JSON] = [
        {"role": "model", "parts": [call("f"), call("g"), call("f")]},
        {"role": "user", "parts": [result("f", "1"), result("f", "2"), result("g", "3")]},
    ]
    messages = CODEC.decode_request({"contents": [HI, *turn, *turn]}).messages
    calls = [part for message in messages for part in message.parts if isinstance(part, ToolCall)]
    results = [part for message in messages for part in message.parts if isinstance(part, ToolResult)]
    assert len({call.id for call in calls}) == 6
    assert [part.call_id for part in results] == [calls[i].id for i in (0, 2, 1, 3, 5, 4)]


def test_results_are_written_together_in_the_order_of_their_calls() -> None:
    request = Request(
        (
            USER,
            Message("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))),
            Message("tool", (ToolResult("b", "2"),)),
            Message("tool", (ToolResult("a", "1"),)),
        )
    )
    contents = written(request)["contents"]
    assert isinstance(contents, list)
    assert contents[2:] == [
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "f", "response": {"output": "1"}}},
                {"functionResponse": {"name": "f", "response": {"output": "2"}}},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("content", "response"),
    [
        ("Blue", {"output": "Blue"}),
        ('{"a": 1}', {"a": 1}),
        ("[1]", {"output": "[1]"}),
        ("", {"output": ""}),
        ('{"output":"x"}', {"output": '{"output":"x"}'}),
        ('{"cut', {"output": '{"cut'}),
    ],
)
def test_a_result_is_an_object_and_stays_what_it_was(content: str, response: JSON) -> None:
    request = Request((USER, Message("tool", (ToolResult("a", content, "f"),))))
    body = written(request)
    contents = body["contents"]
    assert isinstance(contents, list)
    assert contents[1] == {
        "role": "user",
        "parts": [{"functionResponse": {"name": "f", "response": response}}],
    }
    part = CODEC.decode_request(body).messages[1].parts[0]
    assert isinstance(part, ToolResult)
    assert part.content.replace(" ", "") == content.replace(" ", "")


def test_a_result_whose_tool_nobody_knows_names_its_field() -> None:
    with pytest.raises(Unportable, match=r"messages\[0\]"):
        written(Request((Message("tool", (ToolResult("a", "1"),)),)))


def test_a_call_of_another_model_is_signed_for_models_that_insist() -> None:
    request = Request((USER, Message("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")))))

    def signatures(model: str) -> list[JSON]:
        contents = json.loads(json.dumps(written(request, model)["contents"]))
        return [part.get("thoughtSignature") for part in contents[1]["parts"]]

    assert signatures("gemini-2.5-pro") == [None, None]
    for model in ("gemini-3-pro-preview", "gemini-3.1-flash", "gemini-flash-latest"):
        assert signatures(model) == ["skip_thought_signature_validator", None]
    again = CODEC.decode_request(written(request, "gemini-3-pro-preview"))
    assert [part.opaque for part in again.messages[1].parts if isinstance(part, ToolCall)] == [{}, {}]


@pytest.mark.parametrize(
    "part",
    [
        {"inlineData": {"mimeType": "application/pdf", "data": "AA"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AA"}},
        {
            "fileData": {
                "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x",
                "mimeType": "image/png",
            }
        },
        {"fileData": {"fileUri": "gs://bucket/a.png", "mimeType": "image/png"}},
        {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}},
        {"executableCode": {"language": "PYTHON", "code": "print()"}},
        {"text": "x", "videoMetadata": {"fps": 1}},
    ],
)
def test_what_only_gemini_has_goes_back_to_it_and_nowhere_else(part: JSON) -> None:
    request = CODEC.decode_request({"contents": [{"role": "user", "parts": [{"text": "See"}, part]}]})
    found = unportable(request)
    assert found is not None
    assert found.startswith("contents[0].parts[1].")
    assert written(request)["contents"] == [{"role": "user", "parts": [{"text": "See"}, part]}]


GOOGLES_OWN: list[tuple[dict[str, JSON], str | None]] = [
    ({"tools": [{"googleSearch": {}}]}, "tools"),
    ({"cachedContent": "cachedContents/1"}, "cachedContent"),
    ({"generationConfig": {"candidateCount": 2}}, "candidateCount"),
    ({"generationConfig": {"responseModalities": ["IMAGE"]}}, "responseModalities"),
    (
        {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a", "b"]}}},
        "toolConfig",
    ),
    ({"generationConfig": {"candidateCount": 1}}, None),
]


@pytest.mark.parametrize(("fields", "blocker"), GOOGLES_OWN)
def test_what_only_google_can_do_keeps_a_request_from_other_formats(
    fields: dict[str, JSON], blocker: str | None
) -> None:
    request = CODEC.decode_request({"contents": [HI], **fields})
    assert unportable(request) == blocker
    if blocker is not None:
        assert written(request) == {"contents": [HI], **fields}


@pytest.mark.parametrize(
    ("request_", "model", "missing"),
    [
        (Request((USER,), reasoning_effort="high"), "gemini-2.0-flash", ("reasoning_effort",)),
        (Request((USER,), parallel_tool_calls=False), "gemini-3-pro", ("parallel_tool_calls",)),
        (Request((USER,), tools=(Tool("f", strict=True),)), "gemini-2.0-flash", ("strict",)),
        (Request((USER,), tools=(Tool("f", strict=True),)), "gemini-3-pro", ()),
        (
            Request((USER,), tools=(Tool("f"),), output_schema=OutputSchema("x", SCHEMA)),
            "gemini-2.5-pro",
            ("output_schema",),
        ),
        (Request((USER,), tools=(Tool("f"),), output_schema=OutputSchema("x", SCHEMA)), "gemini-3-pro", ()),
        (Request((USER,), extra={"user": "u"}, extra_format="openai-chat"), "gemini-3-pro", ("user",)),
        (
            Request((Message("user", (Image(url="https://x.test/a", detail="low"),), "ann"),)),
            "gemini-3-pro",
            ("name", "detail"),
        ),
    ],
)
def test_what_has_no_form_is_dropped_by_name(request_: Request, model: str, missing: tuple[str, ...]) -> None:
    assert sorted(dropped(request_, model)) == sorted(missing)


def test_strict_tools_are_validated_calls() -> None:
    body: dict[str, JSON] = {
        "contents": [HI],
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": SCHEMA}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}},
    }
    request = CODEC.decode_request(body)
    assert (request.tool_choice, request.tools) == ("auto", (Tool("f", None, SCHEMA, strict=True),))
    assert written(request) == body


def test_effort_is_told_as_each_generation_takes_it() -> None:
    request = Request((USER,), reasoning_effort="medium")
    assert written(request)["generationConfig"] == {"thinkingConfig": {"thinkingBudget": 8192}}
    assert written(request, "gemini-3-pro")["generationConfig"] == {
        "thinkingConfig": {"thinkingLevel": "high"}
    }


def test_a_schema_keeps_the_words_gemini_knows() -> None:
    schema: dict[str, JSON] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "kind": {"const": "a"},
            "n": {"type": "integer", "minimum": 1, "multipleOf": 2},
            "b": {"$ref": "#/$defs/B", "description": "one"},
        },
        "additionalProperties": False,
        "$defs": {"B": {"type": "string", "pattern": "x"}},
    }
    config = written(Request((USER,), output_schema=OutputSchema("x", schema)))["generationConfig"]
    assert config == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {
            "type": "object",
            "properties": {
                "kind": {"enum": ["a"]},
                "n": {"type": "integer", "minimum": 1},
                "b": {"$ref": "#/$defs/B"},
            },
            "additionalProperties": False,
            "$defs": {"B": {"type": "string"}},
        },
    }


def test_a_form_of_answer_that_is_not_json_stays_gemini_s() -> None:
    config: JSON = {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}}
    request = CODEC.decode_request({"contents": [HI], "generationConfig": config})
    assert request.output_schema is None
    assert written(request)["generationConfig"] == config


def test_instructions_alone_are_the_question() -> None:
    body = written(Request((Message("system", (Text("Say hi."),)),)))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Say hi."}]}]}


def test_the_path_names_model_and_mode() -> None:
    assert CODEC.path("gemini-3-pro", stream=False) == "/models/gemini-3-pro:generateContent"
    assert CODEC.path("tunedModels/mine", stream=True) == "/tunedModels/mine:streamGenerateContent?alt=sse"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contents": []},
        {"contents": "Hi"},
        {"contents": [{"parts": 5}]},
        {"contents": [{"parts": [5]}]},
        {"contents": [HI], "generationConfig": []},
        {"contents": [HI], "generationConfig": {"stopSequences": "END"}},
        {"contents": [HI], "tools": 5},
        {"contents": [{"parts": [{"functionCall": {"name": 5}}]}]},
    ],
)
def test_what_is_no_request_is_malformed(body: dict[str, JSON]) -> None:
    with pytest.raises(Malformed):
        CODEC.decode_request(body)
