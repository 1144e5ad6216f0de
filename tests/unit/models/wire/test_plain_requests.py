"""A request that is taken for portable at a glance can be read, and is portable then."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any, Final

import anthropic.types
import openai.types.chat
import pytest

from json_variations import variations
from resilient_ai.messages import JSON
from resilient_ai.models.wire import Codec, WireError
from resilient_ai.models.wire.anthropic import Anthropic
from resilient_ai.models.wire.gemini import Gemini
from resilient_ai.models.wire.openai_chat import OpenAIChat
from resilient_ai.models.wire.openai_responses import OpenAIResponses
from resilient_ai.models.wire.plain_requests import surely_portable
from resilient_ai.models.wire.portability import BLOCKERS, unportable

SCHEMA: Final = {"type": "object", "properties": {"a": {"type": "integer"}}}
CHAT: Final[dict[str, Any]] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief.", "name": "n"},
        {"role": "user", "content": [{"type": "text", "text": "Where?", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "Hm.",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "Here."}]},
        {"role": "assistant", "content": "Here.", "refusal": None, "annotations": []},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "parallel_tool_calls": True,
    "max_completion_tokens": 5,
    "max_tokens": 5,
    "temperature": 0.5,
    "top_p": 1,
    "stop": ["x"],
    "seed": 3,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
    "reasoning_effort": "low",
    "stream_options": {"include_usage": True},
    "stream": True,
    "metadata": {"a": "b"},
}  # fmt: skip
RESPONSES: Final[dict[str, Any]] = {
    "model": "m",
    "input": [
        {"role": "user", "content": "Where?"},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "e"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "Here."}]},
    ],
    "instructions": "Be brief.",
    "tools": [{"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": False}],
    "tool_choice": {"type": "function", "name": "f"},
    "parallel_tool_calls": True,
    "max_output_tokens": 5,
    "temperature": 0.5,
    "top_p": 1,
    "reasoning": {"effort": "low", "summary": "auto"},
    "store": False,
}  # fmt: skip
MESSAGES: Final[dict[str, Any]] = {
    "model": "m",
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "Where?"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "text", "text": "I look.", "citations": None},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "Here."}], "is_error": False},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aWNo"}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            ],
        },
    ],
    "tools": [{"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "max_tokens": 5,
    "temperature": 0.5,
    "top_p": 1,
    "stop_sequences": ["x"],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
}  # fmt: skip
FORMATS: Final[list[tuple[Codec, dict[str, Any]]]] = [
    (OpenAIChat(), CHAT),
    (OpenAIResponses(), RESPONSES),
    (Anthropic(), MESSAGES),
]
ANYTHING: Final[list[Any]] = [
    None, "", "text", "tool", "function", "image_url", "document", "web_search", "custom", "json_object", "assistant", "required",
    0, 1, -1, 2.5, True, [], [None], ["x"], [{}], {}, {"type": "text"}, {"type": "text", "text": "t"}, [{"type": "text", "text": "t"}],
    [{"type": "document", "source": {"type": "text", "data": "x"}}], {"type": "file", "file": {"file_id": "f"}}, {"a": 1},
]  # fmt: skip
STRANGERS: Final = (
    *(
        "type",
        "role",
        "content",
        "text",
        "name",
        "input",
        "tool_calls",
        "function",
        "audio",
        "prefix",
        "citations",
    ),
    *("cache_control", "refusal", "reasoning", "detail", "format", "messages", "system", "stop", "user"),
)


@pytest.mark.parametrize(("codec", "body"), FORMATS, ids=[codec.format for codec, _ in FORMATS])
def test_whatever_is_changed_in_a_request_it_is_taken_for_portable_only_if_it_is(
    codec: Codec, body: dict[str, Any]
) -> None:
    plain = others = 0
    bars: list[dict[str, Any]] = [{**body, name: value} for name in BLOCKERS for value in ANYTHING]
    for variation in itertools.chain(variations(body, ANYTHING, STRANGERS), bars):
        if not surely_portable(codec.format, variation):
            others += 1
            continue
        plain += 1
        assert unportable(codec.decode_request(variation)) is None, variation
    assert surely_portable(codec.format, body)
    assert plain > 1000
    assert others > 1000


@pytest.mark.parametrize(("codec", "body"), FORMATS, ids=[codec.format for codec, _ in FORMATS])
def test_what_was_not_given_counts_for_nothing(codec: Codec, body: dict[str, Any]) -> None:
    nothing: Any = object()
    for name in (*BLOCKERS, "output_config", "text", "stop"):
        assert surely_portable(codec.format, {**body, name: nothing}, (object,))
    turns = "input" if codec.format == "openai-responses" else "messages"
    assert not surely_portable(codec.format, {**body, turns: nothing}, (object,))


def test_a_format_that_is_not_known_here_is_never_sure() -> None:
    asked: Mapping[str, JSON] = {"contents": [{"role": "user", "parts": [{"text": "Where?"}]}]}
    assert unportable(Gemini().decode_request(asked)) is None
    assert not surely_portable("gemini", asked)


def test_an_input_that_says_nothing_is_read_and_refused() -> None:
    asked: Mapping[str, JSON] = {"input": [{"role": "assistant", "content": []}]}
    with pytest.raises(WireError):
        OpenAIResponses().decode_request(asked)
    assert not surely_portable("openai-responses", asked)


def test_answers_are_sent_back_as_the_objects_the_sdks_gave() -> None:
    said = anthropic.types.TextBlock(type="text", text="I look.")
    called = anthropic.types.ToolUseBlock(type="tool_use", id="t", name="f", input={"a": 1})
    turns: list[Any] = [MESSAGES["messages"][0], {"role": "assistant", "content": [said, called]}]
    assert surely_portable("anthropic", {"messages": turns, "max_tokens": 5})
    document: Any = anthropic.types.TextBlock.construct(type="document", source={"data": "x"})
    assert not surely_portable("anthropic", {"messages": [{"role": "user", "content": [document]}]})
    strange: Any = anthropic.types.TextBlock.construct(type="text", text="t", attachment="file-1")
    assert not surely_portable("anthropic", {"messages": [{"role": "user", "content": [strange]}]})
    message: Any = openai.types.chat.ChatCompletionMessage(role="assistant", content="Here.")
    assert surely_portable("openai-chat", {"messages": [CHAT["messages"][0], message]})
    sent = json.loads(message.model_dump_json(exclude_unset=True))
    assert unportable(OpenAIChat().decode_request({"messages": [sent]})) is None
