"""Ollama `POST /api/chat`: one JSON object a line, streaming unless told otherwise."""

from __future__ import annotations

from typing import ClassVar, Final, final

from resilient_ai.testing.fault_server.dialects.answer import (
    Answer,
    Event,
    Framing,
    JsonObject,
    Part,
    pieces,
)
from resilient_ai.testing.fault_server.dialects.meaning import Meaning, message_for

_CREATED_AT: Final = "2026-01-01T00:00:00.000000Z"
_DONE_REASON: Final = {"length": "length"}


@final
class Ollama:
    """The last line says `done: true`; it carries the reason, the counts and no text."""

    name: ClassVar[str] = "ollama"
    framing: ClassVar[Framing] = Framing.NDJSON
    eol: ClassVar[bytes] = b"\n"
    carrier: ClassVar[str] = "message"
    event_carrier: ClassVar[str] = "message"

    def unary(self, answer: Answer) -> JsonObject:
        return {**self._line(answer, answer.text or answer.refusal or ""), **self._end(answer)}

    def events(self, answer: Answer) -> list[Event]:
        texts = pieces(answer.text or answer.refusal or "")
        events = [self.text_event(answer, piece, at) for at, piece in enumerate(texts)]
        if answer.tool is not None:
            events.append(Event(Part.TOOL, self._line(answer, "")))
        last = {**self._line(answer, "", with_tool=False), **self._end(answer)}
        events.append(Event(Part.FINISH, last))
        return events

    def text_event(self, answer: Answer, piece: str, index: int) -> Event:
        del index
        return Event(Part.TEXT, self._line(answer, piece, with_tool=False))

    def error(self, status: int, meaning: Meaning | None = None, message: str | None = None) -> JsonObject:
        return {"error": message or message_for(status, meaning)}

    def error_event(self, status: int, meaning: Meaning | None = None) -> Event:
        return Event(Part.ERROR, self.error(status, meaning))

    def _line(self, answer: Answer, text: str, *, with_tool: bool = True) -> JsonObject:
        message: JsonObject = {"role": "assistant", "content": text}
        if with_tool and answer.tool is not None:
            function: JsonObject = {"name": answer.tool.name, "arguments": answer.tool.parsed()}
            message["tool_calls"] = [{"function": function}]
        return {"model": answer.model, "created_at": _CREATED_AT, "message": message, "done": False}

    def _end(self, answer: Answer) -> JsonObject:
        end: JsonObject = {
            "done": True,
            "done_reason": _DONE_REASON.get(answer.finish, "stop"),
            "total_duration": 900_000_000,
            "load_duration": 100_000_000,
            "prompt_eval_duration": 200_000_000,
            "eval_duration": 600_000_000,
        }
        if answer.tokens is not None:
            end["prompt_eval_count"] = answer.tokens.input_tokens
            end["eval_count"] = answer.tokens.output_tokens
        return end
