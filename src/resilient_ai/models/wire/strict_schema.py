"""JSON Schemas as the strict mode of OpenAI's formats takes them: a part of the language, every object closed, every field required.

What is outside of that part is a 400, not a weaker promise, so a schema that does not fit is sent without strictness: the answer is
validated here all the same.

Source: OpenAI's guide to structured outputs, "Supported schemas", read in November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from resilient_ai.messages import JSON, OutputSchema

_KEPT: Final = frozenset(
    (
        *("type", "enum", "const", "title", "description", "pattern", "$ref"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems"),
    )
)
_REMARKS: Final = frozenset(
    ("$schema", "$id", "default", "examples", "deprecated", "readOnly", "writeOnly", "discriminator")
)
"""What says nothing of what an answer may be; not permitted, and left out."""
_FORMATS: Final = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
)


def strictly(schema: OutputSchema) -> tuple[Mapping[str, JSON] | None, bool]:
    """The schema to send, and whether it can be held strictly to."""
    if schema.schema is None or not schema.strict:
        return schema.schema, False
    if schema.schema.get("type") != "object":  # the top has to be one, by itself
        return schema.schema, False
    try:
        return _strict(schema.schema), True
    except _BeyondError:
        return schema.schema, False


class _BeyondError(Exception):
    """The schema says something that strict mode has no word for."""


def _strict(schema: Mapping[str, JSON]) -> dict[str, JSON]:
    if "$ref" in schema:  # nothing may stand beside it
        return {"$ref": schema["$ref"]}
    written: dict[str, JSON] = {}
    for key, value in schema.items():
        if key in _KEPT or (key == "format" and value in _FORMATS):
            written[key] = value
        elif key in ("properties", "$defs") and isinstance(value, Mapping):
            written[key] = {name: _inner(inner) for name, inner in value.items()}
        elif key == "items":
            written[key] = _inner(value)
        elif key in ("anyOf", "oneOf") and isinstance(value, (list, tuple)):
            written["anyOf"] = [_inner(option) for option in value]
        elif key not in _REMARKS and key not in ("required", "additionalProperties"):
            raise _BeyondError
    if schema.get("type") == "object":
        if schema.get("additionalProperties") or "properties" not in schema:
            raise _BeyondError  # keys that nobody knows beforehand
        written["required"] = list(written["properties"]) if isinstance(written["properties"], dict) else []
        written["additionalProperties"] = False
    return written


def _inner(schema: JSON) -> JSON:
    if not isinstance(schema, Mapping):
        raise _BeyondError  # `true`: anything at all
    return _strict(schema)
