"""A second request beside one that is late: when it is sent, who answers, and what the history says of it. In both colours."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from colours import Colour
from resilient_ai import (
    AllModelsFailed,
    Breaker,
    ConfigError,
    FailureKind,
    Hedge,
    Limits,
    ModelError,
    Reply,
    ResilientModel,
    Retry,
    RetryBudget,
    Throttle,
    Timeouts,
    observe,
    resilient,
)
from resilient_ai.core import events
from resilient_ai.core.clock import seeded
from resilient_ai.core.model import Model, Price, Traits
from resilient_ai.models import FunctionModel, OllamaModel, OpenAIModel, canned
from resilient_ai.policies.spending import CostCap
from resilient_ai.telemetry import Ledger, Spans, names
from resilient_ai.telemetry.ledger import Spent
from resilient_ai.testing import ScriptedModel, Step, error, ok, stall

ONCE = Retry(attempts=1)
LATE = Hedge(after=2)
REPLAYABLE = Traits(typical_seconds=0.05, replayable=True)
PRICED = Traits(typical_seconds=0.05, replayable=True, price=Price(1.0, 1.0, per=1))
_names = (f"hedged-{number}" for number in itertools.count())


def tried(reply: Reply) -> list[tuple[int, FailureKind | None, str]]:
    """Number, failure and verdict of each attempt."""
    assert reply.outcome is not None
    return [(attempt.n, attempt.kind, attempt.verdict) for attempt in reply.outcome.attempts]


def booked(colour: Colour) -> Spent:
    """What a ledger makes of all that happened."""
    ledger = Ledger()
    for event in colour.captured.events:
        ledger(event)
    return ledger.total


def not_hedged(colour: Colour) -> list[str]:
    return [event.reason for event in colour.captured.of(events.HedgeSuppressed)]


# --- the race -----------------------------------------------------------------------------------------------------------


def test_a_late_answer_is_overtaken_by_that_of_a_second_request(colour: Colour) -> None:
    model = ScriptedModel([ok("late", after=30), ok("quick", after=1)])
    reply = colour.ask(colour.chain(model, hedge=LATE))
    assert reply.text == "quick"
    assert colour.clock.now() == pytest.approx(3)
    assert [asked.at for asked in model.log] == pytest.approx([0, 2])
    assert tried(reply) == [(1, FailureKind.CANCELLED, "hedged"), (2, None, "answered")]
    assert not reply.degraded


def test_the_first_request_may_still_win(colour: Colour) -> None:
    reply = colour.ask(colour.chain(ScriptedModel([ok("first", after=4), ok(after=30)]), hedge=LATE))
    assert reply.text == "first"
    assert colour.clock.now() == pytest.approx(4)
    assert tried(reply) == [(2, FailureKind.CANCELLED, "hedged"), (1, None, "answered")]


def test_an_answer_in_time_is_asked_for_once(colour: Colour) -> None:
    model = ScriptedModel([ok(after=1.9)])
    assert tried(colour.ask(colour.chain(model, hedge=LATE))) == [(1, None, "answered")]
    assert not_hedged(colour) == []


def test_a_failure_does_not_end_the_race_while_another_request_is_under_way(colour: Colour) -> None:
    model = ScriptedModel([error(500, after=3), ok("other", after=7)])
    reply = colour.ask(colour.chain(model, hedge=LATE, retry=ONCE))
    assert reply.text == "other"
    assert tried(reply) == [(1, FailureKind.SERVER_ERROR, "hedged"), (2, None, "answered")]


def test_a_failure_before_the_moment_of_the_hedge_is_a_plain_failure(colour: Colour) -> None:
    model = ScriptedModel([error(500, after=1), ok("again", after=1)])
    reply = colour.ask(colour.chain(model, hedge=LATE))
    assert tried(reply) == [(1, FailureKind.SERVER_ERROR, "retry"), (2, None, "answered")]


def test_where_all_fail_the_last_failure_decides_and_counts_once(colour: Colour) -> None:
    model = ScriptedModel([error(500, after=3), error(503, after=5), error(500), ok("third try")])
    reply = colour.ask(colour.chain(model, hedge=LATE, retry=Retry(attempts=3)))
    assert tried(reply) == [
        (1, FailureKind.SERVER_ERROR, "hedged"),
        (2, FailureKind.OVERLOADED, "retry"),
        (3, FailureKind.SERVER_ERROR, "retry"),
        (4, None, "answered"),
    ]


def test_a_retry_tells_its_pause_and_the_request_beside_it_none(colour: Colour) -> None:
    model = ScriptedModel([error(500), ok(after=9), ok(after=1)])
    colour.ask(colour.chain(model, hedge=LATE))
    assert [event.waited for event in colour.captured.of(events.AttemptStarted)] == [0.0, 0.25, 0.0]
    ends = [event.attempt for event in colour.captured.of(events.AttemptFinished)]
    assert [(attempt.n, attempt.waited) for attempt in ends] == [(1, 0.0), (2, 0.25), (3, 0.0)]


def test_several_requests_are_sent_one_after_another_and_no_more_than_allowed(colour: Colour) -> None:
    model = ScriptedModel([ok(after=50), ok(after=50), ok(after=50), ok("b", after=20)])
    reply = colour.ask(colour.chain(model, hedge=Hedge(after=2, at_most=3)))
    assert [asked.at for asked in model.log] == pytest.approx([0, 2, 4, 6])
    assert reply.text == "b"
    assert [verdict for _, _, verdict in tried(reply)] == ["hedged"] * 3 + ["answered"]


def test_a_race_lasts_no_longer_than_one_attempt_may(colour: Colour) -> None:
    first = ScriptedModel([stall(500), stall(500)], name="first")
    chain = colour.chain(
        first, ScriptedModel([ok("b")]), hedge=LATE, timeouts=Timeouts(attempt=5), retry=ONCE, deadline=30
    )
    assert colour.ask(chain).text == "b"
    assert colour.clock.now() == pytest.approx(5)
    assert {asked.until for asked in first.log} == {5.0}


def test_answers_that_come_at_once_are_all_paid_for_and_the_first_request_wins(colour: Colour) -> None:
    model = ScriptedModel([ok("one", after=4), ok("two", after=2)], traits=PRICED)
    reply = colour.ask(colour.chain(model, hedge=LATE))
    assert reply.text == "one"
    assert tried(reply) == [(2, None, "hedged"), (1, None, "answered")]
    assert booked(colour).unpriced == 0
    assert reply.cost == booked(colour).cost


def test_an_answer_that_does_not_fit_is_no_answer_and_each_ask_is_hedged(colour: Colour) -> None:
    model = ScriptedModel([ok("no", after=9), ok("no", after=1), ok("7", after=9), ok("8", after=1)])
    reply = colour.ask(colour.chain(model, hedge=LATE, on={"invalid_output": "retry"}), output_type=int)
    assert reply.output == 8
    assert [len(request.messages) for request in model.requests] == [1, 1, 1, 1]


def test_a_re_ask_is_hedged_like_the_first_ask(colour: Colour) -> None:
    model = ScriptedModel([ok("no", after=1), ok("7", after=9), ok("8", after=1)])
    reply = colour.ask(colour.chain(model, hedge=LATE), output_type=int)
    assert reply.output == 8
    assert [verdict for _, _, verdict in tried(reply)] == ["re-ask", "hedged", "answered"]
    assert model.requests[1] is model.requests[2]


# --- what it may not do -------------------------------------------------------------------------------------------------


def test_streams_are_not_hedged(colour: Colour) -> None:
    model = ScriptedModel([ok("one two", after=10)])
    _, reply = colour.stream(colour.chain(model, hedge=LATE))
    assert reply.text == "one two"
    model.assert_done()


@pytest.mark.parametrize(("traits", "requests"), [(REPLAYABLE, 2), (Traits(), 1)])
def test_a_model_is_asked_twice_at_a_time_only_if_it_says_that_it_may(
    colour: Colour, traits: Traits, requests: int
) -> None:
    model = ScriptedModel([ok(after=10), ok(after=1)], traits=traits)
    colour.ask(colour.chain(model, hedge=LATE))
    assert len(model.log) == requests


def test_who_may_be_asked_twice_at_a_time() -> None:
    may: dict[str, Model] = {
        "remote": OpenAIModel("gpt-x", api_key="sk-a"),
        "declared": FunctionModel(len, replayable=True),
        "function": FunctionModel(len),
        "canned": canned("x"),
        "on this machine": OllamaModel("x"),
    }
    assert {name for name, model in may.items() if model.traits.replayable} == {"remote", "declared"}


def test_the_retry_budget_pays_and_is_not_paid_back(colour: Colour) -> None:
    model = ScriptedModel([ok(after=30), ok(after=1)], repeat=True)
    chain = colour.chain(model, hedge=LATE, budget=RetryBudget(capacity=30, floor=3))
    for _ in range(5):
        colour.ask(chain)
    assert len(model.log) == 7
    assert not_hedged(colour) == ["budget"] * 2
    assert 0 <= chain.health().models[0].budget < 14


@pytest.mark.parametrize(("hedge", "least", "most"), [(LATE, 35, 35 + 200 / 13), (Hedge(), 1, 20)])
def test_a_model_that_is_slow_as_a_whole_is_not_sent_twice_as_much(
    colour: Colour, hedge: Hedge, least: float, most: float
) -> None:
    """A full bucket pays for 35, and every fourteen answers for one more; a learned delay follows the model besides."""
    model = ScriptedModel([*[ok(after=1)] * 32, *[ok(after=10)] * 400])
    chain = colour.chain(model, hedge=hedge)
    for _ in range(232):
        colour.ask(chain)
    assert least <= len(model.log) - 232 <= most


def test_the_floor_of_the_budget_is_left_to_retries(colour: Colour) -> None:
    chain = colour.chain(
        ScriptedModel([error(500), ok(after=4)]), hedge=LATE, budget=RetryBudget(capacity=0, floor=1)
    )
    assert tried(colour.ask(chain))[-1] == (2, None, "answered")
    assert not_hedged(colour) == ["budget"]


def test_an_open_or_half_open_breaker_lets_no_second_request_through(colour: Colour) -> None:
    model = ScriptedModel([error(500), ok(after=4)], name="late")
    chain = colour.chain(model, hedge=LATE, retry=ONCE, breaker=Breaker(consecutive=1, open_for=15))
    with pytest.raises(ModelError):
        colour.ask(chain)
    colour.clock.advance(20)
    colour.ask(chain)
    assert not_hedged(colour) == ["breaker"]
    assert chain.plan.hops[0].state.breaker.state == "half-open"


def test_a_rate_that_is_used_up_lets_no_second_request_through_and_the_budget_keeps_its_tokens(
    colour: Colour,
) -> None:
    model = ScriptedModel([ok(after=4)])
    chain = colour.chain(model, hedge=LATE, limits=Limits(requests_per_minute=6))
    colour.ask(chain)
    assert not_hedged(colour) == ["rate_limited"]
    assert chain.health().models[0].budget == 500


def test_a_provider_that_meanwhile_asked_for_a_pause_is_not_asked_again(colour: Colour) -> None:
    chain = colour.chain(ScriptedModel([ok(after=4)]), hedge=LATE)

    def another_call_is_told_to_wait(event: events.Event) -> None:
        if isinstance(event, events.AttemptStarted):
            chain.plan.hops[0].state.pace.hold(colour.clock.now() + 30)

    chain._observers += (another_call_is_told_to_wait,)
    colour.ask(chain)
    assert not_hedged(colour) == ["rate_limited"]


def test_the_throttle_keeps_a_second_request_back(colour: Colour) -> None:
    model = ScriptedModel([error(429), error(429), ok(after=4)], traits=REPLAYABLE)

    class Falling:
        drawn = iter([0.9, 0.0])

        def random(self) -> float:
            return next(self.drawn)

    chain = colour.chain(
        model, hedge=LATE, retry=ONCE, throttle=Throttle(min_requests=2), chance=Falling(), breaker=Breaker(enabled=False)
    )  # fmt: skip
    for _ in range(2):
        with pytest.raises(ModelError):
            colour.ask(chain)
    colour.ask(chain)
    assert not_hedged(colour) == ["throttle"]


def test_a_cap_of_cost_forbids_a_second_request_that_would_pass_it(colour: Colour) -> None:
    model = ScriptedModel([ok(after=4)], traits=PRICED)
    chain = colour.chain(model, hedge=LATE, max_cost=CostCap(per_call=150), name=next(_names))
    colour.ask(chain, max_tokens=100)
    assert not_hedged(colour) == ["cost_cap"]


def test_the_loser_is_counted_as_billed_by_its_estimate_and_its_cost_is_unknown(colour: Colour) -> None:
    model = ScriptedModel([ok(after=30), ok(after=1), ok()], traits=PRICED)
    chain = colour.chain(model, hedge=LATE, max_cost=CostCap(per_window=330), name=next(_names))
    reply = colour.ask(chain, max_tokens=100)
    assert reply.cost is None
    assert reply.outcome is not None
    assert [attempt.cost for attempt in reply.outcome.attempts] == [None, 4.0]
    told = booked(colour)
    assert (told.attempts, told.failed, told.unpriced) == (2, 1, 1)
    spending = chain.plan.spending
    assert spending is not None
    assert 100 < spending.taken(colour.clock.now()) < 120
    assert spending._held == 0


def test_no_second_request_is_sent_that_could_not_answer_before_the_deadline(colour: Colour) -> None:
    model = ScriptedModel([*[ok(after=3)] * 10, ok(after=4.5)], traits=REPLAYABLE)
    chain = colour.chain(model, hedge=Hedge(after=3.5), deadline=5, retry=ONCE)
    for _ in range(11):
        colour.ask(chain)
    assert not_hedged(colour) == ["deadline"]


def test_a_decorated_function_and_a_block_of_a_chain_with_a_hedge_are_never_hedged(tmp_path: Path) -> None:
    page = tmp_path / "resilient.toml"
    page.write_text(
        "version = 1\n[models.m]\nprovider = 'canned'\ntext = 'x'\n[chains.x]\nmodels = ['m']\nhedge = { after = '1s' }\n"
    )

    @resilient(chain="x", config=page)
    def shout(text: str) -> str:
        return text.upper()

    assert shout("a") == "A"
    assert "never for function:" in shout.resilience.explain()
    with resilient(name=next(_names), chain="x", config=page):
        pass


# --- what is learned ----------------------------------------------------------------------------------------------------


def test_nothing_is_hedged_before_ten_answers_are_known_and_then_after_their_95th_percentile(
    colour: Colour,
) -> None:
    quick: list[Step] = [ok(after=1)] * 9
    model = ScriptedModel([*quick, ok(after=20), ok(after=30), ok("hedge", after=1)], traits=REPLAYABLE)
    chain = colour.chain(model, hedge=Hedge())
    for _ in range(10):
        colour.ask(chain)
    assert len(model.log) == 10
    began = colour.clock.now()
    assert colour.ask(chain).text == "hedge"
    assert model.log[-1].at - began == pytest.approx(20)


def test_hedging_does_not_make_a_model_look_quicker_than_it_is(colour: Colour) -> None:
    """Without the losers the 95th percentile would fall to the quick answers' own, and ever more would be hedged."""
    chance = seeded(11)
    steps = [
        ok(after=5.0 + chance.random() if number % 12 == 0 else 1 + 0.5 * chance.random())
        for number in range(4000)
    ]
    model = ScriptedModel(steps, traits=REPLAYABLE)
    chain = colour.chain(model, hedge=Hedge(), budget=RetryBudget(enabled=False))
    for _ in range(600):
        colour.ask(chain)
    hedges = len(model.log) - 600
    assert chain.health().models[0].p95 is not None
    assert chain.health().models[0].p95 > 1.5  # type: ignore[operator]
    assert hedges < 600 * 0.09


def test_a_loser_says_nothing_of_the_models_health(colour: Colour) -> None:
    model = ScriptedModel([ok(after=30), ok(after=1)], repeat=True)
    chain = colour.chain(model, hedge=LATE, breaker=Breaker(consecutive=1, min_calls=1, failure_ratio=0.1))
    for _ in range(5):
        colour.ask(chain)
    assert chain.plan.hops[0].state.breaker.state == "closed"
    assert chain.plan.hops[0].state.breaker._window.counts(colour.clock.now()) == (5, 0)


def test_a_failure_in_a_race_is_told_to_the_breaker(colour: Colour) -> None:
    model = ScriptedModel([error(500, after=3), ok("other", after=7)])
    chain = colour.chain(model, hedge=LATE, breaker=Breaker(consecutive=1))
    assert colour.ask(chain).text == "other"
    assert [event.new for event in colour.captured.of(events.BreakerChanged)][:1] == ["open"]


# --- how it is told -----------------------------------------------------------------------------------------------------


def test_events_of_a_race_are_in_one_order(colour: Colour) -> None:
    colour.ask(colour.chain(ScriptedModel([ok(after=30), ok(after=1)]), hedge=LATE))
    assert [type(event).__name__ for event in colour.captured.events] == [
        *("CallStarted", "ModelStarted", "AttemptStarted", "AttemptStarted"),
        *("AttemptFinished", "AttemptFinished", "ModelFinished", "CallFinished"),
    ]


def test_both_requests_have_spans_that_overlap(colour: Colour) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = Spans(provider.get_tracer("test"))
    colour.ask(colour.chain(ScriptedModel([ok(after=30), ok(after=1)]), hedge=LATE))
    for event in colour.captured.events:
        spans(event)
    lost, won = (span for span in exporter.get_finished_spans() if span.name == names.SPAN_ATTEMPT)
    assert lost.attributes is not None
    assert won.attributes is not None
    assert lost.attributes[names.ATTEMPT_VERDICT] == "hedged"
    assert lost.attributes[names.ERROR_TYPE] == "cancelled"
    assert won.attributes[names.ATTEMPT_VERDICT] == "answered"
    assert lost.start_time is not None
    assert won.start_time is not None
    assert won.start_time - lost.start_time == 2_000_000_000
    assert lost.end_time == won.end_time


def test_the_audit_trail_holds_the_request_that_lost(colour: Colour, tmp_path: Path) -> None:
    trail = tmp_path / "audit.jsonl"
    with observe(logs=None, spans=False, metrics=False, audit=trail, clock=colour.clock):
        colour.ask(colour.chain(ScriptedModel([ok(after=30), ok(after=1)], traits=PRICED), hedge=LATE))
    (call,) = [
        record for line in trail.read_text().splitlines() if (record := json.loads(line))["record"] == "call"
    ]
    assert [(attempt["n"], attempt["verdict"], attempt["cost"]) for attempt in call["attempts"]] == [
        (1, "hedged", None),
        (2, "answered", 4.0),
    ]
    assert call["cost"] is None


def test_explain_counts_the_requests_beside_and_names_who_is_never_hedged(colour: Colour) -> None:
    chain = colour.chain(
        ScriptedModel(name="a"), FunctionModel(len, name="b"), hedge=Hedge(at_most=2), retry=Retry(attempts=3)
    )
    assert chain.plan.worst_case().requests == 3 * 3 + 3
    assert "up to 2 more requests after the 95th percentile" in chain.explain()
    assert "never for function:b" in chain.explain()
    assert "hedge" not in colour.chain(ScriptedModel(), hedge=Hedge(enabled=False)).explain()
    assert "hedge" not in colour.chain(ScriptedModel()).explain()


def test_the_worst_case_is_what_a_simulation_sends(colour: Colour) -> None:
    first, second = (ScriptedModel([error(500, after=3)], name=name, repeat=True) for name in "ab")
    chain = colour.chain(
        first, second, hedge=LATE, retry=Retry(attempts=3, base=0.01), breaker=Breaker(enabled=False), deadline=100
    )  # fmt: skip
    with pytest.raises(AllModelsFailed) as caught:
        colour.ask(chain)
    assert len(first.log) + len(second.log) == chain.plan.worst_case().requests == 12
    assert len(caught.value.attempts) == 12


@pytest.mark.parametrize(
    "options",
    [{"after": 0}, {"after": -1}, {"after": float("inf")}, {"at_most": 0}, {"at_most": 4}, {"after": "1"}],
)
def test_options_out_of_range_are_refused_by_name(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ConfigError, match=f"Hedge.{name}"):
        Hedge(**options)


def test_what_is_no_hedge_is_refused_with_how_it_is_written() -> None:
    with pytest.raises(ConfigError, match=r"hedge=Hedge\(\)"):
        ResilientModel([ScriptedModel()], hedge=2.0)  # type: ignore[arg-type]
