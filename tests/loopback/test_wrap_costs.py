"""What a wrapped client may cost: caps that are asked before anything is sent, prices of its own models, and a ledger of every attempt."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import openai
import pytest

from resilient_ai import Breaker, BudgetExceeded, ConfigError, Retry, outcome_of, wrap
from resilient_ai.core.model import Price, Traits
from resilient_ai.messages import Usage
from resilient_ai.policies.spending import CostCap
from resilient_ai.telemetry import Ledger
from resilient_ai.testing import FaultServer, ScriptedModel, ok

MODEL = "gpt-5.2"
ASK: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]
A_TOKEN = Price(1.0, 1.0, per=1)
"""A token costs one, so that costs read as tokens."""
WITH_USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
names = (f"wrapped-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def server() -> Generator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)


@pytest.fixture
def wrapped(server: FaultServer, session: str) -> Generator[Callable[..., openai.OpenAI]]:
    made: list[openai.OpenAI] = []

    def make(fault: str = "none", **policy: Any) -> openai.OpenAI:
        bare = openai.OpenAI(api_key="sk-test", base_url=server.url(fault, session=session))
        policy = {
            "retry": Retry(attempts=2, base=0.0),
            "breaker": Breaker(consecutive=None),
            "name": next(names),
            **policy,
        }
        made.append(wrap(bare, **policy))
        return made[-1]

    yield make
    for client in made:
        client.close()


def free(text: str = "Free.") -> ScriptedModel:
    return ScriptedModel([ok(text)], name="device", repeat=True, traits=Traits(local=True))


def ask(client: openai.OpenAI, **options: Any) -> Any:
    create: Any = client.chat.completions.create
    return create(**{"model": MODEL, "messages": ASK, "max_completion_tokens": 100, **options})


# --- caps -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, WITH_USAGE])
def test_a_call_that_may_cost_more_than_it_may_is_not_sent(
    wrapped: Callable[..., openai.OpenAI], server: FaultServer, session: str, options: dict[str, Any]
) -> None:
    client = wrapped(price=A_TOKEN, max_cost=CostCap(per_call=50))
    with pytest.raises(openai.APIConnectionError) as raised:
        ask(client, **options)
    assert isinstance(raised.value.__cause__, BudgetExceeded)
    assert server.requests(session) == []
    outcome = outcome_of(raised.value)
    assert outcome is not None
    assert [skip.reason for skip in outcome.skipped] == ["cost_cap"]


def test_an_asynchronous_client_keeps_the_cap_too(server: FaultServer, session: str) -> None:
    async def main() -> None:
        bare = openai.AsyncOpenAI(api_key="sk-test", base_url=server.url("none", session=session))
        async with wrap(bare, price=A_TOKEN, max_cost=CostCap(per_call=50), name=next(names)) as client:
            with pytest.raises(openai.APIConnectionError):
                await client.chat.completions.create(model=MODEL, messages=ASK, max_completion_tokens=100)

    asyncio.run(main())
    assert server.requests(session) == []


def test_a_model_that_costs_nothing_answers_where_the_money_is_spent(
    wrapped: Callable[..., openai.OpenAI], server: FaultServer, session: str
) -> None:
    client = wrapped(price=A_TOKEN, max_cost=CostCap(per_call=50), fallback=[free()])
    answer = ask(client)
    assert answer.choices[0].message.content == "Free."
    assert server.requests(session) == []


def test_the_window_counts_all_models_and_copies_of_the_client(
    wrapped: Callable[..., openai.OpenAI], server: FaultServer, session: str
) -> None:
    # What one call costs, 21 + 57, and what it may cost, 100 and the prompt, fit; what the third one may cost does not.
    client = wrapped(price=A_TOKEN, max_cost=CostCap(per_window=300))
    ask(client)
    ask(client.with_options(timeout=9), model="gpt-5-mini", **WITH_USAGE).close()
    with pytest.raises(openai.APIConnectionError):
        ask(client, model="o9", max_completion_tokens=200)
    assert len(server.requests(session)) == 2


def test_a_retry_that_does_not_fit_is_not_sent(
    wrapped: Callable[..., openai.OpenAI], server: FaultServer, session: str
) -> None:
    client = wrapped("null-content", price=A_TOKEN, max_cost=CostCap(per_call=180))
    with pytest.raises(openai.APIError):
        ask(client)
    assert len(server.requests(session)) == 1


def test_several_answers_may_cost_several_times_as_much(
    wrapped: Callable[..., openai.OpenAI], server: FaultServer, session: str
) -> None:
    client = wrapped(price=A_TOKEN, max_cost=CostCap(per_call=400))
    ask(client, n=2)
    with pytest.raises(openai.APIConnectionError):
        ask(client, n=4)
    assert len(server.requests(session)) == 1


def test_calls_that_ask_no_model_for_an_answer_do_not_count(wrapped: Callable[..., openai.OpenAI]) -> None:
    client = wrapped("404", price={"gpt-5.2": A_TOKEN}, max_cost=CostCap(per_call=0))
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="small", input="text")


# --- prices ---------------------------------------------------------------------------------------------------------------


def test_a_cap_over_unknown_prices_is_refused_with_the_mend() -> None:
    client = openai.OpenAI(api_key="sk-test")
    with pytest.raises(
        ConfigError, match=r"what the client's own model costs is unknown\. Give wrap\(\) price"
    ):
        wrap(client, max_cost=CostCap(per_call=1))
    assert type(client) is openai.OpenAI


def test_a_model_named_for_the_first_time_whose_price_is_unknown_is_not_asked(
    wrapped: Callable[..., openai.OpenAI], server: FaultServer, session: str
) -> None:
    client = wrapped(price={MODEL: A_TOKEN}, max_cost=CostCap(per_call=1000), fallback=[free()])
    assert ask(client).choices[0].message.content == server.text
    with pytest.raises(ConfigError, match=r"what openai:o9 costs is unknown"):
        ask(client, model="o9")
    assert len(server.requests(session)) == 1


def test_prices_of_another_currency_than_the_caps_are_refused() -> None:
    price = {MODEL: Price(1, 1, currency="CHF")}
    with pytest.raises(ConfigError, match=r"max_cost is in USD, but the price of openai:\w+ is in CHF"):
        wrap(openai.OpenAI(api_key="sk-test"), price=price, max_cost=CostCap(per_call=1))


@pytest.mark.parametrize("price", ["cheap", 3, {"m": 3}, {1: A_TOKEN}])
def test_what_is_no_price_is_refused(price: Any) -> None:
    with pytest.raises(ConfigError, match="price must be a Price"):
        wrap(openai.OpenAI(api_key="sk-test"), price=price)


def test_without_a_price_the_cost_is_unknown_and_not_zero(wrapped: Callable[..., openai.OpenAI]) -> None:
    outcome = outcome_of(ask(wrapped()))
    assert outcome is not None
    assert outcome.cost is None
    assert outcome.attempts[0].usage.input_tokens == 21


def test_a_price_can_be_looked_up(wrapped: Callable[..., openai.OpenAI]) -> None:
    pytest.importorskip("genai_prices")
    client = wrapped(price="auto", max_cost=CostCap(per_call=1))
    outcome = outcome_of(ask(client, model="gpt-4o"))
    assert outcome is not None
    assert outcome.cost == pytest.approx((21 * 2.5 + 57 * 10) / 1e6)
    with pytest.raises(ConfigError, match="no-such-model costs is unknown"):
        ask(client, model="no-such-model")


def test_the_configuration_file_prices_the_models_at_the_clients_own_host(
    wrapped: Callable[..., openai.OpenAI], server: FaultServer, tmp_path: Path
) -> None:
    file = tmp_path / "resilient.toml"
    file.write_text(
        f"version = 1\n[models.own]\nprovider = 'openai'\nmodel = '{MODEL}'\nbase_url = '{server.url('none')}'\n"
        "price = { input = '1', output = '1', per = 1 }\n[models.last]\nprovider = 'canned'\ntext = 'Later.'\n"
        "[chains.support]\nmodels = ['own', 'last']\nmax_cost = { per_call = 150 }\n"
    )
    client = wrapped(chain="support", config=file)
    outcome = outcome_of(ask(client))
    assert outcome is not None
    assert (outcome.cost, outcome.served_by) == (78, MODEL)
    assert ask(client, max_completion_tokens=500).choices[0].message.content == "Later."


# --- the ledger -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "options", "attempts", "failed", "tokens"),
    [
        ("none", {}, 1, 0, 78),
        ("none", WITH_USAGE, 1, 0, 78),
        ("status:503~1", {}, 2, 1, 78),
        ("null-content~1", {}, 2, 1, 156),
        ("status:503", {}, 2, 2, 0),
    ],
)
def test_every_attempt_stands_in_the_ledger_with_what_it_cost(
    wrapped: Callable[..., openai.OpenAI],
    fault: str,
    options: dict[str, Any],
    attempts: int,
    failed: int,
    tokens: int,
) -> None:
    ledger = Ledger()
    client = wrapped(fault, price=A_TOKEN, observers=[ledger])
    try:
        answer = ask(client, **options)
        if options:
            list(answer)
    except openai.InternalServerError:
        assert failed == attempts
    spent = ledger.by_model[f"openai:{MODEL}"]
    assert (spent.attempts, spent.failed, spent.cost) == (attempts, failed, tokens)
    assert spent.unpriced == (failed if tokens != 156 else 0)


def test_a_fallback_and_a_stream_left_early_stand_in_the_ledger_too(
    wrapped: Callable[..., openai.OpenAI],
) -> None:
    ledger = Ledger()
    paid = ScriptedModel(
        [ok("Yes.", usage=Usage(5, 7))], name="other", traits=Traits(price=Price(2, 2, per=1)), repeat=True
    )
    client = wrapped("status:503", price=A_TOKEN, fallback=[paid], observers=[ledger])
    ask(client)
    for _ in (stream := ask(client, **WITH_USAGE)):
        stream.close()
        break
    spent = ledger.by_model["scripted:other"]
    assert (spent.attempts, spent.failed, spent.cost, spent.unpriced) == (2, 0, 24, 1)
    assert ledger.total.attempts == 6


def test_an_answer_the_caller_reads_by_himself_is_counted(wrapped: Callable[..., openai.OpenAI]) -> None:
    ledger = Ledger()
    client = wrapped(price=A_TOKEN, observers=[ledger])
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=ASK) as response:
        response.read()
    assert ledger.total.cost == 78
