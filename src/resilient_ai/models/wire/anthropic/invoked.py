"""Anthropic's messages as Bedrock streams them: the same events, each in a frame of an AWS event stream, base64 in JSON.

Only streams differ. This is what a client of anthropic's SDK for Bedrock reads.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from resilient_ai.messages import JSON, Chunk, Reply, Request
from resilient_ai.models.wire import Encoded, Malformed, ReportedError, Truncated, WireError
from resilient_ai.models.wire.anthropic import Anthropic
from resilient_ai.models.wire.anthropic.stream_read import MessagesReader
from resilient_ai.models.wire.anthropic.stream_write import MessagesStreamEncoder
from resilient_ai.models.wire.bedrock.frames import Frame, FrameParser, write_frame
from resilient_ai.models.wire.framing import SSEParser
from resilient_ai.models.wire.jsonbody import decode_object, encode
from resilient_ai.models.wire.shape import string
from resilient_ai.models.wire.whole import WholeBody

STREAM_CONTENT_TYPE = "application/vnd.amazon.eventstream"
_CHUNK = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}


@final
@dataclass(frozen=True, slots=True)
class InvokedAnthropic:
    """The codec of Anthropic's messages whose streams come in frames. Stateless; safe to share.

    Attributes:
        plain: The codec of everything else.
    """

    plain: Anthropic = field(default_factory=Anthropic)

    @property
    def format(self) -> str:
        """`anthropic`."""
        return self.plain.format

    @property
    def stream_content_type(self) -> str:
        """`application/vnd.amazon.eventstream`."""
        return STREAM_CONTENT_TYPE

    def path(self, model: str, *, stream: bool) -> str:
        """As the SDK names it, before it turns it into Bedrock's."""
        return self.plain.path(model, stream=stream)

    def encode_request(self, request: Request, *, model: str, stream: bool) -> Encoded:
        """See `Codec.encode_request`."""
        return self.plain.encode_request(request, model=model, stream=stream)

    def decode_request(self, body: Mapping[str, JSON]) -> Request:
        """See `Codec.decode_request`."""
        return self.plain.decode_request(body)

    def decode_reply(self, body: bytes) -> Reply:
        """See `Codec.decode_reply`."""
        return self.plain.decode_reply(body)

    def encode_reply(self, reply: Reply, *, model: str) -> bytes:
        """See `Codec.encode_reply`."""
        return self.plain.encode_reply(reply, model=model)

    def stream_decoder(self) -> InvokedDecoder:
        """A decoder for one streamed answer. A whole body in place of a stream is read as well."""
        return InvokedDecoder(self.plain)

    def stream_encoder(self, *, model: str, include_usage: bool = True) -> InvokedEncoder:
        """An encoder for one streamed answer, under the name `model`."""
        return InvokedEncoder(self.plain.stream_encoder(model=model, include_usage=include_usage))


@final
class InvokedDecoder:
    """The `StreamDecoder` of events in frames.

    Args:
        codec: Reads a whole body that the server sent although a stream was asked for.
    """

    __slots__ = ("_body", "_codec", "_out", "_parser", "_reader", "_started", "complete")

    recurring = None
    """Every record is read in full."""

    def __init__(self, codec: Anthropic) -> None:
        self.complete = False
        self._codec = codec
        self._reader = MessagesReader()
        self._parser = FrameParser()
        self._out: list[Chunk] = []
        self._body: WholeBody | None = None
        self._started = False

    @property
    def flags(self) -> tuple[str, ...]:
        """Oddities seen so far that are no failures."""
        return tuple(self._reader.flags)

    def pass_on(self) -> None:
        """See `StreamDecoder`."""
        self._reader.shows = True

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks in `data`. See `StreamDecoder`."""
        if self.complete:
            return []
        if not self._started and data:
            self._started = True
            if data[0] != 0:
                # A frame begins with its length, which is far below 2**24.
                self._body = WholeBody(self._codec.decode_reply)
        if self._body is not None:
            self._body.add(data)
            return []
        for frame in self._parser.feed(data):
            try:
                self._take(frame)
            except WireError as error:
                error.record = frame.whole
                raise
            if self._reader.complete:
                self.complete = True
                break
        return self.take()

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
                self._reader.ended()
            self.complete = True
        return self.take()

    def _take(self, frame: Frame) -> None:
        told = frame.headers
        kind = told.get(":message-type", "event")
        if kind == "error":
            raise _reported(told.get(":error-code", ""), told.get(":error-message", ""))
        if kind == "exception":
            raise _reported(told.get(":exception-type", ""), _object(frame.payload).get("message", ""))
        if told.get(":event-type") != "chunk":
            return  # of a kind nobody knows
        carried = string(_object(frame.payload).get("bytes"), "chunk.bytes")
        try:
            data = base64.b64decode(carried, validate=True)
        except binascii.Error:
            raise Malformed("the bytes of a chunk cannot be read") from None
        self._reader.event("", data, self._out)


@final
class InvokedEncoder:
    """The `StreamEncoder` of events in frames.

    Args:
        events: Writes them as server-sent events.
    """

    __slots__ = ("_events", "_parser")

    def __init__(self, events: MessagesStreamEncoder) -> None:
        self._events = events
        self._parser = SSEParser()

    def start(self) -> bytes:
        """See `StreamEncoder`."""
        return self._framed(self._events.start())

    def chunk(self, chunk: Chunk) -> bytes:
        """See `StreamEncoder`."""
        return self._framed(self._events.chunk(chunk))

    def end(self) -> bytes:
        """See `StreamEncoder`."""
        return self._framed(self._events.end())

    def _framed(self, events: bytes) -> bytes:
        return b"".join(
            write_frame(_CHUNK, encode({"bytes": base64.b64encode(event.data).decode()}))
            for event in self._parser.feed(events)
        )


def _object(payload: bytes) -> Mapping[str, JSON]:
    try:
        return decode_object(payload)
    except Truncated:
        raise Malformed("the JSON of an event ends in the middle") from None


def _reported(code: str, message: JSON) -> ReportedError:
    """The error of a frame, as the SDK shows it."""
    event: JSON = {"type": "error", "error": {"type": code, "message": message}}
    return ReportedError("the provider reported an error in its stream", body=encode(event))
