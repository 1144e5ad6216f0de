"""Hands a stream to the SDK: the provider's own bytes, or another model's answer written in the provider's format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, final

from resilient_ai.adopt.answers import body_stream, headers_of
from resilient_ai.adopt.dialects import wants_usage
from resilient_ai.messages import Reply
from resilient_ai.runtime.blocking import drive

if TYPE_CHECKING:
    from resilient_ai.adopt.progress import Progress
    from resilient_ai.adopt.source import ProviderStream
    from resilient_ai.messages import JSON
    from resilient_ai.models.wire import Codec, StreamEncoder
    from resilient_ai.runtime.session import Session


@final
class Delivery:
    """The bytes of one stream, pulled by the SDK. Dropping it ends the stream.

    Args:
        session: The stream, brought to its first content.
        source: The provider's stream, or None where somebody else answers.
        encoder: Writes what somebody else answers; None hands on the provider's bytes.
        final: Turns what breaks the stream into what the caller meets.
    """

    __slots__ = ("_encoder", "_ended", "_final", "_first", "_session", "_source")

    def __init__(
        self,
        session: Session,
        source: ProviderStream | None,
        encoder: StreamEncoder | None,
        final: Callable[[Exception], Exception],
    ) -> None:
        self._session = session
        self._source = source
        self._encoder = encoder
        self._final = final
        self._first = True
        self._ended = False

    def body(self, request: Any, *, blocking: bool) -> Any:
        """The body of a response to `request`."""
        session = self._session
        if blocking:
            return body_stream(
                request, lambda: drive(self.next()), lambda: drive(session.close()), blocking=True
            )
        return body_stream(request, self.next, session.close, blocking=False)

    def pieces(self) -> Iterator[bytes]:
        """The bytes as they come, for a blocking reader."""
        while (piece := drive(self.next())) is not None:
            if piece:
                yield piece

    def close(self) -> None:
        """Ends the stream, for a blocking reader."""
        drive(self._session.close())

    async def next(self) -> bytes | None:
        """The next bytes, perhaps none; None at the end.

        Raises:
            Exception: The SDK's own: the stream broke after content was delivered.
        """
        if self._ended:
            return None
        try:
            data = await self._pulled()
        except Exception as error:  # noqa: BLE001 - raised again in the SDK's own class
            self._ended = True
            failure = self._final(error)
            try:
                raise failure from failure.__cause__
            finally:
                del failure  # it holds this frame
        self._ended = data is None or self._session.ended
        return data

    async def _pulled(self) -> bytes | None:
        session, source, encoder = self._session, self._source, self._encoder
        chunk = await session.next()
        if encoder is None:
            if source is not None and source.complete:
                # The SDK stops reading at the terminal event: what is left to be counted is counted before it sees that.
                while chunk is not None:
                    chunk = await session.next()
            data = b"" if source is None else source.taken()
            return data if data or chunk is not None else None
        begun = encoder.start() if self._first else b""
        self._first = False
        return begun + (encoder.end() if chunk is None else encoder.chunk(chunk))

    def __del__(self) -> None:
        if not self._session.ended:
            self._session.abandon()


def handed_over(
    session: Session,
    at: Progress,
    codec: Codec,
    source: ProviderStream | None,
    asked: Mapping[str, JSON],
    final: Callable[[Exception], Exception],
) -> tuple[Delivery, dict[str, str], Any]:
    """What the SDK gets of a stream that has come to its first content.

    Args:
        session: The stream.
        at: How far the call has come.
        codec: The format the SDK reads.
        source: The provider's own stream, where it gave one.
        asked: The body of the request.
        final: Turns what breaks the stream into what the caller meets.

    Returns:
        The bytes, the headers of an answer somebody else gives, and the provider's own response where it is the one that answers.
    """
    hop = at.call.hop
    if at.on_primary and source is not None and not source.whole:
        return Delivery(session, source, None, final), {}, source.response
    if hop is None:
        return Delivery(session, source, None, final), {}, None
    encoder = codec.stream_encoder(model=hop.name, include_usage=wants_usage(codec, asked))
    answer = Reply("", model=hop.name, provider=hop.provider)
    headers = headers_of(answer, codec.stream_content_type, at.number, attempts=at.call.attempts + 1)
    return Delivery(session, source, encoder, final), headers, None
