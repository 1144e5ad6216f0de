"""What an error body says beyond its status, in the words each provider uses for it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, Literal, TypeAlias

Meaning: TypeAlias = Literal["quota", "context", "filter", "overloaded"]

_MESSAGES: Final[dict[Meaning, str]] = {
    "quota": "You exceeded your current quota, please check your plan and billing details.",
    "context": "The prompt is too long: it has more tokens than this model's context allows.",
    "filter": "The request was blocked by the content policy.",
    "overloaded": "The model is overloaded, please try again later.",
}


def message_for(status: int, meaning: Meaning | None) -> str:
    """A sentence a provider might send."""
    if meaning is not None:
        return _MESSAGES[meaning]
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Error"
    return f"{phrase} (injected by the fault server)."
