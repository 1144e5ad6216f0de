"""What of an answer or a request may be repeated in errors, records and events: names, codes and identifiers, never sentences."""

from __future__ import annotations

import re
from typing import Final

MAX_CHARACTERS: Final = 200
"""Longer than the identifiers and model names of any provider known; a sentence is mostly longer still."""

_IDENTIFIER: Final = re.compile(rf"[\w.:/@+~=#$%,;\\()\[\]-]{{1,{MAX_CHARACTERS}}}", re.ASCII)


def identifier(text: object) -> str | None:
    """`text`, if it can be a name, a code or an identifier; None if it is anything else, such as words of the conversation.

    A field that should hold an identifier holds what the provider put there, and some repeat their input.
    """
    return text if isinstance(text, str) and _IDENTIFIER.fullmatch(text) else None


def place(field: str) -> str:
    """`field` (`messages[0].content[1].file`) as far as it is made of names: what a caller gave as a type may be words of the conversation."""
    while identifier(field) is None:
        around, dot, _ = field.rpartition(".")
        if not dot:
            return "the request"
        field = around
    return field
