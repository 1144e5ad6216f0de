"""The stream of a response, read event by event.

Complete at `response.completed` or `response.incomplete`. Text comes by its deltas; where a server sends only the finished item, or only
the finished response, what the deltas left out is taken from there. Sequence numbers, where they count, tell an event that came twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, final

from resilient_ai.messages import JSON, Chunk, ToolCallDelta
from resilient_ai.models.wire import SHOWN, Malformed, ReportedError, Truncated
from resilient_ai.models.wire.flags import REPEATED
from resilient_ai.models.wire.framing import SSEParser
from resilient_ai.models.wire.identifiers import call_id
from resilient_ai.models.wire.openai_responses.names import (
    CALL_STATE_FIELDS,
    PARAGRAPH,
    REASONING_ITEM,
    failure,
    finish_reason,
    message_texts,
    read_usage,
    reasoning_text,
)
from resilient_ai.models.wire.reported import reported, reported_event
from resilient_ai.models.wire.shape import arguments_text, items, label, mapping, string
from resilient_ai.models.wire.sse import event_object

if TYPE_CHECKING:
    from resilient_ai.models.wire.recurring import RecurringEvent

INCONSISTENT: Final = "inconsistent_stream"
"""Flag: events out of their order, or a finished text that is not as long as its pieces together."""

_PIECES: Final = (".delta", ".partial_image")
"""How events are named that bring a piece of something for the reader."""

_Event = Mapping[str, JSON]


@final
class ResponsesReader:
    """The `TextReader` of responses."""

    __slots__ = (
        "_calls",
        "_characters",
        "_counts",
        "_id",
        "_last",
        "_number",
        "_place",
        "_reasoned",
        "_refused",
        "_sent",
        "_thought",
        "complete",
        "flags",
        "plain",
        "shows",
    )

    def __init__(self) -> None:
        self.complete = self.shows = self.plain = False
        self.flags: list[str] = []
        self._id: str | None = None
        self._number = -1
        self._counts = False
        self._last = b""
        self._refused = False
        self._reasoned = False
        self._characters = 0  # of text, handed out
        self._place = 0  # of the last piece of text
        self._sent: dict[int, int] = {}  # place -> characters of it handed out
        self._thought: dict[int, int] = {}  # place of a reasoning -> its last part
        self._calls: dict[int, int] = {}  # place of a call -> our index

    def event(self, name: str, data: bytes, out: list[Chunk]) -> None:
        """See `EventReader`."""
        self.plain = False
        if not data or data.isspace() or data[:6] == b"[DONE]":
            return
        event = event_object(data)
        kind = event.get("type") or name
        if not isinstance(kind, str):
            raise Malformed("the type of an event is not a string")
        number = event.get("sequence_number")
        if self._is_repeated(number, data):
            return
        if kind == "response.output_text.delta":
            self._text(event, out)
            self.plain = type(number) is int and number >= 0
            return
        match kind:
            case "response.function_call_arguments.delta":
                self._arguments(event, out)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                self._reasoning(event, out)
            case "response.refusal.delta":
                self._refusal(event, out)
            case "response.created" | "response.in_progress" | "response.queued":
                self._lifecycle(event, out)
            case "response.output_item.added":
                item = mapping(event.get("item"), "item")
                if item.get("type") == "function_call":
                    self._begin_call(_place(event), item, out)
            case "response.output_item.done":
                self._settle(event, mapping(event.get("item"), "item"), out)
            case "response.output_text.done":
                self._check_text(event)
            case "response.completed" | "response.incomplete" | "response.done" | "response.cancelled":
                self._closed(kind, event, out)
            case "response.failed":
                response = mapping(event.get("response"), "response")
                raise failure(response) or reported_event({"message": "the response failed"}, event=response)
            case _ if kind == "error" or event.get("error"):
                raise _error(event)
            case _ if self.shows and kind.endswith(_PIECES):
                out.append(SHOWN)
            case _:
                pass  # parts, annotations, server-side tools, and what is yet to be invented

    def _is_repeated(self, number: JSON, data: bytes) -> bool:
        """The event came twice, as a replaying proxy sends it. Believed only where the numbers are seen to count."""
        if not isinstance(number, int):
            return False
        if self._counts and number == self._number and data == self._last:
            self._flag(REPEATED)
            return True
        if self._counts and number < self._number:
            self._flag(INCONSISTENT)
        self._counts = self._counts or number == self._number + 1 > 0
        self._number = number
        self._last = data
        return False

    def recurred(self, events: RecurringEvent) -> None:
        """See `TextReader`."""
        if events.number is None:
            raise AssertionError("events without a number do not recur here")
        self._characters += events.characters
        self._sent[self._place] += events.characters
        self._counts = True
        self._number = events.number
        (self._last,) = (event.data for event in SSEParser().feed(events.last))

    def ended(self) -> None:
        """See `EventReader`."""
        raise Truncated("the stream ended before the response was complete")

    def _text(self, event: _Event, out: list[Chunk]) -> None:
        delta = string(event.get("delta"), "delta")
        if delta:
            self._place = self._add(event, delta)
            self._characters += len(delta)
            out.append(Chunk(delta))

    def _refusal(self, event: _Event, out: list[Chunk]) -> None:
        delta = string(event.get("delta"), "delta")
        if delta:
            self._refused = True
            self._add(event, delta)
            out.append(Chunk(refusal=delta))

    def _reasoning(self, event: _Event, out: list[Chunk]) -> None:
        """A piece of a thought; parts of a summary are paragraphs."""
        delta = string(event.get("delta"), "delta")
        if not delta:
            return
        place = _place(event)
        part = event.get("summary_index", event.get("content_index"))
        if isinstance(part, int):
            if self._thought.setdefault(place, part) != part:
                delta = PARAGRAPH + delta
            self._thought[place] = part
        self._add(event, delta)
        out.append(Chunk(reasoning=delta))

    def _arguments(self, event: _Event, out: list[Chunk]) -> None:
        index = self._calls.get(_place(event))
        delta = arguments_text(event.get("delta"), "delta")
        if index is None:
            raise Malformed("arguments came before their function call")
        if delta:
            self._add(event, delta)
            out.append(Chunk(tool_call=ToolCallDelta(index, arguments=delta)))

    def _check_text(self, event: _Event) -> None:
        """Notices a text that differs from its pieces, while the item has one part only."""
        text = event.get("text")
        sent = self._sent.get(_place(event), 0)
        if isinstance(text, str) and not event.get("content_index") and sent not in (0, len(text)):
            self._flag(INCONSISTENT)

    def _lifecycle(self, event: _Event, out: list[Chunk]) -> None:
        response = mapping(event.get("response"), "response")
        error = failure(response)
        if error is not None:
            raise error
        identity = label(response.get("id"))
        if self._id is None:
            self._id = identity
            model = label(response.get("model"))
            if identity or model:
                out.append(Chunk(model=model or None, id=identity or None))
        elif identity and self._id and identity != self._id:
            raise Malformed("the id of the answer changed in the middle")

    def _begin_call(self, place: int, item: _Event, out: list[Chunk]) -> None:
        if place in self._calls:
            raise Malformed("two function calls stand in one place")
        index = len(self._calls)
        self._calls[place] = index
        name = string(item.get("name"), "function_call.name")
        arguments = arguments_text(item.get("arguments"), "function_call.arguments")
        self._sent[place] = len(arguments)
        told = string(item.get("call_id"), "function_call.call_id")
        opaque = {key: item[key] for key in CALL_STATE_FIELDS if item.get(key) is not None}
        call = ToolCallDelta(index, told or call_id(self._id, index, name), name, arguments, opaque)
        out.append(Chunk(tool_call=call))

    def _settle(self, event: _Event, item: _Event, out: list[Chunk]) -> None:
        """An item is finished: gives what it holds and its pieces did not."""
        place = _place(event)
        sent = self._sent.get(place, 0)
        kind = item.get("type")
        if kind == "function_call" and place not in self._calls:
            self._begin_call(place, item, out)
        elif kind == "function_call" and not sent:
            arguments = arguments_text(item.get("arguments"), "function_call.arguments")
            if arguments:
                self._sent[place] = len(arguments)
                out.append(Chunk(tool_call=ToolCallDelta(self._calls[place], arguments=arguments)))
        elif kind == "reasoning":
            self._reasoned = True
            out.append(Chunk(reasoning="" if sent else reasoning_text(item), opaque={REASONING_ITEM: item}))
        elif kind == "message" and not sent:
            self._rest_of_message(*message_texts(item), out)
        elif kind == "image_generation_call" and self.shows:
            out.append(SHOWN)
        self._sent.setdefault(place, 0)  # whatever it is, there was an item

    def _rest_of_message(self, text: str, refusal: str, out: list[Chunk]) -> None:
        if text:
            self._characters += len(text)
            out.append(Chunk(text))
        if refusal:
            self._refused = True
            out.append(Chunk(refusal=refusal))

    def _closed(self, kind: str, event: _Event, out: list[Chunk]) -> None:
        """The last event, which repeats the whole answer: what no event before it gave is given now."""
        self._lifecycle(event, out)
        response = mapping(event.get("response"), "response")
        self._reconcile(items(response.get("output"), "output"), out)
        if kind == "response.completed" and not (
            self._sent or self._characters or self._refused or self._reasoned
        ):
            raise Malformed("the answer holds no output")
        told = {**response, "status": response.get("status") or _STATUS[kind]}
        usage = response.get("usage")
        out.append(
            Chunk(
                finish_reason=finish_reason(told, called=bool(self._calls), refused=self._refused),
                usage=None if usage is None else read_usage(usage, self.flags),
            )
        )
        self.complete = True

    def _reconcile(self, output: list[_Event], out: list[Chunk]) -> None:
        """Compares the whole answer with what was handed out, by length and number: servers count places differently."""
        texts: list[str] = []
        refusals: list[str] = []
        calls: list[_Event] = []
        for item in output:
            match item.get("type"):
                case "message":
                    text, refusal = message_texts(item)
                    texts.append(text)
                    refusals.append(refusal)
                    self._sent.setdefault(-1, 0)  # there was a message, be it empty
                case "function_call":
                    calls.append(item)
                case "reasoning" if not self._reasoned:
                    self._settle({"output_index": -1 - len(output)}, item, out)
                case _:
                    self._sent.setdefault(-1, 0)  # what a server-side tool did, or is yet to be invented
        whole = "".join(texts)
        if self._characters and len(whole) != self._characters:
            self._flag(INCONSISTENT)
        self._rest_of_message(whole[self._characters :], "" if self._refused else "".join(refusals), out)
        for place, item in enumerate(calls[len(self._calls) :], len(self._calls)):
            self._begin_call(-2 - place, item, out)

    def _add(self, event: _Event, delta: str) -> int:
        place = _place(event)
        self._sent[place] = self._sent.get(place, 0) + len(delta)
        return place

    def _flag(self, flag: str) -> None:
        if flag not in self.flags:
            self.flags.append(flag)


def _place(event: _Event) -> int:
    """The place of an item in the output; servers that stream a single item leave it out."""
    index = event.get("output_index")
    if index is None:
        return 0
    if isinstance(index, int):
        return index
    raise Malformed("the place of an item is not a number")


def _error(event: _Event) -> ReportedError:
    """What an error event reports: its fields stand beside its type, or under `error`."""
    told = {key: value for key, value in event.items() if key not in ("type", "sequence_number")}
    return reported(event) or reported_event(told, event=event)


_STATUS: Final = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.done": "completed",
    "response.cancelled": "cancelled",
}
