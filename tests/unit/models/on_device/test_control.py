from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_ai.messages import Image, Message, Part, Reasoning, Text, ToolCall, ToolResult
from resilient_ai.models.on_device.control import ControlGuard

GUARD = ControlGuard(("<|end|>", "<|assistant|>", "</s>"))


@pytest.mark.parametrize(
    ("text", "guarded"),
    [
        ("a <|end|> b", "a < |end|> b"),
        ("<|END|>", "< |END|>"),
        ("<<|end|>|end|>", "<< |end|>|end|>"),
        ("</s></s>", "< /s>< /s>"),
        ("plain < |text| >", "plain < |text| >"),
    ],
)
def test_control_strings_are_broken_apart_in_any_case(text: str, guarded: str) -> None:
    assert GUARD.text(text) == guarded


def test_text_without_control_strings_is_the_same_object() -> None:
    text = "where is my parcel?"

    assert GUARD.text(text) is text
    assert ControlGuard(()).text(text) is text


@given(st.text(alphabet="<|end>/s ", max_size=60))
def test_no_control_string_is_left_whatever_overlaps(text: str) -> None:
    guarded = GUARD.text(text)

    assert not any(token in guarded.lower() for token in ("<|end|>", "<|assistant|>", "</s>"))
    assert guarded.replace(" ", "") == text.replace(" ", "")


@given(
    st.lists(st.text(alphabet="ab ", min_size=1, max_size=3), max_size=6),
    st.text(alphabet="ab ", max_size=20),
)
def test_guarding_ends_for_every_vocabulary(tokens: list[str], text: str) -> None:
    guarded = ControlGuard(tokens).text(text)

    assert not any(token in guarded for token in tokens if token.strip())


def test_a_control_string_split_over_two_texts_of_one_message_is_broken_too() -> None:
    message = Message("user", (Text("a <|en"), Text("d|> b")))

    assert GUARD.message(message).parts == (Text("a < |end|> b"),)


def test_every_part_that_carries_text_is_guarded_and_pictures_are_left() -> None:
    picture = Image(url="https://example.com/a.png")
    parts: tuple[Part, ...] = (
        Reasoning("</s>"),
        picture,
        Text("</s>"),
        ToolCall("1", "f</s>", '{"a": "</s>"}'),
        ToolResult("1", "</s>"),
    )

    guarded = GUARD.message(Message("assistant", parts)).parts

    assert guarded == (
        Reasoning("< /s>"),
        picture,
        Text("< /s>"),
        ToolCall("1", "f< /s>", '{"a": "< /s>"}'),
        ToolResult("1", "< /s>"),
    )
