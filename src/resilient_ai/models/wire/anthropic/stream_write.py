"""An answer as the stream of Anthropic's messages.

In the order Anthropic's own client insists on: the message, each block with its beginning, its pieces and its end, the stop reason with the token
counts, the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, final

from resilient_ai.core.clock import Clock
from resilient_ai.messages import JSON, UNKNOWN_USAGE, Chunk, FinishReason, ToolCallDelta
from resilient_ai.models.wire.anthropic.names import REDACTED, SIGNATURE, WRITTEN, stop_details, write_usage
from resilient_ai.models.wire.arguments import object_of
from resilient_ai.models.wire.identifiers import answer_id, call_id
from resilient_ai.models.wire.jsonbody import encode
from resilient_ai.models.wire.sse import sse_event

_Fields = dict[str, JSON]


@final
@dataclass(slots=True)
class _Call:
    """A call that has begun, and its arguments so far."""

    index: int
    arguments: list[str] = field(default_factory=list[str])


@final
class MessagesStreamEncoder:
    """The `StreamEncoder` of Anthropic's messages. One per answer.

    A thought is held back until its signature comes, and left out without one: sent back to Anthropic, it would fail the next
    request. Arguments of a call are held back until they are whole, because the client refuses invalid JSON. This format cannot take text
    back: the mark `restarted` of a chunk is left out.
    """

    __slots__ = (
        "_begun",
        "_blocks",
        "_calls",
        "_clock",
        "_finish",
        "_id",
        "_include_usage",
        "_model",
        "_open",
        "_refusal",
        "_thought",
        "_usage",
    )

    def __init__(self, model: str, *, include_usage: bool, clock: Clock) -> None:
        self._model = model
        self._include_usage = include_usage
        self._begun = False
        self._clock = clock
        self._id = ""
        self._blocks = 0
        self._open: int | None = None  # the block of text being written
        self._calls: dict[int, _Call] = {}  # calls stay open to the end: their pieces may be mixed
        self._thought: list[str] = []
        self._refusal: list[str] = []
        self._usage = UNKNOWN_USAGE
        self._finish: FinishReason | None = None

    def start(self) -> bytes:
        """See `StreamEncoder`. Nothing: the message begins with the first chunk, which knows whose it is."""
        return b""

    def _opening(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        self._id = self._id or answer_id("msg_", self._clock)
        message: _Fields = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage(replace(self._usage, output_tokens=None)),
        }
        return _event("message_start", {"message": message})

    def chunk(self, chunk: Chunk) -> bytes:
        """See `StreamEncoder`."""
        self._id = self._id or chunk.id or ""
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.finish_reason is not None:
            self._finish = chunk.finish_reason
        out = self._opening() if chunk.has_content or chunk.opaque else b""
        if chunk.reasoning:
            self._thought.append(chunk.reasoning)
        if chunk.opaque:
            out += self._write_thought(chunk.opaque)
        if chunk.text:
            out += self._write_text(chunk.text)
        if chunk.refusal:
            self._refusal.append(chunk.refusal)
            out += self._write_text(chunk.refusal)
        if chunk.tool_call is not None:
            out += self._write_call(chunk.tool_call)
        return out

    def end(self) -> bytes:
        """See `StreamEncoder`."""
        out = self._opening()
        if self._blocks == 0:
            out += self._write_text("")  # an answer holds at least one block
        out += self._close()
        for call in self._calls.values():
            whole = encode(object_of("".join(call.arguments))).decode()
            out += _piece(call.index, {"type": "input_json_delta", "partial_json": whole})
            out += _event("content_block_stop", {"index": call.index})
        reason = self._finish or ("tool_calls" if self._calls else "stop")
        delta: _Fields = {
            "stop_reason": WRITTEN[reason],
            "stop_sequence": None,
            "stop_details": stop_details(reason, "".join(self._refusal) or None),
        }
        usage = write_usage(self._usage if self._include_usage else UNKNOWN_USAGE)
        return out + _event("message_delta", {"delta": delta, "usage": usage}) + _event("message_stop", {})

    def _begin(self, block: _Fields) -> tuple[int, bytes]:
        index = self._blocks
        self._blocks += 1
        return index, _event("content_block_start", {"index": index, "content_block": block})

    def _close(self) -> bytes:
        index, self._open = self._open, None
        return b"" if index is None else _event("content_block_stop", {"index": index})

    def _write_text(self, text: str) -> bytes:
        out = b""
        if self._open is None:
            self._open, out = self._begin({"type": "text", "text": ""})
        return out + _piece(self._open, {"type": "text_delta", "text": text}) if text else out

    def _write_thought(self, opaque: Mapping[str, JSON]) -> bytes:
        """The thought that `opaque` closes."""
        thought = "".join(self._thought)
        self._thought.clear()
        block: _Fields
        pieces: list[tuple[Literal["thinking_delta", "signature_delta"], str, JSON]] = []
        if REDACTED in opaque:
            block = {"type": "redacted_thinking", "data": opaque[REDACTED]}
        elif SIGNATURE in opaque:
            block = {"type": "thinking", "thinking": "", "signature": ""}
            if thought:
                pieces.append(("thinking_delta", "thinking", thought))
            pieces.append(("signature_delta", "signature", opaque[SIGNATURE]))
        else:
            return b""
        out = self._close()
        index, begun = self._begin(block)
        out += begun
        for kind, key, value in pieces:
            out += _piece(index, {"type": kind, key: value})
        return out + _event("content_block_stop", {"index": index})

    def _write_call(self, delta: ToolCallDelta) -> bytes:
        out = b""
        call = self._calls.get(delta.index)
        if call is None:
            block: _Fields = {
                "type": "tool_use",
                "id": delta.id or call_id(self._id, delta.index),
                "name": delta.name or "",
                "input": {},
            }
            out = self._close()
            index, begun = self._begin(block)
            out += begun
            call = self._calls[delta.index] = _Call(index)
        call.arguments.append(delta.arguments)
        return out


def _event(kind: str, fields: _Fields) -> bytes:
    return sse_event(encode({"type": kind, **fields}), name=kind)


def _piece(index: int, delta: _Fields) -> bytes:
    return _event("content_block_delta", {"index": index, "delta": delta})
