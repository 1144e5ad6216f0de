"""A decorated function is the same function: kind, signature, name, value, exceptions. What holds, holds for all four kinds."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import pickle
import traceback
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from resilient_ai import (
    AllModelsFailed,
    Breaker,
    CircuitOpen,
    ConfigError,
    Retry,
    resilient,
)
from resilient_ai.core import events
from resilient_ai.testing import capture_events
from unit.decorator.conftest import Kind

SECRET = "the quarterly figures"


class Vendor(Exception):
    """Some client's own exception."""


@resilient
def whole(text: str, *, times: int = 1) -> list[str]:
    """Repeats."""
    return [text] * times


@resilient(deadline=10)
async def awaited(text: str, *, times: int = 1) -> list[str]:
    """Repeats."""
    return [text] * times


@resilient()
def items(text: str, *, times: int = 1) -> Iterator[str]:
    """Repeats."""
    for _ in range(times):
        yield text


@resilient(deadline=10)
async def items_later(text: str, *, times: int = 1) -> AsyncIterator[str]:
    """Repeats."""
    for _ in range(times):
        yield text


DECORATED: list[Any] = [whole, awaited, items, items_later]
PREDICATES: list[Callable[[object], bool]] = [
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
    inspect.isfunction,
]


@pytest.mark.parametrize("function", DECORATED, ids=lambda function: function.__name__)
def test_introspection_sees_the_function_itself(function: Any) -> None:
    original = function.__wrapped__
    assert [test(function) for test in PREDICATES] == [test(original) for test in PREDICATES]
    assert inspect.signature(function) == inspect.signature(original)
    assert (function.__name__, function.__qualname__, function.__module__, function.__doc__) == (
        original.__name__, original.__qualname__, __name__, "Repeats.",
    )  # fmt: skip
    assert function.__annotations__ == original.__annotations__


@pytest.mark.parametrize("function", DECORATED, ids=lambda function: function.__name__)
def test_pickling_by_name_gives_the_decorated_function_back(function: Any) -> None:
    assert pickle.loads(pickle.dumps(function)) is function  # noqa: S301 - our own bytes
    assert copy.deepcopy(function) is function


def test_the_value_is_returned_as_it_is(kind: Kind) -> None:
    value = [object(), None, 3]
    answer = kind.call(kind.decorated(value))
    assert answer == value
    assert kind.streaming or answer is value


@pytest.mark.parametrize(
    "value", [None, 0, "", b"\xff", NotImplemented, Vendor("returned, not raised")], ids=repr
)
def test_any_value_may_be_returned(value: object) -> None:
    assert resilient(lambda: value)() is value


def test_arguments_of_any_shape_arrive_at_every_attempt(kind: Kind) -> None:
    thing = object()
    assert kind.call(kind.decorated(OSError(), "ok"), thing, 2, self=3, request=4, messages=()) == (
        ["o", "k"] if kind.streaming else "ok"
    )
    assert kind.calls == [((thing, 2), {"self": 3, "request": 4, "messages": ()})] * 2


def test_failures_are_retried_after_the_pause_of_the_policy(kind: Kind) -> None:
    function = kind.decorated(
        ConnectionError(), ConnectionError(), "a", retry=Retry(attempts=3, base=1, cap=8)
    )
    assert kind.call(function) in ("a", ["a"])
    assert kind.clock.sleeps == [0.5, 1.0]


def test_the_last_failure_is_the_functions_own_exception(kind: Kind) -> None:
    failure = Vendor("no")
    function = kind.decorated(Vendor("first"), failure, retry=Retry(attempts=2))
    with pytest.raises(Vendor) as caught:
        kind.call(function)
    assert caught.value is failure
    assert [attempt.n for attempt in failure.attempts] == [1, 2]  # type: ignore[attr-defined]


def test_the_exception_keeps_the_traceback_of_the_function(kind: Kind) -> None:
    """The line that failed is the caller's own; without it nobody finds the fault."""
    with pytest.raises(Vendor) as caught:
        kind.call(kind.decorated(Vendor("no"), retry=Retry(attempts=1)))
    assert "begin" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


class Held:
    """Something big in the frame of a failed attempt."""


@pytest.mark.parametrize("last", [None, Vendor("no")], ids=["answered", "failed"])
def test_no_frame_of_an_attempt_outlives_the_call(last: Exception | None) -> None:
    held: list[weakref.ref[Held]] = []

    def fails() -> str:
        big = Held()
        held.append(weakref.ref(big))
        if len(held) == 1:
            raise ConnectionError
        if last is not None:
            raise last
        return "ok"

    function = resilient(retry=Retry(attempts=2, base=0, cap=0))(fails)
    gc.disable()
    try:
        if last is None:
            function()
        else:
            with pytest.raises(Vendor) as caught:
                function()
            last.__traceback__ = None
            del caught
        assert [reference() for reference in held] == [None, None]
    finally:
        gc.enable()


def test_wrong_arguments_are_a_type_error_at_once_and_nobodys_failure(kind: Kind) -> None:
    functions = {one.__wrapped__.__name__: one.__wrapped__ for one in DECORATED}
    names = {
        "function": "whole",
        "coroutine": "awaited",
        "generator": "items",
        "async generator": "items_later",
    }
    backup = kind.plain("never")
    decorated = resilient(clock=kind.clock, fallback=[backup])(functions[names[kind.name]])
    for _ in range(6):
        with pytest.raises(TypeError, match="positional"):
            kind.call(decorated, 1, 2)
    assert (kind.clock.sleeps, kind.calls) == ([], [])
    assert decorated.resilience.health().status == "ok"


def test_a_type_error_inside_the_function_is_a_failure_like_any_other(kind: Kind) -> None:
    assert kind.call(kind.decorated(TypeError("inside"), "b")) in ("b", ["b"])


def test_the_breaker_opens_and_the_function_is_left_alone(kind: Kind) -> None:
    function = kind.decorated(*[Vendor()] * 3, retry=Retry(attempts=1), breaker=Breaker(consecutive=3))
    for _ in range(3):
        with pytest.raises(Vendor):
            kind.call(function)
    with pytest.raises(CircuitOpen):
        kind.call(function)
    assert len(kind.calls) == 3
    assert function.resilience.health().status == "down"


def test_what_is_not_an_exception_passes_untouched(kind: Kind) -> None:
    with pytest.raises(KeyboardInterrupt):
        kind.call(kind.decorated(KeyboardInterrupt()))
    finished = kind.captured.of(events.CallFinished)
    assert [event.error for event in finished] == ["cancelled"]


def test_the_deadline_bounds_all_attempts(kind: Kind) -> None:
    function = kind.decorated(
        *[ConnectionError()] * 9, deadline=2, retry=Retry(attempts=9, base=1.6, cap=1.6)
    )
    with pytest.raises(ConnectionError):
        kind.call(function)
    assert kind.clock.now() <= 2
    assert len(kind.calls) == 3


def test_no_argument_and_no_value_stands_in_any_event_or_error(kind: Kind) -> None:
    function = kind.decorated(OSError(), [SECRET], retry=Retry(attempts=3))
    with capture_events() as captured:
        kind.call(function, SECRET, key=SECRET)
        kind.call(kind.decorated([SECRET]), SECRET)
    assert captured.events
    assert SECRET not in repr(captured.events)
    assert SECRET not in repr(captured.of(events.CallStarted)[0].request.payload)
    broken = kind.decorated(Vendor(), fallback=[kind.plain(Vendor())], retry=Retry(attempts=1))
    with pytest.raises(AllModelsFailed) as caught:
        kind.call(broken, SECRET)
    assert SECRET not in repr(caught.value) + str(caught.value)


def test_the_last_outcome_is_remembered(kind: Kind) -> None:
    function = kind.decorated(OSError(), "a", OSError(), OSError(), retry=Retry(attempts=2))
    assert function.resilience.last_outcome() is None

    def of_call() -> Any:
        if not kind.asynchronous:
            kind.call(function)
            return function.resilience.last_outcome()

        async def inside() -> Any:
            await kind.begun(function)()
            return function.resilience.last_outcome()

        return kind.clock.run(inside())

    outcome = of_call()
    assert [attempt.kind for attempt in outcome.attempts] == ["unknown", None]
    assert (outcome.served_by, outcome.degraded) == ("scripted", False)


def test_a_failed_call_is_remembered_too(no_loop: None) -> None:
    def fails() -> None:
        raise Vendor

    function = resilient(retry=Retry(attempts=1))(fails)
    with pytest.raises(Vendor):
        function()
    outcome = function.resilience.last_outcome()
    assert outcome is not None
    assert (outcome.served_by, len(outcome.attempts)) == (None, 1)


def test_a_context_remembers_a_bounded_number_of_functions() -> None:
    functions = [resilient(lambda: None) for _ in range(40)]
    for function in functions:
        function()
    assert [function.resilience.last_outcome() is None for function in functions] == [True] * 8 + [False] * 32


def test_a_decorated_function_is_named_in_telemetry_after_itself(kind: Kind) -> None:
    kind.call(kind.decorated("a"))
    kind.call(kind.decorated("a", name="support"))
    assert [event.chain for event in kind.captured.of(events.CallStarted)] == ["scripted", "support"]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (Vendor.with_traceback, "BaseException.with_traceback"),
        (lambda: None, "lambda"),
        (functools.partial(pow, 2), "pow"),
    ],
)
def test_names_are_short_and_fit_every_record(function: Any, name: str) -> None:
    assert resilient(function).resilience.health().models[0].model == name


def test_a_blocking_function_that_returns_a_coroutine_is_refused() -> None:
    """Its work would run after everything here is over, unseen."""

    async def later() -> None:
        raise AssertionError("never run")

    def mistaken() -> object:
        return later()

    with pytest.raises(ConfigError, match="async def"):
        resilient(mistaken)()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (3, "not a function"),
        (Vendor, "decorate the methods"),
    ],
)
def test_only_functions_are_decorated(wrong: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resilient(wrong)


class Adder:
    """A callable object."""

    def __init__(self, base: int) -> None:
        self.base = base

    def __call__(self, more: int) -> int:
        return self.base + more


class LateAdder(Adder):
    async def __call__(self, more: int) -> int:  # type: ignore[override]
        return self.base + more


def test_callable_objects_are_decorated_as_what_they_do(no_loop: None) -> None:
    assert resilient(Adder(2))(3) == 5
    assert inspect.iscoroutinefunction(resilient(LateAdder(2)))


class Service:
    def __init__(self, base: int) -> None:
        self.base = base

    @resilient
    def method(self, more: int) -> int:
        return self.base + more

    @resilient(deadline=3)
    async def later(self, more: int) -> int:
        return self.base + more

    @resilient
    def counting(self, upto: int) -> Iterator[int]:
        yield from range(self.base, upto)

    @classmethod
    @resilient
    def under(cls, more: int) -> tuple[str, int]:
        return cls.__name__, more

    @resilient
    @classmethod
    def over(cls, more: int) -> tuple[str, int]:
        return cls.__name__, more

    @staticmethod
    @resilient
    def plain(more: int) -> int:
        return more

    @resilient
    @staticmethod
    def plain_too(more: int) -> int:
        return more


class Child(Service):
    pass


def test_methods_of_every_kind_bind_as_before(no_loop: None) -> None:
    one, child = Service(1), Child(2)
    reads: list[tuple[Callable[[], object], object]] = [
        (lambda: one.method(1), 2),
        (lambda: Service.method(one, 1), 2),
        (lambda: child.method(1), 3),
        (lambda: list(one.counting(3)), [1, 2]),
        (lambda: Child.under(1), ("Child", 1)),
        (lambda: child.under(1), ("Child", 1)),
        (lambda: Child.__dict__.get("over", Service.__dict__["over"]).__get__(None, Child)(1), ("Child", 1)),
        (lambda: Service.plain(1), 1),
        (lambda: Service.plain_too(1), 1),
    ]
    assert [read() for read, _ in reads] == [expected for _, expected in reads]


def test_the_state_of_a_method_is_one_for_all_objects() -> None:
    failing = True

    class Client:
        @resilient(retry=Retry(attempts=1), breaker=Breaker(consecutive=2))
        def ask(self) -> str:
            if failing:
                raise Vendor
            return "ok"

    for _ in range(2):
        with pytest.raises(Vendor):
            Client().ask()
    with pytest.raises(CircuitOpen):
        Client().ask()
    assert Client().ask.resilience is Client.ask.resilience
    assert Client.ask.resilience.health().models[0].breaker == "open"


def test_bound_methods_and_their_objects_can_be_pickled() -> None:
    method = pickle.loads(pickle.dumps(Service(4).method))  # noqa: S301 - our own bytes
    assert method(1) == 5


def test_decorating_twice_nests_two_chains() -> None:
    calls: list[int] = []

    @resilient(retry=Retry(attempts=2, base=0, cap=0))
    def inner() -> str:
        calls.append(1)
        raise Vendor

    outer = resilient(retry=Retry(attempts=2, base=0, cap=0))(inner)
    with pytest.raises(Vendor):
        outer()
    assert len(calls) == 4
    assert outer.resilience is not inner.resilience


def test_the_policy_of_a_function_can_be_read() -> None:
    assert "chain 'whole'" in whole.resilience.explain()
    assert whole.resilience.health().as_dict()["status"] == "ok"
    assert "whole" in repr(whole.resilience)
