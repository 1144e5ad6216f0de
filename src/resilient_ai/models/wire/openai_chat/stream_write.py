"""An answer as the stream of a chat completion.

In the order OpenAI's own client insists on: the role, the content, the finish reason, the token counts, `[DONE]`.
"""

from __future__ import annotations

from typing import Final, final

from resilient_ai.core.clock import Clock
from resilient_ai.messages import JSON, UNKNOWN_USAGE, Chunk, FinishReason, ToolCallDelta
from resilient_ai.models.wire.identifiers import answer_id
from resilient_ai.models.wire.jsonbody import encode
from resilient_ai.models.wire.openai_chat.names import REASONING_FIELDS, WRITTEN, write_usage
from resilient_ai.models.wire.sse import sse_event

_END: Final = b"data: [DONE]\n\n"


@final
class ChatStreamEncoder:
    """The `StreamEncoder` of chat completions. One per answer.

    It begins with the first content, whose kind decides what the opening says: `""` before a text, null before a call, as OpenAI has it. This
    format cannot take text back: the mark `restarted` of a chunk is left out.
    """

    __slots__ = ("_begun", "_called", "_clock", "_finish", "_frame", "_include_usage", "_usage")

    def __init__(self, model: str, *, include_usage: bool, clock: Clock) -> None:
        self._include_usage = include_usage
        self._usage = UNKNOWN_USAGE
        self._finish: FinishReason | None = None
        self._called: set[int] = set()
        self._begun = False
        self._clock = clock
        self._frame: dict[str, JSON] = {
            "id": None,
            "object": "chat.completion.chunk",
            "created": int(clock.wall()),
            "model": model,
        }

    def start(self) -> bytes:
        """See `StreamEncoder`. Nothing: what it says depends on the first content."""
        return b""

    def chunk(self, chunk: Chunk) -> bytes:
        """See `StreamEncoder`."""
        self._frame["id"] = self._frame["id"] or chunk.id
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.finish_reason is not None:
            self._finish = chunk.finish_reason
        delta: dict[str, JSON] = {}
        if chunk.text:
            delta["content"] = chunk.text
        if chunk.reasoning:
            delta[REASONING_FIELDS[0]] = chunk.reasoning
        if chunk.refusal:
            delta["refusal"] = chunk.refusal
        if chunk.tool_call is not None:
            delta["tool_calls"] = [self._call(chunk.tool_call)]
        if not delta:
            return b""
        return self._opening(said="tool_calls" not in delta) + self._event(delta)

    def end(self) -> bytes:
        """See `StreamEncoder`."""
        told = self._finish or ("tool_calls" if self._called else "stop")
        out = self._opening(said=True) + self._event({}, WRITTEN[told])
        usage = write_usage(self._usage)
        if self._include_usage and usage is not None:
            out += sse_event(encode({**self._frame, "choices": [], "usage": usage}))
        return out + _END

    def _opening(self, *, said: bool) -> bytes:
        """The first event; its identity holds for all that follow."""
        if self._begun:
            return b""
        self._begun = True
        self._frame["id"] = self._frame["id"] or answer_id("chatcmpl-", self._clock)
        return self._event({"role": "assistant", "content": "" if said else None})

    def _event(self, delta: dict[str, JSON], finish: str | None = None) -> bytes:
        choice: dict[str, JSON] = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse_event(encode({**self._frame, "choices": [choice]}))

    def _call(self, call: ToolCallDelta) -> dict[str, JSON]:
        """A piece of a call. Id, name and type stand in the first piece only."""
        if call.index in self._called:
            return {"index": call.index, "function": {"arguments": call.arguments}}
        self._called.add(call.index)
        return {
            "index": call.index,
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
