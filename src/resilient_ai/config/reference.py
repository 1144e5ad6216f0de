"""The settings of the configuration file as Markdown tables, made from the JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from resilient_ai.config.durations import format_duration
from resilient_ai.config.jsonschema import json_schema

_NAME: Final = "NAME"
_DURATION_EXAMPLE: Final = "20s"


def settings_markdown() -> str:
    """A heading and a table of keys for every table of the file, the outer ones first."""
    schema = json_schema()
    return "\n".join(_tables(schema, schema, "")).strip() + "\n"


def _tables(schema: dict[str, Any], table: dict[str, Any], path: str) -> Iterator[str]:
    if path:
        yield f"### `[{path}]`\n"
        yield f"{table['description']}\n"
        if table["properties"]:
            yield "| Key | Value | Default | Meaning |"
            yield "| --- | --- | --- | --- |"
            required: list[str] = table.get("required", [])
            for key, setting in table["properties"].items():
                default = "required" if key in required else _default(setting)
                yield f"| `{key}` | {_value(schema, setting)} | {default} | {_cell(setting['description'])} |"
            yield ""
    for key, setting in table["properties"].items():
        below = f"{path}.{key}" if path else key
        if "$ref" in setting:
            yield from _tables(schema, _referred(schema, setting), below)
        for pattern in setting.get("patternProperties", {}).values():
            yield from _tables(schema, _referred(schema, pattern), f"{below}.{_NAME}")


def _referred(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    name: str = node["$ref"].rpartition("/")[2]
    found: dict[str, Any] = schema["$defs"][name]
    return found


def _value(schema: dict[str, Any], node: dict[str, Any]) -> str:
    """What may stand there, in words."""
    if "$ref" in node:
        return "table"
    if "enum" in node:
        return ", ".join(f"`{choice}`" for choice in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    if _is_duration(node):
        return "duration"
    if "anyOf" in node:
        return "amount"
    match node.get("type"):
        case "integer":
            return f"whole number{_bounds(node)}"
        case "number":
            return f"number{_bounds(node)}"
        case "boolean":
            return "`true`, `false`"
        case "array":
            return f"list of: {_value(schema, node['items'])}"
        case "object" if "propertyNames" in node:
            kinds = ", ".join(f"`{kind}`" for kind in node["propertyNames"]["enum"])
            return f"table: {kinds} = {_value(schema, node['additionalProperties'])}"
        case "object":
            return "table"
        case _:
            return "`env:NAME`, `file:PATH`" if str(node.get("pattern", "")).startswith("^(env:") else "text"


def _is_duration(node: dict[str, Any]) -> bool:
    return _DURATION_EXAMPLE in node.get("examples", [])


def _bounds(node: dict[str, Any]) -> str:
    words = [
        f"above {node['exclusiveMinimum']:g}" if "exclusiveMinimum" in node else "",
        f"from {node['minimum']:g}" if "minimum" in node else "",
        f"to {node['maximum']:g}" if "maximum" in node else "",
    ]
    return "".join(f", {word}" for word in words if word)


def _default(node: dict[str, Any]) -> str:
    default = node.get("default")
    if default is None:
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if _is_duration(node):
        return format_duration(default)
    if isinstance(default, int):
        return f"{default:_}"
    return f"{default:g}" if isinstance(default, float) else f"`{default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
