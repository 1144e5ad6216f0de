"""Nothing of what passes through a wrapped client is seen outside of it, whichever SDK it is of, whatever its provider repeats."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anthropic
import boto3
import cohere
import google.genai
import mistralai.client
import ollama
import openai
import pytest
from anthropic.lib.credentials import AccessToken
from anthropic.lib.foundry import AnthropicFoundry
from botocore.config import Config
from botocore.exceptions import EventStreamError

from echoing_server import MODES, echoing
from resilient_ai import Retry, outcome_of, wrap
from resilient_ai.adopt import policy_of
from resilient_ai.models import OpenAIModel
from watching import Seen, planted, planted_key, watched

pytestmark = pytest.mark.filterwarnings(
    # mistralai imports jsonpath at its first call, which asks the standard library for names that Python 3.14 drops.
    r"ignore:ast\.\w+ is deprecated:DeprecationWarning",
)

PROMPT: Final = f"{planted('prompt')} ann.{planted('mail')}@example.com"
ASK: Final[list[Any]] = [{"role": "user", "content": PROMPT}]
TENANT: Final = {"X-Tenant": planted("header")}
SLOW: Final = 0.3
"""Seconds the SDKs that know a time limit wait for a provider that is silent."""
_FOREIGN: Final = (
    "anthropic",
    "boto3",
    "botocore",
    "cohere",
    "google_genai",
    "httpcore",
    "httpx",
    "httpx2",
    "mistralai",
    "openai",
    "urllib3",
)
boto: Any = boto3


@dataclass(frozen=True)
class Sdk:
    """How one SDK in one colour is made, asked and closed."""

    name: str
    make: Callable[[str, str], Any]
    ask: Callable[[Any], Any]
    stream: Callable[[Any], Any]
    close: Callable[[Any], Any]


def _anthropic(kind: Any) -> Callable[[str, str], Any]:
    return lambda url, key: kind(api_key=key, base_url=url, default_headers=TENANT)


def _messages(client: Any, **options: Any) -> Any:
    return client.messages.create(
        model="m", max_tokens=9, system=planted("system"), messages=ASK, metadata={"user_id": planted("user")}, **options
    )  # fmt: skip


_fetched: Final = itertools.count(100)


def _fetch() -> str:
    """A key that no request before was sent with."""
    return planted_key(next(_fetched))


async def _afetch() -> str:
    return _fetch()


def _token(**_: object) -> AccessToken:
    return AccessToken(_fetch(), expires_at=0)  # asked for anew by every request


def _chat(client: Any, **options: Any) -> Any:
    return client.chat.completions.create(model="m", messages=ASK, user=planted("user"), **options)


def _azure(kind: Any, **how: Any) -> Callable[[str, str], Any]:
    return lambda url, _: kind(
        azure_endpoint=url, api_version="2024-10-21", default_headers=TENANT, **{key: make() for key, make in how.items()}
    )  # fmt: skip


def _google(url: str, key: str) -> Any:
    return google.genai.Client(api_key=key, http_options={"base_url": url, "headers": TENANT})


def _boto(url: str, key: str) -> Any:
    return boto.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id=key,
        aws_secret_access_key=planted_key(3),
        config=Config(read_timeout=SLOW),
    )


_BEDROCK: Final[dict[str, Any]] = {
    "modelId": "m",
    "system": [{"text": planted("system")}],
    "messages": [{"role": "user", "content": [{"text": PROMPT}]}],
}
FETCHING: Final[dict[str, Callable[[str, str], Any]]] = {
    "openai": lambda url, _: openai.OpenAI(api_key=_fetch, base_url=url, default_headers=TENANT),
    "openai-async": lambda url, _: openai.AsyncOpenAI(api_key=_afetch, base_url=url, default_headers=TENANT),
    "azure": _azure(openai.AzureOpenAI, azure_ad_token_provider=lambda: _fetch),
    "azure-async": _azure(openai.AsyncAzureOpenAI, azure_ad_token_provider=lambda: _afetch),
    "azure-written-down": _azure(openai.AzureOpenAI, azure_ad_token=_fetch),
}
MESSAGING: Final[dict[str, Callable[[str, str], Any]]] = {
    "anthropic-credentials": lambda url, _: anthropic.Anthropic(
        credentials=_token, base_url=url, default_headers=TENANT
    ),
    "anthropic-credentials-async": lambda url, _: anthropic.AsyncAnthropic(
        credentials=_token, base_url=url, default_headers=TENANT
    ),
    "anthropic-auth-token": lambda url, _: anthropic.Anthropic(
        auth_token=_fetch(), base_url=url, default_headers=TENANT
    ),
    "anthropic-on-azure": lambda url, _: AnthropicFoundry(
        azure_ad_token_provider=_fetch, base_url=url, default_headers=TENANT
    ),
}
"""Clients that fetch the keys they send, or hold them where others do not."""
SDKS: Final = (
    *(
        Sdk(
            name,
            make,
            _chat,
            lambda client: _chat(client, stream=True),
            lambda client: client.close(),
        )
        for name, make in FETCHING.items()
    ),
    *(
        Sdk(
            name,
            make,
            _messages,
            lambda client: _messages(client, stream=True),
            lambda client: client.close(),
        )
        for name, make in MESSAGING.items()
    ),
    Sdk(
        "anthropic",
        _anthropic(anthropic.Anthropic),
        _messages,
        lambda client: _messages(client, stream=True),
        lambda client: client.close(),
    ),
    Sdk(
        "anthropic-async",
        _anthropic(anthropic.AsyncAnthropic),
        _messages,
        lambda client: _messages(client, stream=True),
        lambda client: client.close(),
    ),
    Sdk(
        "mistral",
        lambda url, key: mistralai.client.Mistral(api_key=key, server_url=url),
        lambda client: client.chat.complete(model="m", messages=ASK),
        lambda client: client.chat.stream(model="m", messages=ASK),
        lambda client: client.__exit__(None, None, None),
    ),
    Sdk(
        "mistral-async",
        lambda url, key: mistralai.client.Mistral(api_key=key, server_url=url),
        lambda client: client.chat.complete_async(model="m", messages=ASK),
        lambda client: client.chat.stream_async(model="m", messages=ASK),
        lambda client: client.__aexit__(None, None, None),
    ),
    Sdk(
        "google",
        _google,
        lambda client: client.models.generate_content(model="m", contents=PROMPT),
        lambda client: client.models.generate_content_stream(model="m", contents=PROMPT),
        lambda client: client.close(),
    ),
    Sdk(
        "google-async",
        _google,
        lambda client: client.aio.models.generate_content(model="m", contents=PROMPT),
        lambda client: client.aio.models.generate_content_stream(model="m", contents=PROMPT),
        lambda client: client.aio.aclose(),
    ),
    Sdk(
        "cohere",
        lambda url, key: cohere.ClientV2(api_key=key, base_url=url),
        lambda client: client.chat(model="m", messages=ASK),
        lambda client: client.chat_stream(model="m", messages=ASK),
        lambda client: client._client_wrapper.httpx_client.httpx_client.close(),
    ),
    Sdk(
        "cohere-async",
        lambda url, key: cohere.AsyncClientV2(api_key=key, base_url=url),
        lambda client: client.chat(model="m", messages=ASK),
        lambda client: client.chat_stream(model="m", messages=ASK),
        lambda client: client._client_wrapper.httpx_client.httpx_client.aclose(),
    ),
    Sdk(
        "ollama",
        lambda url, key: ollama.Client(host=url, headers={"authorization": key, **TENANT}),
        lambda client: client.chat(model="m", messages=ASK),
        lambda client: client.chat(model="m", messages=ASK, stream=True),
        lambda client: client._client.close(),
    ),
    Sdk(
        "ollama-async",
        lambda url, key: ollama.AsyncClient(host=url, headers={"authorization": key, **TENANT}),
        lambda client: client.chat(model="m", messages=ASK),
        lambda client: client.chat(model="m", messages=ASK, stream=True),
        lambda client: client._client.aclose(),
    ),
    Sdk(
        "boto3",
        _boto,
        lambda client: client.converse(**_BEDROCK),
        lambda client: client.converse_stream(**_BEDROCK)["stream"],
        lambda client: client.close(),
    ),
)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with echoing() as port:
        yield port


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What the SDKs and their HTTP clients log is what they always log."""
    levels = {name: logging.getLogger(name).level for name in _FOREIGN}
    for name in levels:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


async def _all(value: Any) -> Any:
    """What `value` comes to: awaited, and read to its end if it is a stream."""
    if inspect.isawaitable(value):
        value = await value
    if hasattr(value, "__aiter__"):
        async for _ in value:
            pass
    elif inspect.isgenerator(value) or hasattr(value, "__next__") or type(value).__name__ == "EventStream":
        for _ in value:
            pass
    return value


@pytest.mark.timeout(180)  # every fault in one test: on a busy machine that takes its time
@pytest.mark.parametrize("way", ["ask", "stream"])
@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.name)
def test_nothing_is_seen_of_a_wrapped_client(
    port: int, sdk: Sdk, way: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """By whoever watches, nor in what is ours of an exception. What the SDK raises by itself says what it always says."""

    async def main(seen: Seen) -> None:
        for mode in MODES:
            # What botocore raises has the address in it, always.
            path = "path" if sdk.name == "boto3" else planted("path")
            url = f"http://127.0.0.1:{port}/{path}/{mode}"
            behind = OpenAIModel("second", url, planted_key(2))
            client = sdk.make(url, planted_key())
            wrap(
                client,
                fallback=[behind],
                retry=Retry(2, base=0, cap=0),
                name=mode,
                deadline=1.0 if mode == "stall" else 5.0,
            )
            try:
                result = await _all(getattr(sdk, way)(client))
                seen.note(f"{mode}: the outcome", outcome_of(result))
            except Exception as error:  # noqa: BLE001 - what is looked at
                _met(error, mode, seen)
            policy = policy_of(client)
            seen.note(
                f"{mode}: the policy", policy, policy.explain(), policy.explain("m"), policy.health("m")
            )
            await _all(sdk.close(client))
            await behind.aclose()

    with watched(tmp_path) as seen:
        asyncio.run(main(seen))
    seen.note("the terminal", *capfd.readouterr())
    assert seen.leaks() == {}
    assert seen.texts["the audit trail"].count('"record":"call"') >= len(MODES)


def _met(error: BaseException, mode: str, seen: Seen) -> None:
    """What is ours of `error`: its history, our own exceptions behind it, and its text where we made it."""
    seen.note(f"{mode}: its outcome", outcome_of(error), *getattr(error, "attempts", ()))
    seen.note(f"{mode}: its notes", *getattr(error, "__notes__", ()))
    cause = error.__cause__
    if cause is not None and type(cause).__module__.startswith("resilient_ai"):
        seen.note(f"{mode}: our cause", cause, cause.args[:1])
        if not isinstance(error, EventStreamError):  # botocore's says what the provider said, always
            seen.note(f"{mode}: what we raised", error)
