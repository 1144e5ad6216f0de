from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import demo_runs
from resilient_ai.cli.demo.figures import by_phase, document, percentile, summarise
from resilient_ai.cli.demo.recording import CallRow


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 5.0), (0.95, 10.0), (0.99, 10.0), (0.1, 1.0), (1.0, 10.0)]
)
def test_a_percentile_is_a_value_that_occurred_by_nearest_rank(share: float, expected: float) -> None:
    assert percentile([float(n) for n in range(10, 0, -1)], share) == expected


def test_there_is_no_percentile_of_nothing() -> None:
    assert percentile([], 0.5) is None


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.001, 1.0))
def test_at_least_the_share_of_all_values_does_not_exceed_the_percentile(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


def test_the_summary_counts_each_call_once() -> None:
    summary = summarise(demo_runs.run())
    assert (summary.calls, summary.answered, summary.degraded, summary.failed) == (5, 4, 2, 1)
    assert summary.served_by == {"remote": 2, "on-device": 2}
    assert (summary.attempts, summary.attempts_per_call) == (9, 1.8)
    assert (summary.p50, summary.longest) == (0.2, 4.0)
    assert summary.good


def test_a_late_call_makes_a_bad_run() -> None:
    late = summarise(demo_runs.run(calls=[CallRow(0.0, 4.2, "remote", 1, late=True)]))
    assert (late.late, late.good) == (1, False)


def test_an_exception_of_others_makes_a_bad_run() -> None:
    assert not summarise(demo_runs.run(untyped=["ZeroDivisionError"])).good


def test_a_run_without_calls_is_not_a_good_one() -> None:
    summary = summarise(demo_runs.run(calls=[]))
    assert (summary.p50, summary.longest, summary.attempts_per_call) == (None, None, 0.0)
    assert not summary.good


def test_a_call_belongs_to_the_phase_it_began_in() -> None:
    healthy, stall = by_phase(demo_runs.run())
    assert (healthy.calls, healthy.remote, healthy.on_device, healthy.failed) == (2, 2, 0, 0)
    assert (stall.calls, stall.remote, stall.on_device, stall.failed) == (3, 0, 2, 1)
    assert stall.why == {"timeout": 4, "circuit_open": 1}


def test_the_document_is_json_with_the_promised_keys() -> None:
    told = json.loads(json.dumps(document(demo_runs.run(), {"report": "/r.html"})))
    assert told["served_by"] == {"remote": 2, "on-device": 2}
    assert told["files"] == {"report": "/r.html"}
    assert told["breaker_transitions"][0] == {
        "at_s": 5.1,
        "model": "remote",
        "from": "closed",
        "to": "open",
        "reason": "timeout",
        "open_for_s": 0.4,
    }
