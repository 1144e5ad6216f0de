"""The stream of Anthropic's messages, read event by event.

It is complete at `message_stop`. A stream that ended without it after it had said why the model stopped is complete as well:
every block was closed by then, and some servers leave the last event out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, final

from resilient_ai.messages import JSON, Chunk, ToolCallDelta
from resilient_ai.models.wire import Malformed, Truncated
from resilient_ai.models.wire.anthropic.names import (
    CALL_STATE_FIELDS,
    PARTS_LEFT_OUT,
    REDACTED,
    SIGNATURE,
    finish_reason,
    read_usage,
    refusal_text,
)
from resilient_ai.models.wire.arguments import text_of
from resilient_ai.models.wire.framing import MAX_EVENT_BYTES
from resilient_ai.models.wire.identifiers import call_id
from resilient_ai.models.wire.jsonbody import JSONObject
from resilient_ai.models.wire.reported import reported, reported_event
from resilient_ai.models.wire.shape import label, string
from resilient_ai.models.wire.sse import event_object

if TYPE_CHECKING:
    from resilient_ai.models.wire.recurring import RecurringEvent

_OWN_NAMES: Final = frozenset(
    (
        "",
        "message",
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    )
)


@final
@dataclass(slots=True)
class _Block:
    """A block that has begun. `call` is the place among the calls of the answer."""

    kind: Literal["text", "thought", "call", "other"]
    call: int = 0
    input: JSON = None
    pieces: bool = False
    signature: list[str] = field(default_factory=list[str])


@final
class MessagesReader:
    """The `TextReader` of Anthropic's messages."""

    __slots__ = (
        "_blocks",
        "_calls",
        "_finished",
        "_id",
        "_signed",
        "_started",
        "_usage",
        "complete",
        "flags",
        "plain",
        "shows",
    )

    def __init__(self) -> None:
        self.complete = self.shows = self.plain = False
        self.flags: list[str] = []
        self._started = False
        self._finished = False
        self._id = ""
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._signed = 0
        self._usage: JSONObject = {}

    def event(self, name: str, data: bytes, out: list[Chunk]) -> None:
        """See `EventReader`."""
        self.plain = False
        if not data or data.isspace():
            return
        try:
            event = event_object(data)
        except Malformed:
            if name in _OWN_NAMES:
                raise
            return  # an event of a name nobody knows may hold anything
        kind = event.get("type")
        if kind == "content_block_delta":
            self._piece(event, out)
        elif kind == "error" or name == "error" or event.get("error"):
            raise reported(event) or reported_event(event, event=event)
        elif kind == "message_start":
            self._start(event, out)
        elif kind == "content_block_start":
            self._begin(event, out)
        elif kind == "content_block_stop":
            self._end_block(event, out)
        elif kind == "message_delta":
            self._finish(event, out)
        elif kind == "message_stop":
            self._stop()

    def recurred(self, events: RecurringEvent) -> None:
        """See `TextReader`. Nothing is kept of a piece of text."""

    def ended(self) -> None:
        """See `EventReader`."""
        if not self._finished:
            raise Truncated("the stream ended before its last event")

    def _stop(self) -> None:
        if not self._started:
            raise Malformed("the stream holds no message")
        if not self._finished:
            raise Truncated("the stream never said why the model stopped")
        self.complete = True

    def _start(self, event: Mapping[str, JSON], out: list[Chunk]) -> None:
        message = event.get("message")
        if not isinstance(message, Mapping):
            raise Malformed("message_start holds no message")
        identity = label(message.get("id"))
        if self._started:
            if identity != self._id:
                raise Malformed("the id of the answer changed in the middle")
            return
        self._started = True
        self._id = identity
        self._count(message.get("usage"))
        usage = read_usage(self._usage, self.flags) if self._usage else None
        out.append(Chunk(usage=usage, model=label(message.get("model")) or None, id=identity or None))

    def _begin(self, event: Mapping[str, JSON], out: list[Chunk]) -> None:
        index = _index(event)
        told = event.get("content_block")
        if not self._started:
            raise Malformed("content came before the message began")
        if not isinstance(told, Mapping) or not isinstance(told.get("type"), str):
            raise Malformed("a block of the content has no type")
        if index in self._blocks:
            return  # a proxy that sends its events twice
        block = _Block("other")
        self._blocks[index] = block
        match told["type"]:
            case "text":
                block.kind = "text"
                text = string(told.get("text"), "content_block.text")
                if text:
                    out.append(Chunk(text))
            case "thinking":
                block.kind = "thought"
                self._sign(block, told.get(SIGNATURE))
                thought = string(told.get("thinking"), "content_block.thinking")
                if thought:
                    out.append(Chunk(reasoning=thought))
            case "redacted_thinking":
                out.append(Chunk(opaque={REDACTED: told.get("data")}))
            case "tool_use":
                self._begin_call(block, told, out)
            case _:
                if PARTS_LEFT_OUT not in self.flags:
                    self.flags.append(PARTS_LEFT_OUT)

    def _begin_call(self, block: _Block, told: Mapping[str, JSON], out: list[Chunk]) -> None:
        block.kind = "call"
        block.call = self._calls
        block.input = told.get("input")
        self._calls += 1
        name = string(told.get("name"), "content_block.name")
        identity = string(told.get("id"), "content_block.id") or call_id(self._id or None, block.call, name)
        opaque = {key: told[key] for key in CALL_STATE_FIELDS if told.get(key) is not None}
        out.append(Chunk(tool_call=ToolCallDelta(block.call, identity, name, "", opaque)))

    def _piece(self, event: Mapping[str, JSON], out: list[Chunk]) -> None:
        delta = event.get("delta")
        if not isinstance(delta, dict):
            raise Malformed("content_block_delta holds no delta")
        block = self._blocks.get(_index(event))
        if block is None:
            raise Malformed("a piece belongs to no block")
        kind = delta.get("type")
        if kind == "text_delta":
            text = string(delta.get("text"), "delta.text")
            if text:
                out.append(Chunk(text))
                self.plain = True
        elif kind == "thinking_delta":
            thought = string(delta.get("thinking"), "delta.thinking")
            if thought:
                out.append(Chunk(reasoning=thought))
        elif kind == "input_json_delta":
            self._arguments(block, string(delta.get("partial_json"), "delta.partial_json"), out)
        elif kind == "signature_delta":
            self._sign(block, delta.get(SIGNATURE))
        elif not isinstance(kind, str):
            raise Malformed("a piece has no type")

    def _sign(self, block: _Block, told: JSON) -> None:
        """Keeps a piece of a signature, all of which together are bounded."""
        piece = string(told, "signature")
        self._signed += len(piece)
        if self._signed > MAX_EVENT_BYTES:
            raise Malformed("the signatures of the stream are longer than the limit")
        block.signature.append(piece)

    def _arguments(self, block: _Block, text: str, out: list[Chunk]) -> None:
        if block.kind == "call" and text:
            block.pieces = True
            out.append(Chunk(tool_call=ToolCallDelta(block.call, arguments=text)))

    def _end_block(self, event: Mapping[str, JSON], out: list[Chunk]) -> None:
        block = self._blocks.get(_index(event))
        if block is not None:  # the end of a block that had not begun ends nothing, and nothing is missing
            self._close(block, out)

    def _close(self, block: _Block, out: list[Chunk]) -> None:
        if block.kind == "call" and not block.pieces:
            block.pieces = True
            arguments = text_of(block.input, "content_block.input")
            out.append(Chunk(tool_call=ToolCallDelta(block.call, arguments=arguments)))
        signature = "".join(block.signature)
        if block.kind == "thought" and signature:
            block.signature.clear()
            out.append(Chunk(opaque={SIGNATURE: signature}))

    def _finish(self, event: Mapping[str, JSON], out: list[Chunk]) -> None:
        delta = event.get("delta")
        if not isinstance(delta, Mapping):
            raise Malformed("message_delta holds no delta")
        if not self._started:
            raise Malformed("the message ended before it began")
        self._count(event.get("usage"))
        usage = read_usage(self._usage, self.flags) if self._usage else None
        if self._finished:
            if usage is not None:
                out.append(Chunk(usage=usage))
            return
        self._finished = True
        for block in self._blocks.values():
            self._close(block, out)  # a few servers leave the ends of blocks out
        told = string(delta.get("stop_reason"), "stop_reason")
        out.append(
            Chunk(
                refusal=refusal_text(delta.get("stop_details")) or "",
                finish_reason=finish_reason(told, self.flags, called=self._calls > 0),
                usage=usage,
            )
        )

    def _count(self, told: JSON) -> None:
        """Counts are cumulative: what an event tells replaces what came before, what it leaves out stands."""
        if isinstance(told, Mapping):
            self._usage.update((key, value) for key, value in told.items() if value is not None)


def _index(event: Mapping[str, JSON]) -> int:
    index = event.get("index")
    if isinstance(index, int):
        return index
    raise Malformed("the index of a block is not a number")
