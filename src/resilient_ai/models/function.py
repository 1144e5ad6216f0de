"""A plain function as a model: a rule, a cache, a smaller model behind another library."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, cast, final

from resilient_ai.core.deadline import CURRENT_DEADLINE, Around, AttemptTimeout
from resilient_ai.core.model import Traits
from resilient_ai.errors import ConfigError
from resilient_ai.messages import Chunk, Reply
from resilient_ai.models.calling import (
    TYPICAL_SECONDS,
    CalledFunction,
    refuse_running_loop,
    run_blocking,
    what_runs,
    within,
)

if TYPE_CHECKING:
    from contextvars import Token

    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.messages import Request
    from resilient_ai.runtime.threads import Threads


@final
class FunctionModel(CalledFunction):
    """A function that answers: sync or async, whole or as a generator of text.

    The function gets the text of the last user turn; one whose first parameter is annotated `Request` gets the whole request.
    It returns text, a `Reply`, or any other value, which becomes `Reply.output`.

    Called from a blocking call, an asynchronous function runs in an event loop of its own. Called from an asynchronous call, a
    blocking function runs in a thread so that the loop goes on. The time of a blocking function is cooperative: nothing can end it, it
    can only be left behind (asynchronous call), or its late answer be flagged `late` (blocking call). It can read the instant it
    should end by from `resilient_ai.remaining_seconds()`.

    Args:
        function: What answers.
        name: Its name in history and telemetry; None takes the function's own.
        typical_seconds: What an answer usually takes, until that has been measured.
        local: It stays on this device; None takes True.
        data_classes: Data classes it may see; None means all.
        replayable: It may be called again while it runs, and calling it twice does no harm, so that it may be hedged.

    Raises:
        ConfigError: It is not callable.
    """

    __slots__ = ("_takes_request",)

    def __init__(
        self,
        function: Callable[..., object],
        *,
        name: str | None = None,
        typical_seconds: float = TYPICAL_SECONDS,
        local: bool = False,
        data_classes: Sequence[str] | None = None,
        replayable: bool = False,
    ) -> None:
        if not callable(function):
            raise ConfigError(
                f"A {type(function).__name__} is not a function; give a callable, a model or a name."
            )
        allowed = None if data_classes is None else frozenset(cast("Sequence[Any]", data_classes))
        super().__init__(
            function,
            name=name or getattr(function, "__name__", None) or type(function).__name__,
            kind="function",
            traits=Traits(
                local=local, typical_seconds=typical_seconds, data_classes=allowed, replayable=replayable
            ),
        )
        self._takes_request = _takes_request(what_runs(function))
        _check_takes_one(function, self._name)

    async def answer(self, request: Request, scope: Scope) -> Reply:
        """Calls the function once.

        Raises:
            Exception: What the function raises.
        """
        argument = self._argument(request)
        work = self._joined(argument, scope) if self._streaming else self._called(scope, argument)
        value = await work
        if scope.blocking and scope.remaining() < 0 and isinstance(value, str | Reply):
            reply = self._reply(value)
            from dataclasses import replace

            return replace(reply, flags=(*reply.flags, "late"))
        return self._reply(value)

    async def open(self, request: Request, scope: Scope) -> ChunkSource:
        """Calls the function once; a generator's pieces become chunks, any other answer is one chunk."""
        argument = self._argument(request)
        if not self._streaming:
            return _Pieces(iter([self._reply(await self._called(scope, argument))]), scope, self._threads)
        begun = self._begun(argument)
        if self._asynchronous:
            return _AsyncPieces(cast("AsyncIterator[object]", begun), scope)
        return _Pieces(cast("Iterator[object]", begun), scope, self._threads)

    def _argument(self, request: Request) -> object:
        if self._takes_request:
            return request
        for message in reversed(request.messages):
            if message.role == "user":
                return message.text
        return request.messages[-1].text if request.messages else ""

    async def _joined(self, argument: object, scope: Scope) -> object:
        """The pieces of a generator in one text."""
        pieces = self._begun(argument)
        if not self._asynchronous:

            def join() -> str:
                return "".join(str(piece) for piece in cast("Iterator[object]", pieces))

            return join() if scope.blocking else await self._threads.run(join)

        async def collect() -> str:
            return "".join([str(piece) async for piece in cast("AsyncIterator[object]", pieces)])

        return run_blocking(collect(), scope) if scope.blocking else await collect()

    def _reply(self, value: object) -> Reply:
        if isinstance(value, Reply):
            return _named(value, self._name)
        if isinstance(value, str):
            return Reply(text=value, model=self._name, provider="function", raw=value)
        from resilient_ai.models.wire.jsonbody import encode

        try:
            text = encode(value).decode()
        except (TypeError, ValueError):
            text = str(value)
        return Reply(text=text, output=value, model=self._name, provider="function", raw=value)


@final
class _Pieces:
    """A stream from a blocking iterator."""

    __slots__ = ("_pieces", "_scope", "_threads")

    def __init__(self, pieces: Iterator[object], scope: Scope, threads: Threads) -> None:
        self._pieces = pieces
        self._scope = scope
        self._threads = threads

    async def receive(self, until: float) -> Sequence[Chunk] | None:
        token = _next_piece_within(self._scope, until)
        try:
            if self._scope.blocking:
                piece = next(self._pieces, _END)
            else:
                piece = await self._threads.run(next, self._pieces, _END)
        finally:
            CURRENT_DEADLINE.reset(token)
        return None if piece is _END else _chunks(piece)

    def completed(self, reply: Reply) -> Reply:
        return reply

    async def aclose(self) -> None:
        self.abandon()

    def abandon(self) -> None:
        close = getattr(self._pieces, "close", None)
        if close is None:
            return
        # A generator left behind in its thread cannot be closed while it runs; it goes when it comes to its next piece.
        with contextlib.suppress(ValueError):
            close()


@final
class _AsyncPieces:
    """A stream from an asynchronous iterator."""

    __slots__ = ("_pieces", "_runner", "_scope")

    def __init__(self, pieces: AsyncIterator[object], scope: Scope) -> None:
        self._pieces = pieces
        self._scope = scope
        self._runner: asyncio.Runner | None = None

    async def receive(self, until: float) -> Sequence[Chunk] | None:
        token = _next_piece_within(self._scope, until)
        try:
            if not self._scope.blocking:
                piece = await anext(self._pieces, _END)
            else:
                refuse_running_loop()
                if self._runner is None:
                    self._runner = asyncio.Runner()
                left = until - self._scope.clock.now()
                piece = self._runner.run(within(cast("Any", anext(self._pieces, _END)), left))
        finally:
            CURRENT_DEADLINE.reset(token)
        return None if piece is _END else _chunks(piece)

    def completed(self, reply: Reply) -> Reply:
        return reply

    async def aclose(self) -> None:
        close = getattr(self._pieces, "aclose", None)
        if self._scope.blocking:
            if self._runner is not None:
                if close is not None:
                    self._runner.run(close())
                self._runner.close()
                self._runner = None
        elif close is not None:
            await close()

    def abandon(self) -> None:
        if self._runner is not None:
            self._runner.close()
            self._runner = None


def _next_piece_within(scope: Scope, until: float) -> Token[Around]:
    """Gives the generator the deadline that a call of its own takes the minimum with, for one piece.

    Raises:
        AttemptTimeout: It has passed: no timer ends a generator that never waits.
    """
    if scope.clock.now() > until:
        raise AttemptTimeout
    return CURRENT_DEADLINE.set((scope.clock, min(until, scope.until)))


_END: Final = object()


def _chunks(piece: object) -> Sequence[Chunk]:
    if isinstance(piece, Chunk):
        return [piece]
    if isinstance(piece, Reply):
        from resilient_ai.models.wire.assembly import chunks_of

        return chunks_of(piece)
    return [Chunk(text=str(piece))]


def _named(reply: Reply, name: str) -> Reply:
    from dataclasses import replace

    # A copy: the function may keep its reply, and the engine writes into the one it is given.
    return replace(reply, model=reply.model or name, provider=reply.provider or "function")


def _check_takes_one(function: Callable[..., object], name: str) -> None:
    """Refuses a function that cannot be called as one of a chain is, before an outage finds it.

    Raises:
        ConfigError: It takes no argument by position, or wants more than one.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError, NameError):
        return  # nothing is known of its parameters
    try:
        signature.bind(None)
    except TypeError:
        raise ConfigError(
            f"{name} cannot stand in a chain: a function there is called with one argument, the text of the question, or with the "
            "Request where its parameter is annotated so."
        ) from None


def _takes_request(function: Callable[..., object]) -> bool:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    annotation = parameters[0].annotation if parameters else None
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2].strip("'\"") == "Request"
    return getattr(annotation, "__name__", None) == "Request"
