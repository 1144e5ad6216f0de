"""The adaptive throttle: what is kept back, and what it is reckoned from."""

from __future__ import annotations

import threading

import pytest

from resilient_ai import ConfigError, Throttle
from resilient_ai.core.clock import seeded
from resilient_ai.policies.throttle import ThrottleState
from resilient_ai.testing import SteadyRandom

NEVER_REJECTED = SteadyRandom(0.999999)
ALWAYS_REJECTED = SteadyRandom(0.0)


def told(state: ThrottleState, accepted: int, refused: int, at: float = 0.0) -> None:
    """Has `state` seen so many requests."""
    for _ in range(accepted + refused):
        assert state.lets_out(at, NEVER_REJECTED)
    for _ in range(refused):
        state.refused(at)


@pytest.mark.parametrize(
    ("k", "accepted", "refused", "share"),
    [
        (2, 100, 0, 0.0),
        (2, 50, 50, 0.0),
        (2, 40, 60, 20 / 101),
        (2, 5, 35, 30 / 41),
        (1, 40, 60, 60 / 101),
        (1.5, 40, 60, 40 / 101),
    ],
)
def test_the_share_is_the_books_formula(k: float, accepted: int, refused: int, share: float) -> None:
    state = ThrottleState(Throttle(k=k))
    told(state, accepted, refused)
    assert state.share(0.0) == pytest.approx(share)


def test_a_request_is_rejected_with_that_probability() -> None:
    state = ThrottleState(Throttle())
    told(state, 40, 60)
    assert state.lets_out(0.0, SteadyRandom(20 / 101))
    assert not state.lets_out(0.0, SteadyRandom(18 / 102))


def test_a_burst_that_is_still_being_answered_is_not_held_back() -> None:
    state = ThrottleState(Throttle())
    assert all(state.lets_out(0.0, ALWAYS_REJECTED) for _ in range(500))


def test_what_is_rejected_here_counts_as_asked_for() -> None:
    state = ThrottleState(Throttle(most=1.0))
    told(state, 40, 60)
    before = state.share(0.0)
    for _ in range(100):
        assert not state.lets_out(0.0, ALWAYS_REJECTED)
    assert state.share(0.0) == pytest.approx(120 / 201)
    assert state.share(0.0) > before


def test_one_in_ten_still_goes_out_when_nothing_is_accepted() -> None:
    state = ThrottleState(Throttle())
    told(state, 0, 1000)
    assert state.share(0.0) == pytest.approx(0.9)
    assert ThrottleState(Throttle(most=1.0)).share(0.0) == 0.0


def test_a_few_refusals_of_a_quiet_client_say_nothing() -> None:
    state = ThrottleState(Throttle(min_requests=10))
    told(state, 0, 9)
    assert state.share(0.0) == 0.0
    told(state, 0, 1)
    assert state.share(0.0) == pytest.approx(0.9)


def test_what_is_older_than_the_window_is_forgotten() -> None:
    state = ThrottleState(Throttle(window=120))
    told(state, 0, 100, at=1000.0)
    assert state.share(1100.0) > 0
    assert state.share(1121.0) == 0.0


def test_a_refusal_that_comes_after_its_request_left_the_window_is_counted_all_the_same() -> None:
    state = ThrottleState(Throttle(window=10, min_requests=1))
    assert state.lets_out(0.0, NEVER_REJECTED)
    state.refused(60.0)
    assert state.share(60.0) == pytest.approx(0.5)


def test_refusals_turn_the_latest_requests_and_never_more_than_there_are() -> None:
    state = ThrottleState(Throttle(window=10, min_requests=1, most=1.0))
    told(state, 3, 0, at=0.0)
    told(state, 0, 2, at=5.0)
    assert state.share(5.0) == 0.0
    assert state.share(10.0) == pytest.approx(2 / 3)


def test_a_model_that_takes_a_third_is_sent_about_two_thirds_and_takes_as_much() -> None:
    """The point of it: with K = 2 the model sees about twice what it takes, however much is asked for."""
    state, chance = ThrottleState(Throttle()), seeded(7)
    sent = accepted = 0
    for second in range(1200):
        room = 5
        for _ in range(30):
            if not state.lets_out(float(second), chance):
                continue
            if second >= 600:
                sent += 1
                accepted += room > 0
            if room > 0:
                room -= 1
            else:
                state.refused(float(second))
    assert accepted >= 0.97 * 5 * 600
    assert 1.7 * accepted < sent < 2.3 * accepted


def seconds_to_recover(most: float) -> int:
    """Seconds from the return of a model that refused everything for ten minutes until nothing is rejected any more."""
    state, chance = ThrottleState(Throttle(most=most)), seeded(7)
    second = 0
    while second < 600 or state.share(float(second)):
        for _ in range(10):
            if state.lets_out(float(second), chance) and second < 600:
                state.refused(float(second))
        second += 1
    return second - 600


def test_the_cap_finds_out_that_a_model_is_back_before_the_window_has_passed_twice() -> None:
    assert seconds_to_recover(most=0.9) < 2 * 120
    assert seconds_to_recover(most=1.0) > 4 * 120


def test_threads_lose_no_count() -> None:
    state = ThrottleState(Throttle(most=1.0))

    def ask() -> None:
        for _ in range(500):
            state.lets_out(0.0, NEVER_REJECTED)
            state.refused(0.0)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state.share(0.0) == pytest.approx(4000 / 4001)


@pytest.mark.parametrize(
    "options",
    [
        {"k": 0.5},
        {"k": float("inf")},
        {"window": 0},
        {"min_requests": 0},
        {"most": 0},
        {"most": 1.5},
        {"k": "2"},
    ],
)
def test_options_out_of_range_are_refused_by_name(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(ConfigError, match=f"Throttle.{name}"):
        Throttle(**options)  # type: ignore[arg-type]
