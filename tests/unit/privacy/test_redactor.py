"""The contract of the choke point: it never raises, never passes a raw value, and counts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resilient_ai.privacy import FAILED, KnownValues, Redactor, Secret, Span, redact, redact_log

if TYPE_CHECKING:
    from collections.abc import Iterable

# Seven values of which no two have a part in common with each other or with the alphabet of the noise.
PLANTED = (
    "ann.smith@example.com",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "078-05-1120",
    "sk-ant-api03-Zk4Q9bT7zLk2mN8xW3vRcHd",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "AKIA2E0A8F3B244C9986",
)
NOISE = st.text(
    alphabet=st.sampled_from("xyz ,;:.!?'\"()[]{}<>=&%\\/|\n\tÄß\u200b\u00ad日é<EMAIL>"), max_size=40
)


def test_clean_text_comes_back_as_the_same_object() -> None:
    text = "The model answered after two attempts."
    assert redact(text) is text


@given(before=NOISE, planted=st.sampled_from(PLANTED), after=NOISE)
@example(before="", planted=PLANTED[0], after="")
def test_a_planted_value_never_survives_whatever_stands_around_it(
    before: str, planted: str, after: str
) -> None:
    shown = redact(f"{before} {planted} {after}")
    assert planted not in shown
    assert planted[-8:] not in shown


@given(before=NOISE, planted=st.sampled_from(PLANTED), after=NOISE)
def test_redacting_twice_changes_nothing_in_either_profile(before: str, planted: str, after: str) -> None:
    for profile in (redact, redact_log):
        once = profile(f"{before}{planted}{after}")
        assert profile(once) == once


@given(st.text(max_size=200))
def test_any_text_at_all_is_accepted_and_stable(text: str) -> None:
    redactor = Redactor("text", key=b"k")
    once = redactor.text(text)
    assert redactor.text(once) == once
    assert redactor.errors == 0


@given(st.text(alphabet=st.characters(codec=None), max_size=60))
def test_surrogates_and_control_characters_are_accepted(text: str) -> None:
    redactor = Redactor("machine")
    redactor.text(text)
    assert redactor.errors == 0


def test_equal_values_have_equal_tokens_under_one_key_and_others_under_another() -> None:
    first, second = Redactor(key=b"one"), Redactor(key=b"two")
    text = "mail ann@example.com, bob@example.com and ann@example.com"
    ann, bob, again = (word.strip(",") for word in first.text(text).split() if word.startswith("<"))
    assert ann == again != bob
    assert ann.startswith("<EMAIL:")
    assert ann not in second.text(text)


def test_without_a_key_a_placeholder_carries_its_kind_only() -> None:
    assert redact("mail ann@example.com now") == "mail <EMAIL> now"


def test_placeholders_are_counted_by_kind() -> None:
    redactor = Redactor()
    redactor.text("ann@example.com, bob@example.com, 4111 1111 1111 1111")
    assert redactor.counts == {"EMAIL": 2, "CARD": 1}


def test_a_detector_that_raises_withholds_the_text_and_is_counted() -> None:
    def broken(text: str, /) -> Iterable[Span]:
        raise RuntimeError(text)

    redactor = Redactor(detectors=[broken])
    assert redactor.text("the raw value") == FAILED
    assert redactor.value({"field": "the raw value"}) == {"field": FAILED}
    assert redactor.errors == 2


def test_a_value_that_is_no_text_is_withheld_and_counted() -> None:
    redactor = Redactor()
    assert redactor.text(cast("str", 42)) == FAILED
    assert redactor.errors == 1


def test_spans_of_the_callers_detectors_are_replaced_even_where_they_overlap() -> None:
    def names(text: str, /) -> Iterable[Span]:
        at = text.find("Jane")
        return [Span(at, at + 8, "PERSON"), Span(at + 5, at + 8, "SURNAME"), Span(-3, 99, "NONSENSE")]

    assert Redactor(detectors=[names]).text("ask Jane Doe about it") == "ask <PERSON> about it"


def test_known_values_are_found_anywhere_and_in_their_encodings() -> None:
    redactor = Redactor("machine", known=["corr ect/horse"])
    for form in ("corr ect/horse", "corr%20ect%2Fhorse", "Y29yciBlY3QvaG9yc2U"):
        assert form not in redactor.text(f"ab{form}cd")


def test_known_values_may_be_secrets_and_may_be_shared() -> None:
    known = KnownValues()
    redactor = Redactor("machine", known=known)
    assert redactor.text("the plain-looking-one") == "the plain-looking-one"
    assert known.add(Secret("plain-looking-one"))
    assert redactor.text("the plain-looking-one") == "the <KEY>"
    assert "plain" not in repr(known)


def test_values_too_short_to_be_told_from_words_are_not_accepted() -> None:
    assert not KnownValues().add("abc")


def test_a_long_log_field_is_cut_between_words_and_says_by_how_much() -> None:
    redactor = Redactor("machine", max_chars=100)
    shown = redactor.text("word " * 100)
    assert shown == "word " * 20 + "<TRUNCATED:400>"


def test_cutting_never_shows_a_part_of_a_match() -> None:
    for padding in range(60, 110):
        shown = Redactor("machine", max_chars=100).text(
            "x" * padding + " phone: +1 415 555 2671 and more" * 9
        )
        assert "415" not in shown
        assert "2671" not in shown


def test_prose_is_not_cut() -> None:
    text = "word " * 20_000
    assert redact(text) == text


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown redaction profile 'loud'"):
        Redactor("loud")  # type: ignore[arg-type]


def test_a_str_subclass_cannot_pass_as_something_else() -> None:
    class Liar(str):
        __slots__ = ()

        def isascii(self) -> bool:
            raise RuntimeError

        def __str__(self) -> str:
            return "harmless"

    assert redact(Liar("ann@example.com")) == "<EMAIL>"


def test_counts_are_exact_when_threads_share_a_redactor() -> None:
    redactor = Redactor()
    threads = [
        threading.Thread(target=lambda: [redactor.text("to ann@example.com") for _ in range(200)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert redactor.counts == {"EMAIL": 800}
