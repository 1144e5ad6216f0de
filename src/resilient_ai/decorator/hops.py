"""A function of a decorated function's chain, as the engine sees it: a model that is called with the original arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, cast, final

from resilient_ai.core.model import Traits
from resilient_ai.decorator.items import source_of
from resilient_ai.history import stop_of
from resilient_ai.messages import Reply
from resilient_ai.models.calling import TYPICAL_SECONDS, CalledFunction, Stopped

if TYPE_CHECKING:
    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.decorator.invocation import Invocation
    from resilient_ai.messages import Request


def name_of(function: Callable[..., object]) -> str:
    """What `function` is called in telemetry: `Service.ask`, without the functions it was defined in."""
    while isinstance(function, functools.partial):
        function = function.func
    qualified = getattr(function, "__qualname__", type(function).__qualname__)
    return qualified.rpartition("<locals>.")[2].strip("<>")


@final
class FunctionHop(CalledFunction):
    """A function, called once an attempt with what the decorated function was called with.

    Args:
        function: What is called.
        replayable: It may be called again while it runs.
    """

    __slots__ = ()

    def __init__(self, function: Callable[..., object], *, replayable: bool = False) -> None:
        traits = Traits(typical_seconds=TYPICAL_SECONDS, replayable=replayable)
        super().__init__(function, name=name_of(function), kind="decorated", traits=traits)

    async def answer(self, request: Request, scope: Scope) -> Reply:
        """Calls the function once.

        Raises:
            Exception: What the function raises.
        """
        made = cast("Invocation", request.payload)
        mine = made.another() if self._traits.replayable else made
        try:
            mine.value = await self._called(scope, *made.args, **made.kwargs)
        except Stopped as error:
            made.failed(stop_of(error))
            raise
        except Exception as error:
            made.failed(error)
            raise
        late = scope.blocking and scope.remaining() < 0
        return Reply("", output=mine, model=self._name, provider="function", flags=("late",) if late else ())

    async def open(self, request: Request, scope: Scope) -> ChunkSource:
        """Calls the function once; the items of what it returns become the stream."""
        made = cast("Invocation", request.payload)
        try:
            if self._streaming:
                begun = self._begun(*made.args, **made.kwargs)
            else:
                begun = await self._called(scope, *made.args, **made.kwargs)
        except Exception as error:
            made.failed(error)
            raise
        return source_of(begun, made, scope, self._threads)
