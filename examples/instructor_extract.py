"""instructor on a client that `wrap` made resilient: the extraction succeeds while the provider is down.

    pip install instructor openai
    python examples/instructor_extract.py

instructor validates, and asks again for what does not fit; `wrap` retries and falls back on what never became an answer. It runs on
loopback: a server that fails every request stands for the provider, and rules stand for a second model. Prints:

    extracted: queue='delivery' urgent=True
    by rules, tried: gpt-5.2 overloaded, rules answered
    unwrapped again: InternalServerError
"""

from __future__ import annotations

from typing import Any

import instructor
from instructor.core import InstructorRetryException
from openai import OpenAI
from pydantic import BaseModel

from resilient_ai import Reply, Request, Retry, ToolCall, outcome_of, unwrap, wrap
from resilient_ai.testing import FaultServer

MESSAGES: Any = [{"role": "user", "content": "Where is my parcel? I leave tonight!"}]


class Ticket(BaseModel):
    queue: str
    urgent: bool


def rules(request: Request) -> Reply:
    """What stands in: it fills in the tool that instructor asks for. In a real chain rather another provider, or a model on this device."""
    return Reply(
        "",
        (ToolCall("call-1", request.tools[0].name, '{"queue": "delivery", "urgent": true}'),),
        "tool_calls",
    )


def main() -> None:
    with (
        FaultServer() as provider,
        OpenAI(api_key="key-of-nobody", base_url=provider.url("status:503")) as client,
    ):
        # One attempt each, so that what is printed is the same in every run; leave the retries on in your code.
        reader = instructor.from_openai(wrap(client, fallback=[rules], deadline=20, retry=Retry(attempts=1)))
        ticket, completion = reader.chat.completions.create_with_completion(
            model="gpt-5.2", response_model=Ticket, messages=MESSAGES
        )
        print(f"extracted: {ticket}")
        outcome = outcome_of(completion)
        assert outcome is not None
        tried = ", ".join(f"{one.model} {one.kind or 'answered'}" for one in outcome.attempts)
        print(f"by {outcome.served_by}, tried: {tried}")

        unwrap(client).max_retries = 0
        try:
            reader.chat.completions.create(
                model="gpt-5.2", response_model=Ticket, messages=MESSAGES, max_retries=1
            )
        except InstructorRetryException as failed:
            print(f"unwrapped again: {type(failed.__cause__).__name__}")


if __name__ == "__main__":
    main()
