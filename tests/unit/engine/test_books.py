"""What observers are told of a call besides its steps."""

from __future__ import annotations

import pytest

from resilient_ai import ModelError, Reply, ResilientModel, Retry
from resilient_ai.core.events import AttemptFinished, HintIgnored, ModelFinished
from resilient_ai.models import FunctionModel
from resilient_ai.testing import Captured, ManualClock, ScriptedModel, error


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
