from __future__ import annotations

from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilient_ai.models.wire import Malformed, Truncated, WireError
from resilient_ai.models.wire.jsonbody import decode, decode_object, encode


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"  \n",
        b"<html>",
        b'{"a": "\xff"}',
        b"[" * 200_000 + b"]" * 200_000,
        b'{"a":' * 100_000,
        b'{"a": 1} {"b": 2}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "\\uZZZZ"}',
        b'{"a": "\\ud8ZZ"}',
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
    ],
)
def test_what_is_not_json_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


@pytest.mark.parametrize("data", [b'{"a": "x', b"[1, 2", b'{"a"', b'{"a": "\xc3'])
def test_a_text_cut_in_the_middle_is_truncated(data: bytes) -> None:
    with pytest.raises(Truncated):
        decode(data)


def test_a_byte_order_mark_is_passed_over() -> None:
    assert decode_object(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_a_text_longer_than_the_limit_is_refused() -> None:
    assert decode(b"[1]", limit=3) == [1]
    with pytest.raises(Malformed):
        decode(b"[1] ", limit=3)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\ud83d"', "\ufffd"),
        (b'"\\ude00x"', "\ufffdx"),
        (b'"\\ud83d\\ud83d\\ude00"', "\ufffd\U0001f600"),
        (b'"\\\\ud83d\\ud83d"', "\\ud83d\ufffd"),
        (b'"\\uD83D\\n"', "\ufffd\n"),
    ],
)
def test_half_of_a_surrogate_pair_becomes_a_replacement_character(data: bytes, text: str) -> None:
    assert decode(data) == text


@pytest.mark.parametrize("data", [b"[]", b"1", b'"x"', b"null", b"true"])
def test_an_object_is_insisted_on(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_object(data)


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_but_a_wire_error(data: bytes) -> None:
    try:
        decode(data)
    except WireError as error:
        assert data.decode("latin-1") not in str(error) or len(data) < 4  # noqa: PT017 - either outcome is right


def test_mappings_tuples_and_half_surrogates_are_written() -> None:
    assert (
        encode({"a": MappingProxyType({"b": (1, None)}), "c": "\u00e9"})
        == b'{"a":{"b":[1,null]},"c":"\xc3\xa9"}'
    )
    assert encode(MappingProxyType({"c": "\ud800"})) == b'{"c":"\\ud800"}'


def test_what_json_has_no_form_for_is_malformed() -> None:
    endless: list[object] = []
    endless.append(endless)
    for value in (object(), {"a": {1, 2}, "b": object()}, endless):
        with pytest.raises(Malformed):
            encode(value)
