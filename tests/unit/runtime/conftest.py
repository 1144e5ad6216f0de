"""Both colours of a call, for tests that must hold in either."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from resilient_ai import Chunk, Reply, ResilientModel
from resilient_ai.testing import Captured, ManualClock, SteadyRandom


@dataclass
class Colour:
    """Builds chains on a virtual clock and asks them, blocking or in an asyncio task."""

    name: str
    clock: ManualClock
    captured: Captured

    def chain(self, *models: object, **policies: Any) -> ResilientModel:
        policies.setdefault("chance", SteadyRandom(0.5))
        return ResilientModel(list(models), clock=self.clock, observers=[self.captured], **policies)  # type: ignore[arg-type]

    def ask(self, model: ResilientModel, messages: Any = "question", **options: Any) -> Reply:
        if self.name == "blocking":
            return model.generate(messages, **options)
        return self.clock.run(model.agenerate(messages, **options))

    def stream(
        self, model: ResilientModel, messages: Any = "question", **options: Any
    ) -> tuple[Sequence[Chunk], Reply]:
        """All chunks and the reply."""
        if self.name == "blocking":
            with model.stream(messages, **options) as stream:
                return list(stream), stream.reply()

        async def main() -> tuple[Sequence[Chunk], Reply]:
            async with model.astream(messages, **options) as stream:
                return [chunk async for chunk in stream], await stream.reply()

        return self.clock.run(main())


@pytest.fixture(params=["blocking", "asyncio"])
def colour(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Colour:
    """A call in either colour; the blocking one may not create an event loop."""
    if request.param == "blocking":
        monkeypatch.setattr(asyncio, "new_event_loop", _forbidden("new_event_loop"))
        monkeypatch.setattr(asyncio, "Runner", _forbidden("Runner"))
        monkeypatch.setattr(asyncio.SelectorEventLoop, "__init__", _forbidden("SelectorEventLoop"))
    return Colour(request.param, ManualClock(), Captured())


def _forbidden(name: str) -> Callable[..., object]:
    def refuse(*_: object, **__: object) -> object:
        raise AssertionError(f"a blocking call created an event loop (asyncio.{name})")

    return refuse
