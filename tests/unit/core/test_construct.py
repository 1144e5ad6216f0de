"""Records are made quickly, and are frozen dataclasses all the same."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pytest

from resilient_ai.core import events
from resilient_ai.core.construct import made_quickly
from resilient_ai.messages import Attempt, Chunk, Reply, Request


@made_quickly
@dataclass(frozen=True, slots=True)
class Record:
    """With the names the generated constructor itself might use."""

    new: int
    blank: str = "b"
    cls: float = 1.0
    items: dict[str, int] = field(default_factory=dict[str, int])


def test_fields_defaults_and_factories_are_the_dataclasss() -> None:
    first, second = Record(1), Record(1)
    assert first == second
    assert (first.new, first.blank, first.items) == (1, "b", {})
    assert first.items is not second.items
    assert Record(new=2, blank="x").new == 2
    assert repr(first) == "Record(new=1, blank='b', cls=1.0, items={})"


def test_a_default_that_is_one_object_for_all_is_not_asked_for_again() -> None:
    asked: list[object] = []
    shared: MappingProxyType[str, int] = MappingProxyType({})

    def make() -> Mapping[str, int]:
        asked.append(None)
        return shared

    @made_quickly
    @dataclass(frozen=True, slots=True)
    class Shared:
        items: Mapping[str, int] = field(default_factory=make)

    before = len(asked)
    assert Shared().items is Shared().items is shared
    assert len(asked) == before
    assert inspect.signature(Chunk).parameters["opaque"].default == {}


def test_it_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Record(1).new = 2  # type: ignore[misc]


def test_wrong_arguments_are_a_type_error() -> None:
    with pytest.raises(TypeError):
        Record()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Record(1, nonsense=2)  # type: ignore[call-arg]


def test_copies_pickles_and_replacements_are_equal() -> None:
    record = Record(1, items={"a": 1})
    assert copy.copy(record) == copy.deepcopy(record) == pickle.loads(pickle.dumps(record)) == record  # noqa: S301
    assert dataclasses.replace(record, blank="z").blank == "z"


@pytest.mark.parametrize("made", [Attempt, Chunk, Reply, Request, events.BreakerChanged, events.CallFinished])
def test_signatures_show_every_field(made: type) -> None:
    assert list(inspect.signature(made).parameters) == [one.name for one in dataclasses.fields(made)]


def test_every_event_can_be_made() -> None:
    change = events.BreakerChanged(1.0, "m", "p", "closed", "open", "failures", 15.0)
    assert (change.old, change.new) == ("closed", "open")
