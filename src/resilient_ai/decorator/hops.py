"""A function of a decorated function's chain, as the engine sees it: a model that is called with the original arguments."""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, cast, final

from resilient_ai.core.model import Traits
from resilient_ai.decorator.items import source_of
from resilient_ai.errors import ConfigError
from resilient_ai.messages import Reply

if TYPE_CHECKING:
    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.decorator.invocation import Invocation
    from resilient_ai.messages import Request

TYPICAL_SECONDS: Final = 1.0
"""What is kept for a function behind others until its own answers are known."""
_serial: Final = itertools.count(1)


def is_asynchronous(function: Callable[..., object]) -> bool:
    """`function` has to be awaited or iterated asynchronously."""
    called = _called(function)
    return inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called)


def is_streaming(function: Callable[..., object]) -> bool:
    """`function` is a generator, of either colour."""
    called = _called(function)
    return inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called)


def name_of(function: Callable[..., object]) -> str:
    """What `function` is called in telemetry: `Service.ask`, without the functions it was defined in."""
    while isinstance(function, functools.partial):
        function = function.func
    qualified = getattr(function, "__qualname__", type(function).__qualname__)
    return qualified.rpartition("<locals>.")[2].strip("<>")


def is_misuse(error: Exception) -> bool:
    """`error` was raised by the call itself: these arguments do not fit the function, and will not fit at the next attempt."""
    if not isinstance(error, TypeError):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code is FunctionHop._begun.__code__  # noqa: SLF001 - same module


@final
class FunctionHop:
    """A function, called once an attempt with what the decorated function was called with.

    An asynchronous call runs a blocking function in a thread, so that the loop goes on.
    """

    __slots__ = ("_asynchronous", "_function", "_key", "_name", "_traits")

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function
        self._name = name_of(function)
        self._key = f"decorated:{self._name}#{next(_serial)}"
        self._traits = Traits(typical_seconds=TYPICAL_SECONDS)
        self._asynchronous = is_asynchronous(function)

    @property
    def name(self) -> str:
        return self._name

    @property
    def provider(self) -> str:
        return "function"

    @property
    def key(self) -> str:
        return self._key

    @property
    def traits(self) -> Traits:
        return self._traits

    def __repr__(self) -> str:
        return f"FunctionHop({self._name!r})"

    async def answer(self, request: Request, scope: Scope) -> Reply:
        """Calls the function once.

        Raises:
            Exception: What the function raises.
        """
        made = cast("Invocation", request.payload)
        try:
            if self._asynchronous:
                made.value = await cast("Coroutine[Any, Any, object]", self._begun(made))
            elif scope.blocking:
                made.value = _finished(self._begun(made))
            else:
                value = await asyncio.to_thread(self._begun, made)
                made.value = await cast("Any", value) if inspect.isawaitable(value) else value
        except Exception as error:
            made.failed(error)
            raise
        late = scope.blocking and scope.remaining() < 0
        return Reply("", output=made, model=self._name, provider="function", flags=("late",) if late else ())

    async def open(self, request: Request, scope: Scope) -> ChunkSource:
        """Calls the function once; the items of what it returns become the stream."""
        made = cast("Invocation", request.payload)
        try:
            if self._asynchronous or scope.blocking or is_streaming(self._function):
                begun = self._begun(made)
            else:
                begun = await asyncio.to_thread(self._begun, made)
            if inspect.isawaitable(begun):
                begun = _finished(begun) if scope.blocking else await cast("Any", begun)
        except Exception as error:
            made.failed(error)
            raise
        return source_of(begun, made, scope)

    def close(self) -> None:
        """Does nothing: the function is the caller's."""

    async def aclose(self) -> None:
        """Does nothing: the function is the caller's."""

    def _begun(self, made: Invocation) -> object:
        return self._function(*made.args, **made.kwargs)


def _called(function: Callable[..., object]) -> Callable[..., object]:
    """What runs when `function` is called: an object with `__call__` says nothing of its own."""
    plain = inspect.isroutine(function) or hasattr(function, "func")
    return function if plain else getattr(function, "__call__", function)  # noqa: B004 - the bound method is inspected


def _finished(value: object) -> object:
    """`value`, unless it is work that has not even begun."""
    if inspect.iscoroutine(value):
        value.close()
        raise ConfigError(
            "A blocking function under @resilient returned a coroutine, whose work nothing here would see. "
            "Write it as `async def`, or await inside it."
        )
    return value
