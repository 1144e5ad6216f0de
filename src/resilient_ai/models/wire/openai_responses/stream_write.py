"""An answer as the stream of a response.

In the order OpenAI's own client insists on: created, in progress; for each item its beginning, its parts, their pieces, their ends, its end;
completed, with the whole answer once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, final

from resilient_ai.core.clock import Clock
from resilient_ai.messages import JSON, UNKNOWN_USAGE, Chunk, FinishReason, ToolCallDelta
from resilient_ai.models.wire.identifiers import answer_id, call_id
from resilient_ai.models.wire.jsonbody import encode
from resilient_ai.models.wire.openai_responses.items import (
    call_item,
    frame,
    message_item,
    reasoning_item,
    refusal_part,
    text_part,
)
from resilient_ai.models.wire.openai_responses.names import write_status, write_usage
from resilient_ai.models.wire.sse import sse_event

_Fields = dict[str, JSON]
_Kind = Literal["text", "refusal", "reasoning"]


@final
@dataclass(slots=True)
class _Call:
    """A function call that has begun."""

    id: str
    index: int
    call: str
    name: str
    arguments: list[str] = field(default_factory=list[str])


@final
@dataclass(slots=True)
class _Item:
    """A message or a reasoning that has begun; it holds one part of one kind."""

    kind: _Kind
    id: str
    index: int
    text: list[str] = field(default_factory=list[str])

    def place(self) -> _Fields:
        """Where a piece belongs, as its events say it."""
        part = "summary_index" if self.kind == "reasoning" else "content_index"
        return {"item_id": self.id, "output_index": self.index, part: 0}

    def part(self) -> _Fields:
        """The part as far as it was written."""
        text = "".join(self.text)
        match self.kind:
            case "text":
                return text_part(text)
            case "refusal":
                return refusal_part(text)
            case "reasoning":
                return {"type": "summary_text", "text": text}

    def body(self, status: str) -> _Fields:
        """The item as far as it was written."""
        text = "".join(self.text)
        match self.kind:
            case "text":
                return message_item(self.id, text, None, status=status)
            case "refusal":
                return message_item(self.id, "", text or None, status=status)
            case "reasoning":
                return reasoning_item(self.id, text)


@final
class ResponsesStreamEncoder:
    """The `StreamEncoder` of responses. One per answer.

    This format cannot take text back: the mark `restarted` of a chunk is left out.
    """

    __slots__ = (
        "_begun",
        "_calls",
        "_clock",
        "_created",
        "_finish",
        "_id",
        "_include_usage",
        "_items",
        "_model",
        "_number",
        "_open",
        "_output",
        "_usage",
    )

    def __init__(self, model: str, *, include_usage: bool, clock: Clock) -> None:
        self._model = model
        self._include_usage = include_usage
        self._created = int(clock.wall())
        self._begun = False
        self._clock = clock
        self._id = ""
        self._number = 0
        self._items = 0
        self._open: _Item | None = None  # the message or the reasoning being written
        self._calls: dict[int, _Call] = {}  # calls stay open to the end: their pieces may be mixed
        self._output: dict[int, JSON] = {}
        self._usage = UNKNOWN_USAGE
        self._finish: FinishReason | None = None

    def start(self) -> bytes:
        """See `StreamEncoder`. Nothing: the response begins with the first chunk, which knows whose it is."""
        return b""

    def _opening(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        self._id = self._id or answer_id("resp_", self._clock)
        response = frame(self._id, self._model, self._created, status="in_progress")
        return self._event("response.created", {"response": response}) + self._event(
            "response.in_progress", {"response": response}
        )

    def chunk(self, chunk: Chunk) -> bytes:
        """See `StreamEncoder`."""
        self._id = self._id or chunk.id or ""
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.finish_reason is not None:
            self._finish = chunk.finish_reason
        out = self._opening() if chunk.has_content else b""
        if chunk.reasoning:
            out += self._write("reasoning", chunk.reasoning)
        if chunk.text:
            out += self._write("text", chunk.text)
        if chunk.refusal:
            out += self._write("refusal", chunk.refusal)
        if chunk.tool_call is not None:
            out += self._write_call(chunk.tool_call)
        return out

    def end(self) -> bytes:
        """See `StreamEncoder`."""
        out = self._opening()
        status, details = write_status(self._finish or "stop")
        if self._items == 0:
            out += self._begin("text")  # an answer holds at least one item
        out += self._close(status)
        for call in self._calls.values():
            out += self._close_call(call)
        response = frame(
            self._id,
            self._model,
            self._created,
            status=status,
            incomplete_details=details,
            output=[item for _, item in sorted(self._output.items())],
            usage=write_usage(self._usage) if self._include_usage else None,
        )
        return out + self._event(f"response.{status}", {"response": response})

    def _event(self, kind: str, fields: _Fields) -> bytes:
        event: _Fields = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return sse_event(encode(event), name=kind)

    def _write(self, kind: _Kind, delta: str) -> bytes:
        out = b""
        if self._open is None or self._open.kind != kind:
            out += self._close("completed") + self._begin(kind)
        item = self._open
        assert item is not None  # noqa: S101 - begun above
        item.text.append(delta)
        fields: _Fields = {**item.place(), "delta": delta}
        if kind == "text":
            fields["logprobs"] = []
        return out + self._event(f"{_PIECE[kind]}.delta", fields)

    def _begin(self, kind: _Kind) -> bytes:
        prefix = "rs" if kind == "reasoning" else "msg"
        item = _Item(kind, f"{prefix}_{self._id}_{self._items}", self._items)
        self._items += 1
        self._open = item
        body = item.body("in_progress")
        if kind != "reasoning":
            body["content"] = []
        return self._event(
            "response.output_item.added", {"output_index": item.index, "item": body}
        ) + self._event(f"{_PART[kind]}.added", {**item.place(), "part": item.part()})

    def _close(self, status: str) -> bytes:
        item = self._open
        if item is None:
            return b""
        self._open = None
        whole: _Fields = {**item.place(), "refusal" if item.kind == "refusal" else "text": "".join(item.text)}
        if item.kind == "text":
            whole["logprobs"] = []
        return (
            self._event(f"{_PIECE[item.kind]}.done", whole)
            + self._event(f"{_PART[item.kind]}.done", {**item.place(), "part": item.part()})
            + self._done(item.index, item.body(status))
        )

    def _done(self, index: int, body: _Fields) -> bytes:
        self._output[index] = body
        return self._event("response.output_item.done", {"output_index": index, "item": body})

    def _write_call(self, delta: ToolCallDelta) -> bytes:
        out = b""
        call = self._calls.get(delta.index)
        if call is None:
            out += self._close("completed")
            call = _Call(
                f"fc_{self._id}_{self._items}",
                self._items,
                delta.id or call_id(self._id, delta.index),
                delta.name or "",
            )
            self._items += 1
            self._calls[delta.index] = call
            body = call_item(call.id, call.call, call.name, "", status="in_progress")
            out += self._event("response.output_item.added", {"output_index": call.index, "item": body})
        if delta.arguments:
            call.arguments.append(delta.arguments)
            out += self._event(
                "response.function_call_arguments.delta",
                {"item_id": call.id, "output_index": call.index, "delta": delta.arguments},
            )
        return out

    def _close_call(self, call: _Call) -> bytes:
        arguments = "".join(call.arguments)
        return self._event(
            "response.function_call_arguments.done",
            {"item_id": call.id, "output_index": call.index, "name": call.name, "arguments": arguments},
        ) + self._done(call.index, call_item(call.id, call.call, call.name, arguments, status="completed"))


_PIECE: Final[Mapping[_Kind, str]] = {
    "text": "response.output_text",
    "refusal": "response.refusal",
    "reasoning": "response.reasoning_summary_text",
}
_PART: Final[Mapping[_Kind, str]] = {
    "text": "response.content_part",
    "refusal": "response.content_part",
    "reasoning": "response.reasoning_summary_part",
}
