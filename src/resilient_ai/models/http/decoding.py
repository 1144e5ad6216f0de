"""Undoes a content encoding under a bound: a bomb is refused by what it becomes, not by what it weighs."""

from __future__ import annotations

import zlib
from typing import Final, final

from resilient_ai.models.wire import Malformed, Truncated

STEP_BYTES: Final = 64 * 1024
MOST_LAYERS: Final = 2
"""Encodings one body may be nested in; each is a chance for a bomb to grow."""
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
        while pending:
            if self._inflate.eof:  # another member follows: legal for gzip
                self._inflate = zlib.decompressobj(_AUTO_HEADER)
            try:
                piece = self._inflate.decompress(pending, STEP_BYTES)
            except zlib.error as error:
                raise Malformed("the body is not in the content encoding it declares") from error
            pending = self._inflate.unconsumed_tail or self._inflate.unused_data
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


@final
class Nested:
    """Undoes several encodings, the last one applied first."""

    __slots__ = ("_layers",)

    def __init__(self, layers: list[Inflater]) -> None:
        self._layers = layers

    def feed(self, data: bytes) -> bytes:
        """The decoded form of `data`. Raises as `Inflater.feed`."""
        for layer in self._layers:
            data = layer.feed(data)
        return data

    def end(self) -> None:
        """The body ended. Raises as `Inflater.end`."""
        for layer in self._layers:
            layer.end()


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
    layers = [Inflater(limit_bytes) for _ in names]
    return layers[0] if len(layers) == 1 else Nested(layers)
