"""A plain answer of a wrapped client is taken from the SDK's own object, and nothing is judged or told differently for it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from anthropic._models import construct_type as message_of
from anthropic.types import Message
from openai._models import construct_type as answer_of
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from json_variations import variations
from resilient_ai import outcome_of, wrap
from resilient_ai.adopt.glance import Glance, glance_of
from resilient_ai.adopt.wire_faults import says_nothing
from resilient_ai.core.events import Event
from resilient_ai.core.model import Price
from resilient_ai.messages import JSON, UNKNOWN_USAGE, Attempt, Outcome
from resilient_ai.models.wire import Codec, WireError
from resilient_ai.models.wire.anthropic import Anthropic
from resilient_ai.models.wire.flags import flags_of, offered
from resilient_ai.models.wire.openai_chat import OpenAIChat
from resilient_ai.models.wire.openai_responses import OpenAIResponses

MODEL = "model-1"
CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": MODEL,
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "It is Monday.", "refusal": None}, "finish_reason": "stop"}
    ],
    "usage": {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    "content": [{"type": "text", "text": "It is "}, {"type": "text", "text": "Monday."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "cache_read_input_tokens": 4, "output_tokens": 5},
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": MODEL,
    "status": "completed",
    "error": None,
    "output": [
        {"id": "rs_1", "type": "reasoning", "summary": []},
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "It is Monday.", "annotations": []}],
        },
    ],
    "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "input_tokens_details": {"cached_tokens": 4}},
}  # fmt: skip
CALLING_CHAT: dict[str, Any] = {
    **CHAT,
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
            },
            "finish_reason": "tool_calls",
        }
    ],
}  # fmt: skip
CALLING_MESSAGE: dict[str, Any] = {
    **MESSAGE,
    "content": [
        {"type": "thinking", "thinking": "Which day?", "signature": "s"},
        {"type": "text", "text": "I will look."},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
    ],
    "stop_reason": "tool_use",
}
THINKING_MESSAGE: dict[str, Any] = {
    **MESSAGE,
    "content": [
        {"type": "thinking", "thinking": "Which?", "signature": "s"},
        {"type": "text", "text": "Monday."},
    ],
}
CALLING_RESPONSE: dict[str, Any] = {
    **RESPONSE,
    "output": [
        {"id": "rs_1", "type": "reasoning", "summary": []},
        {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a": 1}', "status": "completed"},
    ],
}  # fmt: skip
TURN: JSON = {"role": "user", "content": "Which day is it?"}
ASKED: dict[str, dict[str, JSON]] = {
    "openai-chat": {"messages": [TURN], "tools": [{"type": "function", "function": {"name": "f"}}]},
    "anthropic": {"messages": [TURN], "tools": [{"name": "f", "input_schema": {"type": "object"}}]},
    "openai-responses": {"input": [TURN], "tools": [{"type": "function", "name": "f"}]},
}
"""What is asked in each format, one function offered."""
FORMATS: list[tuple[Codec, Any, dict[str, Any]]] = [
    (OpenAIChat(), ChatCompletion, CHAT),
    (OpenAIChat(), ChatCompletion, CALLING_CHAT),
    (Anthropic(), Message, MESSAGE),
    (Anthropic(), Message, CALLING_MESSAGE),
    (Anthropic(), Message, THINKING_MESSAGE),
    (OpenAIResponses(), Response, RESPONSE),
    (OpenAIResponses(), Response, CALLING_RESPONSE),
]
ANYTHING: list[Any] = [
    None, "", "text", "stop", "end_turn", "completed", "length", "tool_calls", "refusal", "failed", "a\x00b", "\ufffd", "model-2",
    0, 1, -1, 2.5, True, [], [None], ["x"], [{}], {}, {"type": "text"}, {"message": "down"}, [{"type": "tool_use", "id": "t", "name": "f", "input": {}}],
    [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{"}}], "{}", "[]", "{", "tool_use", "thinking", "f", "g",
    {"INVALID_JSON": "{"}, {"type": "tool_use", "id": "t", "name": "f", "input": {}},
]  # fmt: skip
STRANGERS = (
    "error", "detail", "tool_calls", "function_call", "refusal", "reasoning", "reasoning_content", "reasoning_details", "stop_details", "audio", "x",
)  # fmt: skip


def made(kind: Any, body: dict[str, Any]) -> Any:
    """What the SDK makes of a body, as it does: without looking whether it fits."""
    return (message_of if kind is Message else answer_of)(type_=kind, value=body)


def glance(codec: Codec) -> Glance:
    found = glance_of(codec.format)
    assert found is not None
    return found


def history() -> Outcome:
    attempt = Attempt(MODEL, "p", 1, None, 0.1, 0.0, UNKNOWN_USAGE, None, 200, None, None, None, "answered")
    return Outcome("c", MODEL, False, (attempt,), (), 0.1, "d", ())


@pytest.mark.parametrize(("codec", "kind", "body"), FORMATS, ids=[codec.format for codec, _, _ in FORMATS])
def test_what_is_taken_for_plain_is_a_good_answer_with_the_same_tokens_and_flags_when_it_is_read_in_full(
    codec: Codec, kind: Any, body: dict[str, Any]
) -> None:
    look = glance(codec)
    asked = ASKED[codec.format]
    request = codec.decode_request(asked)
    plain = others = 0
    for variation in variations(body, ANYTHING, STRANGERS):
        raw = json.dumps(variation).encode()
        answer = made(kind, json.loads(raw))
        if not look.plain(answer, MODEL, lambda: asked):
            others += 1
            continue
        plain += 1
        try:
            reply = codec.decode_reply(raw)
        except WireError as error:
            pytest.fail(f"taken for plain, though {error.what}: {variation}")
        assert not says_nothing(reply), variation
        told = look.outcome(history(), answer, Price(1.0, 1.0, per=1))
        if ": true" not in json.dumps(variation.get("usage")):  # which the SDK takes for a 1
            assert told.attempts[-1].usage == reply.usage, variation
            assert told.flags == flags_of(request, reply, model=MODEL), variation
    assert look.plain(made(kind, body), MODEL, lambda: asked)
    assert plain > 100
    assert others > 100


@pytest.mark.parametrize("answer", ["<html>", None, {"choices": []}, b"", 7, httpx2.Response(200)])
@pytest.mark.parametrize(
    "codec", [codec for codec, _, _ in FORMATS], ids=[codec.format for codec, _, _ in FORMATS]
)
def test_what_is_no_object_of_the_sdk_is_not_plain(codec: Codec, answer: object) -> None:
    assert not glance(codec).plain(answer, MODEL, dict)


PLACES: list[dict[str, Any]] = [
    *({"name": "f"}, {"name": "f", "input_schema": {}}, {"name": "g"}, {"name": None}),
    *({"function": {"name": "f"}}, {"function": "f"}),
]
KINDS: list[dict[str, Any]] = [
    *({}, {"type": None}, {"type": "function"}, {"type": "custom"}),
    *({"type": "web_search"}, {"type": 1}),
]
TOOLS: list[Any] = [
    *(None, [], {}, "f", [None], ["f"], [{}]),
    *[[{"name": "g"}, {**kind, **place}] for kind in KINDS for place in PLACES],
]
CALLING: list[tuple[Codec, Any, dict[str, Any]]] = [
    (OpenAIChat(), ChatCompletion, CALLING_CHAT),
    (Anthropic(), Message, CALLING_MESSAGE),
    (OpenAIResponses(), Response, CALLING_RESPONSE),
]


@pytest.mark.parametrize(("codec", "kind", "body"), CALLING, ids=[codec.format for codec, _, _ in CALLING])
def test_a_call_is_plain_only_where_the_full_reading_finds_its_function_offered(
    codec: Codec, kind: Any, body: dict[str, Any]
) -> None:
    seen: set[bool] = set()
    for tools in TOOLS:
        asked: dict[str, JSON] = {**ASKED[codec.format], "tools": tools}
        try:
            names = offered(codec.decode_request(asked))
        except WireError:
            names = frozenset[str]()
        plain = glance(codec).plain(made(kind, body), MODEL, lambda: asked)  # noqa: B023 - called at once
        assert not plain or "f" in names, tools
        seen.add(plain)
    assert seen == {True, False}


def answering(body: dict[str, Any]) -> httpx2.MockTransport:
    headers = {"x-request-id": "req_1", "request-id": "req_1"}
    return httpx2.MockTransport(lambda _: httpx2.Response(200, json=body, headers=headers))


def asked(kind: str, **policy: Any) -> Outcome:
    """How a call of a wrapped client went, as its result tells."""
    result: Any
    if kind == "anthropic":
        message_client = wrap(
            anthropic.Anthropic(api_key="k", http_client=httpx2.Client(transport=answering(MESSAGE))),
            price=Price(1.0, 2.0, per=1),
            **policy,
        )
        result = message_client.messages.create(
            model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "When?"}]
        )
    else:
        body = CHAT if kind == "openai-chat" else RESPONSE
        client = wrap(
            openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=answering(body))),
            price=Price(1.0, 2.0, per=1),
            **policy,
        )
        if kind == "openai-chat":
            result = client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "When?"}]
            )
        else:
            result = client.responses.create(model=MODEL, input="When?")
    outcome = outcome_of(result)
    assert outcome is not None
    return outcome


@pytest.mark.parametrize("kind", ["openai-chat", "openai-responses", "anthropic"])
def test_a_call_nobody_watches_tells_the_same_outcome_as_one_that_is_watched(kind: str) -> None:
    seen: list[Event] = []
    alone = asked(kind, name=f"glance-{kind}")
    watched = asked(kind, name=f"glance-{kind}", observers=[seen.append])

    def timeless(outcome: Outcome) -> Outcome:
        attempts = tuple(replace(attempt, seconds=0.0) for attempt in outcome.attempts)
        return replace(outcome, attempts=attempts, seconds=0.0)

    assert seen
    assert timeless(alone) == timeless(watched)
    assert alone.attempts[-1].request_id == "req_1"
    assert alone.attempts[-1].usage.input_tokens is not None
    assert alone.cost is not None
