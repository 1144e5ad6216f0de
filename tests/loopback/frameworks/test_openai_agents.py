"""openai-agents on a client that went through `wrap`: the agent goes on, whoever answers."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from agents import (
    Agent,
    Model,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

from obliging_server import TEXT, ObligingServer
from resilient_ai import Retry, wrap
from resilient_ai.testing import FaultServer, ScriptedModel, error

ONCE = Retry(attempts=1)
QUIET = RunConfig(tracing_disabled=True)


class Ticket(BaseModel):
    queue: str
    urgent: bool


@function_tool
def magic(number: int) -> int:
    """Adds two."""
    return number + 2


def model_of(client: AsyncOpenAI, kind: str) -> Model:
    if kind == "chat":
        return OpenAIChatCompletionsModel("gpt-5.2", client)
    return OpenAIResponsesModel("gpt-5.2", client)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", ["chat", "responses"])
def test_an_agent_with_tools_survives_a_provider_that_is_down(
    kind: str,
    streamed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    async def run() -> tuple[Any, list[dict[str, Any]]]:
        with FaultServer() as server, ObligingServer() as obliging:
            fallback = obliging.model()
            async with AsyncOpenAI(api_key="key-of-nobody", base_url=server.url("status:500")) as client:
                model = model_of(wrap(client, fallback=[fallback], retry=ONCE), kind)
                agent = Agent(name="keeper", instructions="Be kind.", tools=[magic], model=model)
                if streamed:
                    result = Runner.run_streamed(agent, "What is magic(3)?", run_config=QUIET)
                    events = [event async for event in result.stream_events()]
                    assert len(events) > 3
                    output = result.final_output
                else:
                    output = (await Runner.run(agent, "What is magic(3)?", run_config=QUIET)).final_output
            await fallback.aclose()
            return output, obliging.bodies

    output, bodies = asyncio.run(run())
    assert output == TEXT
    assert [message["role"] for message in bodies[-1]["messages"]] == ["system", "user", "assistant", "tool"]
    assert bodies[-1]["messages"][-1]["content"] == "5"


@pytest.mark.parametrize("kind", ["chat", "responses"])
def test_typed_output_comes_from_a_fallback_too(kind: str) -> None:
    async def run() -> object:
        with FaultServer() as server, ObligingServer() as obliging:
            fallback = obliging.model()
            async with AsyncOpenAI(api_key="key-of-nobody", base_url=server.url("status:500")) as client:
                model = model_of(wrap(client, fallback=[fallback], retry=ONCE), kind)
                agent = Agent(name="sorter", output_type=Ticket, model=model)
                result = await Runner.run(agent, "The queue is 'billing'.", run_config=QUIET)
            await fallback.aclose()
            return result.final_output

    assert asyncio.run(run()) == Ticket(queue="billing", urgent=True)


@pytest.mark.parametrize("kind", ["chat", "responses"])
def test_when_nobody_answers_the_error_is_openais_own(kind: str) -> None:
    async def run() -> None:
        with FaultServer() as server:
            async with AsyncOpenAI(api_key="key-of-nobody", base_url=server.url("status:500")) as client:
                model = model_of(wrap(client, fallback=[ScriptedModel([error(500)])], retry=ONCE), kind)
                with pytest.raises(openai.InternalServerError):
                    await Runner.run(Agent(name="keeper", model=model), "Hello", run_config=QUIET)

    asyncio.run(run())
