"""What an SDK does besides sending survives wrapping: keys it fetches, copies of its clients, middleware, streams nobody is to judge."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any, cast

import anthropic
import httpx2
import openai
import pytest
from anthropic import RetryableError
from anthropic.lib.credentials import AccessToken

from resilient_ai import Breaker, Limits, Retry, wrap
from resilient_ai.adopt import policy_of
from resilient_ai.core.events import AttemptFinished, CallFinished, Event
from resilient_ai.testing import FaultServer, ScriptedModel, ok

ASK: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Where is my parcel?"}],
}
QUICK: dict[str, Any] = {
    "retry": Retry(attempts=3, base=0.01, cap=0.02),
    "breaker": Breaker(consecutive=None),
}


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


class Asking:
    """Makes clients of one colour for one session of the fault server, and asks them."""

    def __init__(self, server: FaultServer, session: str, *, blocking: bool) -> None:
        self._server = server
        self._session = session
        self._blocking = blocking

    def client(self, fault: str, **options: Any) -> Any:
        """A client nobody has wrapped."""
        made: Any = anthropic.Anthropic if self._blocking else anthropic.AsyncAnthropic
        return made(base_url=self._server.url(fault, dialect="anthropic", session=self._session), **options)

    def middleware(self, look: Callable[[Any], Any]) -> Any:
        """A middleware that answers with what `look` makes of a request; where that is nothing, the provider does."""

        def handle(request: Any, call_next: Any) -> Any:
            answer = look(request)
            return call_next(request) if answer is None else answer

        async def ahandle(request: Any, call_next: Any) -> Any:
            answer = look(request)
            return await call_next(request) if answer is None else answer

        return handle if self._blocking else ahandle

    def asked(self, client: Any, **options: Any) -> Any:
        """The answer, or the events of a stream."""
        if self._blocking:
            with client:
                answer = client.messages.create(**ASK, **options)
                return list(answer) if options.get("stream") else answer
        return asyncio.run(self._aasked(client, options))

    async def _aasked(self, client: Any, options: dict[str, Any]) -> Any:
        async with client:
            answer = await client.messages.create(**ASK, **options)
            return [event async for event in answer] if options.get("stream") else answer


@pytest.fixture(params=[True, False], ids=["blocking", "async"])
def asking(request: pytest.FixtureRequest, server: FaultServer) -> Asking:
    session = re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)
    return Asking(server, session, blocking=request.param)


class Keys:
    """A source of keys, each good for as long as the provider takes it."""

    def __init__(self) -> None:
        self.fetched = 0

    def __call__(self, *, force_refresh: bool = False) -> AccessToken:
        del force_refresh
        self.fetched += 1
        return AccessToken(token=f"key-{self.fetched}")


def test_a_copy_keeps_the_source_of_the_keys_and_the_policy(asking: Asking) -> None:
    keys = Keys()
    client = wrap(asking.client("none", credentials=keys), **QUICK)
    copy = client.with_options(timeout=30)
    assert copy.credentials is keys
    assert copy.timeout == 30
    assert type(copy) is type(client)
    assert policy_of(copy) is policy_of(client)
    assert asking.asked(copy).content[0].type == "text"
    assert keys.fetched == 1


def test_a_copy_leaves_the_client_as_it_is(asking: Asking) -> None:
    client = wrap(asking.client("none", api_key="sk-test"), **QUICK)
    before = dict(client.__dict__)
    copy = client.copy(api_key="sk-other")
    assert (client.api_key, copy.api_key) == ("sk-test", "sk-other")
    assert client.__dict__ == before


def test_a_resource_that_copying_asks_for_leaves_the_client_usable(server: FaultServer) -> None:
    class Looking(anthropic.Anthropic):
        def copy(self, **options: Any) -> Any:
            assert self.messages  # made when it is first asked for, and kept
            return super().copy(**options)

    client: Any = wrap(Looking(api_key="sk-test", base_url=server.url("none", dialect="anthropic")), **QUICK)
    copy = client.copy(timeout=30)
    for each in (client, copy):
        assert each.messages.create(**ASK).content[0].type == "text"


def test_what_copying_looks_up_is_kept_by_the_client() -> None:
    class Placed(anthropic.Anthropic):
        def copy(self, **options: Any) -> Any:
            self.__dict__.setdefault("place", "looked up")
            self.__dict__.update(region=self.__dict__.get("region") or "derived")
            return super().copy(**options)

    client: Any = wrap(Placed(api_key="sk-test"), **QUICK)
    client.region = None
    client.copy()
    assert client.place == "looked up"
    assert client.region == "derived"


def test_a_refused_key_is_fetched_anew_once_and_nobody_is_alarmed(asking: Asking) -> None:
    keys = Keys()
    seen: list[Event] = []
    strict: dict[str, Any] = {**QUICK, "breaker": Breaker(consecutive=1)}
    client = wrap(
        asking.client("status:401~1", credentials=keys),
        **strict,
        observers=[seen.append],
    )
    assert asking.asked(client).content[0].type == "text"
    assert keys.fetched == 2
    kinds = [event.attempt.kind for event in seen if isinstance(event, AttemptFinished)]
    assert kinds == ["authentication", None]
    assert policy_of(client).health(ASK["model"]).models[0].breaker == "closed"


def test_a_key_that_is_refused_again_is_not_fetched_for_ever(asking: Asking) -> None:
    keys = Keys()
    client = wrap(asking.client("status:401", credentials=keys), **QUICK)
    with pytest.raises(anthropic.AuthenticationError):
        asking.asked(client)
    assert keys.fetched == 2


def test_a_middleware_that_answers_itself_ends_the_call_and_gives_its_place_back(asking: Asking) -> None:
    seen: list[Event] = []
    cached = {"cached": True}
    client = wrap(
        asking.client("none", api_key="sk-test", middleware=[asking.middleware(lambda _: cached)]),
        limits=Limits(concurrency=1, queue=0),
        observers=[seen.append],
    )
    for _ in range(2):
        assert asking.asked(client) is cached
    assert [type(event) for event in seen].count(CallFinished) == 2
    assert policy_of(client).places.active == 0


def test_what_a_middleware_has_retried_counts_as_attempts(asking: Asking) -> None:
    tried: list[int] = []

    def give_up(request: Any) -> None:
        tried.append(request.retries_taken)
        raise RetryableError("not now")

    middleware = [asking.middleware(give_up)]
    client = wrap(asking.client("none", api_key="sk-test", middleware=middleware), **QUICK)
    with pytest.raises(RetryableError) as raised:
        asking.asked(client)
    assert tried == [0, 1, 2]
    assert len(cast("Any", raised.value).attempts) == 3


def test_a_stream_refused_for_load_is_asked_for_again_in_the_loop_of_the_sdk(asking: Asking) -> None:
    tried: list[int] = []

    middleware = [asking.middleware(lambda request: tried.append(request.retries_taken))]
    client = wrap(asking.client("status:529~1", api_key="sk-test", middleware=middleware), **QUICK)
    assert asking.asked(client, stream=True)[-1].type == "message_stop"
    assert tried == [0, 1]


def test_a_stream_nobody_is_to_judge_ends_as_the_sdk_alone_ends_it(asking: Asking) -> None:
    seen: list[Event] = []
    client = wrap(
        asking.client("truncated-clean", api_key="sk-test"),
        **QUICK,
        verify_answers=False,
        observers=[seen.append],
    )
    events = asking.asked(client, stream=True)
    assert events
    assert events[-1].type != "message_stop"
    assert [type(event) for event in seen].count(CallFinished) == 1
    assert policy_of(client).places.active == 0


def chat(client: Any) -> Any:
    """The answer of a client of openai, of either colour."""
    answer = client.chat.completions.create(model="m", messages=ASK["messages"])
    return asyncio.run(answer) if asyncio.iscoroutine(answer) else answer


@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AsyncOpenAI], ids=["blocking", "async"])
def test_a_call_that_fails_before_it_is_sent_has_its_key_fetched_once(kind: Any) -> None:
    fetched: list[str] = []

    def key() -> str:
        fetched.append("key")
        return "sk-test"

    async def akey() -> str:
        return key()

    def refuse(*_: Any, **__: Any) -> Any:
        raise ValueError("this one is never built")

    broken: Any = type("Broken", (kind,), {"_build_request": refuse})
    client = wrap(broken(api_key=key if kind is openai.OpenAI else akey), **QUICK)
    with pytest.raises(ValueError, match="never built"):
        chat(client)
    assert fetched == ["key"]


@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AsyncOpenAI], ids=["blocking", "async"])
def test_a_connection_the_sdk_gives_up_at_once_is_given_up_and_the_fallback_asked(kind: Any) -> None:
    tried: list[int] = []

    def give_up(client: Any) -> Exception:
        tried.append(1)
        return openai.APIConnectionError(
            request=client._client.build_request("POST", "https://exchange.test")
        )

    class Blocking(openai.OpenAI):
        def _prepare_options(self, options: Any) -> Any:
            del options
            raise give_up(self)

    class Async(openai.AsyncOpenAI):
        async def _prepare_options(self, options: Any) -> Any:
            del options
            raise give_up(self)

    made = Blocking if kind is openai.OpenAI else Async
    with pytest.raises(openai.APIConnectionError):
        chat(wrap(made(api_key="sk-test", max_retries=20), breaker=QUICK["breaker"]))
    assert len(tried) == 1

    second = ScriptedModel([ok("On its way.")], name="second")
    answer = chat(wrap(made(api_key="sk-test"), **QUICK, fallback=second))
    assert answer.choices[0].message.content == "On its way."


@pytest.mark.parametrize("colour", ["blocking", "asynchronous"])
def test_every_page_of_a_list_is_asked_for_as_often_as_the_client_is_set_to(colour: str) -> None:
    asked: list[str | None] = []
    statuses = iter([503, 200, 503, 200, 503, 503])

    def serve(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.params.get("after"))
        file = {"id": f"file-{len(asked)}", "object": "file"}
        page = {"data": [file], "object": "list", "has_more": True}
        return httpx2.Response(next(statuses), headers={"retry-after-ms": "1"}, json=page)

    transport = httpx2.MockTransport(serve)
    options: dict[str, Any] = {"api_key": "k", "base_url": f"http://{colour}.test", "max_retries": 1}

    def read() -> None:
        with openai.OpenAI(http_client=httpx2.Client(transport=transport), **options) as client:
            for _ in wrap(client).files.list():
                pass

    async def read_later() -> None:
        async with openai.AsyncOpenAI(
            http_client=httpx2.AsyncClient(transport=transport), **options
        ) as client:
            async for _ in wrap(client).files.list():
                pass

    with pytest.raises(openai.InternalServerError):
        asyncio.run(read_later()) if colour == "asynchronous" else read()
    assert asked == [None, None, "file-2", "file-2", "file-4", "file-4"]
