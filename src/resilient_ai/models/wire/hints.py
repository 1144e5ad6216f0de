"""Parameters that change what an answer costs and not what it says: left out of other formats without a word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import JSON

CACHE_CONTROL: Final = "cache_control"
"""Anthropic's mark of where a prompt is to be cut for the cache."""

CACHE_HINTS: Final = "cache_control_at"
"""Field of `Request.extra`: those marks, by `message.part` or `tools.name`, which the parts themselves have no place for."""

_HINTS: Final = frozenset((CACHE_CONTROL, CACHE_HINTS))


def lost(extra: Mapping[str, JSON]) -> list[str]:
    """The names in `extra` that a hop must tell it dropped."""
    return sorted(extra.keys() - _HINTS)
