"""A refused key, on real sockets: the next one is taken at once, in every way of asking."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from resilient_ai import FailureKind, ModelError, Reply, ResilientModel
from resilient_ai.core.events import AlertRaised, BreakerChanged
from resilient_ai.models import OpenAIModel
from resilient_ai.testing import Captured, FaultServer

WAYS = ["generate", "agenerate", "stream", "astream"]
_serial = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def ask(model: ResilientModel, way: str) -> Reply:
    if way == "generate":
        return model.generate("question")
    if way == "stream":
        with model.stream("question") as stream:
            return stream.reply()

    async def main() -> Reply:
        async with model:
            if way == "agenerate":
                return await model.agenerate("question")
            async with model.astream("question") as stream:
                return await stream.reply()

    return asyncio.run(main())


@pytest.mark.parametrize("way", WAYS)
def test_a_401_moves_to_the_next_key_with_an_alert_and_without_a_pause(server: FaultServer, way: str) -> None:
    session = f"keys-{next(_serial)}"
    captured = Captured()
    first = OpenAIModel("gpt-x", server.url("401", times=1, session=session), ["first-key", "second-key"])
    with ResilientModel(first, observers=[captured]) as model:
        reply = ask(model, way)
        assert reply.outcome is not None
        assert [attempt.kind for attempt in reply.outcome.attempts] == [FailureKind.AUTHENTICATION, None]
        assert reply.outcome.attempts[0].retry_after == 0.0
        again = ask(model, way)
        assert again.outcome is not None
        assert len(again.outcome.attempts) == 1
    sent = [request.header("authorization") for request in server.requests(session)]
    assert sent == ["Bearer first-key", "Bearer second-key", "Bearer second-key"]
    assert [alert.kind for alert in captured.of(AlertRaised)] == [FailureKind.AUTHENTICATION]
    assert captured.of(BreakerChanged) == []


@pytest.mark.parametrize("way", WAYS)
def test_a_call_ends_once_every_key_was_refused(server: FaultServer, way: str) -> None:
    session = f"keys-{next(_serial)}"
    first = OpenAIModel("gpt-x", server.url("401", session=session), ["first-key", "second-key"])
    with ResilientModel(first) as model, pytest.raises(ModelError) as caught:
        ask(model, way)
    assert caught.value.kind is FailureKind.AUTHENTICATION
    assert len(server.requests(session)) == 2


@pytest.mark.parametrize("way", WAYS)
def test_a_token_that_was_renewed_is_tried_at_once(server: FaultServer, way: str) -> None:
    session = f"keys-{next(_serial)}"
    tokens = itertools.chain(["token-one"], itertools.repeat("token-two"))
    first = OpenAIModel("gpt-x", server.url("401", times=1, session=session), lambda: next(tokens))
    with ResilientModel(first) as model:
        assert ask(model, way).outcome is not None
    sent = [request.header("authorization") for request in server.requests(session)]
    assert sent == ["Bearer token-one", "Bearer token-two"]
