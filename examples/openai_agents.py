"""An agent of openai-agents on a client that `wrap` made resilient: it uses its tools while the provider is down.

    pip install openai-agents
    python examples/openai_agents.py

The agent speaks OpenAI's responses; whoever stands in need not: the answer is rendered so that the SDK makes its own objects of it. To give
every agent of a program the wrapped client, call `agents.set_default_openai_client(wrap(AsyncOpenAI(), ...))`. It runs on loopback: a server
that fails every request stands for the provider, and rules stand for a second model. Prints:

    tool called: parcel 7
    answer: Your parcel is in Leipzig.
    requests that reached the provider: 2, all answered with 503
"""

from __future__ import annotations

import asyncio

from agents import Agent, OpenAIResponsesModel, RunConfig, Runner, function_tool
from openai import AsyncOpenAI

from resilient_ai import Reply, Request, Retry, ToolCall, wrap
from resilient_ai.testing import FaultServer


@function_tool
def where_is(parcel: int) -> str:
    """Where a parcel is now."""
    print(f"tool called: parcel {parcel}")
    return "Leipzig"


def rules(request: Request) -> Reply:
    """What stands in; in a real chain rather another provider, or a model on this device."""
    if request.messages[-1].role == "tool":
        return Reply("Your parcel is in Leipzig.")
    return Reply("", (ToolCall("call-1", "where_is", '{"parcel": 7}'),), "tool_calls")


async def main() -> None:
    with FaultServer() as provider:
        url = provider.url("status:503", session="agent")
        async with AsyncOpenAI(api_key="key-of-nobody", base_url=url) as client:
            # One attempt each, so that what is printed is the same in every run; leave the retries on in your code.
            wrap(client, fallback=[rules], deadline=20, retry=Retry(attempts=1))
            agent = Agent(
                name="finder",
                instructions="Find parcels.",
                tools=[where_is],
                model=OpenAIResponsesModel("gpt-5.2", client),
            )
            # Its tracing would report to OpenAI; an example stays at home.
            result = await Runner.run(
                agent, "Where is my parcel?", run_config=RunConfig(tracing_disabled=True)
            )
            print(f"answer: {result.final_output}")
        print(f"requests that reached the provider: {len(provider.requests('agent'))}, all answered with 503")


if __name__ == "__main__":
    asyncio.run(main())
