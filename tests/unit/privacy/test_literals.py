"""Many words in one pass, by either engine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_ai.privacy import Redactor, labelled, literals, spoken
from resilient_ai.privacy import context as in_context
from resilient_ai.privacy.literals import Literals

if TYPE_CHECKING:
    from collections.abc import Iterator

re2 = pytest.importorskip("re2")

ANYWHERE = ("pass", "passport", "port", "key", "n\xe9e")
BEGINNING = ("id", "passe", "n\xe9", "keys")
PIECES = st.sampled_from(
    (
        *ANYWHERE,
        *BEGINNING,
        " ",
        "-",
        "x",
        "9",
        "\xe9",
        "passpor",
        "id ",
        "filler " * 300,
        "token: ",
        "born on 3 May 1961 ",
    )
)
MANY = tuple(f"never{number}" for number in range(80))
TABLES = (labelled.LABELS, spoken.WORDS, in_context.LABELS)


@pytest.fixture
def without_re2(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Literals used in this test find their words one by one; those of the package are compiled anew before and after."""

    def forget() -> None:
        for table in TABLES:
            vars(table).pop("_automaton", None)

    def no_automaton(pattern: bytes) -> None:
        """Stand for an installation without re2."""

    forget()
    monkeypatch.setattr(literals, "_automaton", no_automaton)
    yield
    forget()


def by_re(words: Literals, text: bytes, start: int, end: int) -> list[tuple[int, bytes]]:
    pattern = re.compile(words.pattern)
    return [(found.start(), found.group()) for found in pattern.finditer(text, start, end)]


@given(st.lists(PIECES, max_size=30), st.integers(0, 50), st.integers(0, 5000))
def test_both_engines_find_the_same_words_at_the_same_places(
    pieces: list[str], start: int, length: int
) -> None:
    text = "".join(pieces).encode("latin-1")
    end = min(len(text), start + length)
    for words in (Literals(ANYWHERE, BEGINNING), Literals((*ANYWHERE, *MANY), BEGINNING)):
        assert list(words.find(text, start, end)) == by_re(words, text, start, end)


def test_the_longest_word_wins_and_one_that_counts_anywhere_comes_before_one_that_begins() -> None:
    words = Literals(ANYWHERE, BEGINNING)
    assert [word for _, word in words.find(b"passport keys xid id")] == [b"passport", b"key", b"id"]


def test_words_farther_apart_than_a_window_are_all_found() -> None:
    text = b" ".join([b"key", b"x" * 3000, b"key", b"y" * 1020, b"passport", b"z" * 1023, b"id"])
    assert [word for _, word in Literals(ANYWHERE, BEGINNING).find(text)] == [
        b"key",
        b"key",
        b"passport",
        b"id",
    ]


@given(text=st.lists(PIECES, max_size=20).map("".join))
@pytest.mark.usefixtures("without_re2")
def test_redaction_is_the_same_with_and_without_re2(text: str) -> None:
    plain = [Redactor("text").spans(text), Redactor("machine").spans(text)]
    for table in TABLES:
        vars(table)["_automaton"] = _compiled_by_re2(table)
    assert [Redactor("text").spans(text), Redactor("machine").spans(text)] == plain
    for table in TABLES:
        vars(table).pop("_automaton")


def _compiled_by_re2(table: Literals) -> object:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(table.pattern, options)
