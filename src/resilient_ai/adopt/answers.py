"""Bytes an SDK takes for its provider's: responses and body streams of whatever HTTP library it is built on.

Neither httpx nor httpx2 is imported: the library is the one the SDK's own request comes from.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from resilient_ai.messages import Reply

_ENCODING_HEADERS: Final = ("content-encoding", "content-length")
"""What no longer holds once a body has been decoded."""


def family_of(request: Any) -> Any:
    """The HTTP library a request, or its class, belongs to: the module `httpx` or `httpx2`."""
    kind = request if isinstance(request, type) else type(request)
    return sys.modules[kind.__module__.partition(".")[0]]


def is_read(response: Any) -> bool:
    """The body is in memory."""
    if not response.is_closed:
        return False  # reading it to its end closes it, and asking for what was not read raises
    try:
        response.content  # noqa: B018 - reading it is the question
    except family_of(response.request).ResponseNotRead:
        return False
    return True


def response_of(
    request: Any, *, headers: Mapping[str, str], content: bytes, seconds: float, status: int = 200
) -> Any:
    """A whole response, as if the provider had sent it."""
    response = family_of(request).Response(status, headers=dict(headers), content=content, request=request)
    response.elapsed = timedelta(seconds=seconds)
    return response


def streamed_response(request: Any, *, headers: Mapping[str, str], stream: Any) -> Any:
    """A response of somebody else than the provider, whose body is `stream`."""
    return family_of(request).Response(200, headers=dict(headers), stream=stream, request=request)


def guarded(response: Any, body: Any) -> Any:
    """The provider's own `response`, whose body from here on is `body`: it brings what the response's own does, decoded.

    The very object: an SDK's tracing, a hook of the HTTP client and others go on looking at it, and put what is theirs on it.
    """
    if is_read(response):
        return response  # what is in memory is not asked of a body
    if "content-encoding" in response.headers:
        for name in _ENCODING_HEADERS:
            response.headers.pop(name, None)
    _put(response, body)
    return response


def decoded(response: Any, raw: bytes) -> Any:
    """What `response` would be had it been read: `raw` is its body, as it was sent."""
    return family_of(response.request).Response(
        response.status_code,
        headers=response.headers,
        content=raw,
        request=response.request,
        extensions=response.extensions,
    )


def put_back(response: Any, raw: bytes, *, blocking: bool) -> None:
    """Has `response`, whose body was taken from it and was `raw`, bring it once more."""

    async def pieces() -> AsyncIterator[bytes]:
        yield raw

    if blocking:
        _put(response, body_stream(response.request, iter((raw,)), _nothing))
    else:
        _put(response, body_stream(response.request, pieces(), _nothing_awaited))


def _put(response: Any, body: Any) -> None:
    body.below = below = response.stream
    body.stream_observer = getattr(below, "stream_observer", None)
    response.stream = body


def headers_of(reply: Reply, content_type: str, number: int, *, attempts: int) -> dict[str, str]:
    """The headers of an answer somebody else gave, after so many attempts, its own included. They tell who it was."""
    identity = reply.request_id or f"resilient-{number}"
    return {
        "content-type": content_type,
        "x-request-id": identity,
        "request-id": identity,
        "x-resilient-provider": reply.provider,
        "x-resilient-attempts": str(attempts),
    }


def body_stream(
    request: Any, pieces: Iterator[bytes] | AsyncIterator[bytes], close: Callable[[], Any]
) -> Any:
    """A body that is read piece by piece, once.

    Args:
        request: A request of the library the stream is for.
        pieces: Gives the pieces, in the colour of the request.
        close: Ends their source; awaited in the asynchronous colour.
    """
    family = family_of(request)
    if isinstance(pieces, Iterator):
        return _kind(family.SyncByteStream, _Blocking)(pieces, close)
    return _kind(family.AsyncByteStream, _Asynchronous)(pieces, close)


@lru_cache(maxsize=8)
def _kind(base: type, colour: type) -> Any:
    return type("GuardedStream", (colour, base), {})


class _Body:
    """A body as an SDK meets it. What it does not know itself it asks of the one below, in whose place it stands: how long the answer took.

    Once closed it holds nothing of the call: httpx's own bodies, one of which is below, hold their response, which holds this.
    """

    below: Any = None
    stream_observer: Any = None
    """What traces the stream. Anthropic's SDK asks for it with every event, and looking for what is not there costs as much as all else here."""

    def __init__(self, pieces: Any, close: Callable[[], Any]) -> None:
        self._pieces: Any = pieces
        self._close = close

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)


class _Blocking(_Body):
    def __iter__(self) -> Iterator[bytes]:
        pieces: Iterator[bytes] = self._pieces
        return pieces

    def close(self) -> None:
        close, self._close, self._pieces = self._close, _nothing, iter(())
        close()


class _Asynchronous(_Body):
    def __aiter__(self) -> AsyncIterator[bytes]:
        pieces: AsyncIterator[bytes] = self._pieces
        return pieces

    async def aclose(self) -> None:
        close, self._close, self._pieces = self._close, _nothing_awaited, _no_pieces()
        await close()


def _nothing() -> None: ...


async def _nothing_awaited() -> None: ...


async def _no_pieces() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for piece in nothing:
        yield piece
