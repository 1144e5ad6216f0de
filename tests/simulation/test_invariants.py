"""Whatever models do and whatever the policy is, a call keeps its promises: on a virtual clock, in both colours, with random chains.

The promises: it ends by its deadline, with an answer or one typed error; it sends no more requests than `worst_case` says; every attempt,
model and call that began has ended in the events; places, permits and connections are given back; a cancellation changes no breaker.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from resilient_ai import (
    Attempt,
    Breaker,
    Hedge,
    InvalidOutput,
    Limits,
    ModelError,
    Reply,
    ResilientModel,
    Retry,
    RetryBudget,
    Throttle,
    Timeouts,
)
from resilient_ai.core import events
from resilient_ai.core.clock import seeded
from resilient_ai.core.failure import FailureKind
from resilient_ai.core.model import Traits
from resilient_ai.engine.choice import STAND_IN_SECONDS
from resilient_ai.errors import CallError
from resilient_ai.testing import Captured, ManualClock, ScriptedModel, Step, cut, error, ok, raises, stall

ROUNDING = 1e-6
"""Sums of floats on a clock that stands at a few thousand seconds."""
KINDS = [
    kind.value for kind in FailureKind if kind not in (FailureKind.CANCELLED, FailureKind.STREAM_INTERRUPTED)
]
MAPPED = [kind for kind in KINDS if kind != "local"]
SECONDS = st.sampled_from([0.0, 0.001, 0.3, 2.0, 7.5, 40.0, 1000.0])
CALLS = 4
HEDGES = [Hedge(after=0.21), Hedge(after=0.21, at_most=3), Hedge(after=1.7, at_most=2)]


class Odd(Exception):
    """A failure no table knows."""


def _ok(after: float, gap: float) -> Step:
    return ok("one two three", after=after, gap=gap)


def _kind(kind: str, after: float, hint: float | None) -> Step:
    return error(kind=kind, after=after, retry_after=hint)


def _odd(after: float) -> Step:
    return raises(Odd(), after=after)


def _local(after: float) -> Step:
    return raises(RecursionError(), after=after)


STEPS = st.one_of(
    st.builds(_ok, SECONDS, SECONDS),
    st.builds(_kind, st.sampled_from(KINDS), SECONDS, st.sampled_from([None, 0.0, 0.5, 3.0, 30.0, 400.0])),
    st.builds(stall, SECONDS),
    st.builds(cut, st.integers(0, 3)),
    st.builds(_odd, SECONDS),
    st.builds(_local, SECONDS),
)
TRAITS = st.builds(
    Traits,
    local=st.booleans(),
    stand_in=st.booleans(),
    context_tokens=st.sampled_from([None, None, None, 5, 1000]),
    typical_seconds=st.sampled_from([0.05, 1.0, 5.0]),
)


def beyond(case: Case) -> float:
    """Seconds that models may take beyond the deadline that stand in for others; here they take longer than a fixed text does."""
    return STAND_IN_SECONDS * sum(traits.stand_in for _, traits in case.scripts)


@dataclass(frozen=True)
class Case:
    """One random world."""

    scripts: list[tuple[list[Step], Traits]]
    policy: dict[str, Any]
    streamed: bool
    checked: bool
    pause: float
    seed: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    deadline = draw(st.sampled_from([0.004, 0.5, 3.0, 20.0, 120.0]))
    scripts = draw(
        st.lists(st.tuples(st.lists(STEPS, min_size=1, max_size=4), TRAITS), min_size=1, max_size=4)
    )
    hedged = draw(st.booleans())
    if hedged:
        # What hedges are for: whole answers of models that may be asked twice.
        scripts = [(steps, replace(traits, replayable=draw(st.booleans()))) for steps, traits in scripts]
    attempt = draw(st.sampled_from([None, 1.0, 5.0]))
    clocks: dict[str, float] = {
        "first_token": draw(st.sampled_from([0.5, 20.0])),
        "idle": draw(st.sampled_from([0.5, 30.0])),
    }
    if attempt is not None and attempt <= deadline:
        clocks["attempt"] = attempt
    policy: dict[str, Any] = {
        "deadline": deadline,
        "reserve": draw(st.sampled_from([None, None, 0.0, deadline / 8])),
        "retry": Retry(attempts=draw(st.integers(1, 4)), base=draw(st.sampled_from([0.0, 0.5]))),
        "timeouts": Timeouts(**clocks),
        "breaker": draw(
            st.sampled_from(
                [
                    Breaker(window=240),
                    Breaker(window=240, consecutive=1),
                    Breaker(window=240, consecutive=2, open_for=0.5, successes=1),
                    Breaker(enabled=False),
                ]
            )
        ),
        "budget": draw(
            st.sampled_from([RetryBudget(), RetryBudget(enabled=False), RetryBudget(capacity=0, floor=1)])
        ),
        "limits": draw(
            st.sampled_from(
                [
                    Limits(),
                    Limits(concurrency=2),
                    Limits(requests_per_minute=20),
                    Limits(tokens_per_minute=90),
                ]
            )
        ),
        "throttle": draw(st.sampled_from([None, None, Throttle(min_requests=1), Throttle(k=1, most=1.0)])),
        "hedge": draw(st.sampled_from(HEDGES)) if hedged else None,
        "on": draw(
            st.dictionaries(
                st.sampled_from(MAPPED), st.sampled_from(["retry", "next", "raise", "wait"]), max_size=3
            )
        ),
        "on_interrupt": draw(st.sampled_from(["raise", "restart", "continue"])),
        "when_all_open": draw(st.sampled_from(["last_resort", "wait", "raise"])),
    }
    checked = policy["on_interrupt"] != "continue" and draw(st.booleans())
    return Case(
        scripts,
        policy,
        not hedged and draw(st.booleans()),
        checked,
        draw(SECONDS),
        draw(st.integers(0, 2**16)),
    )


class World:
    """The chain of a case, and what was seen of it."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.clock = ManualClock()
        self.captured = Captured()
        self.models = [
            ScriptedModel(steps, name=f"m{place}", repeat=True, traits=traits)
            for place, (steps, traits) in enumerate(case.scripts)
        ]
        refusals = seeded(case.seed)

        def at_random(_: Reply) -> bool:
            return refusals.random() < 0.5

        self.chain = ResilientModel(
            self.models,
            clock=self.clock,
            chance=seeded(case.seed),
            observers=[self.captured],
            checks=[at_random] if case.checked else [],
            **case.policy,
        )
        self.took = 0.0

    @property
    def attempts(self) -> list[Attempt]:
        return [finished.attempt for finished in self.captured.of(events.AttemptFinished)]

    @property
    def sent(self) -> int:
        return sum(len(model.log) for model in self.models)

    def blocking(self) -> Reply:
        began = self.clock.now()
        try:
            if not self.case.streamed:
                return self.chain.generate("a question of some length")
            with self.chain.stream("a question of some length") as stream:
                return stream.reply()
        finally:
            self.took = self.clock.now() - began

    async def asynchronous(self) -> Reply:
        began = self.clock.now()
        try:
            if not self.case.streamed:
                return await self.chain.agenerate("a question of some length")
            async with self.chain.astream("a question of some length") as stream:
                return await stream.reply()
        finally:
            self.took = self.clock.now() - began

    def check_nothing_is_left(self) -> None:
        seen = self.captured.of
        assert len(seen(events.CallStarted)) == len(seen(events.CallFinished))
        assert len(seen(events.AttemptStarted)) == len(seen(events.AttemptFinished)) == self.sent
        assert len(seen(events.ModelStarted)) == len(seen(events.ModelFinished))
        assert self.chain._places.active == 0
        assert self.chain._places.waiting == 0
        for model in self.models:
            assert model.open_streams == 0
        for hop in self.chain.plan.hops:
            assert not hop.state.breaker._probes
            assert 0 <= hop.state.budget.tokens <= hop.state.budget.options.capacity

    def check_answer(self, reply: Reply) -> None:
        outcome = reply.outcome
        assert outcome is not None
        assert reply.finish_reason is not None
        served = next(model for model in self.models if model.name == outcome.served_by)
        place = self.models.index(served)
        assert outcome.degraded == (place > 0 or served.traits.stand_in)
        assert outcome.attempts[-1].verdict == "answered"
        assert [attempt.verdict for attempt in outcome.attempts].count("answered") == 1
        assert outcome.seconds <= self.took + ROUNDING

    def check_error(self, failure: Exception) -> None:
        assert isinstance(failure, CallError | ModelError | InvalidOutput | Odd | RecursionError), repr(
            failure
        )
        assert hasattr(failure, "attempts")

    def check_one_call(self, sent_before: int) -> None:
        worst = self.chain.plan.worst_case(checked=self.case.checked)
        assert self.took <= worst.seconds + beyond(self.case) + ROUNDING
        if worst.requests is not None:
            assert self.sent - sent_before <= worst.requests
        hedge = self.case.policy["hedge"]
        beside = [attempt for attempt in self.attempts if attempt.verdict == "hedged"]
        runs = [
            list(run) for hedged, run in groupby(self.attempts, lambda one: one.verdict == "hedged") if hedged
        ]
        assert all(len(run) <= hedge.at_most for run in runs)
        assert not beside or not self.case.streamed
        if beside:
            event("hedged")


QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@QUICK
@given(cases())
def test_a_blocking_call_keeps_every_promise(case: Case) -> None:
    world = World(case)
    for _ in range(CALLS):
        before = world.sent
        try:
            world.check_answer(world.blocking())
            event("answered")
        except Exception as failure:
            if isinstance(failure, AssertionError):
                raise
            world.check_error(failure)
            event(type(failure).__name__)
        world.check_one_call(before)
        world.check_nothing_is_left()
        world.clock.advance(case.pause)


@QUICK
@given(cases())
def test_an_asynchronous_call_keeps_every_promise(case: Case) -> None:
    world = World(case)

    async def main() -> None:
        for _ in range(CALLS):
            before = world.sent
            try:
                world.check_answer(await world.asynchronous())
            except Exception as failure:
                if isinstance(failure, AssertionError):
                    raise
                world.check_error(failure)
            world.check_one_call(before)
            world.check_nothing_is_left()
            await world.clock.asleep(case.pause)

    world.clock.run(main())


@QUICK
@given(cases())
def test_calls_side_by_side_keep_every_promise(case: Case) -> None:
    world = World(case)

    async def one() -> float:
        began = world.clock.now()
        with contextlib.suppress(CallError, ModelError, Odd, RecursionError):
            await world.chain.agenerate("a question of some length")
        return world.clock.now() - began

    async def main() -> list[float]:
        return await asyncio.gather(*(one() for _ in range(6)))

    took = world.clock.run(main())
    assert max(took) <= case.policy["deadline"] + beyond(case) + ROUNDING
    world.check_nothing_is_left()


@QUICK
@given(cases(), SECONDS, st.integers(1, 2))
def test_a_cancelled_call_leaves_nothing_and_blames_nobody(case: Case, after: float, times: int) -> None:
    world = World(case)

    async def main() -> None:
        call = asyncio.create_task(world.asynchronous())
        await world.clock.asleep(after)
        before = [hop.state.breaker._consecutive for hop in world.chain.plan.hops]
        finished = len(world.captured.of(events.AttemptFinished))
        was_done = call.done()
        for _ in range(times):
            call.cancel()
        await asyncio.wait([call])
        if not was_done and call.cancelled():
            ends = world.captured.of(events.AttemptFinished)[finished:]
            assert {end.attempt.verdict for end in ends} <= {"cancelled"}
            assert len(ends) <= 1 + (0 if case.policy["hedge"] is None else case.policy["hedge"].at_most)
            assert [hop.state.breaker._consecutive for hop in world.chain.plan.hops] == before
        elif not call.cancelled():
            call.exception()

    world.clock.run(main())
    world.check_nothing_is_left()


@QUICK
@given(cases())
def test_both_colours_do_the_same(case: Case) -> None:
    stories: list[list[tuple[object, ...]]] = []
    for colour in ("blocking", "asyncio"):
        world = World(case)
        with contextlib.suppress(CallError, ModelError, InvalidOutput, Odd, RecursionError):
            world.blocking() if colour == "blocking" else world.clock.run(world.asynchronous())
        stories.append(
            [
                (end.attempt.model, end.attempt.n, end.attempt.kind, round(end.attempt.seconds, 6))
                for end in world.captured.of(events.AttemptFinished)
            ]
        )
    assert stories[0] == stories[1]


@QUICK
@given(cases(), st.floats(1, 100_000))
def test_a_clock_that_jumps_ends_the_call_without_a_burst(case: Case, jump: float) -> None:
    world = World(case)
    jumped = False

    def asleep_for_long(happened: object) -> None:
        nonlocal jumped
        if isinstance(happened, events.AttemptStarted) and not jumped:
            jumped = True
            world.clock.advance(jump + case.policy["deadline"])

    chain = ResilientModel(
        world.models,
        clock=world.clock,
        chance=seeded(1),
        observers=[asleep_for_long, world.captured],
        **case.policy,
    )
    with contextlib.suppress(CallError, ModelError, Odd, RecursionError):
        chain.generate("a question of some length")
    # The attempt under way when the clock jumped is the last one, but for a fixed answer, which costs no time.
    assert world.sent <= 1 + sum(traits.stand_in for _, traits in case.scripts)
    assert Counter(type(one) for one in world.captured.events)[events.CallFinished] == 1
