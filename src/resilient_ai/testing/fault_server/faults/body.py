"""Faults of the body, whole or chunked, whatever is in it; streams are bodies too."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from resilient_ai.testing.fault_server.dialects.answer import MIDDLE_WORD, Event, Part, encode
from resilient_ai.testing.fault_server.fault import Argument, Family, Ideal

if TYPE_CHECKING:
    from resilient_ai.testing.fault_server.exchange import Exchange

FAMILY: Final = Family("body")

_MIB: Final = 1 << 20
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_PIECE_BYTES: Final = 65_536
_MARK: Final = "\N{SYMBOL FOR SUBSTITUTE}"
"""Stands in the text where something is put in later; occurs nowhere else."""

_LOGIN_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form action='/login'>"
    b"<input name='user'></form></body></html>"
)


# The framing of the body.


@FAMILY.fault("content-length-long", Ideal.OK)
def content_length_long(exchange: Exchange) -> None:
    """More bytes come than Content-Length said: the surplus must not poison the next request."""
    exchange.respond(exchange.body())
    exchange.send(b"surplus surplus surplus")


@FAMILY.fault("content-length-short", Ideal.TRANSIENT, Ideal.PARTIAL)
def content_length_short(exchange: Exchange) -> None:
    """Half of the bytes that Content-Length said, then FIN."""
    exchange.head(headers=[("Content-Length", str(len(exchange.body())))])
    exchange.send(exchange.half_body())
    exchange.finish()


@FAMILY.fault("stall-mid-body", Ideal.DEADLINE, Ideal.PARTIAL)
def stall_mid_body(exchange: Exchange) -> None:
    """Half of the bytes that Content-Length said, then silence."""
    exchange.head(headers=[("Content-Length", str(len(exchange.body())))])
    exchange.send(exchange.half_body())
    exchange.hold()


@FAMILY.fault("chunked-bad-size", Ideal.TRANSIENT, Ideal.PARTIAL)
def chunked_bad_size(exchange: Exchange) -> None:
    """A chunk size which is not hexadecimal, half-way."""
    exchange.begin_chunks()
    exchange.chunk(exchange.half_body())
    exchange.send(b"xyz\r\n")
    exchange.finish()


@FAMILY.fault("chunked-huge-size", Ideal.DEADLINE, Ideal.PARTIAL)
def chunked_huge_size(exchange: Exchange) -> None:
    """A chunk that says it has 2^64 - 1 bytes, half-way, and then says nothing."""
    exchange.begin_chunks()
    exchange.chunk(exchange.half_body())
    exchange.send(b"FFFFFFFFFFFFFFFF\r\n")
    exchange.hold()


@FAMILY.fault("chunked-no-end", Ideal.TRANSIENT, Ideal.OK)
def chunked_no_end(exchange: Exchange) -> None:
    """All of the answer, then FIN without the last chunk; a stream's own end mark has come by then."""
    exchange.begin_chunks()
    exchange.chunk(exchange.body())
    exchange.finish()


@FAMILY.fault("chunk-extension", Ideal.OK)
def chunk_extension(exchange: Exchange) -> None:
    """Chunk extensions and a trailer: legal."""
    body = exchange.body()
    exchange.begin_chunks(headers=[("Trailer", "X-Checksum")])
    exchange.send(b"%x;name=value;other\r\n%b\r\n" % (len(body), body))
    exchange.send(b"0;last\r\nX-Checksum: none\r\n\r\n")
    exchange.answered()


@FAMILY.fault("chunk-one-byte", Ideal.OK)
def chunk_one_byte(exchange: Exchange) -> None:
    """A chunk for every byte: characters and line ends are cut."""
    body = exchange.body()
    exchange.begin_chunks()
    exchange.send(b"".join(b"1\r\n%c\r\n" % byte for byte in body))
    exchange.end_chunks()


# What the body is labelled as, and encoded in.


@FAMILY.fault("no-content-type", Ideal.OK)
def no_content_type(exchange: Exchange) -> None:
    """The good answer with no Content-Type."""
    exchange.respond(exchange.body(), content_type="")


@FAMILY.fault("wrong-content-type", Ideal.OK)
def wrong_content_type(exchange: Exchange) -> None:
    """The good answer as text/plain."""
    exchange.respond(exchange.body(), content_type="text/plain")


@FAMILY.fault("html-200", Ideal.ERROR)
def html_200(exchange: Exchange) -> None:
    """200 with a login page (captive portal, proxy)."""
    exchange.respond(_LOGIN_PAGE, content_type="text/html; charset=utf-8")


@FAMILY.fault("gzip", Ideal.OK)
def good_gzip(exchange: Exchange) -> None:
    """A good gzip body."""
    exchange.respond(_gzip(exchange.body()), headers=[("Content-Encoding", "gzip")])


@FAMILY.fault("gzip-two-members", Ideal.OK)
def gzip_two_members(exchange: Exchange) -> None:
    """A gzip body of two members: legal, and read by halves by many."""
    body = exchange.body()
    half = len(body) // 2
    members = _gzip(body[:half]) + _gzip(body[half:])
    exchange.respond(members, headers=[("Content-Encoding", "gzip")])


@FAMILY.fault("gzip-corrupt", Ideal.ERROR)
def gzip_corrupt(exchange: Exchange) -> None:
    """Content-Encoding: gzip, but it is not."""
    exchange.respond(exchange.body(), headers=[("Content-Encoding", "gzip")])


@FAMILY.fault("gzip-truncated", Ideal.TRANSIENT, Ideal.PARTIAL)
def gzip_truncated(exchange: Exchange) -> None:
    """A gzip body cut in half, with an honest Content-Length."""
    packed = _gzip(exchange.body())
    exchange.respond(packed[: len(packed) // 2], headers=[("Content-Encoding", "gzip")])


@FAMILY.fault("gzip-bomb", Ideal.ERROR, argument=Argument("256", "MiB"))
def gzip_bomb(exchange: Exchange) -> None:
    """`arg` MiB of spaces in about 1/1000 of the bytes: a size limit must act on decoded bytes."""
    exchange.begin_chunks(headers=[("Content-Encoding", "gzip")])
    packer = zlib.compressobj(wbits=_GZIP_WINDOW)
    block = b" " * _MIB
    for data in (packer.compress(block) for _ in range(int(exchange.argument))):
        exchange.chunk(data)
    exchange.chunk(packer.compress(exchange.body()) + packer.flush())
    exchange.end_chunks()


@FAMILY.fault("encoding-unknown", Ideal.ERROR)
def encoding_unknown(exchange: Exchange) -> None:
    """A Content-Encoding which the client never offered."""
    exchange.respond(exchange.body()[::-1], headers=[("Content-Encoding", "x-reversed")])


@FAMILY.fault("encoding-nested", Ideal.OK)
def encoding_nested(exchange: Exchange) -> None:
    """Content-Encoding: gzip, gzip, and it is so: legal, rare."""
    exchange.respond(_gzip(_gzip(exchange.body())), headers=[("Content-Encoding", "gzip, gzip")])


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


# What is in it.


@FAMILY.fault("empty-200", Ideal.ERROR)
def empty_200(exchange: Exchange) -> None:
    """200 with zero bytes."""
    exchange.respond(b"")


@FAMILY.fault("truncated-json", Ideal.TRANSIENT, Ideal.PARTIAL)
def truncated_json(exchange: Exchange) -> None:
    """A body cut in the middle, with an honest Content-Length: HTTP is content, JSON is not."""
    exchange.respond(exchange.half_body())


@FAMILY.fault("json-whitespace-first", Ideal.OK)
def json_whitespace_first(exchange: Exchange) -> None:
    """Line ends every 0.1 s while the model thinks, then the good answer: legal, and seen in the wild."""
    body = exchange.body()
    exchange.begin_chunks()
    for _ in range(5):
        exchange.chunk(b"\n")
        exchange.wait(0.1)
    exchange.chunk(body)
    exchange.end_chunks()


@FAMILY.fault("json-whitespace-forever", Ideal.DEADLINE, argument=Argument("0.2", "seconds"))
def json_whitespace_forever(exchange: Exchange) -> None:
    """A line end every `arg` seconds and never an answer: no single read times out."""
    exchange.begin_chunks()
    while True:
        exchange.chunk(b"\n")
        exchange.wait(float(exchange.argument))


@FAMILY.fault("json-bom", Ideal.OK)
def json_bom(exchange: Exchange) -> None:
    """A UTF-8 byte order mark in front."""
    exchange.respond(b"\xef\xbb\xbf" + exchange.body())


@FAMILY.fault("json-invalid-utf8", Ideal.TRANSIENT, Ideal.PARTIAL)
def json_invalid_utf8(exchange: Exchange) -> None:
    """Bytes which are not UTF-8 inside a JSON string."""
    exchange.respond(exchange.body().replace(MIDDLE_WORD.encode(), b"lan\xff\xfeterns"))


@FAMILY.fault("json-trailing-garbage", Ideal.ERROR, only="json")
def json_trailing_garbage(exchange: Exchange) -> None:
    """A good answer and then something else in the same body."""
    exchange.respond(exchange.body() + b"\n<!-- served by proxy-7 -->")


@FAMILY.fault("json-deep", Ideal.ERROR, argument=Argument("200000", "count"))
def json_deep(exchange: Exchange) -> None:
    """`arg` nested arrays: RecursionError inside the parser."""
    depth = int(exchange.argument)
    nested = b'{"id":"deep","nested":' + b"[" * depth + b"]" * depth + b"}"
    _respond_value(exchange, nested)


@FAMILY.fault("json-digits", Ideal.ERROR, argument=Argument("10000", "count"))
def json_digits(exchange: Exchange) -> None:
    """A number of `arg` digits: int() refuses more than 4,300."""
    number = b'{"id":"digits","created":' + b"9" * int(exchange.argument) + b"}"
    _respond_value(exchange, number)


@FAMILY.fault("json-array", Ideal.ERROR)
def json_array(exchange: Exchange) -> None:
    """A JSON array where an object is due."""
    _respond_value(exchange, b'[{"id":"array"}]')


@FAMILY.fault("json-string", Ideal.ERROR)
def json_string(exchange: Exchange) -> None:
    """A JSON string where an object is due."""
    _respond_value(exchange, b'"all is well"')


@FAMILY.fault("json-null", Ideal.ERROR)
def json_null(exchange: Exchange) -> None:
    """Null where an object is due."""
    _respond_value(exchange, b"null")


@FAMILY.fault("json-empty-object", Ideal.ERROR)
def json_empty_object(exchange: Exchange) -> None:
    """{} where an answer is due."""
    _respond_value(exchange, b"{}")


@FAMILY.fault("json-duplicate-keys", Ideal.OK, only="json")
def json_duplicate_keys(exchange: Exchange) -> None:
    """A key that comes twice; the last one is the good one."""
    body = exchange.body()
    carrier = json.dumps(exchange.dialect.carrier).encode()
    exchange.respond(b"{" + carrier + b":null," + body[1:])


@FAMILY.fault("error-in-200", Ideal.TRANSIENT)
def error_in_200(exchange: Exchange) -> None:
    """200, and the body is an error object (overloaded)."""
    body = encode(exchange.dialect.error(503, "overloaded"))
    exchange.respond(body, content_type="application/json")


@FAMILY.fault("huge-body", Ideal.ERROR, argument=Argument("64", "MiB"))
def huge_body(exchange: Exchange) -> None:
    """An answer whose text has `arg` MiB: a size limit must act before it is in memory."""
    size = int(exchange.argument) * _MIB
    if exchange.streaming:
        _huge_stream(exchange, size)
        return
    exchange.answer = replace(exchange.answer, text=_MARK)
    before, _, after = exchange.body().partition(_MARK.encode())
    exchange.head(headers=[("Content-Length", str(len(before) + size + len(after)))])
    exchange.send(before)
    exchange.fill(size)
    exchange.send(after)
    exchange.answered()


def _huge_stream(exchange: Exchange, size: int) -> None:
    """The good stream, with `size` bytes of text in large events where its text was."""
    events = exchange.events()
    texts = [at for at, event in enumerate(events) if event.part is Part.TEXT]
    exchange.begin_chunks()
    exchange.chunk(b"".join(exchange.frames(events[: texts[0]])))
    piece = "a" * _PIECE_BYTES
    for index in range(size // _PIECE_BYTES):
        exchange.chunk(exchange.frame(exchange.dialect.text_event(exchange.answer, piece, index)))
    exchange.chunk(b"".join(exchange.frames(events[texts[-1] + 1 :])))
    exchange.end_chunks()


def _respond_value(exchange: Exchange, value: bytes) -> None:
    """Writes one JSON value, as a body or as the only event of a stream."""
    if exchange.streaming:
        exchange.respond(exchange.frame(Event(Part.TEXT, value.decode())))
    else:
        exchange.respond(value)
