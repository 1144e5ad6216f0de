"""A LangChain application that goes on while its provider is down: the same `invoke`, `stream`, tools and structured output.

    pip install "resilient_ai[langchain]"
    python examples/langchain_chat.py

It runs on loopback: a server that fails every request stands for the provider, and rules stand for a second model.
Prints:

    invoke: A person will answer within the hour. (by rules, degraded: True)
    tried: gpt-5.2 overloaded, rules answered
    stream: A person will answer within the hour. (by rules)
    structured: queue='delivery' urgent=False
    nobody left: ModelAPIError, after 1 attempts
"""

from __future__ import annotations

from langchain_core.exceptions import ModelAPIError
from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import BaseModel

from resilient_ai import AllModelsFailed, CallError, Request, ResilientModel, Retry
from resilient_ai.frameworks.langchain import ResilientChatModel
from resilient_ai.models import OpenAIModel
from resilient_ai.testing import FaultServer

QUESTION = [SystemMessage("You route support tickets."), HumanMessage("Where is my parcel?")]


class Ticket(BaseModel):
    queue: str
    urgent: bool


def rules(request: Request) -> str:
    """What stands in; in a real chain rather another provider, or a model on this device."""
    if request.output_schema is not None:
        return '{"queue": "delivery", "urgent": false}'
    return "A person will answer within the hour."


def main() -> None:
    with FaultServer() as provider:
        down = OpenAIModel("gpt-5.2", base_url=provider.url("status:503"), api_key="key-of-nobody")
        # One attempt each, so that what is printed is the same in every run; leave the retries on in your code.
        chain = ResilientModel([down, rules], deadline=20, retry=Retry(attempts=1))
        chat = ResilientChatModel(model=chain, temperature=0)

        message = chat.invoke(QUESTION)
        outcome = message.response_metadata["outcome"]
        print(f"invoke: {message.text} (by {outcome['served_by']}, degraded: {outcome['degraded']})")
        print(
            "tried:",
            ", ".join(f"{tried['model']} {tried['kind'] or 'answered'}" for tried in outcome["attempts"]),
        )

        text, served_by = "", ""
        for chunk in chat.stream(QUESTION):
            text += chunk.text
            if "outcome" in chunk.response_metadata:  # the last one
                served_by = chunk.response_metadata["outcome"]["served_by"]
        print(f"stream: {text} (by {served_by})")

        # The chain holds the answer to the class: one that does not fit is asked for again, then of the next model.
        print("structured:", chat.with_structured_output(Ticket).invoke(QUESTION))

        alone = ResilientChatModel(model=ResilientModel([down], retry=Retry(attempts=1)))
        try:
            alone.invoke(QUESTION)
        except ModelAPIError as failed:  # LangChain's own class; ours is its cause
            cause = failed.__cause__
            assert isinstance(cause, CallError)
            assert not isinstance(cause, AllModelsFailed)
            print(f"nobody left: {type(failed).__name__}, after {len(cause.attempts)} attempts")
        chain.close()


if __name__ == "__main__":
    main()
