"""OpenAI `POST /chat/completions`, which most other providers speak as well."""

from __future__ import annotations

from typing import ClassVar, Final, final

from resilient_ai.messages import JSON
from resilient_ai.testing.fault_server.dialects.answer import (
    CREATED,
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

_FINISH: Final = {"content_filtered": "content_filter", "refusal": "stop", "other": "stop"}
_TYPES: Final = {
    401: "invalid_request_error",
    403: "permission_error",
    408: "timeout_error",
    409: "conflict_error",
    429: "requests",
}
_CODES: Final = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
_MEANINGS: Final[dict[Meaning, tuple[str, str]]] = {
    "quota": ("insufficient_quota", "insufficient_quota"),
    "context": ("invalid_request_error", "context_length_exceeded"),
    "filter": ("invalid_request_error", "content_filter"),
    "overloaded": ("server_error", "overloaded"),
}


def error_fields(status: int, meaning: Meaning | None, message: str | None) -> JsonObject:
    """The fields of an OpenAI error, shared by both OpenAI dialects."""
    if meaning is not None:
        kind, code = _MEANINGS[meaning]
        return {"message": message or message_for(status, meaning), "type": kind, "param": None, "code": code}
    default = "server_error" if status >= 500 else "invalid_request_error"
    return {
        "message": message or message_for(status, meaning),
        "type": _TYPES.get(status, default),
        "param": None,
        "code": _CODES.get(status),
    }


def _usage(tokens: TokenCount) -> JsonObject:
    return {
        "prompt_tokens": tokens.input_tokens,
        "completion_tokens": tokens.output_tokens,
        "total_tokens": tokens.input_tokens + tokens.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _finish(answer: Answer) -> str:
    return _FINISH.get(answer.finish, answer.finish)


@final
class OpenAIChat:
    """Data-only server-sent events that end with `[DONE]`."""

    name: ClassVar[str] = "openai-chat"
    framing: ClassVar[Framing] = Framing.SSE
    eol: ClassVar[bytes] = b"\n"
    carrier: ClassVar[str] = "choices"
    event_carrier: ClassVar[str] = "choices"

    def unary(self, answer: Answer) -> JsonObject:
        message: JsonObject = {"role": "assistant", "content": answer.text, "refusal": answer.refusal}
        if answer.tool is not None:
            function: JsonObject = {"name": answer.tool.name, "arguments": answer.tool.arguments}
            message["tool_calls"] = [{"id": answer.tool.id, "type": "function", "function": function}]
        choice: JsonObject = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": _finish(answer),
        }
        body: JsonObject = {
            "id": f"chatcmpl-{answer.id}",
            "object": "chat.completion",
            "created": CREATED,
            "model": answer.model,
            "choices": [choice],
            "service_tier": "default",
            "system_fingerprint": "fp_fault_server",
        }
        if answer.tokens is not None:
            body["usage"] = _usage(answer.tokens)
        return body

    def events(self, answer: Answer) -> list[Event]:
        opening: JsonObject = {"role": "assistant", "content": None if answer.text is None else ""}
        events = [self._chunk(Part.START, answer, opening)]
        if answer.refusal is not None:
            events += [self._chunk(Part.TEXT, answer, {"refusal": p}) for p in pieces(answer.refusal)]
        events += [self.text_event(answer, piece, at) for at, piece in enumerate(pieces(answer.text or ""))]
        if answer.tool is not None:
            events += self._tool(answer)
        events.append(self._chunk(Part.FINISH, answer, {}, _finish(answer)))
        if answer.usage_in_stream and answer.tokens is not None:
            usage: JsonObject = {**self._envelope(answer), "choices": [], "usage": _usage(answer.tokens)}
            events.append(Event(Part.USAGE, usage))
        events.append(Event(Part.DONE, "[DONE]"))
        return events

    def text_event(self, answer: Answer, piece: str, index: int) -> Event:
        del index
        return self._chunk(Part.TEXT, answer, {"content": piece})

    def error(self, status: int, meaning: Meaning | None = None, message: str | None = None) -> JsonObject:
        return {"error": error_fields(status, meaning, message)}

    def error_event(self, status: int, meaning: Meaning | None = None) -> Event:
        return Event(Part.ERROR, self.error(status, meaning))

    def _tool(self, answer: Answer) -> list[Event]:
        tool = answer.tool
        if tool is None:
            return []
        first: JSON = [
            {
                "index": 0,
                "id": tool.id,
                "type": "function",
                "function": {"name": tool.name, "arguments": ""},
            }
        ]
        events = [self._chunk(Part.TOOL, answer, {"tool_calls": first})]
        for piece in argument_pieces(tool.arguments):
            more: JSON = [{"index": 0, "function": {"arguments": piece}}]
            events.append(self._chunk(Part.TOOL, answer, {"tool_calls": more}))
        return events

    def _envelope(self, answer: Answer) -> JsonObject:
        envelope: JsonObject = {
            "id": f"chatcmpl-{answer.id}",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": answer.model,
            "service_tier": "default",
            "system_fingerprint": "fp_fault_server",
        }
        if answer.usage_in_stream:
            envelope["usage"] = None
        return envelope

    def _chunk(self, part: Part, answer: Answer, delta: JsonObject, finish: str | None = None) -> Event:
        choice: JsonObject = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return Event(part, {**self._envelope(answer), "choices": [choice]})
