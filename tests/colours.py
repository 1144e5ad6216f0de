"""A chain on a virtual clock, asked in one of the two colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
