"""Sync equals async: the same script gives the same events, to the instant, under both drivers."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any, cast

import pytest

from resilient_ai import Breaker, Hedge, Limits, ResilientModel, Retry, RetryBudget, Timeouts
from resilient_ai.core.events import Event
from resilient_ai.core.model import Traits
from resilient_ai.models import canned
from resilient_ai.testing import (
    Captured,
    ManualClock,
    ScriptedModel,
    SteadyRandom,
    Step,
    cut,
    error,
    ok,
    raises,
    stall,
)

SCENARIOS: dict[str, tuple[list[list[Step]], dict[str, Any], int]] = {
    "healthy": ([[ok()]], {}, 1),
    "slow": ([[ok(after=3)]], {"deadline": 10}, 1),
    "retries": ([[error(500), error(503, after=1), ok()]], {}, 1),
    "hint": ([[error(429, retry_after=4), ok()]], {}, 1),
    "hint too long": ([[error(429, retry_after=90)], [ok("b")]], {"deadline": 20}, 1),
    "stall": ([[stall(500)], [ok("b", after=1)]], {"deadline": 10, "reserve": 3}, 1),
    "two stalls": ([[stall(500)], [stall(500)], [ok("c")]], {"deadline": 10, "reserve": 2}, 1),
    "all stall": ([[stall(500)], [stall(500)]], {"deadline": 10, "reserve": 3}, 1),
    "attempt timeout": (
        [[stall(500), stall(500), ok("late")]],
        {"timeouts": Timeouts(attempt=2), "deadline": 30},
        1,
    ),
    "bad request": ([[error(400)], [ok()]], {}, 1),
    "authentication": ([[error(401)], [ok("b")] * 2], {}, 2),
    "all fail": ([[error(500)] * 3, [error(503)] * 3], {}, 1),
    "unknown": ([[raises(ValueError())] * 2, [ok("b")]], {}, 1),
    "breaker opens": ([[error(500)] * 9, [ok("b")] * 9], {"retry": Retry(attempts=1)}, 9),
    "all open": ([[error(500)] * 5, [*[error(500)] * 5, ok("b")]], {"retry": Retry(attempts=1)}, 6),
    "wait for breaker": (
        [[*[error(500)] * 5, ok("back")]],
        {"retry": Retry(attempts=1), "when_all_open": "wait", "breaker": Breaker(open_for=5)},
        6,
    ),
    "paced": ([[ok()] * 4], {"limits": Limits(requests_per_minute=6)}, 4),
    "hedge wins": ([[ok(after=30), ok(after=1)]], {"hedge": Hedge(after=2)}, 1),
    "hedge loses": ([[ok(after=4), ok(after=30)]], {"hedge": Hedge(after=2)}, 1),
    "hedge not needed": ([[ok(after=1)] * 2], {"hedge": Hedge(after=2)}, 2),
    "hedge learned": ([[*[ok(after=1)] * 10, ok(after=30), ok(after=0.5)]], {"hedge": Hedge()}, 11),
    "hedge and both fail": ([[error(500, after=3), error(503, after=5), ok()]], {"hedge": Hedge(after=2)}, 1),
    "hedge fails first": ([[ok(after=9), error(503, after=1)]], {"hedge": Hedge(after=2)}, 1),
    "hedge and a wait hint": (
        [[error(429, retry_after=4, after=3), ok(after=9)]],
        {"hedge": Hedge(after=2)},
        1,
    ),
    "two hedges": ([[ok(after=30), ok(after=29), ok(after=1)]], {"hedge": Hedge(after=2, at_most=2)}, 1),
    "hedges stall": (
        [[stall(500), stall(500)], [ok("b")]],
        {"hedge": Hedge(after=2), "deadline": 10, "reserve": 3},
        1,
    ),
    "no budget for a hedge": (
        [[ok(after=4)]],
        {"hedge": Hedge(after=2), "budget": RetryBudget(capacity=13)},
        1,
    ),
    "remapped": ([[error(400)], [ok("b")]], {"on": {"bad_request": "next"}}, 1),
}


def _models(scripts: list[list[Step]]) -> list[Any]:
    return [
        ScriptedModel(script, name=f"m{index}", traits=Traits(typical_seconds=0.5, replayable=True))
        for index, script in enumerate(scripts)
    ]


def _normal(events: list[Event]) -> list[Any]:
    """Events without what must differ: the number of the call."""
    return [
        dataclasses.replace(cast("Any", event), call=0) if hasattr(event, "call") else event
        for event in events
    ]


def _trace(scripts: list[list[Step]], policies: dict[str, Any], calls: int, how: str) -> list[Any]:
    clock, captured = ManualClock(), Captured()
    chain = ResilientModel(
        _models(scripts), clock=clock, observers=[captured], chance=SteadyRandom(0.5), **policies
    )
    endings: list[Any] = []

    def note(ending: object) -> None:
        endings.append((type(ending).__name__, getattr(ending, "text", None), round(clock.now(), 6)))

    def blocking(*, stream: bool) -> None:
        for _ in range(calls):
            try:
                note(chain.stream("q").reply() if stream else chain.generate("q"))
            except Exception as failure:  # noqa: BLE001 - part of the trace
                note(failure)

    async def asynchronous(*, stream: bool) -> None:
        for _ in range(calls):
            try:
                note(await chain.astream("q").reply() if stream else await chain.agenerate("q"))
            except Exception as failure:  # noqa: BLE001 - part of the trace
                note(failure)

    stream = how.endswith("stream")
    if how.startswith("blocking"):
        blocking(stream=stream)
    else:
        clock.run(asynchronous(stream=stream))
    return [*_rounded(_normal(captured.events)), *endings]


def _rounded(events: list[Any]) -> list[Any]:
    """Instants to the microsecond: the two drivers add the same seconds in another order."""

    def rounded(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, 6)
        if dataclasses.is_dataclass(value) and not isinstance(value, type) and not hasattr(value, "messages"):
            return (
                type(value).__name__,
                *(rounded(getattr(value, field.name)) for field in dataclasses.fields(value)),
            )
        if isinstance(value, tuple):
            return tuple(rounded(item) for item in cast("Any", value))
        return repr(value) if hasattr(value, "messages") else value

    return [rounded(event) for event in events]


@pytest.mark.parametrize("kind", ["", " stream"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_same_script_gives_the_same_events_in_both_colours(scenario: str, kind: str) -> None:
    scripts, policies, calls = SCENARIOS[scenario]
    blocking = _trace(scripts, policies, calls, f"blocking{kind}")
    asynchronous = _trace(scripts, policies, calls, f"asyncio{kind}")
    assert blocking == asynchronous
    assert len(blocking) > 3 * calls


@pytest.mark.parametrize("policy", ["raise", "restart", "continue"])
def test_an_interrupted_stream_gives_the_same_events_in_both_colours(policy: str) -> None:
    scripts = [[cut(after=2)], [ok("x y z")]]
    traces = [
        _trace(scripts, {"on_interrupt": policy}, 1, how) for how in ("blocking stream", "asyncio stream")
    ]
    assert traces[0] == traces[1]


def test_the_blocking_half_of_this_suite_needs_no_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a blocking call created an event loop")

    monkeypatch.setattr(asyncio, "new_event_loop", forbidden)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "__init__", forbidden)
    for scripts, policies, calls in SCENARIOS.values():
        _trace(scripts, policies, calls, "blocking")
        _trace(scripts, policies, calls, "blocking stream")
    assert ResilientModel([canned("x")]).generate("q").text == "x"
