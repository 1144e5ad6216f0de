"""Invents the identifiers that one wire format wants and another does not have."""

from __future__ import annotations

import hashlib
import itertools
from typing import Final

from resilient_ai.core.clock import Clock

_CALL_ID_LENGTH: Final = 24
"""With `call_` in front it stays below 40 characters, the most OpenAI takes for a `tool_call_id`."""

_counter: Final = itertools.count(1)


def call_id(*parts: object) -> str:
    """An identifier of a tool call, the same for the same parts (an answer's id, the call's place, its name)."""
    text = "\0".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return "call_" + hashlib.sha256(text).hexdigest()[:_CALL_ID_LENGTH]


def answer_id(prefix: str, clock: Clock) -> str:
    """An identifier of an answer we render ourselves: unique in this process, ordered by time."""
    return f"{prefix}{int(clock.wall() * 1e6):x}{next(_counter):04x}"
