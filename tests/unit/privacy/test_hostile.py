"""No input makes redaction slow: the work grows with the text and not with its square."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from typing import TYPE_CHECKING, cast

import pytest

import resilient_ai.privacy
from resilient_ai.privacy import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator

UNITS = (
    "a.", "@", "a@", "a@b.cc ", "1", "1 ", "123 ", "DE89", "DE89 ", "sk-", "glpat-", "eyJ", "eyJabcdefgh.", "key=",
    'password="', "password: ", "password is ", "--pass ", "-----BEGIN PRIVATE KEY-----", "://", "://a:",
    "http://a:bbbb ", "%41", "%2541", "&#64;", "&amp;", "\\u0040", "\uff11", "\u200b", "a\u200b", "[", '{"a":',
    "id ", " id 12 ", ":", "a:", "1.", "1.1.1.", "+", "+1", "(", "phone ", "phone: 1 ", "a at b dot ", "-", "<EMAIL>",
    "aB3/xZ9+", "<", "%25", "&#x41;", "\\u0041", "born ", "passport: ", "plate: A1 ", "BIC: ", "username is ", "passw ", "token: ",
    "May 3 1961 ", "00-00-00 ", "000000 ", "A1", "0.0.0.0 ", "h:h:", "e0c6.daca.", "1HGCM82633A004352 ", "GB29 NWBK ", " -u a:b ",
    "curl", "Private-Lines: 1\n", "123456789:AA", "MTk4.", "756.", "(1) ", "0x1", '{\\"a\\":', "[[", "a (at) b ", "\xad", "\u0661", "0123456789abcdef", "\\", '"', "secret:{", "born on ", "ABCDE1234", "cookie: a; ", "account 123456 ",
    "12-34-", "\U0001f600", "\ud800", "\0", "AAAA0000", "AccountKey=", "hooks.slack.com/", "token=<", "'", "ghp_",
)  # fmt: skip


def steps(redactor: Redactor, text: str) -> int:
    """Return the number of calls, of Python functions and of C functions, that redacting `text` takes."""
    count = 0

    def observe(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(observe)
    try:
        redactor.text(text)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
@pytest.mark.parametrize("profile", ["text", "machine"])
def test_twice_the_text_is_at_most_about_twice_the_work(unit: str, profile: str) -> None:
    redactor = Redactor("text" if profile == "text" else "machine", max_chars=10_000_000)
    small, large = (steps(redactor, (unit * size)[:size]) for size in (6_000, 24_000))
    assert large <= 6 * small + 2_000
    assert large <= 24_000 * 12
    assert redactor.errors == 0


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_a_document_of_nothing_else_is_finished_without_error(unit: str) -> None:
    redactor = Redactor("text", key=b"k")
    redactor.text((unit * 80_000)[:80_000])
    assert redactor.errors == 0


def test_ten_megabytes_are_finished_in_both_profiles() -> None:
    text = "All went well, and then some more. " * 285_000 + "said ann@example.com"
    assert "ann@" not in Redactor("text").text(text)
    assert Redactor("machine").text(text).endswith(">")


def patterns() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    for module in pkgutil.iter_modules(resilient_ai.privacy.__path__, "resilient_ai.privacy."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                yield f"{module.name}.{name}", cast("re.Pattern[str]", value)


@pytest.mark.parametrize(
    ("name", "pattern"), list(patterns()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_no_pattern_repeats_what_may_itself_repeat_without_bound(name: str, pattern: re.Pattern[str]) -> None:
    """The shape behind every catastrophic pattern; a possessive repeat cannot backtrack into itself."""
    parser = importlib.import_module("re._parser")
    endless = parser.MAXREPEAT

    def unbounded_inside(node: object, *, inside: bool) -> bool:
        for operation, argument in cast("list[tuple[object, object]]", node):
            if str(operation) in {"MAX_REPEAT", "MIN_REPEAT"}:
                _, most, inner = cast("tuple[int, int, object]", argument)
                if inside and most == endless:
                    return True
                if unbounded_inside(inner, inside=inside or most == endless):
                    return True
            elif str(operation) == "SUBPATTERN":
                if unbounded_inside(cast("tuple[object, ...]", argument)[-1], inside=inside):
                    return True
            elif str(operation) == "BRANCH":
                branches = cast("tuple[object, list[object]]", argument)[1]
                if any(unbounded_inside(branch, inside=inside) for branch in branches):
                    return True
        return False

    assert not unbounded_inside(parser.parse(pattern.pattern, pattern.flags), inside=False), name
