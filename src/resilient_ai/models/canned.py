"""A fixed answer: the end of a chain that must say something."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from resilient_ai.core.model import Traits
from resilient_ai.messages import Chunk, Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.messages import Request


@final
class CannedModel:
    """Answers every request with the same text. Its answers are always `degraded`."""

    def __init__(self, text: str, *, name: str = "canned") -> None:
        self._text = text
        self._name = name
        self._traits = Traits(local=True, stand_in=True, typical_seconds=0.0)

    @property
    def name(self) -> str:
        return self._name

    @property
    def provider(self) -> str:
        return "canned"

    @property
    def key(self) -> str:
        return f"canned:{self._name}#{id(self)}"

    @property
    def traits(self) -> Traits:
        return self._traits

    def __repr__(self) -> str:
        return f"CannedModel(<{len(self._text)} characters>)"

    async def answer(self, request: Request, scope: Scope) -> Reply:  # noqa: ARG002 - the same for all
        """The text."""
        return Reply(text=self._text, model=self._name, provider="canned")

    async def open(self, request: Request, scope: Scope) -> ChunkSource:  # noqa: ARG002 - the same for all
        """The text, as one chunk."""
        return _Once(self._text)

    def close(self) -> None:
        """Does nothing."""

    async def aclose(self) -> None:
        """Does nothing."""


def canned(text: str, *, name: str = "canned") -> CannedModel:
    """A model that answers every request with `text`."""
    return CannedModel(text, name=name)


@final
class _Once:
    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text: str | None = text

    async def receive(self, until: float) -> Sequence[Chunk] | None:  # noqa: ARG002 - nothing to wait for
        if self._text is None:
            return None
        text, self._text = self._text, None
        return [Chunk(text=text, finish_reason="stop")]

    def completed(self, reply: Reply) -> Reply:
        return reply

    async def aclose(self) -> None:
        self._text = None

    def abandon(self) -> None:
        self._text = None
