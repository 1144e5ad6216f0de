from __future__ import annotations

import pytest

from resilient_ai.operate import promql
from resilient_ai.operate.yaml_text import Plain, yaml_text
from resilient_ai.telemetry import names


@pytest.mark.parametrize(
    ("metric", "part", "expected"),
    [
        (names.METRIC_REQUEST_DURATION, "bucket", "resilient_ai_request_duration_seconds_bucket"),
        (names.METRIC_TOKEN_USAGE, "sum", "gen_ai_client_token_usage_sum"),
        (names.METRIC_ATTEMPTS, "", "resilient_ai_attempts_total"),
        (names.METRIC_COST, "", "resilient_ai_cost_total"),
        (names.METRIC_ACTIVE, "", "resilient_ai_requests_active"),
        (names.METRIC_BREAKER_STATE, "", "resilient_ai_circuit_breaker_state"),
    ],
)
def test_a_metric_is_spelled_with_its_unit_and_what_it_counts(
    metric: str, part: promql.Part, expected: str
) -> None:
    assert promql.spelled(metric, part) == expected


def test_a_metric_or_label_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no metric of ours is called 'resilient_ai\.nonsense'"):
        promql.select("resilient_ai.nonsense")
    with pytest.raises(ValueError, match=r"has no label 'resilient_ai\.chain'"):
        promql.select(names.METRIC_ATTEMPTS, promql.equal(names.CHAIN, "support"))
    with pytest.raises(ValueError, match=r"has the label 'user\.id'"):
        promql.summed("x", by=("user.id",))


def test_a_histogram_is_asked_for_a_part_and_a_counter_is_not() -> None:
    with pytest.raises(ValueError, match="is a histogram and has no part ''"):
        promql.select(names.METRIC_REQUEST_DURATION)
    with pytest.raises(ValueError, match="is a counter and has no part 'count'"):
        promql.select(names.METRIC_ATTEMPTS, part="count")


def test_a_selector_quotes_what_it_compares_with() -> None:
    match = promql.equal(names.CHAIN, 'a"b\\')
    assert promql.select(names.METRIC_ACTIVE, match) == (
        'resilient_ai_requests_active{resilient_ai_chain="a\\"b\\\\"}'
    )


@pytest.mark.parametrize(
    ("seconds", "pace", "expected"),
    [
        (300, 1, "5m"),
        (86_400, 1, "1d"),
        (90, 1, "90s"),
        (5400, 1, "90m"),
        (300, 0.005, "1500ms"),
        (1, 1e-9, "1ms"),
    ],
)
def test_a_duration_is_written_in_the_largest_unit_it_is_whole_in(
    seconds: float, pace: float, expected: str
) -> None:
    assert promql.span(seconds, pace=pace) == expected


def test_what_is_written_as_yaml_is_read_as_it_was() -> None:
    yaml = pytest.importorskip("yaml")
    document: Plain = {
        "text": "plain",
        "quoted": 'a "b" {{ $labels.x }}: c # d',
        "block": "sum(\n  x\n)\nor y",
        "numbers": [1, 2.5, -3],
        "nothing": [],
        "empty": {},
        "nested": [{"a": "1", "b": [{"c": "yes"}, {"d": "a\nb"}]}, {"e": 0}],
        "unicode": "5 % → 10 %",
    }
    assert yaml.safe_load(yaml_text(document, head="one\ntwo")) == document
    assert yaml_text(document, head="one\ntwo").startswith("# one\n# two\ntext: ")
