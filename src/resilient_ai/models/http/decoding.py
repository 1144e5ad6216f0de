"""Undoes a content encoding under a bound: a bomb is refused by what it becomes, not by what it weighs."""

from __future__ import annotations

import zlib
from typing import Final, final

from resilient_ai.models.wire import Malformed, Truncated

STEP_BYTES: Final = 64 * 1024
_AUTO_HEADER: Final = 32 + zlib.MAX_WBITS
"""zlib recognises gzip and zlib headers by itself."""


@final
class Inflater:
    """Decodes gzip or deflate as it comes. `limit_bytes` bounds the decoded whole."""

    __slots__ = ("_inflate", "_left_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._inflate = zlib.decompressobj(_AUTO_HEADER)
        self._left_bytes = limit_bytes

    def feed(self, data: bytes) -> bytes:
        """The decoded form of `data`.

        Raises:
            Malformed: It is not in that encoding, or becomes more than the bound.
        """
        out: list[bytes] = []
        pending = data
        while pending and not self._inflate.eof:
            try:
                piece = self._inflate.decompress(pending, STEP_BYTES)
            except zlib.error as error:
                raise Malformed("the body is not in the content encoding it declares") from error
            pending = self._inflate.unconsumed_tail
            self._left_bytes -= len(piece)
            if self._left_bytes < 0:
                raise Malformed("the decoded body is larger than the bound")
            out.append(piece)
        return b"".join(out)

    def end(self) -> None:
        """The body ended.

        Raises:
            Truncated: In the middle of the encoding.
        """
        if not self._inflate.eof:
            raise Truncated("the encoded body ends in its middle")


def inflater(encoding: str, limit_bytes: int) -> Inflater | None:
    """A decoder for a `content-encoding`, or None if the body is plain.

    Raises:
        Malformed: The encoding was never offered.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return None
    if name in ("gzip", "x-gzip", "deflate"):
        return Inflater(limit_bytes)
    raise Malformed("the body is in a content encoding that was not offered")
