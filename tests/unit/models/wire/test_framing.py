from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilient_ai.models.wire import Malformed
from resilient_ai.models.wire.framing import (
    MAX_LINE_BYTES,
    MAX_MEDIA_BYTES,
    MAX_PASSED_LINE_BYTES,
    NDJSONParser,
    SSEEvent,
    SSEParser,
)

STREAM = (
    b"\xef\xbb\xbf: hello\n\nevent: first\ndata: one\r\n\r\ndata:two\rdata:  three\r\r"
    b'id: 7\nretry: 10\nevent: ping\n\ndata\n\ndata: {"a": "\xc3\xa9"}\n\n\n'
)
EVENTS = [
    SSEEvent("first", b"one"),
    SSEEvent("", b"two\n three"),
    SSEEvent("", b""),
    SSEEvent("", b'{"a": "\xc3\xa9"}'),
]


def parsed(pieces: Iterable[bytes]) -> list[SSEEvent]:
    parser = SSEParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return [*events, *parser.end()]


def records(pieces: Iterable[bytes]) -> list[bytes]:
    parser = NDJSONParser()
    lines = [line for piece in pieces for line in parser.feed(piece)]
    return [*lines, *parser.end()]


def test_comments_pings_ids_and_events_without_data_give_no_event() -> None:
    assert parsed([STREAM]) == EVENTS


def test_every_split_point_gives_the_same_events() -> None:
    for cut in range(len(STREAM) + 1):
        assert parsed([STREAM[:cut], STREAM[cut:]]) == EVENTS, cut


def test_one_byte_at_a_time_gives_the_same_events() -> None:
    assert parsed(STREAM[i : i + 1] for i in range(len(STREAM))) == EVENTS


lines = st.sampled_from(
    [
        b"data: 1", b"data:2", b"data:  3", b"data", b"data: a\xef\xbb\xbf", b"\xef\xbb\xbfdata: 4", b"event: x", b"event:\ty ",
        b"event", b"event: \xff", b": ping", b"id: 7", b"no field", b"", b"", b"",
    ]
)  # fmt: skip
ends = st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.tuples(lines, ends), min_size=1, max_size=4), max_size=6))
def test_pieces_that_end_where_events_do_give_what_single_bytes_give(
    events: list[list[tuple[bytes, bytes]]],
) -> None:
    pieces = [b"".join(line + end for line, end in event) + event[-1][1] for event in events]
    whole = b"".join(pieces)
    assert parsed(pieces) == parsed(whole[at : at + 1] for at in range(len(whole)))


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_all_three_line_ends_mean_the_same(end: bytes) -> None:
    stream = end.join([b"event: x", b"data: 1", b"data: 2", b"", b"data: 3", b"", b""])
    for cut in range(len(stream) + 1):
        assert parsed([stream[:cut], stream[cut:]]) == [SSEEvent("x", b"1\n2"), SSEEvent("", b"3")]


def test_a_crlf_cut_in_two_is_one_line_end_even_with_empty_pieces_between() -> None:
    assert parsed([b"data: 1\r", b"", b"\ndata: 2\r", b"\n\r", b"", b"\n"]) == [SSEEvent("", b"1\n2")]


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r", b"\r\n"])
def test_the_last_event_needs_no_blank_line_and_no_line_end(ending: bytes) -> None:
    assert parsed([b"data: 1\n\ndata: 2" + ending]) == [SSEEvent("", b"1"), SSEEvent("", b"2")]


def test_only_one_space_after_the_colon_is_dropped() -> None:
    assert parsed([b"data:  x\n\n"]) == [SSEEvent("", b" x")]


def test_a_byte_order_mark_is_dropped_only_at_the_very_start() -> None:
    assert parsed([b"\xef", b"\xbb", b"\xbfdata: 1\n\ndata: \xef\xbb\xbf\n\n"]) == [
        SSEEvent("", b"1"),
        SSEEvent("", b"\xef\xbb\xbf"),
    ]
    assert parsed([b"\xef\xbb"]) == []


@pytest.mark.parametrize(
    "line",
    [
        b"upstream connect error",
        b'{"error": {"code": 503}}',
        b"<html>",
        b"error: gone",
        b"timeout",
        b"a b: c",
    ],
)
def test_a_line_no_event_stream_has_is_given_as_stray_after_the_event_before_it(line: bytes) -> None:
    assert parsed([b"data: 1\n" + line + b"\ndata: 2\n\n"]) == [
        SSEEvent("", b"1"),
        SSEEvent("", line, stray=True),
        SSEEvent("", b"2"),
    ]
    assert parsed([line]) == [SSEEvent("", line, stray=True)]


@pytest.mark.parametrize("line", [b"x-trace: 1", b"unknown:", b"   ", b":", b"id:", b"retry: soon"])
def test_what_has_the_shape_of_a_field_is_ignored(line: bytes) -> None:
    assert parsed([b"data: 1\n" + line + b"\ndata: 2\n\n"]) == [SSEEvent("", b"1\n2")]


def test_an_event_name_is_forgotten_after_its_event() -> None:
    assert parsed([b"event: a\n\ndata: 1\n\n"]) == [SSEEvent("", b"1")]
    assert parsed([b"event: a\nevent\ndata: 1\n\n"]) == [SSEEvent("", b"1")]


def test_an_event_name_that_is_not_utf8_does_not_raise() -> None:
    assert parsed([b"event: \xff\ndata: 1\n\n"]) == [SSEEvent("\ufffd", b"1")]


def test_a_line_that_never_ends_is_refused_as_soon_as_it_passes_the_bound() -> None:
    parser = SSEParser(max_line_bytes=100)
    assert list(parser.feed(b"data: " + b"x" * 94)) == []
    with pytest.raises(Malformed):
        list(parser.feed(b"x"))


def test_the_events_before_a_line_that_is_too_long_are_given() -> None:
    parser = SSEParser(max_line_bytes=20)
    events = parser.feed(b"data: 1\n\ndata: 2\n\n" + b"x" * 21 + b"\ndata: 3\n\n")
    assert [next(events).data, next(events).data] == [b"1", b"2"]
    with pytest.raises(Malformed):
        next(events)


def test_a_long_line_in_the_middle_of_one_piece_is_refused() -> None:
    with pytest.raises(Malformed):
        parsed([b"data: 1\n\ndata: " + b"x" * (MAX_LINE_BYTES + 1) + b"\n\n"])


def test_a_line_that_passes_the_bound_when_its_end_comes_is_refused() -> None:
    parser = SSEParser(max_line_bytes=10)
    assert list(parser.feed(b"data: xx")) == []
    with pytest.raises(Malformed):
        list(parser.feed(b"xxx\n"))


def test_an_event_of_many_lines_is_bounded() -> None:
    parser = SSEParser(max_event_bytes=109)
    assert list(parser.feed(b"data: xxxxxxxxxx\n" * 10)) == []
    with pytest.raises(Malformed):
        list(parser.feed(b"data: x\n"))


def test_the_memory_of_a_long_line_in_tiny_pieces_is_one_buffer() -> None:
    """A list of pieces would be scanned or joined again and again; one growing buffer is not."""
    parser = SSEParser()
    for _ in range(200_000):
        list(parser.feed(b"x"))
    assert len(parser._lines._tail) == 200_000


FRAGMENTS = st.sampled_from(
    [b"data: ", b"data", b"event: e", b":", b"\r", b"\n", b"\r\n", b"x", b"\xef\xbb\xbf", b"\xff"]
)


@settings(deadline=None)
@given(st.lists(FRAGMENTS | st.binary(max_size=3), max_size=40))
def test_any_bytes_give_the_same_however_they_are_cut(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert parsed(pieces) == parsed([whole])
    assert records(pieces) == records([whole])


def test_lines_of_json_are_split_at_every_point_alike() -> None:
    stream = b'\xef\xbb\xbf{"a":1}\n\n{"b":"\xe2\x80\xa8"}\r\n  \n{"c":3}'
    expected = [b'{"a":1}', b'{"b":"\xe2\x80\xa8"}', b'{"c":3}']
    for cut in range(len(stream) + 1):
        assert records([stream[:cut], stream[cut:]]) == expected, cut


def test_a_line_of_json_that_never_ends_is_refused() -> None:
    parser = NDJSONParser(max_line_bytes=10)
    assert list(parser.feed(b"[" * 10)) == []
    with pytest.raises(Malformed):
        list(parser.feed(b"["))


MEDIA = b"iVBORw0KGgo+/_-=" * (MAX_LINE_BYTES // 8)
"""Twice as long as a line may be."""


@pytest.mark.parametrize("size", [1 << 10, 65_536, 1 << 20, 1 << 30])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"type": "x", "partial_image_b64": "', b'", "index": 1}'),
        (b'{"output":[{"result":"', b'"}],"usage":{"input_tokens":5}}'),
        (b'{"images": [{"image_url": {"url": "data:image/png;base64,', b'"}}]}'),
        (b'{"inlineData": {"mimeType": "image/png", "data": "', b'"}}'),
    ],
)
def test_media_are_left_out_of_a_line_that_is_too_long(before: bytes, after: bytes, size: int) -> None:
    """However it is cut, all that stands around them stays, and so does what comes behind."""
    sent = b"data: " + before + MEDIA + after + b"\n\ndata: 2\n\n"
    parser = SSEParser()
    events = [one for at in range(0, len(sent), size) for one in parser.feed(sent[at : at + size])]
    assert len(events) == 2
    data = events[0].data
    assert data.startswith(before)
    assert data.endswith(after)
    assert len(data) <= MAX_LINE_BYTES
    assert MEDIA.count(data[len(before) : len(data) - len(after)][:16]) > 0
    assert events[1].data == b"2"


def test_a_line_that_is_not_too_long_is_given_as_it_is() -> None:
    sent = b'{"result": "' + MEDIA[: MAX_LINE_BYTES // 2] + b'"}'
    assert parsed([b"data: " + sent + b"\n\n"]) == [SSEEvent("", sent)]


@pytest.mark.parametrize("key", [b"delta", b"text", b"arguments", b"encrypted_content", b"x"])
def test_no_text_is_left_out_however_it_looks(key: bytes) -> None:
    with pytest.raises(Malformed):
        parsed([b'data: {"' + key + b'": "' + MEDIA + b'"}\n\n'])


def test_all_that_is_left_out_of_a_line_is_bounded_too() -> None:
    parser = SSEParser()
    assert list(parser.feed(b'data: {"result": "')) == []
    piece, sent = MEDIA[: 1 << 20], 0

    def without_end() -> None:
        nonlocal sent
        while sent < 2 * MAX_MEDIA_BYTES:
            list(parser.feed(piece))
            sent += len(piece)

    with pytest.raises(Malformed):
        without_end()
    assert MAX_MEDIA_BYTES <= sent <= MAX_MEDIA_BYTES + 3 * MAX_LINE_BYTES


def test_what_somebody_else_reads_too_may_have_longer_lines() -> None:
    text = b"a text, " * (MAX_LINE_BYTES // 4)
    parser = SSEParser()
    parser.pass_on()
    sent = b"data: " + text + b"\n\n"
    size = 65_536
    got = [one for at in range(0, len(sent), size) for one in parser.feed(sent[at : at + size])]
    assert got == [SSEEvent("", text)]
    with pytest.raises(Malformed):
        list(parser.feed(b"data: " + b"a text, " * (MAX_PASSED_LINE_BYTES // 8)))
