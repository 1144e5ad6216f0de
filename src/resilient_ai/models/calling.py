"""Calling a function in either colour, whatever colour it has itself."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, cast, final

from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.errors import ConfigError
from resilient_ai.runtime.threads import Threads

if TYPE_CHECKING:
    from resilient_ai.core.model import Scope, Traits

TYPICAL_SECONDS: Final = 1.0
"""What an answer of a function is taken to need until its own answers are known."""
THREADS: Final = 64
"""Asynchronous calls of one blocking function that are in threads at a time. One that hangs takes them from nobody but itself: its further
calls wait for a thread until their time is up, which its breaker learns."""
_serial: Final = itertools.count(1)


@final
class Stopped(Exception):
    """A `StopIteration` of somebody's blocking code, its cause, on its way through coroutines, which cannot raise one."""


class CalledFunction:
    """A model whose answers are those of a function; the base of the two that differ in what it is called with.

    In an asynchronous call a blocking function runs in a thread, so that the loop goes on; in a blocking call an asynchronous one runs
    in an event loop of its own. Safe to share between threads, tasks, loops and forks, if the function is.
    """

    __slots__ = ("_asynchronous", "_function", "_key", "_name", "_streaming", "_threads", "_traits")

    def __init__(self, function: Callable[..., object], *, name: str, kind: str, traits: Traits) -> None:
        """Looks at the function once.

        Args:
            function: What answers.
            name: Its name in history and telemetry.
            kind: What stands before the name in its key. Every object is a model of its own, also of the same function.
            traits: Its traits.
        """
        self._function = function
        self._name = name
        self._key = f"{kind}:{name}#{next(_serial)}"
        self._traits = traits
        self._asynchronous = is_asynchronous(function)
        self._streaming = is_streaming(function)
        self._threads = Threads(name, THREADS)

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
        return f"{type(self).__name__}({self._name!r})"

    def close(self) -> None:
        """Does nothing: the function is the caller's, and idle threads end by themselves."""

    async def aclose(self) -> None:
        """Does nothing: the function is the caller's, and idle threads end by themselves."""

    async def _called(self, scope: Scope, /, *args: object, **kwargs: object) -> object:
        """What the function returns, awaited where it has to be.

        Raises:
            ConfigError: An asynchronous function in a blocking call inside a running loop, or a blocking one that returns a coroutine there.
            Stopped: It raised `StopIteration`.
            Exception: What the function raises.
        """
        if self._asynchronous:
            work = cast("Coroutine[Any, Any, object]", self._begun(*args, **kwargs))
            return run_blocking(work, scope) if scope.blocking else await work
        if scope.blocking:
            try:
                return _whole(self._begun(*args, **kwargs))
            except StopIteration as error:
                raise Stopped from error
        value = await self._threads.run(self._begun, *args, **kwargs)
        return await cast("Any", value) if inspect.isawaitable(value) else value

    def _begun(self, /, *args: object, **kwargs: object) -> object:
        return self._function(*args, **kwargs)


def is_asynchronous(function: Callable[..., object]) -> bool:
    """`function` has to be awaited or iterated asynchronously."""
    called = what_runs(function)
    return inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called)


def is_streaming(function: Callable[..., object]) -> bool:
    """`function` is a generator, of either colour."""
    called = what_runs(function)
    return inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called)


def is_misuse(error: Exception) -> bool:
    """`error` was raised by the call itself: these arguments do not fit the function, and will not fit at the next attempt."""
    if not isinstance(error, TypeError):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code is CalledFunction._begun.__code__  # noqa: SLF001 - same module


def what_runs(function: Callable[..., object]) -> Callable[..., object]:
    """What runs when `function` is called: an object with `__call__` says nothing of its own."""
    plain = inspect.isroutine(function) or hasattr(
        function, "func"
    )  # what functools.partial makes knows what it calls
    return function if plain else getattr(function, "__call__", function)  # noqa: B004 - the bound method is inspected


def run_blocking(work: Coroutine[Any, Any, object], scope: Scope) -> object:
    """Runs an asynchronous function to its end in a loop of its own, bounded by the attempt's time.

    Raises:
        AttemptTimeout: Its time was up.
        ConfigError: A loop is running in this thread.
    """
    try:
        refuse_running_loop()
    except ConfigError:
        work.close()
        raise
    with asyncio.Runner() as runner:
        return runner.run(within(work, scope.remaining()))


async def within(work: Coroutine[Any, Any, object], seconds: float) -> object:
    """The result of `work`, ended after `seconds`.

    Raises:
        AttemptTimeout: Its time was up.
    """
    bound = asyncio.timeout(max(0.0, seconds))
    try:
        async with bound:
            return await work
    except TimeoutError as error:
        if bound.expired():
            raise AttemptTimeout from error
        raise


def refuse_running_loop() -> None:
    """A loop inside a running one cannot be.

    Raises:
        ConfigError: One is running in this thread.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigError(
        "An asynchronous function cannot answer a blocking call inside a running event loop; use agenerate or astream there."
    )


def _whole(value: object) -> object:
    """`value`, unless it is work that has not even begun."""
    if isinstance(value, CoroutineType):
        value.close()
        raise ConfigError(
            "A blocking function returned a coroutine, whose work nothing here would see. Write it as `async def`, or await inside it."
        )
    return value
