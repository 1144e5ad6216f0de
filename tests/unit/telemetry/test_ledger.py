from __future__ import annotations

import threading

from resilient_ai.core.failure import FailureKind
from resilient_ai.messages import Usage
from resilient_ai.telemetry import Ledger, Spent
from unit.telemetry import story
from unit.telemetry.story import Story


def test_failed_cut_and_re_asked_attempts_are_in_the_books() -> None:
    ledger = Ledger()
    told = Story().model()
    told.attempt(FailureKind.INVALID_OUTPUT, verdict="re-ask", usage=Usage(100, 20), cost=1.0)
    told.attempt(FailureKind.STREAM_INTERRUPTED, verdict="interrupted", usage=Usage(100, 3), cost=0.5)
    told.attempt(usage=Usage(110, 25, 60, None, 9), cost=1.25)
    for event in told.leave().finish("gpt-x"):
        ledger(event)
    assert ledger.by_model == {
        "openai:gpt-x": Spent(
            attempts=3,
            failed=2,
            input_tokens=310,
            output_tokens=48,
            cached_tokens=60,
            reasoning_tokens=9,
            cost=2.75,
            wasted=1.5,
        )
    }
    assert [entry.attempt.verdict for entry in ledger.entries] == ["re-ask", "interrupted", "answered"]


def test_what_is_unknown_is_counted_apart_and_never_taken_for_zero() -> None:
    ledger = Ledger()
    for event in story.failed():
        ledger(event)
    total = ledger.total
    assert (total.attempts, total.failed) == (2, 2)
    assert (total.unmeasured, total.unpriced) == (2, 2)
    assert total.cost == 0.0


def test_a_free_model_is_priced() -> None:
    ledger = Ledger()
    for event in story.fell_back():
        ledger(event)
    assert ledger.by_model["on-device:llama"].unpriced == 0


def test_models_are_totalled_apart_and_together() -> None:
    ledger = Ledger()
    for event in story.every_event():
        ledger(event)
    by_model = ledger.by_model
    assert set(by_model) == {"openai:gpt-x", "on-device:llama", "anthropic:claude-y"}
    assert ledger.total.attempts == sum(spent.attempts for spent in by_model.values())
    ledger.clear()
    assert ledger.total == Spent()
    assert ledger.entries == ()


def test_only_the_latest_attempts_are_kept_one_by_one() -> None:
    ledger = Ledger(entries=2)
    for _ in range(5):
        for event in story.answered():
            ledger(event)
    assert len(ledger.entries) == 2
    assert ledger.total.attempts == 5


def test_models_past_the_bound_are_totalled_together() -> None:
    ledger = Ledger()
    for number in range(1010):
        for event in Story().model(f"model-{number}").attempt().told:
            ledger(event)
    assert len(ledger.by_model) == 1001
    assert ledger.by_model["(others)"].attempts == 10


def test_eight_threads_lose_no_token() -> None:
    ledger = Ledger()
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        for _ in range(100):
            for event in story.answered():
                ledger(event)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.total.input_tokens == 8000
    assert ledger.total.cost == 200.0
