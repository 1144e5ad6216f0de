"""A model that answers with what it was shown, as a whole and in small pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from resilient_ai import Chunk, Reply, Request
from resilient_ai.core.model import ChunkSource, Scope, Traits
from resilient_ai.messages import ToolCallDelta

LESS = Traits(typical_seconds=0.05, data_classes=frozenset({"public", "internal"}))


class Echo:
    """A model that answers with what it was shown, in pieces of three characters when streamed."""

    def __init__(self, reply: Callable[[Request], Reply], traits: Traits = LESS) -> None:
        self._reply = reply
        self.name, self.provider, self.key, self.traits = "echo", "test", f"test:echo#{id(self)}", traits
        self.seen: list[Request] = []

    async def answer(self, request: Request, scope: Scope) -> Reply:
        self.seen.append(request)
        return self._reply(request)

    async def open(self, request: Request, scope: Scope) -> ChunkSource:
        self.seen.append(request)
        return Pieces(self._reply(request))

    def close(self) -> None: ...

    async def aclose(self) -> None: ...


class Pieces:
    def __init__(self, reply: Reply) -> None:
        self._chunks = iter(list(_pieces(reply)))

    async def receive(self, until: float) -> list[Chunk] | None:
        chunk = next(self._chunks, None)
        return None if chunk is None else [chunk]

    def completed(self, reply: Reply) -> Reply:
        return reply

    async def aclose(self) -> None: ...

    def abandon(self) -> None: ...


def _pieces(reply: Reply) -> Iterator[Chunk]:
    for reasoning in reply.reasoning:
        yield from (Chunk(reasoning=piece) for piece in _cut(reasoning.text))
    yield from (Chunk(text=piece) for piece in _cut(reply.text))
    for index, call in enumerate(reply.tool_calls):
        yield Chunk(tool_call=ToolCallDelta(index, call.id, call.name))
        yield from (Chunk(tool_call=ToolCallDelta(index, arguments=piece)) for piece in _cut(call.arguments))
    yield Chunk(finish_reason=reply.finish_reason)


def _cut(text: str) -> Iterable[str]:
    return (text[at : at + 3] for at in range(0, len(text), 3))
