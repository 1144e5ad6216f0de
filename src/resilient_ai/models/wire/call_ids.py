"""Identifiers of calls as Anthropic and Bedrock take them: of few characters, and no two alike in one conversation."""

from __future__ import annotations

import re
from typing import Final, final

from resilient_ai.models.wire.identifiers import call_id

_TAKEN: Final = re.compile(r"[a-zA-Z0-9_-]+")
"""Source: https://platform.claude.com/docs/en/api/messages, `tool_use.id`; Bedrock takes a few characters more."""


@final
class CallIds:
    """The calls of one conversation, in the order they are written.

    Other servers use more characters (`functions.look:0`) or number the calls of each answer anew.
    """

    __slots__ = ("_latest", "_used")

    def __init__(self) -> None:
        self._latest: dict[str, str] = {}  # as told -> as written, the nearest call before
        self._used: set[str] = set()

    def called(self, told: str) -> str:
        """The identifier to write for a call."""
        written = told
        if _TAKEN.fullmatch(told) is None or told in self._used:
            written = call_id(told, len(self._used))
        self._used.add(written)
        self._latest[told] = written
        return written

    def answered(self, told: str) -> str:
        """The identifier to write for the result of a call."""
        return self._latest.get(told, told)
