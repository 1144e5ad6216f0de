"""Who answered, for whatever a caller holds of a call."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from resilient_ai.messages import Outcome

_known: Final[dict[int, tuple[weakref.ref[object], Outcome | Callable[[], Outcome | None]]]] = {}
"""By identity: the objects of an SDK define equality but no hash, and must not be changed to hold what is ours."""

_HELD_STREAM: Final = "_raw_stream"
"""Where the `.stream()` helpers of openai and anthropic keep the stream they read."""


def outcome_of(result: object) -> Outcome | None:
    """How the call went that gave `result`: a reply, a stream, an exception, or an object of a wrapped SDK. None if it is no result of ours.

    The outcome of a stream is known once it has ended. Of an SDK's `.stream()` helper the stream itself is asked, not the object it puts
    together.
    """
    for held in (result, getattr(result, _HELD_STREAM, None)):
        entry = _known.get(id(held))
        if entry is not None and entry[0]() is held:
            told = entry[1]
            return told if isinstance(told, Outcome) else told()
    for name in ("outcome", "__resilient_outcome__"):
        outcome = getattr(result, name, None)
        if isinstance(outcome, Outcome):
            return outcome
    return None


def remember(result: object, outcome: Outcome | Callable[[], Outcome | None] | None) -> None:
    """Makes `outcome` (or what it returns when it is asked for) the answer of `outcome_of(result)`, as long as `result` lives.

    `result` stays as it is. An object that takes no weak reference (a string, a tuple) cannot be remembered.
    """
    if outcome is None:
        return
    key = id(result)
    try:
        reference = weakref.ref(result, lambda _: _known.pop(key, None))
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
