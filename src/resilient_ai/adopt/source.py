"""The provider's own stream, as the engine reads it and as the SDK gets it: the same bytes, looked at on their way."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast, final

from resilient_ai.adopt.answers import family_of, is_read
from resilient_ai.adopt.watch import last_of
from resilient_ai.adopt.wire_faults import typed
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.messages import Chunk, Reply
from resilient_ai.models.wire import SHOWN, WireError

if TYPE_CHECKING:
    from resilient_ai.adopt.primary import Primary
    from resilient_ai.core.model import Scope
    from resilient_ai.models.wire import Codec

MAX_HELD_BYTES: Final = 4 * 1024 * 1024
"""The most that is kept from the SDK until the first content. What is longer (a picture, an echo of the request) is for it to read."""

JSON_LINES: Final = "application/x-ndjson"
"""A stream of this kind begins as a whole body does, and a whole body is one line of it: the SDK can read both."""

ENDS: Final[Mapping[str, tuple[bytes, ...]]] = {
    JSON_LINES: (b"\n",),
    "text/event-stream": (b"\n\n", b"\r\n\r\n", b"\r\r"),
    "application/vnd.amazon.eventstream": (),
}
"""What a record ends with in a stream of each kind. One that tells its own length ends where the next begins."""

END_SECONDS: Final = 0.05
"""How long an asynchronous reader waits for the end of a body behind the terminal event of its stream."""

_NOTHING: Final = (Chunk(),)
_SHOWN: Final = (SHOWN,)


@final
class ProviderStream:
    """The `ChunkSource` of an SDK's response. Bytes that were read stand on `tape` until they are handed on.

    The response is closed here until it is `given_away`: then this is below its body, and closes what is below itself. It no longer
    holds the response, whose body holds it.

    Args:
        response: The open response.
        codec: The format it should be in.
        primary: The model that was asked.
        scope: The attempt's.
    """

    __slots__ = (
        "_ahead",
        "_begun",
        "_below",
        "_fault",
        "_headers",
        "_held",
        "_kind",
        "_loop",
        "_network",
        "_now",
        "_primary",
        "_reads_on",
        "_response",
        "_scope",
        "decoder",
        "in_memory",
        "pieces",
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
        self._response: Any = response
        self._headers = response.headers
        self._below: Any = getattr(response, "stream", response)
        self.in_memory = self._below is not response and is_read(response)
        """The body was read before it came here."""
        self.tape: deque[bytes] = deque()
        self._begun = False
        self.decoder = codec.stream_decoder()
        """What the bytes say."""
        self.decoder.pass_on()
        self._kind = codec.stream_content_type
        self._primary = primary
        self._scope = scope
        self.whole = False
        """The server sent a whole body in place of a stream, which the SDK could not read."""
        self._fault: BaseException | None = None
        self._held = 0
        self.pieces: Any = self._opened(response)
        """The body as it comes. Whoever takes a piece of it that is not for `receive` alone hands on the piece by itself."""
        self._ahead: bytes | None = None
        self._now = scope.clock.now
        self._network: Any = None
        """The connection of a response that was given away."""
        self._reads_on = False
        """It can serve again if it is read to the end of the body. Of HTTP/2 it does so in any case; of botocore's nobody knows it here."""
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
        decoder = self.decoder
        if decoder.complete:
            return None
        data: bytes | None
        if self._ahead is not None:
            data, self._ahead = self._ahead, None
        elif self._loop is not None:
            data = await anext(self.pieces, None)
        elif self._now() > until:
            raise AttemptTimeout
        else:
            data = next(self.pieces, None)
        try:
            if data is None:
                return decoder.end() or None
            if not self._begun:
                self._begin(data)
            self._held += len(data)
            self.tape.append(data)
            chunks = decoder.feed(data)
            if chunks:
                return chunks
            if self.decoder.complete and self._now() <= until:  # what came late is for the session to judge
                return None
            return _NOTHING if self._held <= MAX_HELD_BYTES else _SHOWN
        except WireError as error:
            before = decoder.take()
            if not before:
                raise typed(error, self._primary, self._headers) from None
            self._fault = typed(error, self._primary, self._headers)
            if data is not None:
                # The SDK would raise by itself on what came behind the content, without the history and before the fault is told.
                self.tape[-1] = _before(data, error.record, ENDS[self._kind])
            return before

    def _raise_fault(self) -> None:
        """Raises what was wrong with the last bytes, now that what stood before it was handed on, or what reading ahead has raised."""
        fault, self._fault = self._fault, None
        try:
            if fault is not None:
                raise fault
        finally:
            del fault  # it holds this frame

    def put_back(self, came: bytes | BaseException) -> None:
        """What was taken of `pieces` ahead of `receive`, or raised there, is its to judge."""
        if isinstance(came, BaseException):
            self._fault = came
        else:
            self._ahead = came

    def completed(self, reply: Reply) -> Reply:
        """See `ChunkSource`."""
        flags = self.decoder.flags
        return replace(reply, flags=(*reply.flags, *flags)) if flags else reply

    def taken(self) -> bytes:
        """What was read since the last time."""
        tape = self.tape
        data = tape[0] if len(tape) == 1 else b"".join(tape)
        tape.clear()
        self._held = 0
        return data

    def given_away(self) -> Any:
        """The response, which is the caller's from here on."""
        response, self._response = self._response, None
        extensions: dict[str, Any] | None = getattr(response, "extensions", None)
        if extensions is not None and extensions.get("http_version") != b"HTTP/2":
            self._reads_on = True
            self._network = extensions.get("network_stream")
        return response

    async def rest(self) -> bytes | None:
        """What the provider sends behind the terminal event, for a caller who reads on; None at the end, with the body closed.

        Read to the end, a connection serves the next call. A server that does not end is not waited for, and nothing that is wrong there
        is told any more: the answer is complete.
        """
        pieces = self.pieces
        if pieces is None or not self._reads_on:
            await self.release()
            return None
        data: bytes | None = None
        try:
            if self._loop is None:
                data = last_of(pieces, self._network)
            else:
                async with asyncio.timeout(END_SECONDS):
                    data = await anext(pieces, None)
        except Exception:  # noqa: BLE001 - see above
            data = None
        if data is None:
            await self.release()
        return data

    async def aclose(self) -> None:
        """Closes the response; one that is complete is left to whoever it is given to, who may read on."""
        if not self.decoder.complete:
            await self.release()

    async def release(self) -> None:
        """Closes it in any case. Idempotent."""
        below, pieces = self._let_go()
        if below is None:
            return
        if self._loop is None:
            below.close()
            return
        try:
            if isinstance(pieces, AsyncGenerator):
                # In the task that reads it. The loop would end it later, in a task of its own.
                await pieces.aclose()
        except RuntimeError:  # another task is reading: closing what is below ends that
            pass
        finally:
            await below.aclose()

    def abandon(self) -> None:
        """Closes without waiting; an asynchronous response is closed by its loop."""
        below, _ = self._let_go()
        if below is None:
            return
        if self._loop is None:
            below.close()
        elif not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # closed since
                asyncio.run_coroutine_threadsafe(below.aclose(), self._loop)

    def _let_go(self) -> tuple[Any, Any]:
        """What is to be closed, once, and the generator that reads it."""
        below = self._below if self._response is None else self._response
        pieces = self.pieces
        self._below = self._response = self.pieces = None
        return below, pieces

    def _opened(self, response: Any) -> Iterator[bytes] | AsyncIterator[bytes]:
        """The body of `response` as it comes.

        Past the response's own iteration: the SDK iterates over what is made of it once more. Responses of botocore have no other.
        """
        below, blocking = self._below, self._scope.blocking
        if below is not response and not self.in_memory:
            if "content-encoding" not in response.headers:
                return cast("Iterator[bytes]", iter(below) if blocking else aiter(below))
            kind = family_of(response.request).Response
            response = kind(200, headers=response.headers, stream=below, request=response.request)
        return cast("Iterator[bytes]", response.iter_bytes() if blocking else response.aiter_bytes())

    def _begin(self, data: bytes) -> None:
        """Looks at the first byte that says anything."""
        content = data.lstrip()
        if content:
            self._begun = True
            self.whole = self._kind != JSON_LINES and content[:1] in (b"{", b"[")


def _before(data: bytes, record: bytes | None, ends: tuple[bytes, ...]) -> bytes:
    """The whole records of `data` that stand before `record`; none where it cannot be found."""
    at = max(0, data.find(record)) if record else 0
    if not ends:
        return data[:at]
    return data[
        : max((found + len(end) for end in ends if (found := data.rfind(end, 0, at)) >= 0), default=0)
    ]
