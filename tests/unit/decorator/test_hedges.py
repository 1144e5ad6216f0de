"""`@resilient(hedge=...)`: the function is called again beside a call that is late, and the first value counts."""

from __future__ import annotations

import asyncio
import gc
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from resilient_ai import Hedge, Retry, remaining_seconds, resilient
from resilient_ai.errors import ConfigError
from resilient_ai.testing import ManualClock

LATE = Hedge(after=2)


class Vendor:
    """Answers the first call after `first` seconds of `clock`, and every further one after one second, with the number of the call."""

    def __init__(self, clock: ManualClock, first: float = 30) -> None:
        self.clock = clock
        self.first = first
        self.asked = 0

    def take(self) -> tuple[int, float]:
        self.asked += 1
        return self.asked, self.first if self.asked == 1 else 1

    def answer(self) -> int:
        number, seconds = self.take()
        self.clock.sleep(seconds)
        return number

    async def aanswer(self) -> int:
        number, seconds = self.take()
        await self.clock.asleep(seconds)
        return number


def in_colour(
    colour: str, clock: ManualClock, vendor: Vendor, **options: Any
) -> tuple[Callable[[], Any], Any]:
    """What calls the function, and the function."""
    if colour == "blocking":

        @resilient(hedge=LATE, clock=clock, **options)
        def ask() -> int:
            return vendor.answer()

        return ask, ask

    @resilient(hedge=LATE, clock=clock, **options)
    async def aask() -> int:
        return await vendor.aanswer()

    return lambda: clock.run(aask()), aask


colours = pytest.mark.parametrize("colour", ["blocking", "asyncio"])


@colours
def test_a_call_that_is_late_is_made_again_beside_it_and_the_first_value_counts(colour: str) -> None:
    clock = ManualClock()
    vendor = Vendor(clock)
    ask, function = in_colour(colour, clock, vendor)
    assert ask() == 2
    assert (clock.now(), vendor.asked) == (3, 2)
    assert ask() == 3
    assert vendor.asked == 3
    assert "hedge" in function.resilience.explain()


@colours
def test_without_a_hedge_the_function_is_called_once(colour: str) -> None:
    clock = ManualClock()
    vendor = Vendor(clock, first=5)
    ask, _ = in_colour(colour, clock, vendor)
    off = Hedge(after=2, enabled=False)

    @resilient(hedge=off, clock=clock)
    def alone() -> int:
        return vendor.answer()

    assert alone() == 1
    assert (clock.now(), vendor.asked) == (5, 1)
    assert ask() == 2


def test_a_value_that_comes_after_the_one_that_counted_is_dropped() -> None:
    clock = ManualClock()
    asked: list[int] = []

    @resilient(hedge=LATE, clock=clock)
    async def stubborn() -> str:
        asked.append(len(asked))
        if len(asked) > 1:
            return "second"
        try:
            await clock.asleep(30)
        except asyncio.CancelledError:
            return "first, against its will"
        return "first"

    assert clock.run(stubborn()) == "second"


def test_a_function_that_answers_late_in_its_thread_changes_nothing() -> None:
    gate, left = threading.Event(), threading.Event()
    asked: list[int] = []

    @resilient(hedge=Hedge(after=0.01))
    def ask() -> str:
        asked.append(len(asked))
        if len(asked) > 1:
            return "second"
        assert gate.wait(30)
        left.set()
        return "first"

    assert ask() == "second"
    gate.set()
    assert left.wait(30)
    assert ask() == "second"


def test_what_failed_in_its_thread_after_the_call_goes_with_the_thread() -> None:
    gate, gone = threading.Event(), threading.Event()
    asked: list[int] = []

    class Held: ...

    @resilient(hedge=Hedge(after=0.01))
    def ask() -> str:
        asked.append(len(asked))
        if len(asked) > 1:
            return "second"
        held = Held()
        weakref.finalize(held, gone.set)
        assert gate.wait(30)
        raise ValueError("too late")

    gc.collect()
    gc.disable()
    try:
        assert ask() == "second"
        gate.set()
        assert gone.wait(30)
    finally:
        gc.enable()


@colours
def test_where_both_fail_the_last_error_is_the_functions_own_with_its_lines(colour: str) -> None:
    clock = ManualClock()
    vendor = Vendor(clock)

    def refuse(number: int) -> None:
        raise LookupError(f"no parcel at call {number}")

    decorate = resilient(hedge=LATE, clock=clock, retry=Retry(attempts=1))

    @decorate
    def ask() -> None:
        refuse(vendor.answer())

    @decorate
    async def aask() -> None:
        refuse(await vendor.aanswer())

    with pytest.raises(LookupError) as caught:
        ask() if colour == "blocking" else clock.run(aask())
    assert vendor.asked == 2
    assert "refuse(" in "".join(traceback.format_exception(caught.value))


def test_the_deadline_is_known_in_both_calls() -> None:
    clock = ManualClock()
    left: list[float] = []

    @resilient(hedge=LATE, clock=clock, deadline=20)
    def ask() -> None:
        left.append(remaining_seconds() or 0)
        clock.sleep(30 if len(left) == 1 else 1)

    ask()
    assert left == [20, 18]


def test_functions_among_the_fallbacks_are_called_once() -> None:
    clock = ManualClock()
    vendor = Vendor(clock, first=5)

    def down() -> int:
        raise ConnectionError

    ask = resilient(hedge=LATE, clock=clock, retry=Retry(attempts=1), fallback=vendor.answer)(down)
    assert ask() == 1
    assert vendor.asked == 1


def test_a_generator_and_a_block_have_no_hedge() -> None:
    def pieces() -> Iterator[str]:
        yield "one"

    with pytest.raises(ConfigError, match="generator"):
        resilient(hedge=LATE)(pieces)
    with (
        pytest.raises(ConfigError, match="hedge has no meaning for a block"),
        resilient(hedge=LATE, name="vendor"),
    ):
        pass
