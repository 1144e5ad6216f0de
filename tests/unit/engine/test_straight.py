"""A call that begins with nothing to choose begins as it would have had everything been weighed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from hypothesis import example, given
from hypothesis import strategies as st

from resilient_ai import Breaker, Limits, Outcome, ResilientModel, outcome_of
from resilient_ai.core.clock import seeded
from resilient_ai.testing import Captured, ManualClock, ScriptedModel, error, ok
from resilient_ai.testing.scripted import Step

Call: TypeAlias = tuple[float, float]
"""Its deadline, and how long nobody calls after it; in seconds."""
STEPS: Final[tuple[Callable[[], Step], ...]] = (
    ok,
    ok,
    partial(ok, after=1.0),
    partial(ok, after=9.0),
    partial(error, 503),
    partial(error, 400),
    partial(error, 401),
    partial(error, 429),
    partial(error, 429, retry_after=20.0),
)
CALLS: Final = st.lists(
    st.tuples(st.sampled_from((0.001, 2.0, 10.0)), st.sampled_from((0.0, 0.0, 6.0, 45.0, 200.0))),
    min_size=1,
    max_size=30,
)
LIMITS: Final = st.sampled_from(
    (Limits(), Limits(), Limits(requests_per_minute=20), Limits(tokens_per_minute=500))
)


@given(
    scripts=st.lists(st.lists(st.sampled_from(STEPS), min_size=1, max_size=8), min_size=1, max_size=3),
    calls=CALLS,
    limits=LIMITS,
    consecutive=st.sampled_from((1, 3, None)),
    reserve=st.sampled_from((None, None, 1.5, 0.0)),
)
@example(  # one that is usually too slow for the time there is, and another behind it
    scripts=[[partial(ok, after=9.0)], [ok]],
    calls=[(20.0, 0.0)] * 12 + [(8.0, 0.0)],
    limits=Limits(),
    consecutive=3,
    reserve=0.5,
)
@example(  # time that would have been kept for one whose breaker is open
    scripts=[[partial(error, 429)] * 3 + [partial(ok, after=9.0)], [partial(error, 503)]],
    calls=[(10.0, 0.0)] * 2,
    limits=Limits(),
    consecutive=1,
    reserve=1.5,
)
def test_calls_have_the_same_history_whether_they_begin_straight_or_by_choice(
    scripts: list[list[Callable[[], Step]]],
    calls: list[Call],
    limits: Limits,
    consecutive: int | None,
    reserve: float | None,
) -> None:
    def histories(observers: list[Captured]) -> list[tuple[str, float, Outcome | None]]:
        clock = ManualClock()
        chain = ResilientModel(
            [
                ScriptedModel([step() for step in steps], name=f"model-{place}", repeat=True)
                for place, steps in enumerate(scripts)
            ],
            name="c",
            breaker=Breaker(consecutive=consecutive, min_calls=4, open_for=15.0),
            limits=limits,
            reserve=reserve,
            observers=observers,
            clock=clock,
            chance=seeded(7),
        )
        told: list[tuple[str, float, Outcome | None]] = []
        for deadline, pause in calls:
            result: object
            try:
                result = chain.generate("question", deadline=deadline)
            except Exception as failure:  # noqa: BLE001 - whatever it is, it has to be the same
                result = failure
            told.append((type(result).__name__, clock.now(), outcome_of(result)))
            clock.advance(pause)
        return told

    # A call somebody watches is never begun straight.
    assert histories([]) == histories([Captured()])
