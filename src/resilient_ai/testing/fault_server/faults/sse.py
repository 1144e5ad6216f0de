"""Faults of the event framing, and of events that arrive well framed but out of line.

Where a dialect streams JSON lines instead of server-sent events (Ollama), the nearest thing is served.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from resilient_ai.testing.fault_server.dialects.answer import (
    MIDDLE_WORD,
    Event,
    Framing,
    Part,
    encode,
    frame,
)
from resilient_ai.testing.fault_server.fault import Argument, Family, Ideal

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_ai.testing.fault_server.exchange import Exchange

FAMILY: Final = Family("sse")

_MIB: Final = 1 << 20
_UNKNOWN: Final = Event(
    Part.PING, {"type": "weather_report", "note": "nobody knows this event"}, "weather_report"
)


# Errors inside a stream that began well.


@FAMILY.fault("error-first-event", Ideal.TRANSIENT, only="stream")
def error_first_event(exchange: Exchange) -> None:
    """200, and the first event is an error: nothing was delivered, safe to retry."""
    exchange.stream([exchange.frame(exchange.dialect.error_event(503, "overloaded"))])


@FAMILY.fault("error-mid-stream", Ideal.PARTIAL, only="stream")
def error_mid_stream(exchange: Exchange) -> None:
    """The provider's own error event after half of the answer."""
    exchange.stream(
        exchange.frames([*exchange.first_half(), exchange.dialect.error_event(503, "overloaded")])
    )


@FAMILY.fault("error-mid-stream-named", Ideal.PARTIAL, only="stream")
def error_mid_stream_named(exchange: Exchange) -> None:
    """`event: error` after half of the answer, whether or not the provider names its events."""
    error = replace(exchange.dialect.error_event(503, "overloaded"), name="error")
    exchange.stream(exchange.frames([*exchange.first_half(), error]))


@FAMILY.fault("error-plain-mid-stream", Ideal.PARTIAL, only="stream")
def error_plain_mid_stream(exchange: Exchange) -> None:
    """A bare line of text, no `data:`, after half of the answer; then a good end of chunks."""
    half = exchange.frames(exchange.first_half())
    exchange.stream([*half, b"upstream connect error or disconnect/reset before headers\n"])


@FAMILY.fault("error-json-mid-stream", Ideal.PARTIAL, only="stream")
def error_json_mid_stream(exchange: Exchange) -> None:
    """A bare line with the JSON of an error, no `data:`, after half of the answer."""
    half = exchange.frames(exchange.first_half())
    exchange.stream([*half, encode(exchange.dialect.error(503, "overloaded")) + b"\n"])


# The end.


@FAMILY.fault("missing-finish", Ideal.PARTIAL, only="stream")
def missing_finish(exchange: Exchange) -> None:
    """All of the text came and the finish reason did not: not known to be complete."""
    exchange.stream(exchange.frames(e for e in exchange.events() if e.part is not Part.FINISH))


@FAMILY.fault("missing-done", Ideal.OK, only="stream")
def missing_done(exchange: Exchange) -> None:
    """The finish reason came, the end mark after it (`[DONE]`, message_stop) did not: some providers do so."""
    exchange.stream(exchange.frames(e for e in exchange.events() if e.part is not Part.DONE))


@FAMILY.fault("missing-end", Ideal.PARTIAL, only="stream")
def missing_end(exchange: Exchange) -> None:
    """All of the text came, neither finish reason nor end mark did; then a correct last chunk."""
    ends = {Part.FINISH, Part.DONE, Part.USAGE}
    exchange.stream(exchange.frames(e for e in exchange.events() if e.part not in ends))


@FAMILY.fault("duplicate-finish", Ideal.OK, only="stream")
def duplicate_finish(exchange: Exchange) -> None:
    """The event with the finish reason comes twice."""
    events = exchange.events()
    doubled = [each for e in events for each in ([e, e] if e.part is Part.FINISH else [e])]
    exchange.stream(exchange.frames(doubled))


@FAMILY.fault("finish-only", Ideal.FLAG, only="stream")
def finish_only(exchange: Exchange) -> None:
    """A well-formed stream with no text in it: an empty answer must be visible."""
    exchange.answer = replace(exchange.answer, text="")
    exchange.stream(exchange.frames())


@FAMILY.fault("done-only", Ideal.ERROR, only="stream")
def done_only(exchange: Exchange) -> None:
    """Only the last event of the stream came."""
    exchange.stream(exchange.frames(exchange.events()[-1:]))


@FAMILY.fault("done-then-stall", Ideal.OK, only="stream")
def done_then_stall(exchange: Exchange) -> None:
    """After the end mark the server keeps the connection open: the call must end now, not at the deadline."""
    frames = exchange.frames()
    exchange.begin_chunks()
    for each in frames:
        exchange.chunk(each)
    exchange.hold()


@FAMILY.fault("done-then-rst", Ideal.OK, only="stream")
def done_then_rst(exchange: Exchange) -> None:
    """After the end mark comes RST: the answer is complete all the same."""
    frames = exchange.frames()
    exchange.begin_chunks()
    for each in frames:
        exchange.chunk(each)
    exchange.reset()


@FAMILY.fault("done-then-garbage", Ideal.OK, only="stream")
def done_then_garbage(exchange: Exchange) -> None:
    """More events after the end mark: ignored."""
    garbage = Event(Part.TEXT, "this is not part of the answer")
    exchange.stream(exchange.frames([*exchange.events(), garbage]))


# Events that are wrong.


@FAMILY.fault("giant-event", Ideal.ERROR, only="stream", argument=Argument("16", "MiB"))
def giant_event(exchange: Exchange) -> None:
    """One event of `arg` MiB inside an otherwise good stream: a size limit should act."""
    event = exchange.frame(exchange.dialect.text_event(exchange.answer, MIDDLE_WORD, 0))
    before, _, after = event.partition(MIDDLE_WORD.encode())
    size = int(exchange.argument) * _MIB
    events = exchange.events()
    half = len(exchange.first_half())
    exchange.begin_chunks()
    exchange.chunk(b"".join(exchange.frames(events[:half])))
    exchange.send(b"%x\r\n" % (len(before) + size + len(after)) + before)
    exchange.fill(size)
    exchange.send(after + b"\r\n")
    exchange.chunk(b"".join(exchange.frames(events[half:])))
    exchange.end_chunks()


@FAMILY.fault("sse-invalid-json", Ideal.PARTIAL, only="stream")
def sse_invalid_json(exchange: Exchange) -> None:
    """One event is not JSON."""
    _with_one_changed(exchange, lambda data: data.replace(b"{", b"<", 1))


@FAMILY.fault("sse-invalid-utf8", Ideal.PARTIAL, only="stream")
def sse_invalid_utf8(exchange: Exchange) -> None:
    """One event is not UTF-8."""
    _with_one_changed(exchange, lambda data: data.replace(MIDDLE_WORD.encode(), b"lan\xff\xfeterns"))


@FAMILY.fault("sse-data-null", Ideal.ERROR, only="stream")
def sse_data_null(exchange: Exchange) -> None:
    """One event is `null`."""
    _insert(exchange, exchange.frame(Event(Part.PING, "null")))


@FAMILY.fault("sse-data-array", Ideal.ERROR, only="stream")
def sse_data_array(exchange: Exchange) -> None:
    """One event is a JSON array where an object is due."""
    _insert(exchange, exchange.frame(Event(Part.PING, '["unexpected"]')))


# Framing that is unusual and legal.


@FAMILY.fault("sse-crlf", Ideal.OK, only="stream")
def sse_crlf(exchange: Exchange) -> None:
    """CRLF line ends."""
    exchange.stream(_framed(exchange, b"\r\n"))


@FAMILY.fault("sse-cr", Ideal.OK, only="stream")
def sse_cr(exchange: Exchange) -> None:
    """CR line ends: legal in server-sent events (NDJSON: LF)."""
    exchange.stream(_framed(exchange, b"\r" if _is_sse(exchange) else b"\n"))


@FAMILY.fault("sse-crlf-split", Ideal.OK, only="stream")
def sse_crlf_split(exchange: Exchange) -> None:
    """CRLF, with a chunk boundary between CR and LF."""
    exchange.begin_chunks()
    for each in _framed(exchange, b"\r\n"):
        *lines, rest = each.split(b"\n")
        for line in lines:
            exchange.chunk(line)
            exchange.chunk(b"\n")
        exchange.chunk(rest)
    exchange.end_chunks()


@FAMILY.fault("sse-bom", Ideal.OK, only="stream")
def sse_bom(exchange: Exchange) -> None:
    """A byte order mark before the first event (OpenAI chat: one which carries text)."""
    events = exchange.events()
    if exchange.dialect.name == "openai-chat":
        events = events[1:]
    first, *rest = exchange.frames(events)
    exchange.stream([b"\xef\xbb\xbf" + first, *rest])


@FAMILY.fault("sse-one-segment", Ideal.OK, only="stream")
def sse_one_segment(exchange: Exchange) -> None:
    """All events in one chunk."""
    exchange.stream([b"".join(exchange.frames())])


@FAMILY.fault("sse-no-final-newline", Ideal.OK, only="stream")
def sse_no_final_newline(exchange: Exchange) -> None:
    """The last event lacks its blank line, and its line end."""
    *most, last = exchange.frames()
    exchange.stream([*most, last.rstrip(b"\r\n")])


@FAMILY.fault("sse-no-space", Ideal.OK, only="stream")
def sse_no_space(exchange: Exchange) -> None:
    """`data:` and `event:` with no space behind the colon: legal."""
    frames = exchange.frames()
    if _is_sse(exchange):
        frames = [f.replace(b"data: ", b"data:", 1).replace(b"event: ", b"event:", 1) for f in frames]
    exchange.stream(frames)


@FAMILY.fault("sse-id-retry", Ideal.OK, only="stream")
def sse_id_retry(exchange: Exchange) -> None:
    """Events with `id:`, `retry:` and a field nobody knows: legal."""
    frames = exchange.frames()
    if _is_sse(exchange):
        frames = [b"id: %d\nretry: 1\nweather: fine\n" % at + each for at, each in enumerate(frames)]
    exchange.stream(frames)


@FAMILY.fault("sse-comments", Ideal.OK, only="stream")
def sse_comments(exchange: Exchange) -> None:
    """A comment (NDJSON: an empty line) before every event: legal."""
    exchange.stream(exchange.comment("ping") + each for each in exchange.frames())


@FAMILY.fault("sse-no-data", Ideal.OK, only="stream")
def sse_no_data(exchange: Exchange) -> None:
    """Events without any data (NDJSON: an empty line): to be ignored."""
    _insert(exchange, b"event: keep-alive\n\ndata:\n\n" if _is_sse(exchange) else b"\n")


@FAMILY.fault("sse-unknown-event", Ideal.OK, only="stream")
def sse_unknown_event(exchange: Exchange) -> None:
    """An event type nobody knows."""
    _insert(exchange, exchange.frame(_UNKNOWN))


@FAMILY.fault("sse-multi-data", Ideal.OK, only="stream")
def sse_multi_data(exchange: Exchange) -> None:
    """One event's JSON spread over several `data:` lines: legal (NDJSON has no such thing)."""
    frames = [
        _spread(exchange, event) if event.part is Part.TEXT and _is_sse(exchange) else exchange.frame(event)
        for event in exchange.events()
    ]
    exchange.stream(frames)


# Order and identity.


@FAMILY.fault("duplicate-events", Ideal.FLAG, only="stream")
def duplicate_events(exchange: Exchange) -> None:
    """Every token event comes twice, byte for byte (a replaying proxy); no id tells them apart."""
    events = exchange.events()
    doubled = [each for e in events for each in ([e, e] if e.part is Part.TEXT else [e])]
    exchange.stream(exchange.frames(doubled))


@FAMILY.fault("reordered-events", Ideal.FLAG, only="stream")
def reordered_events(exchange: Exchange) -> None:
    """Two neighbouring token events are swapped; only sequence numbers tell, where there are any."""
    events = exchange.events()
    at = len(exchange.first_half())
    events[at], events[at + 1] = events[at + 1], events[at]
    exchange.stream(exchange.frames(events))


@FAMILY.fault("finish-before-text", Ideal.FLAG, only="stream")
def finish_before_text(exchange: Exchange) -> None:
    """The finish reason comes half-way, and text goes on after it."""
    events = exchange.events()
    finish = [event for event in events if event.part is Part.FINISH]
    at = len(exchange.first_half())
    rest = [event for event in events[at:] if event.part is not Part.FINISH]
    exchange.stream(exchange.frames([*events[:at], *finish, *rest]))


@FAMILY.fault("id-changes", Ideal.PARTIAL, only="stream")
def id_changes(exchange: Exchange) -> None:
    """Half-way the completion id changes: two answers were mixed (Ollama has no ids: nothing changes)."""
    events = exchange.events()
    at = len(exchange.first_half())
    other = exchange.dialect.events(replace(exchange.answer, id=f"{exchange.answer.id}-other"))
    start = [event for event in other[:1] if event.part is Part.START and event.name is not None]
    exchange.stream(exchange.frames([*events[:at], *start, *other[at:]]))


# The wrong mode.


@FAMILY.fault("stream-got-json", Ideal.OK, only="stream")
def stream_got_json(exchange: Exchange) -> None:
    """A stream was asked for, a plain JSON answer came."""
    exchange.bill()
    exchange.respond_json(exchange.dialect.unary(exchange.answer))


@FAMILY.fault("json-got-stream", Ideal.ERROR, only="json")
def json_got_stream(exchange: Exchange) -> None:
    """A plain answer was asked for, a stream came."""
    exchange.streaming = True
    exchange.good()


def _is_sse(exchange: Exchange) -> bool:
    return exchange.dialect.framing is Framing.SSE


def _framed(exchange: Exchange, eol: bytes) -> list[bytes]:
    return [frame(event, exchange.dialect.framing, eol) for event in exchange.events()]


def _insert(exchange: Exchange, data: bytes) -> None:
    """Writes the good stream with `data` in the middle of the text."""
    frames = exchange.frames()
    at = len(exchange.first_half())
    exchange.stream([*frames[:at], data, *frames[at:]])


def _with_one_changed(exchange: Exchange, change: Callable[[bytes], bytes]) -> None:
    """Writes the good stream with the event of the middle word changed."""
    frames = exchange.frames()
    at = next(at for at, each in enumerate(frames) if MIDDLE_WORD.encode() in each)
    exchange.stream([*frames[:at], change(frames[at]), *frames[at + 1 :]])


def _spread(exchange: Exchange, event: Event) -> bytes:
    """An event's JSON, indented, a `data:` line for each of its lines."""
    eol = exchange.dialect.eol
    name = b"event: " + event.name.encode() + eol if event.name else b""
    lines = json.dumps(event.payload, ensure_ascii=False, indent=1).encode().split(b"\n")
    return name + b"".join(b"data: " + line + eol for line in lines) + eol
