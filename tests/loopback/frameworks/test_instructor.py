"""instructor on a client that went through `wrap`: its answers are validated whoever gave them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import instructor
import openai
import pytest
from anthropic import Anthropic
from instructor.core import InstructorRetryException
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, field_validator

from obliging_server import ObligingServer
from resilient_ai import Retry, outcome_of, wrap
from resilient_ai.testing import FaultServer, ScriptedModel, ok

ONCE = Retry(attempts=1)
ASKED: Any = [{"role": "user", "content": "The queue is 'billing'."}]

BILLING = {"queue": "billing", "urgent": True}
"""What is extracted; instructor gives it as a class of its own making, below `Ticket`."""


class Ticket(BaseModel):
    queue: str
    urgent: bool

    @field_validator("queue")
    @classmethod
    def _known(cls, queue: str) -> str:
        if queue not in ("billing", "delivery"):
            raise ValueError("queue must be billing or delivery")
        return queue


@pytest.fixture
def down() -> Iterator[str]:
    with FaultServer() as server:
        yield server.url("status:500")


@pytest.mark.parametrize("mode", [instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA, instructor.Mode.JSON])
def test_an_extraction_survives_a_provider_that_is_down(
    mode: instructor.Mode, down: str, obliging: ObligingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(obliging, "example", BILLING)  # the server is shared with other tests
    fallback = obliging.model()
    with OpenAI(api_key="key-of-nobody", base_url=down) as client:
        reader = instructor.from_openai(wrap(client, fallback=[fallback], retry=ONCE), mode=mode)
        ticket, completion = reader.chat.completions.create_with_completion(
            model="gpt-5.2", response_model=Ticket, messages=ASKED
        )
    fallback.close()
    assert ticket.model_dump() == BILLING
    outcome = outcome_of(completion)
    assert outcome is not None
    assert outcome.served_by == "obliging-1"


def test_so_does_an_asynchronous_one(down: str, obliging: ObligingServer) -> None:
    async def run() -> Ticket:
        fallback = obliging.model()
        async with AsyncOpenAI(api_key="key-of-nobody", base_url=down) as client:
            reader = instructor.from_openai(wrap(client, fallback=[fallback], retry=ONCE))
            ticket = await reader.chat.completions.create(
                model="gpt-5.2", response_model=Ticket, messages=ASKED
            )
        await fallback.aclose()
        return ticket

    assert asyncio.run(run()).model_dump() == BILLING


def test_so_does_a_streamed_one(down: str, obliging: ObligingServer) -> None:
    fallback = obliging.model()
    with OpenAI(api_key="key-of-nobody", base_url=down) as client:
        reader = instructor.from_openai(wrap(client, fallback=[fallback], retry=ONCE))
        partials = list(
            reader.chat.completions.create_partial(model="gpt-5.2", response_model=Ticket, messages=ASKED)
        )
    fallback.close()
    assert partials[-1].model_dump() == BILLING
    assert len(partials) > 1


def test_so_does_one_by_way_of_anthropic(down: str, obliging: ObligingServer) -> None:
    fallback = obliging.model()
    with Anthropic(api_key="key-of-nobody", base_url=down.removesuffix("/v1")) as client:
        reader = instructor.from_anthropic(wrap(client, fallback=[fallback], retry=ONCE))
        ticket = reader.messages.create(
            model="claude-sonnet-5", max_tokens=100, response_model=Ticket, messages=ASKED
        )
    fallback.close()
    assert ticket.model_dump() == BILLING


def test_what_does_not_fit_is_asked_for_again_by_instructor(down: str) -> None:
    """instructor keeps its own count of re-asks; ours are spent on what never became an answer."""
    good, bad = '{"queue": "billing", "urgent": true}', '{"queue": "nowhere", "urgent": true}'
    scripted = ScriptedModel([ok(bad), ok(good)])
    with OpenAI(api_key="key-of-nobody", base_url=down) as client:
        reader = instructor.from_openai(
            wrap(client, fallback=[scripted], retry=ONCE), mode=instructor.Mode.JSON_SCHEMA
        )
        ticket = reader.chat.completions.create(
            model="gpt-5.2", response_model=Ticket, messages=ASKED, max_retries=2
        )
    assert ticket.queue == "billing"
    scripted.assert_done()


def test_without_a_fallback_the_cause_is_openais_own_error(down: str) -> None:
    with OpenAI(api_key="key-of-nobody", base_url=down) as client:
        reader = instructor.from_openai(wrap(client, retry=ONCE))
        with pytest.raises(InstructorRetryException) as caught:
            reader.chat.completions.create(
                model="gpt-5.2", response_model=Ticket, messages=ASKED, max_retries=1
            )
    assert isinstance(caught.value.__cause__, openai.InternalServerError)
