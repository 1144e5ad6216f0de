"""Hedged calls over real sockets: how many requests a server saw, which of them answered, and that the others were hung up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from resilient_ai import (
    AllModelsFailed,
    Breaker,
    DeadlineExceeded,
    Hedge,
    Outcome,
    Reply,
    ResilientModel,
    Retry,
    RetryBudget,
    Timeouts,
    resilient,
    wrap,
)
from resilient_ai.messages import Attempt
from resilient_ai.models import OpenAIModel
from resilient_ai.testing import FaultServer
from resilient_ai.testing.fault_server.record import ServedRequest

CALLS = 12
AFTER = Hedge(after=1.0)
"""Between the usual 0.05 s and the tail's 5 s, with much room on either side."""


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)


def blocking(chain: ResilientModel, calls: int) -> list[Reply]:
    with chain:
        return [chain.generate("q") for _ in range(calls)]


def asynchronous(chain: ResilientModel, calls: int) -> list[Reply]:
    async def main() -> list[Reply]:
        async with chain:
            return [await chain.agenerate("q") for _ in range(calls)]

    return asyncio.run(main())


def outcome(reply: Reply) -> Outcome:
    assert reply.outcome is not None
    return reply.outcome


def settled(server: FaultServer, session: str) -> list[ServedRequest]:
    """All requests of the session, once the server is done with each of them."""
    return server.wait_for_requests(session, count=len(server.requests(session)))


COLOURS = pytest.mark.parametrize("ask", [blocking, asynchronous])


@COLOURS
def test_the_tail_is_answered_by_a_second_request_and_the_first_is_hung_up(
    server: FaultServer, session: str, ask: Callable[[ResilientModel, int], list[Reply]]
) -> None:
    model = OpenAIModel("gpt-x", base_url=server.url("latency-tail:0.25", session=session), api_key="sk-a")
    replies = ask(ResilientModel([model], hedge=AFTER, name=session), CALLS)
    assert {reply.text for reply in replies} == {server.text}
    # Every fourth request is late: the fourth call's first, the seventh's, the tenth's.
    hedged = [reply for reply in replies if len(outcome(reply).attempts) > 1]
    assert [replies.index(reply) for reply in hedged] == [3, 6, 9]
    for reply in hedged:
        first, second = outcome(reply).attempts
        assert (first.n, first.kind, first.verdict, first.cost) == (1, "cancelled", "hedged", None)
        assert (second.n, second.verdict) == (2, "answered")
        assert not reply.degraded
    seen = settled(server, session)
    assert len(seen) == CALLS + 3
    assert [request.visit for request in seen if request.hung_up is not None] == [4, 8, 12]
    assert all(request.answered for request in seen if request.hung_up is None)


@COLOURS
def test_a_connection_that_was_kept_alive_serves_on_after_a_race(
    server: FaultServer, session: str, ask: Callable[[ResilientModel, int], list[Reply]]
) -> None:
    model = OpenAIModel("gpt-x", base_url=server.url("latency-tail:0.5", session=session), api_key="sk-a")
    ask(ResilientModel([model], hedge=AFTER, name=session), 4)
    # Late ones lose their connection; what was not late shares one.
    good = {request.connection for request in settled(server, session) if request.hung_up is None}
    assert len(good) <= 1 + len(
        [request for request in server.requests(session) if request.hung_up is not None]
    )


@COLOURS
def test_the_worst_case_is_what_a_server_sees(
    server: FaultServer, session: str, ask: Callable[[ResilientModel, int], list[Reply]]
) -> None:
    models = [
        OpenAIModel(name, base_url=server.url("stall-no-response", session=session), api_key="sk-a")
        for name in "ab"
    ]
    chain = ResilientModel(
        models, hedge=Hedge(after=0.05), retry=Retry(attempts=2, base=0.0), breaker=Breaker(enabled=False),
        budget=RetryBudget(enabled=False), deadline=8, reserve=3, timeouts=Timeouts(attempt=0.6), name=session,
    )  # fmt: skip
    with pytest.raises((AllModelsFailed, DeadlineExceeded)) as caught:
        ask(chain, 1)
    attempts: tuple[Attempt, ...] = caught.value.attempts
    assert len(settled(server, session)) == chain.plan.worst_case().requests == 8
    assert sorted(attempt.n for attempt in attempts if attempt.model == "a") == [1, 2, 3, 4]


def test_a_function_that_calls_a_wrapped_client_is_hedged(server: FaultServer, session: str) -> None:
    client = wrap(
        openai.AsyncOpenAI(api_key="sk-a", base_url=server.url("latency-tail:0.5", session=session))
    )

    @resilient(hedge=AFTER)
    async def ask() -> str | None:
        asked: list[Any] = [{"role": "user", "content": "q"}]
        answer = await client.chat.completions.create(model="gpt-x", messages=asked)
        return answer.choices[0].message.content

    async def main() -> list[str | None]:
        async with client:
            return [await ask() for _ in range(4)]

    assert asyncio.run(main()) == [server.text] * 4
    seen = settled(server, session)
    assert len(seen) > 4
    assert len([request for request in seen if request.hung_up is not None]) == len(seen) - 4


def test_a_blocking_race_leaves_no_thread_at_work(server: FaultServer, session: str) -> None:
    model = OpenAIModel("gpt-x", base_url=server.url("latency-tail:0.5", session=session), api_key="sk-a")
    chain = ResilientModel([model], hedge=AFTER, name=session)
    for _ in range(3):
        chain.generate("q")
    settled(server, session)
    threads = chain._blocking._threads
    assert threads is not None
    while threads.spare < 64:  # each goes by itself, at the latest when it sees that its socket is shut
        threads.submit(int).result(30)
    chain.close()
