"""The history of a stream nobody watches is written when somebody asks, and is the one that would have been written at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from resilient_ai import Breaker, Limits, Outcome, Reply, ResilientModel
from resilient_ai.core.clock import seeded
from resilient_ai.messages import ToolCall, Usage
from resilient_ai.testing import Captured, ManualClock, ScriptedModel, error, ok
from resilient_ai.testing.scripted import Step, cut

STEPS: Final[tuple[Callable[[], Step], ...]] = (
    partial(ok, "one two three"),
    partial(ok, "one", usage=Usage(5, 7, cached_tokens=2)),
    partial(ok, "slow to begin", after=2.0),
    partial(ok, "slow to go on", gap=1.5),
    partial(ok, "", tool_calls=(ToolCall("call_1", "look", "{}"),), finish_reason="tool_calls"),
    partial(error, 503),
    partial(error, 400),
    partial(cut, 1),
)


def _asked(
    chain: ResilientModel, clock: ManualClock, leave_after: int | None
) -> tuple[str, Reply | None, Outcome | None]:
    """What a caller reads of one stream, and when it asks for it: a while later."""
    told = ""
    stream = chain.stream("question", deadline=30.0)
    try:
        for number, chunk in enumerate(stream, 1):
            told += chunk.text
            clock.advance(0.5)
            if number == leave_after:
                stream.close()
    except Exception as failure:  # noqa: BLE001 - whatever it is, it has to be the same
        return f"{told} {type(failure).__name__}", None, stream.outcome
    clock.advance(3.0)
    return told, stream.reply(), stream.outcome


@given(
    steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=6),
    fallback=st.booleans(),
    limits=st.sampled_from((Limits(), Limits(tokens_per_minute=500))),
    leave_after=st.sampled_from((None, None, None, 1)),
)
def test_a_stream_has_the_same_history_whether_somebody_watches_or_not(
    steps: list[Callable[[], Step]], limits: Limits, leave_after: int | None, *, fallback: bool
) -> None:
    def histories(observers: list[Captured]) -> list[tuple[str, Reply | None, Outcome | None]]:
        clock = ManualClock()
        models = [ScriptedModel([step() for step in steps], name="first", repeat=True)]
        if fallback:
            models.append(ScriptedModel([ok("else")], name="second", repeat=True))
        chain = ResilientModel(
            models,
            name="c",
            breaker=Breaker(min_calls=2, slow=1.8, open_for=60.0),
            limits=limits,
            observers=observers,
            clock=clock,
            chance=seeded(7),
        )
        return [_asked(chain, clock, leave_after) for _ in steps]

    assert histories([]) == histories([Captured()])


def test_whoever_asks_first_all_are_told_the_same() -> None:
    stream = ResilientModel(ScriptedModel([ok("one two three")])).stream("question")
    for _ in stream:
        pass
    barrier = threading.Barrier(8)
    told: list[tuple[Reply, Outcome | None]] = []

    def ask() -> None:
        barrier.wait()
        told.append((stream.reply(), stream.outcome))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 8
    assert all(each == told[0] for each in told)
    assert told[0][1] is not None
