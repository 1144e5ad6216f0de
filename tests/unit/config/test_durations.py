from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_ai.config.durations import DURATION_PATTERN, format_duration, parse_duration


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("20s", 20.0),
        ("500ms", 0.5),
        ("100ms", 0.1),
        ("2m", 120.0),
        ("1.5h", 5400.0),
        ("3 s", 3.0),
        (7, 7.0),
        (0.25, 0.25),
    ],
)
def test_a_duration_is_a_number_with_a_unit_or_a_number_of_seconds(value: object, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "20",
        "s",
        "20 sec",
        "-1s",
        "1s2",
        "1e3s",
        "٢s",
        "20s\n",
        "1m30s",
        True,
        None,
        [],
        -1,
        float("nan"),
        float("inf"),
    ],
)
def test_anything_else_is_refused_without_repeating_it(value: object) -> None:
    with pytest.raises(ValueError, match="expected a duration") as caught:
        parse_duration(value)
    assert not isinstance(value, str) or len(value) < 4 or value not in str(caught.value)


@given(st.floats(0, 1e6, allow_nan=False), st.sampled_from(["ms", "s", "m", "h"]))
def test_the_published_pattern_and_the_parser_agree(number: float, unit: str) -> None:
    text = f"{number:.3f}{unit}"
    assert re.fullmatch(DURATION_PATTERN, text)
    factor = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]
    assert parse_duration(text) == pytest.approx(float(f"{number:.3f}") * factor)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "250 ms"),
        (1, "1 s"),
        (20, "20 s"),
        (90.5, "90.5 s"),
        (120, "2 min"),
        (5400, "1 h 30 min"),
        (3661, "1 h 1 min 1 s"),
    ],
)
def test_a_duration_is_written_as_a_reader_says_it(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
