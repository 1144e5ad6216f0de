"""The benchmarks measure what they say. No time is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from bench import clients
from bench.__main__ import SCENARIOS
from bench.server import Address, serving

from resilient_ai import ResilientError, Retry, outcome_of


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with serving() as where:
        yield where


def test_scenarios_have_names_of_their_own_and_a_yardstick_among_their_contenders() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    for scenario in SCENARIOS:
        assert scenario.yardstick in scenario.contenders, scenario.name


def test_a_stream_has_the_deltas_it_was_asked_for(address: Address) -> None:
    async def run() -> list[str]:
        async with (
            clients.chain(address.url("sse-7")) as model,
            model.astream(clients.MESSAGES) as stream,
        ):
            return [chunk.text async for chunk in stream if chunk.text]

    assert asyncio.run(run()) == [f" word{number}" for number in range(7)]


@pytest.mark.parametrize(("kind", "failure"), [("500", "server_error"), ("refused", "connection")])
def test_the_first_model_of_a_failover_fails_as_it_is_said_to(
    address: Address, kind: str, failure: str
) -> None:
    with (
        clients.chain(address.url(kind), retry=Retry(attempts=1)) as model,
        pytest.raises(ResilientError) as caught,
    ):
        model.generate(clients.MESSAGES)
    outcome = outcome_of(caught.value)
    assert outcome is not None
    assert [str(attempt.kind) for attempt in outcome.attempts] == [failure]
