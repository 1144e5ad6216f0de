"""One module a wire format, each reading and writing requests, replies and stream events of its format.

Pure: bytes and mappings in, the vocabulary of `messages` out, and back. A codec knows nothing of connections, keys or
retries. What it cannot read it raises as `Malformed`; what the provider itself reports as an error in a body or a
stream it raises as `ReportedError`; what ended without its terminal event it raises as `Truncated`. The model that owns
the attempt turns these into a `ModelError`; they never reach a caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, final

from resilient_ai.core.identifiers import place
from resilient_ai.messages import JSON, Chunk, Reply, Request

if TYPE_CHECKING:
    from resilient_ai.models.wire.recurring import RecurringEvent


class WireError(Exception):
    """What a codec could not take.

    Attributes:
        what: Written by us; holds no content.
        record: The event or line of a stream it was found in, as it came; None where that is not known.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.record: bytes | None = None


@final
class Malformed(WireError):
    """The bytes are not what the format promises (not JSON, wrong types, no choices, a size bound passed)."""


@final
class Truncated(WireError):
    """A stream or a body ended before the format's terminal event."""


@final
class ReportedError(WireError):
    """The provider reported an error inside a success: an error body in a 200, an error event in a stream.

    Attributes:
        body: The error as JSON bytes, for the classifier.
        status: The status the event itself carries, or None.
    """

    def __init__(self, what: str, *, body: bytes, status: int | None = None) -> None:
        super().__init__(what)
        self.body = body
        self.status = status


@final
@dataclass(frozen=True, slots=True)
class Encoded:
    """A request as it goes on the wire.

    Attributes:
        body: JSON bytes.
        dropped: Names of the request's parameters this format cannot carry, for the reply's flags.
    """

    body: bytes
    dropped: tuple[str, ...] = ()


@final
class Unportable(WireError):
    """A request holds something that no other format can carry without changing its meaning. `field` says where."""

    def __init__(self, field: str, why: str) -> None:
        self.field = place(field)
        super().__init__(f"{self.field}: {why}")


SHOWN: Final = Chunk(items=(None,))
"""Something for a reader came that no other field of a chunk holds: a piece of a picture, of a sound, of what a tool of the provider's does."""


class StreamDecoder(Protocol):
    """Reads the events of one answer from bytes as they come. Not shared between attempts.

    Bounded: a line, an event or a buffer beyond the limits in `framing` raises `Malformed`.
    """

    complete: bool
    """The terminal event was seen: nothing more needs to be read."""

    @property
    def recurring(self) -> RecurringEvent | None:
        """What the last event has in common with those that differ from it in nothing but their text: bytes it reads need not be fed.

        None where nothing is known to recur.
        """
        ...

    @property
    def flags(self) -> tuple[str, ...]:
        """Oddities of the stream so far that are no failures."""
        ...

    def pass_on(self) -> None:
        """Says, before the first bytes, that they go on to a reader of their own: what no chunk can hold is told by `SHOWN`, and a line may be longer."""
        ...

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks in `data`, which may end anywhere, even inside a character.

        Raises:
            Malformed, ReportedError: See there. Chunks read before the fault in the same `data` are kept and are given
                by `take()`, so that nothing that came is lost.
        """
        ...

    def take(self) -> list[Chunk]:
        """Chunks that were read before `feed` or `end` raised. Empties itself."""
        ...

    def end(self) -> list[Chunk]:
        """The stream ended. The last chunks, if an event lacked its final newline.

        Raises:
            Truncated: The terminal event had not come.
        """
        ...


class StreamEncoder(Protocol):
    """Writes one answer as a stream of its format, event by event, in the order the official clients insist on."""

    def start(self) -> bytes:
        """What stands before the first chunk and depends on nothing in it; may be empty."""
        ...

    def chunk(self, chunk: Chunk) -> bytes:
        """One chunk; may be empty."""
        ...

    def end(self) -> bytes:
        """What closes the stream, up to and including the terminal event."""
        ...


class Codec(Protocol):
    """One wire format, both directions. Stateless; safe to share."""

    @property
    def format(self) -> str:
        """Its name: `openai-chat`, `openai-responses`, `anthropic`, `gemini`, `ollama`, `cohere`, `bedrock`."""
        ...

    @property
    def stream_content_type(self) -> str:
        """`text/event-stream`, `application/x-ndjson` or `application/vnd.amazon.eventstream`."""
        ...

    def path(self, model: str, *, stream: bool) -> str:
        """The path below the base URL, with its query where the format has one."""
        ...

    def encode_request(self, request: Request, *, model: str, stream: bool) -> Encoded:
        """`request` as this format's body, addressed to `model`.

        Raises:
            Unportable: It holds content of another format only (`messages.Foreign`), or asks for what this one has not.
        """
        ...

    def decode_request(self, body: Mapping[str, JSON]) -> Request:
        """The request in a body of this format, without loss: what has no place in the vocabulary goes to `extra`.

        Raises:
            Malformed: It is not a request of this format.
        """
        ...

    def decode_reply(self, body: bytes) -> Reply:
        """The answer in a whole body. `raw` holds the decoded mapping; `model` the name the provider answered.

        Raises:
            Malformed: Not JSON, not an object, wrong types, no choices; never a builtin exception.
            ReportedError: An error object in place of an answer.
        """
        ...

    def encode_reply(self, reply: Reply, *, model: str) -> bytes:
        """`reply` as a whole body of this format, as its official client expects one, under the name `model`."""
        ...

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed answer."""
        ...

    def stream_encoder(self, *, model: str, include_usage: bool = True) -> StreamEncoder:
        """An encoder for one streamed answer, under the name `model`."""
        ...
