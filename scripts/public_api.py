"""Writes api.txt: every public name with its signature and defaults, so that a change to the surface is seen in a diff.

Run: python scripts/public_api.py --write
"""

from __future__ import annotations

import argparse
import enum
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGES = (
    "resilient_ai",
    "resilient_ai.models",
    "resilient_ai.testing",
    "resilient_ai.privacy",
    "resilient_ai.telemetry",
    "resilient_ai.config",
    "resilient_ai.frameworks.langchain",
    "resilient_ai.frameworks.llama_index",
    "resilient_ai.frameworks.pydantic_ai",
)
PAGE = Path(__file__).parents[1] / "api.txt"


def lines() -> Iterator[str]:
    """The surface, one line a name or member."""
    for package in PACKAGES:
        module = importlib.import_module(package)
        names = getattr(module, "__all__", None)
        if names is None:
            continue
        yield f"[{package}]"
        for name in sorted(names):
            yield from _described(name, getattr(module, name))
        yield ""


def _described(name: str, value: object) -> Iterator[str]:
    if inspect.isclass(value):
        if issubclass(value, enum.Enum):
            yield f"class {name}(enum)"
            for option in value:
                yield f"    {name}.{option.name} = {option.value!r}"
            return
        if "frameworks" in value.__module__ and hasattr(value, "model_fields"):
            yield f"class {name}"
            yield from _fields(name, value)
        else:
            yield f"class {name}{_signature(value)}"
        for member, found in sorted(_members(value).items()):
            if isinstance(found, property):
                yield f"    {name}.{member}: property"
            elif isinstance(found, (classmethod, staticmethod)):
                kind = "classmethod" if isinstance(found, classmethod) else "staticmethod"
                yield f"    {kind} {name}.{member}{_signature(getattr(value, member))}"
            elif inspect.isfunction(found):
                yield f"    {name}.{member}{_signature(found)}"
    elif callable(value):
        yield f"def {name}{_signature(value)}"
    else:
        yield f"{name}: {type(value).__name__}"


def _members(value: type) -> dict[str, object]:
    """The public members of a class, with those of its bases that are ours; a foreign base's change with its package."""
    found: dict[str, object] = {}
    for base in reversed(value.__mro__):
        if base.__module__.partition(".")[0] == "resilient_ai":
            found |= {member: what for member, what in vars(base).items() if not member.startswith("_")}
    return found


def _fields(name: str, model: Any) -> Iterator[str]:
    """The fields that a framework's model adds; those it inherits are the framework's, and change with it."""
    for field, annotation in inspect.get_annotations(model).items():
        if field in model.model_fields:
            told = model.model_fields[field]
            default = "" if told.is_required() else f" = {told.default!r}"
            yield f"    {name}.{field}: {annotation}{default}"


def _signature(value: object) -> str:
    try:
        text = str(inspect.signature(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return "(...)"
    text = re.sub(r"<factory>|<object object at 0x[0-9a-f]+>", "...", text)
    text = re.sub(r" at 0x[0-9a-f]+", "", text)
    # Annotations are kept as text by the modules; the quotes around them say nothing.
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)


def main() -> int:
    """Writes or checks api.txt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    text = "\n".join(lines())
    if parser.parse_args().write:
        PAGE.write_text(text)
        return 0
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
