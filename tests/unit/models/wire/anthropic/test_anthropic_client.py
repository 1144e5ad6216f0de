"""What the codec writes is read by Anthropic's own client, which validates it strictly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx2
import pytest
from anthropic import Anthropic as Client

from resilient_ai.messages import Chunk, Reasoning, Reply, ToolCall, ToolCallDelta, Usage
from resilient_ai.models.wire.anthropic import Anthropic
from resilient_ai.models.wire.assembly import chunks_of

if TYPE_CHECKING:
    from anthropic.types import Message as Answer
    from anthropic.types import MessageParam

CODEC = Anthropic()
ASK: list[MessageParam] = [{"role": "user", "content": "?"}]
USAGE = Usage(12, 5, 4, 3, 2)
SIGNED = Reasoning("hm", {"signature": "EqQB"})
REDACTED = Reasoning("", {"redacted_thinking": "Emw"})
CALLS = (ToolCall("toolu_1", "weather", '{"city":"Oslo"}'), ToolCall("toolu_2", "clock", ""))
TEXT = Reply("Grüße 🌍", usage=USAGE)
TOOLS = Reply("", tool_calls=CALLS, finish_reason="tool_calls", usage=USAGE)
ALL = Reply(
    "Let me see.", tool_calls=CALLS, finish_reason="tool_calls", reasoning=(SIGNED, REDACTED), usage=USAGE
)
REFUSAL = Reply("", refusal="No.", finish_reason="refusal")
FILTERED = Reply("So", finish_reason="content_filtered")
LENGTH = Reply("Once upon", finish_reason="length", usage=USAGE)
EMPTY = Reply("")
REPLIES = [TEXT, TOOLS, ALL, REFUSAL, FILTERED, LENGTH, EMPTY]
STOPS = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "content_filtered": "refusal",
    "length": "max_tokens",
}


def client(body: bytes, content_type: str) -> Client:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=body, headers={"content-type": content_type})

    return Client(
        api_key="k",
        base_url="http://provider.test",
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
        max_retries=0,
        _strict_response_validation=True,
    )


def whole(reply: Reply) -> Client:
    return client(CODEC.encode_reply(reply, model="tiny"), "application/json")


def stream(chunks: list[Chunk], *, include_usage: bool = True) -> Client:
    encoder = CODEC.stream_encoder(model="tiny", include_usage=include_usage)
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


def check(reply: Reply, answer: Answer) -> None:
    kinds = [block.type for block in answer.content]
    assert kinds == [
        *["thinking" if "signature" in part.opaque else "redacted_thinking" for part in reply.reasoning],
        *(["text"] if reply.text or not reply.tool_calls else []),
        *["tool_use"] * len(reply.tool_calls),
    ]
    assert "".join(block.text for block in answer.content if block.type == "text") == (
        reply.text or reply.refusal or ""
    )
    assert [(block.thinking, block.signature) for block in answer.content if block.type == "thinking"] == [
        (part.text, part.opaque["signature"]) for part in reply.reasoning if "signature" in part.opaque
    ]
    assert [(block.id, block.name, block.input) for block in answer.content if block.type == "tool_use"] == [
        (call.id, call.name, call.parsed()) for call in reply.tool_calls
    ]
    assert answer.stop_reason == STOPS[reply.finish_reason]
    assert answer.model == "tiny"
    told = reply.usage
    counted = answer.usage
    assert counted.output_tokens == (told.output_tokens or 0)
    cached = (counted.cache_read_input_tokens or 0) + (counted.cache_creation_input_tokens or 0)
    assert counted.input_tokens + cached == (told.input_tokens or 0)
    assert (answer.stop_details.explanation if answer.stop_details else None) == reply.refusal


@pytest.mark.parametrize("reply", REPLIES)
def test_the_client_reads_a_message(reply: Reply) -> None:
    check(reply, whole(reply).messages.create(model="tiny", max_tokens=9, messages=ASK))


@pytest.mark.parametrize("split", [chunks_of, in_letters])
@pytest.mark.parametrize("reply", REPLIES)
def test_the_clients_helper_assembles_a_stream(reply: Reply, split: Callable[[Reply], list[Chunk]]) -> None:
    with stream(split(reply)).messages.stream(model="tiny", max_tokens=9, messages=ASK) as events:
        check(reply, events.get_final_message())


def test_the_client_iterates_over_the_events_of_a_stream_in_order() -> None:
    events = list(
        stream(in_letters(ALL)).messages.create(model="tiny", max_tokens=9, messages=ASK, stream=True)
    )
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    begun = [event.index for event in events if event.type == "content_block_start"]
    assert begun == list(range(5))
    assert sorted(event.index for event in events if event.type == "content_block_stop") == begun
    texts = [
        event.delta.text
        for event in events
        if event.type == "content_block_delta" and event.delta.type == "text_delta"
    ]
    assert texts == list(ALL.text)


def test_no_token_counts_are_sent_to_a_client_that_did_not_ask_for_them() -> None:
    events = stream(chunks_of(TEXT), include_usage=False).messages.create(
        model="tiny", max_tokens=9, messages=ASK, stream=True
    )
    assert [event.usage.output_tokens for event in events if event.type == "message_delta"] == [0]


def test_arguments_that_are_no_json_do_not_break_the_client() -> None:
    reply = Reply("", tool_calls=(ToolCall("toolu_1", "f", '{"city": "Par'),), finish_reason="tool_calls")
    answer = whole(reply).messages.create(model="tiny", max_tokens=9, messages=ASK)
    with stream(in_letters(reply)).messages.stream(model="tiny", max_tokens=9, messages=ASK) as events:
        streamed = events.get_final_message()
    for message in (answer, streamed):
        block = message.content[0]
        assert block.type == "tool_use"
        assert block.input == {"INVALID_JSON": '{"city": "Par'}
    assert CODEC.decode_reply(CODEC.encode_reply(reply, model="tiny")).tool_calls == reply.tool_calls


def test_another_models_thoughts_are_not_given_out_as_anthropics() -> None:
    reply = Reply("Hi", reasoning=(Reasoning("hm"), Reasoning("so", {"encrypted_content": "x"})))
    check(Reply("Hi"), whole(reply).messages.create(model="tiny", max_tokens=9, messages=ASK))
    with stream(chunks_of(reply)).messages.stream(model="tiny", max_tokens=9, messages=ASK) as events:
        check(Reply("Hi"), events.get_final_message())
