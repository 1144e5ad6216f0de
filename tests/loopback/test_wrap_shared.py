"""One HTTP client under two SDKs that are both wrapped: a call has one policy, and a request of it is sent as often as that says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import cohere
import groq
import httpx
import httpx2
import mistralai.client
import mistralai.client.errors
import openai
import pytest

from resilient_ai import Retry, outcome_of, wrap
from resilient_ai.models import canned
from resilient_ai.testing import FaultServer

pytestmark = pytest.mark.filterwarnings(
    # mistralai imports jsonpath at its first call, which asks the standard library for names that Python 3.14 drops.
    r"ignore:ast\.\w+ is deprecated:DeprecationWarning",
)

ASK: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]


def retry(attempts: int) -> Retry:
    return Retry(attempts=attempts, base=0.01, cap=0.02)


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)


def mistral(url: str, key: str, **clients: Any) -> Any:
    return mistralai.client.Mistral(api_key=key, server_url=url.removesuffix("/v1"), **clients)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("hooked_first", [False, True])
def test_a_call_of_an_sdk_with_hooks_is_sent_as_often_as_its_own_policy_says(
    server: FaultServer, session: str, *, streamed: bool, hooked_first: bool
) -> None:
    url = server.url("status:503", session=session)
    with httpx2.Client() as shared:
        hooked = openai.OpenAI(api_key=session, base_url=url, http_client=shared)
        hookless = mistral(url, session, client=shared)
        policies = [(hooked, retry(3)), (hookless, retry(2))]
        for client, policy in policies if hooked_first else reversed(policies):
            wrap(client, retry=policy)
        with pytest.raises(openai.InternalServerError) as raised:
            hooked.chat.completions.create(model="m", messages=ASK, stream=streamed)
        outcome = outcome_of(raised.value)
        assert outcome is not None
        assert len(outcome.attempts) == len(server.requests(session)) == 3


def test_a_call_of_the_other_sdk_follows_its_own(server: FaultServer, session: str) -> None:
    url = server.url("status:503", session=session)
    with httpx2.Client() as shared:
        wrap(openai.OpenAI(api_key=session, base_url=url, http_client=shared), retry=retry(3))
        hookless = wrap(mistral(url, session, client=shared), retry=retry(2))
        with pytest.raises(mistralai.client.errors.SDKError):
            hookless.chat.complete(model="m", messages=ASK)
    assert len(server.requests(session)) == 2


def test_a_fallback_that_asks_by_the_shared_client_is_a_call_of_its_own(
    server: FaultServer, session: str
) -> None:
    with httpx.Client() as shared:
        down, up = (
            server.url("status:503", session=session),
            server.url("status:503~1", dialect="cohere", session=f"{session}-behind"),
        )
        behind = wrap(cohere.ClientV2(api_key=session, base_url=up, httpx_client=shared), retry=retry(2))

        def ask(question: str) -> str:
            answer: Any = behind.chat(model="c", messages=[cohere.UserChatMessageV2(content=question)])
            return str(answer.message.content[0].text)

        hooked = wrap(
            groq.Groq(api_key=session, base_url=down, http_client=shared), retry=retry(1), fallback=[ask]
        )
        answer = hooked.chat.completions.create(model="m", messages=ASK)
    assert answer.choices[0].message.content == server.text
    assert len(server.requests(session)) == 1
    assert len(server.requests(f"{session}-behind")) == 2


def test_an_asynchronous_call_is_sent_as_often_too(server: FaultServer, session: str) -> None:
    url = server.url("status:503", session=session)

    async def main() -> Any:
        async with httpx2.AsyncClient() as shared:
            hooked = openai.AsyncOpenAI(api_key=session, base_url=url, http_client=shared)
            wrap(hooked, retry=retry(3), fallback=[canned("Later.")])
            wrap(mistral(url, session, async_client=shared), retry=retry(2))
            return await hooked.chat.completions.create(model="m", messages=ASK)

    assert asyncio.run(main()).choices[0].message.content == "Later."
    assert len(server.requests(session)) == 3
