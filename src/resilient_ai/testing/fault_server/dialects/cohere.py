"""Cohere `POST /v2/chat`: named events, content in numbered blocks, the reason in the last event."""

from __future__ import annotations

from typing import ClassVar, Final, final

from resilient_ai.messages import JSON
from resilient_ai.testing.fault_server.dialects.answer import (
    Answer,
    Event,
    Framing,
    JsonObject,
    Part,
    TokenCount,
    ToolUse,
    argument_pieces,
    pieces,
)
from resilient_ai.testing.fault_server.dialects.meaning import Meaning, message_for

_REASONS: Final = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
    "refusal": "COMPLETE",
    "content_filtered": "ERROR_TOXIC",
    "other": "COMPLETE",
}


def _usage(tokens: TokenCount) -> JsonObject:
    counted: JsonObject = {"input_tokens": tokens.input_tokens, "output_tokens": tokens.output_tokens}
    return {"billed_units": counted, "tokens": counted}


def _named(part: Part, payload: JsonObject) -> Event:
    return Event(part, payload, name=str(payload["type"]))


def _call(tool: ToolUse, arguments: str) -> JsonObject:
    function: JsonObject = {"name": tool.name, "arguments": arguments}
    return {"id": tool.id, "type": "function", "function": function}


@final
class Cohere:
    """Ends with `message-end`, which holds the reason and the bill, and `[DONE]`."""

    name: ClassVar[str] = "cohere"
    framing: ClassVar[Framing] = Framing.SSE
    eol: ClassVar[bytes] = b"\n"
    carrier: ClassVar[str] = "message"
    event_carrier: ClassVar[str] = "delta"

    def unary(self, answer: Answer) -> JsonObject:
        text = answer.text if answer.text is not None else answer.refusal
        content: list[JSON] = [] if text is None else [{"type": "text", "text": text}]
        message: JsonObject = {"role": "assistant", "content": content or None}
        if answer.tool is not None:
            message["tool_calls"] = [_call(answer.tool, answer.tool.arguments)]
        body: JsonObject = {"id": answer.id, "finish_reason": _REASONS[answer.finish], "message": message}
        if answer.tokens is not None:
            body["usage"] = _usage(answer.tokens)
        return body

    def events(self, answer: Answer) -> list[Event]:
        start: JsonObject = {
            "role": "assistant",
            "content": [],
            "tool_plan": "",
            "tool_calls": [],
            "citations": [],
        }
        events = [_named(Part.START, {"type": "message-start", "id": answer.id, "delta": {"message": start}})]
        text = answer.text if answer.text is not None else answer.refusal
        if text is not None:
            events += self._text_block(answer, text)
        if answer.tool is not None:
            events += self._tool_call(answer.tool)
        delta: JsonObject = {"finish_reason": _REASONS[answer.finish]}
        if answer.tokens is not None:
            delta["usage"] = _usage(answer.tokens)
        events.append(_named(Part.FINISH, {"type": "message-end", "id": answer.id, "delta": delta}))
        events.append(Event(Part.DONE, "[DONE]"))
        return events

    def text_event(self, answer: Answer, piece: str, index: int) -> Event:
        del answer, index
        message: JsonObject = {"content": {"text": piece}}
        return _named(Part.TEXT, {"type": "content-delta", "index": 0, "delta": {"message": message}})

    def error(self, status: int, meaning: Meaning | None = None, message: str | None = None) -> JsonObject:
        return {"id": "fault-server", "message": message or message_for(status, meaning)}

    def error_event(self, status: int, meaning: Meaning | None = None) -> Event:
        delta: JsonObject = {"finish_reason": "ERROR", "error": message_for(status, meaning)}
        return _named(Part.ERROR, {"type": "message-end", "id": "fault-server", "delta": delta})

    def _text_block(self, answer: Answer, text: str) -> list[Event]:
        content: JsonObject = {"type": "text", "text": ""}
        start: JsonObject = {"type": "content-start", "index": 0, "delta": {"message": {"content": content}}}
        return [
            _named(Part.START, start),
            *(self.text_event(answer, piece, at) for at, piece in enumerate(pieces(text))),
            _named(Part.CLOSE, {"type": "content-end", "index": 0}),
        ]

    def _tool_call(self, tool: ToolUse) -> list[Event]:
        def event(kind: str, call: JsonObject) -> Event:
            return _named(Part.TOOL, {"type": kind, "index": 0, "delta": {"message": {"tool_calls": call}}})

        return [
            event("tool-call-start", _call(tool, "")),
            *(
                event("tool-call-delta", {"function": {"arguments": piece}})
                for piece in argument_pieces(tool.arguments)
            ),
            _named(Part.CLOSE, {"type": "tool-call-end", "index": 0}),
        ]
