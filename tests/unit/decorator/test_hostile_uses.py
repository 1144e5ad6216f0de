"""What people do with decorators, and what it must not break."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import contextvars
import copy
import functools
import inspect
import typing
from collections.abc import AsyncGenerator, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pytest

from resilient_ai import Retry, outcome_of, resilient
from resilient_ai.decorator import Resilience

ONCE = Retry(attempts=1)
T = TypeVar("T")


@dataclass(frozen=True)
class Frozen(Exception):
    """An exception that takes no attribute, as a frozen dataclass is."""

    code: int


class Stubborn(Exception):
    """An exception that refuses everything."""

    def __str__(self) -> str:
        raise ValueError("not told")

    def add_note(self, note: str, /) -> None:
        raise ValueError("no notes")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("no attributes")


@pytest.mark.parametrize("error", [Frozen(3), Stubborn()], ids=["frozen", "stubborn"])
@pytest.mark.parametrize("attempts", [1, 2])
def test_an_exception_that_refuses_attributes_reaches_the_caller_as_itself(
    error: Exception, attempts: int
) -> None:
    @resilient(retry=Retry(attempts=attempts, base=0))
    def fails() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        fails()
    assert caught.value is error


def test_a_stop_iteration_reaches_the_caller_as_itself_with_its_history() -> None:
    empty: Iterator[int] = iter(())

    @resilient(retry=Retry(attempts=2, base=0))
    def first() -> int:
        return next(empty)

    with pytest.raises(StopIteration) as caught:
        first()
    outcome = outcome_of(caught.value)
    assert outcome is not None
    assert len(outcome.attempts) == 2
    assert caught.traceback[-1].name == "first"


def test_an_abstract_method_stays_abstract_and_its_override_may_be_decorated_or_not() -> None:
    class Base(abc.ABC):
        @resilient
        @abc.abstractmethod
        def below(self) -> str:
            return "base"

        @abc.abstractmethod
        @resilient
        async def above(self) -> str:
            return "base"

        @classmethod
        @abc.abstractmethod
        @resilient
        def made(cls) -> str:
            return f"base {cls.__name__}"

    class Child(Base):
        @resilient
        def below(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
            return f"child of {super().below()}"

        @resilient
        async def above(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
            return f"child of {await super().above()}"

        @classmethod
        @resilient
        def made(cls) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
            return f"child of {super().made()}"

    assert Base.__abstractmethods__ == {"below", "above", "made"}
    assert Child().below() == "child of base"
    assert asyncio.run(Child().above()) == "child of base"
    assert Child.made() == "child of base Child"


def test_descriptors_of_the_standard_library_take_decorated_functions() -> None:
    class Service:
        factor = 2

        @resilient
        def scaled(self, number: int) -> int:
            return self.factor * number

        of_four = functools.partialmethod(scaled, 4)

        @property
        @resilient
        def computed(self) -> int:
            return self.factor

        @functools.cached_property
        @resilient
        def cached(self) -> object:
            return object()

        @functools.singledispatchmethod
        @resilient
        def told(self, what: object) -> str:
            return "something"

        @told.register
        @resilient
        def _(self, what: int) -> str:
            return "a number"

        @resilient
        def __call__(self, number: int) -> int:
            return -number

        @resilient
        def __enter__(self) -> Any:
            return self

        @resilient
        def __exit__(self, *error: object) -> None: ...

    service = Service()
    assert (service.of_four(), service.computed, service(3)) == (8, 2, -3)
    assert service.cached is service.cached
    assert (service.told("x"), service.told(3)) == ("something", "a number")
    with service as entered:
        assert entered is service


def test_what_is_no_plain_function_can_be_decorated() -> None:
    power: Any = functools.partial(pow, 2)
    assert resilient(power)(3) == 8
    assert resilient(len)("abc") == 3
    assert resilient("abc".upper)() == "ABC"
    assert resilient(functools.lru_cache(len))("abc") == 3
    assert functools.lru_cache(resilient(len))("abc") == 3


@pytest.mark.parametrize("name", ["scope", "self", "request", "function", "made", "chain", "args", "kwargs"])
def test_a_parameter_may_have_any_name(name: str) -> None:
    scope: dict[str, Any] = {"resilient": resilient}
    exec(  # noqa: S102 - a function with that parameter
        f"@resilient\ndef whole({name}): return {name}\n@resilient\nasync def awaited({name}): return {name}\n"
        f"@resilient\ndef items({name}): yield {name}\n",
        scope,
    )
    assert scope["whole"](**{name: 3}) == 3
    assert asyncio.run(scope["awaited"](**{name: 3})) == 3
    assert list(scope["items"](**{name: 3})) == [3]


def test_decorated_generators_make_context_managers_that_clean_up() -> None:
    left: list[str] = []

    @contextlib.contextmanager
    @resilient
    def lent() -> Generator[int]:
        try:
            yield 3
        finally:
            left.append("blocking")

    @contextlib.asynccontextmanager
    @resilient
    async def lent_later() -> AsyncGenerator[int]:
        try:
            yield 4
        finally:
            left.append("async")

    async def main() -> None:
        async with lent_later() as number:
            assert number == 4
        with pytest.raises(KeyError):
            async with lent_later():
                raise KeyError

    with lent() as number:
        assert number == 3
    with pytest.raises(KeyError), lent():
        raise KeyError
    asyncio.run(main())
    assert left == ["blocking", "blocking", "async", "async"]


def test_context_variables_set_in_a_function_are_set_for_its_caller() -> None:
    seen: contextvars.ContextVar[int] = contextvars.ContextVar("seen", default=0)

    @resilient
    def whole() -> None:
        seen.set(1)

    @resilient
    async def awaited() -> None:
        seen.set(2)

    async def main() -> int:
        await awaited()
        return seen.get()

    whole()
    assert seen.get() == 1
    assert asyncio.run(main()) == 2


def test_copies_are_the_function_and_hints_and_signature_are_its_own() -> None:
    @resilient(retry=ONCE)
    def told(first: int, /, second: str = "x", *more: float, flag: bool = True, **rest: bytes) -> list[int]:
        """Says it."""
        return [first]

    assert copy.deepcopy(told) is told
    assert inspect.signature(told) == inspect.signature(told.__wrapped__)
    assert typing.get_type_hints(told) == typing.get_type_hints(told.__wrapped__)
    assert (told.__doc__, told.__qualname__) == (told.__wrapped__.__doc__, told.__wrapped__.__qualname__)


def test_methods_of_generic_and_frozen_classes_work() -> None:
    class Box(Generic[T]):
        @resilient
        def same(self, value: T) -> T:
            return value

    @dataclass(frozen=True, slots=True)
    class Point:
        x: int

        @resilient
        def doubled(self) -> int:
            return 2 * self.x

    assert Box[int]().same(3) == 3
    assert Point(4).doubled() == 8
    assert isinstance(Point(4).doubled.resilience, Resilience)


def of_class(kind: Any, number: int) -> Any:
    return kind.base, number


def negative(number: int) -> int:
    return -number


def test_fallbacks_of_methods_get_the_object_and_those_of_class_methods_the_class() -> None:
    class Service:
        base = 1

        @resilient(retry=ONCE)
        def method(self, number: int) -> int:
            raise ConnectionError

        @method.fallback
        def _method(self, number: int) -> int:
            return self.base + number

        @resilient(retry=ONCE)
        async def later(self, number: int) -> int:
            raise ConnectionError

        @later.fallback
        async def _later(self, number: int) -> int:
            return self.base - number

        @resilient(retry=ONCE, fallback=of_class)
        @classmethod
        def made(cls, number: int) -> Any:
            raise ConnectionError(number)

        @staticmethod
        @resilient(retry=ONCE, fallback=negative)
        def plain(number: int) -> int:
            raise ConnectionError(number)

    assert Service().method(2) == 3
    assert asyncio.run(Service().later(2)) == -1
    assert Service.made(2) == (1, 2)
    assert Service().plain(2) == -2


def test_what_is_never_awaited_or_read_leaves_nothing_behind() -> None:
    @resilient
    async def awaited() -> int:
        return 1

    @resilient
    def items() -> Generator[int]:
        yield 1

    @resilient
    async def items_later() -> AsyncGenerator[int]:
        yield 1

    async def main() -> None:
        awaited().close()
        items().close()
        await items_later().aclose()

    asyncio.run(main())


def test_one_exception_raised_again_and_again_tells_of_its_last_call() -> None:
    failure = ConnectionError("one for all")

    @resilient(retry=Retry(attempts=2, base=0))
    def fails() -> None:
        raise failure

    for _ in range(2):
        with pytest.raises(ConnectionError) as caught:
            fails()
        outcome = outcome_of(caught.value)
        assert outcome is not None
        assert len(outcome.attempts) == 2
        assert outcome == fails.resilience.last_outcome()
