"""Undoes a content encoding under two bounds: a bomb is refused by what it becomes, and is never held whole."""

from __future__ import annotations

import zlib
from typing import Final, final

from resilient_ai.models.wire import Malformed, Truncated

STEP_BYTES: Final = 64 * 1024
"""Decoded bytes given at a time. A few kilobytes of a bomb become megabytes; they are decoded only as they are asked for."""
MOST_LAYERS: Final = 2
"""Encodings one body may be nested in; each is a chance for a bomb to grow."""
_AUTO_HEADER: Final = 32 + zlib.MAX_WBITS
"""zlib recognises gzip and zlib headers by itself."""


@final
class Inflater:
    """Decodes gzip or deflate as it comes, in steps. `limit_bytes` bounds the decoded whole."""

    __slots__ = ("_inflate", "_left_bytes", "_pending")

    def __init__(self, limit_bytes: int) -> None:
        self._inflate = zlib.decompressobj(_AUTO_HEADER)
        self._left_bytes = limit_bytes
        self._pending = b""

    def push(self, data: bytes) -> None:
        """Takes the next encoded bytes."""
        self._pending += data

    def pull(self) -> bytes:
        """The next decoded bytes, at most `STEP_BYTES` of them; none when more has to be pushed.

        Raises:
            Malformed: The bytes are not in that encoding, or become more than the bound.
        """
        while self._pending:
            if self._inflate.eof:  # another member follows: legal for gzip
                self._inflate = zlib.decompressobj(_AUTO_HEADER)
            try:
                piece = self._inflate.decompress(self._pending, STEP_BYTES)
            except zlib.error as error:
                raise Malformed("the body is not in the content encoding it declares") from error
            self._pending = self._inflate.unconsumed_tail or self._inflate.unused_data
            self._left_bytes -= len(piece)
            if self._left_bytes < 0:
                raise Malformed("the decoded body is larger than the bound")
            if piece:
                return piece
        return b""

    def end(self) -> None:
        """The body ended.

        Raises:
            Truncated: In the middle of the encoding.
        """
        if not self._inflate.eof:
            raise Truncated("the encoded body ends in its middle")


@final
class Nested:
    """Undoes one encoding inside another, as `Inflater` does one."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, limit_bytes: int) -> None:
        self._outer = Inflater(limit_bytes)
        self._inner = Inflater(limit_bytes)

    def push(self, data: bytes) -> None:
        """Takes the next encoded bytes."""
        self._outer.push(data)

    def pull(self) -> bytes:
        """The next decoded bytes. Raises as `Inflater.pull`."""
        while not (piece := self._inner.pull()):
            halfway = self._outer.pull()
            if not halfway:
                return b""
            self._inner.push(halfway)
        return piece

    def end(self) -> None:
        """The body ended. Raises as `Inflater.end`."""
        self._outer.end()
        self._inner.end()


def inflater(encoding: str, limit_bytes: int) -> Inflater | Nested | None:
    """A decoder for a `content-encoding`, or None if the body is plain.

    Raises:
        Malformed: An encoding was never offered, or they are nested too deeply.
    """
    names = [name for part in encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if not names:
        return None
    if len(names) > MOST_LAYERS or any(name not in ("gzip", "x-gzip", "deflate") for name in names):
        raise Malformed("the body is in a content encoding that was not offered")
    return Inflater(limit_bytes) if len(names) == 1 else Nested(limit_bytes)
