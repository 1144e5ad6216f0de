"""A stream leaks no more than the whole text, wherever it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_ai.privacy import FAILED, Redactor
from resilient_ai.privacy.stream import HOLD_BACK_CHARS

SECRETS = (
    "ann.smith@example.com",
    "4111 1111 1111 1111",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "+1 415 555 2671",
)
FILLER = "All went well and the model took a short while to answer. "


def streamed(text: str, sizes: list[int], redactor: Redactor | None = None) -> str:
    stream = (redactor or Redactor()).stream()
    shown: list[str] = []
    at = turn = 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        shown.append(stream.feed(text[at : at + size]))
        at += size
        turn += 1
    shown.append(stream.flush())
    return "".join(shown)


@pytest.mark.parametrize("secret", SECRETS)
def test_no_split_point_shows_a_part_of_a_secret(secret: str) -> None:
    text = FILLER * 6 + f"It is {secret} as you know. " + FILLER * 6
    whole = Redactor().text(text)
    for cut in range(len(text)):
        stream = Redactor().stream()
        assert stream.feed(text[:cut]) + stream.feed(text[cut:]) + stream.flush() == whole


@given(
    st.lists(
        st.one_of(st.sampled_from(SECRETS), st.sampled_from(("so", "password:", "and", FILLER, "\n", "é日"))),
        max_size=60,
    ),
    st.lists(st.integers(1, 90), min_size=1, max_size=5),
)
def test_any_deltas_give_what_the_whole_text_gives_in_terms_of_leaks(
    words: list[str], sizes: list[int]
) -> None:
    text = " ".join(words)
    shown = streamed(text, sizes)
    for secret in SECRETS:
        assert secret not in shown


@pytest.mark.parametrize("size", [1, 3, 17, 500, 5000])
def test_clean_text_passes_unchanged(size: int) -> None:
    text = FILLER * 40 + "é日本 \U0001f600 end"
    assert streamed(text, [size]) == text


def test_text_is_shown_while_it_arrives_and_no_more_than_the_bound_is_held_back() -> None:
    stream = Redactor().stream()
    shown = "".join(stream.feed(word + " ") for word in (FILLER * 20).split())
    assert len(FILLER * 20) - len(shown) <= HOLD_BACK_CHARS + 64


@pytest.mark.parametrize("size", [7, 64, 1000])
def test_a_private_key_of_any_length_is_dropped_whole_and_what_follows_is_shown(size: int) -> None:
    body = "\n".join("MIIEowIBAAKCAQEA7bq" + "Zk4Q9bT7" * 5 for _ in range(600))
    text = f"Here: -----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY----- and so on. {FILLER * 8}"
    shown = streamed(text, [size])
    assert "Zk4Q9bT7" not in shown
    assert "-----END" not in shown
    assert shown.endswith(FILLER)
    assert "and so on." in shown


def test_a_word_without_end_is_dropped_instead_of_held_for_ever() -> None:
    shown = streamed("see " + "Zk4Q9bT7" * 4000 + " then on. " + FILLER * 8, [50])
    assert "Zk4Q9bT7" not in shown
    assert shown.endswith("then on. " + FILLER * 8)


def test_a_secret_whose_label_came_long_before_the_delta_is_still_recognised() -> None:
    text = FILLER * 5 + "The password is: tr0ub4dor&3 and that is all. " + FILLER * 5
    for size in (1, 2, 5, 11, 300):
        assert "tr0ub4dor" not in streamed(text, [size])


def test_a_failing_detector_withholds_what_is_held_back() -> None:
    def broken(text: str, /) -> list[tuple[int, int, str]]:
        raise RuntimeError(text)

    redactor = Redactor(detectors=[broken])  # type: ignore[list-item]
    assert streamed(FILLER * 10, [1000], redactor) == FAILED
    assert redactor.errors == 1


def test_a_stream_can_be_used_again_after_the_flush() -> None:
    stream = Redactor().stream()
    stream.feed("password:")
    stream.flush()
    stream.feed("hello")
    assert stream.flush() == "hello"
