"""What a caller holds of a streamed answer: an iterator with an explicit end.

Classes, not generators: a generator that is dropped half-way leaves its clean-up to the garbage collector, in whatever context that runs.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self, final

from resilient_ai.runtime.blocking import drive

if TYPE_CHECKING:
    from resilient_ai.messages import Chunk, Outcome, Reply
    from resilient_ai.runtime.session import Session


@final
class Stream(Iterator["Chunk"]):
    """A streamed answer, blocking. Use it as a context manager or as a plain iterator; not from two threads at a time.

    Nothing is sent before it is entered or first iterated. Leaving early (`break`, an exception, `close`, dropping it) closes the
    connection and gives everything back.
    """

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> Self:
        """Brings the stream to its first content, through retries and fallback.

        Raises:
            Exception: As for a unary call.
        """
        drive(self._session.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        """The next chunk.

        Raises:
            StreamInterrupted: It broke after content was delivered; `partial` holds what came.
            DeadlineExceeded: The deadline passed before any content.
            Exception: Otherwise as for a unary call.
        """
        chunk = self._session.pop()
        if chunk is None:
            chunk = drive(self._session.next())
            if chunk is None:
                raise StopIteration
        return chunk

    def close(self) -> None:
        """Ends the stream now. Idempotent."""
        drive(self._session.close())

    def reply(self) -> Reply:
        """The whole answer with its outcome; reads what is still to come. After an early end, what came until then.

        Raises:
            Exception: As for iterating.
            RuntimeError: The stream was closed before it began.
        """
        for _ in self:
            pass
        return _known(self._session.reply)

    @property
    def outcome(self) -> Outcome | None:
        """How the call went; None until the stream has ended."""
        reply = self._session.reply
        return None if reply is None else reply.outcome

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        session = getattr(self, "_session", None)
        # At the end of the interpreter the modules that could do it are taken apart already, and nobody listens any more.
        if session is not None and not session.ended and not ending():
            session.abandon()


@final
class AsyncStream(AsyncIterator["Chunk"]):
    """A streamed answer, asynchronous. Use it as a context manager or as a plain iterator, from one task at a time.

    Nothing is sent before it is entered or first iterated. Leaving early (`break`, an exception, cancellation, `aclose`, dropping
    it) closes the connection and gives everything back.
    """

    __slots__ = ("_loop", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        """Brings the stream to its first content, through retries and fallback.

        Raises:
            Exception: As for a unary call.
        """
        self._loop = asyncio.get_running_loop()
        await self._session.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        """The next chunk.

        Raises:
            StreamInterrupted: It broke after content was delivered; `partial` holds what came.
            DeadlineExceeded: The deadline passed before any content.
            Exception: Otherwise as for a unary call.
        """
        chunk = self._session.pop()
        if chunk is None:
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            chunk = await self._session.next()
            if chunk is None:
                raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Ends the stream now, also one that another task is reading. Idempotent."""
        await self._session.close()

    async def reply(self) -> Reply:
        """The whole answer with its outcome; reads what is still to come. After an early end, what came until then.

        Raises:
            Exception: As for iterating.
            RuntimeError: The stream was closed before it began.
        """
        async for _ in self:
            pass
        return _known(self._session.reply)

    @property
    def outcome(self) -> Outcome | None:
        """How the call went; None until the stream has ended."""
        reply = self._session.reply
        return None if reply is None else reply.outcome

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        session = getattr(self, "_session", None)
        if session is None or session.ended or ending():
            return
        loop = self._loop
        if loop is None or loop.is_closed():
            session.abandon()
        else:
            # The collector may run in another thread; connections belong to the loop's.
            loop.call_soon_threadsafe(session.abandon)


def _known(reply: Reply | None) -> Reply:
    if reply is None:
        raise RuntimeError("the stream was closed before anything came")
    return reply
