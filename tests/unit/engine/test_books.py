"""What observers are told of a call besides its steps."""

from __future__ import annotations

import pytest

from resilient_ai import ModelError, Outcome, Reply, ResilientModel, Retry, outcome_of
from resilient_ai.core.clock import seeded
from resilient_ai.core.events import AttemptFinished, HintIgnored, ModelFinished
from resilient_ai.models import FunctionModel
from resilient_ai.testing import Captured, ManualClock, ScriptedModel, error, ok
from resilient_ai.testing.scripted import Step


def test_a_wait_hint_that_cannot_be_meant_is_told() -> None:
    captured = Captured()
    model = ScriptedModel([error(429, retry_after=-5)])
    chain = ResilientModel(model, retry=Retry(1), observers=[captured], clock=ManualClock())
    with pytest.raises(ModelError):
        chain.generate("question")
    assert len(captured.of(HintIgnored)) == 1


def test_words_in_the_place_of_an_identifier_are_not_told() -> None:
    captured = Captured()

    def answer(question: str) -> Reply:
        return Reply("ok", id=f"you said: {question}", model=f"you said: {question}")

    ResilientModel(FunctionModel(answer), observers=[captured], clock=ManualClock()).generate("my secret")
    [finished] = captured.of(ModelFinished)
    assert (finished.id, finished.served_model) == (None, None)
    assert "my secret" not in repr(captured.of(AttemptFinished))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([ok()], [ok()]),
        ([error(503), error(503), ok(after=2)], [ok()]),
        ([error(429, retry_after=3), error(503), error(500)], [error(503), ok(after=1)]),
        ([error(401)], [error(503), error(503), error(503)]),
    ],
)
def test_the_history_of_a_call_is_the_same_whether_or_not_somebody_watches(
    first: list[Step], second: list[Step]
) -> None:
    def history(observers: list[Captured]) -> Outcome:
        clock = ManualClock()
        models = [ScriptedModel(first, name="first"), ScriptedModel(second, name="second")]
        chain = ResilientModel(models, name="c", observers=observers, clock=clock, chance=seeded(5))
        try:
            outcome = outcome_of(chain.generate("question"))
        except ModelError as failure:
            outcome = outcome_of(failure)
        except ExceptionGroup as failures:
            outcome = outcome_of(failures)
        assert outcome is not None
        return outcome

    watched = history([Captured()])
    assert history([]) == watched
    assert any(attempt.waited for attempt in watched.attempts) == (len(first) > 1 or len(second) > 1)
