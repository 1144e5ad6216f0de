from __future__ import annotations

import pytest

from resilient_ai.cli.demo.recording import Agreement, Recording
from resilient_ai.cli.demo.tickets import Triage
from resilient_ai.core.failure import FailureKind
from resilient_ai.errors import CallError
from resilient_ai.model import ResilientModel
from resilient_ai.policies.breaker import Breaker
from resilient_ai.policies.retry import Retry
from resilient_ai.testing import ManualClock, ScriptedModel, SteadyRandom, error, ok


def _chain(clock: ManualClock, recording: Recording, *models: ScriptedModel) -> ResilientModel:
    return ResilientModel(
        models,
        deadline=10,
        retry=Retry(attempts=2, base=0.0),
        breaker=Breaker(consecutive=2),
        observers=[recording],
        clock=clock,
        chance=SteadyRandom(),
    )


def test_a_call_that_fell_back_is_one_row_with_all_its_attempts() -> None:
    clock = ManualClock()
    recording = Recording(clock)
    recording.enter("healthy", "answers")
    remote = ScriptedModel([error(500, after=0.5), error(500)], name="remote")
    device = ScriptedModel([ok("{}", after=0.1)], name="small", provider="on-device")
    _chain(clock, recording, remote, device).generate("hi")
    (call,) = recording.calls
    assert (call.served_by, call.attempts, call.failures) == (
        "on-device",
        3,
        ("server_error", "server_error"),
    )
    assert (call.at, call.seconds, call.ended) == pytest.approx((0.0, 0.6, 0.6))
    assert [(row.asked, row.kind) for row in recording.attempts] == [
        ("remote", "server_error"),
        ("remote", "server_error"),
        ("on-device", None),
    ]
    assert [row.at for row in recording.attempts] == pytest.approx([0.0, 0.5, 0.5])
    assert [(row.asked, row.old, row.new) for row in recording.breaker] == [("remote", "closed", "open")]
    assert recording.in_flight == 0


def test_a_call_that_failed_is_a_row_that_nobody_served() -> None:
    clock = ManualClock()
    recording = Recording(clock)
    remote = ScriptedModel([error(kind=FailureKind.BAD_REQUEST)])
    with pytest.raises(CallError):
        _chain(clock, recording, remote).generate("hi")
    (call,) = recording.calls
    assert (call.served_by, call.error) == (None, "bad_request")


def test_the_run_begins_with_its_first_phase() -> None:
    clock = ManualClock()
    recording = Recording(clock)
    clock.advance(5)
    recording.enter("healthy", "answers")
    clock.advance(2)
    recording.enter("stall", "silent")
    clock.advance(1)
    recording.finish()
    assert [(phase.name, phase.at, phase.end) for phase in recording.phases] == [
        ("healthy", 0.0, 2.0),
        ("stall", 2.0, 3.0),
    ]
    assert recording.seconds == 3.0


def test_agreement_counts_the_queue_and_the_whole_answer_apart() -> None:
    agreement = Agreement()
    agreement.add(Triage("sales", "low"), Triage("sales", "low"))
    agreement.add(Triage("sales", "high"), Triage("sales", "low"))
    agreement.add(Triage("billing", "low"), Triage("sales", "low"))
    assert (agreement.answers, agreement.queue, agreement.both) == (3, 2, 1)
