"""Faults of the flow: cut, silent, slow or endless, in the middle of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from resilient_ai.testing.fault_server.dialects.answer import Part
from resilient_ai.testing.fault_server.fault import Argument, Family, Ideal

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_ai.testing.fault_server.exchange import Exchange

FAMILY: Final = Family("stream")

_DRIP_PIECES: Final = 14
"""As many as the text events of a stream, so that both modes take 12 to 15 s at 0.9 s each."""

_FLOOD_BYTES: Final = 65_536


def _first_half(exchange: Exchange) -> None:
    """Writes a head and half of the answer: events a chunk each, or half of a JSON body."""
    if not exchange.streaming:
        half = exchange.half_body()
        exchange.begin_chunks()
        exchange.chunk(half)
        return
    frames = exchange.frames(exchange.first_half())
    exchange.begin_chunks()
    for each in frames:
        exchange.chunk(each)


@FAMILY.fault("rst-mid-stream", Ideal.TRANSIENT, Ideal.PARTIAL)
def rst_mid_stream(exchange: Exchange) -> None:
    """RST after half of the answer."""
    _first_half(exchange)
    exchange.reset()


@FAMILY.fault("fin-mid-stream", Ideal.TRANSIENT, Ideal.PARTIAL)
def fin_mid_stream(exchange: Exchange) -> None:
    """FIN after half of the answer, without the last chunk."""
    _first_half(exchange)
    exchange.finish()


@FAMILY.fault("fin-close-delimited", Ideal.TRANSIENT, Ideal.PARTIAL)
def fin_close_delimited(exchange: Exchange) -> None:
    """Neither chunked nor Content-Length: FIN half-way looks like a good end. Only the end mark tells."""
    half = exchange.half_body()
    exchange.head(headers=[("Connection", "close")])
    exchange.send(half)
    exchange.answered()
    exchange.finish()


@FAMILY.fault("truncated-clean", Ideal.TRANSIENT, Ideal.PARTIAL)
def truncated_clean(exchange: Exchange) -> None:
    """Half of the answer, then a correct last chunk (a proxy did it): silent truncation."""
    _first_half(exchange)
    exchange.end_chunks()


@FAMILY.fault("truncated-mid-event", Ideal.TRANSIENT, Ideal.PARTIAL)
def truncated_mid_event(exchange: Exchange) -> None:
    """Ends inside an event, then a correct last chunk."""
    _first_half(exchange)
    if exchange.streaming:
        events = exchange.events()
        half = len(exchange.first_half())
        cut = exchange.frame(events[half])
        exchange.chunk(cut[: len(cut) // 2])
    exchange.end_chunks()


@FAMILY.fault("stall-before-first-token", Ideal.DEADLINE)
def stall_before_first_token(exchange: Exchange) -> None:
    """Good headers, then silence: needs a limit on the time to the first token."""
    exchange.begin_chunks()
    exchange.hold()


@FAMILY.fault("stall-mid-stream", Ideal.DEADLINE, Ideal.PARTIAL)
def stall_mid_stream(exchange: Exchange) -> None:
    """Half of the answer, then silence: needs a limit on the time between tokens."""
    _first_half(exchange)
    exchange.hold()


@FAMILY.fault("stall-mid-event", Ideal.DEADLINE, Ideal.PARTIAL)
def stall_mid_event(exchange: Exchange) -> None:
    """Half of the answer and half of one more event, then silence."""
    _first_half(exchange)
    if exchange.streaming:
        exchange.chunk(exchange.frame(exchange.events()[len(exchange.first_half())])[:20])
    exchange.hold()


@FAMILY.fault("slow-drip", Ideal.DEADLINE, Ideal.PARTIAL, argument=Argument("0.9", "seconds"))
def slow_drip(exchange: Exchange) -> None:
    """A text event every `arg` s (13 s in all): each gap is fine, the sum is over the deadline."""
    seconds = float(exchange.argument)
    if not exchange.streaming:
        body = exchange.body()
        step = -(-len(body) // _DRIP_PIECES)
        exchange.begin_chunks()
        for at in range(0, len(body), step):
            exchange.wait(seconds)
            exchange.chunk(body[at : at + step])
        exchange.end_chunks()
        return
    events = exchange.events()
    exchange.begin_chunks()
    for event in events:
        if event.part is Part.TEXT:
            exchange.wait(seconds)
        exchange.chunk(exchange.frame(event))
    exchange.end_chunks()


@FAMILY.fault("byte-drip", Ideal.DEADLINE, Ideal.PARTIAL, argument=Argument("0.1", "seconds"))
def byte_drip(exchange: Exchange) -> None:
    """One byte of the body every `arg` s: minutes in all, and no read ever times out."""
    body = exchange.body()
    exchange.begin_chunks()
    for at in range(len(body)):
        exchange.chunk(body[at : at + 1])
        exchange.wait(float(exchange.argument))
    exchange.end_chunks()


@FAMILY.fault("infinite-stream", Ideal.DEADLINE, Ideal.PARTIAL)
def infinite_stream(exchange: Exchange) -> None:
    """Tokens without end, as fast as they are read (JSON: spaces): needs an output limit, not only a deadline."""
    exchange.begin_chunks()
    if exchange.streaming:
        _start(exchange)
        _flood_chunks(exchange, lambda index: _tokens(exchange, index))
    else:
        exchange.bill()
        exchange.chunk(b'{"id":"endless",')
        spaces = b" " * _FLOOD_BYTES
        _flood_chunks(exchange, lambda _: spaces)


@FAMILY.fault("infinite-line", Ideal.DEADLINE, only="stream")
def infinite_line(exchange: Exchange) -> None:
    """One line which never ends: the line buffer grows without limit (and quadratically if joined)."""
    event = exchange.frame(exchange.dialect.text_event(exchange.answer, "x", 0))
    exchange.begin_chunks()
    exchange.chunk(event[: event.rindex(b"x")])
    block = b"x" * _FLOOD_BYTES
    _flood_chunks(exchange, lambda _: block)


@FAMILY.fault("infinite-event", Ideal.DEADLINE, only="stream")
def infinite_event(exchange: Exchange) -> None:
    """One event of short lines which never ends (NDJSON: empty lines): each line is fine, their sum is not."""
    line = b"data: x" + exchange.dialect.eol if _is_sse(exchange) else exchange.dialect.eol
    block = line * 4096
    exchange.begin_chunks()
    _flood_chunks(exchange, lambda _: block)


@FAMILY.fault("pings-forever", Ideal.DEADLINE, only="stream", argument=Argument("0.2", "seconds"))
def pings_forever(exchange: Exchange) -> None:
    """An SSE comment (NDJSON: an empty line) every `arg` s and never a token: reads do not time out."""
    exchange.begin_chunks()
    while True:
        exchange.chunk(exchange.comment("ping"))
        exchange.wait(float(exchange.argument))


@FAMILY.fault(
    "pings-mid-stream-forever",
    Ideal.DEADLINE,
    Ideal.PARTIAL,
    only="stream",
    argument=Argument("0.2", "seconds"),
)
def pings_mid_stream_forever(exchange: Exchange) -> None:
    """Half of the answer, then only comments, one every `arg` s."""
    _first_half(exchange)
    while True:
        exchange.chunk(exchange.comment("ping"))
        exchange.wait(float(exchange.argument))


@FAMILY.fault("empty-deltas-forever", Ideal.DEADLINE, only="stream", argument=Argument("0.2", "seconds"))
def empty_deltas_forever(exchange: Exchange) -> None:
    """A token event with no text every `arg` s: not silence, not progress either."""
    exchange.begin_chunks()
    _start(exchange)
    index = 0
    while True:
        exchange.chunk(exchange.frame(exchange.dialect.text_event(exchange.answer, "", index)))
        exchange.wait(float(exchange.argument))
        index += 1


@FAMILY.fault(
    "repeats-forever", Ideal.DEADLINE, Ideal.PARTIAL, only="stream", argument=Argument("0.05", "seconds")
)
def repeats_forever(exchange: Exchange) -> None:
    """The same few words every `arg` s without end: a model that loops."""
    exchange.begin_chunks()
    _start(exchange)
    index = 0
    while True:
        exchange.chunk(exchange.frame(exchange.dialect.text_event(exchange.answer, "and again ", index)))
        exchange.wait(float(exchange.argument))
        index += 1


def _start(exchange: Exchange) -> None:
    """Writes the events that come before the first text."""
    for event in exchange.events():
        if event.part is Part.TEXT:
            return
        exchange.chunk(exchange.frame(event))


def _tokens(exchange: Exchange, block: int) -> bytes:
    each = 200
    events = (
        exchange.dialect.text_event(exchange.answer, "and on ", block * each + at) for at in range(each)
    )
    return b"".join(exchange.frames(events))


def _flood_chunks(exchange: Exchange, block: Callable[[int], bytes]) -> None:
    def chunk(index: int) -> bytes:
        data = block(index)
        return b"%x\r\n%b\r\n" % (len(data), data)

    exchange.flood(chunk)


def _is_sse(exchange: Exchange) -> bool:
    return exchange.content_type.startswith("text/event-stream")
