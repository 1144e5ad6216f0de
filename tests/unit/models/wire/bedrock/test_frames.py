"""The frames of AWS's event stream, with botocore's own parser as the judge."""

from __future__ import annotations

from binascii import crc32
from importlib import import_module
from struct import pack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilient_ai.messages import Chunk, Reply, ToolCall, ToolCallDelta, Usage
from resilient_ai.models.wire import Malformed
from resilient_ai.models.wire.assembly import assemble, chunks_of
from resilient_ai.models.wire.bedrock import Bedrock
from resilient_ai.models.wire.bedrock.frames import Frame, FrameParser, write_frame

NAMES = st.text("abcdefgh-:", min_size=1, max_size=20)
HEADERS = st.dictionaries(NAMES, st.text(max_size=20), max_size=4)
FRAMES = st.lists(st.tuples(HEADERS, st.binary(max_size=60)), max_size=4)


def judged(body: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """What botocore reads."""
    buffer = import_module("botocore.eventstream").EventStreamBuffer()
    buffer.add_data(body)
    return [(message.headers, message.payload) for message in buffer]


@settings(deadline=None)
@given(frames=FRAMES)
def test_botocore_reads_the_frames_that_are_written(frames: list[tuple[dict[str, str], bytes]]) -> None:
    assert judged(b"".join(write_frame(*each) for each in frames)) == frames


@settings(deadline=None)
@given(frames=FRAMES, size=st.integers(1, 40))
def test_frames_are_read_as_they_were_written_wherever_they_are_cut(
    frames: list[tuple[dict[str, str], bytes]], size: int
) -> None:
    body = b"".join(write_frame(*each) for each in frames)
    parser = FrameParser()
    read = [frame for at in range(0, len(body), size) for frame in parser.feed(body[at : at + size])]
    assert [(frame.headers, frame.payload) for frame in read] == [tuple(each) for each in frames]
    assert b"".join(frame.whole for frame in read) == body
    assert not parser.cut


def test_headers_of_every_type_are_read_over() -> None:
    def header(name: bytes, kind: int, value: bytes) -> bytes:
        return bytes((len(name),)) + name + bytes((kind,)) + value

    headers = b"".join(
        (
            header(b"yes", 0, b""),
            header(b"no", 1, b""),
            header(b"byte", 2, b"\x01"),
            header(b"short", 3, b"\x00\x01"),
            header(b"int", 4, b"\x00\x00\x00\x01"),
            header(b"long", 5, bytes(8)),
            header(b"bytes", 6, b"\x00\x02\xff\xfe"),
            header(b"text", 7, b"\x00\x02hi"),
            header(b"moment", 8, bytes(8)),
            header(b"uuid", 9, bytes(16)),
        )
    )
    lengths = pack("!II", 16 + len(headers) + 2, len(headers))
    body = lengths + pack("!I", crc32(lengths)) + headers + b"{}"
    body += pack("!I", crc32(body))
    assert list(FrameParser().feed(body)) == [Frame({"text": "hi"}, b"{}", body)]
    assert [payload for _, payload in judged(body)] == [b"{}"]


@pytest.mark.parametrize(
    "headers", [b"\x03abc", b"\x03abc\x07\x00\x09x", b"\x03abc\x0f", b"\x01\xff\x07\x00\x00"]
)
def test_headers_that_end_in_the_middle_or_are_no_text_are_refused(headers: bytes) -> None:
    lengths = pack("!II", 16 + len(headers), len(headers))
    body = lengths + pack("!I", crc32(lengths)) + headers
    with pytest.raises(Malformed):
        list(FrameParser().feed(body + pack("!I", crc32(body))))


def test_an_answer_that_is_written_is_what_botocores_model_of_the_service_reads() -> None:
    session = import_module("botocore.session").get_session()
    shape = session.get_service_model("bedrock-runtime").operation_model("ConverseStream").output_shape
    stream = shape.members["stream"]
    parsers = import_module("botocore.parsers")
    parser = parsers.EventStreamJSONParser()
    reply = Reply(
        "Hello",
        tool_calls=(ToolCall("a", "f", '{"x":1}'),),
        finish_reason="tool_calls",
        usage=Usage(30, 5, cached_tokens=20),
    )
    encoder = Bedrock().stream_encoder(model="m")
    body = encoder.start() + b"".join(map(encoder.chunk, chunks_of(reply))) + encoder.end()
    buffer = import_module("botocore.eventstream").EventStreamBuffer()
    buffer.add_data(body)
    events = [parser.parse(message.to_response_dict(), stream) for message in buffer]
    assert [next(iter(event)) for event in events] == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockStop",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert events[-1]["metadata"]["usage"] == {
        "inputTokens": 10,
        "outputTokens": 5,
        "totalTokens": 35,
        "cacheReadInputTokens": 20,
    }
    assert assemble(Bedrock().stream_decoder(), body).usage == Usage(30, 5, 20)


def test_calls_are_written_as_they_come() -> None:
    encoder = Bedrock().stream_encoder(model="m")
    begun = encoder.start() + encoder.chunk(Chunk(tool_call=ToolCallDelta(0, "a", "f", '{"x"')))
    assert [headers[":event-type"] for headers, _ in judged(begun)] == [
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
    ]
