"""What the codecs write is read by OpenAI's own client, which validates it strictly."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
from openai import ContentFilterFinishReasonError, LengthFinishReasonError, OpenAI
from openai.types.chat import ChatCompletionMessageFunctionToolCall
from pydantic import BaseModel

from resilient_ai.messages import Chunk, FinishReason, Reasoning, Reply, ToolCall, ToolCallDelta, Usage
from resilient_ai.models.wire import StreamEncoder
from resilient_ai.models.wire.assembly import chunks_of
from resilient_ai.models.wire.openai_chat import OpenAIChat
from resilient_ai.models.wire.openai_responses import OpenAIResponses

CHAT = OpenAIChat()
RESPONSES = OpenAIResponses()
CALLS = (ToolCall("call_1", "weather", '{"city":"Oslo"}'), ToolCall("call_2", "clock", "{}"))
USAGE = Usage(12, 5, 4, None, 2)
TEXT = Reply(text="Grüße 🌍", usage=USAGE, model="tiny")
TOOLS = Reply(text="", tool_calls=CALLS, finish_reason="tool_calls", usage=USAGE, model="tiny")
BOTH = Reply(
    text="Let me see.",
    tool_calls=CALLS,
    finish_reason="tool_calls",
    reasoning=(Reasoning("hm"),),
    model="tiny",
)
REFUSAL = Reply(text="", refusal="No.", finish_reason="refusal", model="tiny")
LENGTH = Reply(text="Once upon", finish_reason="length", usage=USAGE, model="tiny")
FILTERED = Reply(text="So", finish_reason="content_filtered", model="tiny")
EMPTY = Reply(text="", model="tiny")
REPLIES = [TEXT, TOOLS, BOTH, REFUSAL, LENGTH, FILTERED, EMPTY]
CHAT_REASONS: dict[FinishReason, str] = {"refusal": "stop", "content_filtered": "content_filter"}


class City(BaseModel):
    name: str


def client(body: bytes, content_type: str) -> OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=body, headers={"content-type": content_type})

    return OpenAI(
        api_key="k",
        base_url="http://provider.test/v1",
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
        max_retries=0,
        _strict_response_validation=True,
    )


def whole(body: bytes) -> OpenAI:
    return client(body, "application/json")


def stream(encoder: StreamEncoder, chunks: list[Chunk]) -> OpenAI:
    body = encoder.start() + b"".join(map(encoder.chunk, chunks)) + encoder.end()
    return client(body, "text/event-stream")


def in_letters(reply: Reply) -> list[Chunk]:
    """As `chunks_of`, but text letter by letter and arguments in two pieces."""
    chunks: list[Chunk] = []
    for chunk in chunks_of(reply):
        if chunk.text:
            chunks += [Chunk(letter) for letter in chunk.text]
        elif chunk.tool_call is not None and len(chunk.tool_call.arguments) > 2:
            call = chunk.tool_call
            chunks.append(Chunk(tool_call=ToolCallDelta(call.index, call.id, call.name, call.arguments[:3])))
            chunks.append(Chunk(tool_call=ToolCallDelta(call.index, arguments=call.arguments[3:])))
        else:
            chunks.append(chunk)
    return chunks


@pytest.mark.parametrize("reply", REPLIES)
def test_the_client_reads_a_chat_completion(reply: Reply) -> None:
    completion = whole(CHAT.encode_reply(reply, model="tiny")).chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "?"}]
    )
    choice = completion.choices[0]
    assert (choice.message.content or "") == reply.text
    assert choice.message.refusal == reply.refusal
    assert choice.finish_reason == CHAT_REASONS.get(reply.finish_reason, reply.finish_reason)
    assert completion.model == "tiny"
    calls = [
        (call.id, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls or []
        if isinstance(call, ChatCompletionMessageFunctionToolCall)
    ]
    assert calls == [(call.id, call.name, call.arguments) for call in reply.tool_calls]
    if reply.usage.input_tokens is None:
        assert completion.usage is None
    else:
        assert completion.usage is not None
        assert completion.usage.total_tokens == 17
        assert completion.usage.prompt_tokens_details is not None
        assert completion.usage.prompt_tokens_details.cached_tokens == 4


@pytest.mark.parametrize("split", [chunks_of, in_letters])
@pytest.mark.parametrize("reply", [TEXT, TOOLS, BOTH, REFUSAL, EMPTY])
def test_the_clients_helper_assembles_a_chat_stream(
    reply: Reply, split: Callable[[Reply], list[Chunk]]
) -> None:
    openai = stream(CHAT.stream_encoder(model="tiny"), split(reply))
    with openai.chat.completions.stream(model="tiny", messages=[{"role": "user", "content": "?"}]) as events:
        completion = events.get_final_completion()
    choice = completion.choices[0]
    assert (choice.message.content or "") == reply.text
    assert choice.message.refusal == reply.refusal
    assert choice.finish_reason == CHAT_REASONS.get(reply.finish_reason, reply.finish_reason)
    assert [
        (call.id, call.type, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls or []
    ] == [(call.id, "function", call.name, call.arguments) for call in reply.tool_calls]
    assert (completion.usage is None) == (reply.usage.input_tokens is None)


@pytest.mark.parametrize(
    ("reply", "raised"), [(LENGTH, LengthFinishReasonError), (FILTERED, ContentFilterFinishReasonError)]
)
def test_the_clients_helper_sees_why_a_chat_stream_is_short(reply: Reply, raised: type[Exception]) -> None:
    openai = stream(CHAT.stream_encoder(model="tiny"), chunks_of(reply))
    with (
        openai.chat.completions.stream(model="tiny", messages=[{"role": "user", "content": "?"}]) as events,
        pytest.raises(raised),
    ):
        events.get_final_completion()


def test_the_client_iterates_over_the_pieces_of_a_chat_stream() -> None:
    openai = stream(CHAT.stream_encoder(model="tiny"), in_letters(TEXT))
    pieces = list(
        openai.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "?"}], stream=True)
    )
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == TEXT.text
    assert pieces[0].choices[0].delta.role == "assistant"
    assert [piece.usage.completion_tokens for piece in pieces if piece.usage] == [5]
    assert len({piece.id for piece in pieces}) == 1


def test_no_token_counts_are_sent_to_a_client_that_did_not_ask_for_them() -> None:
    openai = stream(CHAT.stream_encoder(model="tiny", include_usage=False), chunks_of(TEXT))
    pieces = openai.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "?"}], stream=True
    )
    assert [piece.usage for piece in pieces if piece.usage] == []


def test_the_client_parses_structured_output_of_both_formats() -> None:
    reply = Reply(text='{"name": "Oslo"}', model="tiny")
    completion = whole(CHAT.encode_reply(reply, model="tiny")).chat.completions.parse(
        model="tiny", messages=[{"role": "user", "content": "?"}], response_format=City
    )
    assert completion.choices[0].message.parsed == City(name="Oslo")
    response = whole(RESPONSES.encode_reply(reply, model="tiny")).responses.parse(
        model="tiny", input="?", text_format=City
    )
    assert response.output_parsed == City(name="Oslo")


@pytest.mark.parametrize("reply", REPLIES)
def test_the_client_reads_a_response(reply: Reply) -> None:
    response = whole(RESPONSES.encode_reply(reply, model="tiny")).responses.create(model="tiny", input="?")
    check_response(reply, response.output_text, response)


@pytest.mark.parametrize("split", [chunks_of, in_letters])
@pytest.mark.parametrize("reply", REPLIES)
def test_the_clients_helper_assembles_a_response_stream(
    reply: Reply, split: Callable[[Reply], list[Chunk]]
) -> None:
    openai = stream(RESPONSES.stream_encoder(model="tiny"), split(reply))
    kinds: list[str] = []
    with openai.responses.stream(model="tiny", input="?") as events:
        for event in events:
            kinds.append(event.type)
            if event.type == "response.completed":
                check_response(reply, event.response.output_text, event.response)
            if event.type == "response.incomplete":
                check_response(reply, event.response.output_text, event.response)
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] in ("response.completed", "response.incomplete")


def test_the_client_iterates_over_the_events_of_a_response_stream_in_order() -> None:
    openai = stream(RESPONSES.stream_encoder(model="tiny"), in_letters(BOTH))
    events = list(openai.responses.create(model="tiny", input="?", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == BOTH.text
    done = [event.item for event in events if event.type == "response.output_item.done"]
    last = events[-1]
    assert last.type == "response.completed"
    assert [item.id for item in done] == [item.id for item in last.response.output]
    assert [item.type for item in done] == ["reasoning", "message", "function_call", "function_call"]


def check_response(reply: Reply, text: str, response: object) -> None:
    from openai.types.responses import Response

    assert isinstance(response, Response)
    assert text == reply.text
    assert response.status == (
        "incomplete" if reply.finish_reason in ("length", "content_filtered") else "completed"
    )
    calls = [
        (item.call_id, item.name, item.arguments) for item in response.output if item.type == "function_call"
    ]
    assert calls == [(call.id, call.name, call.arguments) for call in reply.tool_calls]
    refusals = [
        part.refusal
        for item in response.output
        if item.type == "message"
        for part in item.content
        if part.type == "refusal"
    ]
    assert refusals == ([reply.refusal] if reply.refusal else [])
    if reply.usage.input_tokens is None:
        assert response.usage is None
    else:
        assert response.usage is not None
        assert response.usage.total_tokens == 17
