"""Anthropic `POST /v1/messages`: named events, content in numbered blocks."""

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
    argument_pieces,
    pieces,
)
from resilient_ai.testing.fault_server.dialects.meaning import Meaning, message_for

_STOP: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "content_filtered": "refusal",
    "other": "pause_turn",
}
_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_MEANINGS: Final[dict[Meaning, str]] = {
    "quota": "rate_limit_error",
    "context": "invalid_request_error",
    "filter": "invalid_request_error",
    "overloaded": "overloaded_error",
}


def _usage(tokens: TokenCount, output_tokens: int) -> JsonObject:
    return {
        "input_tokens": tokens.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _named(part: Part, payload: JsonObject) -> Event:
    return Event(part, payload, name=str(payload["type"]))


@final
class Anthropic:
    """Ends with `message_stop`; the stop reason stands in the `message_delta` before it."""

    name: ClassVar[str] = "anthropic"
    framing: ClassVar[Framing] = Framing.SSE
    eol: ClassVar[bytes] = b"\n"
    carrier: ClassVar[str] = "content"
    event_carrier: ClassVar[str] = "delta"

    def unary(self, answer: Answer) -> JsonObject:
        content: list[JSON] = []
        if answer.text is not None:
            content.append({"type": "text", "text": answer.text})
        if answer.tool is not None:
            tool = answer.tool
            content.append({"type": "tool_use", "id": tool.id, "name": tool.name, "input": tool.parsed()})
        body = self._message(answer, content, _STOP[answer.finish])
        if answer.tokens is not None:
            body["usage"] = _usage(answer.tokens, answer.tokens.output_tokens)
        return body

    def events(self, answer: Answer) -> list[Event]:
        message = self._message(answer, [], None)
        if answer.tokens is not None:
            message["usage"] = _usage(answer.tokens, min(1, answer.tokens.output_tokens))
        events = [_named(Part.START, {"type": "message_start", "message": message})]
        blocks = 0
        if answer.text is not None:
            events += self._text_block(answer, answer.text)
            blocks = 1
        if answer.tool is not None:
            events += self._tool_block(answer, blocks)
        delta: JsonObject = {"stop_reason": _STOP[answer.finish], "stop_sequence": None}
        finish: JsonObject = {"type": "message_delta", "delta": delta}
        if answer.tokens is not None:
            finish["usage"] = {"output_tokens": answer.tokens.output_tokens}
        events.append(_named(Part.FINISH, finish))
        events.append(_named(Part.DONE, {"type": "message_stop"}))
        return events

    def text_event(self, answer: Answer, piece: str, index: int) -> Event:
        del answer, index
        delta: JsonObject = {"type": "text_delta", "text": piece}
        return _named(Part.TEXT, {"type": "content_block_delta", "index": 0, "delta": delta})

    def error(self, status: int, meaning: Meaning | None = None, message: str | None = None) -> JsonObject:
        default = "api_error" if status >= 500 else "invalid_request_error"
        kind = _TYPES.get(status, default) if meaning is None else _MEANINGS[meaning]
        fields: JsonObject = {"type": kind, "message": message or message_for(status, meaning)}
        if meaning == "quota":
            fields["details"] = {"error_code": "enforced_spend_limit_reached"}
        return {"type": "error", "error": fields, "request_id": "req_fault_server"}

    def error_event(self, status: int, meaning: Meaning | None = None) -> Event:
        return _named(Part.ERROR, self.error(status, meaning))

    def _text_block(self, answer: Answer, text: str) -> list[Event]:
        start: JsonObject = {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        }
        return [
            _named(Part.START, start),
            _named(Part.PING, {"type": "ping"}),
            *(self.text_event(answer, piece, at) for at, piece in enumerate(pieces(text))),
            _named(Part.CLOSE, {"type": "content_block_stop", "index": 0}),
        ]

    def _tool_block(self, answer: Answer, index: int) -> list[Event]:
        tool = answer.tool
        if tool is None:
            return []
        block: JsonObject = {"type": "tool_use", "id": tool.id, "name": tool.name, "input": {}}
        start: JsonObject = {"type": "content_block_start", "index": index, "content_block": block}
        events = [_named(Part.TOOL, start)]
        for piece in argument_pieces(tool.arguments):
            delta: JsonObject = {"type": "input_json_delta", "partial_json": piece}
            events.append(
                _named(Part.TOOL, {"type": "content_block_delta", "index": index, "delta": delta}),
            )
        events.append(_named(Part.CLOSE, {"type": "content_block_stop", "index": index}))
        return events

    def _message(self, answer: Answer, content: list[JSON], stop_reason: str | None) -> JsonObject:
        return {
            "id": f"msg_{answer.id}",
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
        }
