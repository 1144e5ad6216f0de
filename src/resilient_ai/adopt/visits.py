"""Who answered, for SDKs that keep nothing of the response in what they make of it.

A *door* is an object of such an SDK whose methods callers call (`client.chat`, `client.models`). While one of its methods runs, a visit is
open in the context, and every request that ends inside it notes its outcome there. What the method returns is remembered with it, what it
raises gets it attached. So an outcome belongs to a method call, never to whatever ran last in the context.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import aclosing
from contextvars import ContextVar
from functools import wraps
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Final, Self, TypeAlias, final

from resilient_ai.adopt.held import package_of
from resilient_ai.adopt.layers import layer_of, put_over, take_away
from resilient_ai.engine.endings import attach
from resilient_ai.history import outcome_of, remember
from resilient_ai.messages import Outcome
from resilient_ai.runtime.blocking import drive

Noted: TypeAlias = "Outcome | Callable[[], Outcome | None] | None"

DOORS: Final[dict[str, tuple[str, ...]]] = {
    "mistralai": ("chat", "agents", "fim", "embeddings", "beta.conversations"),
    "google": ("models", "aio.models"),
    "cohere": ("", "v2", "with_raw_response"),
    "ollama": ("",),
}
"""By package, where the doors are below the client; the empty path is the client itself."""
_END: Final = object()


@final
class Visit:
    """One call of a method of a door, open in the context while `with` is in it. `outer` is the one it was made from."""

    __slots__ = ("__weakref__", "_close", "_token", "noted", "outer")

    def __init__(self, outer: Visit | None) -> None:
        self.outer = outer
        self.noted: Noted = None
        self._close: Callable[[], Awaitable[None]] | None = None
        self._token: Any = None

    def __enter__(self) -> Self:
        self._token = _VISIT.set(weakref.ref(self))
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        _VISIT.reset(self._token)
        if isinstance(error, Exception) and outcome_of(error) is None:
            outcome = self.outcome()
            if outcome is not None:
                attach(error, outcome, note=True)

    def note(self, outcome: Noted, close: Callable[[], Awaitable[None]] | None) -> None:
        """A request of this call ended with `outcome`, or goes on until it is closed; the last one counts."""
        visit: Visit | None = self
        while visit is not None:
            visit.noted, visit._close = outcome, close  # noqa: SLF001 - its own kind
            visit = visit.outer

    def outcome(self) -> Outcome | None:
        """How the call went, as far as it is known."""
        return self.noted() if callable(self.noted) else self.noted

    async def close(self) -> None:
        """Ends what is still open: some SDKs leave the streams inside theirs to the garbage collector."""
        if self._close is not None:
            await self._close()


_VISIT: Final[ContextVar[weakref.ref[Visit] | None]] = ContextVar("resilient_ai.adopt.visit", default=None)
"""The visit that is open. Weak, as `primary.CURRENT` is and for the same reason: whoever visits holds it."""


def _current() -> Visit | None:
    held = _VISIT.get()
    return None if held is None else held()


def note(outcome: Noted, close: Callable[[], Awaitable[None]] | None = None) -> None:
    """Tells the visit that is open, if there is one, how a request of it ended.

    Args:
        outcome: How, or what tells it once it is known.
        close: Ends a stream that goes on; awaited without suspending where the client is a blocking one.
    """
    visit = _current()
    if visit is not None:
        visit.note(outcome, close)


def open_doors(sdk: Any) -> Callable[[], None]:
    """Has the doors of `sdk` remember outcomes, and returns what undoes it."""
    undo: list[Callable[[], None]] = []
    for path in DOORS.get(package_of(sdk), ()):
        door: Any = sdk
        for name in filter(None, path.split(".")):
            door = getattr(door, name, None)
        if door is not None and hasattr(door, "__dict__") and layer_of(door) is None:
            undo.append(_open(door))

    def close() -> None:
        for one in undo:
            one()

    return close


def _open(door: Any) -> Callable[[], None]:
    base: Any = door.__class__
    own: dict[str, Any] = door.__dict__
    methods = _methods(base)
    # Methods that the SDK, or an instrumentation, put on the object itself would hide those of the class.
    hidden = {name: value for name, value in own.items() if name in methods and callable(value)}
    ours = {name: visited(value) for name, value in hidden.items()}
    own.update(ours)
    put_over(door, methods)

    def close() -> None:
        # What somebody else has put in the place of ours since is theirs.
        own.update((name, value) for name, value in hidden.items() if own.get(name) is ours[name])
        take_away(door)

    return close


def visited(
    method: Callable[..., Any],
    *,
    like: Callable[..., Any] | None = None,
    keep: Callable[[Any, Visit], Any] | None = None,
) -> Callable[..., Any]:
    """`method`, each call of it a visit. Of the same kind, but for a generator function: a function that returns its generator.

    Args:
        method: What is called.
        like: What `method` stands for, whose kind, name and signature are shown; None is `method`.
        keep: Makes what a call returned remember its visit, and returns it; None does that by its identity.
    """
    keep = keep or _remembered
    like = like or method
    if inspect.isasyncgenfunction(like):

        @wraps(like)
        async def items(*given: Any, **named: Any) -> AsyncIterator[Any]:
            async with aclosing(_aitems(method(*given, **named), Visit(_current()))) as source:
                async for item in source:
                    yield item

        return items
    if inspect.iscoroutinefunction(like):

        @wraps(like)
        async def call(*given: Any, **named: Any) -> Any:
            with Visit(_current()) as visit:
                result = await method(*given, **named)
            return keep(result, visit)

        return call

    @wraps(like)
    def plain(*given: Any, **named: Any) -> Any:
        with Visit(_current()) as visit:
            result = method(*given, **named)
        return keep(result, visit)

    return plain


def _methods(base: type) -> dict[str, Any]:
    """The public methods of a door, in the SDK's own code."""
    found: dict[str, Any] = {}
    package = base.__module__.partition(".")[0]
    for each in reversed(base.__mro__):
        if each.__module__.partition(".")[0] == package:
            found.update(
                (name, visited(_looked_up(base, name), like=value))
                for name, value in vars(each).items()
                if inspect.isfunction(value) and not name.startswith("_")
            )
    return found


def _looked_up(base: type, name: str) -> Callable[..., Any]:
    """The method `name` of `base`, looked up at each call: an instrumentation may be put on the SDK's classes later."""

    def method(*given: Any, **named: Any) -> Any:
        return getattr(base, name)(*given, **named)

    return method


def _remembered(result: Any, visit: Visit) -> Any:
    """What the caller gets: `result`, or a generator of the same kind that goes on with the visit at every step."""
    kind = result.__class__
    if kind is GeneratorType:
        result = _items(result, visit)
    elif kind is AsyncGeneratorType:
        result = _aitems(result, visit)
    remember(result, lambda _: visit.outcome())
    return result


def _items(source: Generator[Any, None, None], visit: Visit) -> Generator[Any, None, None]:
    try:
        while True:
            with visit:
                item = next(source, _END)
            if item is _END:
                return
            yield item
    finally:
        source.close()
        drive(visit.close())


async def _aitems(source: AsyncGenerator[Any, None], visit: Visit) -> AsyncGenerator[Any, None]:
    try:
        while True:
            with visit:
                item = await anext(source, _END)
            if item is _END:
                return
            yield item
    finally:
        await source.aclose()
        await visit.close()
