"""OpenAI `POST /responses`: named events with sequence numbers, and the whole answer again at the end."""

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
    argument_pieces,
    pieces,
)
from resilient_ai.testing.fault_server.dialects.meaning import Meaning
from resilient_ai.testing.fault_server.dialects.openai_chat import error_fields

_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filtered": "content_filter"}
_EVENTS_BEFORE_TEXT: Final = 4
"""created, in_progress, output_item.added, content_part.added."""


@final
class _Numbered:
    """Collects events and gives each the next sequence number."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, purpose: Part, kind: str, /, **fields: JSON) -> None:
        payload: JsonObject = {"type": kind, "sequence_number": len(self.events), **fields}
        self.events.append(Event(purpose, payload, name=kind))


@final
class OpenAIResponses:
    """Ends with `response.completed`, `response.incomplete` or `response.failed`; there is no `[DONE]`."""

    name: ClassVar[str] = "openai-responses"
    framing: ClassVar[Framing] = Framing.SSE
    eol: ClassVar[bytes] = b"\n"
    carrier: ClassVar[str] = "output"
    event_carrier: ClassVar[str] = "delta"

    def unary(self, answer: Answer) -> JsonObject:
        return self._response(answer, self._items(answer), "completed")

    def events(self, answer: Answer) -> list[Event]:
        out = _Numbered()
        started = self._response(answer, [], "in_progress")
        out.add(Part.START, "response.created", response=started)
        out.add(Part.START, "response.in_progress", response=started)
        if answer.text is not None:
            self._message_events(out, answer, "output_text", answer.text)
        if answer.refusal is not None:
            self._message_events(out, answer, "refusal", answer.refusal)
        if answer.tool is not None:
            self._tool_events(out, answer)
        final_state = self.unary(answer)
        kind = "response.incomplete" if answer.finish in _INCOMPLETE else "response.completed"
        out.add(Part.FINISH, kind, response=final_state)
        return out.events

    def text_event(self, answer: Answer, piece: str, index: int) -> Event:
        kind = "response.output_text.delta"
        payload: JsonObject = {
            "type": kind,
            "sequence_number": _EVENTS_BEFORE_TEXT + index,
            "item_id": f"msg_{answer.id}",
            "output_index": 0,
            "content_index": 0,
            "delta": piece,
            "logprobs": [],
        }
        return Event(Part.TEXT, payload, name=kind)

    def error(self, status: int, meaning: Meaning | None = None, message: str | None = None) -> JsonObject:
        return {"error": error_fields(status, meaning, message)}

    def error_event(self, status: int, meaning: Meaning | None = None) -> Event:
        fields = error_fields(status, meaning, None)
        payload: JsonObject = {
            "type": "error",
            "sequence_number": _EVENTS_BEFORE_TEXT,
            "code": fields["code"] or fields["type"],
            "message": fields["message"],
            "param": None,
        }
        return Event(Part.ERROR, payload, name="error")

    def _message_events(self, out: _Numbered, answer: Answer, kind: str, text: str) -> None:
        item_id = f"msg_{answer.id}"
        place: JsonObject = {"item_id": item_id, "output_index": 0, "content_index": 0}
        empty = self._message(answer, [], "in_progress")
        out.add(Part.START, "response.output_item.added", output_index=0, item=empty)
        out.add(Part.START, "response.content_part.added", **place, part=self._content(kind, ""))
        for piece in pieces(text):
            if kind == "output_text":
                out.events.append(self.text_event(answer, piece, len(out.events) - _EVENTS_BEFORE_TEXT))
            else:
                out.add(Part.TEXT, "response.refusal.delta", **place, delta=piece)
        if kind == "output_text":
            out.add(Part.CLOSE, "response.output_text.done", **place, text=text, logprobs=[])
        else:
            out.add(Part.CLOSE, "response.refusal.done", **place, refusal=text)
        part = self._content(kind, text)
        out.add(Part.CLOSE, "response.content_part.done", **place, part=part)
        whole = self._message(answer, [part], "completed")
        out.add(Part.CLOSE, "response.output_item.done", output_index=0, item=whole)

    def _tool_events(self, out: _Numbered, answer: Answer) -> None:
        tool = answer.tool
        if tool is None:
            return
        index = sum(each is not None for each in (answer.text, answer.refusal))
        item_id = f"fc_{answer.id}"
        start = self._call(answer, "", "in_progress")
        out.add(Part.TOOL, "response.output_item.added", output_index=index, item=start)
        kind = "response.function_call_arguments"
        for piece in argument_pieces(tool.arguments):
            out.add(Part.TOOL, f"{kind}.delta", item_id=item_id, output_index=index, delta=piece)
        out.add(
            Part.TOOL,
            f"{kind}.done",
            item_id=item_id,
            output_index=index,
            name=tool.name,
            arguments=tool.arguments,
        )
        whole = self._call(answer, tool.arguments, "completed")
        out.add(Part.TOOL, "response.output_item.done", output_index=index, item=whole)

    def _items(self, answer: Answer) -> list[JSON]:
        items: list[JSON] = []
        if answer.text is not None:
            items.append(self._message(answer, [self._content("output_text", answer.text)], "completed"))
        if answer.refusal is not None:
            items.append(self._message(answer, [self._content("refusal", answer.refusal)], "completed"))
        if answer.tool is not None:
            items.append(self._call(answer, answer.tool.arguments, "completed"))
        return items

    def _message(self, answer: Answer, content: list[JSON], status: str) -> JsonObject:
        return {
            "id": f"msg_{answer.id}",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def _call(self, answer: Answer, arguments: str, status: str) -> JsonObject:
        tool = answer.tool
        return {
            "id": f"fc_{answer.id}",
            "type": "function_call",
            "status": status,
            "call_id": tool.id if tool else "",
            "name": tool.name if tool else "",
            "arguments": arguments,
        }

    def _content(self, kind: str, text: str) -> JsonObject:
        if kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def _response(self, answer: Answer, items: list[JSON], status: str) -> JsonObject:
        reason = _INCOMPLETE.get(answer.finish) if status == "completed" else None
        body: JsonObject = {
            "id": f"resp_{answer.id}",
            "object": "response",
            "created_at": CREATED,
            "status": "incomplete" if reason else status,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "instructions": None,
            "metadata": {},
            "model": answer.model,
            "output": items,
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
        }
        if answer.tokens is not None and status == "completed":
            body["usage"] = {
                "input_tokens": answer.tokens.input_tokens,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": answer.tokens.output_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": answer.tokens.input_tokens + answer.tokens.output_tokens,
            }
        return body
