"""A pydantic-ai agent that goes on while its provider is down: tools, typed output and streaming as before.

    pip install "resilient_ai[pydantic-ai]"
    python examples/pydantic_ai_agent.py

It runs on loopback: a server that fails every request stands for the provider, and rules stand for a second model.
Prints:

    typed: queue='delivery' urgent=True
    by rules (function), tried: gpt-5.2 overloaded, rules answered
    streamed: Your parcel is in Leipzig.
    nobody left: ModelOverloadedError, status 503
"""

from __future__ import annotations

import asyncio

from pydantic import BaseModel
from pydantic_ai import Agent, ModelHTTPError, NativeOutput
from pydantic_ai.messages import ModelResponse

from resilient_ai import Reply, Request, ResilientModel, Retry, ToolCall
from resilient_ai.frameworks.pydantic_ai import ResilientAgentModel
from resilient_ai.models import OpenAIModel
from resilient_ai.testing import FaultServer


class Ticket(BaseModel):
    queue: str
    urgent: bool


def rules(request: Request) -> Reply:
    """What stands in; in a real chain rather another provider, or a model on this device."""
    if request.output_schema is not None:
        return Reply('{"queue": "delivery", "urgent": true}')
    if request.messages[-1].role == "tool":
        return Reply("Your parcel is in Leipzig.")
    return Reply("", (ToolCall("call-1", "where_is", '{"parcel": 7}'),), "tool_calls")


def where_is(parcel: int) -> str:
    """Where a parcel is now."""
    return f"parcel {parcel}: Leipzig"


async def main() -> None:
    with FaultServer() as provider:
        down = OpenAIModel("gpt-5.2", base_url=provider.url("status:503"), api_key="key-of-nobody")
        # One attempt each, so that what is printed is the same in every run; leave the retries on in your code.
        chain = ResilientModel([down, rules], deadline=20, retry=Retry(attempts=1))

        sorter = Agent(ResilientAgentModel(chain), output_type=NativeOutput(Ticket))
        result = await sorter.run("Where is my parcel? I leave tonight!")
        print(f"typed: {result.output}")
        response = result.all_messages()[-1]
        assert isinstance(response, ModelResponse)
        outcome = (response.provider_details or {})["outcome"]
        tried = ", ".join(f"{one['model']} {one['kind'] or 'answered'}" for one in outcome["attempts"])
        print(f"by {response.model_name} ({response.provider_name}), tried: {tried}")

        finder = Agent(ResilientAgentModel(chain), tools=[where_is])
        async with finder.run_stream("Where is my parcel?") as streamed:
            print("streamed:", await streamed.get_output())

        alone = Agent(ResilientAgentModel(ResilientModel([down], retry=Retry(attempts=1))))
        try:
            await alone.run("Hello?")
        except ModelHTTPError as failed:  # pydantic-ai's own class, so that its FallbackModel works too
            print(f"nobody left: {type(failed).__name__}, status {failed.status_code}")
        await chain.aclose()


if __name__ == "__main__":
    asyncio.run(main())
