"""Answers of Anthropic, Gemini, Ollama, Cohere and Bedrock are the same after they were written and read again, however a stream is cut."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilient_ai.core.assembly import ReplyBuilder
from resilient_ai.messages import JSON, Chunk, FinishReason, Reasoning, Reply, ToolCall, ToolCallDelta, Usage
from resilient_ai.models.wire import Codec, StreamDecoder
from resilient_ai.models.wire.anthropic import Anthropic
from resilient_ai.models.wire.arguments import text_of
from resilient_ai.models.wire.assembly import assemble, chunks_of
from resilient_ai.models.wire.bedrock import Bedrock
from resilient_ai.models.wire.cohere import Cohere
from resilient_ai.models.wire.gemini import Gemini
from resilient_ai.models.wire.ollama import Ollama

ANTHROPIC = Anthropic()
GEMINI = Gemini()
OLLAMA = Ollama()
COHERE = Cohere()
BEDROCK = Bedrock()
CODECS: list[Codec] = [ANTHROPIC, GEMINI, OLLAMA, COHERE, BEDROCK]
STATES: dict[str, dict[str, JSON]] = {
    "anthropic": {"signature": "EqQB"},
    "gemini": {"thought": True, "thoughtSignature": "CiQB"},
    "ollama": {"thinking": True},
    "cohere": {"cohere_thinking": True},
    "bedrock": {"bedrock_signature": "EqQB"},
}
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
OBJECTS = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT, max_size=3)
ARGUMENTS = OBJECTS.map(
    lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
) | st.sampled_from(['{"city": "Par', '"Paris"', '{"a":1}{"b":2}', "[]", '{"a":NaN}'])


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    """Answers as a model may give them: what each format can say, and finish reasons that fit."""
    names = draw(st.lists(st.sampled_from(["f", "g"]), max_size=3))
    reasons: list[FinishReason] = ["length", "tool_calls" if names else "stop"]
    cached = draw(st.integers(0, 100))
    thought = draw(TEXT)
    return Reply(
        text=draw(TEXT),
        tool_calls=tuple(ToolCall(f"call_{i}", name, draw(ARGUMENTS)) for i, name in enumerate(names)),
        finish_reason=draw(st.sampled_from(reasons)),
        usage=Usage(
            draw(st.integers(cached, 10**6)),
            draw(st.integers(100, 10**6)),
            cached,
            None,
            draw(st.integers(0, 100)),
        ),
        model="m",
        reasoning=(Reasoning(thought),) if thought else (),
    )


def of(codec: Codec, reply: Reply) -> Reply:
    """`reply` as this format's own model gives it."""
    return replace(
        reply, reasoning=tuple(Reasoning(part.text, STATES[codec.format]) for part in reply.reasoning)
    )


def bare(codec: Codec, reply: Reply) -> Reply:
    """Without what only one side can know, or this format cannot say."""
    usage = reply.usage
    if codec.format == "ollama":
        usage = Usage(usage.input_tokens, usage.output_tokens)
    if codec.format in ("cohere", "bedrock"):
        usage = replace(usage, reasoning_tokens=None)
    return replace(
        reply,
        model="" if codec.format in ("cohere", "bedrock") else reply.model,
        id=None,
        raw=None,
        usage=usage,
        flags=(),
        reasoning=tuple(replace(part, opaque={}) for part in reply.reasoning),
        tool_calls=tuple(replace(call, arguments=unwrapped(call), opaque={}) for call in reply.tool_calls),
    )


def unwrapped(call: ToolCall) -> str:
    """The arguments. Anthropic's streams bring them in pieces, so what is wrapped there stays wrapped."""
    return (
        text_of(call.parsed(), "arguments")
        if call.arguments.startswith('{"INVALID_JSON"')
        else call.arguments
    )


def in_pieces(reply: Reply, size: int) -> list[Chunk]:
    chunks: list[Chunk] = []
    for chunk in chunks_of(reply):
        if chunk.text:
            chunks += [Chunk(chunk.text[i : i + size]) for i in range(0, len(chunk.text), size)]
        elif chunk.tool_call is not None:
            call = chunk.tool_call
            chunks.append(Chunk(tool_call=replace(call, arguments="")))
            parts = [call.arguments[i : i + size] for i in range(0, len(call.arguments), size)]
            chunks += [Chunk(tool_call=ToolCallDelta(call.index, arguments=part)) for part in parts]
        else:
            chunks.append(chunk)
    return chunks


def fed(decoder: StreamDecoder, body: bytes, cut: int) -> Reply:
    builder = ReplyBuilder()
    for start in range(0, len(body), cut):
        for chunk in decoder.feed(body[start : start + cut]):
            builder.add(chunk)
    for chunk in decoder.end():
        builder.add(chunk)
    assert decoder.complete
    return builder.reply()


@pytest.mark.parametrize("codec", CODECS)
@settings(deadline=None)
@given(reply=replies())
def test_a_reply_that_was_written_is_read_as_it_was(codec: Codec, reply: Reply) -> None:
    got = codec.decode_reply(codec.encode_reply(of(codec, reply), model="m"))
    assert bare(codec, got) == bare(codec, reply)
    assert isinstance(got.raw, dict)
    assert [part.opaque for part in got.reasoning] == [part.opaque for part in of(codec, reply).reasoning]


@pytest.mark.parametrize("codec", CODECS)
@settings(deadline=None)
@given(reply=replies(), size=st.integers(1, 9), cut=st.integers(1, 64))
def test_a_stream_that_was_written_is_read_as_it_was(codec: Codec, reply: Reply, size: int, cut: int) -> None:
    encoder = codec.stream_encoder(model="m")
    chunks = in_pieces(of(codec, reply), size)
    body = encoder.start() + b"".join(map(encoder.chunk, chunks)) + encoder.end()
    assert bare(codec, assemble(codec.stream_decoder(), body)) == bare(codec, reply)
    assert bare(codec, fed(codec.stream_decoder(), body, cut)) == bare(codec, reply)


@pytest.mark.parametrize("codec", CODECS)
def test_pieces_of_two_calls_may_be_mixed(codec: Codec) -> None:
    encoder = codec.stream_encoder(model="m")
    chunks = [
        Chunk(tool_call=ToolCallDelta(0, "a", "f", '{"x"')),
        Chunk(tool_call=ToolCallDelta(1, "b", "g", '{"y"')),
        Chunk(tool_call=ToolCallDelta(0, arguments=":1}")),
        Chunk(tool_call=ToolCallDelta(1, arguments=":2}")),
    ]
    body = encoder.start() + b"".join(map(encoder.chunk, chunks)) + encoder.end()
    reply = assemble(codec.stream_decoder(), body)
    assert [(call.id, call.name, call.arguments) for call in reply.tool_calls] == [
        ("a", "f", '{"x":1}'),
        ("b", "g", '{"y":2}'),
    ]
    assert reply.finish_reason == "tool_calls"


@pytest.mark.parametrize("codec", CODECS)
def test_half_of_a_surrogate_pair_is_written_and_does_not_stop_the_answer(codec: Codec) -> None:
    reply = Reply("a \ud83d b", tool_calls=(ToolCall("c", "f", "{\ud83d"),), finish_reason="tool_calls")
    encoder = codec.stream_encoder(model="m")
    body = encoder.start() + b"".join(map(encoder.chunk, chunks_of(reply))) + encoder.end()
    for got in (
        codec.decode_reply(codec.encode_reply(reply, model="m")),
        assemble(codec.stream_decoder(), body),
    ):
        assert got.text == "a � b"
        assert [unwrapped(call) for call in got.tool_calls] in (["{�"], ["{\ud83d"])
