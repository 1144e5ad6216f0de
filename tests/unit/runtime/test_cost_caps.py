"""What a chain may cost: asked before anything is sent, and counted for every attempt."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from colours import Colour
from resilient_ai import (
    AllModelsFailed,
    BudgetExceeded,
    ConfigError,
    InvalidOutput,
    ModelError,
    Reply,
    ResilientModel,
    Retry,
    StreamInterrupted,
)
from resilient_ai.core import events
from resilient_ai.core.model import Price, Traits
from resilient_ai.engine.cost import ASSUMED_OUTPUT_TOKENS
from resilient_ai.messages import Usage
from resilient_ai.models import OpenAIModel
from resilient_ai.policies.spending import CostCap
from resilient_ai.telemetry import Ledger
from resilient_ai.testing import Captured, ManualClock, ScriptedModel, cut, error, ok, stall

PRICED = Traits(typical_seconds=0.05, price=Price(1.0, 1.0, per=1))
"""A token costs one, so that costs read as tokens."""
FREE = Traits(local=True, typical_seconds=0.05)
_names = (f"capped-{number}" for number in itertools.count())


def priced(*steps: Any, name: str = "paid") -> ScriptedModel:
    return ScriptedModel(steps, name=name, traits=PRICED)


def spent(tokens_in: int, tokens_out: int, text: str = "ok") -> Any:
    return ok(text, usage=Usage(tokens_in, tokens_out))


def capped(colour: Colour, *models: ScriptedModel, **cap: float) -> ResilientModel:
    return colour.chain(*models, max_cost=CostCap(**cap), name=next(_names))  # type: ignore[arg-type]  # floats only


def test_a_request_that_may_cost_more_than_the_call_may_is_not_sent(colour: Colour) -> None:
    model = priced()
    with pytest.raises(BudgetExceeded, match="nothing was sent") as caught:
        colour.ask(capped(colour, model, per_call=50.0), max_tokens=100)
    assert model.log == []
    assert caught.value.attempts == ()
    [finished] = colour.captured.of(events.CallFinished)
    assert finished.error == "budget_exhausted"


def test_a_stream_that_may_cost_more_is_not_opened(colour: Colour) -> None:
    model = priced()
    with pytest.raises(BudgetExceeded):
        colour.stream(capped(colour, model, per_call=50.0), max_tokens=100)
    assert model.log == []


def test_without_max_tokens_a_long_answer_is_assumed(colour: Colour) -> None:
    with pytest.raises(BudgetExceeded):
        colour.ask(capped(colour, priced(), per_call=float(ASSUMED_OUTPUT_TOKENS)))
    assert colour.ask(capped(colour, priced(ok()), per_call=ASSUMED_OUTPUT_TOKENS * 1.1)).text == "ok"


def test_a_model_that_costs_nothing_answers_where_the_money_is_spent(colour: Colour) -> None:
    local = ScriptedModel([ok("here")], name="device", traits=FREE)
    reply = colour.ask(capped(colour, priced(), local, per_call=50.0), max_tokens=100)
    assert (reply.text, reply.degraded) == ("here", True)
    assert reply.outcome is not None
    assert [skip.reason for skip in reply.outcome.skipped] == ["cost_cap"]


def test_the_window_counts_all_calls_and_moves_on(colour: Colour) -> None:
    model = priced(spent(40, 40), spent(10, 10))
    chain = capped(colour, model, per_window=100.0, window=60.0)
    colour.ask(chain, max_tokens=20)
    with pytest.raises(BudgetExceeded):
        colour.ask(chain, max_tokens=20)
    colour.clock.advance(61.0)
    assert colour.ask(chain, max_tokens=20).text == "ok"


def test_calls_in_flight_side_by_side_cannot_pass_the_window_together() -> None:
    """Each alone would fit: what one may still cost is set aside before it is sent."""
    colour = Colour("asyncio", ManualClock(), Captured())
    model = priced(*[ok("ok", after=5.0, usage=Usage(10, 20))] * 4)
    chain = capped(colour, model, per_window=100.0)

    async def main() -> list[Reply | BaseException]:
        asked = [chain.agenerate("question", max_tokens=40) for _ in range(6)]
        return await asyncio.gather(*asked, return_exceptions=True)

    ended = colour.clock.run(main())
    answered = [one for one in ended if isinstance(one, Reply)]
    assert 1 <= len(answered) == len(model.log) < 6
    assert sum(isinstance(one, BudgetExceeded) for one in ended) == 6 - len(answered)
    assert chain.plan.spending is not None
    assert chain.plan.spending.taken(colour.clock.now()) == 30.0 * len(answered) <= 100.0
    assert colour.clock.run(chain.agenerate("question", max_tokens=5)).text == "ok", (
        "what was not spent is free again"
    )


def test_a_chain_built_anew_goes_on_with_what_was_spent(colour: Colour) -> None:
    model = priced(spent(40, 40))
    chain = capped(colour, model, per_window=100.0)
    colour.ask(chain, max_tokens=20)
    rebuilt = colour.chain(model, max_cost=CostCap(per_window=90.0), name=chain.plan.name)
    with pytest.raises(BudgetExceeded):
        colour.ask(rebuilt, max_tokens=20)


def test_a_re_ask_that_does_not_fit_is_not_sent(colour: Colour) -> None:
    model = priced(spent(40, 40, "wrong"))
    chain = capped(colour, model, per_call=100.0)
    with pytest.raises(InvalidOutput) as caught:
        colour.ask(chain, output_type=int, max_tokens=30)
    assert len(caught.value.attempts) == 1
    assert [event.reason for event in colour.captured.of(events.RetrySuppressed)] == ["cost_cap"]


def test_what_a_failed_answer_cost_counts_for_the_window(colour: Colour) -> None:
    chain = capped(colour, priced(*(spent(10, 10, "wrong") for _ in range(3))), per_window=100.0)
    with pytest.raises(InvalidOutput):
        colour.ask(chain, output_type=int, max_tokens=10)
    assert chain.plan.spending is not None
    assert chain.plan.spending.taken(colour.clock.now()) == 60.0


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_what_the_provider_refused_costs_nothing(colour: Colour, status: int) -> None:
    chain = colour.chain(
        priced(error(status)), retry=Retry(1), max_cost=CostCap(per_window=100.0), name=next(_names)
    )
    with pytest.raises(ModelError):
        colour.ask(chain, max_tokens=10)
    assert chain.plan.spending is not None
    assert chain.plan.spending.taken(0.0) == 0.0


def test_an_attempt_that_ran_out_of_time_counts_with_its_estimate(colour: Colour) -> None:
    chain = colour.chain(
        priced(stall(30.0)),
        retry=Retry(1),
        deadline=20.0,
        max_cost=CostCap(per_window=500.0),
        name=next(_names),
    )
    with pytest.raises(Exception, match=r"deadline|timeout"):
        colour.ask(chain, max_tokens=100)
    assert chain.plan.spending is not None
    assert chain.plan.spending.taken(colour.clock.now()) > 100.0


def test_a_stream_that_broke_counts(colour: Colour) -> None:
    chain = capped(colour, priced(cut(2)), per_window=500.0)
    with pytest.raises(StreamInterrupted):
        colour.stream(chain, max_tokens=100)
    assert chain.plan.spending is not None
    assert chain.plan.spending.taken(colour.clock.now()) > 100.0


def test_a_retry_that_does_not_fit_ends_with_what_failed(colour: Colour) -> None:
    chain = capped(colour, priced(cut(2)), priced(name="second"), per_call=150.0)
    with pytest.raises((AllModelsFailed, ModelError)) as caught:
        colour.ask(chain, max_tokens=100)
    assert len(caught.value.attempts) == 1


def test_nothing_stays_held_when_a_call_has_ended(colour: Colour) -> None:
    chain = capped(colour, priced(spent(1, 1), error(500), spent(1, 1)), per_window=1000.0)
    colour.ask(chain, max_tokens=100)
    colour.ask(chain, max_tokens=100)
    assert chain.plan.spending is not None
    assert chain.plan.spending.taken(colour.clock.now()) == 4.0


def test_the_ledger_and_the_cap_agree_on_what_was_reported(colour: Colour) -> None:
    ledger = Ledger()
    chain = ResilientModel(
        priced(spent(2, 3), spent(5, 7)),
        max_cost=CostCap(per_window=1000.0),
        observers=[ledger],
        clock=colour.clock,
        name=next(_names),
    )
    colour.ask(chain, max_tokens=10)
    colour.ask(chain, max_tokens=10)
    assert chain.plan.spending is not None
    assert ledger.total.cost == chain.plan.spending.taken(colour.clock.now()) == 17.0


def test_a_cap_over_a_remote_model_without_a_price_is_refused() -> None:
    model = OpenAIModel("gpt-x", "http://127.0.0.1:9/v1", "some-key")
    with pytest.raises(ConfigError, match="unknown"):
        ResilientModel(model, max_cost=CostCap(per_call=1.0))


def test_a_cap_in_another_currency_than_the_price_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"EUR.*USD"):
        ResilientModel(priced(), max_cost=CostCap(per_call=1.0, currency="EUR"))


def test_the_cap_is_part_of_what_a_chain_says_of_itself() -> None:
    chain = ResilientModel(priced(), max_cost=CostCap(per_call=0.5))
    assert "cost: at most 0.5 USD a call" in chain.explain()
    assert chain.plan.digest != ResilientModel(priced()).plan.digest


def test_replies_tell_what_all_attempts_cost(colour: Colour) -> None:
    reply: Reply = colour.ask(capped(colour, priced(spent(2, 3)), per_call=500.0), max_tokens=10)
    assert reply.cost == 5.0
