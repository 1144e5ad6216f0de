"""What is hidden before a request comes back in the answer, however the answer is delivered."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_ai.privacy import Pseudonymiser, Redactor, Span
from resilient_ai.privacy.redactor import FAILED

TEXT = "Write to ann@example.com and bob@example.org, not to ann@example.com; card 4111 1111 1111 1111."


def test_hidden_text_holds_no_original_and_is_restored_exactly() -> None:
    names = Pseudonymiser()
    hidden = names.hide(TEXT)
    assert "example" not in hidden
    assert "4111" not in hidden
    assert names.restore(hidden) == TEXT


def test_equal_values_have_equal_placeholders_and_unequal_ones_do_not() -> None:
    words = [word for word in Pseudonymiser().hide(TEXT).split() if "<EMAIL" in word]
    assert words[0] == words[2].rstrip(";")
    assert words[0] != words[1].rstrip(",")


def test_two_conversations_share_no_placeholder() -> None:
    first, second = Pseudonymiser(), Pseudonymiser()
    hidden = first.hide(TEXT)
    second.hide(TEXT)
    assert second.restore(hidden) == hidden


def test_hiding_twice_hides_once() -> None:
    names = Pseudonymiser()
    hidden = names.hide(TEXT)
    assert names.hide(hidden) == hidden


def test_a_placeholder_that_a_model_has_reformatted_is_still_known() -> None:
    names = Pseudonymiser(key=b"k")
    hidden = names.hide("ann@example.com")
    for spelled in (hidden.lower(), hidden.replace(":", " : "), hidden.replace("<", "&lt;").replace(">", "&gt;"),
                    f"**{hidden}**", json.dumps(hidden).replace("<", "\\u003c").replace(">", "\\u003e")):  # fmt: skip
        assert "ann@example.com" in names.restore(spelled)


def test_a_placeholder_nobody_issued_stays() -> None:
    names = Pseudonymiser()
    names.hide(TEXT)
    assert names.restore("<EMAIL:0123456789> and <b>") == "<EMAIL:0123456789> and <b>"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_placeholder_split_over_deltas_is_restored(size: int) -> None:
    names = Pseudonymiser()
    hidden = names.hide(TEXT) + " a < b &amp; c"
    stream = names.stream()
    shown = (
        "".join(stream.feed(hidden[at : at + size]) for at in range(0, len(hidden), size)) + stream.flush()
    )
    assert shown == TEXT + " a < b &amp; c"


@given(st.text(alphabet="a<&l\\u03c:EMAIL>19 ", max_size=120), st.integers(1, 9))
def test_a_stream_without_placeholders_passes_whole(text: str, size: int) -> None:
    names = Pseudonymiser()
    names.hide("ann@example.com")
    stream = names.stream()
    assert (
        "".join(stream.feed(text[at : at + size]) for at in range(0, len(text), size)) + stream.flush()
        == text
    )


def test_text_that_cannot_be_a_placeholder_is_not_held_back() -> None:
    stream = Pseudonymiser().stream()
    assert stream.feed("so a < b holds") == "so a < b holds"


def test_arguments_of_a_tool_call_are_hidden_and_restored_by_value() -> None:
    names = Pseudonymiser()
    arguments: dict[str, object] = {
        "to": ["ann@example.com"],
        "count": 2,
        "nested": {"cc": "bob@example.org"},
    }
    hidden = names.hide_value(arguments)
    assert "example" not in json.dumps(hidden)
    assert names.restore_value(hidden) == arguments
    assert json.loads(names.restore_json(json.dumps(hidden))) == arguments


def test_a_document_stays_valid_whatever_the_original_holds() -> None:
    names = Pseudonymiser()
    hidden = names.hide('login: password="a\\"b" end')
    document = json.dumps({"text": hidden})
    assert json.loads(names.restore_json(document))["text"] == 'login: password="a\\"b" end'
    assert json.loads(names.restore_json(document[:-1]) + "}")["text"] == 'login: password="a\\"b" end'


def test_what_cannot_be_hidden_is_not_sent() -> None:
    def broken(text: str, /) -> list[tuple[int, int, str]]:
        raise RuntimeError(text)

    names = Pseudonymiser(Redactor(detectors=[broken]))  # type: ignore[list-item]
    assert names.hide(TEXT) == FAILED


@pytest.mark.parametrize("kind", ["P", "PERSON", "ID_2", "NHS9"])
def test_a_placeholder_of_any_kind_a_detector_may_name_is_restored(kind: str) -> None:
    names = Pseudonymiser(Redactor(detectors=[lambda text: [Span(0, len(text), kind)]]))
    hidden = names.hide("Ann Example")
    stream = names.stream()
    assert "Ann" not in hidden
    assert names.restore(hidden) == "Ann Example"
    assert "".join(map(stream.feed, hidden)) + stream.flush() == "Ann Example"


def test_a_document_is_hidden_with_its_numbers_and_names_of_fields_and_comes_back() -> None:
    names = Pseudonymiser()
    document = json.dumps({"ann@example.com": [4915112345678, 3, True, None], "password": 'x"y'})
    hidden = names.hide_json(document)
    assert json.loads(hidden)
    assert not {"ann", "4915112345678", 'x"y'} & set(hidden.replace("<", " ").split())
    assert "example" not in hidden
    assert json.loads(names.restore_json(hidden)) == {
        "ann@example.com": ["4915112345678", 3, True, None],
        "password": 'x"y',
    }


def test_a_stream_of_json_gets_the_originals_as_json_holds_them() -> None:
    names = Pseudonymiser()
    original = 'password is a9"\\b7c'
    hidden = names.hide_json(json.dumps({"password": original}))
    stream = names.stream(escaped=True)
    shown = "".join(map(stream.feed, hidden)) + stream.flush()
    assert json.loads(shown) == {"password": original}
