"""An answer is the same after it was written and read again, whole or as a stream, however the stream is cut."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilient_ai.core.assembly import ReplyBuilder
from resilient_ai.messages import Chunk, FinishReason, Reasoning, Reply, ToolCall, ToolCallDelta, Usage
from resilient_ai.models.wire import Codec
from resilient_ai.models.wire.assembly import assemble, chunks_of
from resilient_ai.models.wire.openai_chat import OpenAIChat
from resilient_ai.models.wire.openai_responses import OpenAIResponses


class Stopped:
    """A clock that shows one instant."""

    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 1_700_000_000.5

    def sleep(self, seconds: float, /) -> None:
        raise AssertionError

    async def asleep(self, seconds: float, /) -> None:
        await asyncio.Event().wait()


CODECS: list[Codec] = [OpenAIChat(clock=Stopped()), OpenAIResponses(clock=Stopped())]
WORDS = st.text(st.characters(codec="utf-8"), max_size=30)
SOME = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
COUNTS = st.integers(0, 10**6)


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    """Answers as a model may give them: its finish reason fits what it holds."""
    refusal = draw(st.none() | SOME)
    names = [] if refusal else draw(st.lists(st.sampled_from(["f", "g"]), max_size=3))
    reasons: list[FinishReason] = ["length", "content_filtered"]
    reasons.append("refusal" if refusal else "tool_calls" if names else "stop")
    thought = draw(WORDS)
    usage = Usage(draw(COUNTS), draw(COUNTS), draw(COUNTS), draw(COUNTS), draw(COUNTS))
    return Reply(
        text="" if refusal else draw(WORDS),
        tool_calls=tuple(ToolCall(f"call_{i}", name, draw(WORDS)) for i, name in enumerate(names)),
        finish_reason=draw(st.sampled_from(reasons)),
        usage=draw(st.sampled_from([usage, Usage()])),
        model="m",
        reasoning=(Reasoning(thought),) if thought else (),
        refusal=refusal,
        id="answer-1",
    )


def bare(reply: Reply) -> Reply:
    """Without what only one side can know."""
    return replace(
        reply,
        id=None,
        raw=None,
        reasoning=tuple(Reasoning(part.text) for part in reply.reasoning if part.text),
        tool_calls=tuple(replace(call, opaque={}) for call in reply.tool_calls),
    )


def in_pieces(reply: Reply, size: int) -> list[Chunk]:
    chunks: list[Chunk] = []
    for chunk in chunks_of(reply):
        if chunk.text:
            chunks += [Chunk(chunk.text[i : i + size]) for i in range(0, len(chunk.text), size)]
        elif chunk.reasoning:
            parts = [chunk.reasoning[i : i + size] for i in range(0, len(chunk.reasoning), size)]
            chunks += [Chunk(reasoning=part) for part in parts]
        elif chunk.tool_call is not None:
            call = chunk.tool_call
            chunks.append(Chunk(tool_call=replace(call, arguments="")))
            parts = [call.arguments[i : i + size] for i in range(0, len(call.arguments), size)]
            chunks += [Chunk(tool_call=ToolCallDelta(call.index, arguments=part)) for part in parts]
        else:
            chunks.append(chunk)
    return chunks


@pytest.mark.parametrize("codec", CODECS)
@settings(deadline=None)
@given(reply=replies())
def test_a_reply_that_was_written_is_read_as_it_was(codec: Codec, reply: Reply) -> None:
    got = codec.decode_reply(codec.encode_reply(reply, model="m"))
    assert bare(got) == bare(reply)
    assert got.id == "answer-1"
    assert isinstance(got.raw, dict)


@pytest.mark.parametrize("codec", CODECS)
@settings(deadline=None)
@given(reply=replies(), size=st.integers(1, 9), cut=st.integers(1, 64))
def test_a_stream_that_was_written_is_read_as_it_was(codec: Codec, reply: Reply, size: int, cut: int) -> None:
    encoder = codec.stream_encoder(model="m")
    body = encoder.start() + b"".join(map(encoder.chunk, in_pieces(reply, size))) + encoder.end()
    assert bare(assemble(codec.stream_decoder(), body)) == bare(reply)
    builder = ReplyBuilder()
    decoder = codec.stream_decoder()
    for start in range(0, len(body), cut):
        for chunk in decoder.feed(body[start : start + cut]):
            builder.add(chunk)
    assert decoder.complete
    assert bare(builder.reply()) == bare(reply)


@settings(deadline=None)
@given(reply=replies())
def test_a_reply_taken_apart_is_put_together_as_it_was(reply: Reply) -> None:
    builder = ReplyBuilder()
    for chunk in chunks_of(reply):
        builder.add(chunk)
    assert builder.reply() == reply


@pytest.mark.parametrize("told", ["item", "answer"])
@pytest.mark.parametrize("kind", ["image_generation_call", "mcp_approval_request", "custom_tool_call", "new"])
def test_a_streamed_response_of_what_is_no_text_is_an_answer(kind: str, told: str) -> None:
    item = {"id": "i", "type": kind}
    events: list[dict[str, object]] = [
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": "r", "output": [item]}},
    ]
    if told == "item":
        events[1]["response"] = {"id": "r", "output": []}
    else:
        del events[0]
    decoder = OpenAIResponses().stream_decoder()
    for event in events:
        decoder.feed(f"data: {json.dumps(event)}\n\n".encode())
    assert decoder.complete


def test_a_restart_discards_what_came() -> None:
    builder = ReplyBuilder()
    builder.add(Chunk("Hel", model="a", id="1"))
    builder.add(Chunk(tool_call=ToolCallDelta(0, "c", "f", "{")))
    builder.add(Chunk(restarted=True, model="b"))
    builder.add(Chunk("Hi"))
    assert builder.reply() == Reply("Hi", finish_reason="other", model="b")


@pytest.mark.parametrize("codec", CODECS)
def test_pieces_of_two_calls_may_be_mixed(codec: Codec) -> None:
    chunks = [
        Chunk(tool_call=ToolCallDelta(0, "a", "f", "{")),
        Chunk(tool_call=ToolCallDelta(1, "b", "g", "[")),
        Chunk(tool_call=ToolCallDelta(0, arguments="}")),
        Chunk(tool_call=ToolCallDelta(1, arguments="]")),
    ]
    encoder = codec.stream_encoder(model="m")
    body = encoder.start() + b"".join(map(encoder.chunk, chunks)) + encoder.end()
    reply = bare(assemble(codec.stream_decoder(), body))
    assert reply.tool_calls == (ToolCall("a", "f", "{}"), ToolCall("b", "g", "[]"))
    assert reply.finish_reason == "tool_calls"


@pytest.mark.parametrize("codec", CODECS)
def test_replies_and_streams_are_dated_by_the_clock_and_numbered_apart(codec: Codec) -> None:
    reply = Reply("x", model="m")
    assert b"1700000000" in codec.encode_reply(reply, model="m")
    first, second = (codec.decode_reply(codec.encode_reply(reply, model="m")).id for _ in range(2))
    assert first != second
    encoder = codec.stream_encoder(model="m")
    assert b"1700000000" in encoder.start() + encoder.chunk(Chunk(text="x"))


@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_knows_its_name_its_path_and_its_content_type(codec: Codec) -> None:
    assert codec.format in ("openai-chat", "openai-responses")
    assert codec.path("m", stream=True) in ("/chat/completions", "/responses")
    assert codec.stream_content_type == "text/event-stream"
