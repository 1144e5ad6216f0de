"""Plain data as YAML: as much of it as rule files need, so that writing them takes no package.

Text is written as JSON writes it, which YAML reads the same; text of several lines as a literal block, which people read better.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Plain: TypeAlias = "str | int | float | Sequence[Plain] | Mapping[str, Plain]"


def yaml_text(document: Plain, *, head: str = "") -> str:
    """`document` as a YAML file that begins with the comment `head`."""
    comment = "".join(f"# {line}\n" for line in head.splitlines())
    return comment + "\n".join(_lines(document)) + "\n"


def _lines(value: Plain) -> list[str]:
    """A mapping or a sequence, one line after another, beginning at the margin."""
    found: list[str] = []
    if isinstance(value, Mapping):
        for key, inner in value.items():
            found += _entry(f"{key}:", inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for inner in value:
            lines = _entry("-", inner) if _is_scalar(inner) else _lines(inner)
            found += lines if _is_scalar(inner) else [f"- {lines[0]}", *_indented(lines[1:])]
    else:
        raise TypeError("a YAML file holds a mapping or a sequence")
    return found


def _entry(lead: str, value: Plain) -> list[str]:
    if isinstance(value, str):
        if "\n" in value:
            return [f"{lead} |-", *_indented(value.split("\n"))]
        return [f"{lead} {json.dumps(value, ensure_ascii=False)}"]
    if isinstance(value, int | float):
        return [f"{lead} {json.dumps(value)}"]
    if not value:
        return [f"{lead} {'{}' if isinstance(value, Mapping) else '[]'}"]
    return [lead, *_indented(_lines(value))]


def _is_scalar(value: Plain) -> bool:
    return isinstance(value, str | int | float)


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" if line else line for line in lines]
