"""An answer as the stream of Gemini: responses, the last with the finish reason and the token counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from resilient_ai.core.clock import Clock
from resilient_ai.messages import JSON, UNKNOWN_USAGE, Chunk, FinishReason, ToolCall, ToolCallDelta
from resilient_ai.models.wire.gemini.names import (
    SIGNATURE,
    TEXT_SIGNATURE,
    WRITTEN,
    needs_signatures,
    write_usage,
)
from resilient_ai.models.wire.gemini.parts import Fields, call_parts
from resilient_ai.models.wire.gemini.reply import frame
from resilient_ai.models.wire.identifiers import answer_id, call_id
from resilient_ai.models.wire.jsonbody import encode
from resilient_ai.models.wire.sse import sse_event


@final
@dataclass(slots=True)
class _Call:
    """A call that has begun."""

    id: str
    name: str
    arguments: list[str] = field(default_factory=list[str])
    opaque: dict[str, JSON] = field(default_factory=dict[str, JSON])


@final
class GeminiStreamEncoder:
    """The `StreamEncoder` of Gemini. One per answer.

    Calls are held back to the end: this format writes each whole. It cannot take text back: the mark `restarted` of a chunk is left out.
    """

    __slots__ = ("_calls", "_finish", "_id", "_include_usage", "_model", "_usage")

    def __init__(self, model: str, *, include_usage: bool, clock: Clock) -> None:
        self._model = model
        self._include_usage = include_usage
        self._id = answer_id("", clock)
        self._calls: dict[int, _Call] = {}
        self._usage = UNKNOWN_USAGE
        self._finish: FinishReason | None = None

    def start(self) -> bytes:
        """See `StreamEncoder`. Nothing stands before the first content."""
        return b""

    def chunk(self, chunk: Chunk) -> bytes:
        """See `StreamEncoder`."""
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.finish_reason is not None:
            self._finish = chunk.finish_reason
        parts: list[Fields] = []
        if chunk.reasoning:
            parts.append({"text": chunk.reasoning, "thought": True})
            if SIGNATURE in chunk.opaque:
                parts[-1][SIGNATURE] = chunk.opaque[SIGNATURE]
        text = chunk.text + chunk.refusal
        signature = chunk.opaque.get(TEXT_SIGNATURE)
        if text or signature is not None:
            parts.append({"text": text} if signature is None else {"text": text, SIGNATURE: signature})
        if chunk.tool_call is not None:
            self._keep(chunk.tool_call)
        return sse_event(encode(frame(self._id, self._model, parts))) if parts else b""

    def end(self) -> bytes:
        """See `StreamEncoder`."""
        calls = [
            ToolCall(call.id, call.name, "".join(call.arguments), call.opaque)
            for _, call in sorted(self._calls.items())
        ]
        parts = call_parts(calls, signed=needs_signatures(self._model), with_ids=True)
        body = frame(self._id, self._model, parts or [{"text": ""}], WRITTEN[self._finish or "stop"])
        usage = write_usage(self._usage)
        if self._include_usage and usage is not None:
            body["usageMetadata"] = usage
        return sse_event(encode(body))

    def _keep(self, delta: ToolCallDelta) -> None:
        call = self._calls.get(delta.index)
        if call is None:
            call = _Call(delta.id or call_id(self._id, delta.index), delta.name or "")
            self._calls[delta.index] = call
        call.arguments.append(delta.arguments)
        call.opaque.update(delta.opaque)
