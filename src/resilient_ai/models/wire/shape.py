"""Reads fields of decoded JSON by their type. What has another type than the format promises is `Malformed`.

`where` names a field, never its content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import JSON
from resilient_ai.models.wire import Malformed
from resilient_ai.models.wire.jsonbody import encode

USAGE_INVALID = "usage_invalid"
"""Flag: a token count was negative or no number; it is taken as unknown, so that it credits no budget."""


MOST_TOKENS: Final = 1_000_000_000
"""A count beyond this is a fault of the server, not a bill to believe: the largest windows hold about ten million."""


def string(value: JSON, where: str) -> str:
    """The string; null is the empty one."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise Malformed(f"{where} is not a string")


def optional_string(value: JSON, where: str) -> str | None:
    """The string, or None where there is none or an empty one."""
    return string(value, where) or None


def label(value: JSON) -> str:
    """An identifier or a name as text; whatever has no text is none. Nobody's answer is refused for how it is labelled."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def details(fields: Mapping[str, JSON], key: str) -> Mapping[str, JSON]:
    """The object under `key`; anything else is an empty one. For token counts, which must not cost an answer."""
    value = fields.get(key)
    return value if isinstance(value, Mapping) else {}


def mapping(value: JSON, where: str) -> Mapping[str, JSON]:
    """The object; null is the empty one."""
    if isinstance(value, Mapping):
        return value
    if value is None:
        return {}
    raise Malformed(f"{where} is not an object")


def items(value: JSON, where: str) -> list[Mapping[str, JSON]]:
    """The objects of a list; null is the empty list."""
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise Malformed(f"{where} is not a list")
    return [mapping(item, f"an entry of {where}") if item is not None else {} for item in value]


def boolean(value: JSON, where: str) -> bool | None:
    """The boolean, or None for null."""
    if value is None or isinstance(value, bool):
        return value
    raise Malformed(f"{where} is not a boolean")


def number(value: JSON, where: str) -> float | None:
    """The number, or None for null."""
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise Malformed(f"{where} is not a number")


def integer(value: JSON, where: str) -> int | None:
    """The whole number, or None for null."""
    found = number(value, where)
    if found is None or isinstance(found, int):
        return found
    if found.is_integer():
        return int(found)
    raise Malformed(f"{where} is not a whole number")


def count(fields: Mapping[str, JSON], key: str, flags: list[str]) -> int | None:
    """The number of tokens under `key`; None, and the flag `usage_invalid`, for anything that is none."""
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
        return value
    if USAGE_INVALID not in flags:
        flags.append(USAGE_INVALID)
    return None


def arguments_text(value: JSON, where: str) -> str:
    """A tool call's arguments as JSON text, for servers that send the object itself instead of text."""
    if isinstance(value, Mapping):
        return encode(value).decode()
    return string(value, where)


def present(fields: Mapping[str, JSON], known: frozenset[str]) -> dict[str, JSON]:
    """The fields outside `known` that are not null."""
    return {key: value for key, value in fields.items() if key not in known and value is not None}
