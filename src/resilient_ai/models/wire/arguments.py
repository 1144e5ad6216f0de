"""Arguments of tool calls: text in the vocabulary and in OpenAI's formats, objects in all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic_core import from_json

from resilient_ai.messages import JSON
from resilient_ai.models.wire.shape import arguments_text

INVALID_JSON: Final = "INVALID_JSON"
"""The one key of an object around text that is none: what a model wrote survives a format that knows only objects.

Source: https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming, which advises this key.
"""


def object_of(arguments: str) -> Mapping[str, JSON]:
    """The arguments as an object. No text at all is an empty one; what is no object is wrapped."""
    try:
        value: JSON = from_json(arguments.encode("utf-8", "surrogatepass") or b"{}", allow_inf_nan=False)
    except ValueError:
        return {INVALID_JSON: arguments}
    return value if isinstance(value, dict) else {INVALID_JSON: arguments}


def text_of(value: JSON, where: str) -> str:
    """The arguments as text, taken out of its wrapping; none at all are an empty object.

    Raises:
        Malformed: They are neither an object nor text.
    """
    if isinstance(value, Mapping) and len(value) == 1:
        wrapped = value.get(INVALID_JSON)
        if isinstance(wrapped, str):
            return wrapped
    return "{}" if value is None else arguments_text(value, where)
