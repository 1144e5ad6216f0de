"""JSON Schema as Gemini takes it, and the dialect of OpenAPI it took before.

Source: https://ai.google.dev/api/generate-content, `responseJsonSchema` and `Schema`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from resilient_ai.messages import JSON

_KEPT: Final = frozenset(
    (
        "$id",
        "$ref",
        "$anchor",
        "type",
        "format",
        "title",
        "description",
        "enum",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "required",
        "propertyOrdering",
    )
)
_NESTED: Final = frozenset(("properties", "$defs"))
_LISTED: Final = frozenset(("anyOf", "oneOf", "prefixItems"))
_TYPES: Final = frozenset(("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"))
_COUNTS: Final = frozenset(
    ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
)


def known_schema(schema: Mapping[str, JSON]) -> dict[str, JSON]:
    """`schema` without the keywords Gemini does not know, which it would ignore or refuse. Beside `$ref` it takes nothing else."""
    if "$ref" in schema:
        schema = {key: value for key, value in schema.items() if key.startswith("$")}
    written: dict[str, JSON] = {}
    for key, value in schema.items():
        if key in _KEPT:
            written[key] = value
        elif key == "const":
            written["enum"] = [value]
        elif key in _NESTED and isinstance(value, Mapping):
            written[key] = {name: _any(inner) for name, inner in value.items()}
        elif key in {"items", "additionalProperties"}:
            written[key] = _any(value)
        elif key in _LISTED and isinstance(value, (list, tuple)):
            written[key] = [_any(inner) for inner in value]
    return written


def _any(schema: JSON) -> JSON:
    return known_schema(schema) if isinstance(schema, Mapping) else schema


def from_openapi(schema: JSON) -> JSON:
    """A schema of Gemini's older dialect as JSON Schema: types in lower case, `nullable` as a type, counts as numbers."""
    if not isinstance(schema, Mapping):
        return schema
    written: dict[str, JSON] = {}
    for key, value in schema.items():
        if key == "properties" and isinstance(value, Mapping):
            written[key] = {name: from_openapi(inner) for name, inner in value.items()}
        elif key == "items":
            written[key] = from_openapi(value)
        elif key in {"anyOf", "any_of"} and isinstance(value, (list, tuple)):
            written["anyOf"] = [from_openapi(inner) for inner in value]
        elif key == "type" and isinstance(value, str) and value in _TYPES:
            written[key] = value.lower()
        elif key in _COUNTS and isinstance(value, str) and value.isdigit():
            written[key] = int(value)
        elif key != "nullable":
            written[key] = value
    told = written.get("type")
    if schema.get("nullable") is True and isinstance(told, str):
        written["type"] = [told, "null"]
    return written
