"""A button that stops an answer: a stream is closed by another task or thread than the one that is reading it."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import openai
import pytest

from adopted_clients import ASK
from resilient_ai import Retry, Timeouts, outcome_of, wrap
from resilient_ai.runtime.session import Session

TEXT = (
    b"data: "
    + json.dumps(
        {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}],
        }
    ).encode()
    + b"\n\n"
)
ENDS = {"read ahead of the engine": b"\n", "read by the engine": b"\r\n"}


class Blocking(httpx2.SyncByteStream):
    """Says something again and again, and then nothing until it is closed."""

    def __init__(self, piece: bytes, *, breaks: bool) -> None:
        self._piece = piece
        self._breaks = breaks
        self.waits = threading.Event()
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield from [self._piece] * 4
        self.waits.set()
        assert self.closed.wait(20)
        if self._breaks:
            raise httpx2.ReadError("closed")

    def close(self) -> None:
        self.closed.set()


class Asynchronous(httpx2.AsyncByteStream):
    """As `Blocking`."""

    def __init__(self, piece: bytes, *, breaks: bool) -> None:
        self._piece = piece
        self._breaks = breaks
        self.waits = asyncio.Event()
        self.closed = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(4):
            yield self._piece
        self.waits.set()
        await self.closed.wait()
        if self._breaks:
            raise httpx2.ReadError("closed")

    async def aclose(self) -> None:
        self.closed.set()


def _http(body: Any, kind: Any) -> Any:
    answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=body)
    return kind(transport=httpx2.MockTransport(lambda _: answer))


def _ask(client: Any) -> Any:
    wrapped = wrap(client, retry=Retry(attempts=1))
    return wrapped.chat.completions.create(model="m", messages=ASK, stream=True)


def _judge(met: BaseException | None, stream: Any, *, breaks: bool) -> None:
    if breaks:
        assert isinstance(met, openai.APIConnectionError)
        assert isinstance(met.__cause__, httpx2.ReadError)
    else:
        assert met is None or isinstance(met, openai.APIConnectionError)
    outcome = outcome_of(stream)
    assert outcome is not None
    [attempt] = outcome.attempts
    assert attempt.verdict == "abandoned"


@pytest.mark.parametrize("breaks", [True, False], ids=["breaks", "ends"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_task_that_reads_a_stream_meets_its_end_when_another_closes_it(end: bytes, *, breaks: bool) -> None:
    async def main() -> None:
        body = Asynchronous(TEXT.replace(b"\n", end), breaks=breaks)
        stream: Any = await _ask(openai.AsyncOpenAI(api_key="k", http_client=_http(body, httpx2.AsyncClient)))

        async def read() -> None:
            async for _ in stream:
                pass

        reading = asyncio.create_task(read())
        await body.waits.wait()
        await stream.close()
        [met] = await asyncio.gather(reading, return_exceptions=True)
        _judge(met, stream, breaks=breaks)

    asyncio.run(main())


@pytest.mark.parametrize("breaks", [True, False], ids=["breaks", "ends"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_thread_that_reads_a_stream_meets_its_end_when_another_closes_it(
    end: bytes, *, breaks: bool
) -> None:
    body = Blocking(TEXT.replace(b"\n", end), breaks=breaks)
    stream: Any = _ask(openai.OpenAI(api_key="k", http_client=_http(body, httpx2.Client)))
    met: list[BaseException | None] = []

    def read() -> None:
        try:
            for _ in stream:
                pass
            met.append(None)
        except Exception as error:  # noqa: BLE001 - judged below
            met.append(error)

    reading = threading.Thread(target=read)
    reading.start()
    assert body.waits.wait(20)
    stream.close()
    reading.join(20)
    _judge(met[0], stream, breaks=breaks)


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("how", ["closed elsewhere", "no first content"])
def test_a_task_that_ends_with_what_a_stream_raised_is_no_ring_that_waits_for_the_collector(
    end: bytes, how: str
) -> None:
    async def main() -> None:
        body = Asynchronous(
            b": ping\n\n" if how == "no first content" else TEXT.replace(b"\n", end), breaks=True
        )
        client = wrap(
            openai.AsyncOpenAI(api_key="k", http_client=_http(body, httpx2.AsyncClient)),
            retry=Retry(attempts=1),
            timeouts=Timeouts(first_token=0.05),
        )
        opened: list[Any] = []

        async def read() -> None:
            opened.append(await client.chat.completions.create(model="m", messages=ASK, stream=True))
            async for _ in opened[0]:
                pass

        async def closes() -> None:
            await body.waits.wait()
            if opened:
                await opened.pop().close()

        gc.collect()
        others = _sessions()
        gc.disable()
        try:
            reading = asyncio.create_task(read())
            await closes()
            await asyncio.wait([reading])
            assert isinstance(reading.exception(), openai.APIConnectionError)
            del reading
            # The loop lets go of what it has run, and of generators, in its next turns.
            await asyncio.get_running_loop().shutdown_asyncgens()
            assert _sessions() <= others
        finally:
            gc.enable()

    asyncio.run(main())


def _sessions() -> set[int]:
    """Those that live in this process, other tests' among them."""
    return {id(each) for each in gc.get_objects() if type(each) is Session}
