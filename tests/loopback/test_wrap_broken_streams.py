"""A stream that breaks behind its first content, in the very bytes that brought it: the wrapper tells of it, before the SDK stumbles over them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import httpx2
import ollama
import openai
import pytest
from botocore.exceptions import EventStreamError

from adopted_clients import ASK, KINDS, Sdk
from echoing_server import echoing
from resilient_ai import Retry, StreamInterrupted, Timeouts, outcome_of, wrap
from resilient_ai.testing import ManualClock

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


# --- a stream that goes on and says nothing ---------------------------------------------------------------------------


def event(**delta: str) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    chunk = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body in either colour: pieces, each after so many seconds. Keeps the timeout of reads as the transports of httpx do."""

    def __init__(self, clock: ManualClock, pieces: list[tuple[float, bytes]]) -> None:
        self._clock = clock
        self._pieces = pieces
        self.request: Any = None

    def __iter__(self) -> Iterator[bytes]:
        most = self.request.extensions["timeout"].get("read")  # asked once for all reads of a body
        for seconds, piece in self._pieces:
            self._clock.advance(min(seconds, most))
            if seconds > most:
                raise httpx2.ReadTimeout("nothing came", request=self.request)
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def streamed(clock: ManualClock, body: Body, taken: Callable[[], None], *, blocking: bool) -> str:
    """The text of a stream whose caller does what `taken` does with every piece."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        body.request = request
        return httpx2.Response(200, stream=body)

    transport = httpx2.MockTransport(answer)
    policy: Any = {
        "clock": clock,
        "timeouts": Timeouts(first_token=20, idle=30, attempt=5000),
        "deadline": 9000,
        "retry": Retry(attempts=1),
    }
    pieces: list[str] = []

    def take(chunk: Any) -> None:
        pieces.append(chunk.choices[0].delta.content or "")
        taken()

    async def aread() -> None:
        client = wrap(openai.AsyncOpenAI(api_key="k", http_client=httpx2.AsyncClient(transport=transport)), **policy)  # fmt: skip
        async for chunk in await client.chat.completions.create(model="m", messages=ASK, stream=True):
            take(chunk)

    if blocking:
        client = wrap(openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=transport)), **policy)
        for chunk in client.chat.completions.create(model="m", messages=ASK, stream=True):
            take(chunk)
    else:
        asyncio.run(aread())
    return "".join(pieces)


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("nothing", [b": ping\n\n", event()], ids=["pings", "events without content"])
def test_events_without_content_keep_no_stream_alive(nothing: bytes, *, blocking: bool) -> None:
    clock = ManualClock()
    body = Body(clock, [(10.0, event(content="It is")), *[(10.0, nothing)] * 50])
    with pytest.raises(openai.APITimeoutError) as raised:
        streamed(clock, body, lambda: None, blocking=blocking)
    assert isinstance(raised.value.__cause__, StreamInterrupted)
    assert clock.now() == 50.0  # the first of them that is later than 30 s after the content


@pytest.mark.parametrize("blocking", [True, False])
def test_a_caller_who_is_slow_with_events_without_content_is_not_taken_for_a_dead_stream(
    *,
    blocking: bool,
) -> None:
    clock = ManualClock()
    said = [event(content="It "), event(), event(), event(content="is."), b"data: [DONE]\n\n"]
    body = Body(clock, [(10.0, piece) for piece in said])
    assert streamed(clock, body, lambda: clock.advance(100.0), blocking=blocking) == "It is."


@pytest.mark.parametrize("blocking", [True, False])
def test_what_follows_the_first_content_has_more_time_than_that_had(*, blocking: bool) -> None:
    clock = ManualClock()
    body = Body(
        clock, [(15.0, event(content="It ")), (25.0, event(content="is.")), (25.0, b"data: [DONE]\n\n")]
    )
    assert streamed(clock, body, lambda: None, blocking=blocking) == "It is."
