"""An answer that must fit a type: asked again with what was wrong, then taken from the next model.

    python examples/structured_output.py

Prints:

    Ticket(category='delivery', urgent=True, summary='Parcel is two weeks late')
    asked careless 2 times, the second time with what was wrong
    hopeless gave up: Ticket(category='other', urgent=False, summary='not understood') from fixed, degraded: True
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from resilient_ai import Request, ResilientModel


@dataclass
class Ticket:
    category: Literal["delivery", "refund", "other"]
    urgent: bool
    summary: str


def careless(request: Request) -> str:
    """Stands for a model that forgets a field until it is told."""
    ticket: dict[str, object] = {"category": "delivery", "urgent": True}
    if len(request.messages) > 1:  # the re-ask: the draft, and what was wrong with it
        ticket["summary"] = "Parcel is two weeks late"
    return json.dumps(ticket)


def hopeless(question: str) -> str:
    return "I think this is about a delivery!"


def fixed(question: str) -> str:
    return json.dumps({"category": "other", "urgent": False, "summary": "not understood"})


def main() -> None:
    question = "My parcel is two weeks late. Hurry up."
    reply = ResilientModel([careless]).generate(question, output_type=Ticket)
    assert isinstance(reply.output, Ticket)
    print(reply.output)
    asked = () if reply.outcome is None else reply.outcome.attempts
    print(f"asked {reply.model} {len(asked)} times, the second time with what was wrong")

    reply = ResilientModel([hopeless, fixed]).generate(question, output_type=Ticket)
    print(f"hopeless gave up: {reply.output} from {reply.model}, degraded: {reply.degraded}")


if __name__ == "__main__":
    main()
