"""A stream that breaks behind its first content, in the very bytes that brought it: the wrapper tells of it, before the SDK stumbles over them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import openai
import pytest
from botocore.exceptions import EventStreamError

from adopted_clients import ASK, KINDS, Sdk
from echoing_server import echoing
from resilient_ai import Retry, StreamInterrupted, outcome_of, wrap

BROKEN = (openai.APIError, httpx.HTTPError, EventStreamError)
"""What the SDKs raise where a stream breaks."""


class Lines(Sdk):
    """An SDK whose streams are lines of JSON."""

    dialect = "ollama"

    def __init__(self, url: str, key: str) -> None:
        self.client = ollama.Client(host=url, headers={"authorization": key})

    def stream(self) -> Any:
        return list(self.client.chat(model="m", messages=ASK, stream=True))

    def close(self) -> None:
        self.client._client.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with echoing() as port:
        yield port


@pytest.mark.parametrize("kind", [*KINDS, Lines])
def test_an_error_in_the_bytes_of_the_first_content_is_told_with_the_history(
    port: int, kind: type[Sdk]
) -> None:
    sdk = kind(f"http://127.0.0.1:{port}/error-after-content", "sk-test")
    wrap(sdk.client, retry=Retry(attempts=1))
    with pytest.raises(BROKEN) as raised:
        sdk.run(sdk.stream)
    sdk.close()
    outcome = outcome_of(raised.value)
    assert outcome is not None
    [attempt] = outcome.attempts
    assert (attempt.verdict, attempt.kind) == ("interrupted", "server_error")
    cause = raised.value.__cause__
    assert isinstance(cause, StreamInterrupted)
    assert cause.partial.text


def test_what_stood_before_the_error_is_delivered(port: int) -> None:
    url = f"http://127.0.0.1:{port}/error-after-content"
    pieces: list[str] = []
    with wrap(openai.OpenAI(api_key="sk-test", base_url=url)) as client:

        def read() -> None:
            for chunk in client.chat.completions.create(model="m", messages=ASK, stream=True):
                pieces.extend(choice.delta.content or "" for choice in chunk.choices)

        with pytest.raises(openai.APIError):
            read()
    assert "Where is my parcel?" in "".join(pieces)
