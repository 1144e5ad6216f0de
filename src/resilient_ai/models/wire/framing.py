"""Cuts a stream of bytes into its records: server-sent events, or one JSON text a line.

Both parsers take bytes as they come off a socket, cut anywhere, and are linear in them: a record that arrives in a
thousand pieces is joined once. Both are bounded: a peer that never ends its line costs `MAX_LINE_BYTES` of memory,
then `Malformed`. A picture or a sound in a line, which nobody here reads and which may be larger than that, is left out of it. They know nothing of JSON and do not decode text, because the JSON parser checks UTF-8 anyway.

Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream"; two deliberate departures are marked below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple, final

from resilient_ai.models.wire import Malformed

MAX_LINE_BYTES: Final = 2 * 1024 * 1024
"""The longest line taken. A line is a whole event in practice, and the longest honest one is the closing event of a
Responses stream, which repeats instructions, tools and all output: 128,000 output tokens of escaped text are about 2 MB.
"""

MAX_PASSED_LINE_BYTES: Final = 16 * 1024 * 1024
"""The same where somebody else reads the line too, who knows no bound: OpenAI repeats the instructions, up to a million tokens."""

MAX_MEDIA_BYTES: Final = 64 * 1024 * 1024
"""The most that is left out of one line. A picture of gpt-image-2 has up to 8.3 million pixels: as PNG, which noise does not compress, and in
Base64 33 MB, or 44 MB with transparency. The closing event of a response repeats all its pictures, so two of that kind just pass."""
LEAST_MEDIA_BYTES: Final = 64 * 1024
"""A shorter one is no trouble."""

MAX_EVENT_BYTES: Final = 4 * 1024 * 1024
"""The most data one event may collect over several `data:` lines."""

_BOM: Final = b"\xef\xbb\xbf"
_BLANK: Final = b" \t"
_MEDIA: Final = re.compile(
    rb'("(?:result|partial_image_b64|b64_json|data|url)" ?: ?"(?:data:[a-z0-9/+.;=-]{1,100},)?)[A-Za-z0-9+/=_-]{%d,}'
    % LEAST_MEDIA_BYTES
)
"""What stands in Base64 where the formats hold pictures and sounds, never a text; perhaps not to its end yet."""
_WHOLE_EVENT: Final = re.compile(rb"(?:event:(.*)\n)?data: ?(.*)\n\n")
"""An event as nearly all come: perhaps a name, one line of data, nothing else. Line feeds alone end its lines."""
_FIELD_NAME: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@final
class SSEEvent(NamedTuple):
    """One event, or a line that belongs to none.

    Attributes:
        name: What the `event:` field said; empty without one.
        data: The `data:` lines, joined by line feeds. Bytes, not checked for UTF-8.
        stray: This is no event but a line that no event stream has: a proxy's error text, a bare JSON object.
            `data` is the line.
    """

    name: str
    data: bytes
    stray: bool = False


@final
class _Lines:
    """Splits bytes into lines at LF, CR or CRLF, wherever a chunk may end. Holds the unfinished line, nothing else.

    `overflow` is set rather than raised when a line passes the bound, so that the lines before it are used first.

    Attributes:
        most: The longest line taken.
        at_start: Nothing has come, but perhaps a part of a byte order mark.
    """

    __slots__ = ("_after_cr", "_left_out", "_limit", "_look", "_tail", "at_start", "most", "overflow")

    def __init__(self, limit: int) -> None:
        self._limit = self.most = self._look = limit
        self._left_out = 0
        self._tail = (
            bytearray()
        )  # a bytearray grows in place: joining stays linear however small the pieces are
        self._after_cr = False
        self.at_start = True
        self.overflow = False

    @property
    def idle(self) -> bool:
        """The next byte begins a line, and is no byte order mark."""
        return not (self._tail or self._after_cr or self.at_start)

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ended in `data`, without their ends."""
        if self.at_start:
            data = self._without_bom(data)
        if self._after_cr and data:
            self._after_cr = False
            if data[0] == 0x0A:
                data = data[1:]
        if b"\r" in data:
            self._after_cr = data[-1] == 0x0D
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        rest = lines.pop()
        tail = self._tail
        if tail and lines:
            tail += lines[0]
            lines[0] = bytes(tail)
            tail.clear()
            if self._look != self._limit:
                self._look = self._limit
                self._left_out = 0
        if rest:
            tail += rest
            if len(tail) > self._look:
                tail[:] = self._shortened(tail)
                self._look = max(self._limit, 2 * len(tail))  # looking costs what it looks at
        if lines and (len(data) > self._limit or len(lines[0]) > self._limit):
            self._cut_at_first_long(lines)
        return lines

    def end(self) -> bytes:
        """The last line, if it lacked its end."""
        rest = bytes(self._tail)
        self._tail.clear()
        return b"" if self.at_start and _BOM.startswith(rest) else rest

    def _without_bom(self, data: bytes) -> bytes:
        head = bytes(self._tail) + data
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._tail[:] = head  # a byte order mark may itself be cut
            return b""
        self.at_start = False
        self._tail.clear()
        return head.removeprefix(_BOM)

    def _cut_at_first_long(self, lines: list[bytes]) -> None:
        for number, line in enumerate(lines):
            if len(line) > self._limit:
                lines[number] = self._shortened(line)
                if self.overflow:
                    del lines[number:]
                    return
            self._left_out = 0

    def _shortened(self, line: bytes | bytearray) -> bytes:
        """`line` without the media in it; `overflow` if it is too long all the same."""
        short = _MEDIA.sub(rb"\1", line)
        self._left_out += len(line) - len(short)
        self.overflow = len(short) > self.most or self._left_out > MAX_MEDIA_BYTES
        return short


@final
class SSEParser:
    """Reads one stream of server-sent events. Not shared between attempts, tasks or threads.

    Args:
        max_line_bytes: The longest line taken.
        max_event_bytes: The most data one event may collect.

    Attributes:
        whole: What was fed last was one event and nothing else: perhaps a name, one line of data.
    """

    __slots__ = ("_between", "_data", "_limit", "_lines", "_more", "_name", "_short", "_size", "whole")

    def __init__(
        self, *, max_line_bytes: int = MAX_LINE_BYTES, max_event_bytes: int = MAX_EVENT_BYTES
    ) -> None:
        self._lines = _Lines(max_line_bytes)
        self._short = max_line_bytes
        self._limit = max_event_bytes
        self._name = ""
        self._data: bytes | None = None
        self._more: list[bytes] = []  # the data lines after the first, which hardly any event has
        self._size = 0
        self._between = True
        """Nothing of an event, a line or a line end has come that is still to be used."""
        self.whole = False

    def pass_on(self) -> None:
        """See `StreamDecoder.pass_on`."""
        self._lines.most = self._limit = MAX_PASSED_LINE_BYTES

    def feed(self, data: bytes) -> Iterator[SSEEvent]:
        """The events that ended in `data`, which may end anywhere. To be used up before the next call.

        Raises:
            Malformed: A line or an event passes its bound. The events before it were given.
        """
        if self._between and len(data) <= self._short:
            lines = data.replace(b"\r\n", b"\n") if b"\r" in data else data
            event = None if b"\r" in lines else _WHOLE_EVENT.fullmatch(lines)
            if event is not None:
                self.whole, self._lines.at_start = True, False
                name, value = event.groups()
                return iter((SSEEvent("" if name is None else _text_of(name), value),))
        self.whole = self._between = False
        return self._events(data)

    def _events(self, data: bytes) -> Iterator[SSEEvent]:
        for line in self._lines.feed(data):
            if line[:5] == b"data:":
                value = line[6:] if line[5:6] == b" " else line[5:]
                if self._data is None:
                    self._data = value
                else:
                    self._add(value)
            elif not line:
                if self._data is not None:
                    yield self._event()
                self._name = ""
            elif line[:6] == b"event:":
                self._name = _text_of(line[6:])
            else:
                yield from self._field(line)
        if self._lines.overflow:
            raise Malformed("a line of the stream is longer than the limit")
        self._between = self._data is None and not self._name and self._lines.idle

    def end(self) -> Iterator[SSEEvent]:
        """The last event, if its blank line or its last line end is missing.

        The standard discards it; some servers close right after the data, and whether the event is whole shows when
        it is read.
        """
        line = self._lines.end()
        if line[:5] == b"data:":
            self._add(line[6:] if line[5:6] == b" " else line[5:])
        elif line:
            yield from self._field(line)
        if self._data is not None:
            yield self._event()

    def _add(self, value: bytes) -> None:
        if self._data is None:
            self._data = value
            return
        self._size += len(value) + 1
        if len(self._data) + self._size > self._limit:
            raise Malformed("an event of the stream is longer than the limit")
        self._more.append(value)

    def _event(self) -> SSEEvent:
        data = self._data or b""
        self._data = None
        if self._more:
            data = b"\n".join((data, *self._more))
            self._more.clear()
            self._size = 0
        return SSEEvent(self._name, data)

    def _field(self, line: bytes) -> Iterator[SSEEvent]:
        """Takes a line that is neither data, event name nor blank.

        The standard ignores every field it does not know, and so would hide the error text which a proxy or a dying
        server writes into a stream. Ignored here is only what has the shape of a field.
        """
        name, colon, value = line.partition(b":")
        if not name or line.isspace():  # a comment, which is what keeps a connection alive
            return
        if not value and name == b"data":  # a field name alone stands for an empty value
            self._add(b"")
        elif not value and name == b"event":
            self._name = ""
        elif not (colon and _FIELD_NAME.issuperset(name) and name.lower() != b"error"):
            if self._data is not None:
                yield self._event()
            yield SSEEvent("", line, stray=True)


def _text_of(name: bytes) -> str:
    return name.strip(_BLANK).decode("utf-8", "replace")


@final
class NDJSONParser:
    """Reads one JSON text a line. Not shared between attempts, tasks or threads.

    Args:
        max_line_bytes: The longest line taken.
    """

    __slots__ = ("_lines",)

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._lines = _Lines(max_line_bytes)

    def pass_on(self) -> None:
        """See `StreamDecoder.pass_on`."""
        self._lines.most = MAX_PASSED_LINE_BYTES

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that ended in `data`, blank ones left out. To be used up before the next call.

        Raises:
            Malformed: A line passes its bound. The lines before it were given.
        """
        for line in self._lines.feed(data):
            if line and not line.isspace():
                yield line
        if self._lines.overflow:
            raise Malformed("a line of the stream is longer than the limit")

    def end(self) -> Iterator[bytes]:
        """The last line, if it lacked its end."""
        line = self._lines.end()
        if line and not line.isspace():
            yield line
