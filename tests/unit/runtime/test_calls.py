"""What a call does when its models fail, in both colours, on a virtual clock."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
import tenacity
from pydantic import AfterValidator, BaseModel

from colours import Colour
from resilient_ai import (
    AllModelsFailed,
    Breaker,
    CircuitOpen,
    ConfigError,
    DeadlineExceeded,
    FailureKind,
    HopRefused,
    InvalidOutput,
    Limits,
    ModelError,
    Overloaded,
    Retry,
    RetryBudget,
    Timeouts,
    outcome_of,
)
from resilient_ai.core import events
from resilient_ai.core.model import Price, Traits
from resilient_ai.messages import Usage
from resilient_ai.models import canned
from resilient_ai.testing import ScriptedModel, error, ok, raises, stall

LOCAL = Traits(local=True, typical_seconds=0.05)


def test_a_healthy_model_answers_at_the_first_attempt(colour: Colour) -> None:
    model = ScriptedModel([ok("hello")])
    reply = colour.ask(colour.chain(model))
    assert (reply.text, reply.degraded, reply.model) == ("hello", False, "scripted")
    assert reply.outcome is not None
    assert [attempt.verdict for attempt in reply.outcome.attempts] == ["answered"]
    assert colour.clock.sleeps == []


def test_a_passing_failure_is_retried_with_full_jitter(colour: Colour) -> None:
    model = ScriptedModel([error(500), error(503), ok("hello")])
    reply = colour.ask(colour.chain(model))
    assert reply.text == "hello"
    # Half of 0.5 s, then half of 1 s: chance stands at one half.
    assert colour.clock.sleeps == pytest.approx([0.25, 0.5])
    model.assert_done()


@pytest.mark.parametrize("status", [400, 404, 422])
def test_the_callers_own_mistake_is_sent_once_to_one_model_only(colour: Colour, status: int) -> None:
    first, second = ScriptedModel([error(status)], name="first"), ScriptedModel([], name="second")
    with pytest.raises(ModelError) as caught:
        colour.ask(colour.chain(first, second))
    assert caught.value.kind is FailureKind.BAD_REQUEST
    assert len(caught.value.attempts) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b""),
        (429, b'{"error": {"code": "insufficient_quota"}}'),
        (404, b'{"error": {"code": "model_not_found"}}'),
    ],
)
def test_what_waiting_cannot_mend_moves_on_at_once_and_raises_an_alert(
    colour: Colour, status: int, body: bytes
) -> None:
    first = ScriptedModel([error(status, body=body)], name="first")
    reply = colour.ask(colour.chain(first, ScriptedModel([ok("b")], name="second")))
    assert (reply.text, reply.degraded) == ("b", True)
    assert colour.clock.sleeps == []
    assert len(colour.captured.of(events.AlertRaised)) == 1


def test_a_wait_hint_that_fits_is_obeyed_and_never_undercut(colour: Colour) -> None:
    model = ScriptedModel([error(429, retry_after=7), ok()])
    colour.ask(colour.chain(model, deadline=20))
    assert 7 <= colour.clock.sleeps[0] <= 7.7


def test_a_wait_hint_beyond_the_deadline_fails_over_without_waiting(colour: Colour) -> None:
    first = ScriptedModel([error(429, retry_after=60)], name="first")
    reply = colour.ask(colour.chain(first, ScriptedModel([ok("b")], name="second"), deadline=20))
    assert reply.text == "b"
    assert colour.clock.sleeps == []


def test_a_rate_limit_paces_every_other_call_of_the_model(colour: Colour) -> None:
    first = ScriptedModel([error(429, retry_after=60), ok("later")], name="first")
    chain = colour.chain(first, ScriptedModel([ok("b"), ok("b")], name="second"), deadline=20)
    colour.ask(chain)
    assert colour.ask(chain).text == "b"
    skipped = colour.captured.of(events.ModelSkipped)
    assert [event.skip.reason for event in skipped] == ["rate_limited"]
    colour.clock.advance(61)
    assert colour.ask(chain).text == "later"


def test_a_rate_limit_never_opens_the_breaker(colour: Colour) -> None:
    model = ScriptedModel([error(429)], repeat=True)
    chain = colour.chain(model, retry=Retry(attempts=1), breaker=Breaker(consecutive=2))
    for _ in range(5):
        with pytest.raises(ModelError):
            colour.ask(chain)
    assert chain.health().models[0].breaker == "closed"


def test_the_last_model_always_has_its_reserve(colour: Colour) -> None:
    """The first promise: however the remote model fails, the one on the device answers before the deadline."""
    remote = ScriptedModel([stall(1000)], name="remote")
    device = ScriptedModel([ok("here", after=1.5)], name="device", traits=LOCAL)
    start = colour.clock.now()
    reply = colour.ask(colour.chain(remote, device, deadline=10, reserve=2))
    assert (reply.text, reply.degraded) == ("here", True)
    assert colour.clock.now() - start == pytest.approx(9.5)


def test_reserves_of_several_models_add_up(colour: Colour) -> None:
    models = [
        ScriptedModel([stall(1000)], name="a"),
        ScriptedModel([stall(1000)], name="b"),
        ScriptedModel([ok()], name="c"),
    ]
    start = colour.clock.now()
    colour.ask(colour.chain(*models, deadline=10, reserve=2))
    assert [asked.until - start for model in models for asked in model.log] == pytest.approx([6, 8, 10])


def test_a_learned_reserve_follows_the_models_own_answers(colour: Colour) -> None:
    remote = ScriptedModel([*[error(500)] * 12, stall(1000)], name="remote")
    device = ScriptedModel(
        [ok(after=1.0)], name="device", repeat=True, traits=Traits(local=True, typical_seconds=0.1)
    )
    chain = colour.chain(remote, device, deadline=20, retry=Retry(attempts=1), breaker=Breaker(enabled=False))
    start = colour.clock.now()
    colour.ask(chain)
    assert remote.log[0].until - start == pytest.approx(19.9)
    for _ in range(11):
        colour.ask(chain)
    start = colour.clock.now()
    colour.ask(chain)
    assert remote.log[-1].until - start == pytest.approx(18.5)


def test_no_call_outlives_its_deadline(colour: Colour) -> None:
    model = ScriptedModel([stall(1000)])
    start = colour.clock.now()
    with pytest.raises(DeadlineExceeded) as caught:
        colour.ask(colour.chain(model, deadline=5))
    assert colour.clock.now() - start == pytest.approx(5)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.kind is FailureKind.TIMEOUT
    assert len(caught.value.attempts) == 1


def test_the_deadline_of_one_call_may_be_shorter_than_the_chains(colour: Colour) -> None:
    start = colour.clock.now()
    with pytest.raises(DeadlineExceeded):
        colour.ask(colour.chain(ScriptedModel([stall(1000)])), deadline=3)
    assert colour.clock.now() - start == pytest.approx(3)


def test_an_attempt_timeout_leaves_time_for_another_attempt(colour: Colour) -> None:
    model = ScriptedModel([stall(1000), ok("second try")])
    reply = colour.ask(colour.chain(model, timeouts=Timeouts(attempt=4), deadline=20))
    assert reply.text == "second try"
    assert reply.outcome is not None
    assert reply.outcome.attempts[0].kind is FailureKind.TIMEOUT
    assert reply.outcome.attempts[0].seconds == pytest.approx(4)


def test_a_nested_call_never_outlives_the_one_around_it(colour: Colour) -> None:
    inner = colour.chain(ScriptedModel([stall(1000)], name="inner"), deadline=100)
    start = colour.clock.now()
    if colour.name == "blocking":

        def outer(text: str) -> str:
            return inner.generate(text).text

        chain = colour.chain(outer, deadline=6, retry=Retry(attempts=1))
    else:

        async def aouter(text: str) -> str:
            return (await inner.agenerate(text)).text

        chain = colour.chain(aouter, deadline=6, retry=Retry(attempts=1))
    with pytest.raises(DeadlineExceeded):
        colour.ask(chain)
    assert colour.clock.now() - start == pytest.approx(6)


def test_nothing_waits_before_the_deadline_is_asked(colour: Colour) -> None:
    """A backoff that does not fit is not begun."""
    model = ScriptedModel([error(500, after=4.9)])
    start = colour.clock.now()
    with pytest.raises(ModelError):
        colour.ask(colour.chain(model, deadline=5, retry=Retry(base=2, cap=8)))
    assert colour.clock.now() - start == pytest.approx(4.9)
    assert [event.reason for event in colour.captured.of(events.RetrySuppressed)] == ["deadline"]


def test_nothing_waits_after_the_last_failure(colour: Colour) -> None:
    model = ScriptedModel([error(500)] * 3)
    with pytest.raises(ModelError):
        colour.ask(colour.chain(model))
    assert len(colour.clock.sleeps) == 2


def test_an_empty_budget_suppresses_only_the_extra_attempt(colour: Colour) -> None:
    model = ScriptedModel([error(500)], repeat=True)
    chain = colour.chain(model, budget=RetryBudget(capacity=0, floor=0), breaker=Breaker(enabled=False))
    with pytest.raises(ModelError) as caught:
        colour.ask(chain)
    assert len(caught.value.attempts) == 1
    assert [event.reason for event in colour.captured.of(events.RetrySuppressed)] == ["budget"]
    assert colour.clock.sleeps == []


def test_a_storm_of_failures_sends_few_more_requests_than_calls(colour: Colour) -> None:
    """A hundred failing calls may not triple the load on a failing provider."""
    model = ScriptedModel([error(500)], repeat=True)
    chain = colour.chain(model, breaker=Breaker(enabled=False), retry=Retry(base=0, cap=0))
    for _ in range(100):
        with pytest.raises(ModelError):
            colour.ask(chain)
    # 500 tokens at 14 each, and a floor of three.
    assert len(model.log) == 100 + 500 // 14 + 3


def test_the_budget_is_shared_by_every_chain_of_a_model(colour: Colour) -> None:
    model = ScriptedModel([error(500)], repeat=True)
    budget = RetryBudget(capacity=14, floor=0)
    first = colour.chain(model, budget=budget, breaker=Breaker(enabled=False), name="first")
    second = colour.chain(model, budget=budget, breaker=Breaker(enabled=False), name="second")
    for chain in (first, second):
        with pytest.raises(ModelError):
            colour.ask(chain)
    assert len(model.log) == 3


def test_a_model_that_keeps_failing_is_left_alone(colour: Colour) -> None:
    first = ScriptedModel([error(500)], name="first", repeat=True)
    chain = colour.chain(first, canned("sorry"), retry=Retry(attempts=1))
    for _ in range(20):
        colour.ask(chain)
    assert len(first.log) == 5
    assert chain.health().status == "degraded"
    changes = colour.captured.of(events.BreakerChanged)
    assert [(change.old, change.new) for change in changes] == [("closed", "open")]


def test_an_open_breaker_is_probed_and_closes_after_two_good_answers(colour: Colour) -> None:
    first = ScriptedModel([*[error(500)] * 5, ok("back"), ok("back"), ok("back")], name="first")
    chain = colour.chain(first, canned("sorry"), retry=Retry(attempts=1))
    for _ in range(6):
        colour.ask(chain)
    colour.clock.advance(17)
    assert [colour.ask(chain).text for _ in range(3)] == ["back"] * 3
    assert [change.new for change in colour.captured.of(events.BreakerChanged)] == [
        "open",
        "half-open",
        "closed",
    ]


def test_a_failed_probe_doubles_the_break(colour: Colour) -> None:
    first = ScriptedModel([error(500)], name="first", repeat=True)
    chain = colour.chain(first, canned("sorry"), retry=Retry(attempts=1))
    for _ in range(6):
        colour.ask(chain)
    colour.clock.advance(16)
    colour.ask(chain)
    breaks = [change.open_for for change in colour.captured.of(events.BreakerChanged) if change.open_for]
    assert breaks == pytest.approx([15, 30])


def test_a_chain_of_one_remote_model_fails_fast_when_its_breaker_is_open(colour: Colour) -> None:
    chain = colour.chain(ScriptedModel([error(500)] * 5), retry=Retry(attempts=1))
    for _ in range(5):
        with pytest.raises(ModelError):
            colour.ask(chain)
    with pytest.raises(CircuitOpen) as caught:
        colour.ask(chain)
    assert caught.value.retry_after == pytest.approx(15)
    assert caught.value.attempts == ()
    assert "its breaker is open: server_error" in str(caught.value)  # what opened it is not told by this call


def _all_open(colour: Colour, **policies: Any) -> tuple[Any, ScriptedModel, ScriptedModel]:
    first = ScriptedModel([error(500)], name="first", repeat=True)
    last = ScriptedModel([*[error(500)] * 5, ok("anyway")], name="last", traits=policies.pop("traits", None))
    chain = colour.chain(first, last, retry=Retry(attempts=1), **policies)
    for _ in range(5):
        with pytest.raises(AllModelsFailed):
            colour.ask(chain)
    return chain, first, last


def test_the_last_model_is_a_last_resort_when_every_breaker_is_open(colour: Colour) -> None:
    chain, first, last = _all_open(colour)
    assert colour.ask(chain).text == "anyway"
    assert (len(first.log), len(last.log)) == (5, 6)


def test_a_chain_may_wait_for_the_soonest_breaker(colour: Colour) -> None:
    chain, _, last = _all_open(colour, when_all_open="wait")
    start = colour.clock.now()
    assert colour.ask(chain).text == "anyway"
    assert colour.clock.now() - start == pytest.approx(15, abs=0.1)
    assert len(last.log) == 6


def test_a_chain_may_fail_fast_when_every_breaker_is_open(colour: Colour) -> None:
    chain, _, last = _all_open(colour, when_all_open="raise")
    with pytest.raises(CircuitOpen) as caught:
        colour.ask(chain)
    assert caught.value.retry_after == pytest.approx(15, abs=0.1)
    assert len(last.log) == 5


def test_an_exhausted_chain_is_a_group_led_by_the_first_models_failure(colour: Colour) -> None:
    first = ScriptedModel([error(500)] * 3, name="first", provider="p")
    second = ScriptedModel([error(401)], name="second", provider="q")
    with pytest.raises(AllModelsFailed) as caught:
        colour.ask(colour.chain(first, second))
    failure = caught.value
    assert failure.kind is FailureKind.SERVER_ERROR
    assert [member.kind for member in failure.exceptions if isinstance(member, ModelError)] == [
        FailureKind.SERVER_ERROR,
        FailureKind.AUTHENTICATION,
    ]
    assert [attempt.model for attempt in failure.attempts] == ["first"] * 3 + ["second"]
    assert "p:first" in str(failure)
    assert "q:second" in str(failure)


def test_a_chain_of_one_function_raises_the_functions_own_exception(colour: Colour) -> None:
    class VendorError(Exception):
        status_code = 503

    def vendor(text: str) -> str:
        raise VendorError(text)

    with pytest.raises(VendorError) as caught:
        colour.ask(colour.chain(vendor))
    assert len(caught.value.attempts) == 3  # type: ignore[attr-defined]
    assert any("tried" in note for note in caught.value.__notes__)
    assert not any("question" in note for note in caught.value.__notes__)


def test_no_exception_of_a_failed_call_keeps_frames_of_its_attempts(colour: Colour) -> None:
    first = ScriptedModel([raises(ValueError("x"))] * 2, name="first")
    second = ScriptedModel([raises(ValueError("y"))] * 2, name="second")
    with pytest.raises(AllModelsFailed) as caught:
        colour.ask(colour.chain(first, second))
    assert [member.__traceback__ for member in caught.value.exceptions] == [None, None]


def test_an_unknown_failure_is_retried_once_only(colour: Colour) -> None:
    model = ScriptedModel([raises(ValueError("odd"))] * 2)
    with pytest.raises(ValueError, match="odd"):
        colour.ask(colour.chain(model))
    model.assert_done()


def test_our_own_fault_is_neither_retried_nor_moved_on(colour: Colour) -> None:
    first = ScriptedModel([raises(MemoryError())], name="first")
    with pytest.raises(MemoryError):
        colour.ask(colour.chain(first, ScriptedModel([], name="second")))


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_passes_through_untouched(colour: Colour, signal: type[BaseException]) -> None:
    def interrupted(text: str) -> str:
        raise signal

    chain = colour.chain(interrupted, canned("never"))
    if colour.name == "blocking":
        with pytest.raises(signal):
            colour.ask(chain)
        assert chain.health().active == 0
        assert chain.health().models[0].breaker == "closed"


def test_a_user_may_move_on_where_the_table_would_not(colour: Colour) -> None:
    first = ScriptedModel([error(400)], name="first")
    reply = colour.ask(
        colour.chain(first, ScriptedModel([ok("b")], name="second"), on={"bad_request": "next"})
    )
    assert reply.text == "b"


def test_a_user_may_stop_where_the_table_would_move_on(colour: Colour) -> None:
    first = ScriptedModel([error(500)], name="first")
    with pytest.raises(ModelError):
        colour.ask(colour.chain(first, ScriptedModel([], name="second"), on={"server_error": "raise"}))


def test_a_refusal_is_returned_unless_the_user_asks_for_another_model(colour: Colour) -> None:
    def refusing() -> ScriptedModel:
        return ScriptedModel([ok("no", finish_reason="content_filtered")], name="first")

    second = ScriptedModel([ok("yes")], name="second")
    assert colour.ask(colour.chain(refusing(), second)).text == "no"
    reply = colour.ask(colour.chain(refusing(), second, on={"content_filtered": "next"}))
    assert reply.text == "yes"


def test_a_request_too_large_goes_only_to_a_larger_model(colour: Colour) -> None:
    first = ScriptedModel([error(kind="context_overflow")], name="first", traits=Traits(context_tokens=1000))
    same = ScriptedModel([], name="same", traits=Traits(context_tokens=1000))
    unknown = ScriptedModel([], name="unknown")
    larger = ScriptedModel([ok("fits")], name="larger", traits=Traits(context_tokens=5000))
    reply = colour.ask(colour.chain(first, same, unknown, larger))
    assert reply.text == "fits"
    assert reply.outcome is not None
    assert [(skip.model, skip.reason) for skip in reply.outcome.skipped] == [
        ("same", "context"),
        ("unknown", "context"),
    ]


def test_a_fixed_answer_stands_in_for_a_request_too_large(colour: Colour) -> None:
    first = ScriptedModel([error(kind="context_overflow")], name="first", traits=Traits(context_tokens=1000))
    unknown = ScriptedModel([], name="unknown")
    assert colour.ask(colour.chain(first, unknown, canned("sorry"))).text == "sorry"


def test_a_model_whose_window_cannot_hold_the_request_is_not_asked(colour: Colour) -> None:
    small = ScriptedModel([], name="small", traits=Traits(context_tokens=100))
    large = ScriptedModel([ok("fits")], name="large", traits=Traits(context_tokens=100_000))
    assert colour.ask(colour.chain(small, large), "word " * 500).text == "fits"
    with pytest.raises(HopRefused) as caught:
        colour.ask(colour.chain(ScriptedModel([], traits=Traits(context_tokens=100))), "word " * 500)
    assert caught.value.kind is FailureKind.CONTEXT_OVERFLOW


def test_failover_never_widens_exposure(colour: Colour) -> None:
    open_model = ScriptedModel([], name="open", traits=Traits(data_classes=frozenset({"public"})))
    device = ScriptedModel([ok("kept here")], name="device", traits=LOCAL)
    reply = colour.ask(colour.chain(open_model, device), data_class="personal")
    assert reply.text == "kept here"
    with pytest.raises(HopRefused, match="data class"):
        colour.ask(colour.chain(open_model), data_class="restricted")


def test_a_model_too_slow_for_what_is_left_is_passed_over(colour: Colour) -> None:
    slow = ScriptedModel([ok(after=5.0)], name="slow", repeat=True)
    quick = ScriptedModel([ok("quick")], name="quick", repeat=True)
    chain = colour.chain(slow, quick, deadline=60, reserve=1)
    for _ in range(12):
        colour.ask(chain)
    reply = colour.ask(chain, deadline=3)
    assert reply.text == "quick"
    assert reply.outcome is not None
    assert [skip.reason for skip in reply.outcome.skipped] == ["no_time"]


def test_an_answer_that_does_not_fit_is_asked_for_again_with_the_fault(colour: Colour) -> None:
    model = ScriptedModel([ok("not json"), ok('{"n": "x"}'), ok('{"n": 3}')])
    reply = colour.ask(colour.chain(model), output_type=dict[str, int])
    assert reply.output == {"n": 3}
    assert [len(request.messages) for request in model.requests] == [1, 3, 3]
    assert "integer" in model.requests[2].messages[-1].text or "int" in model.requests[2].messages[-1].text
    assert reply.outcome is not None
    assert [attempt.verdict for attempt in reply.outcome.attempts] == ["re-ask", "re-ask", "answered"]
    told = [(event.passed, event.action) for event in colour.captured.of(events.OutputChecked)]
    assert told == [(False, "re-ask"), (False, "re-ask"), (True, "pass")]


def test_after_two_re_asks_the_next_model_answers_the_original_question(colour: Colour) -> None:
    first, second = (
        ScriptedModel([ok("bad")] * 3, name="first"),
        ScriptedModel([ok('{"n": 1}')], name="second"),
    )
    reply = colour.ask(colour.chain(first, second), output_type=dict[str, int])
    assert reply.output == {"n": 1}
    assert len(second.requests[0].messages) == 1


def test_the_last_draft_of_an_invalid_answer_stays_reachable(colour: Colour) -> None:
    with pytest.raises(InvalidOutput) as caught:
        colour.ask(colour.chain(ScriptedModel([ok("draft secret")] * 3)), output_type=dict[str, int])
    assert caught.value.draft.text == "draft secret"
    assert "secret" not in str(caught.value)


def test_a_check_may_refuse_an_answer(colour: Colour) -> None:
    def polite(reply: Any) -> str | None:
        return None if "please" in reply.text else "Say please."

    model = ScriptedModel([ok("do it"), ok("please do it")])
    assert colour.ask(colour.chain(model, checks=[polite])).text == "please do it"
    assert "Say please." in model.requests[1].messages[-1].text


class JudgeDown(Exception):
    """What a check's own tool raises."""


def broken(reply: Any) -> None:
    raise JudgeDown(reply.text)


def test_an_assertion_in_a_check_is_an_objection(colour: Colour) -> None:
    def polite(reply: Any) -> None:
        assert "please" in reply.text, "Say please."

    model = ScriptedModel([ok("do it"), ok("please do it")])
    assert colour.ask(colour.chain(model, checks=[polite])).text == "please do it"
    assert "Say please." in model.requests[1].messages[-1].text


@pytest.mark.parametrize("streamed", [False, True])
def test_what_a_check_raises_by_mistake_is_nobodys_fault_but_its_own(
    colour: Colour, *, streamed: bool
) -> None:
    """Another answer would meet the same check: nobody is asked again, and no breaker learns of it."""
    model = ScriptedModel([ok("a"), ok("b"), ok("c"), ok("d"), ok("e")])
    backup = ScriptedModel([ok("backup")], repeat=True, name="backup")
    chain = colour.chain(model, backup, checks=[broken])
    outcome = None
    for _ in range(5):
        with pytest.raises(JudgeDown) as caught:
            (colour.stream if streamed else colour.ask)(chain)
        assert "raised by the check 'broken' at" in caught.value.__notes__[0]
        outcome = outcome_of(caught.value)
    assert outcome is not None
    assert [(one.kind, one.verdict) for one in outcome.attempts] == [
        ("local", "interrupted" if streamed else "raise")
    ]
    assert outcome.attempts[0].usage.output_tokens is not None  # the answer came, and is billed
    assert backup.requests == []
    assert chain.health().models[0].breaker == "closed"


def test_what_a_validator_raises_by_mistake_is_local_too(colour: Colour) -> None:
    def looks_up(value: dict[str, int]) -> int:
        return value["missing"]

    kind = Annotated[dict[str, int], AfterValidator(looks_up)]
    chain = colour.chain(ScriptedModel([ok('{"n": 1}')]), ScriptedModel([ok("never")], name="backup"))
    with pytest.raises(KeyError) as caught:
        colour.ask(chain, output_type=kind)
    assert "raised by a validator" in caught.value.__notes__[0]


def test_a_judge_of_its_own_that_fails_does_not_count_against_the_model_judged(colour: Colour) -> None:
    judge = colour.chain(ScriptedModel([error(429)], repeat=True), name="judge")

    def good(_: Any) -> None:
        judge.generate("is it good?")

    model = ScriptedModel([ok("an answer")])
    with pytest.raises(ModelError):
        colour.ask(colour.chain(model, checks=[good]))
    assert len(model.requests) == 1


def test_re_asks_do_not_use_up_transport_retries(colour: Colour) -> None:
    model = ScriptedModel([ok("bad"), error(500), error(500), ok("bad"), ok('{"n": 1}')])
    reply = colour.ask(colour.chain(model), output_type=dict[str, int])
    assert reply.output == {"n": 1}


def test_truncated_structured_output_is_never_parsed(colour: Colour) -> None:
    model = ScriptedModel([ok('{"n": 1}', finish_reason="length"), ok('{"n": 2}')])
    assert colour.ask(colour.chain(model), output_type=dict[str, int]).output == {"n": 2}


def test_costs_count_every_attempt_and_unknown_is_not_zero(colour: Colour) -> None:
    priced = Traits(price=Price(1.0, 2.0, per=1))
    model = ScriptedModel([ok("bad", usage=Usage(10, 1)), ok('{"n": 2}', usage=Usage(20, 2))], traits=priced)
    assert colour.ask(colour.chain(model), output_type=dict[str, int]).cost == pytest.approx(12 + 24)
    unknown = ScriptedModel([error(500), ok("x", usage=Usage(1, 1))], traits=priced)
    assert colour.ask(colour.chain(unknown)).cost is None


def test_tenacity_strategies_decide_where_they_are_given(colour: Colour) -> None:
    model = ScriptedModel([error(500)] * 4)
    retry = Retry(wait=tenacity.wait_fixed(3), stop=tenacity.stop_after_attempt(4))
    with pytest.raises(ModelError):
        colour.ask(colour.chain(model, retry=retry, breaker=Breaker(enabled=False)))
    assert colour.clock.sleeps == [3, 3, 3]
    model.assert_done()


def test_a_tenacity_predicate_can_only_narrow_the_verdict(colour: Colour) -> None:
    never = Retry(retry=tenacity.retry_if_exception_type(KeyError))
    with pytest.raises(ModelError):
        colour.ask(colour.chain(ScriptedModel([error(500)]), retry=never))
    always = Retry(retry=tenacity.retry_always)
    with pytest.raises(ModelError):
        colour.ask(colour.chain(ScriptedModel([error(400)]), retry=always))


def blaming_the_caller(failure: Exception) -> str:
    return "bad_request"


def test_a_classify_hook_is_asked_first_and_cannot_break_a_call(
    colour: Colour, caplog: pytest.LogCaptureFixture
) -> None:
    chain = colour.chain(ScriptedModel([raises(ValueError("odd"))] * 2), classify=blaming_the_caller)
    with pytest.raises(ValueError, match="odd"):
        colour.ask(chain)
    assert len(colour.captured.of(events.AttemptFinished)) == 1

    def broken(failure: Exception) -> str:
        raise RuntimeError("hook")

    reply = colour.ask(colour.chain(ScriptedModel([error(500), ok("fine")]), classify=broken))
    assert reply.text == "fine"
    assert "hook raised RuntimeError" in caplog.text


def test_a_full_queue_sheds_a_call_before_anything_is_sent(colour: Colour) -> None:
    chain = colour.chain(ScriptedModel([]), limits=Limits(concurrency=1, queue=0))
    chain._places.enter(None)
    with pytest.raises(Overloaded, match="as many as limits allow"):
        colour.ask(chain)
    assert colour.captured.names() == ["CallStarted", "CallFinished"]


def test_rates_space_out_attempts(colour: Colour) -> None:
    model = ScriptedModel([ok()], repeat=True)
    chain = colour.chain(model, limits=Limits(requests_per_minute=6))
    start = colour.clock.now()
    for _ in range(4):
        colour.ask(chain)
    assert [asked.at - start for asked in model.log] == pytest.approx([0, 10, 20, 30])


@pytest.mark.parametrize(
    ("policies", "numbers"),
    [
        ({"deadline": 5, "timeouts": Timeouts(attempt=10)}, ("10", "5")),
        ({"deadline": 5, "reserve": 6}, ("6", "5")),
        ({"breaker": Breaker(window=10), "timeouts": Timeouts(attempt=20)}, ("10", "20")),
        ({"deadline": 0}, ("0",)),
        ({"on": {"rate_limit": "next"}}, ("rate_limited",)),
        ({"on": {"timeout": "ignore"}}, ("retry, next, raise, wait",)),
        ({"on": {"cancelled": "retry"}}, ("cancelled",)),
        ({"when_all_open": "hope"}, ("last_resort",)),
        ({"on_interrupt": "continue", "checks": [bool]}, ("continue",)),
    ],
)
def test_policies_that_contradict_each_other_are_refused_with_both_numbers(
    colour: Colour, policies: dict[str, Any], numbers: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        colour.chain(ScriptedModel(), ScriptedModel(), **policies)
    assert all(number in str(caught.value) for number in numbers)


@pytest.mark.parametrize(
    "strategy",
    [{"attempts": 0}, {"base": -1.0}, {"base": 9.0, "cap": 1.0}, {"wait": 3}, {"retry": ValueError}],
)
def test_retry_refuses_what_it_cannot_mean(strategy: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Retry(**strategy)


def test_asynchronous_predicates_are_refused_at_construction() -> None:
    async def predicate(state: object) -> bool:
        return True

    with pytest.raises(ConfigError, match="asynchronous"):
        Retry(retry=predicate)  # type: ignore[arg-type]


def test_the_worst_case_that_explain_prints_is_what_a_failing_call_costs(colour: Colour) -> None:
    models = [ScriptedModel([error(500)] * 3, name=name) for name in ("a", "b")]
    chain = colour.chain(*models)
    with pytest.raises(AllModelsFailed) as caught:
        colour.ask(chain)
    assert chain.plan.worst_case().requests == len(caught.value.attempts) == 6
    assert "worst case: 6 requests" in chain.explain()


def test_a_chain_that_ends_on_a_canned_text_answers_even_where_no_time_is_left(colour: Colour) -> None:
    def hangs(_: str) -> str:
        colour.clock.advance(12)
        raise ConnectionError("at last")

    chain = colour.chain(hangs, ScriptedModel([], name="second"), canned("sorry"), deadline=10)
    reply = colour.ask(chain)
    assert reply.text == "sorry"
    assert reply.outcome is not None
    assert [skip.reason for skip in reply.outcome.skipped] == [
        "no_time"
    ]  # a model that has to work is not asked
    assert colour.captured.of(events.CallFinished)[0].late


def test_the_note_of_what_was_tried_tells_times_as_people_do(colour: Colour) -> None:
    steps = [error(500), error(500, after=0.25), error(500, after=1.5)]
    with pytest.raises(ModelError) as caught:
        colour.ask(colour.chain(ScriptedModel(steps)))
    (note,) = caught.value.__notes__
    assert "#1 server_error after under 1 ms, " in note
    assert "#2 server_error after 250 ms, " in note
    assert note.endswith("#3 server_error after 1.5 s")


class Parcel(BaseModel, extra="forbid"):
    queue: Literal["billing", "delivery"]
    weights: dict[str, int]


def test_an_answer_that_does_not_fit_is_told_by_place_and_never_by_what_the_model_wrote(
    colour: Colour,
) -> None:
    answer = '{"queue": "secret-1", "weights": {"secret-2": "secret-3"}, "secret-4": 1}'
    with pytest.raises(InvalidOutput) as caught:
        colour.ask(colour.chain(ScriptedModel([ok(answer)] * 3)), output_type=Parcel)
    assert "at queue: literal error; at weights.*: int parsing; at *: extra forbidden" in str(caught.value)
    assert "secret" not in f"{caught.value} {caught.value.problem}"


@pytest.mark.parametrize("kind", ["Parcel", {"type": "object"}, {}])
def test_an_output_type_that_is_no_type_is_refused(colour: Colour, kind: Any) -> None:
    with pytest.raises(ConfigError, match=r"output_type is of type (str|dict); give a type"):
        colour.ask(colour.chain(ScriptedModel([])), output_type=kind)
