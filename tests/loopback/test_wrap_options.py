"""Options of a block of code, and the time of a call around, reach wrapped clients, whichever way they were adopted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import cohere
import httpx
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from resilient_ai import Retry, outcome_of, resilient, resilient_options, wrap
from resilient_ai.core.events import CallStarted
from resilient_ai.core.model import Traits
from resilient_ai.models import canned
from resilient_ai.testing import Captured, FaultServer, ScriptedModel, ok
from resilient_ai.testing.fault_server.dialects import DialectName

ASK: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]
ONCE = Retry(attempts=1)
boto: Any = boto3


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)


class Sdk:
    """One SDK in one colour: how it is made, asked for a whole answer and for a stream, and closed."""

    dialect: DialectName = "openai"
    late: type[Exception] = openai.APITimeoutError

    def __init__(self, url: str, key: str) -> None:
        self.client: Any = openai.OpenAI(api_key=key, base_url=url)

    def ask(self) -> Any:
        return self.client.chat.completions.create(model="gpt-5.2", messages=ASK)

    def stream(self) -> Any:
        stream = self.client.chat.completions.create(model="gpt-5.2", messages=ASK, stream=True)
        list(stream)
        return stream

    def run(self, call: Callable[[], Any]) -> Any:
        return call()

    def close(self) -> None:
        self.client.close()


class AsyncSdk(Sdk):
    def __init__(self, url: str, key: str) -> None:
        self.client = openai.AsyncOpenAI(api_key=key, base_url=url)

    async def stream(self) -> Any:
        stream = await self.client.chat.completions.create(model="gpt-5.2", messages=ASK, stream=True)
        async for _ in stream:
            pass
        return stream

    def run(self, call: Callable[[], Any]) -> Any:
        async def main() -> Any:
            async with self.client:
                return await call()

        return asyncio.run(main())

    def close(self) -> None:
        """Closed in its loop."""


class ByTransport(Sdk):
    dialect = "cohere"
    late = httpx.ReadTimeout

    def __init__(self, url: str, key: str) -> None:
        self.client = cohere.ClientV2(api_key=key, base_url=url)

    def ask(self) -> Any:
        return self.client.chat(model="command-a", messages=ASK)

    def stream(self) -> Any:
        stream = self.client.chat_stream(model="command-a", messages=ASK)
        list(stream)
        return stream

    def close(self) -> None:
        self.client._client_wrapper.httpx_client.httpx_client.close()


class ByEvents(Sdk):
    dialect = "bedrock"
    late = ReadTimeoutError

    def __init__(self, url: str, key: str) -> None:
        self.client = boto.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id=key,
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def ask(self) -> Any:
        return self.client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "?"}]}])

    def stream(self) -> Any:
        answer = self.client.converse_stream(
            modelId="m", messages=[{"role": "user", "content": [{"text": "?"}]}]
        )
        list(answer["stream"])
        return answer["stream"]


@pytest.fixture(params=[Sdk, AsyncSdk, ByTransport, ByEvents])
def kind(request: pytest.FixtureRequest) -> type[Sdk]:
    chosen: type[Sdk] = request.param
    return chosen


@pytest.fixture
def wrapped(kind: type[Sdk], server: FaultServer, session: str) -> Iterator[Callable[..., Sdk]]:
    made: list[Sdk] = []

    def at(fault: str = "none", **policy: Any) -> Sdk:
        sdk = kind(server.url(fault, dialect=kind.dialect, session=session), session)
        made.append(sdk)
        wrap(sdk.client, **policy)
        return sdk

    yield at
    for one in made:
        one.close()


ways = pytest.mark.parametrize("way", ["ask", "stream"])


def deadlines(seen: Captured) -> list[float]:
    return [round(event.deadline, 3) for event in seen.of(CallStarted)]


@ways
def test_a_block_tightens_the_deadline_of_a_wrapped_call_and_never_lengthens_it(
    wrapped: Callable[..., Sdk], way: str
) -> None:
    seen = Captured()
    for inside in (5, 50):
        sdk = wrapped(deadline=20, observers=[seen])
        with resilient_options(deadline=inside):
            sdk.run(getattr(sdk, way))
    assert deadlines(seen) == [5, 20]


@ways
def test_a_client_wrapped_without_a_deadline_has_one_in_the_block(
    wrapped: Callable[..., Sdk], kind: type[Sdk], way: str
) -> None:
    sdk = wrapped("stall-no-response", retry=ONCE)
    with resilient_options(deadline=0.2), pytest.raises(kind.late) as raised:
        sdk.run(getattr(sdk, way))
    outcome = outcome_of(raised.value)
    assert outcome is not None
    assert 0.15 < outcome.seconds < 5


@ways
def test_a_client_wrapped_without_a_deadline_keeps_to_that_of_the_function_that_calls_it(
    wrapped: Callable[..., Sdk], kind: type[Sdk], way: str
) -> None:
    sdk = wrapped("stall-no-response", retry=ONCE)

    @resilient(deadline=0.2, retry=ONCE)
    def ask() -> str:
        with pytest.raises(kind.late):
            sdk.run(getattr(sdk, way))
        return "ended by itself"

    assert ask() == "ended by itself"


def test_a_fallback_still_answers_before_the_blocks_deadline(wrapped: Callable[..., Sdk]) -> None:
    sdk = wrapped("stall-no-response", retry=ONCE, fallback=[canned("Later.")])
    with resilient_options(deadline=0.4):
        answer = sdk.run(sdk.ask)
    outcome = outcome_of(answer)
    assert outcome is not None
    assert outcome.served_by == "canned"
    assert outcome.seconds < 0.4


def test_a_block_says_how_sensitive_the_calls_in_it_are(wrapped: Callable[..., Sdk]) -> None:
    careless = ScriptedModel(
        [ok("Careless.")], name="careless", repeat=True, traits=Traits(data_classes=frozenset({"public"}))
    )
    for inside, served in (("public", "careless"), ("personal", "canned")):
        sdk = wrapped(
            "status:401", retry=ONCE, data_class="internal", fallback=[careless, canned("Cleared.")]
        )
        with resilient_options(data_class=inside):  # type: ignore[arg-type]
            outcome = outcome_of(sdk.run(sdk.ask))
        assert outcome is not None
        assert outcome.served_by == served


def test_a_streams_helper_takes_the_deadline_of_the_moment_it_is_entered(
    server: FaultServer, session: str
) -> None:
    seen = Captured()
    with openai.OpenAI(api_key="sk-test", base_url=server.url("none", session=session)) as client:
        wrap(client, observers=[seen])
        with resilient_options(deadline=5):
            manager = client.chat.completions.stream(model="gpt-5.2", messages=ASK)
        with resilient_options(deadline=7), manager as stream:
            first = next(iter(stream))
        assert first is not None
    assert deadlines(seen) == [7]
