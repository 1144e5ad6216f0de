"""What a wrapped client hands on of its own provider is the provider's own: the response, its body, its time, its connection, its errors."""

from __future__ import annotations

import asyncio
import gc
import inspect
import re
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import anthropic
import groq
import httpx
import httpx2
import openai
import pytest
import together

from resilient_ai import Breaker, outcome_of, wrap
from resilient_ai.adopt.delivery import Delivery
from resilient_ai.testing import FaultServer

MESSAGES: Final = [{"role": "user", "content": "Where is my parcel?"}]


@dataclass(frozen=True)
class Sdk:
    """An SDK in one colour, and how it is asked."""

    module: Any
    kind: str
    http: Any
    """The HTTP library it sends by."""

    @property
    def blocking(self) -> bool:
        return not self.kind.startswith("Async")

    def client(
        self, server: FaultServer, session: str, fault: str = "none", *, tls: bool = False, **options: Any
    ) -> Any:
        """One that nobody has wrapped."""
        dialect: Any = "anthropic" if self.module is anthropic else "openai"
        base = server.url(fault, dialect=dialect, session=session, tls=tls)
        if tls:
            kind = self.http.Client if self.blocking else self.http.AsyncClient
            options["http_client"] = kind(verify=server.client_tls())
        if self.module is groq:
            base = base.removesuffix("/v1").removesuffix("/openai")
        return getattr(self.module, self.kind)(api_key="sk-test", base_url=base, **options)

    def http_client(self, hook: Callable[[Any], Any]) -> Any:
        """An HTTP client that shows each response to `hook`."""
        if self.blocking:
            return self.http.Client(event_hooks={"response": [hook]})

        async def ahook(response: Any) -> None:
            told = hook(response)
            if inspect.isawaitable(told):
                await told

        return self.http.AsyncClient(event_hooks={"response": [ahook]})

    def ask(self, client: Any, **more: Any) -> Any:
        """Asks for an answer; to be awaited in the asynchronous colour."""
        if self.module is anthropic:
            return client.messages.create(model="m", max_tokens=100, messages=MESSAGES, **more)
        return client.chat.completions.create(model="m", messages=MESSAGES, **more)


def library(module: Any) -> Any:
    """The HTTP library `module` is built on."""
    base = module.OpenAI if module is openai else getattr(module, module.__name__.capitalize())
    return httpx2 if "httpx2" in inspect.getsource(inspect.getmodule(base.__mro__[1])) else httpx  # type: ignore[arg-type]


SDKS: Final = [
    pytest.param(Sdk(module, colour + kind, library(module)), id=colour + kind)
    for module, kind in (
        (openai, "OpenAI"),
        (anthropic, "Anthropic"),
        (groq, "Groq"),
        (together, "Together"),
    )
    for colour in ("", "Async")
]


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)


async def of(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def read(stream: Any) -> list[Any]:
    return [item async for item in stream] if hasattr(stream, "__aiter__") else list(stream)


async def closed(client: Any) -> None:
    await of(client.close())


class Traced(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that is traced as anthropic's SDK does it: a stream tells what stands here of every event."""

    def __init__(self, below: Any, told: list[str]) -> None:
        self._below = below
        self.stream_observer = self
        self._told = told

    def begin(self) -> None:
        self._told.append("begin")

    def item(self, item: object) -> None:
        self._told.append(type(item).__name__)

    def end(self, how: str, *_: object) -> None:
        self._told.append(how)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._below

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._below:
            yield piece

    def close(self) -> None:
        self._below.close()

    async def aclose(self) -> None:
        await self._below.aclose()


@pytest.mark.parametrize("kind", ["Anthropic", "AsyncAnthropic"])
def test_what_traces_a_stream_of_anthropic_is_told_of_every_event(
    kind: str, server: FaultServer, session: str
) -> None:
    sdk = Sdk(anthropic, kind, httpx2)

    async def told_of(wrapped: bool) -> list[str]:  # noqa: FBT001 - once each
        told: list[str] = []

        def hook(response: Any) -> None:
            response.stream = Traced(response.stream, told)

        client = sdk.client(server, session, http_client=sdk.http_client(hook))
        stream = await of(sdk.ask(wrap(client) if wrapped else client, stream=True))
        await read(stream)
        await closed(client)
        return told

    bare = asyncio.run(told_of(wrapped=False))
    assert len(bare) > 3
    assert asyncio.run(told_of(wrapped=True)) == bare


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("deadline", [None, 30.0])
def test_a_stream_is_read_from_the_providers_own_response(
    sdk: Sdk, deadline: float | None, server: FaultServer, session: str
) -> None:
    shown: list[Any] = []

    async def main() -> None:
        client = wrap(
            sdk.client(server, session, http_client=sdk.http_client(shown.append)), deadline=deadline
        )
        stream = await of(sdk.ask(client, stream=True))
        [response] = shown
        assert stream.response is response
        assert not response.is_closed
        assert response.http_version == "HTTP/1.1"
        assert await read(stream)
        await of(stream.close())
        assert response.is_closed
        assert response.is_stream_consumed
        assert response.elapsed.total_seconds() > 0
        [attempt] = outcome_of(stream).attempts  # type: ignore[union-attr]
        assert attempt.status == 200
        assert attempt.request_id == response.headers.get("request-id", response.headers.get("x-request-id"))
        await closed(client)

    asyncio.run(main())


@pytest.mark.parametrize("sdk", SDKS)
def test_a_body_the_caller_reads_is_still_to_be_read_although_it_was_judged(
    sdk: Sdk, server: FaultServer, session: str
) -> None:
    shown: list[Any] = []

    async def main() -> None:
        client = wrap(
            sdk.client(server, session, "gzip", http_client=sdk.http_client(shown.append)), deadline=30.0
        )
        resource = client.messages if sdk.module is anthropic else client.chat.completions
        asked: dict[str, Any] = {"max_tokens": 100} if sdk.module is anthropic else {}
        manager = resource.with_streaming_response.create(model="m", messages=MESSAGES, **asked)
        entered = await of(manager.__enter__() if sdk.blocking else manager.__aenter__())
        [response] = shown
        assert entered.http_response is response
        assert not response.is_closed
        assert not response.is_stream_consumed
        assert response.headers["content-encoding"] == "gzip"
        with pytest.raises(sdk.http.ResponseNotRead):
            response.content  # noqa: B018 - asking is what raises
        assert (await of(entered.json()))["model"]
        assert response.is_closed
        assert response.elapsed.total_seconds() > 0
        await of(manager.__exit__(None, None, None) if sdk.blocking else manager.__aexit__(None, None, None))
        await closed(client)

    asyncio.run(main())


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("tls", [False, True])
def test_streams_that_are_read_to_their_end_share_a_connection_where_the_sdk_lets_them(
    sdk: Sdk,
    tls: bool,  # noqa: FBT001 - a parameter of the test
    server: FaultServer,
    session: str,
) -> None:
    async def connections(client: Any, key: str) -> int:
        for _ in range(3):
            assert await read(await of(sdk.ask(client, stream=True)))
        await closed(client)
        return len({seen.connection for seen in server.wait_for_requests(key, count=3)})

    bare = asyncio.run(connections(sdk.client(server, f"{session}-bare", tls=tls), f"{session}-bare"))
    wrapped = asyncio.run(connections(wrap(sdk.client(server, session, tls=tls)), session))
    assert wrapped == bare


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("tls", [False, True])
def test_a_server_that_does_not_end_behind_the_end_of_the_answer_is_not_waited_for(
    sdk: Sdk,
    tls: bool,  # noqa: FBT001 - a parameter of the test
    server: FaultServer,
    session: str,
) -> None:
    async def main() -> None:
        client = wrap(sdk.client(server, session, "done-then-stall", tls=tls))
        assert await read(await of(sdk.ask(client, stream=True)))
        await asyncio.to_thread(server.wait_for_hang_up, session)
        await closed(client)

    asyncio.run(main())


@pytest.mark.parametrize("sdk", SDKS)
def test_a_compressed_stream_arrives_in_the_providers_own_response(
    sdk: Sdk, server: FaultServer, session: str
) -> None:
    shown: list[Any] = []

    async def main() -> None:
        client = wrap(sdk.client(server, session, "gzip", http_client=sdk.http_client(shown.append)))
        stream = await of(sdk.ask(client, stream=True))
        assert stream.response is shown[0]
        assert await read(stream)
        await closed(client)

    asyncio.run(main())


@pytest.mark.parametrize("sdk", SDKS)
def test_a_stream_that_a_hook_has_read_is_judged_before_it_is_handed_on(
    sdk: Sdk, server: FaultServer, session: str
) -> None:
    shown: list[Any] = []

    def hook(response: Any) -> Any:
        shown.append(response)
        return response.read() if sdk.blocking else response.aread()

    async def main() -> None:
        client = wrap(
            sdk.client(server, session, http_client=sdk.http_client(hook)), breaker=Breaker(enabled=False)
        )
        stream = await of(sdk.ask(client, stream=True))
        assert stream.response is shown[0]
        assert await read(stream)
        await closed(client)
        client = wrap(sdk.client(server, session, "truncated-clean", http_client=sdk.http_client(hook)))
        with pytest.raises(sdk.module.APIConnectionError) as raised:
            await of(sdk.ask(client, stream=True))
        assert raised.value.__cause__.partial.text
        await closed(client)

    asyncio.run(main())


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("fault", ["error-first-event", "error-mid-stream"])
def test_an_error_the_provider_reports_in_its_stream_is_of_the_class_the_sdk_raises(
    sdk: Sdk, fault: str, server: FaultServer, session: str
) -> None:
    async def raised(client: Any) -> Any:
        try:
            with pytest.raises(sdk.module.APIError) as caught:
                await read(await of(sdk.ask(client, stream=True)))
        finally:
            await closed(client)
        return caught.value

    bare = asyncio.run(raised(sdk.client(server, f"{session}-bare", fault, max_retries=0)))
    wrapped = asyncio.run(raised(wrap(sdk.client(server, session, fault, max_retries=0))))
    assert type(wrapped) is type(bare)
    assert wrapped.body == bare.body
    assert getattr(wrapped, "status_code", None) == getattr(bare, "status_code", None)
    assert outcome_of(wrapped).attempts  # type: ignore[union-attr]


@pytest.mark.parametrize("sdk", SDKS)
def test_a_stream_that_is_closed_early_closes_its_connection(
    sdk: Sdk, server: FaultServer, session: str
) -> None:
    async def main() -> None:
        client = wrap(sdk.client(server, session, "slow-drip:0.05"))
        stream = await of(sdk.ask(client, stream=True))
        await of(next(iter(stream)) if sdk.blocking else anext(aiter(stream)))
        await of(stream.close())
        assert stream.response.is_closed
        await asyncio.to_thread(server.wait_for_hang_up, session)
        await closed(client)

    asyncio.run(main())


@pytest.mark.parametrize("sdk", SDKS)
def test_a_stream_that_has_ended_keeps_nothing_of_its_call_until_a_collection(
    sdk: Sdk, server: FaultServer, session: str
) -> None:
    async def main() -> None:
        client = wrap(sdk.client(server, session))
        gc.collect()
        gc.disable()
        try:
            stream = await of(sdk.ask(client, stream=True))
            assert await read(stream)
            await of(stream.response.close() if sdk.blocking else stream.response.aclose())
            del stream
            # Generators that together leaves in the middle are ended by the loop, in its time.
            await asyncio.get_running_loop().shutdown_asyncgens()
            assert not any(type(each) is Delivery for each in gc.get_objects())
        finally:
            gc.enable()
        await closed(client)

    asyncio.run(main())


def test_a_stream_that_is_dropped_is_no_ring_that_waits_for_the_collector(
    server: FaultServer, session: str
) -> None:
    sdk = Sdk(anthropic, "Anthropic", httpx2)
    gc.collect()
    gc.disable()
    try:
        with wrap(sdk.client(server, session, "slow-drip:0.05")) as client:
            stream = sdk.ask(client, stream=True)
            response = weakref.ref(stream.response)
            next(stream)
            del stream
            assert response() is None
            server.wait_for_hang_up(session)
    finally:
        gc.enable()
