"""What a scripted model says of a script that is none, or too short, and how it waits in a loop that is not the clock's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from resilient_ai import DeadlineExceeded, ResilientModel
from resilient_ai.models import canned
from resilient_ai.testing import ManualClock, ScriptedModel, ScriptExhausted, error, ok, stall


def test_no_fallback_hides_a_script_that_is_too_short() -> None:
    chain = ResilientModel([ScriptedModel([], name="short"), canned("hidden")])
    with pytest.raises(
        ScriptExhausted, match="scripted:short was asked more often than its script has steps"
    ):
        chain.generate("q")
    with pytest.raises(ScriptExhausted):
        chain.stream("q").reply()
    with pytest.raises(ScriptExhausted):
        asyncio.run(chain.agenerate("q"))


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("hi", r"steps\[0\] is of type str"),
        ([ok(), "hi"], r"steps\[1\] is of type str"),
        ([ok], "of type function"),
    ],
)
def test_what_is_no_step_is_refused_where_the_script_is_written(steps: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        ScriptedModel(steps)


def test_a_failure_that_is_none_is_refused_with_what_there_is() -> None:
    status: Any = "timeout"
    with pytest.raises(TypeError, match=r"error\(kind='timeout'\)"):
        error(status)
    with pytest.raises(
        ValueError, match="'timout' is not a failure kind; the kinds are connection, timeout,"
    ):
        error(kind="timout")


def test_in_a_loop_that_does_not_follow_the_clock_an_attempt_ends_at_its_time_all_the_same() -> None:
    clock = ManualClock()
    stalls = [ScriptedModel([stall(1000)], name="first"), ScriptedModel([stall(1000)], name="second")]
    chain = ResilientModel(stalls, deadline=60, reserve=5, clock=clock)
    with pytest.raises(DeadlineExceeded):
        asyncio.run(chain.agenerate("q"))
    assert clock.now() == 60

    answers = ResilientModel(
        [ScriptedModel([stall(1000)]), ScriptedModel([ok("b")])], deadline=60, reserve=5, clock=clock
    )
    assert asyncio.run(answers.agenerate("q")).text == "b"
