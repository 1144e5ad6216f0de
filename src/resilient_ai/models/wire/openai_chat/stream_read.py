"""The stream of a chat completion, read event by event.

It is complete at `[DONE]`, or at its end if a finish reason came: some servers never send `[DONE]`, others send the token counts
after the finish reason. `[DONE]` without a finish reason counts as the end the server meant, with a flag.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, final

from resilient_ai.messages import JSON, Chunk, ToolCallDelta
from resilient_ai.models.wire import SHOWN, Malformed, ReportedError, Truncated
from resilient_ai.models.wire.flags import FINISH_MISSING
from resilient_ai.models.wire.framing import MAX_EVENT_BYTES
from resilient_ai.models.wire.identifiers import call_id
from resilient_ai.models.wire.jsonbody import encode
from resilient_ai.models.wire.openai_chat.names import (
    CALL_STATE_FIELDS,
    FAILED,
    REASONING_DETAILS,
    REASONING_FIELD,
    REASONING_FIELDS,
    finish_reason,
    read_usage,
)
from resilient_ai.models.wire.reported import reported, reported_event
from resilient_ai.models.wire.shape import arguments_text, details, items, label, mapping, string
from resilient_ai.models.wire.sse import event_object

if TYPE_CHECKING:
    from resilient_ai.models.wire.recurring import RecurringEvent

OTHER_CHOICES: Final = "other_choices"
"""Flag: the provider sent several answers; the first counts."""

_DONE: Final = b"[DONE]"
_OWN_NAMES: Final = frozenset(("", "message", "error"))

_SETTLED: Final = 2
"""After so many events with content the answer's id is known; before, it may be a server that numbers events."""


@final
class ChatReader:
    """The `TextReader` of chat completions."""

    __slots__ = (
        "_answers",
        "_calls",
        "_details",
        "_field",
        "_finished",
        "_id",
        "_named",
        "_refused",
        "_seen",
        "complete",
        "flags",
        "plain",
        "shows",
    )

    def __init__(self) -> None:
        self.complete = self.shows = self.plain = False
        self.flags: list[str] = []
        self._named = False
        self._seen = False  # a choice came
        self._finished = False
        self._refused = False
        self._id = ""
        self._answers = 0  # events with content under the present id
        self._field: str | None = None  # where this server puts reasoning
        self._calls = _Calls()
        self._details = _ReasoningDetails()

    def event(self, name: str, data: bytes, out: list[Chunk]) -> None:
        """See `EventReader`."""
        self.plain = False
        if data[:6] == _DONE:
            self._end_of_stream()
            return
        if name not in _OWN_NAMES:
            if not _is_chunk(data):
                return
        elif not data or data.isspace():
            return
        chunk = event_object(data)
        if chunk.get("error") or name == "error":
            raise reported(chunk) or reported_event(chunk, event=chunk)
        choices = chunk.get("choices")
        if choices:
            if not isinstance(choices, list):
                raise Malformed("choices is not a list")
            for choice in choices:
                if not isinstance(choice, dict):
                    raise Malformed("a choice is not an object")
                if choice.get("index"):
                    self._flag(OTHER_CHOICES)
                else:
                    self._choice(choice, chunk, out)
        told = chunk.get("usage")
        if "x_groq" in chunk:
            told = told or _groq_usage(details(chunk, "x_groq"))
        if told is not None:
            out.append(Chunk(usage=read_usage(told, self.flags)))

    def recurred(self, events: RecurringEvent) -> None:  # noqa: ARG002 - that they came is enough
        """See `TextReader`. They had the id of the answer, as the last one had."""
        self._answers = _SETTLED

    def ended(self) -> None:
        """See `EventReader`."""
        if not self._finished:
            raise Truncated("the stream ended before its finish reason")

    def _end_of_stream(self) -> None:
        if not self._seen:
            raise Malformed("the stream holds no choices")
        if not self._finished:
            self._flag(FINISH_MISSING)
        self.complete = True

    def _choice(self, choice: Mapping[str, JSON], chunk: Mapping[str, JSON], out: list[Chunk]) -> None:
        """Appends the answer's next piece: text and thought in one chunk, every tool call and the end in its own."""
        if not self._named:
            self._name(chunk, out)
        self._seen = True
        delta = choice.get("delta")
        if delta is None:
            delta = choice.get("message") or {}  # a few servers close with the frame of a whole answer
        if not isinstance(delta, dict):
            raise Malformed("delta is not an object")
        content = delta.get("content")
        if content is None or isinstance(content, str):
            text, thought = content or "", ""
        else:
            text, thought = read_content(content)
        refusal = ""
        if len(delta) > 1 or content is None:
            thought = thought or self._thought(delta)
            refusal = string(delta.get("refusal"), "refusal")
            self._refused = self._refused or bool(refusal)
            if self.shows and (delta.get("audio") or delta.get("images")):
                out.append(SHOWN)
        if text or thought or refusal:
            if chunk.get("id") == self._id:
                self._answers += 1
            else:
                self._check_id(chunk)
            out.append(Chunk(text, thought, None, refusal))
            self.plain = (
                text is content
                and not (thought or refusal or REASONING_DETAILS in delta)
                and chunk.get("id") == self._id
            )
        if delta.get("tool_calls") or delta.get("function_call"):
            self._check_id(chunk)
            self._calls.read(delta, self._id, out)
        if choice.get("finish_reason"):
            self._finish(choice, out)

    def _name(self, chunk: Mapping[str, JSON], out: list[Chunk]) -> None:
        """Tells who answers, once it is told: Azure's first event names nobody."""
        model = label(chunk.get("model")) or None
        identity = label(chunk.get("id")) or None
        if model is not None or identity is not None:
            self._named = True
            out.append(Chunk(model=model, id=identity))

    def _check_id(self, chunk: Mapping[str, JSON]) -> None:
        """Refuses the second of two answers mixed into one stream.

        Servers that give every event an id of its own are let through: only an id that stood for a while may not change.
        """
        identity = chunk.get("id")
        if identity == self._id:
            self._answers += 1
        elif isinstance(identity, str) and identity:
            if self._answers >= _SETTLED and not self._finished:
                raise Malformed("the id of the answer changed in the middle")
            self._id = identity
            self._answers = 1

    def _thought(self, delta: Mapping[str, JSON]) -> str:
        if REASONING_DETAILS in delta:
            self._details.add(delta[REASONING_DETAILS])
        for name in REASONING_FIELDS:
            text = delta.get(name)
            if text:
                self._field = name
                return string(text, name)
        return ""

    def _finish(self, choice: Mapping[str, JSON], out: list[Chunk]) -> None:
        if self._finished:
            return  # some servers repeat it beside the token counts
        told = string(choice["finish_reason"], "finish_reason")
        if told == FAILED:
            raise reported(choice) or ReportedError("the provider gave up in the middle", body=encode(choice))
        self._finished = True
        opaque: dict[str, JSON] = {}
        if self._field is not None:
            opaque[REASONING_FIELD] = self._field
        details = self._details.whole()
        if details:
            opaque[REASONING_DETAILS] = details
        reason = finish_reason(told, called=self._calls.any, refused=self._refused)
        out.append(Chunk(finish_reason=reason, opaque=opaque))

    def _flag(self, flag: str) -> None:
        if flag not in self.flags:
            self.flags.append(flag)


@final
class _Calls:
    """The tool calls of one stream: which piece belongs to which call, and what was told of it already."""

    __slots__ = ("_ids", "_last", "_places")

    def __init__(self) -> None:
        self._places: dict[JSON, int] = {}  # the server's index of a call -> ours
        self._ids: list[str] = []
        self._last = 0

    @property
    def any(self) -> bool:
        """A call was begun."""
        return bool(self._ids)

    def read(self, delta: Mapping[str, JSON], answer: str, out: list[Chunk]) -> None:
        """Appends the pieces in `delta`."""
        pieces = items(delta.get("tool_calls"), "tool_calls")
        older = delta.get("function_call")
        if not pieces and older is not None:
            pieces = [{"index": 0, "function": older}]
        for piece in pieces:
            function = mapping(piece.get("function"), "tool_calls.function")
            arguments = arguments_text(function.get("arguments"), "tool_calls.function.arguments")
            told_id = string(piece.get("id"), "tool_calls.id")
            place = self._place(piece.get("index"), told_id)
            opaque = {key: piece[key] for key in CALL_STATE_FIELDS if piece.get(key) is not None}
            if place < len(self._ids):
                out.append(Chunk(tool_call=ToolCallDelta(place, arguments=arguments, opaque=opaque)))
                continue
            name = string(function.get("name"), "tool_calls.function.name")
            self._ids.append(told_id or call_id(answer, place, name))
            out.append(Chunk(tool_call=ToolCallDelta(place, self._ids[place], name, arguments, opaque)))

    def _place(self, index: JSON, told_id: str) -> int:
        """Our index of the call a piece belongs to; one past the last begins a new call.

        Google's endpoint leaves the index out, others send 0 for every call: there, a new id begins a new call.
        """
        if index is not None and not isinstance(index, int):
            raise Malformed("the index of a tool call is not a number")
        known = self._places.get(index)
        starts = known is None if index is not None else bool(told_id) or not self._ids
        if known is not None and told_id and told_id != self._ids[known]:
            starts = True
        if starts:
            self._last = len(self._ids)
            if told_id in self._ids:
                self._last = self._ids.index(told_id)
            self._places[index] = self._last
        elif known is not None:
            self._last = known
        return self._last


@final
class _ReasoningDetails:
    """OpenRouter's structured reasoning, put together from its pieces: text grows, everything else is replaced."""

    __slots__ = ("_parts", "_size")

    _GROWING: Final = ("text", "summary", "data")

    def __init__(self) -> None:
        self._parts: dict[tuple[JSON, JSON], dict[str, JSON]] = {}
        self._size = 0

    def add(self, value: JSON) -> None:
        """Takes the pieces of one event."""
        for piece in items(value, REASONING_DETAILS):
            kind, index = piece.get("type"), piece.get("index")
            if not isinstance(kind, str) or not (index is None or isinstance(index, int)):
                raise Malformed("an entry of reasoning_details has no type")
            part = self._parts.setdefault((kind, len(self._parts) if index is None else index), {})
            for key, fresh in piece.items():
                before = part.get(key)
                if key in self._GROWING and isinstance(before, str) and isinstance(fresh, str):
                    self._size += len(fresh)
                    part[key] = before + fresh
                elif fresh is not None:
                    part[key] = fresh
        if self._size > MAX_EVENT_BYTES:
            raise Malformed("the reasoning of the stream is longer than the limit")

    def whole(self) -> list[JSON]:
        """All parts in the order they began."""
        return list(self._parts.values())


def read_content(content: JSON) -> tuple[str, str]:
    """Text and thought of a message's content.

    Mistral sends a list with parts of the types `text` and `thinking` where it reasons; parts of other types (references)
    hold nothing a reader would miss.
    """
    if content is None or isinstance(content, str):
        return content or "", ""
    texts: list[str] = []
    thoughts: list[str] = []
    for part in items(content, "content"):
        if part.get("type") == "thinking":
            inner = part.get("thinking")
            thoughts.append(inner if isinstance(inner, str) else read_content(inner)[0])
        elif part.get("type") in ("text", "output_text"):
            texts.append(string(part.get("text"), "content.text"))
    return "".join(texts), "".join(thoughts)


def _groq_usage(own: Mapping[str, JSON]) -> JSON:
    """Token counts in Groq's own part of an event, which may tell instead why it stopped early."""
    error = reported(own)
    if error is not None:
        raise error
    return own.get("usage")


def _is_chunk(data: bytes) -> bool:
    """An event of a name nobody knows is ours all the same; anything else in it is none of our business."""
    try:
        chunk = event_object(data)
    except Malformed:
        return False
    return "choices" in chunk or "error" in chunk
