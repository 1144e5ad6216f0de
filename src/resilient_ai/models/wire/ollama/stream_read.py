"""Ollama's answers, read line by line: a stream is a list of JSON texts, a whole answer is a list of one.

It is complete at the line that says `done`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

from resilient_ai.messages import JSON, UNKNOWN_USAGE, Chunk, ToolCallDelta
from resilient_ai.models.wire import Malformed, Truncated, WireError
from resilient_ai.models.wire.arguments import text_of
from resilient_ai.models.wire.framing import NDJSONParser
from resilient_ai.models.wire.identifiers import call_id
from resilient_ai.models.wire.jsonbody import decode_object
from resilient_ai.models.wire.ollama.names import (
    NO_FINISH_REASON,
    PARTS_LEFT_OUT,
    THINKING,
    finish_reason,
    read_usage,
)
from resilient_ai.models.wire.reported import reported
from resilient_ai.models.wire.shape import items, label, mapping, string

_OWN_FIELDS: Final = frozenset(("model", "created_at", "message", "done"))


@final
class OllamaDecoder:
    """The `StreamDecoder` of Ollama."""

    __slots__ = ("_calls", "_flags", "_named", "_out", "_parser", "_said", "_thinking", "complete")

    recurring = None
    """Every record is read in full."""

    def __init__(self) -> None:
        self.complete = False
        self._flags: list[str] = []
        self._parser = NDJSONParser()
        self._out: list[Chunk] = []
        self._named = False
        self._said = False  # a message came
        self._thinking = False  # a thought came, which nothing closed
        self._calls = 0

    @property
    def flags(self) -> tuple[str, ...]:
        """Oddities seen so far that are no failures."""
        return tuple(self._flags)

    def pass_on(self) -> None:
        """See `StreamDecoder`."""
        self._parser.pass_on()

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks in `data`. See `StreamDecoder`."""
        if self.complete:
            return []
        line = None
        try:
            for line in self._parser.feed(data):
                if self.line(_whole(line)):
                    break
        except WireError as error:
            error.record = line
            raise
        return self.take()

    def take(self) -> list[Chunk]:
        """Chunks read before a fault. See `StreamDecoder`."""
        out, self._out = self._out, []
        return out

    def end(self) -> list[Chunk]:
        """The stream ended. See `StreamDecoder`."""
        for line in self._parser.end():
            if not self.complete:
                self.line(decode_object(line))
        if not self.complete:
            raise Truncated("the stream ended before its last line")
        return self.take()

    def line(self, line: Mapping[str, JSON]) -> bool:
        """Takes one line; True if it is the last.

        Raises:
            Malformed: It holds no message.
            ReportedError: It is an error.
        """
        error = reported(line)
        if error is not None:
            raise error
        if _OWN_FIELDS.isdisjoint(line):
            return False  # of a kind nobody knows
        message = line.get("message")
        done = line.get("done") is True
        if message is not None or not (done and self._said):  # old servers close without one
            if not isinstance(message, Mapping) or not message:
                raise Malformed("a line holds no message")
            self._said = True
            self._name(line)
            self._message(message, label(line.get("created_at")))
        if done:
            self._finish(line)
        return done

    def _name(self, line: Mapping[str, JSON]) -> None:
        if not self._named:
            self._named = True
            model = label(line.get("model"))
            if model:
                self._out.append(Chunk(model=model))

    def _message(self, message: Mapping[str, JSON], moment: str) -> None:
        thought = string(message.get("thinking"), "message.thinking")
        if thought:
            self._thinking = True
            self._out.append(Chunk(reasoning=thought))
        text = string(message.get("content"), "message.content")
        calls = items(message.get("tool_calls"), "message.tool_calls")
        if text or calls:
            self._end_thought()
        if text:
            self._out.append(Chunk(text))
        for call in calls:
            self._call(call, moment)
        if message.get("images") and PARTS_LEFT_OUT not in self._flags:
            self._flags.append(PARTS_LEFT_OUT)

    def _call(self, call: Mapping[str, JSON], moment: str) -> None:
        function = mapping(call.get("function"), "tool_calls.function")
        name = string(function.get("name"), "tool_calls.function.name")
        place = self._calls
        self._calls += 1
        identity = string(call.get("id"), "tool_calls.id") or call_id(moment, place, name)
        arguments = text_of(function.get("arguments"), "tool_calls.function.arguments")
        self._out.append(Chunk(tool_call=ToolCallDelta(place, identity, name, arguments)))

    def _end_thought(self) -> None:
        if self._thinking:
            self._thinking = False
            self._out.append(Chunk(opaque={THINKING: True}))

    def _finish(self, line: Mapping[str, JSON]) -> None:
        self._end_thought()
        told = string(line.get("done_reason"), "done_reason")
        if not told:
            self._flags.append(NO_FINISH_REASON)
        usage = read_usage(line, self._flags)
        self._out.append(
            Chunk(
                finish_reason=finish_reason(told, called=self._calls > 0),
                usage=None if usage == UNKNOWN_USAGE else usage,
            )
        )
        self.complete = True


def _whole(line: bytes) -> Mapping[str, JSON]:
    """The object of a line that ended: a fault in it is never the end of the stream."""
    try:
        return decode_object(line)
    except Truncated:
        raise Malformed("the JSON of a line ends in the middle") from None
