"""Faults before the body: no response, a broken one, or one that leads elsewhere."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from resilient_ai.testing.fault_server.fault import Argument, Family, Ideal

if TYPE_CHECKING:
    from resilient_ai.testing.fault_server.exchange import Exchange

FAMILY: Final = Family("head")

_MIB: Final = 1 << 20


@FAMILY.fault("rst-no-response", Ideal.TRANSIENT)
def rst_no_response(exchange: Exchange) -> None:
    """Reads the request, then RST."""
    exchange.reset()


@FAMILY.fault("fin-no-response", Ideal.TRANSIENT)
def fin_no_response(exchange: Exchange) -> None:
    """Reads the request, then FIN."""
    exchange.finish()


@FAMILY.fault("stall-no-response", Ideal.DEADLINE)
def stall_no_response(exchange: Exchange) -> None:
    """Reads the request, then silence."""
    exchange.hold()


@FAMILY.fault("rst-after-work", Ideal.TRANSIENT)
def rst_after_work(exchange: Exchange) -> None:
    """The model answers (billed!), then RST before the first byte: a retry pays twice."""
    exchange.bill()
    exchange.reset()


@FAMILY.fault("stale-connection", Ideal.TRANSIENT)
def stale_connection(exchange: Exchange) -> None:
    """The first request of a connection is answered; any later one on it gets FIN: a pool kept it too long."""
    if exchange.connection.requests == 1:
        exchange.good()
    else:
        exchange.finish()


@FAMILY.fault("fin-mid-status-line", Ideal.TRANSIENT)
def fin_mid_status_line(exchange: Exchange) -> None:
    """FIN inside the status line."""
    exchange.send(b"HTTP/1.1 20")
    exchange.finish()


@FAMILY.fault("fin-mid-header", Ideal.TRANSIENT)
def fin_mid_header(exchange: Exchange) -> None:
    """FIN inside the header block."""
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: applica")
    exchange.finish()


@FAMILY.fault("stall-mid-header", Ideal.DEADLINE)
def stall_mid_header(exchange: Exchange) -> None:
    """Silence inside the header block."""
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: applica")
    exchange.hold()


@FAMILY.fault("slow-header", Ideal.DEADLINE, argument=Argument("0.5", "seconds"))
def slow_header(exchange: Exchange) -> None:
    """Headers without end, one every `arg` seconds: no single read times out."""
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        exchange.send(b"X-Slow-%d: 1\r\n" % number)
        exchange.wait(float(exchange.argument))


@FAMILY.fault("header-flood", Ideal.ERROR)
def header_flood(exchange: Exchange) -> None:
    """Headers without end, as fast as they are read."""
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    exchange.flood(lambda index: b"".join(b"X-Flood-%d-%d: 1\r\n" % (index, n) for n in range(1000)))


@FAMILY.fault("huge-header", Ideal.ERROR, argument=Argument("1", "MiB"))
def huge_header(exchange: Exchange) -> None:
    """One header of `arg` MiB before a good answer."""
    exchange.send(b"HTTP/1.1 200 OK\r\nX-Huge: ")
    exchange.fill(int(exchange.argument) * _MIB)
    body = exchange.body()
    exchange.send(b"\r\nContent-Type: %b\r\n" % exchange.content_type.encode())
    exchange.send(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    exchange.answered()


@FAMILY.fault("header-garbage", Ideal.ERROR)
def header_garbage(exchange: Exchange) -> None:
    """A header line without a colon, with a NUL in it."""
    body = exchange.body()
    exchange.send(b"HTTP/1.1 200 OK\r\nno colon \x00 here\r\nContent-Length: %d\r\n\r\n" % len(body))
    exchange.send(body)


@FAMILY.fault("status-line-garbage", Ideal.ERROR)
def status_line_garbage(exchange: Exchange) -> None:
    """A status line that is none: a mail server answers."""
    exchange.send(b"220 mail.invalid ESMTP ready\r\n\r\n")
    exchange.finish()


@FAMILY.fault("http09", Ideal.ERROR)
def http09(exchange: Exchange) -> None:
    """A body without status line and headers, as in HTTP/0.9."""
    exchange.send(exchange.body())
    exchange.finish()


@FAMILY.fault("http10", Ideal.OK)
def http10(exchange: Exchange) -> None:
    """An HTTP/1.0 answer which ends with the connection: legal."""
    exchange.head(version="HTTP/1.0")
    exchange.send(exchange.body())
    exchange.answered()
    exchange.finish()


@FAMILY.fault("reason-missing", Ideal.OK)
def reason_missing(exchange: Exchange) -> None:
    """A status line without a reason: legal."""
    body = exchange.body()
    kind = exchange.content_type.encode()
    exchange.send(b"HTTP/1.1 200 \r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body)))
    exchange.send(body)
    exchange.answered()


@FAMILY.fault("status-204", Ideal.ERROR)
def status_204(exchange: Exchange) -> None:
    """204 with no body where an answer was due."""
    exchange.head(204, content_type="")
    exchange.answered()


@FAMILY.fault("status-304", Ideal.ERROR)
def status_304(exchange: Exchange) -> None:
    """304 to a request that asked for no comparison."""
    exchange.head(304, content_type="")
    exchange.answered()


@FAMILY.fault("status-101", Ideal.ERROR)
def status_101(exchange: Exchange) -> None:
    """101: the server switches to a protocol nobody asked for, and says no more."""
    exchange.head(101, [("Upgrade", "websocket"), ("Connection", "Upgrade")], content_type="")
    exchange.finish()


@FAMILY.fault("status-999", Ideal.ERROR)
def status_999(exchange: Exchange) -> None:
    """A status outside of every class."""
    exchange.respond(b"", 999)


@FAMILY.fault("redirect-loop", Ideal.FATAL)
def redirect_loop(exchange: Exchange) -> None:
    """307 to itself."""
    exchange.respond(b"", 307, [("Location", exchange.request.target)])


@FAMILY.fault("redirect-cross-origin", Ideal.FATAL, argument=Argument("307", "status"))
def redirect_cross_origin(exchange: Exchange) -> None:
    """`arg` to another origin: neither the key nor the prompt may follow. See `requests("leak")`."""
    exchange.respond(b"", int(exchange.argument), [("Location", exchange.elsewhere)])


@FAMILY.fault("redirect-no-location", Ideal.FATAL)
def redirect_no_location(exchange: Exchange) -> None:
    """302 that does not say where to."""
    exchange.respond(b"", 302)


@FAMILY.fault("redirect-to-file", Ideal.FATAL)
def redirect_to_file(exchange: Exchange) -> None:
    """307 to a file of the client's machine."""
    exchange.respond(b"", 307, [("Location", "file:///etc/hostname")])


@FAMILY.fault("early-hint-once", Ideal.OK)
def early_hint_once(exchange: Exchange) -> None:
    """`103 Early Hints`, then the good answer: legal."""
    exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
    exchange.good()


@FAMILY.fault("early-hints-forever", Ideal.DEADLINE, argument=Argument("0.2", "seconds"))
def early_hints_forever(exchange: Exchange) -> None:
    """`103 Early Hints` every `arg` seconds and never an answer."""
    while True:
        exchange.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        exchange.wait(float(exchange.argument))


@FAMILY.fault("content-length-conflict", Ideal.ERROR)
def content_length_conflict(exchange: Exchange) -> None:
    """Two different Content-Length headers (response splitting)."""
    body = exchange.body()
    sizes = [("Content-Length", str(len(body))), ("Content-Length", str(len(body) // 2))]
    exchange.head(headers=sizes)
    exchange.send(body)


@FAMILY.fault("content-length-garbage", Ideal.ERROR)
def content_length_garbage(exchange: Exchange) -> None:
    """A Content-Length that is no number."""
    exchange.head(headers=[("Content-Length", "many")])
    exchange.send(exchange.body())
    exchange.finish()


@FAMILY.fault("content-length-negative", Ideal.ERROR)
def content_length_negative(exchange: Exchange) -> None:
    """A Content-Length below zero."""
    exchange.head(headers=[("Content-Length", "-1")])
    exchange.send(exchange.body())
    exchange.finish()


@FAMILY.fault("length-and-chunked", Ideal.OK)
def length_and_chunked(exchange: Exchange) -> None:
    """Content-Length beside chunked: the chunks count (RFC 9112), a strict client may refuse."""
    exchange.begin_chunks(headers=[("Content-Length", "7")])
    exchange.chunk(exchange.body())
    exchange.end_chunks()
    exchange.finish()


@FAMILY.fault("unsolicited-response", Ideal.OK)
def unsolicited_response(exchange: Exchange) -> None:
    """A second response follows the good one: it must not answer the client's next request."""
    exchange.good()
    exchange.respond_json({"id": "unsolicited", "text": "nobody asked for this"})
