"""Puts a streamed answer together again, so that what came is known on every ending."""

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
        "_thought",
        "_usage",
        "size",
        "texts",
    )

    def __init__(self, model: str | None = None) -> None:
        self._model = model
        self.size = 0
        """Characters so far, of all kinds."""
        self._id: str | None = None
        self._usage = UNKNOWN_USAGE
        self._finish: FinishReason | None = None
        self.texts: list[str] = []
        """The text so far, in pieces."""
        self._thought: list[str] = []
        self._refusal: list[str] = []
        self._reasoning: list[Reasoning] = []
        self._calls: dict[int, _Call] = {}

    def add(self, chunk: Chunk) -> None:
        """Takes the next chunk."""
        if chunk.restarted:
            self._clear()
        if chunk.text:
            self.texts.append(chunk.text)
            self.size += len(chunk.text)
        if chunk.reasoning:
            self._thought.append(chunk.reasoning)
            self.size += len(chunk.reasoning)
        if chunk.opaque:
            self._close_reasoning(chunk.opaque)
        if chunk.refusal:
            self._refusal.append(chunk.refusal)
            self.size += len(chunk.refusal)
        if chunk.tool_call is not None:
            self._add_call(chunk.tool_call)
        if chunk.finish_reason is not None:
            self._finish = chunk.finish_reason
        if chunk.usage is not None:
            self._usage = chunk.usage
        self._model = chunk.model or self._model
        self._id = chunk.id or self._id

    def introduced(self, chunk: Chunk) -> Chunk:
        """`chunk`, the first with content, and what the events before it told: who answers, under which identifier, and tokens so far."""
        told = None if self._usage == UNKNOWN_USAGE else self._usage
        return Chunk(
            chunk.text,
            chunk.reasoning,
            chunk.tool_call,
            chunk.refusal,
            chunk.finish_reason,
            chunk.usage or told,
            chunk.restarted,
            chunk.model or self._model,
            chunk.id or self._id,
            chunk.opaque,
            chunk.items,
        )

    def goes_on(self) -> None:
        """Another model writes from here on; what it thinks is its own."""
        self._close_reasoning({})

    @property
    def usage(self) -> Usage:
        """Tokens as last reported."""
        return self._usage

    def reply(
        self, *, provider: str = "", flags: tuple[str, ...] = (), request_id: str | None = None
    ) -> Reply:
        """The answer as far as it came. `finish_reason` is `other` where none came. Changes nothing here."""
        thought = (Reasoning("".join(self._thought)),) if self._thought else ()
        return Reply(
            text="".join(self.texts),
            tool_calls=tuple(
                ToolCall(call.id, call.name, "".join(call.arguments), call.opaque)
                for _, call in sorted(self._calls.items())
            ),
            finish_reason=self._finish or "other",
            usage=self._usage,
            model=self._model or "",
            provider=provider,
            reasoning=(*self._reasoning, *thought),
            refusal="".join(self._refusal) or None,
            id=self._id,
            flags=flags,
            request_id=request_id,
        )

    def _clear(self) -> None:
        self._id = None
        self._finish = None
        for part in (self.texts, self._thought, self._refusal, self._reasoning, self._calls):
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
            self.size += len(delta.arguments)
        call.opaque.update(delta.opaque)
