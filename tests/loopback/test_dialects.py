"""Every provider's model against a server that speaks its format: blocking and asyncio, whole and streamed, give the same."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import pytest

from resilient_ai import Breaker, Outcome, Reply, ResilientModel, Retry, RetryBudget, StreamInterrupted
from resilient_ai.core.model import Model
from resilient_ai.errors import ModelError
from resilient_ai.messages import Usage
from resilient_ai.models import AnthropicModel, GeminiModel, OllamaModel, OpenAIModel, OpenAIResponsesModel
from resilient_ai.testing import FaultServer
from resilient_ai.testing.fault_server.dialects import DialectName

KEY = "sk-not-a-key"
_serial = itertools.count()


@dataclass(frozen=True)
class Provider:
    """A model class, and the paths its server has."""

    dialect: DialectName
    make: Callable[[str], Model]


PROVIDERS = {
    "openai": Provider("openai", lambda url: OpenAIModel("m", base_url=url, api_key=KEY)),
    "openai-responses": Provider("openai", lambda url: OpenAIResponsesModel("m", base_url=url, api_key=KEY)),
    "anthropic": Provider("anthropic", lambda url: AnthropicModel("m", base_url=url, api_key=KEY)),
    "gemini": Provider("gemini", lambda url: GeminiModel("m", base_url=url, api_key=KEY)),
    "ollama": Provider("ollama", lambda url: OllamaModel("m", base_url=url)),
}
MESSAGES = sorted(PROVIDERS.keys() - {"openai-responses"})
"""The formats whose answer may hold nothing; a response without items is none."""

Way: TypeAlias = Callable[[ResilientModel], Reply]


def blocking_whole(chain: ResilientModel) -> Reply:
    return chain.generate("question")


def blocking_stream(chain: ResilientModel) -> Reply:
    with chain.stream("question") as stream:
        text = "".join(chunk.text for chunk in stream)
        reply = stream.reply()
    assert reply.text == text
    return reply


def asyncio_whole(chain: ResilientModel) -> Reply:
    async def main() -> Reply:
        try:
            return await chain.agenerate("question")
        finally:
            await chain.aclose()

    return asyncio.run(main())


def asyncio_stream(chain: ResilientModel) -> Reply:
    async def main() -> Reply:
        try:
            async with chain.astream("question") as stream:
                text = "".join([chunk.text async for chunk in stream])
                reply = await stream.reply()
        finally:
            await chain.aclose()
        assert reply.text == text
        return reply

    return asyncio.run(main())


WAYS: list[Way] = [blocking_whole, blocking_stream, asyncio_whole, asyncio_stream]
STREAMS: list[Way] = [blocking_stream, asyncio_stream]


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def ask(server: FaultServer, name: str, way: Way, fault: str = "none", *, times: int | None = None) -> Reply:
    """Meets `fault` with a chain of one model."""
    provider = PROVIDERS[name]
    session = f"dialects{next(_serial)}"
    url = server.url(fault, dialect=provider.dialect, times=times, session=session)
    chain = ResilientModel(
        [provider.make(url)],
        retry=Retry(attempts=2, base=0.01, cap=0.02),
        breaker=Breaker(enabled=False),
        budget=RetryBudget(enabled=False),
        deadline=20,
    )
    try:
        return way(chain)
    finally:
        chain.close()


def history(reply: Reply) -> Outcome:
    assert reply.outcome is not None
    return reply.outcome


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_answer_is_the_same_however_it_is_asked_for(server: FaultServer, name: str) -> None:
    replies = [ask(server, name, way) for way in WAYS]
    for reply in replies:
        assert reply.text == FaultServer.text
        assert reply.finish_reason == "stop"
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (21, 57)
        assert reply.model == "m"
        assert reply.tool_calls == ()
        assert history(reply).flags == ()


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_tool_call_is_the_same_however_it_is_asked_for(server: FaultServer, name: str) -> None:
    for way in WAYS:
        reply = ask(server, name, way, "tool-call")
        (call,) = reply.tool_calls
        assert (call.name, call.parsed()) == ("get_weather", {"city": "Paris"})
        assert call.id
        assert reply.finish_reason == "tool_calls"
        assert "unknown_tool" in history(reply).flags


@pytest.mark.parametrize("name", MESSAGES)
def test_an_answer_that_is_short_or_empty_is_flagged(server: FaultServer, name: str) -> None:
    for way in WAYS:
        assert "truncated" in history(ask(server, name, way, "finish-length")).flags
        assert "empty" in history(ask(server, name, way, "null-content")).flags


@pytest.mark.parametrize("name", PROVIDERS)
def test_missing_counts_are_unknown_and_not_zero(server: FaultServer, name: str) -> None:
    for way in WAYS:
        assert ask(server, name, way, "missing-usage").usage == Usage()


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("fault", ["status:503", "error-in-200", "429-retry-after-ms"])
def test_what_passes_is_tried_again(server: FaultServer, name: str, fault: str) -> None:
    for way in WAYS:
        reply = ask(server, name, way, fault, times=1)
        assert reply.text == FaultServer.text
        assert len(history(reply).attempts) == 2


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("fault", ["401", "wrong-types", "missing-choices", "html-200", "empty-200"])
def test_what_is_no_answer_is_one_typed_error(server: FaultServer, name: str, fault: str) -> None:
    for way in WAYS:
        with pytest.raises((ModelError, StreamInterrupted)) as caught:
            ask(server, name, way, fault)
        assert KEY not in str(caught.value)


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("fault", ["error-mid-stream", "truncated-clean", "missing-end", "rst-mid-stream"])
def test_a_stream_that_breaks_gives_up_what_came(server: FaultServer, name: str, fault: str) -> None:
    for way in STREAMS:
        with pytest.raises(StreamInterrupted) as caught:
            ask(server, name, way, fault)
        partial = caught.value.partial.text
        assert partial
        assert FaultServer.text.startswith(partial)


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    "fault",
    [
        "sse-crlf",
        "sse-bom",
        "sse-one-segment",
        "sse-no-final-newline",
        "sse-unknown-event",
        "done-then-stall",
        "stream-got-json",
        "missing-done",
    ],
)
def test_a_stream_that_is_odd_but_whole_is_read(server: FaultServer, name: str, fault: str) -> None:
    for way in STREAMS:
        assert ask(server, name, way, fault).text == FaultServer.text


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("openai", "authorization"),
        ("anthropic", "x-api-key"),
        ("gemini", "x-goog-api-key"),
    ],
)
def test_the_key_goes_where_the_provider_wants_it(server: FaultServer, name: str, header: str) -> None:
    provider = PROVIDERS[name]
    session = f"dialects{next(_serial)}"
    with ResilientModel([provider.make(server.url(dialect=provider.dialect, session=session))]) as chain:
        chain.generate("question")
    (request,) = server.requests(session)
    sent = dict(request.headers)
    assert KEY in sent[header]
    assert [key for key, value in sent.items() if KEY in value] == [header]
    assert KEY not in request.path
