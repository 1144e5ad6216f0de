"""Options of the wrong kind are refused where they are written, with the name, the value and what would do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from resilient_ai import Breaker, ConfigError, Limits, ResilientModel, Retry, RetryBudget, Timeouts
from resilient_ai.models import canned


def made(kind: Callable[..., object], **options: object) -> Callable[[], object]:
    return lambda: kind(**options)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (made(Retry, attempts="3"), "Retry.attempts is '3'; it must be a whole number"),
        (made(Breaker, consecutive=True), "Breaker.consecutive is True; it must be a whole number, or None"),
        (made(Breaker, enabled=1), "Breaker.enabled is 1; it must be True or False"),
        (made(Timeouts, attempt=None), "Timeouts.attempt is None; it must be a number"),
        (made(Limits, concurrency=2.5), "Limits.concurrency is 2.5; it must be a whole number, or None"),
        (made(RetryBudget, floor="x"), "RetryBudget.floor is 'x'; it must be a whole number"),
        (made(ResilientModel, chain=[canned("x")], deadline="20s"), "deadline is '20s'"),
        (made(ResilientModel, chain=[canned("x")], deadline=-1), "deadline is -1"),
        (made(ResilientModel, chain=[canned("x"), canned("y")], reserve="2s"), "reserve is '2s'"),
    ],
)
def test_an_option_of_the_wrong_kind_is_refused_by_name(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()


def test_whole_numbers_do_for_seconds_and_none_for_no_bound() -> None:
    assert Timeouts(attempt=30).attempt == 30
    assert Limits(concurrency=None).concurrency is None
    assert Breaker(consecutive=None).consecutive is None
