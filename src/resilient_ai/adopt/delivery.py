"""Hands a stream to the SDK: the provider's own bytes, or another model's answer written in the provider's format."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, final

from resilient_ai.adopt.answers import body_stream, headers_of
from resilient_ai.adopt.dialects import wants_usage
from resilient_ai.adopt.steady import steady_state
from resilient_ai.messages import Reply
from resilient_ai.runtime.blocking import drive

if TYPE_CHECKING:
    from resilient_ai.adopt.progress import Progress
    from resilient_ai.adopt.source import ProviderStream
    from resilient_ai.messages import JSON, Chunk
    from resilient_ai.models.wire import Codec, StreamEncoder
    from resilient_ai.runtime.session import Session


@final
class Delivery:
    """The bytes of one stream, pulled by the SDK. Dropping it ends the stream.

    Args:
        session: The stream, brought to its first content.
        source: The provider's stream, whose bytes are handed on, and what comes behind its end; None where somebody else answers.
        encoder: Writes what somebody else answers.
        final: Turns what breaks the stream into what the caller meets.
    """

    __slots__ = ("_encoder", "_ended", "_final", "_first", "_session", "_source", "_steady")

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
        self._steady = None if source is None else steady_state(session, source)
        self._first = True
        self._ended = False

    def body(self, request: Any, *, blocking: bool) -> Any:
        """The body of a response to `request`."""
        if blocking:
            return body_stream(request, self.pieces(), self.close)
        return body_stream(request, self._apieces(), self.aclose)

    def pieces(self) -> Iterator[bytes]:
        """The bytes as they come, for a blocking reader."""
        steady = self._steady
        while (piece := drive(self.next())) is not None:
            if piece:
                yield piece
            if steady is None or not steady.begins():
                continue
            ahead, now, session = steady.source.pieces, steady.now, self._session
            while not session.ended and (asked := now()) <= (until := min(asked + steady.left, steady.most)):
                try:
                    piece = next(ahead, None)
                except BaseException as error:  # noqa: BLE001 - raised again where it ends the stream
                    steady.failed(error, asked)
                    break
                if not steady.took(piece, asked, until) or piece is None:
                    break
                yield piece

    async def _apieces(self) -> AsyncIterator[bytes]:
        steady = self._steady
        while (piece := await self.next()) is not None:
            if piece:
                yield piece
            if steady is None or not steady.begins():
                continue
            ahead, now, session = steady.source.pieces, steady.now, self._session
            while not session.ended and (asked := now()) <= (until := min(asked + steady.left, steady.most)):
                try:
                    piece = await steady.bounded(anext(ahead, None), until)
                except BaseException as error:  # noqa: BLE001 - as above
                    steady.failed(error, asked)
                    break
                if not steady.took(piece, asked, until) or piece is None:
                    break
                yield piece

    def close(self) -> None:
        """Ends the stream, for a blocking reader."""
        drive(self.aclose())

    async def aclose(self) -> None:
        """Ends the stream."""
        try:
            await self._session.close()
        finally:
            if self._source is not None:
                await self._source.release()

    async def next(self) -> bytes | None:
        """The next bytes, perhaps none; None at the end.

        Raises:
            Exception: The SDK's own: the stream broke after content was delivered.
        """
        session, source = self._session, self._source
        if self._ended:
            return None if source is None else await source.rest()
        try:
            if source is None:
                data = self._written(await session.next())
            else:
                more = await session.read()
                if source.decoder.complete:
                    # The SDK stops reading at the terminal event: what is left to be counted is counted before it sees that.
                    while more:
                        more = await session.read()
                taken = source.taken()
                data = taken if taken or more else None
        except Exception as error:  # noqa: BLE001 - raised again in the SDK's own class
            self._ended = True
            if source is not None:
                await source.release()
            failure = self._final(error)
            try:
                raise failure from failure.__cause__
            finally:
                del failure  # it holds this frame
        self._ended = data is None or session.ended
        return data

    def _written(self, chunk: Chunk | None) -> bytes | None:
        """`chunk` in the format the SDK reads; None writes the end."""
        encoder = self._encoder
        if encoder is None:
            return None if chunk is None else b""
        begun = encoder.start() if self._first else b""
        self._first = False
        return begun + (encoder.end() if chunk is None else encoder.chunk(chunk))

    def __del__(self) -> None:
        if not self._session.ended:
            self._session.abandon()
        source = self._source
        if source is not None and source.pieces is not None:
            source.abandon()


async def judged(session: Session, at: Progress, source: ProviderStream | None) -> ProviderStream | None:
    """What there is to do once a stream has come to its first content, and before anybody gets it.

    A provider's stream that is in memory already (a hook of the HTTP client or a middleware has read it) is read to its end: the SDK takes
    it from memory too, and nothing could be said while it does. One that somebody else answers for is closed.

    Returns:
        The provider's stream, where its bytes are what the SDK gets.

    Raises:
        Exception: As `Session.read`.
    """
    if source is None:
        return None
    if not at.on_primary or source.whole:
        await source.release()
        return None
    if source.in_memory:
        while await session.read():
            source.taken()
    return source


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
        source: The provider's own stream, where its bytes are what the SDK gets.
        asked: The body of the request.
        final: Turns what breaks the stream into what the caller meets.

    Returns:
        The bytes, the headers of an answer somebody else gives, and the provider's own response where it is the one that answers.
    """
    if source is not None:
        return Delivery(session, source, None, final), {}, source.given_away()
    hop = at.call.hop
    if hop is None:
        return Delivery(session, None, None, final), {}, None
    encoder = codec.stream_encoder(model=hop.name, include_usage=wants_usage(codec, asked))
    answer = Reply("", model=hop.name, provider=hop.provider)
    headers = headers_of(answer, codec.stream_content_type, at.number, attempts=at.call.attempts + 1)
    return Delivery(session, None, encoder, final), headers, None
