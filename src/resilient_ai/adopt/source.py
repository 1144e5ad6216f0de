"""The provider's own stream, as the engine reads it and as the SDK gets it: the same bytes, looked at on their way."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast, final

from resilient_ai.adopt.answers import is_read
from resilient_ai.adopt.wire_faults import typed
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.messages import Chunk, Reply
from resilient_ai.models.wire import Malformed, WireError

if TYPE_CHECKING:
    from resilient_ai.adopt.primary import Primary
    from resilient_ai.core.model import Scope
    from resilient_ai.models.wire import Codec

MAX_HELD_BYTES: Final = 4 * 1024 * 1024
"""Events before the first content may echo the whole request, and no more."""

JSON_LINES: Final = "application/x-ndjson"
"""A stream of this kind begins as a whole body does, and a whole body is one line of it: the SDK can read both."""

_NOTHING: Final = Chunk()


@final
class ProviderStream:
    """The `ChunkSource` of an SDK's response. Bytes that were read stand on `tape` until they are handed on.

    Args:
        response: The open response.
        codec: The format it should be in.
        primary: The model that was asked.
        scope: The attempt's.
    """

    __slots__ = (
        "_begun",
        "_decoder",
        "_fault",
        "_held",
        "_lines",
        "_loop",
        "_now",
        "_pieces",
        "_primary",
        "_scope",
        "response",
        "tape",
        "whole",
    )

    def __init__(
        self,
        response: Any,
        codec: Codec,
        primary: Primary,
        scope: Scope,
    ) -> None:
        self.response = response
        self.tape: deque[bytes] = deque()
        self._begun = False
        self._decoder = codec.stream_decoder()
        self._lines = codec.stream_content_type == JSON_LINES
        self._primary = primary
        self._scope = scope
        self.whole = False
        """The server sent a whole body in place of a stream, which the SDK could not read."""
        self._fault: Exception | None = None
        self._held = 0
        self._pieces: Any = _pieces(response, blocking=scope.blocking)
        self._now = scope.clock.now
        self._loop = None if scope.blocking else asyncio.get_running_loop()

    async def receive(self, until: float) -> Sequence[Chunk] | None:
        """The next chunks; an empty one where bytes came that say nothing to the engine, but something to the SDK.

        Raises:
            ModelError: The stream ended early, carried an error or is malformed.
            AttemptTimeout: Nothing came by `until`.
            Exception: What the SDK's HTTP library raises.
        """
        if self._fault is not None:
            self._raise_fault()
        decoder = self._decoder
        if decoder.complete:
            return None
        data: bytes | None
        if self._loop is not None:
            data = await anext(self._pieces, None)
        elif self._now() > until:
            raise AttemptTimeout
        else:
            data = next(self._pieces, None)
        try:
            if data is None:
                return decoder.end() or None
            if not self._begun:
                self._begin(data)
            self._held += len(data)
            if self._held > MAX_HELD_BYTES:
                raise Malformed("the stream sends more than the limit before its first content")
            self.tape.append(data)
            return decoder.feed(data) or [_NOTHING]
        except WireError as error:
            chunks = decoder.take()
            if not chunks:
                raise typed(error, self._primary, self.response.headers) from None
            self._fault = typed(error, self._primary, self.response.headers)
            if data is not None:
                # The SDK would raise by itself on what came behind the content, without the history and before the fault is told.
                self.tape[-1] = _before(data, error.record, self._lines)
            return chunks

    def _raise_fault(self) -> None:
        """Raises what was wrong with the last bytes, now that what stood before it was handed on."""
        fault, self._fault = self._fault, None
        try:
            if fault is not None:
                raise fault
        finally:
            del fault  # it holds this frame

    @property
    def complete(self) -> bool:
        """The terminal event was read."""
        return self._decoder.complete

    def completed(self, reply: Reply) -> Reply:
        """See `ChunkSource`."""
        flags = (*reply.flags, *self._decoder.flags)
        return replace(reply, flags=flags, request_id=reply.request_id or self._request_id())

    def _request_id(self) -> str | None:
        noted = self._scope.notes.get("request_id")
        return noted if isinstance(noted, str) else None

    def taken(self) -> bytes:
        """What was read since the last time."""
        tape = self.tape
        data = tape[0] if len(tape) == 1 else b"".join(tape)
        tape.clear()
        self._held = 0
        return data

    async def aclose(self) -> None:
        """Closes the response."""
        if self._scope.blocking:
            self.response.close()
        else:
            await self.response.aclose()

    def abandon(self) -> None:
        """Closes without waiting; an asynchronous response is closed by its loop."""
        if self._loop is None:
            self.response.close()
        elif not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # closed since
                asyncio.run_coroutine_threadsafe(self.response.aclose(), self._loop)

    def _begin(self, data: bytes) -> None:
        """Looks at the first byte that says anything."""
        content = data.lstrip()
        if content:
            self._begun = True
            self.whole = not self._lines and content[:1] in (b"{", b"[")


def _before(data: bytes, record: bytes | None, lines: bool) -> bytes:  # noqa: FBT001 - internal
    """The whole records of `data` that stand before `record`; none where it cannot be found."""
    at = -1 if not record else data.find(record)
    ends = (b"\n",) if lines else (b"\n\n", b"\r\n\r\n", b"\r\r")
    return data[
        : max((found + len(end) for end in ends if (found := data.rfind(end, 0, max(0, at))) >= 0), default=0)
    ]


def _pieces(response: Any, *, blocking: bool) -> Iterator[bytes] | AsyncIterator[bytes]:
    """The body of `response` as it comes.

    Past the response's own iteration where that would change nothing: the SDK iterates over what is made of it once more. Responses of
    botocore have no other.
    """
    below = getattr(response, "stream", None)
    if below is None or "content-encoding" in response.headers or is_read(response):
        pieces: Any = response.iter_bytes() if blocking else response.aiter_bytes()
    else:
        pieces = iter(below) if blocking else aiter(below)
    return cast("Iterator[bytes]", pieces)
