"""What is retried, when and how often, as data: each row holds in both colours."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from colours import Colour
from resilient_ai import Breaker, RetryBudget, outcome_of
from resilient_ai.testing import ScriptedModel, Step, error, ok, raises

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "retries.json").read_text()
)
RAISED = {
    "refused": ConnectionRefusedError(111, "refused"),
    "cut": ConnectionResetError(104, "reset"),
    "odd": ValueError("odd"),
    "certificate": ssl.SSLCertVerificationError(1, "certificate verify failed"),
}


def _step(row: dict[str, Any]) -> Step:
    if "ok" in row:
        return ok(row["ok"])
    if "raises" in row:
        return raises(RAISED[row["raises"]])
    if "kind" in row:
        return error(kind=row["kind"])
    return error(row["error"], retry_after=row.get("retry_after"), body=row.get("body", "").encode())


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: row["name"].replace(" ", "-"))
def test_a_call_retries_as_its_row_says(colour: Colour, row: dict[str, Any]) -> None:
    models = [
        ScriptedModel([_step(step) for step in steps], name=f"m{place}")
        for place, steps in enumerate(row["models"])
    ]
    budget = RetryBudget() if "budget" not in row else RetryBudget(capacity=row["budget"], floor=0)
    breaker = Breaker(consecutive=row.get("consecutive", 5))
    chain = colour.chain(*models, deadline=row.get("deadline", 120), budget=budget, breaker=breaker)
    try:
        reply = colour.ask(chain)
    except Exception as failure:  # noqa: BLE001 - some rows end so
        outcome = outcome_of(failure)
        assert outcome is not None
        assert outcome.attempts[-1].kind == row["kind"]
    else:
        assert reply.text == row["answer"]
    assert [len(model.log) for model in models] == row["asked"]
    assert colour.clock.sleeps == pytest.approx(row["waits"])
