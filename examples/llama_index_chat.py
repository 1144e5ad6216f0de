"""A LlamaIndex LLM that goes on while its provider is down: chat, streams, typed answers, functions.

    pip install "resilient_ai[llama-index]"
    python examples/llama_index_chat.py

`Settings.llm = ResilientLLM(...)` gives it to query engines and agents alike. It runs on loopback: a server that fails every request stands
for the provider, and rules stand for a second model. Prints:

    chat: A person will answer within the hour. (by rules, degraded: True)
    stream: A person will answer within the hour. (by rules)
    structured: queue='delivery' urgent=False
    nobody left: ModelError, overloaded
"""

from __future__ import annotations

from typing import Any, cast

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from resilient_ai import CallError, Request, ResilientModel, Retry
from resilient_ai.frameworks.llama_index import ResilientLLM
from resilient_ai.models import OpenAIModel
from resilient_ai.testing import FaultServer

QUESTION = [ChatMessage("Where is my parcel?")]


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
        llm = ResilientLLM(model=chain)

        response = llm.chat(QUESTION)
        outcome: dict[str, Any] = cast("dict[str, Any]", response.additional_kwargs)["outcome"]
        print(
            f"chat: {response.message.content} (by {outcome['served_by']}, degraded: {outcome['degraded']})"
        )

        items = list(llm.stream_chat(QUESTION))
        told = cast("dict[str, Any]", items[-1].additional_kwargs)
        print(f"stream: {''.join(item.delta or '' for item in items)} (by {told['outcome']['served_by']})")

        # The chain holds the answer to the class: one that does not fit is asked for again, then of the next model.
        print(
            "structured:",
            llm.structured_predict(Ticket, PromptTemplate("Sort this: {text}"), text="Where is it?"),
        )

        try:
            ResilientLLM(model=ResilientModel([down], retry=Retry(attempts=1))).chat(QUESTION)
        except CallError as failed:  # LlamaIndex has no errors of its own for this
            print(f"nobody left: {type(failed).__name__}, {failed.kind}")
        chain.close()


if __name__ == "__main__":
    main()
