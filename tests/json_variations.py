"""A body of JSON with one thing in it changed, for tests that hold two readings of it against each other."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from resilient_ai.messages import JSON


def places(value: JSON, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], JSON]]:
    """Every place in a body, and what is there."""
    yield path, value
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def changed(
    body: dict[str, Any], place: tuple[Any, ...], change: Callable[[Any, Any], None]
) -> dict[str, Any]:
    other = copy.deepcopy(body)
    inner: Any = other
    for key in place[:-1]:
        inner = inner[key]
    change(inner, place[-1])
    return other


def doubled(inner: Any, key: Any) -> None:
    inner.append(copy.deepcopy(inner[key]))


def variations(
    body: dict[str, Any], anything: Iterable[Any], strangers: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """`body` with one field gone, one replaced by one of `anything`, one doubled, or one of the `strangers` it never had."""
    for place, found in places(body):
        if place:
            yield changed(body, place, operator.delitem)
        if place and isinstance(place[-1], int):
            yield changed(body, place, doubled)
        names = strangers if isinstance(found, dict) else ()
        for value in anything:
            put = partial(_put, value)
            if place:
                yield changed(body, place, put)
            for name in names:
                yield changed(body, (*place, name), put)


def _put(value: object, inner: Any, key: Any) -> None:
    inner[key] = value
