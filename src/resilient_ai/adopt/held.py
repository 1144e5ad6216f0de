"""What an SDK's client is made of: the objects it holds, and the HTTP clients among them."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

_FAMILIES: Final = ("httpx", "httpx2")
_DEEPEST: Final = 5
"""How many attributes of attributes are looked into."""
_MOST_OBJECTS: Final = 2000


def package_of(sdk: object) -> str:
    """The top-level package `sdk` comes from: `mistralai`, `google`, `cohere`, `ollama`."""
    return type(sdk).__module__.partition(".")[0]


def held_by(sdk: object) -> Iterator[Any]:
    """`sdk` and what it holds, the nearest first. Not looked into are HTTP clients, and what is deeper than an SDK's own parts are."""
    seen: set[int] = set()
    todo: deque[tuple[object, int]] = deque([(sdk, 0)])
    while todo and len(seen) < _MOST_OBJECTS:
        one, depth = todo.popleft()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if depth < _DEEPEST and not is_http_client(one):
            todo.extend((value, depth + 1) for value in _parts(one))


def http_clients(sdk: object) -> Iterator[Any]:
    """The HTTP clients `sdk` holds, however deep."""
    return (one for one in held_by(sdk) if is_http_client(one))


def is_http_client(one: object) -> bool:
    """`one` is a client of httpx or httpx2, or of a subclass."""
    return any(
        base.__module__.partition(".")[0] in _FAMILIES and base.__name__ in ("Client", "AsyncClient")
        for base in type(one).__mro__
    )


def _parts(one: object) -> list[object]:
    if isinstance(one, str | bytes | int | float | type) or inspect.ismodule(one) or inspect.isroutine(one):
        return []
    if isinstance(one, Mapping):
        return list(cast("Mapping[object, object]", one).values())
    if isinstance(one, list | tuple):
        return list(cast("list[object]", one))
    held = list(getattr(one, "__dict__", {}).values())
    slots = (name for base in type(one).__mro__ for name in _slots(base))
    return held + [getattr(one, name) for name in slots if hasattr(one, name)]


def _slots(base: type) -> tuple[str, ...]:
    given = vars(base).get("__slots__", ())
    return (given,) if isinstance(given, str) else tuple(given)
