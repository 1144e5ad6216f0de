"""The other SDKs, wrapped: each test runs where its SDK is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from resilient_ai import Retry, wrap
from resilient_ai.testing import FaultServer, ScriptedModel, ok

ASK = [{"role": "user", "content": "Where is my parcel?"}]
QUICK = Retry(attempts=2, base=0.01)


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture(params=["none", "status:503"])
def fault(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def expected(server: FaultServer, fault: str) -> str:
    return server.text if fault == "none" else "On its way."


@pytest.fixture
def wrapped() -> Callable[[Any], Any]:
    def made(client: Any) -> Any:
        return wrap(client, retry=QUICK, fallback=[ScriptedModel([ok("On its way.")], repeat=True)])

    return made


@pytest.mark.parametrize(("package", "kind"), [("groq", "Groq"), ("together", "Together")])
def test_the_sdks_of_openais_make(
    server: FaultServer, fault: str, expected: str, wrapped: Callable[[Any], Any], package: str, kind: str
) -> None:
    sdk = pytest.importorskip(package)
    with wrapped(
        getattr(sdk, kind)(api_key="sk-test", base_url=server.url(fault, session=package))
    ) as client:
        answer = client.chat.completions.create(model="m", messages=ASK)
        assert answer.choices[0].message.content == expected
        stream = client.chat.completions.create(model="m", messages=ASK, stream=True)
        assert "".join(one.choices[0].delta.content or "" for one in stream if one.choices) == expected


def test_mistral(server: FaultServer, fault: str, expected: str, wrapped: Callable[[Any], Any]) -> None:
    sdk = pytest.importorskip("mistralai.client")
    url = server.url(fault, session="mistral").removesuffix("/v1")
    with sdk.Mistral(api_key="sk-test", server_url=url) as plain:
        client = wrapped(plain)
        assert client.chat.complete(model="m", messages=ASK).choices[0].message.content == expected
        events = client.chat.stream(model="m", messages=ASK)
        assert "".join(one.data.choices[0].delta.content or "" for one in events) == expected

        async def main() -> str:
            async with client:
                answer = await client.chat.complete_async(model="m", messages=ASK)
                return str(answer.choices[0].message.content)

        assert asyncio.run(main()) == expected


def test_ollama(server: FaultServer, fault: str, expected: str, wrapped: Callable[[Any], Any]) -> None:
    sdk = pytest.importorskip("ollama")
    url = server.url(fault, dialect="ollama", session="ollama")
    client = wrapped(sdk.Client(host=url))
    assert client.chat(model="m", messages=ASK).message.content == expected
    assert (
        "".join(one.message.content for one in client.chat(model="m", messages=ASK, stream=True)) == expected
    )
    client._client.close()


def test_google(server: FaultServer, fault: str, expected: str, wrapped: Callable[[Any], Any]) -> None:
    sdk = pytest.importorskip("google.genai")
    url = server.url(fault, dialect="gemini", session="google").removesuffix("/v1beta")
    client = wrapped(sdk.Client(api_key="sk-test", http_options={"base_url": url}))
    assert client.models.generate_content(model="gemini-3-flash", contents="Where?").text == expected
    pieces = client.models.generate_content_stream(model="gemini-3-flash", contents="Where?")
    assert "".join(one.text or "" for one in pieces) == expected
    client.close()
