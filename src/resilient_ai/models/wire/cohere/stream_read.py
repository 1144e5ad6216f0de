"""The stream of Cohere's chat, read event by event. It is complete at `message-end`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

from resilient_ai.messages import JSON, UNKNOWN_USAGE, Chunk, ToolCallDelta
from resilient_ai.models.wire import Malformed, Truncated
from resilient_ai.models.wire.cohere.names import (
    PARTS_LEFT_OUT,
    THINKING,
    TOOL_PLAN,
    failure,
    finish_reason,
    read_usage,
)
from resilient_ai.models.wire.identifiers import call_id
from resilient_ai.models.wire.reported import reported, reported_event, reported_without_answer
from resilient_ai.models.wire.shape import arguments_text, label, mapping, string
from resilient_ai.models.wire.sse import event_object

_OWN_NAMES: Final = frozenset(
    (
        "",
        "message",
        "message-start",
        "content-start",
        "content-delta",
        "content-end",
        "tool-plan-delta",
        "tool-call-start",
        "tool-call-delta",
        "tool-call-end",
        "citation-start",
        "citation-end",
        "message-end",
        "error",
    )
)


@final
class CohereReader:
    """The `EventReader` of Cohere's chat."""

    __slots__ = ("_calls", "_id", "_started", "_thought", "complete", "flags", "shows")

    def __init__(self) -> None:
        self.complete = self.shows = False
        self.flags: list[str] = []
        self._started = False
        self._id = ""
        self._thought = ""  # of which kind the thought is that nothing closed yet
        self._calls: dict[int, int] = {}  # index on the wire -> place among the calls

    def event(self, name: str, data: bytes, out: list[Chunk]) -> None:
        """See `EventReader`."""
        if not data or data.isspace():
            return
        if data.strip() == b"[DONE]":
            raise Truncated("the stream closed before its last event")
        try:
            event = event_object(data)
        except Malformed:
            if name in _OWN_NAMES:
                raise
            return  # an event of a name nobody knows may hold anything
        kind = event.get("type")
        if kind == "error" or name == "error" or event.get("error"):
            raise reported(event) or reported_event(event, event=event)
        if not isinstance(kind, str):
            raise reported_without_answer(event) or Malformed("an event has no type")
        self._take(kind, event, out)

    def ended(self) -> None:
        """See `EventReader`."""
        raise Truncated("the stream ended before its last event")

    def _take(self, kind: str, event: Mapping[str, JSON], out: list[Chunk]) -> None:
        if kind == "message-start":
            self._start(event, out)
        elif kind not in _OWN_NAMES:
            return
        elif not self._started:
            raise Malformed("content came before the message began")
        elif kind in ("content-start", "content-delta"):
            self._content(event, out)
        elif kind == "content-end":
            self._close_thought(out)
        elif kind == "tool-plan-delta":
            self._think(TOOL_PLAN, string(_message(event).get("tool_plan"), "delta.message.tool_plan"), out)
        elif kind == "tool-call-start":
            self._begin_call(event, out)
        elif kind == "tool-call-delta":
            self._piece_of_call(event, out)
        elif kind == "message-end":
            self._end(event, out)

    def _start(self, event: Mapping[str, JSON], out: list[Chunk]) -> None:
        identity = label(event.get("id"))
        if self._started and identity != self._id:
            raise Malformed("two answers are mixed in one stream")
        self._started = True
        self._id = identity
        if identity:
            out.append(Chunk(id=identity))

    def _content(self, event: Mapping[str, JSON], out: list[Chunk]) -> None:
        content = _message(event).get("content")
        if not isinstance(content, Mapping):
            raise Malformed("a piece holds no content")
        thought = string(content.get("thinking"), "delta.message.content.thinking")
        text = string(content.get("text"), "delta.message.content.text")
        if content.get("type") not in (None, "text", "thinking") and PARTS_LEFT_OUT not in self.flags:
            self.flags.append(PARTS_LEFT_OUT)
        self._think(THINKING, thought, out)
        if text:
            self._close_thought(out)
            out.append(Chunk(text))

    def _think(self, kind: str, thought: str, out: list[Chunk]) -> None:
        if thought:
            if self._thought != kind:
                self._close_thought(out)
            self._thought = kind
            out.append(Chunk(reasoning=thought))

    def _close_thought(self, out: list[Chunk]) -> None:
        kind, self._thought = self._thought, ""
        if kind:
            out.append(Chunk(opaque={kind: True}))

    def _begin_call(self, event: Mapping[str, JSON], out: list[Chunk]) -> None:
        index = _index(event)
        if index in self._calls:
            return  # a proxy that sends its events twice
        self._close_thought(out)
        place = self._calls[index] = len(self._calls)
        told = _call(event)
        function = mapping(told.get("function"), "tool_calls.function")
        name = string(function.get("name"), "tool_calls.function.name")
        identity = string(told.get("id"), "tool_calls.id") or call_id(self._id or None, place, name)
        begun = arguments_text(function.get("arguments"), "tool_calls.function.arguments")
        out.append(Chunk(tool_call=ToolCallDelta(place, identity, name, begun)))

    def _piece_of_call(self, event: Mapping[str, JSON], out: list[Chunk]) -> None:
        place = self._calls.get(_index(event))
        if place is None:
            raise Malformed("a piece belongs to no call")
        function = mapping(_call(event).get("function"), "tool_calls.function")
        text = string(function.get("arguments"), "tool_calls.function.arguments")
        if text:
            out.append(Chunk(tool_call=ToolCallDelta(place, arguments=text)))

    def _end(self, event: Mapping[str, JSON], out: list[Chunk]) -> None:
        delta = event.get("delta")
        if not isinstance(delta, Mapping):
            raise Malformed("message-end holds no delta")
        told = string(delta.get("finish_reason"), "delta.finish_reason")
        self._close_thought(out)
        usage = read_usage(delta.get("usage"), self.flags)
        known = None if usage == UNKNOWN_USAGE else usage
        failed = failure(told, delta.get("error"))
        if failed is not None:
            if known is not None:
                out.append(Chunk(usage=known))
            raise failed
        reason = finish_reason(told, self.flags, called=bool(self._calls))
        out.append(Chunk(finish_reason=reason, usage=known))
        self.complete = True


def _message(event: Mapping[str, JSON]) -> Mapping[str, JSON]:
    delta = event.get("delta")
    message = delta.get("message") if isinstance(delta, Mapping) else None
    if not isinstance(message, Mapping):
        raise Malformed("an event holds no piece of the message")
    return message


def _call(event: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """The one call an event is about, which stands there as an object."""
    call = _message(event).get("tool_calls")
    if not isinstance(call, Mapping):
        raise Malformed("an event of a call holds none")
    return call


def _index(event: Mapping[str, JSON]) -> int:
    index = event.get("index")
    if index is None:
        return 0
    if isinstance(index, int):
        return index
    raise Malformed("the index of a call is not a number")
