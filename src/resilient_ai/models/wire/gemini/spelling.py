"""Field names in one spelling: Google's JSON takes `systemInstruction` and `system_instruction` alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import JSON
from resilient_ai.models.wire.shape import items, mapping

_BREAK: Final = re.compile(r"_([a-z0-9])")


def camel(fields: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """`fields` with their names in camel case, one level deep. The same object where they are."""
    if not any("_" in name for name in fields):
        return fields
    return {_BREAK.sub(lambda found: found[1].upper(), name): value for name, value in fields.items()}


def camel_object(value: JSON, where: str) -> Mapping[str, JSON]:
    """The object, its field names in camel case; null is the empty one."""
    return camel(mapping(value, where))


def camel_items(value: JSON, where: str) -> list[Mapping[str, JSON]]:
    """The objects of a list, their field names in camel case. A single object stands for a list of one."""
    if isinstance(value, Mapping):
        return [camel(value)]
    return [camel(item) for item in items(value, where)]
