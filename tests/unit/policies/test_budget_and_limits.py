"""The retry budget, the pace, the line."""

from __future__ import annotations

from typing import Any

import pytest

from resilient_ai import ConfigError, FailureKind, Limits, RetryBudget, Timeouts
from resilient_ai.policies.budget import BudgetState
from resilient_ai.policies.latency import Latency
from resilient_ai.policies.limits import Concurrency, Pace


def test_a_budget_runs_dry_and_a_success_pays_back() -> None:
    budget = BudgetState(RetryBudget(capacity=28, floor=0))
    assert [budget.draw(None, 0.0) for _ in range(3)] == [14, 14, None]
    budget.refund(14)
    assert budget.draw(None, 0.0) == 14
    for _ in range(14):
        budget.refund(None)
    assert budget.draw(None, 0.0) == 14


def test_throttling_retries_are_cheaper() -> None:
    budget = BudgetState(RetryBudget(capacity=10, floor=0))
    assert [budget.draw(FailureKind.RATE_LIMITED, 0.0) for _ in range(3)] == [5, 5, None]


def test_the_floor_lets_a_quiet_client_retry() -> None:
    budget = BudgetState(RetryBudget(capacity=0, floor=3, floor_seconds=10))
    assert [budget.draw(None, 0.0) for _ in range(4)] == [0, 0, 0, None]
    assert budget.draw(None, 9.0) is None
    assert budget.draw(None, 10.0) == 0


def test_a_refund_never_overfills() -> None:
    budget = BudgetState(RetryBudget(capacity=20))
    budget.draw(None, 0.0)
    budget.refund(500)
    assert budget.tokens == 20


def test_a_budget_switched_off_allows_everything() -> None:
    budget = BudgetState(RetryBudget(capacity=0, floor=0, enabled=False))
    assert all(budget.draw(None, 0.0) == 0 for _ in range(100))


def test_a_pace_spaces_requests_and_allows_a_short_burst() -> None:
    pace = Pace(Limits(requests_per_minute=60))
    starts = [pace.book(0.0, 0, 100.0) for _ in range(15)]
    assert starts[:10] == [0.0] * 10
    assert starts[10:] == pytest.approx([1, 2, 3, 4, 5])


def test_a_pace_counts_tokens_and_is_corrected_by_what_was_used() -> None:
    pace = Pace(Limits(tokens_per_minute=600))
    assert pace.book(0.0, 200, 100.0) == 0.0
    assert pace.book(0.0, 100, 100.0) == pytest.approx(10)
    pace.correct(-300)
    assert pace.book(0.0, 10, 100.0) == 0.0


def test_a_booking_that_does_not_fit_is_not_made() -> None:
    pace = Pace(Limits(requests_per_minute=6))
    assert pace.book(0.0, 0, 100.0) == 0.0
    assert pace.book(0.0, 0, 5.0) is None
    assert pace.book(0.0, 0, 100.0) == pytest.approx(10)


def test_a_hold_is_only_ever_extended() -> None:
    pace = Pace(Limits())
    pace.hold(10.0)
    pace.hold(5.0)
    assert pace.held_until == 10.0


class Caller:
    def __init__(self, *, gone: bool = False) -> None:
        self.gone = gone
        self.woken = False

    def wake(self) -> bool:
        self.woken = True
        return not self.gone


def test_the_line_is_first_come_first_served_and_skips_who_is_gone() -> None:
    places = Concurrency(Limits(concurrency=1, queue=3))
    assert places.enter(None) is True
    gone, second, third = Caller(gone=True), Caller(), Caller()
    assert [places.enter(caller) for caller in (gone, second, third)] == [False] * 3
    assert places.enter(Caller()) is None
    places.leave()
    assert (gone.woken, second.woken, third.woken) == (True, True, False)
    places.give_up(third)
    places.leave()
    assert places.active == 0


def test_giving_up_after_being_woken_passes_the_place_on() -> None:
    places = Concurrency(Limits(concurrency=1, queue=3))
    places.enter(None)
    first, second = Caller(), Caller()
    places.enter(first)
    places.enter(second)
    places.leave()
    places.give_up(first)
    assert second.woken
    places.leave()
    assert places.active == 0


def test_latency_is_believed_after_ten_answers_and_follows_a_change() -> None:
    latency = Latency()
    for _ in range(9):
        latency.record(1.0, 0.0)
    before = latency.p95
    latency.record(1.0, 0.0)
    assert (before, latency.p50, latency.p95) == (None, 1.0, 1.0)
    for _ in range(200):
        latency.record(3.0, 0.0)
    assert latency.p50 == 3.0


@pytest.mark.parametrize(
    ("policy", "options"),
    [
        (RetryBudget, {"capacity": -1}),
        (RetryBudget, {"floor_seconds": 0}),
        (Limits, {"concurrency": 0}),
        (Limits, {"queue": -1}),
        (Limits, {"tokens_per_minute": 0}),
        (Timeouts, {"connect": 0}),
        (Timeouts, {"idle": -1}),
        (Timeouts, {"attempt": float("nan")}),
    ],
)
def test_options_out_of_range_are_refused(policy: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        policy(**options)
