"""A night's worth of tickets through one chain: a few at a time, with progress, through a flaky provider.

    python examples/batch_job.py

The bar goes to standard error, so that the result can be piped. Prints:

    40 of 40 tickets answered: 30 by gpt-5.2, 10 by rules
    every ticket has its outcome, 40 requests reached the provider
"""

from __future__ import annotations

import asyncio
from collections import Counter

from rich.console import Console
from rich.progress import Progress

from resilient_ai import Limits, Reply, ResilientModel, Retry
from resilient_ai.models import OpenAIModel
from resilient_ai.testing import FaultServer

TICKETS = [f"Ticket {number}: where is my parcel?" for number in range(40)]


def rules(text: str) -> str:
    """Answers when the model cannot: a batch should end with something in every row."""
    return "A person will answer."


async def answer_all(model: ResilientModel, tickets: list[str]) -> list[Reply]:
    """One reply a ticket, in order. The chain's own limits hold the tasks back; no semaphore is needed here."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("answering", total=len(tickets))

        async def one(ticket: str) -> Reply:
            reply = await model.agenerate(ticket, data_class="internal")
            progress.advance(bar)
            return reply

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(ticket)) for ticket in tickets]
    return [task.result() for task in tasks]


async def main() -> None:
    with FaultServer() as server:
        provider = OpenAIModel(
            "gpt-5.2", base_url=server.url("flaky:4", session="batch"), api_key="key-of-nobody"
        )
        limits = Limits(concurrency=4, queue=len(TICKETS))
        # One attempt each, so that the figures below are the same in every run; leave the retries on in a real batch.
        async with ResilientModel(
            [provider, rules], deadline=60, limits=limits, retry=Retry(attempts=1)
        ) as model:
            replies = await answer_all(model, TICKETS)
        reached = len(server.requests("batch"))
    by = Counter(reply.model for reply in replies)
    told = ", ".join(f"{count} by {name}" for name, count in by.most_common())
    print(f"{len(replies)} of {len(TICKETS)} tickets answered: {told}")
    assert all(reply.outcome is not None for reply in replies)
    print(f"every ticket has its outcome, {reached} requests reached the provider")


if __name__ == "__main__":
    asyncio.run(main())
