"""Who answered, for whatever a caller holds of a call."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, cast, final

from resilient_ai.engine.endings import attach
from resilient_ai.messages import Outcome

if TYPE_CHECKING:
    from resilient_ai.models.calling import Stopped

_known: Final[dict[int, tuple[weakref.ref[object], Outcome | Callable[[Any], Outcome | None]]]] = {}
"""By identity: the objects of an SDK define equality but no hash, and must not be changed to hold what is ours."""

_HELD_STREAM: Final = "_raw_stream"
"""Where the `.stream()` helpers of openai and anthropic keep the stream they read."""


@final
class OutcomeHeader(str):
    """A header that knows how the call went, for answers that are plain dictionaries, which nothing else can be tied to.

    A copy that was serialised is a plain string.
    """

    __slots__ = ("_outcome",)

    _outcome: Callable[[], Outcome | None]

    def __new__(cls, text: str, outcome: Callable[[], Outcome | None]) -> Self:
        """A header of the value `text`; `outcome` is called when it is asked for."""
        header = super().__new__(cls, text)
        header._outcome = outcome
        return header

    def outcome(self) -> Outcome | None:
        """How the call went, as far as it is known."""
        return self._outcome()

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


def stop_of(stopped: Stopped) -> StopIteration:
    """What a blocking function raised, with the history of its call as far as there is one."""
    stop = stopped.__cause__
    assert isinstance(stop, StopIteration)  # noqa: S101 - a Stopped has no other cause
    outcome = outcome_of(stopped)
    if outcome is not None:
        attach(stop, outcome, note=True)
    return stop


def outcome_of(result: object) -> Outcome | None:
    """How the call went that gave `result`: a reply, a stream, an exception, or an object of a wrapped SDK. None if it is no result of ours.

    The outcome of a stream is known once it has ended. Of an SDK's `.stream()` helper the stream itself is asked, not the object it puts
    together.
    """
    for held in (result, getattr(result, _HELD_STREAM, None)):
        entry = _known.get(id(held))
        if entry is not None and entry[0]() is held:
            told = entry[1]
            return told if isinstance(told, Outcome) else told(held)
    for name in ("outcome", "__resilient_outcome__"):
        outcome = getattr(result, name, None)
        if isinstance(outcome, Outcome):
            return outcome
    return _in_metadata(cast("Mapping[str, Any]", result)) if isinstance(result, dict) else None


def _in_metadata(answer: Mapping[str, Any]) -> Outcome | None:
    """What stands among the headers of an answer of boto3."""
    metadata = answer.get("ResponseMetadata")
    headers = cast("Mapping[str, Any]", metadata).get("HTTPHeaders") if isinstance(metadata, dict) else None
    if isinstance(headers, dict):
        for value in cast("Mapping[str, Any]", headers).values():
            if isinstance(value, OutcomeHeader):
                return value.outcome()
    return None


def remember(result: object, outcome: Outcome | Callable[[Any], Outcome | None] | None) -> None:
    """Makes `outcome` (or what it returns for `result` when it is asked for) the answer of `outcome_of(result)`, as long as `result` lives.

    `result` stays as it is. An object that takes no weak reference (a string, a tuple) cannot be remembered.
    """
    if outcome is None:
        return
    key = id(result)
    try:
        reference = weakref.ref(result, partial(_known.pop, key))
    except TypeError:
        return
    _known[key] = (reference, outcome)


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """The whole history as plain data that JSON has a form for."""
    document = asdict(outcome)
    for name in ("attempts", "skipped", "flags"):
        document[name] = list(document[name])
    for attempt in document["attempts"]:
        attempt["kind"] = None if attempt["kind"] is None else attempt["kind"].value
    return {**document, "cost": outcome.cost}
