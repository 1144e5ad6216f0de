"""Puts a streamed answer together again, so that what came is known on every ending."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from resilient_ai.messages import UNKNOWN_USAGE, FinishReason, Reasoning, Reply, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resilient_ai.messages import JSON, Chunk


@final
class _Call:
    __slots__ = ("arguments", "id", "name", "opaque")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.opaque: dict[str, JSON] = {}


@final
class Assembly:
    """The answer so far. Linear in what was streamed; not thread safe."""

    __slots__ = (
        "_calls",
        "_opaque",
        "_reasoning",
        "_refusal",
        "_text",
        "finish_reason",
        "id",
        "model",
        "provider",
        "usage",
    )

    def __init__(self, model: str, provider: str) -> None:
        self.model = model
        self.provider = provider
        self.id: str | None = None
        self.usage: Usage = UNKNOWN_USAGE
        self.finish_reason: FinishReason | None = None
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._opaque: dict[str, JSON] = {}

    def add(self, chunk: Chunk) -> None:
        """The next piece."""
        if chunk.text:
            self._text.append(chunk.text)
        if chunk.reasoning:
            self._reasoning.append(chunk.reasoning)
        if chunk.refusal:
            self._refusal.append(chunk.refusal)
        if chunk.tool_call is not None:
            delta = chunk.tool_call
            call = self._calls.setdefault(delta.index, _Call())
            call.id = delta.id or call.id
            call.name = delta.name or call.name
            if delta.arguments:
                call.arguments.append(delta.arguments)
            if delta.opaque:
                call.opaque.update(delta.opaque)
        if chunk.opaque:
            self._opaque.update(chunk.opaque)
        if chunk.finish_reason is not None:
            self.finish_reason = chunk.finish_reason
        if chunk.usage is not None:
            self.usage = chunk.usage
        if chunk.id is not None:
            self.id = chunk.id
        if chunk.model is not None:
            self.model = chunk.model

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._text)

    def reply(self, flags: tuple[str, ...] = (), request_id: str | None = None) -> Reply:
        """What came, as an answer."""
        opaque: Mapping[str, JSON] = self._opaque
        reasoning = "".join(self._reasoning)
        calls = tuple(
            ToolCall(call.id, call.name, "".join(call.arguments), call.opaque)
            for _, call in sorted(self._calls.items())
        )
        return Reply(
            text=self.text,
            tool_calls=calls,
            finish_reason=self.finish_reason or "other",
            usage=self.usage,
            model=self.model,
            provider=self.provider,
            reasoning=(Reasoning(reasoning, opaque),) if reasoning or opaque else (),
            refusal="".join(self._refusal) or None,
            id=self.id,
            request_id=request_id,
            flags=flags,
        )
