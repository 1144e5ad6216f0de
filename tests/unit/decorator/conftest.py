"""The four kinds of function, each on a virtual clock, so that one test holds for all of them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from resilient_ai import resilient
from resilient_ai.testing import Captured, ManualClock, SteadyRandom


@dataclass
class Kind:
    """One kind of function. What its functions do in turn is written in a script: a value to answer, or an exception to raise."""

    name: str
    clock: ManualClock = field(default_factory=ManualClock)
    captured: Captured = field(default_factory=Captured)
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list[Any])

    def plain(self, *script: object, name: str = "scripted") -> Callable[..., Any]:
        """A function of this kind that follows `script`; a generator yields each of the answer's characters or items."""
        steps = iter(script)

        def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            self.calls.append((args, kwargs))
            step = next(steps)
            if isinstance(step, BaseException):
                raise step
            return step

        def blocking(*args: Any, **kwargs: Any) -> Any:
            return begin(args, kwargs)

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return begin(args, kwargs)

        def generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
            yield from begin(args, kwargs)

        async def async_generator(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            for item in begin(args, kwargs):
                yield item

        made = {
            "function": blocking,
            "coroutine": awaited,
            "generator": generator,
            "async generator": async_generator,
        }[self.name]
        made.__name__ = made.__qualname__ = name
        return made

    def decorated(self, *script: object, **options: Any) -> Any:
        """The same under `@resilient`, on this clock."""
        defaults: dict[str, Any] = {
            "chance": SteadyRandom(),
            "observers": [self.captured],
            "clock": self.clock,
        }
        return resilient(**{**defaults, **options})(self.plain(*script))

    def call(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """What `function` answers, as a list for a generator."""
        return self.run(self.begun(function, *args, **kwargs))

    def begun(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Callable[[], Any]:
        """A call, to be made by `run`."""

        async def later() -> Any:
            result = function(*args, **kwargs)
            return [item async for item in result] if inspect.isasyncgen(result) else await result

        def now() -> Any:
            result = function(*args, **kwargs)
            return list(result) if inspect.isgenerator(result) else result

        return later if self.asynchronous else now

    def run(self, work: Callable[[], Any]) -> Any:
        """The result of `work`, in a loop if it needs one."""
        return self.clock.run(work()) if self.asynchronous else work()

    @property
    def asynchronous(self) -> bool:
        return self.name in ("coroutine", "async generator")

    @property
    def streaming(self) -> bool:
        return "generator" in self.name


@pytest.fixture(params=["function", "coroutine", "generator", "async generator"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kind:
    """Each kind of function; the blocking ones may not create an event loop."""
    one = Kind(request.param)
    if not one.asynchronous:
        forbid_loops(monkeypatch)
    return one


@pytest.fixture
def no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """No event loop can be created."""
    forbid_loops(monkeypatch)


def forbid_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise AssertionError("a blocking call created an event loop")

    monkeypatch.setattr(asyncio, "new_event_loop", refuse)
    monkeypatch.setattr(asyncio, "Runner", refuse)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "__init__", refuse)
