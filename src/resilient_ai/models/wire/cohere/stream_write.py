"""An answer as the stream of Cohere's chat: the message, its blocks and calls, each with a beginning and an end, the reason with the counts."""

from __future__ import annotations

from typing import Final, Literal, final

from resilient_ai.core.clock import Clock
from resilient_ai.messages import JSON, UNKNOWN_USAGE, Chunk, FinishReason, ToolCallDelta
from resilient_ai.models.wire.cohere.names import TOOL_PLAN, write_reason, write_usage
from resilient_ai.models.wire.identifiers import answer_id, call_id
from resilient_ai.models.wire.jsonbody import encode
from resilient_ai.models.wire.sse import sse_event

_Fields = dict[str, JSON]
_Kind = Literal["text", "thinking"]

_DONE: Final = b"data: [DONE]\n\n"


@final
class CohereStreamEncoder:
    """The `StreamEncoder` of Cohere's chat. One per answer.

    A thought is written as it comes, as a block of the content, before it is known whether it will turn out to be a plan. This format cannot
    take text back: the mark `restarted` of a chunk is left out.
    """

    __slots__ = ("_calls", "_finish", "_id", "_include_usage", "_index", "_open", "_usage")

    def __init__(self, *, include_usage: bool, clock: Clock) -> None:
        self._include_usage = include_usage
        self._id = answer_id("", clock)
        self._index = -1
        self._open: _Kind | None = None  # the block being written
        self._calls: set[int] = set()
        self._usage = UNKNOWN_USAGE
        self._finish: FinishReason | None = None

    def start(self) -> bytes:
        """See `StreamEncoder`."""
        message: _Fields = {
            "role": "assistant",
            "content": [],
            "tool_plan": "",
            "tool_calls": [],
            "citations": [],
        }
        return _event("message-start", {"id": self._id, "delta": {"message": message}})

    def chunk(self, chunk: Chunk) -> bytes:
        """See `StreamEncoder`."""
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.finish_reason is not None:
            self._finish = chunk.finish_reason
        out = b""
        if chunk.reasoning and TOOL_PLAN in chunk.opaque:
            out += _event("tool-plan-delta", {"delta": {"message": {"tool_plan": chunk.reasoning}}})
        elif chunk.reasoning:
            out += self._write("thinking", chunk.reasoning)
        text = chunk.text + chunk.refusal
        if text:
            out += self._write("text", text)
        if chunk.tool_call is not None:
            out += self._write_call(chunk.tool_call)
        return out

    def end(self) -> bytes:
        """See `StreamEncoder`."""
        out = b""
        if self._index < 0 and not self._calls:
            out += self._begin("text")
        out += self._close()
        for index in sorted(self._calls):
            out += _event("tool-call-end", {"index": index})
        reason = self._finish or ("tool_calls" if self._calls else "stop")
        delta: _Fields = {"finish_reason": write_reason(reason)}
        usage = write_usage(self._usage) if self._include_usage else None
        if usage is not None:
            delta["usage"] = usage
        return out + _event("message-end", {"id": self._id, "delta": delta}) + _DONE

    def _write(self, kind: _Kind, text: str) -> bytes:
        out = b""
        if self._open != kind:
            out = self._close() + self._begin(kind)
        return out + _event(
            "content-delta", {"index": self._index, "delta": {"message": {"content": {kind: text}}}}
        )

    def _begin(self, kind: _Kind) -> bytes:
        self._index += 1
        self._open = kind
        content: _Fields = {"type": kind, kind: ""}
        return _event("content-start", {"index": self._index, "delta": {"message": {"content": content}}})

    def _close(self) -> bytes:
        kind, self._open = self._open, None
        return b"" if kind is None else _event("content-end", {"index": self._index})

    def _write_call(self, delta: ToolCallDelta) -> bytes:
        out = self._close()
        if delta.index not in self._calls:
            self._calls.add(delta.index)
            call: _Fields = {
                "id": delta.id or call_id(self._id, delta.index),
                "type": "function",
                "function": {"name": delta.name or "", "arguments": ""},
            }
            out += _event(
                "tool-call-start", {"index": delta.index, "delta": {"message": {"tool_calls": call}}}
            )
        if delta.arguments:
            piece: _Fields = {"function": {"arguments": delta.arguments}}
            out += _event(
                "tool-call-delta", {"index": delta.index, "delta": {"message": {"tool_calls": piece}}}
            )
        return out


def _event(kind: str, fields: _Fields) -> bytes:
    return sse_event(encode({"type": kind, **fields}), name=kind)
