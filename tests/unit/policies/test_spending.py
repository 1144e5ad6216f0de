"""A window of money: what is held, what is spent, and when it is forgotten."""

from __future__ import annotations

import threading

import pytest

from resilient_ai import ConfigError
from resilient_ai.policies.spending import SLICES, CostCap, Spending


def test_what_is_held_counts_until_it_is_settled() -> None:
    spending = Spending(60.0)
    assert spending.hold(6.0, 10.0, 0.0)
    assert not spending.hold(6.0, 10.0, 0.0)
    spending.settle(6.0, 1.0, 0.0)
    assert spending.taken(0.0) == 1.0
    assert spending.hold(6.0, 10.0, 0.0)


def test_what_was_spent_leaves_the_window_slice_by_slice() -> None:
    spending = Spending(60.0)
    spending.settle(0.0, 1.0, 0.0)
    spending.settle(0.0, 2.0, 30.0)
    assert spending.taken(59.0) == 3.0
    assert spending.taken(61.0) == 2.0
    assert spending.taken(1e6) == 0.0


def test_memory_does_not_grow_with_the_number_of_requests() -> None:
    spending = Spending(60.0)
    for number in range(10_000):
        spending.settle(0.0, 0.001, number / 50)
        spending.taken(number / 50)
    assert len(spending._slices) <= SLICES + 1
    assert spending.taken(10_000 / 50) == pytest.approx(3.0, rel=0.05)


def test_threads_never_hold_more_than_the_cap() -> None:
    spending = Spending(60.0)
    held: list[bool] = []

    def work() -> None:
        held.extend(spending.hold(1.0, 10.0, 0.0) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(held) == 10


@pytest.mark.parametrize(
    "options", [{"per_call": -1.0}, {"per_window": float("nan")}, {"per_call": float("inf")}, {"window": 0.0}]
)
def test_a_cap_that_makes_no_sense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        CostCap(**options)  # type: ignore[arg-type]  # floats only


def test_a_cap_says_what_it_is() -> None:
    assert str(CostCap()) == "no bound"
    assert str(CostCap(per_call=0.05, per_window=20, window=60)) == "0.05 USD a call, 20 USD in 60 s"


def test_a_stream_that_the_collector_drops_in_the_middle_of_a_settlement_settles_too() -> None:
    """In the same thread, which holds the lock."""
    spending = Spending(60.0)
    assert spending.hold(5.0, 100.0, 1.0)

    class Collecting(float):
        """An instant: when it is looked at, the collector comes by."""

        def __truediv__(self, other: float, /) -> float:
            spending.settle(2.0, 0.5, 1.0)
            return float(self) / other

    settling = threading.Thread(target=spending.settle, args=(3.0, 1.0, Collecting(1.0)), daemon=True)
    settling.start()
    settling.join(10)
    assert not settling.is_alive()
    assert spending.taken(1.0) == 1.5
