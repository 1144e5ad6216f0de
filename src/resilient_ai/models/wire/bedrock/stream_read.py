"""The stream of Bedrock's Converse, read frame by frame.

It is complete at `metadata`, which holds the token counts. One that ended without it after `messageStop` is whole as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, final

from resilient_ai.messages import JSON, UNKNOWN_USAGE, Chunk, Reply, ToolCallDelta
from resilient_ai.models.wire import Malformed, ReportedError, Truncated, WireError
from resilient_ai.models.wire.bedrock.frames import Frame, FrameParser
from resilient_ai.models.wire.bedrock.names import (
    PARTS_LEFT_OUT,
    READABLE,
    REDACTED,
    SIGNATURE,
    STATUSES,
    finish_reason,
    read_usage,
)
from resilient_ai.models.wire.framing import MAX_EVENT_BYTES
from resilient_ai.models.wire.identifiers import call_id
from resilient_ai.models.wire.jsonbody import decode_object, encode
from resilient_ai.models.wire.shape import mapping, string
from resilient_ai.models.wire.whole import WholeBody


@final
@dataclass(slots=True)
class _Block:
    """A block that has begun. `call` is the place among the calls of the answer; `state` is what will close a thought."""

    kind: Literal["text", "thought", "call", "other"]
    call: int = 0
    pieces: bool = False
    signature: str = ""


@final
class BedrockDecoder:
    """The `StreamDecoder` of Bedrock.

    Args:
        decode_reply: Reads a whole body that the server sent although a stream was asked for.
    """

    __slots__ = (
        "_blocks", "_body", "_calls", "_decode_reply", "_finished", "_flags", "_out", "_parser", "_signed", "_started", "complete",
    )  # fmt: skip

    recurring = None
    """Every record is read in full."""

    def __init__(self, decode_reply: Callable[[bytes], Reply]) -> None:
        self.complete = False
        self._decode_reply = decode_reply
        self._parser = FrameParser()
        self._body: WholeBody | None = None
        self._out: list[Chunk] = []
        self._flags: list[str] = []
        self._started = False
        self._finished = False
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._signed = 0

    @property
    def flags(self) -> tuple[str, ...]:
        """Oddities seen so far that are no failures."""
        return tuple(self._flags)

    def pass_on(self) -> None:
        """See `StreamDecoder`. There is nothing here that a chunk cannot hold, and AWS bounds its frames itself."""

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks in `data`. See `StreamDecoder`."""
        if self.complete:
            return []
        if self._body is None and not self._started and not self._parser.cut and data and data[0] != 0:
            # A frame begins with its length, which is far below 2**24.
            self._body = WholeBody(self._decode_reply)
        if self._body is not None:
            self._body.add(data)
            return []
        for frame in self._parser.feed(data):
            self._started = True
            try:
                if self._take(frame):
                    break
            except WireError as error:
                error.record = frame.whole
                raise
        return self.take()

    def take(self) -> list[Chunk]:
        """Chunks read before a fault. See `StreamDecoder`."""
        out, self._out = self._out, []
        return out

    def end(self) -> list[Chunk]:
        """The stream ended. See `StreamDecoder`."""
        if self._body is not None and not self.complete:
            self._body.read(self._out, self._flags)
            self._finished = True
        if not self._finished:
            raise Truncated("the stream ended before its last event")
        self.complete = True
        return self.take()

    def _take(self, frame: Frame) -> bool:
        """Takes one frame; True if it is the last."""
        kind = frame.headers.get(":message-type", "event")
        if kind == "exception":
            raise _reported(frame.headers.get(":exception-type", ""), frame.payload)
        if kind == "error":
            raise ReportedError(
                "the provider reported an error in its stream",
                body=encode(
                    {
                        "message": frame.headers.get(":error-message", ""),
                        "code": frame.headers.get(":error-code", ""),
                    }
                ),
                status=500,
            )
        name = frame.headers.get(":event-type", "")
        reads = _EVENTS.get(name)
        if reads is None:
            return False  # of a kind nobody knows
        try:
            event = decode_object(frame.payload)
        except Truncated:
            raise Malformed("the JSON of an event ends in the middle") from None
        reads(self, event)
        return self.complete

    def _begin_message(self, event: Mapping[str, JSON]) -> None:
        string(event.get("role"), "messageStart.role")

    def _begin_block(self, event: Mapping[str, JSON]) -> None:
        index = _index(event)
        if index in self._blocks:
            return  # a proxy that sends its frames twice
        start = mapping(event.get("start"), "contentBlockStart.start")
        fields = start.get("toolUse")
        if not isinstance(fields, Mapping) or fields.get("type") is not None:
            self._blocks[index] = _Block("other")
            self._leave_out()
            return
        block = self._blocks[index] = _Block("call", self._calls)
        self._calls += 1
        name = string(fields.get("name"), "toolUse.name")
        identity = string(fields.get("toolUseId"), "toolUse.toolUseId") or call_id(block.call, name)
        self._out.append(Chunk(tool_call=ToolCallDelta(block.call, identity, name)))

    def _piece(self, event: Mapping[str, JSON]) -> None:
        delta = event.get("delta")
        if not isinstance(delta, Mapping) or not delta:
            raise Malformed("contentBlockDelta holds no delta")
        index = _index(event)
        if "text" in delta:
            self._blocks.setdefault(index, _Block("text"))
            text = string(delta["text"], "delta.text")
            if text:
                self._out.append(Chunk(text))
        elif "toolUse" in delta:
            self._arguments(self._blocks.get(index), mapping(delta["toolUse"], "delta.toolUse"))
        elif "reasoningContent" in delta:
            block = self._blocks.setdefault(index, _Block("thought"))
            self._thought(block, mapping(delta["reasoningContent"], "delta.reasoningContent"))
        elif "citation" not in delta:
            self._leave_out()

    def _arguments(self, block: _Block | None, fields: Mapping[str, JSON]) -> None:
        if block is None:
            raise Malformed("a piece belongs to no block")
        text = string(fields.get("input"), "delta.toolUse.input")
        if block.kind == "call" and text:
            block.pieces = True
            self._out.append(Chunk(tool_call=ToolCallDelta(block.call, arguments=text)))

    def _thought(self, block: _Block, fields: Mapping[str, JSON]) -> None:
        text = string(fields.get("text"), "reasoningContent.text")
        if text:
            block.pieces = True
            self._out.append(Chunk(reasoning=text))
        signature = string(fields.get("signature"), "reasoningContent.signature")
        redacted = fields.get("redactedContent")
        self._signed += len(signature)
        if self._signed > MAX_EVENT_BYTES:
            raise Malformed("the signatures of the stream are longer than the limit")
        block.signature += signature
        if redacted is not None:
            block.pieces = False
            self._out.append(Chunk(opaque={REDACTED: redacted}))

    def _end_block(self, event: Mapping[str, JSON]) -> None:
        block = self._blocks.get(_index(event))
        if block is not None:  # an empty block of text may end without a piece
            self._close(block)

    def _close(self, block: _Block) -> None:
        if block.kind == "call" and not block.pieces:
            block.pieces = True
            self._out.append(Chunk(tool_call=ToolCallDelta(block.call, arguments="{}")))
        if block.kind == "thought" and (block.pieces or block.signature):
            self._out.append(
                Chunk(opaque={SIGNATURE: block.signature} if block.signature else {READABLE: True})
            )
            block.pieces, block.signature = False, ""

    def _stop(self, event: Mapping[str, JSON]) -> None:
        if self._finished:
            return
        for block in self._blocks.values():
            self._close(block)
        reason = finish_reason(
            string(event.get("stopReason"), "stopReason"), self._flags, called=self._calls > 0
        )
        self._finished = True
        self._out.append(Chunk(finish_reason=reason))

    def _tell(self, event: Mapping[str, JSON]) -> None:
        if not self._finished:
            raise Truncated("the stream never said why the model stopped")
        usage = read_usage(event.get("usage"), self._flags)
        if usage != UNKNOWN_USAGE:
            self._out.append(Chunk(usage=usage))
        self.complete = True

    def _leave_out(self) -> None:
        if PARTS_LEFT_OUT not in self._flags:
            self._flags.append(PARTS_LEFT_OUT)


_EVENTS: Mapping[str, Callable[[BedrockDecoder, Mapping[str, JSON]], None]] = {
    "messageStart": BedrockDecoder._begin_message,  # noqa: SLF001 - the class's own table
    "contentBlockStart": BedrockDecoder._begin_block,  # noqa: SLF001 - as above
    "contentBlockDelta": BedrockDecoder._piece,  # noqa: SLF001 - as above
    "contentBlockStop": BedrockDecoder._end_block,  # noqa: SLF001 - as above
    "messageStop": BedrockDecoder._stop,  # noqa: SLF001 - as above
    "metadata": BedrockDecoder._tell,  # noqa: SLF001 - as above
}


def _reported(name: str, payload: bytes) -> ReportedError:
    """The error of an exception frame, put into the shape of an error body."""
    try:
        fields = decode_object(payload)
    except (Malformed, Truncated):
        fields = {}
    status = fields.get("originalStatusCode")
    told = status if isinstance(status, int) and 400 <= status <= 599 else STATUSES.get(name)
    body = encode({**fields, "message": fields.get("message") or name, "code": name[:1].upper() + name[1:]})
    return ReportedError("the provider reported an error in its stream", body=body, status=told)


def _index(event: Mapping[str, JSON]) -> int:
    index = event.get("contentBlockIndex")
    if isinstance(index, int):
        return index
    raise Malformed("the index of a block is not a number")
