"""What type checkers see of a decorated function: exactly the function. mypy and pyright judge this file; running it judges little."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any, TypeVar, assert_type, overload

from resilient_ai import Outcome, resilient, resilient_options
from resilient_ai.decorator import Block, Guard, Resilience
from resilient_ai.models import canned

guard = resilient(deadline=5, name="types")
T = TypeVar("T")


@resilient
def whole(text: str, *, times: int = 1) -> list[str]:
    return [text] * times


@resilient(deadline=10, fallback=[canned("later")])
async def awaited(text: str) -> str:
    return text


@resilient(deadline=10)
def items(count: int) -> Iterator[int]:
    yield from range(count)


@resilient()
def talking(count: int) -> Generator[int, str, bool]:
    return bool((yield count))


@guard
async def items_later(count: int) -> AsyncIterator[int]:
    for item in range(count):
        yield item


@overload
def either(what: int) -> int: ...
@overload
def either(what: str) -> str: ...
@resilient
def either(what: int | str) -> int | str:
    return what


@resilient(deadline=3)
def exact(first: int, /, second: str = "x", *more: float, flag: bool = True, **rest: bytes) -> float:
    return float(first) + len(second) + sum(more) + flag + len(rest)


@resilient
def same(value: T) -> T:
    return value


class Speaker:
    def __call__(self, number: int) -> str:
        return str(number)


@whole.fallback
def backup(text: str, *, times: int = 1) -> list[str]:
    return [text] * times


class Service:
    @resilient
    def method(self, text: str) -> int:
        return len(text)

    @resilient(deadline=3)
    async def later(self, text: str, /, *more: int) -> int:
        return len(text) + sum(more)

    @resilient
    def pieces(self, count: int) -> Iterator[str]:
        yield "x" * count

    @resilient
    async def pieces_later(self, count: int, *, of: str = "x") -> AsyncIterator[str]:
        yield of * count

    @property
    @resilient
    def computed(self) -> int:
        return 3

    @classmethod
    @resilient
    def made(cls, text: str) -> int:
        return len(text)

    @staticmethod
    @resilient(deadline=3)
    def plain(text: str) -> int:
        return len(text)


class Child(Service):
    @resilient
    def method(self, text: str) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return -super().method(text)


def test_calls_keep_their_types() -> None:
    assert_type(whole("a", times=2), list[str])
    assert_type(items(3), Iterator[int])
    assert_type(talking(3), Generator[int, str, bool])
    assert_type(items_later(3), AsyncIterator[int])
    assert_type(backup("a"), list[str])
    assert_type(Service().method("a"), int)
    assert_type(Service.method(Service(), "a"), int)
    assert_type(Service.made("a"), int)
    assert_type(Service.plain("a"), int)
    assert_type(Service().made("a"), int)
    assert_type(Service().plain("a"), int)
    assert_type(Child().method("a"), int)
    assert_type(Service().computed, int)
    assert_type(Service().pieces(2), Iterator[str])
    assert_type(Service().pieces_later(2, of="y"), AsyncIterator[str])
    assert Child().method("abc") == -3


def test_overloads_generics_and_every_kind_of_parameter_are_kept() -> None:
    assert_type(either(1), int)
    assert_type(either("a"), str)
    assert_type(same(3), int)
    assert_type(same("a"), str)
    assert_type(exact(1), float)
    assert_type(exact(1, "a", 2.0, 3.0, flag=False, more=b""), float)
    assert_type(resilient(Speaker())(3), str)
    assert_type(resilient(functools.partial(exact.__wrapped__, 1))("a"), float)


async def _awaits() -> None:
    assert_type(await awaited("a"), str)
    assert_type(await Service().later("a", 1, 2), int)


def test_awaiting_keeps_the_types() -> None:
    asyncio.run(_awaits())


def test_what_stands_behind_is_typed() -> None:
    assert_type(whole.resilience, Resilience)
    assert_type(whole.resilience.last_outcome(), Outcome | None)
    assert_type(Service().method.resilience, Resilience)
    assert_type(Service.method.resilience, Resilience)
    assert_type(guard, Guard)
    with guard as block:
        assert_type(block, Block)
    with resilient_options(deadline=1):
        assert_type(whole("a"), list[str])
    assert whole.__name__ == "whole"
    assert whole.__wrapped__("a") == ["a"]


async def _blocks() -> None:
    async with guard as block:
        assert_type(block, Block)
        assert_type(block.remaining_seconds(), float)


def test_an_asynchronous_block_is_typed() -> None:
    asyncio.run(_blocks())


def wrong_calls() -> None:
    """Each line is an error for both type checkers; an unneeded `ignore` is one too."""
    whole(3)  # type: ignore[arg-type]
    whole("a", times="b")  # type: ignore[arg-type]
    whole()  # type: ignore[call-arg]
    Service().method(3)  # type: ignore[arg-type]
    Service().pieces_later(2, "y")  # type: ignore[call-arg]
    exact(first=b"")  # type: ignore[call-arg]
    exact(1, flag="no")  # type: ignore[arg-type]
    either(b"")  # type: ignore[call-overload]
    resilient(deadline="soon")  # type: ignore[call-overload]

    @whole.fallback  # type: ignore[arg-type]
    def other(number: int) -> Any:
        return number

    assert other is not None
