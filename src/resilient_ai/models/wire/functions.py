"""Declared functions in the form that Ollama and Cohere took over from OpenAI: `{"type": "function", "function": {...}}`."""

from __future__ import annotations

from collections.abc import Mapping

from resilient_ai.messages import JSON, Tool
from resilient_ai.models.wire.shape import items, mapping, optional_string, string


def functions_among(
    value: JSON, *, strict: bool | None = None
) -> tuple[tuple[Tool, ...], list[Mapping[str, JSON]]]:
    """The functions, and what else stands among them, as it is.

    Args:
        value: The field `tools` of a request.
        strict: What the request says of all of them.

    Raises:
        Malformed: It is no list of objects, or a function lacks what it needs.
    """
    functions: list[Tool] = []
    foreign: list[Mapping[str, JSON]] = []
    for tool in items(value, "tools"):
        function = tool.get("function")
        if not isinstance(function, Mapping):
            foreign.append(tool)
            continue
        functions.append(
            Tool(
                name=string(function.get("name"), "tools.function.name"),
                description=optional_string(function.get("description"), "tools.function.description"),
                parameters=mapping(function.get("parameters"), "tools.function.parameters"),
                strict=strict,
            )
        )
    return tuple(functions), foreign
