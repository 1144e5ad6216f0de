"""The breaker's gate, its window, and what pybreaker sees of it."""

from __future__ import annotations

import threading
from typing import Any

import pybreaker
import pytest

from resilient_ai import ConfigError, ResilientModel, Retry
from resilient_ai.policies.breaker import Breaker, Gate, Permit
from resilient_ai.policies.window import Window
from resilient_ai.testing import ManualClock, ScriptedModel, SteadyRandom, error, ok

CHANCE = SteadyRandom(0.5)


def fail(gate: Gate, now: float, times: int = 1) -> None:
    for _ in range(times):
        permit = gate.admit(now)
        assert permit is not None
        gate.settle(permit, "failure", now, CHANCE)


def succeed(gate: Gate, now: float, times: int = 1, seconds: float = 0.1) -> None:
    for _ in range(times):
        permit = gate.admit(now)
        assert permit is not None
        gate.settle(permit, "success", now, CHANCE, seconds=seconds)


def test_failures_spread_among_successes_open_it_by_their_share() -> None:
    """Four in five failing never makes five in a row; a share over a window does see it."""
    gate = Gate(Breaker(consecutive=None, min_calls=10, failure_ratio=0.5))
    for _ in range(2):
        succeed(gate, 1.0)
        fail(gate, 1.0, 4)
    assert gate.state == "open"


def test_few_calls_say_nothing_about_a_share() -> None:
    gate = Gate(Breaker(consecutive=None, min_calls=10))
    fail(gate, 1.0, 9)
    assert gate.state == "closed"


def test_failures_older_than_the_window_are_forgotten() -> None:
    gate = Gate(Breaker(consecutive=None, min_calls=10, window=100))
    fail(gate, 1.0, 9)
    fail(gate, 150.0, 9)
    assert gate.peek(150.0) is None
    fail(gate, 151.0)
    assert gate.state == "open"


def test_slow_answers_count_as_failures_for_the_share() -> None:
    gate = Gate(Breaker(slow=2.0, min_calls=10))
    succeed(gate, 1.0, 10, seconds=3.0)
    assert gate.state == "open"


def test_neutral_results_count_neither_way() -> None:
    gate = Gate(Breaker(consecutive=2))
    for _ in range(50):
        permit = gate.admit(0.0)
        assert permit is not None
        gate.settle(permit, "neutral", 0.0, CHANCE)
    assert gate.state == "closed"


def test_the_servers_own_wait_lengthens_the_break_but_not_beyond_the_longest() -> None:
    for asked, length in ((60.0, 60.0), (9999.0, 300.0)):
        gate = Gate(Breaker(consecutive=1))
        permit = gate.admit(0.0)
        assert permit is not None
        gate.settle(permit, "failure", 0.0, CHANCE, retry_after=asked)
        assert gate.retry_after(0.0) == pytest.approx(length)


def test_an_alert_opens_at_once_for_the_longest_break() -> None:
    gate = Gate(Breaker())
    permit = gate.admit(0.0)
    assert permit is not None
    gate.settle(permit, "failure", 0.0, CHANCE, alert=True)
    assert gate.state == "open"
    assert gate.retry_after(0.0) == pytest.approx(300)


def test_breaks_double_up_to_the_longest_and_start_over_after_recovery() -> None:
    gate = Gate(Breaker(consecutive=1, open_for=10, open_for_max=40, successes=1))
    now = 0.0
    lengths: list[float] = []
    for _ in range(4):
        fail(gate, now)
        wait = gate.retry_after(now)
        assert wait is not None
        lengths.append(wait)
        now += wait + 0.1
    assert lengths == pytest.approx([10, 20, 40, 40])
    succeed(gate, now)
    assert gate.state == "closed"
    fail(gate, now)
    assert gate.retry_after(now) == pytest.approx(10)


def test_a_lost_probe_does_not_block_recovery_for_ever() -> None:
    gate = Gate(Breaker(consecutive=1, open_for=10))
    fail(gate, 0.0)
    assert gate.admit(11.0) is not None  # and it never comes back
    assert gate.admit(12.0) is None
    assert gate.admit(11.0 + 121.0) is not None


def test_a_permit_settled_twice_counts_once() -> None:
    gate = Gate(Breaker(consecutive=1, open_for=10, successes=2))
    fail(gate, 0.0)
    probe = gate.admit(11.0)
    assert probe is not None
    gate.settle(probe, "failure", 11.0, CHANCE)
    gate.settle(probe, "success", 11.0, CHANCE)
    assert gate.state == "open"


def test_a_permit_of_an_earlier_state_changes_nothing() -> None:
    gate = Gate(Breaker(consecutive=1))
    early = gate.admit(0.0)
    assert early is not None
    fail(gate, 0.0)
    gate.settle(early, "success", 1.0, CHANCE)
    assert gate.state == "open"


def test_it_is_operated_by_hand() -> None:
    gate = Gate(Breaker(consecutive=1))
    gate.force_open()
    assert gate.admit(0.0) is None
    assert gate.retry_after(0.0) is None
    gate.disable()
    fail(gate, 0.0, 20)
    gate.force_close()
    assert gate.state == "closed"
    assert [change.new for change in gate.take_changes()] == ["forced-open", "disabled", "closed"]


def test_a_last_resort_that_answers_begins_recovery() -> None:
    gate = Gate(Breaker(consecutive=1, successes=2))
    fail(gate, 0.0)
    anyway = gate.admit(1.0, anyway=True)
    assert anyway is not None
    gate.settle(anyway, "success", 1.0, CHANCE)
    assert gate.state == "half-open"


def test_many_threads_never_count_past_each_other() -> None:
    gate = Gate(Breaker(consecutive=None, failure_ratio=1.0, min_calls=10**9))

    def work() -> None:
        for _ in range(2000):
            permit = gate.admit(1.0)
            assert permit is not None
            gate.settle(permit, "failure", 1.0, CHANCE)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gate._window.counts(1.0) == (0, 16_000)


def test_a_window_turns_with_time() -> None:
    window = Window(10.0)
    for second in range(25):
        window.add(float(second), good=second % 2 == 0)
    assert sum(window.counts(24.0)) == 10
    assert window.counts(1000.0) == (0, 0)


class Listener(pybreaker.CircuitBreakerListener):
    """Remembers the states it was told of."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        self.seen.append(new_state.name)


class Broken(pybreaker.CircuitBreakerListener):
    """Raises whatever happens."""

    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        raise RuntimeError("listener")


def _outage(breaker: Breaker) -> tuple[ResilientModel, ManualClock]:
    clock = ManualClock()
    model = ScriptedModel([*[error(500)] * 5, *[ok()] * 4])
    chain = ResilientModel([model], clock=clock, retry=Retry(attempts=1), breaker=breaker)
    for _ in range(5):
        with pytest.raises(Exception, match="scripted"):
            chain.generate("q")
    clock.advance(20)
    for _ in range(3):
        chain.generate("q")
    return chain, clock


def test_pybreakers_listeners_are_told_of_every_change() -> None:
    listener = Listener()
    _outage(Breaker(listeners=(listener,)))
    assert listener.seen == ["open", "half-open", "closed"]


def test_a_listener_that_raises_does_not_keep_the_breaker_from_opening(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chain, _ = _outage(Breaker(listeners=(Broken(),)))
    assert chain.health().models[0].breaker == "closed"
    assert caplog.text.count("listener or storage failed with RuntimeError") == 1


def test_a_pybreaker_storage_is_written_off_the_call_path() -> None:
    written: list[str] = []
    done = threading.Event()

    class Storage(pybreaker.CircuitMemoryStorage):
        @property
        def state(self) -> str:
            return str(super().state)

        @state.setter
        def state(self, state: str) -> None:
            written.append(f"{state} by {threading.current_thread().name}")
            self._state = state
            if len(written) == 3:
                done.set()

    _outage(Breaker(storage=Storage("closed")))
    assert done.wait(10)
    assert [line.split(" by ")[0] for line in written] == ["open", "half-open", "closed"]
    assert all("resilient-ai-breaker-storage" in line for line in written)


@pytest.mark.parametrize(
    "options",
    [
        {"window": 0},
        {"failure_ratio": 0},
        {"failure_ratio": 1.1},
        {"min_calls": 0},
        {"consecutive": 0},
        {"open_for": 0},
        {"open_for": 400},
        {"probes": 0},
        {"slow": 0},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Breaker(**options)


def test_a_closed_breaker_gives_one_permit_to_all() -> None:
    gate = Gate(Breaker())
    assert gate.admit(0.0) is gate.admit(0.0)
    assert gate.admit(0.0) == Permit(0)
