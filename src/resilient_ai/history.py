"""Who answered, for whatever a caller holds of a call."""

from __future__ import annotations

from resilient_ai.messages import Outcome


def outcome_of(result: object) -> Outcome | None:
    """How the call went that gave `result`: a reply, a stream, an exception, or an object of a wrapped SDK. None if it is no result of ours."""
    for name in ("outcome", "__resilient_outcome__"):
        outcome = getattr(result, name, None)
        if isinstance(outcome, Outcome):
            return outcome
    return None
