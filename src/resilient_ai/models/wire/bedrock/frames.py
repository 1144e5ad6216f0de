"""The frames of an AWS event stream: a prelude with two lengths, headers, a payload, and a checksum behind each part.

    total length | headers length | CRC of these 8 bytes | headers | payload | CRC of all before

Pure, bounded and linear: bytes may be cut anywhere, and a peer that announces a frame beyond the limits is refused before it is collected.

Source: https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream and the Smithy specification of
`application/vnd.amazon.eventstream`.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, final

from resilient_ai.models.wire import Malformed
from resilient_ai.models.wire.framing import MAX_EVENT_BYTES

_MAX_HEADERS_BYTES: Final = 128 * 1024
"""Source: the specification; the payload's own limit of 24 MB is far above any event of a text model."""

_PRELUDE: Final = struct.Struct("!III")
_CHECKSUM: Final = struct.Struct("!I")
_SHORT: Final = struct.Struct("!H")
_STRING: Final = 7
_FIXED_BYTES: Final[Mapping[int, int]] = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Length of a header's value by its type, for the types that have one: booleans, integers, a timestamp, a UUID."""


@final
class Frame(NamedTuple):
    """One frame.

    Attributes:
        headers: Those that are strings, by name: `:message-type`, `:event-type`, `:exception-type`, `:content-type`.
        payload: Bytes, JSON in this format.
        whole: The frame as it came.
    """

    headers: Mapping[str, str]
    payload: bytes
    whole: bytes


@final
class FrameParser:
    """Cuts a stream of bytes into its frames. Not shared between attempts, tasks or threads."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that ended in `data`. To be used up before the next call.

        Raises:
            Malformed: A checksum is wrong, a length beyond its limit or against another. The frames before it were given.
        """
        held = self._held
        held += data
        begin = 0
        try:
            while len(held) - begin >= _PRELUDE.size:
                total = _total_bytes(held, begin)
                if len(held) - begin < total:
                    break
                frame = bytes(held[begin : begin + total])
                begin += total
                yield _frame(frame)
        finally:
            del held[:begin]

    @property
    def cut(self) -> bool:
        """A frame has begun and not ended."""
        return bool(self._held)


def write_frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One frame as bytes. All headers are strings."""
    written = b"".join(_header(name, value) for name, value in headers.items())
    lengths = struct.pack("!II", _PRELUDE.size + len(written) + len(payload) + _CHECKSUM.size, len(written))
    head = lengths + _CHECKSUM.pack(crc32(lengths)) + written + payload
    return head + _CHECKSUM.pack(crc32(head))


def _header(name: str, value: str) -> bytes:
    label, text = name.encode(), value.encode()
    return bytes((len(label),)) + label + bytes((_STRING,)) + _SHORT.pack(len(text)) + text


def _total_bytes(held: bytearray, begin: int) -> int:
    """The length of the frame that begins at `begin`, once its prelude is known to be right."""
    total, headers, told = _PRELUDE.unpack_from(held, begin)
    if crc32(held[begin : begin + 8]) != told:
        raise Malformed("the checksum of a frame's prelude is wrong")
    if headers > _MAX_HEADERS_BYTES or total > headers + MAX_EVENT_BYTES:
        raise Malformed("a frame of the stream is longer than the limit")
    if total < _PRELUDE.size + headers + _CHECKSUM.size:
        raise Malformed("the lengths of a frame contradict each other")
    return int(total)


def _frame(frame: bytes) -> Frame:
    end = len(frame) - _CHECKSUM.size
    if crc32(frame[:end]) != _CHECKSUM.unpack_from(frame, end)[0]:
        raise Malformed("the checksum of a frame is wrong")
    start = _PRELUDE.size + _PRELUDE.unpack_from(frame)[1]
    try:
        return Frame(_headers(frame[_PRELUDE.size : start]), frame[start:end], frame)
    except (IndexError, struct.error, UnicodeDecodeError):
        raise Malformed("the headers of a frame cannot be read") from None


def _headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        size = data[at]
        name = data[at + 1 : at + 1 + size].decode()
        at += 1 + size
        kind = data[at]
        at += 1
        if kind in _FIXED_BYTES:
            at += _FIXED_BYTES[kind]
            continue
        if kind not in (6, _STRING):
            raise Malformed("a header of a frame has no type of this format")
        (length,) = _SHORT.unpack_from(data, at)
        value = data[at + 2 : at + 2 + length]
        at += 2 + length
        if kind == _STRING:
            found[name] = value.decode()
    if at != len(data):
        raise Malformed("the headers of a frame end in the middle")
    return found
