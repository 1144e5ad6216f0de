"""The decoded copy and its way back to the original."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_ai.privacy.normalise import decoded


@pytest.mark.parametrize(
    ("text", "copy"),
    [
        ("a%40b", "a@b"),
        ("a%2540b", "a@b"),
        ("a%EF%BC%91b", "a1b"),
        ("a&#64;b&#x40;c&commat;d", "a@b@c@d"),
        ("a\\u0040b\\x40c", "a@b@c"),
        ("\uff11\u0661\u0967", "111"),
        ("a\u200bb\u00adc\u2060d\ufe0f", "abcd"),
        ("1\u20132\u22123", "1-2-3"),
        ("\ufb01\u2460", "fi1"),
        ("\\ud800", "\ud800"),
    ],
)
def test_disguises_are_decoded(text: str, copy: str) -> None:
    result = decoded(text)
    assert result is not None
    assert result.text == copy


@pytest.mark.parametrize(
    "text", ["plain", "100% sure", "R&D; x", "C:\\new", "é日本", "\u2019", "%4", "&#;", ""]
)
def test_text_without_disguises_has_no_copy(text: str) -> None:
    assert decoded(text) is None


def test_what_is_found_in_the_copy_is_cut_out_of_the_original() -> None:
    text = "to x%2540y%2Ecc, and \uff11\u200b\uff12"
    copy = decoded(text)
    assert copy is not None
    for value, original in (("x@y.cc", "x%2540y%2Ecc"), ("12", "\uff11\u200b\uff12"), (", and", ", and")):
        start = copy.text.index(value)
        low, high = copy.original(start, start + len(value))
        assert text[low:high] == original


@given(st.text(alphabet=st.sampled_from("ab%40&#64;\\u\uff11\u200b\u00ad\ufb01é2"), max_size=40))
def test_offsets_always_lie_in_the_original_and_keep_their_order(text: str) -> None:
    copy = decoded(text)
    if copy is None:
        return
    last = 0
    for start in range(len(copy.text)):
        low, high = copy.original(start, start + 1)
        assert 0 <= low < high <= len(text)
        assert low >= last or copy.text[start] in "fi\ufffd"
        last = low
    if copy.text:
        assert copy.original(0, len(copy.text))[1] <= len(text)
