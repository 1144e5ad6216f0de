"""From the chunks of a stream to the whole answer, and from a whole answer to chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from resilient_ai.messages import (
    JSON,
    UNKNOWN_USAGE,
    Chunk,
    FinishReason,
    Reasoning,
    Reply,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from resilient_ai.models.wire import StreamDecoder


@final
@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])
    opaque: dict[str, JSON] = field(default_factory=dict[str, JSON])


@final
class ReplyBuilder:
    """Puts an answer together from its chunks. Not shared between tasks or threads.

    Opaque state closes the reasoning that came before it; a `restarted` chunk discards what came so far.
    """

    __slots__ = (
        "_calls",
        "_finish",
        "_id",
        "_model",
        "_reasoning",
        "_refusal",
        "_text",
        "_thought",
        "_usage",
    )

    def __init__(self) -> None:
        self._model: str | None = None
        self._id: str | None = None
        self._usage = UNKNOWN_USAGE
        self._finish: FinishReason | None = None
        self._text: list[str] = []
        self._thought: list[str] = []
        self._refusal: list[str] = []
        self._reasoning: list[Reasoning] = []
        self._calls: dict[int, _Call] = {}

    def add(self, chunk: Chunk) -> None:
        """Takes the next chunk."""
        if chunk.restarted:
            self._clear()
        if chunk.text:
            self._text.append(chunk.text)
        if chunk.reasoning:
            self._thought.append(chunk.reasoning)
        if chunk.opaque:
            self._close_reasoning(chunk.opaque)
        if chunk.refusal:
            self._refusal.append(chunk.refusal)
        if chunk.tool_call is not None:
            self._add_call(chunk.tool_call)
        if chunk.finish_reason is not None:
            self._finish = chunk.finish_reason
        if chunk.usage is not None:
            self._usage = chunk.usage
        self._model = chunk.model or self._model
        self._id = chunk.id or self._id

    def reply(self, *, provider: str = "", flags: tuple[str, ...] = ()) -> Reply:
        """The answer as far as it came. `finish_reason` is `other` where none came."""
        self._close_reasoning({})
        return Reply(
            text="".join(self._text),
            tool_calls=tuple(
                ToolCall(call.id, call.name, "".join(call.arguments), call.opaque)
                for _, call in sorted(self._calls.items())
            ),
            finish_reason=self._finish or "other",
            usage=self._usage,
            model=self._model or "",
            provider=provider,
            reasoning=tuple(self._reasoning),
            refusal="".join(self._refusal) or None,
            id=self._id,
            flags=flags,
        )

    def _clear(self) -> None:
        self._id = None
        self._finish = None
        for part in (self._text, self._thought, self._refusal, self._reasoning, self._calls):
            part.clear()

    def _close_reasoning(self, opaque: Mapping[str, JSON]) -> None:
        if self._thought or opaque:
            self._reasoning.append(Reasoning("".join(self._thought), opaque))
            self._thought = []

    def _add_call(self, delta: ToolCallDelta) -> None:
        call = self._calls.setdefault(delta.index, _Call())
        call.id = call.id or delta.id or ""
        call.name = call.name or delta.name or ""
        if delta.arguments:
            call.arguments.append(delta.arguments)
        call.opaque.update(delta.opaque)


def assemble(decoder: StreamDecoder, body: bytes) -> Reply:
    """The answer in a whole stream.

    Raises:
        WireError: What the decoder raises.
    """
    builder = ReplyBuilder()
    for chunk in decoder.feed(body):
        builder.add(chunk)
    for chunk in decoder.end():
        builder.add(chunk)
    return builder.reply()


def chunks_of(reply: Reply) -> list[Chunk]:
    """The answer as a stream in few pieces, which `ReplyBuilder` puts together again."""
    usage: Usage | None = None if reply.usage == UNKNOWN_USAGE else reply.usage
    chunks = [Chunk(model=reply.model or None, id=reply.id)] if reply.model or reply.id else []
    chunks += [Chunk(reasoning=part.text, opaque=part.opaque) for part in reply.reasoning]
    if reply.text:
        chunks.append(Chunk(text=reply.text))
    if reply.refusal:
        chunks.append(Chunk(refusal=reply.refusal))
    chunks += [
        Chunk(tool_call=ToolCallDelta(index, call.id, call.name, call.arguments, call.opaque))
        for index, call in enumerate(reply.tool_calls)
    ]
    chunks.append(Chunk(finish_reason=reply.finish_reason, usage=usage))
    return chunks
