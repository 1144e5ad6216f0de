"""Options of a block of code, and the time of a call around, reach wrapped clients, whichever way they were adopted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from adopted_clients import ASK, KINDS, Sdk
from resilient_ai import Retry, outcome_of, resilient, resilient_options, wrap
from resilient_ai.core.events import CallStarted
from resilient_ai.core.model import Traits
from resilient_ai.models import canned
from resilient_ai.testing import Captured, FaultServer, ScriptedModel, ok

ONCE = Retry(attempts=1)


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> type[Sdk]:
    chosen: type[Sdk] = request.param
    return chosen


@pytest.fixture
def wrapped(kind: type[Sdk], server: FaultServer, session: str) -> Iterator[Callable[..., Sdk]]:
    made: list[Sdk] = []

    def at(fault: str = "none", **policy: Any) -> Sdk:
        sdk = kind(server.url(fault, dialect=kind.dialect, session=session), session)
        made.append(sdk)
        wrap(sdk.client, **policy)
        return sdk

    yield at
    for one in made:
        one.close()


ways = pytest.mark.parametrize("way", ["ask", "stream"])


def deadlines(seen: Captured) -> list[int]:
    return [round(event.deadline) for event in seen.of(CallStarted)]


@ways
def test_a_block_tightens_the_deadline_of_a_wrapped_call_and_never_lengthens_it(
    wrapped: Callable[..., Sdk], way: str
) -> None:
    seen = Captured()
    for inside in (5, 50):
        sdk = wrapped(deadline=20, observers=[seen])
        with resilient_options(deadline=inside):
            sdk.run(getattr(sdk, way))
    assert deadlines(seen) == [5, 20]


@ways
def test_a_client_wrapped_without_a_deadline_has_one_in_the_block(
    wrapped: Callable[..., Sdk], kind: type[Sdk], way: str
) -> None:
    sdk = wrapped("stall-no-response", retry=ONCE)
    with resilient_options(deadline=0.2), pytest.raises(kind.late) as raised:
        sdk.run(getattr(sdk, way))
    outcome = outcome_of(raised.value)
    assert outcome is not None
    assert 0.15 < outcome.seconds < 5


@ways
def test_a_client_wrapped_without_a_deadline_keeps_to_that_of_the_function_that_calls_it(
    wrapped: Callable[..., Sdk], kind: type[Sdk], way: str
) -> None:
    sdk = wrapped("stall-no-response", retry=ONCE)

    @resilient(deadline=0.2, retry=ONCE)
    def ask() -> str:
        with pytest.raises(kind.late):
            sdk.run(getattr(sdk, way))
        return "ended by itself"

    assert ask() == "ended by itself"


def test_a_fallback_still_answers_before_the_blocks_deadline(wrapped: Callable[..., Sdk]) -> None:
    sdk = wrapped("stall-no-response", retry=ONCE, fallback=[canned("Later.")], reserve=1.0)
    with resilient_options(deadline=1.5):
        answer = sdk.run(sdk.ask)
    outcome = outcome_of(answer)
    assert outcome is not None
    assert outcome.served_by == "canned"
    assert outcome.seconds < 1.5


def test_a_block_says_how_sensitive_the_calls_in_it_are(wrapped: Callable[..., Sdk]) -> None:
    careless = ScriptedModel(
        [ok("Careless.")], name="careless", repeat=True, traits=Traits(data_classes=frozenset({"public"}))
    )
    for inside, served in (("public", "careless"), ("personal", "canned")):
        sdk = wrapped(
            "status:401", retry=ONCE, data_class="internal", fallback=[careless, canned("Cleared.")]
        )
        with resilient_options(data_class=inside):  # type: ignore[arg-type]
            outcome = outcome_of(sdk.run(sdk.ask))
        assert outcome is not None
        assert outcome.served_by == served


def test_a_streams_helper_takes_the_deadline_of_the_moment_it_is_entered(
    server: FaultServer, session: str
) -> None:
    seen = Captured()
    with openai.OpenAI(api_key="sk-test", base_url=server.url("none", session=session)) as client:
        wrap(client, observers=[seen])
        with resilient_options(deadline=5):
            manager = client.chat.completions.stream(model="gpt-5.2", messages=ASK)
        with resilient_options(deadline=7), manager as stream:
            first = next(iter(stream))
        assert first is not None
    assert deadlines(seen) == [7]
