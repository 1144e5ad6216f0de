"""Gemini's answers, read response by response: a stream is a list of them, a whole answer is a list of one.

A stream is complete once it said why the model stopped, and whole at its end. Older models say so in every response, and some servers
send the token counts behind it: only where earlier responses left the reason out, and the counts are there, is the rest not waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

from resilient_ai.messages import JSON, Chunk, FinishReason, ToolCallDelta, Usage
from resilient_ai.models.wire import SHOWN, Malformed, ReportedError, Truncated
from resilient_ai.models.wire.arguments import text_of
from resilient_ai.models.wire.gemini.names import (
    CALL_ID,
    FAILED,
    OTHER_CANDIDATES,
    PARTS_LEFT_OUT,
    PROMPT_BLOCKED,
    SIGNATURE,
    TEXT_SIGNATURE,
    THOUGHT,
    UNSIGNED,
    UNSPECIFIED,
    finish_reason,
    read_usage,
)
from resilient_ai.models.wire.identifiers import call_id
from resilient_ai.models.wire.jsonbody import encode
from resilient_ai.models.wire.reported import reported
from resilient_ai.models.wire.shape import items, label, mapping, string
from resilient_ai.models.wire.sse import event_object

_SETTLED: Final = 2
"""After so many responses the answer's id is known; before, it may be a server that numbers its responses."""

_KNOWN_PARTS: Final = frozenset(("text", "thought", SIGNATURE, "functionCall"))


@final
class GeminiReader:
    """The `EventReader` of Gemini."""

    __slots__ = (
        "_calls",
        "_id",
        "_named",
        "_open",
        "_seen",
        "_thinking",
        "_told",
        "_under_id",
        "complete",
        "flags",
        "shows",
    )

    def __init__(self) -> None:
        self.complete = self.shows = False
        self.flags: list[str] = []
        self._named = False
        self._seen = False  # a candidate came
        self._open = False  # a response came that left the finish reason out
        self._told: FinishReason | None = None
        self._thinking = False  # the last part was a thought, which no opaque state closed
        self._calls = 0
        self._id = ""
        self._under_id = 0

    def event(self, name: str, data: bytes, out: list[Chunk]) -> None:  # noqa: ARG002 - events have no names here
        """See `EventReader`."""
        if data and not data.isspace():
            self.response(event_object(data), out)

    def response(self, response: Mapping[str, JSON], out: list[Chunk]) -> None:
        """Appends what one response says to `out`.

        Raises:
            Malformed: It is not one.
            ReportedError: It is an error, or the model drew nonsense.
        """
        error = reported(response)
        if error is not None:
            raise error
        candidates = items(response.get("candidates"), "candidates")
        feedback = mapping(response.get("promptFeedback"), "promptFeedback")
        blocked = string(feedback.get("blockReason"), "promptFeedback.blockReason")
        usage = read_usage(response.get("usageMetadata"), self.flags)
        counts = usage if response.get("usageMetadata") else None
        self._name(response, out)
        for candidate in candidates:
            if candidate.get("index"):
                self._flag(OTHER_CANDIDATES)
            else:
                self._seen = True
                self._candidate(candidate, counts, out)
        if not candidates and blocked not in UNSPECIFIED:
            self._flag(PROMPT_BLOCKED)
            self._finish("content_filtered", counts, out)
            self.complete = True
        elif not candidates and counts is not None:
            out.append(Chunk(usage=counts))

    def ended(self) -> None:
        """See `EventReader`."""
        if self._told is None:
            raise Truncated("the stream ended before its finish reason")

    @property
    def answered(self) -> bool:
        """A candidate came, or the word that there will be none."""
        return self._seen or self._told is not None

    @property
    def finished(self) -> bool:
        """It was said why the model stopped."""
        return self._told is not None

    def _name(self, response: Mapping[str, JSON], out: list[Chunk]) -> None:
        identity = label(response.get("responseId"))
        if not self._named:
            model = label(response.get("modelVersion")) or None
            if model is not None or identity:
                self._named = True
                out.append(Chunk(model=model, id=identity or None))
        if not identity or identity == self._id:
            self._under_id += 1
            return
        if self._id and self._under_id >= _SETTLED and self._told is None:
            raise Malformed("the id of the answer changed in the middle")
        self._id = identity
        self._under_id = 1

    def _candidate(self, candidate: Mapping[str, JSON], usage: Usage | None, out: list[Chunk]) -> None:
        content = mapping(candidate.get("content"), "content")
        told = string(candidate.get("finishReason"), "finishReason")
        if told in FAILED:
            raise _failed(told, candidate)
        for part in items(content.get("parts"), "content.parts"):
            self._part(part, out)
        if told not in UNSPECIFIED:
            self._finish(finish_reason(told, called=self._calls > 0), usage, out)
            self.complete = self._open and usage is not None
            return
        self._open = True
        if usage is not None:
            out.append(Chunk(usage=usage))

    def _part(self, part: Mapping[str, JSON], out: list[Chunk]) -> None:
        plain = part.get("text")
        if len(part) == 1 and isinstance(plain, str):  # nearly every part of a stream
            if plain:
                self._end_thought(out)
                out.append(Chunk(plain))
            return
        signature = string(part.get(SIGNATURE), SIGNATURE)
        if part.get("functionCall") is not None:
            self._end_thought(out)
            self._call(mapping(part["functionCall"], "functionCall"), signature, out)
            return
        if not _KNOWN_PARTS.issuperset(part) and "text" not in part:
            self._flag(PARTS_LEFT_OUT)
            if self.shows:
                out.append(SHOWN)
        text = string(part.get("text"), "text")
        if part.get("thought") is True:
            self._thinking = not signature
            state: dict[str, JSON] = {THOUGHT: True, SIGNATURE: signature} if signature else {}
            if text or state:
                out.append(Chunk(reasoning=text, opaque=state))
            return
        if text or signature:
            self._end_thought(out)
            out.append(Chunk(text, opaque={TEXT_SIGNATURE: signature} if signature else {}))

    def _end_thought(self, out: list[Chunk]) -> None:
        if self._thinking:
            self._thinking = False
            out.append(Chunk(opaque={THOUGHT: True}))

    def _call(self, call: Mapping[str, JSON], signature: str, out: list[Chunk]) -> None:
        name = string(call.get("name"), "functionCall.name")
        told = string(call.get("id"), "functionCall.id")
        place = self._calls
        self._calls += 1
        state: dict[str, JSON] = {}
        if signature and signature != UNSIGNED:
            state[SIGNATURE] = signature
        if told:
            state[CALL_ID] = True
        identity = told or call_id(self._id, place, name)
        arguments = text_of(call.get("args"), "functionCall.args")
        out.append(Chunk(tool_call=ToolCallDelta(place, identity, name, arguments, state)))

    def _finish(self, reason: FinishReason, usage: Usage | None, out: list[Chunk]) -> None:
        self._end_thought(out)
        told = None if reason == self._told else reason
        self._told = reason
        if told is not None or usage is not None:
            out.append(Chunk(finish_reason=told, usage=usage))

    def _flag(self, flag: str) -> None:
        if flag not in self.flags:
            self.flags.append(flag)


def _failed(told: str, candidate: Mapping[str, JSON]) -> ReportedError:
    """The error for an answer the provider gave up on, in the shape the classifier reads."""
    kept: JSON = {"finishReason": told, "finishMessage": candidate.get("finishMessage")}
    return ReportedError("the model drew no usable answer", body=encode({"candidates": [kept]}))
