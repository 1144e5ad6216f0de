"""An answer as the stream of Bedrock's Converse: frames for the message, each block, the reason and the counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, final

from resilient_ai.core.clock import Clock
from resilient_ai.messages import JSON, UNKNOWN_USAGE, Chunk, FinishReason, ToolCallDelta
from resilient_ai.models.wire.bedrock.frames import write_frame
from resilient_ai.models.wire.bedrock.names import REDACTED, SIGNATURE, write_reason, write_usage
from resilient_ai.models.wire.identifiers import answer_id, call_id
from resilient_ai.models.wire.jsonbody import encode

_Fields = dict[str, JSON]
_Kind = Literal["text", "thought"]

_CONTENT_TYPE: Final = "application/json"


@final
class BedrockStreamEncoder:
    """The `StreamEncoder` of Bedrock. One per answer.

    This format cannot take text back: the mark `restarted` of a chunk is left out.
    """

    __slots__ = ("_blocks", "_calls", "_finish", "_id", "_include_usage", "_kind", "_open", "_usage")

    def __init__(self, *, include_usage: bool, clock: Clock) -> None:
        self._id = answer_id("", clock)
        self._include_usage = include_usage
        self._blocks = 0
        self._open = 0  # the block being written, where `_kind` tells of one
        self._kind: _Kind | None = None
        self._calls: dict[int, int] = {}  # calls stay open to the end: their pieces may be mixed
        self._usage = UNKNOWN_USAGE
        self._finish: FinishReason | None = None

    def start(self) -> bytes:
        """See `StreamEncoder`."""
        return _event("messageStart", {"role": "assistant"})

    def chunk(self, chunk: Chunk) -> bytes:
        """See `StreamEncoder`."""
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.finish_reason is not None:
            self._finish = chunk.finish_reason
        out = b""
        if chunk.reasoning:
            out += self._write("thought", {"reasoningContent": {"text": chunk.reasoning}})
        if chunk.opaque:
            out += self._sign(chunk.opaque)
        text = chunk.text + chunk.refusal
        if text:
            out += self._write("text", {"text": text})
        if chunk.tool_call is not None:
            out += self._write_call(chunk.tool_call)
        return out

    def end(self) -> bytes:
        """See `StreamEncoder`."""
        out = b""
        if self._blocks == 0:
            out += self._write("text", {"text": ""})
        out += self._close()
        for index in self._calls.values():
            out += _event("contentBlockStop", {"contentBlockIndex": index})
        reason = self._finish or ("tool_calls" if self._calls else "stop")
        out += _event("messageStop", {"stopReason": write_reason(reason)})
        usage = write_usage(self._usage if self._include_usage else UNKNOWN_USAGE)
        return out + _event("metadata", {"usage": usage, "metrics": {"latencyMs": 0}})

    def _write(self, kind: _Kind, delta: _Fields) -> bytes:
        out = b""
        if self._kind != kind:
            out = self._close()
            self._kind, self._open = kind, self._blocks
            self._blocks += 1
        return out + _event("contentBlockDelta", {"contentBlockIndex": self._open, "delta": delta})

    def _close(self) -> bytes:
        kind, self._kind = self._kind, None
        return b"" if kind is None else _event("contentBlockStop", {"contentBlockIndex": self._open})

    def _sign(self, opaque: Mapping[str, JSON]) -> bytes:
        """Closes the thought that `opaque` belongs to; a state of another provider closes it without a proof."""
        out = b""
        if SIGNATURE in opaque:
            out = self._write("thought", {"reasoningContent": {"signature": opaque[SIGNATURE]}})
        elif REDACTED in opaque:
            out = self._close() + self._write(
                "thought", {"reasoningContent": {"redactedContent": opaque[REDACTED]}}
            )
        return out + self._close() if self._kind == "thought" else out

    def _write_call(self, delta: ToolCallDelta) -> bytes:
        out = b""
        index = self._calls.get(delta.index)
        if index is None:
            out += self._close()
            index = self._calls[delta.index] = self._blocks
            self._blocks += 1
            call: _Fields = {
                "toolUseId": delta.id or call_id(self._id, delta.index),
                "name": delta.name or "",
            }
            out += _event("contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": call}})
        if delta.arguments:
            piece: _Fields = {"toolUse": {"input": delta.arguments}}
            out += _event("contentBlockDelta", {"contentBlockIndex": index, "delta": piece})
        return out


def _event(name: str, fields: _Fields) -> bytes:
    headers = {":event-type": name, ":content-type": _CONTENT_TYPE, ":message-type": "event"}
    return write_frame(headers, encode(fields))
