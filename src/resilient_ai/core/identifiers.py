"""What of a provider's answer may be repeated in records and events: names, codes and identifiers, never sentences."""

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
