"""One request being answered: the words in which faults are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Final, final

from resilient_ai.messages import JSON
from resilient_ai.testing.fault_server.connection import Connection
from resilient_ai.testing.fault_server.dialects import Dialect
from resilient_ai.testing.fault_server.dialects.answer import Answer, Event, Framing, Part, encode, frame
from resilient_ai.testing.fault_server.record import Entry, Header
from resilient_ai.testing.fault_server.request import Request

_BLOCK_BYTES: Final = 65_536
_SETTLE_SECONDS: Final = 0.05
_CONTENT_TYPES: Final = {
    Framing.SSE: "text/event-stream; charset=utf-8",
    Framing.NDJSON: "application/x-ndjson",
    Framing.FRAMES: "application/vnd.amazon.eventstream",
}
"""A pause before RST, in which the client reads what came before it: RST may destroy what is unread."""


@final
class Exchange:
    """Answers one request on one connection. Used by one thread.

    Sending raises `ClientGone` when the client left and `Stopped` when the server closes; faults let both
    pass.

    Attributes:
        request: The request as read.
        dialect: The wire format its path asks for.
        answer: The good answer to it.
        streaming: Whether the client asked for a stream.
        argument: The fault's argument, or empty.
        visit: Which request of its fault URL and session this is, counted from 1.
        in_flight: How many requests of the session are being served now, this one included.
        wall: Seconds since the epoch.
        elsewhere: The same path at another origin.
    """

    def __init__(
        self,
        connection: Connection,
        request: Request,
        *,
        entry: Entry,
        dialect: Dialect,
        answer: Answer,
        streaming: bool,
        argument: str,
        in_flight: int,
        wall: float,
        elsewhere: str,
        flood_bytes: int,
    ) -> None:
        self.connection = connection
        self.request = request
        self.dialect = dialect
        self.answer = answer
        self.streaming = streaming
        self.argument = argument
        self.visit = entry.visit
        self.in_flight = in_flight
        self.wall = wall
        self.elsewhere = elsewhere
        self._entry = entry
        self._flood_bytes = flood_bytes

    # The good answer, whole or in parts. Asking for it is what is billed.

    def bill(self) -> None:
        """Records that the model did its work."""
        self._entry.billed = True

    def events(self) -> list[Event]:
        """The events of the good stream."""
        self.bill()
        return self.dialect.events(self.answer)

    def frame(self, event: Event) -> bytes:
        """An event as the dialect frames it."""
        return frame(event, self.dialect.framing, self.dialect.eol)

    def frames(self, events: Iterable[Event] | None = None) -> list[bytes]:
        """The framed events of the good stream, or those given."""
        return [self.frame(event) for event in (self.events() if events is None else events)]

    def first_half(self) -> list[Event]:
        """The events of the good stream up to the middle of its text."""
        events = self.events()
        texts = [at for at, event in enumerate(events) if event.part is Part.TEXT]
        return events[: texts[len(texts) // 2]]

    def body(self) -> bytes:
        """The good answer as one body, JSON or a whole stream, as the client asked."""
        self.bill()
        if self.streaming:
            return b"".join(self.frames())
        return encode(self.dialect.unary(self.answer))

    def half_body(self) -> bytes:
        """The first half of `body`; of a stream, whole events."""
        if self.streaming:
            return b"".join(self.frames(self.first_half()))
        body = self.body()
        return body[: len(body) // 2]

    @property
    def content_type(self) -> str:
        """What the answer should be labelled as."""
        if not self.streaming:
            return "application/json"
        return _CONTENT_TYPES[self.dialect.framing]

    def comment(self, text: str) -> bytes:
        """Bytes a stream may carry that mean nothing: an SSE comment, an empty line, an event nobody knows."""
        if self.dialect.framing is Framing.FRAMES:
            return self.frame(Event(Part.PING, {}, name="ping"))
        if self.dialect.framing is Framing.NDJSON:
            return self.dialect.eol
        return b": " + text.encode() + self.dialect.eol * 2

    # Writing.

    def head(
        self,
        status: int = 200,
        headers: Sequence[Header] = (),
        *,
        content_type: str | None = None,
        version: str = "HTTP/1.1",
    ) -> None:
        """Writes a status line and headers. An empty `content_type` sends none; the default is the right one."""
        label = self.content_type if content_type is None else content_type
        lines = [f"{version} {status} {_reason(status)}"]
        if label:
            lines.append(f"Content-Type: {label}")
        number = f"{self._entry.connection}-{self.visit}"
        lines += [f"x-request-id: req_{number}", f"request-id: req_{number}"]
        lines += [f"{name}: {value}" for name, value in headers]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def send(self, data: bytes) -> None:
        """Writes bytes as they are."""
        before = self.connection.bytes_sent
        try:
            self.connection.send(data)
        finally:
            self._entry.bytes_sent += self.connection.bytes_sent - before

    def respond(
        self,
        body: bytes,
        status: int = 200,
        headers: Sequence[Header] = (),
        *,
        content_type: str | None = None,
    ) -> None:
        """Writes a whole response with an honest Content-Length."""
        self.head(status, [*headers, ("Content-Length", str(len(body)))], content_type=content_type)
        self.send(body)
        self.answered()

    def respond_json(self, payload: JSON, status: int = 200, headers: Sequence[Header] = ()) -> None:
        """Writes a whole JSON response."""
        self.respond(encode(payload), status, headers, content_type="application/json")

    def begin_chunks(self, status: int = 200, headers: Sequence[Header] = ()) -> None:
        """Writes the head of a chunked response."""
        self.head(status, [*headers, ("Transfer-Encoding", "chunked")])

    def chunk(self, data: bytes) -> None:
        """Writes one chunk; nothing for no data, because an empty chunk is the last one."""
        if data:
            self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def end_chunks(self) -> None:
        """Writes the last chunk."""
        self.send(b"0\r\n\r\n")
        self.answered()

    def stream(self, frames: Iterable[bytes]) -> None:
        """Writes a whole stream, a chunk for each frame."""
        self.begin_chunks()
        for each in frames:
            self.chunk(each)
        self.end_chunks()

    def good(self) -> None:
        """Writes the good answer, as the client asked."""
        if self.streaming:
            self.stream(self.frames())
        else:
            self.respond(self.body())

    def refuse(self, status: int, headers: Sequence[Header] = ()) -> None:
        """Writes the provider's error for `status`."""
        self.respond_json(self.dialect.error(status), status, headers)

    def flood(self, block: Callable[[int], bytes]) -> None:
        """Writes blocks without end, as fast as they are read.

        At the server's `flood_bytes` it falls silent instead: a client without any limit would fill the
        memory of the machine.
        """
        sent = 0
        index = 0
        while sent < self._flood_bytes:
            data = block(index)
            self.send(data)
            sent += len(data)
            index += 1
        self.hold()

    def fill(self, size: int, byte: bytes = b"a") -> None:
        """Writes `size` bytes, a block at a time."""
        block = byte * _BLOCK_BYTES
        while size > 0:
            self.send(block[:size])
            size -= len(block)

    # Waiting and ending.

    def wait(self, seconds: float) -> None:
        """Keeps silent for `seconds`."""
        self.connection.wait(seconds)

    def hold(self) -> None:
        """Keeps silent until the client leaves or the server closes; does not return."""
        self.connection.hold()

    def reset(self) -> None:
        """Ends with RST, after what was sent has arrived."""
        self.connection.wait(_SETTLE_SECONDS)
        self.connection.reset()

    def finish(self) -> None:
        """Ends with FIN."""
        self.connection.finish()

    def answered(self) -> None:
        """Records that a response was written to its end."""
        self._entry.answered = True


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"
