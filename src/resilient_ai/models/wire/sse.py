"""What all formats over server-sent events share: from bytes to events, and what stands there instead of events.

A format gives an `EventReader`, which sees whole events only, and its `decode_reply`; this module owns how bytes are cut, what was read before a fault,
a JSON body sent in place of a stream, and an end in the middle of an event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, final

from pydantic_core import from_json

from resilient_ai.messages import JSON, Chunk, Reply
from resilient_ai.models.wire import Malformed, Truncated, WireError
from resilient_ai.models.wire.framing import SSEParser
from resilient_ai.models.wire.jsonbody import JSONObject, decode_object
from resilient_ai.models.wire.recurring import MOST_LEARNED, RecurringEvent
from resilient_ai.models.wire.reported import reported
from resilient_ai.models.wire.whole import WholeBody

_NOT_CONTENT: Final = b"\xef\xbb\xbf \t\r\n"
_FIELDS: Final = (b"data:", b"event:", b"id:", b"retry:", b":")


class EventReader(Protocol):
    """What one format makes of its events. One per stream."""

    complete: bool
    """The terminal event was seen."""

    flags: list[str]
    """Oddities seen on the way."""

    shows: bool
    """What no chunk can hold is told by `SHOWN`."""

    def event(self, name: str, data: bytes, out: list[Chunk]) -> None:
        """Appends what the event says to `out`; raises what its format's decoder raises."""
        ...

    def ended(self) -> None:
        """The stream ended without its terminal event.

        Raises:
            Truncated: And without it, the answer is not known to be whole.
        """
        ...


class TextReader(EventReader, Protocol):
    """What a format makes of its events that knows which of them differ in nothing but their text."""

    plain: bool
    """The last event said a text, which is one of its strings as it stands; with another one there it would say that. Nothing else matters of it."""

    def recurred(self, events: RecurringEvent) -> None:
        """Events that differ from the last one in their text, and in their number, came and were not read."""
        ...


@final
class SSEDecoder:
    """The `StreamDecoder` of a format whose stream is server-sent events.

    Args:
        reader: What the format makes of the events.
        decode_reply: Reads a whole body that the server sent although a stream was asked for.
        text_reader: The same reader, where it knows which events recur; None reads every event in full.

    Attributes:
        complete: The terminal event was seen, or the stream ended well: nothing more is to be read.
        recurring: See `StreamDecoder`.
    """

    __slots__ = (
        "_body",
        "_decode_reply",
        "_learned",
        "_out",
        "_parser",
        "_reader",
        "_started",
        "_text_reader",
        "complete",
        "recurring",
    )

    def __init__(
        self,
        reader: EventReader,
        decode_reply: Callable[[bytes], Reply],
        text_reader: TextReader | None = None,
    ) -> None:
        self._reader = reader
        self._text_reader = text_reader
        self.recurring: RecurringEvent | None = None
        self._learned = 0
        self._decode_reply = decode_reply
        self._parser = SSEParser()
        self._out: list[Chunk] = []
        self._body: WholeBody | None = None
        self._started = False
        self.complete = False

    @property
    def flags(self) -> tuple[str, ...]:
        """Oddities seen so far that are no failures."""
        return tuple(self._reader.flags)

    def pass_on(self) -> None:
        """See `StreamDecoder`."""
        self._reader.shows = True
        self._parser.pass_on()

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks in `data`. See `StreamDecoder`."""
        recurring = self.recurring
        if recurring is not None:
            texts: list[str] = []
            at = recurring.read(data, texts)
            self._out += map(Chunk, texts)
            if at == len(data):
                return self.take()
            data = data[at:]
            if recurring.characters and self._text_reader is not None:
                self._learned = 0
                self._text_reader.recurred(recurring)
            self.recurring = None  # what comes now may change what the event means
        if self.complete:
            return []
        if not self._started:
            self._start(data)
        if self._body is not None:
            self._body.add(data)
            return []
        reader = self._reader
        out = self._out
        before, value = len(out), None
        try:
            for name, value, stray in self._parser.feed(data):
                if stray:
                    raise_stray(value)
                reader.event(name, value, out)
                if reader.complete:
                    self.complete = True
                    break
        except WireError as error:
            error.record = value
            raise
        said = self._text_reader
        if (
            said is not None
            and said.plain
            and self._parser.whole
            and len(out) == before + 1
            and self._learned < MOST_LEARNED
        ):
            self._learned += 1
            self.recurring = RecurringEvent.learned(data, out[-1].text)
        self._out = []
        return out

    def take(self) -> list[Chunk]:
        """Chunks read before a fault. See `StreamDecoder`."""
        out, self._out = self._out, []
        return out

    def end(self) -> list[Chunk]:
        """The stream ended. See `StreamDecoder`."""
        if not self.complete:
            if self._body is not None:
                self._body.read(self._out, self._reader.flags)
            else:
                self._read_rest()
            self.complete = True
        return self.take()

    def _start(self, data: bytes) -> None:
        """Looks at the first byte that says anything: a stream begins with a field, a body with a bracket."""
        content = data.lstrip(_NOT_CONTENT)
        if content:
            self._started = True
            if content[0] in b"{[":
                self._body = WholeBody(self._decode_reply)

    def _read_rest(self) -> None:
        reader = self._reader
        for name, value, stray in self._parser.end():
            try:
                if stray:
                    raise_stray(value)
                reader.event(name, value, self._out)
            except (Malformed, Truncated):
                break  # cut in the middle; whether the answer is whole does not hang on it
        if not reader.complete:
            reader.ended()


def looks_like_events(body: bytes) -> bool:
    """These are server-sent events, although a whole body was asked for."""
    return body.lstrip(_NOT_CONTENT).startswith(_FIELDS)


def event_object(data: bytes) -> JSONObject:
    """The object an event holds.

    Raises:
        Malformed: It holds none. An event that ended is never `Truncated`.
    """
    try:
        value: JSON = from_json(data)  # the one line every token passes; what fails here is looked at again
        if isinstance(value, dict):
            return value
    except ValueError:
        pass
    try:
        return decode_object(data)
    except Truncated:
        raise Malformed("the JSON of an event ends in the middle") from None


def raise_stray(line: bytes) -> None:
    """Raises what a line that belongs to no event means: the error it holds, or `Malformed`."""
    try:
        found = reported(decode_object(line))
    except (Malformed, Truncated):
        found = None
    if found is not None:
        raise found
    raise Malformed("a line of the stream belongs to no event")


def sse_event(data: bytes, *, name: str | None = None) -> bytes:
    """One event as bytes. `data` is a single line, as compact JSON always is."""
    if name is None:
        return b"data: " + data + b"\n\n"
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
