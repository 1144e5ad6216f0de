"""Whatever is put into a log field comes out as plain data without its secrets."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import pathlib
import uuid
from collections import OrderedDict, UserDict, deque
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, cast

import attrs
import httpx
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_ai.privacy import Redactor, Secret
from resilient_ai.privacy.structures import MAX_DEPTH, MAX_ITEMS, MAX_NODES

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARY = "Zk4Q9bT7-canary-value"


def shown(value: object) -> object:
    redactor = Redactor("machine")
    result = redactor.value(value)
    assert redactor.errors == 0
    json.dumps(result)
    return result


@dataclasses.dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: str


class Account(pydantic.BaseModel):
    name: str
    api_key: pydantic.SecretStr
    notes: list[str] = []


@attrs.define
class Point:
    x: int
    token_secret: str


class Row(NamedTuple):
    city: str
    client_secret: str


class Colour(enum.Enum):
    RED = "ann@example.com"


VALUES: list[object] = [
    {"client_secret": CANARY},
    {"ApiKey": {"deep": [{"er": CANARY}]}},
    {"x-api-key": (CANARY,)},
    {b"Authorization": CANARY.encode()},
    [("X-Api-Key", CANARY)],
    [[b"cookie", CANARY.encode()]],
    ["--password", CANARY],
    {"name": "Authorization", "value": CANARY},
    {"value": CANARY, "key": "api_key"},
    Login("ann", CANARY),
    Account(name="x", api_key=pydantic.SecretStr(CANARY)),
    Point(1, CANARY),
    Row("Oslo", CANARY),
    Secret(CANARY),
    {"x": Secret(CANARY)},
    UserDict({"password": CANARY}),
    OrderedDict[str, object](a=MappingProxyType({"token": {"v": CANARY}})),
    httpx.Headers({"Authorization": f"Bearer {CANARY}"}),
    httpx.URL(f"https://user:{CANARY}@example.com/x"),
    json.dumps({"credentials": {"a": CANARY}}),
    json.dumps([{"outer": json.dumps({"password": CANARY})}]),
    deque([{"password": CANARY}]),
    ValueError(f"password={CANARY}"),
    {"body": f'{{"password": "{CANARY}"'.encode()},
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_is_secret_by_its_name_goes_with_all_that_is_below_it(value: object) -> None:
    assert CANARY not in json.dumps(shown(value))


def test_what_explains_and_does_not_reveal_stays() -> None:
    fields = {
        "max_tokens": 4096, "token_type": "bearer", "session_count": 3, "author": "Jane", "model": "gpt-x",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "duration": 1.5, "ok": True, "nothing": None,
        "input_tokens": 12, "time_to_first_token": 0.4, "password": None, "secret": False, "api_key": "",
    }  # fmt: skip
    assert shown(fields) == fields


def test_values_of_the_standard_library_are_printed() -> None:
    moment = dt.datetime(2024, 1, 15, 10, 30, tzinfo=dt.UTC)
    one = uuid.UUID(int=5)
    assert shown([moment, one, pathlib.PurePosixPath("/tmp/x"), decimal.Decimal("1.50"), dt.timedelta(seconds=1)]) == [
        "2024-01-15 10:30:00+00:00", str(one), "/tmp/x", "1.50", "0:00:01",
    ]  # fmt: skip


def test_an_enum_is_its_value_and_a_set_a_list() -> None:
    assert shown({"e": Colour.RED, "s": {1}}) == {"e": "<EMAIL>", "s": [1]}


def test_numbers_that_are_cards_are_found_and_other_numbers_stay_numbers() -> None:
    assert shown([4111111111111111, 1700000000123456789, 2**400, 7]) == [
        "<CARD>",
        1700000000123456789,
        "<MORE>",
        7,
    ]


def test_numbers_that_json_cannot_write_become_text() -> None:
    assert shown([float("nan"), float("inf"), 0.5]) == ["nan", "inf", 0.5]


def test_a_phone_is_known_by_the_name_of_its_field() -> None:
    assert shown({"phone": "5551234567", "mobile_number": 5551234567, "phone_model": "X"}) == {
        "phone": "<PHONE>", "mobile_number": "<PHONE>", "phone_model": "X",
    }  # fmt: skip


def test_an_exception_shows_type_redacted_message_and_causes_and_no_locals() -> None:
    try:
        try:
            raise KeyError("ann@example.com")
        except KeyError as error:
            raise RuntimeError("no such user") from error
    except RuntimeError as error:
        result = shown(error)
    assert result == {
        "type": "RuntimeError",
        "message": "no such user",
        "cause": {"type": "KeyError", "message": "<EMAIL>"},
    }


def test_an_exception_group_shows_its_members() -> None:
    group = ExceptionGroup("two", [ValueError("ann@example.com"), TypeError("b")])
    assert json.dumps(shown(group)).count('"type"') == 3


def test_a_cycle_is_cut_and_a_shared_value_is_not() -> None:
    cyclic: list[object] = []
    cyclic.append(cyclic)
    shared = {"a": 1}
    assert shown([cyclic, shared, shared]) == [["<CYCLE>"], {"a": 1}, {"a": 1}]


def test_depth_and_size_are_bounded() -> None:
    deep: object = "x"
    for _ in range(MAX_DEPTH * 10):
        deep = [deep]
    assert json.dumps(shown(deep)).count("[") <= MAX_DEPTH + 2
    wide = shown(list(range(MAX_ITEMS * 2)))
    assert len(cast("list[object]", wide)) == MAX_ITEMS + 1


def test_an_object_that_raises_when_touched_costs_only_itself() -> None:
    class Hostile:
        __attrs_attrs__ = ("x",)

        def __getattribute__(self, name: str) -> object:
            raise RuntimeError(CANARY)

    class Mute:
        def __repr__(self) -> str:
            raise RuntimeError(CANARY)

        __str__ = __repr__

    class Failing(UserDict[str, str]):
        def items(self) -> object:  # type: ignore[override]
            raise RuntimeError(CANARY)

    class Mean(Exception):
        def __str__(self) -> str:
            raise RuntimeError(CANARY)

    redactor = Redactor("machine")
    result = redactor.value({"a": Hostile(), "b": Mute(), "c": Failing(), "d": Mean(), "e": "fine"})
    text = json.dumps(result)
    assert CANARY not in text
    assert '"e": "fine"' in text
    assert redactor.errors == 3


def test_an_unknown_object_is_only_named() -> None:
    class Client:
        def __repr__(self) -> str:
            return CANARY

    assert str(shown(Client())).endswith("Client>")


def test_lone_surrogates_become_text_that_utf_8_can_carry() -> None:
    json.dumps(shown({"a\ud800": "b\ud800"}), ensure_ascii=False).encode("utf-8")


def test_json_inside_a_string_keeps_its_spelling_if_nothing_in_it_is_secret() -> None:
    text = '{"a":1,   "b": [ 2.50 ]}'
    assert shown({"body": text}) == {"body": text}


@given(
    st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.binary(max_size=20)
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.text(max_size=8), inner, max_size=4),
            st.tuples(inner, inner),
        ),
        max_leaves=20,
    )
)
def test_any_structure_becomes_json_with_the_planted_secret_gone(value: object) -> None:
    assert CANARY not in json.dumps(shown({"public": value, "api_key": [value, CANARY]}))


def nested(depth: int, *, mapping: bool) -> object:
    value: object = CANARY
    for _ in range(depth):
        value = {"a": value} if mapping else [value]
    return value


@pytest.mark.parametrize("mapping", [True, False])
def test_a_hundred_thousand_levels_end_at_the_bound_and_cost_no_error(*, mapping: bool) -> None:
    redactor = Redactor("machine")
    assert CANARY not in json.dumps(redactor.value(nested(100_000, mapping=mapping)))
    assert redactor.errors == 0


def test_a_document_of_nothing_but_brackets_in_a_string_is_read_as_text() -> None:
    document = "[" * 20_000 + "]" * 20_000
    assert shown({"body": document}) == {"body": Redactor("machine").text(document)}


def test_a_generator_is_named_and_not_consumed() -> None:
    numbers = iter([1, 2])
    values = (number for number in numbers)
    assert shown({"a": values, "b": numbers}) == {"a": "<generator>", "b": "<list_iterator>"}
    assert list(values) == [1, 2]


def test_containers_without_end_are_cut() -> None:
    class Endless(list[str]):
        def __iter__(self) -> Iterator[str]:
            while True:
                yield "said ann@example.com"

    result = cast("list[object]", shown(Endless()))
    assert len(result) == MAX_ITEMS + 1
    assert result[0] == "said <EMAIL>"


def test_the_number_of_values_in_all_is_bounded_not_only_that_of_each_container() -> None:
    """A thousand lists of a thousand texts would be a million texts to redact."""
    redactor = Redactor("machine")
    redactor.value([["to ann@example.com"] * 1000] * 1000)
    assert redactor.counts["EMAIL"] <= MAX_NODES


@pytest.mark.parametrize("number", [10**200_000, -(10**5000)], ids=["positive", "negative"])
def test_an_integer_too_long_to_be_printed_is_not(number: int) -> None:
    assert shown({"n": number}) == {"n": "<MORE>"}


def test_a_long_integer_is_a_card_number_or_stays_the_number_it_is() -> None:
    assert shown({"a": 4111111111111111, "b": 10**30}) == {"a": "<CARD>", "b": 10**30}


def test_bytes_are_redacted_as_text_in_whatever_they_stand() -> None:
    raw = b"said ann@example.com\xff"
    expected = "said <EMAIL>\ufffd"
    assert shown([raw, bytearray(raw), memoryview(raw)]) == [expected] * 3


def test_objects_that_raise_or_lie_whatever_is_asked_of_them_cost_themselves_alone() -> None:
    class Raising:
        def __getattribute__(self, name: str) -> object:
            raise RuntimeError(CANARY)

    class Incomparable:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError(CANARY)

        def __hash__(self) -> int:
            raise RuntimeError(CANARY)

        def __bool__(self) -> bool:
            raise RuntimeError(CANARY)

        def __len__(self) -> int:
            raise RuntimeError(CANARY)

    class Property:
        __attrs_attrs__ = (type("Field", (), {"name": "x"})(),)

        @property
        def x(self) -> object:
            raise RecursionError(CANARY)

    class Deceiving(str):
        __slots__ = ()

        def __len__(self) -> int:
            return 0

        def lower(self) -> str:
            return "harmless"

    redactor = Redactor("machine")
    result = redactor.value(
        {
            "raising": Raising(),
            "incomparable": Incomparable(),
            "property": Property(),
            "text": Deceiving("ann@example.com"),
            Deceiving("password"): CANARY,
            "neighbour": "fine",
        }
    )
    assert CANARY not in repr(result)
    assert "ann@" not in repr(result)
    assert cast("dict[str, object]", result)["neighbour"] == "fine"
    assert redactor.errors == 2


def test_chains_of_thousands_of_causes_and_groups_are_cut() -> None:
    error = ValueError("said ann@example.com")
    for _ in range(3000):
        outer = ValueError("said ann@example.com")
        outer.__cause__ = error
        error = outer
    group: Exception = error
    for _ in range(3000):
        members: list[Exception] = [group]
        group = ExceptionGroup("said ann@example.com", members)
    assert "ann@" not in json.dumps(shown([error, group]))


def test_nul_and_ten_megabytes_pass() -> None:
    assert shown({"a": "\0ann@example.com\0"}) == {"a": "\0<EMAIL>\0"}
    long = Redactor("text").value({"a": "x" * 10_000_000 + " ann@example.com"})
    assert str(long).endswith("x <EMAIL>'}")
