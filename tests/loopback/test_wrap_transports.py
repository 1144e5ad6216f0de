"""SDKs without hooks, wrapped at the HTTP client they send with. Stand-ins for them: what they share is an httpx client held somewhere."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import httpx2
import pytest

from resilient_ai import Retry, outcome_of, unwrap, wrap
from resilient_ai.adopt import policy_of
from resilient_ai.testing import FaultServer, ScriptedModel, error, ok
from resilient_ai.testing.fault_server.dialects import DialectName

QUICK = Retry(attempts=3, base=0.01, cap=0.02)
ASK: dict[DialectName, tuple[str, dict[str, Any]]] = {
    "openai": (
        "/chat/completions",
        {"model": "mistral-small", "messages": [{"role": "user", "content": "Where?"}]},
    ),
    "ollama": (
        "/api/chat",
        {"model": "llama3", "stream": False, "messages": [{"role": "user", "content": "Where?"}]},
    ),
    "gemini": (
        "/models/gemini-3-flash:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "Where?"}]}]},
    ),
}


MADE: list[Any] = []


class Sdk:
    """Holds its HTTP client two objects deep, as the generated SDKs do."""

    def __init__(self, base_url: str, family: Any = httpx) -> None:
        self.configuration: dict[str, Any] = {"client": family.Client(base_url=base_url), "key": "sk-test"}
        MADE.append(self.configuration["client"])

    def ask(self, dialect: DialectName = "openai") -> Any:
        path, body = ASK[dialect]
        client = self.configuration["client"]
        return client.send(client.build_request("POST", path.lstrip("/"), json=body)).raise_for_status()


class AsyncSdk:
    def __init__(self, base_url: str) -> None:
        self.http = httpx.AsyncClient(base_url=base_url)

    async def ask(self) -> Any:
        path, body = ASK["openai"]
        request = self.http.build_request("POST", path.lstrip("/"), json=body)
        return (await self.http.send(request)).raise_for_status()


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)


@pytest.fixture(autouse=True)
def all_closed() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().close()


def second() -> ScriptedModel:
    return ScriptedModel([ok("On its way.")], name="second", repeat=True)


def text_in(dialect: DialectName, body: Any) -> str:
    match dialect:
        case "openai":
            return str(body["choices"][0]["message"]["content"])
        case "gemini":
            return str(body["candidates"][0]["content"]["parts"][0]["text"])
        case _:
            return str(body["message"]["content"])


@pytest.mark.parametrize("family", [httpx, httpx2])
def test_the_providers_answer_comes_through_after_retries(
    server: FaultServer, session: str, family: Any
) -> None:
    sdk = wrap(Sdk(server.url("status:503~2", session=session), family), retry=QUICK)
    assert text_in("openai", sdk.ask().json()) == server.text
    assert len(server.requests(session)) == 3


@pytest.mark.parametrize("dialect", ["openai", "ollama", "gemini"])
@pytest.mark.parametrize("fault", ["status:503", "html-200", "connect-refused"])
def test_a_fallback_answers_in_the_providers_format(
    server: FaultServer, session: str, fault: str, dialect: Literal["openai", "ollama", "gemini"]
) -> None:
    url = server.url(fault, dialect=dialect, session=session)
    sdk = wrap(Sdk(url), retry=QUICK, fallback=[second()])
    response = sdk.ask(dialect)
    assert text_in(dialect, response.json()) == "On its way."
    assert response.headers["x-resilient-provider"] == "scripted"


def test_the_asynchronous_client_follows_the_policy_too(server: FaultServer, session: str) -> None:
    async def main() -> Any:
        sdk = wrap(AsyncSdk(server.url("status:503", session=session)), retry=QUICK, fallback=[second()])
        async with sdk.http:
            return (await sdk.ask()).json()

    assert text_in("openai", asyncio.run(main())) == "On its way."


def test_the_providers_own_refusal_is_what_the_sdk_gets_if_nobody_answers(
    server: FaultServer, session: str
) -> None:
    sdk = wrap(
        Sdk(server.url("status:429", session=session)),
        retry=QUICK,
        fallback=[ScriptedModel([error(503)], repeat=True)],
    )
    with pytest.raises(httpx.HTTPStatusError) as raised:
        sdk.ask()
    assert raised.value.response.status_code == 429


def test_what_the_http_library_raised_is_raised_with_its_history(server: FaultServer, session: str) -> None:
    sdk = wrap(Sdk(server.url("connect-refused", session=session)), retry=QUICK)
    with pytest.raises(httpx.ConnectError) as raised:
        sdk.ask()
    outcome = outcome_of(raised.value)
    assert outcome is not None
    assert len(outcome.attempts) == 3


def test_a_silent_endpoint_ends_at_the_deadline(server: FaultServer, session: str) -> None:
    sdk = wrap(Sdk(server.url("stall-no-response", session=session)), retry=QUICK, deadline=0.3)
    with pytest.raises(httpx.ReadTimeout):
        sdk.ask()


def test_a_truncated_stream_raises(server: FaultServer, session: str) -> None:
    sdk = wrap(Sdk(server.url("truncated-clean", session=session)), retry=QUICK)
    client: Any = sdk.configuration["client"]
    path, body = ASK["openai"]
    request = client.build_request("POST", path.lstrip("/"), json={**body, "stream": True})
    response = client.send(request, stream=True)
    with pytest.raises(httpx.RemoteProtocolError):
        list(response.iter_bytes())


def test_a_stream_comes_from_the_fallback_before_its_first_content(server: FaultServer, session: str) -> None:
    sdk = wrap(Sdk(server.url("status:503", session=session)), retry=QUICK, fallback=[second()])
    client: Any = sdk.configuration["client"]
    path, body = ASK["openai"]
    request = client.build_request("POST", path.lstrip("/"), json={**body, "stream": True})
    lines = [line for line in client.send(request, stream=True).iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    deltas = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert "".join(one["choices"][0]["delta"].get("content") or "" for one in deltas) == "On its way."


def test_unwrapping_gives_the_http_client_back_its_class(server: FaultServer) -> None:
    sdk = wrap(Sdk(server.url("none")), retry=QUICK)
    assert type(sdk.configuration["client"]) is not httpx.Client
    assert "3 attempts a model" in policy_of(sdk).explain()
    unwrap(sdk)
    assert type(sdk.configuration["client"]) is httpx.Client
