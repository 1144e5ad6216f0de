from __future__ import annotations

import json
import tomllib
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resilient_ai.config.toml_lines import KeyPath, toml_lines


def paths_of(value: object, at: KeyPath = ()) -> set[KeyPath]:
    """Every place in a parsed document."""
    found: set[KeyPath] = {at} if at else set()
    if isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            found |= paths_of(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(cast("list[object]", value)):
            found |= paths_of(inner, (*at, index))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb = 2\n", {("a",): 1, ("b",): 2}),
        ("# a = 1\n\na = 1 # b = 2\n", {("a",): 3}),
        ("a.b.c = 1", {("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 1}),
        ("a . b = 1", {("a",): 1, ("a", "b"): 1}),
        ("'a.b' = 1\n\"c\\u0041\" = 2", {("a.b",): 1, ("cA",): 2}),
        ("\r\n[t]\r\na = 1\r\n", {("t",): 2, ("t", "a"): 3}),
        ("[a.b]\nc = 1\n[a]\nd = 2", {("a",): 3, ("a", "b"): 1, ("a", "b", "c"): 2, ("a", "d"): 4}),
        ("[ a . 'b' ] # x\nc = 1", {("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 2}),
        ('a = """\n[x]\ny = 1\n"""\nb = 1', {("a",): 1, ("b",): 5}),
        ('a = """""" \nb = """"q"""" \nc = """\\""" \n"""\nd = 1', {("a",): 1, ("b",): 2, ("c",): 3, ("d",): 5}),
        ("a = '''it's\n'''''\nb = 1", {("a",): 1, ("b",): 3}),
        ('a = "# no \\" comment"\nb = \'"\'', {("a",): 1, ("b",): 2}),
        ("a = [ # one\n 1,\n [2,\n  3], ]\nb = []", {
            ("a",): 1, ("a", 0): 2, ("a", 1): 3, ("a", 1, 0): 3, ("a", 1, 1): 4, ("b",): 5,
        }),
        ("a = { b = 1, c.d = '}', e = [{ f = 1 }] }", {
            ("a",): 1, ("a", "b"): 1, ("a", "c"): 1, ("a", "c", "d"): 1, ("a", "e"): 1, ("a", "e", 0): 1,
            ("a", "e", 0, "f"): 1,
        }),
        ("[[a]]\nb = 1\n[a.c]\nd = 1\n[[a]]\n[[a.e]]\nf = 1", {
            ("a",): 1, ("a", 0): 1, ("a", 0, "b"): 2, ("a", 0, "c"): 3, ("a", 0, "c", "d"): 4,
            ("a", 1): 5, ("a", 1, "e"): 6, ("a", 1, "e", 0): 6, ("a", 1, "e", 0, "f"): 7,
        }),
        ("a = 1979-05-27 07:32:00 # when\nb = +1_0.5e1\nc = true", {("a",): 1, ("b",): 2, ("c",): 3}),
        ("", {}),
    ],
)  # fmt: skip
def test_every_key_is_found_on_its_line(text: str, expected: dict[KeyPath, int]) -> None:
    assert toml_lines(text) == expected
    assert set(expected) == paths_of(tomllib.loads(text))


KEYS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=6)
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
SCALARS = st.one_of(st.integers(-99, 99), st.booleans(), TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4)


def written(value: object) -> str:
    """`value` as TOML on as few lines as it goes; a list breaks its lines and carries comments."""
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value).items()
        return "{ " + ", ".join(f"{json.dumps(key)} = {written(inner)}" for key, inner in pairs) + " }"
    if isinstance(value, list):
        return (
            "[ # ]\n" + "".join(f"  {written(inner)}, # [{{\n" for inner in cast("list[object]", value)) + "]"
        )
    return json.dumps(value)


@settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # how fast the machine is proves nothing here
@given(TABLES)
def test_what_is_found_is_what_the_parser_finds(tables: dict[str, dict[str, object]]) -> None:
    text = ""
    expected_lines: dict[KeyPath, int] = {}
    for name, table in tables.items():
        expected_lines[(name,)] = text.count("\n") + 1
        text += f"[{json.dumps(name)}] # '\n\n"
        for key, value in table.items():
            expected_lines[(name, key)] = text.count("\n") + 1
            text += f"{json.dumps(key)} = {written(value)}\n"
    lines = toml_lines(text)
    assert set(lines) == paths_of(tomllib.loads(text))
    assert {key: lines[key] for key in expected_lines} == expected_lines
