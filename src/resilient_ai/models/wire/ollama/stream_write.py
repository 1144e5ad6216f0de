"""An answer as the stream of Ollama: lines, the last with `done`, the reason and the token counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from resilient_ai.core.clock import Clock
from resilient_ai.messages import JSON, UNKNOWN_USAGE, Chunk, FinishReason, ToolCall, ToolCallDelta
from resilient_ai.models.wire.identifiers import answer_id, call_id
from resilient_ai.models.wire.jsonbody import JSONObject, encode
from resilient_ai.models.wire.ollama.names import write_reason, write_usage
from resilient_ai.models.wire.ollama.reply import line, written_call


@final
@dataclass(slots=True)
class _Call:
    """A call that has begun."""

    id: str
    name: str
    arguments: list[str] = field(default_factory=list[str])


@final
class OllamaStreamEncoder:
    """The `StreamEncoder` of Ollama. One per answer.

    Calls are held back to the end: this format writes each whole. It cannot take text back: the mark `restarted` of a chunk is left out.
    """

    __slots__ = ("_calls", "_clock", "_finish", "_id", "_include_usage", "_model", "_usage")

    def __init__(self, model: str, *, include_usage: bool, clock: Clock) -> None:
        self._model = model
        self._include_usage = include_usage
        self._clock = clock
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
        if chunk.tool_call is not None:
            self._keep(chunk.tool_call)
        text = chunk.text + chunk.refusal
        if not text and not chunk.reasoning:
            return b""
        message: JSONObject = {"role": "assistant", "content": text}
        if chunk.reasoning:
            message["thinking"] = chunk.reasoning
        return self._line(message)

    def end(self) -> bytes:
        """See `StreamEncoder`."""
        out = b""
        if self._calls:
            calls: list[JSON] = [
                written_call(ToolCall(call.id, call.name, "".join(call.arguments)))
                for _, call in sorted(self._calls.items())
            ]
            out = self._line({"role": "assistant", "content": "", "tool_calls": calls})
        last = line(self._model, self._clock, {"role": "assistant", "content": ""}, done=True)
        last["done_reason"] = write_reason(self._finish or "stop")
        if self._include_usage:
            last.update(write_usage(self._usage))
        return out + encode(last) + b"\n"

    def _line(self, message: JSONObject) -> bytes:
        return encode(line(self._model, self._clock, message, done=False)) + b"\n"

    def _keep(self, delta: ToolCallDelta) -> None:
        call = self._calls.get(delta.index)
        if call is None:
            call = _Call(delta.id or call_id(self._id, delta.index), delta.name or "")
            self._calls[delta.index] = call
        call.arguments.append(delta.arguments)
