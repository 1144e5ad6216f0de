"""The part of JSON Schema that Anthropic decodes against.

Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import JSON
from resilient_ai.models.wire.jsonbody import encode

_KEPT: Final = frozenset(("$ref", "type", "enum", "const", "title", "description", "required", "default"))
_NESTED: Final = frozenset(("properties", "$defs", "definitions"))
_LISTED: Final = frozenset(("anyOf", "allOf"))
_FORMATS: Final = frozenset(
    (
        "date-time",
        "time",
        "date",
        "duration",
        "email",
        "hostname",
        "uri",
        "ipv4",
        "ipv6",
        "uuid",
    )
)
_SILENT: Final = frozenset(("$schema", "$id", "additionalProperties"))


def closed_schema(schema: Mapping[str, JSON]) -> dict[str, JSON] | None:
    """`schema` as Anthropic takes it: every object closed, constraints it cannot enforce moved into the description.

    None if it holds an object with keys that nobody knows beforehand: closed, it could only ever be empty.
    """
    try:
        return _closed(schema)
    except _OpenObjectError:
        return None


class _OpenObjectError(Exception):
    pass


def _closed(schema: Mapping[str, JSON]) -> dict[str, JSON]:
    written: dict[str, JSON] = {}
    beyond: dict[str, JSON] = {}
    for key, value in schema.items():
        if key in _KEPT or (key == "minItems" and value in (0, 1)) or (key == "format" and value in _FORMATS):
            written[key] = value
        elif key in _NESTED and isinstance(value, Mapping):
            written[key] = {name: _any(inner) for name, inner in value.items()}
        elif key == "items":
            written[key] = _any(value)
        elif (key in _LISTED or key == "oneOf") and isinstance(value, (list, tuple)):
            written["anyOf" if key == "oneOf" else key] = [_any(inner) for inner in value]
        elif key not in _SILENT:
            beyond[key] = value
    if schema.get("type") == "object":
        if not schema.get("properties") and schema.get("additionalProperties") is not False:
            raise _OpenObjectError
        written["additionalProperties"] = False
    if beyond:
        before = schema.get("description")
        told = f"Must also satisfy {encode(beyond).decode()}"
        written["description"] = f"{before} {told}" if isinstance(before, str) else told
    return written


def _any(schema: JSON) -> JSON:
    return _closed(schema) if isinstance(schema, Mapping) else schema
