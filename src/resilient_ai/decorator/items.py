"""Streams of items: what a decorated generator yields, on its way through the engine. One item a read, never one ahead of the reader."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast, final

from resilient_ai.core.deadline import CURRENT_DEADLINE, AttemptTimeout
from resilient_ai.errors import ConfigError
from resilient_ai.messages import Chunk

if TYPE_CHECKING:
    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.decorator.invocation import Invocation
    from resilient_ai.messages import Reply
    from resilient_ai.runtime.threads import Threads

_END: Final = object()


def source_of(begun: object, made: Invocation, scope: Scope, threads: Threads) -> ChunkSource:
    """The stream of what a function returned: an iterator's items, or any other value as the only one."""
    if isinstance(begun, AsyncIterator):
        if scope.blocking:
            raise ConfigError(
                "An asynchronous iterator cannot answer a blocking call; return a blocking one."
            )
        return _AsyncItems(cast("AsyncIterator[object]", begun), made, scope)
    items = cast("Iterator[object]", begun) if isinstance(begun, Iterator) else iter((begun,))
    return _Items(items, made, scope, threads)


@final
class _Items:
    """A blocking iterator; in an asynchronous call each item is made in a thread."""

    __slots__ = ("_busy", "_ended", "_items", "_left", "_lock", "_made", "_scope", "_threads")

    def __init__(self, items: Iterator[object], made: Invocation, scope: Scope, threads: Threads) -> None:
        self._items = items
        self._made = made
        self._scope = scope
        self._threads = threads
        self._lock = threading.Lock()
        self._busy = False
        self._ended = False
        self._left = False

    async def receive(self, until: float) -> Sequence[Chunk] | None:
        scope = self._scope
        if scope.blocking and scope.clock.now() > until:
            raise AttemptTimeout
        # Calls nested in the generator's body share its deadline, while the body runs and not while the reader does.
        token = CURRENT_DEADLINE.set((scope.clock, scope.until))
        try:
            item = self._next() if scope.blocking else await self._threads.run(self._next)
        finally:
            CURRENT_DEADLINE.reset(token)
        return None if item is _END else (Chunk(items=(item,)),)

    def completed(self, reply: Reply) -> Reply:
        return replace(reply, output=self._made)

    async def aclose(self) -> None:
        if self._ended or self._scope.blocking:
            self.abandon()
        else:
            await self._threads.run(self.abandon)

    def abandon(self) -> None:
        with self._lock:
            left, self._left = self._left, True
            if left or self._busy:
                return  # being closed already; or it runs in another thread, which closes it as soon as it comes back
        self._close()

    def _next(self) -> object:
        with self._lock:
            if self._left:
                return _END
            self._busy = True
        made = self._made
        try:
            sent, made.sent = made.sent, None
            if sent is None:
                return next(self._items)
            return cast("Generator[object, object, object]", self._items).send(sent)
        except StopIteration as stop:
            self._ended = True
            made.value = stop.value
            return _END
        except Exception as error:
            self._ended = True
            made.failed(error)
            raise
        finally:
            self._came_back()

    def _came_back(self) -> None:
        with self._lock:
            self._busy = False
            left = self._left
        if left:
            self._close()

    def _close(self) -> None:
        close = getattr(self._items, "close", None)
        if close is not None:
            close()


@final
class _AsyncItems:
    """An asynchronous iterator."""

    __slots__ = ("_items", "_made", "_scope")

    def __init__(self, items: AsyncIterator[object], made: Invocation, scope: Scope) -> None:
        self._items = items
        self._made = made
        self._scope = scope

    async def receive(self, until: float) -> Sequence[Chunk] | None:  # noqa: ARG002 - the runtime cancels it
        made = self._made
        sent, made.sent = made.sent, None
        token = CURRENT_DEADLINE.set((self._scope.clock, self._scope.until))
        try:
            item = await (anext(self._items) if sent is None else cast("Any", self._items).asend(sent))
        except StopAsyncIteration:
            return None
        except Exception as error:
            made.failed(error)
            raise
        finally:
            CURRENT_DEADLINE.reset(token)
        return (Chunk(items=(item,)),)

    def completed(self, reply: Reply) -> Reply:
        return replace(reply, output=self._made)

    async def aclose(self) -> None:
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()

    def abandon(self) -> None:
        """Does nothing: an asynchronous generator that is dropped is closed by the hooks of its loop."""
