"""Bytes an SDK takes for its provider's: responses and body streams of whatever HTTP library it is built on.

Neither httpx nor httpx2 is imported: the library is the one the SDK's own request comes from.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from resilient_ai.messages import Reply

_ENCODING_HEADERS: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})
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


def streamed_response(request: Any, *, headers: Mapping[str, str], stream: Any, like: Any = None) -> Any:
    """A response whose body is `stream`; `like` is the provider's own where it is the one that answers."""
    family = family_of(request)
    if like is None:
        return family.Response(200, headers=dict(headers), stream=stream, request=request)
    kept = [
        (name, value) for name, value in like.headers.multi_items() if name.lower() not in _ENCODING_HEADERS
    ]
    response = family.Response(
        like.status_code, headers=kept, stream=stream, request=request, extensions=like.extensions
    )
    response.history = like.history
    if isinstance(stream, _Body):
        stream.like = like
    return response


def unread(response: Any, *, blocking: bool) -> Any:
    """`response`, whose body was read to be judged, once more with its body still to be read."""
    content = response.content

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    async def close() -> None: ...

    body = (
        body_stream(response.request, iter((content,)), lambda: None)
        if blocking
        else body_stream(response.request, pieces(), close)
    )
    again = streamed_response(response.request, headers={}, stream=body, like=response)
    took = getattr(response, "_elapsed", None)  # by the property it raises where it was not measured
    if took is not None:
        again.elapsed = took
    return again


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
    """A body as an SDK meets it. What is asked of it that it does not know itself is asked of the body of `like`, the response it stands for.

    An HTTP library, and an SDK's tracing, keep things there for later: how long the answer took, who is to be told how reading it ended.
    """

    like: Any = None

    def __init__(self, pieces: Any, close: Callable[[], Any]) -> None:
        self._pieces = pieces
        self._close = close

    def __getattr__(self, name: str) -> Any:
        return getattr(None if self.like is None else self.like.stream, name)


class _Blocking(_Body):
    def __iter__(self) -> Iterator[bytes]:
        return cast("Iterator[bytes]", self._pieces)

    def close(self) -> None:
        self._close()


class _Asynchronous(_Body):
    def __aiter__(self) -> AsyncIterator[bytes]:
        return cast("AsyncIterator[bytes]", self._pieces)

    async def aclose(self) -> None:
        await self._close()
