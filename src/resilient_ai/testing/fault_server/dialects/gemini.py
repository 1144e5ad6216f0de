"""Google `models/MODEL:generateContent` and `:streamGenerateContent?alt=sse`."""

from __future__ import annotations

from typing import ClassVar, Final, final

from resilient_ai.messages import JSON
from resilient_ai.testing.fault_server.dialects.answer import (
    Answer,
    Event,
    Framing,
    JsonObject,
    Part,
    pieces,
)
from resilient_ai.testing.fault_server.dialects.meaning import Meaning, message_for

_FINISH: Final = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "refusal": "SAFETY",
    "content_filtered": "SAFETY",
    "other": "OTHER",
}
_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


@final
class Gemini:
    """Data-only events with CRLF line ends; the last one carries the finish reason and nothing follows."""

    name: ClassVar[str] = "gemini"
    framing: ClassVar[Framing] = Framing.SSE
    eol: ClassVar[bytes] = b"\r\n"
    carrier: ClassVar[str] = "candidates"
    event_carrier: ClassVar[str] = "candidates"

    def unary(self, answer: Answer) -> JsonObject:
        parts: list[JSON] = []
        if answer.text is not None:
            parts.append({"text": answer.text})
        if answer.tool is not None:
            parts.append(self._call(answer))
        return self._envelope(answer, parts, finish=_FINISH[answer.finish])

    def events(self, answer: Answer) -> list[Event]:
        texts = pieces(answer.text or "")
        events = [self.text_event(answer, piece, at) for at, piece in enumerate(texts)]
        if answer.tool is not None:
            events.append(Event(Part.TOOL, self._envelope(answer, [self._call(answer)])))
        last: list[JSON] = [] if answer.text is None else [{"text": ""}]
        events.append(Event(Part.FINISH, self._envelope(answer, last, finish=_FINISH[answer.finish])))
        return events

    def text_event(self, answer: Answer, piece: str, index: int) -> Event:
        del index
        return Event(Part.TEXT, self._envelope(answer, [{"text": piece}]))

    def error(self, status: int, meaning: Meaning | None = None, message: str | None = None) -> JsonObject:
        fields: JsonObject = {
            "code": status,
            "message": message or message_for(status, meaning),
            "status": _STATUS.get(status, "UNKNOWN"),
        }
        if meaning == "quota":
            violation: JSON = {
                "quotaMetric": "generativelanguage.googleapis.com/generate_requests_per_model_per_day",
                "quotaId": "GenerateRequestsPerDayPerProjectPerModel",
            }
            fields["details"] = [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}
            ]
        return {"error": fields}

    def error_event(self, status: int, meaning: Meaning | None = None) -> Event:
        return Event(Part.ERROR, self.error(status, meaning))

    def _call(self, answer: Answer) -> JSON:
        tool = answer.tool
        return {"functionCall": {"name": tool.name, "args": tool.parsed()} if tool else {}}

    def _envelope(self, answer: Answer, parts: list[JSON], finish: str | None = None) -> JsonObject:
        content: JsonObject = {"parts": parts, "role": "model"} if parts else {"role": "model"}
        candidate: JsonObject = {"content": content, "index": 0}
        if finish is not None:
            candidate["finishReason"] = finish
        body: JsonObject = {
            "candidates": [candidate],
            "modelVersion": answer.model,
            "responseId": answer.id,
        }
        if answer.tokens is not None:
            body["usageMetadata"] = {
                "promptTokenCount": answer.tokens.input_tokens,
                "candidatesTokenCount": answer.tokens.output_tokens,
                "totalTokenCount": answer.tokens.input_tokens + answer.tokens.output_tokens,
            }
        return body
