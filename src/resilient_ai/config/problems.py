"""Says what pydantic found wrong so that the author of the file can mend it: where, what, and the nearest right name.

The text never repeats a value of the file, because any of them may turn out to be a key in the wrong place. It names keys,
bounds and what may stand there instead.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, cast

from resilient_ai.config.read import Source, dotted_key
from resilient_ai.config.toml_lines import KeyPath
from resilient_ai.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_KEY_MARK: Final = "[key]"
"""What pydantic appends to the place of a problem with a key instead of its value."""

_EXPECTED: Final = {
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "dict_type": "expected a table",
    "list_type": "expected a list",
    "string_too_short": "expected text that is not empty",
    "too_short": "expected a list that is not empty",
}
_BOUNDS: Final = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `name`, or None if none is like it."""
    found = difflib.get_close_matches(name.lower(), list(candidates), 1)
    return found[0] if found else None


def problems_of(error: ValidationError, source: Source) -> list[ConfigError]:
    """Every problem of a file, in the order of its lines."""
    problems = [
        _problem(one, source)
        for one in error.errors(include_url=False, include_input=True, include_context=True)
    ]
    return sorted(problems, key=lambda problem: problem.line or 0)


def _problem(error: ErrorDetails, source: Source) -> ConfigError:
    key: KeyPath = error["loc"]
    about_key = bool(key) and key[-1] == _KEY_MARK
    if about_key:
        key = key[:-1]
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return _unknown_key(key, source)
        case "missing":
            missing = key[-1]
            return source.error(f"`{missing}` is missing.", key[:-1])
        case "literal_error" if about_key:
            return _unknown_key(key, source)
        case "literal_error" if key == ("version",):
            return source.error("this release reads version 1.", key)
        case "literal_error":
            return _not_a_choice(key, error["input"], source)
        case "string_pattern_mismatch":
            what = "a name" if about_key or "models" in key else "text"
            return source.error(f"expected {what} that matches {context['pattern']}", key)
        case "value_error":
            return source.error(f"{context['error']}.", key)
        case kind if kind in _BOUNDS:
            name, words = _BOUNDS[kind]
            return source.error(f"is {error['input']:g}, must be {words} {context[name]:g}.", key)
        case kind:
            return source.error(f"{_EXPECTED.get(kind, 'not a valid value')}.", key)


def _unknown_key(key: KeyPath, source: Source) -> ConfigError:
    wrong = str(key[-1])
    table = _table_at(key[:-1])
    names = _key_names(table)
    suggestion = nearest(wrong, names)
    if suggestion is None:
        # A key that is right in a table below: `attempts` beside `retry`.
        homes = [name for name in names if wrong in _key_names(_table_at((*key[:-1], name)))]
        suggestion = f"{homes[0]}.{wrong}" if homes else None
    if suggestion is not None:
        return source.error("unknown key.", key, suggestion=suggestion)
    where = dotted_key(key[:-1]) or "the file"
    known = f"the keys of {where} are: {', '.join(names)}." if names else f"{where} has no keys."
    return source.error(f"unknown key; {known}", key)


def _not_a_choice(key: KeyPath, value: object, source: Source) -> ConfigError:
    choices = [str(choice) for choice in cast("list[object]", _table_at(key).get("enum", []))]
    suggestion = nearest(value, choices) if isinstance(value, str) else None
    return source.error(f"expected one of {', '.join(choices)}.", key, suggestion=suggestion)


@functools.cache
def _schema() -> Mapping[str, object]:
    from resilient_ai.config.schema import FILE

    return FILE.json_schema()


def _table_at(key: KeyPath) -> Mapping[str, object]:
    """The part of the JSON Schema that describes what stands at `key`; empty if there is none."""
    node = _schema()
    for part in key:
        node = _deref(node)
        if isinstance(part, int):
            child = node.get("items")
        else:
            child = _mapping(node.get("properties")).get(part)
            if child is None:
                patterns = _mapping(node.get("patternProperties"))
                child = next(iter(patterns.values()), node.get("additionalProperties"))
        node = _mapping(child)
    return _deref(node)


def _key_names(table: Mapping[str, object]) -> list[str]:
    names = list(_mapping(table.get("properties")))
    return names or [
        str(name) for name in cast("list[object]", _mapping(table.get("propertyNames")).get("enum", []))
    ]


def _deref(node: Mapping[str, object]) -> Mapping[str, object]:
    reference = node.get("$ref")
    if not isinstance(reference, str):
        return node
    return _mapping(_mapping(_schema()["$defs"])[reference.rpartition("/")[2]])


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}
