"""Wait hints: every form providers use, and every form that must not be believed."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import cast, final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_ai.core.classify import HINT_IGNORED, Headers, classify
from resilient_ai.core.hints import LONGEST_HINT, duration, fold_headers, number

VECTORS = Path(__file__).parents[2] / "vectors" / "wait_hints.json"
DATA = cast("dict[str, object]", json.loads(VECTORS.read_text("utf-8")))
CASES = cast("list[dict[str, object]]", DATA["hints"])


@final
class WallClock:
    """A clock whose wall time is fixed."""

    def __init__(self, wall: float) -> None:
        self._wall = wall

    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        return self._wall

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)

    async def asleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(cast("dict[str, object]", case)["id"]))
def test_a_wait_hint_is_read_as_its_sender_means_it(case: dict[str, object]) -> None:
    verdict = classify(
        status=cast("int", case["status"]),
        headers=cast("dict[str, str]", case["headers"]),
        body=cast("dict[str, object] | None", case["body"]),
        in_stream=bool(case["in_stream"]),
        clock=WallClock(cast("float", DATA["now"])),
    )
    assert verdict.retry_after == (None if case["seconds"] is None else pytest.approx(case["seconds"]))
    assert (HINT_IGNORED in verdict.reasons) is case["ignored"]


@given(st.text(max_size=60) | st.from_regex(r"[0-9.\-+eEmshdninfa ]{0,40}", fullmatch=True))
def test_no_header_makes_a_hint_that_cannot_be_slept(value: str) -> None:
    headers = {
        "retry-after": value,
        "x-ratelimit-reset-requests": value,
        "anthropic-ratelimit-x-reset": value,
        "ratelimit": value,
    }
    verdict = classify(status=429, headers=headers)
    assert verdict.retry_after is None or (
        isfinite(verdict.retry_after) and 0 <= verdict.retry_after <= LONGEST_HINT
    )


@given(st.integers(min_value=0, max_value=10**30))
def test_whole_seconds_are_read_exactly_up_to_the_cap(seconds: int) -> None:
    assert number(str(seconds)) == min(float(seconds), LONGEST_HINT)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59999))
def test_a_duration_as_go_prints_it_is_read_back(hours: int, minutes: int, milliseconds: int) -> None:
    printed = f"{hours}h{minutes}m{milliseconds / 1000}s"
    assert duration(printed) == pytest.approx(hours * 3600 + minutes * 60 + milliseconds / 1000)


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "3"},
        {"RETRY-AFTER": b"3"},
        [("retry-after", "3"), ("retry-after", "9")],
        [(b"Retry-After", b"3")],
        {"retry-after": ["3", "9"]},
        {"retry-after": 3},
    ],
)
def test_headers_of_any_library_fold_to_the_same(headers: Headers) -> None:
    assert classify(status=429, headers=headers).retry_after == 3.0


def test_a_strange_container_of_headers_says_nothing() -> None:
    assert fold_headers(object()) == {}
    assert fold_headers([1, 2]) == {}
    assert fold_headers({"a": object(), "b": "1"}) == {"b": "1"}
