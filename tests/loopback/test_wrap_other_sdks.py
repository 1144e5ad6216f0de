"""The SDKs that have no hooks, wrapped: mistralai, google-genai, cohere and ollama as they are installed, in both colours, whole and streamed."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import cohere
import cohere.core.api_error
import google.genai
import httpx
import httpx2
import mistralai.client
import mistralai.client.errors
import ollama
import pytest
from google.genai import errors as google_errors

from resilient_ai import FailureKind, Retry, Timeouts, outcome_of, unwrap, wrap
from resilient_ai.adopt import policy_of
from resilient_ai.errors import ConfigError
from resilient_ai.messages import Outcome, ToolCall
from resilient_ai.testing import FaultServer, ScriptedModel, ok
from resilient_ai.testing.fault_server.dialects import DialectName

pytestmark = pytest.mark.filterwarnings(
    # mistralai imports jsonpath at its first call, which asks the standard library for names that Python 3.14 drops.
    r"ignore:ast\.\w+ is deprecated:DeprecationWarning"
)

ASK: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]
QUICK = Retry(attempts=2, base=0.01, cap=0.02)
"""Quick retries: what is looked at here is who is asked, not when."""


@dataclass(frozen=True)
class Sdk:
    """How one SDK is made, asked and read. An asynchronous function stands beside each blocking one."""

    name: str
    dialect: DialectName
    made: Callable[[str, str], Any]
    amade: Callable[[str, str], Any]
    ask: Callable[[Any], Any]
    aask: Callable[[Any], Awaitable[Any]]
    text: Callable[[Any], str]
    stream: Callable[[Any], Iterator[Any]]
    astream: Callable[[Any], Awaitable[AsyncIterator[Any]] | AsyncIterator[Any]]
    piece: Callable[[Any], str]
    close: Callable[[Any], Any]
    aclose: Callable[[Any], Awaitable[Any]]
    refusal: type[Exception]
    answer: type


def _mistral(url: str, key: str) -> Any:
    return mistralai.client.Mistral(api_key=key, server_url=url.removesuffix("/v1"))


def _google(url: str, key: str) -> Any:
    return google.genai.Client(api_key=key, http_options={"base_url": url.removesuffix("/v1beta")})


async def _aclose_google(client: Any) -> None:
    await client.aio.aclose()
    client.close()


def _text_of_cohere(answer: Any) -> str:
    return "".join(block.text for block in answer.message.content if block.type == "text")


def _piece_of_cohere(event: Any) -> str:
    return event.delta.message.content.text or "" if event.type == "content-delta" else ""


SDKS = [
    Sdk(
        "mistral",
        "openai",
        _mistral,
        _mistral,
        lambda client: client.chat.complete(model="m", messages=ASK),
        lambda client: client.chat.complete_async(model="m", messages=ASK),
        lambda answer: str(answer.choices[0].message.content),
        lambda client: client.chat.stream(model="m", messages=ASK),
        lambda client: client.chat.stream_async(model="m", messages=ASK),
        lambda event: str(event.data.choices[0].delta.content or "") if event.data.choices else "",
        lambda client: client.__exit__(None, None, None),
        lambda client: client.__aexit__(None, None, None),
        mistralai.client.errors.SDKError,
        mistralai.client.models.ChatCompletionResponse,
    ),
    Sdk(
        "google",
        "gemini",
        _google,
        _google,
        lambda client: client.models.generate_content(model="gemini-3-flash", contents="Where?"),
        lambda client: client.aio.models.generate_content(model="gemini-3-flash", contents="Where?"),
        lambda answer: str(answer.text),
        lambda client: client.models.generate_content_stream(model="gemini-3-flash", contents="Where?"),
        lambda client: client.aio.models.generate_content_stream(model="gemini-3-flash", contents="Where?"),
        lambda piece: str(piece.text or ""),
        lambda client: client.close(),
        _aclose_google,
        google_errors.APIError,
        google.genai.types.GenerateContentResponse,
    ),
    Sdk(
        "cohere",
        "cohere",
        lambda url, key: cohere.ClientV2(api_key=key, base_url=url),
        lambda url, key: cohere.AsyncClientV2(api_key=key, base_url=url),
        lambda client: client.chat(model="command-a", messages=ASK),
        lambda client: client.chat(model="command-a", messages=ASK),
        _text_of_cohere,
        lambda client: client.chat_stream(model="command-a", messages=ASK),
        lambda client: client.chat_stream(model="command-a", messages=ASK),
        _piece_of_cohere,
        lambda client: client._client_wrapper.httpx_client.httpx_client.close(),
        lambda client: client._client_wrapper.httpx_client.httpx_client.aclose(),
        cohere.core.api_error.ApiError,
        cohere.V2ChatResponse,
    ),
    Sdk(
        "ollama",
        "ollama",
        lambda url, key: ollama.Client(host=url, headers={"authorization": key}),
        lambda url, key: ollama.AsyncClient(host=url, headers={"authorization": key}),
        lambda client: client.chat(model="m", messages=ASK),
        lambda client: client.chat(model="m", messages=ASK),
        lambda answer: str(answer.message.content),
        lambda client: client.chat(model="m", messages=ASK, stream=True),
        lambda client: client.chat(model="m", messages=ASK, stream=True),
        lambda part: str(part.message.content or ""),
        lambda client: client._client.close(),
        lambda client: client._client.aclose(),
        ollama.ResponseError,
        ollama.ChatResponse,
    ),
]


@dataclass
class Heard:
    """What came of one call."""

    text: str = ""
    kind: type | None = None
    outcome: Outcome | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class Way:
    """One SDK in one colour, whole or streamed."""

    sdk: Sdk
    blocking: bool
    streamed: bool

    def __str__(self) -> str:
        return (
            f"{self.sdk.name}-{'sync' if self.blocking else 'async'}-{'stream' if self.streamed else 'whole'}"
        )

    def meet(self, url: str, key: str, **policy: Any) -> Heard:
        """Makes a client, wraps it, asks once and closes it."""
        if not self.blocking:
            return asyncio.run(self._ameet(url, key, policy))
        client = wrap(self.sdk.made(url, key), **policy)
        try:
            return self._asked(client)
        finally:
            self.sdk.close(client)

    def _asked(self, client: Any) -> Heard:
        heard = Heard()
        try:
            if self.streamed:
                stream = self.sdk.stream(client)
                for item in stream:
                    heard.text += self.sdk.piece(item)
                heard.outcome = outcome_of(stream)
            else:
                answer = self.sdk.ask(client)
                heard.text, heard.kind = self.sdk.text(answer), type(answer)
                heard.outcome = outcome_of(answer)
        except Exception as error:  # noqa: BLE001 - whatever came of it is looked at
            heard.error = error
        return heard

    async def _ameet(self, url: str, key: str, policy: dict[str, Any]) -> Heard:
        client = wrap(self.sdk.amade(url, key), **policy)
        heard = Heard()
        try:
            if self.streamed:
                opened: Any = self.sdk.astream(client)
                stream = await opened if hasattr(opened, "__await__") else opened
                async for item in stream:
                    heard.text += self.sdk.piece(item)
                heard.outcome = outcome_of(stream)
            else:
                answer = await self.sdk.aask(client)
                heard.text, heard.kind = self.sdk.text(answer), type(answer)
                heard.outcome = outcome_of(answer)
        except Exception as error:  # noqa: BLE001 - whatever came of it is looked at
            heard.error = error
        finally:
            await self.sdk.aclose(client)
        return heard


WAYS = [
    Way(sdk, blocking, streamed) for sdk in SDKS for blocking in (True, False) for streamed in (False, True)
]
WHOLE = [way for way in WAYS if not way.streamed]
STREAMED = [way for way in WAYS if way.streamed]
every_way = pytest.mark.parametrize("way", WAYS, ids=str)


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)


def second() -> ScriptedModel:
    return ScriptedModel([ok("On its way.")], name="second", repeat=True)


def url_of(server: FaultServer, way: Way, fault: str, session: str) -> str:
    return server.url(fault, dialect=way.sdk.dialect, session=session)


@every_way
def test_the_providers_answer_comes_in_the_sdks_own_types_after_a_retry(
    server: FaultServer, session: str, way: Way
) -> None:
    heard = way.meet(url_of(server, way, "status:503~1", session), session, retry=QUICK, fallback=[second()])
    assert heard.error is None
    assert heard.text == server.text
    assert way.streamed or heard.kind is way.sdk.answer
    assert heard.outcome is not None
    assert [attempt.verdict for attempt in heard.outcome.attempts] == ["retry", "answered"]
    assert len(server.requests(session)) == 2


@every_way
@pytest.mark.parametrize("fault", ["status:503", "status:401", "html-200", "connect-refused", "error-in-200"])
def test_a_fallback_answers_in_the_sdks_own_types(
    server: FaultServer, session: str, way: Way, fault: str
) -> None:
    heard = way.meet(url_of(server, way, fault, session), session, retry=QUICK, fallback=[second()])
    assert heard.error is None
    assert heard.text == "On its way."
    assert way.streamed or heard.kind is way.sdk.answer
    assert heard.outcome is not None
    assert heard.outcome.served_by == "second"
    assert heard.outcome.degraded


@every_way
def test_a_refusal_is_the_sdks_own_exception_with_its_history(
    server: FaultServer, session: str, way: Way
) -> None:
    heard = way.meet(url_of(server, way, "status:429", session), session, retry=QUICK)
    assert isinstance(heard.error, way.sdk.refusal)
    assert len(heard.error.attempts) == 2  # type: ignore[attr-defined]
    assert "resilient_ai tried:" in "".join(heard.error.__notes__)
    outcome = outcome_of(heard.error)
    assert outcome is not None
    assert [attempt.status for attempt in outcome.attempts] == [429, 429]
    assert len(server.requests(session)) == 2


@every_way
def test_a_connection_that_is_refused_is_told_once(server: FaultServer, session: str, way: Way) -> None:
    heard = way.meet(url_of(server, way, "connect-refused", session), session, retry=QUICK)
    assert isinstance(heard.error, (httpx.ConnectError, httpx2.ConnectError, ConnectionError))
    outcome = outcome_of(heard.error)
    assert outcome is not None
    assert len(outcome.attempts) == 2
    assert len(heard.error.__notes__) == 1


@pytest.mark.parametrize("way", WHOLE, ids=str)
@pytest.mark.parametrize("fault", ["html-200", "empty-200", "json-array", "error-in-200", "wrong-types"])
def test_an_answer_that_is_none_is_a_failure_with_a_kind(
    server: FaultServer, session: str, way: Way, fault: str
) -> None:
    heard = way.meet(url_of(server, way, fault, session), session, retry=Retry(attempts=1))
    assert isinstance(heard.error, way.sdk.refusal)
    outcome = outcome_of(heard.error)
    assert outcome is not None
    assert outcome.attempts[0].kind is not None


@pytest.mark.parametrize("way", STREAMED, ids=str)
def test_a_cleanly_truncated_stream_raises_after_what_came(
    server: FaultServer, session: str, way: Way
) -> None:
    url = url_of(server, way, "truncated-clean", session)
    heard = way.meet(url, session, retry=QUICK, fallback=[second()])
    assert heard.text
    assert server.text.startswith(heard.text)
    assert isinstance(heard.error, (httpx.TransportError, httpx2.TransportError))
    assert heard.error.__cause__.partial.text == heard.text  # type: ignore[union-attr]
    outcome = outcome_of(heard.error)
    assert outcome is not None
    assert outcome.attempts[-1].verdict == "interrupted"


@pytest.mark.parametrize("way", STREAMED, ids=str)
def test_a_server_that_does_not_end_behind_the_end_of_the_answer_is_not_waited_for(
    server: FaultServer, session: str, way: Way
) -> None:
    heard = way.meet(url_of(server, way, "done-then-stall", session), session)
    assert heard.error is None
    assert heard.text == server.text


@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: str(sdk.name))
def test_closing_a_stream_early_reaches_the_source(server: FaultServer, session: str, sdk: Sdk) -> None:
    url = server.url("infinite-stream", dialect=sdk.dialect, session=session)
    client = wrap(sdk.made(url, session), retry=QUICK)
    stream: Any = sdk.stream(client)
    assert any(sdk.piece(item) for item in stream)
    stream.close()
    _abandoned(outcome_of(stream))
    sdk.close(client)

    async def main() -> None:
        client = wrap(sdk.amade(url, session), retry=QUICK)
        opened: Any = sdk.astream(client)
        stream = await opened if hasattr(opened, "__await__") else opened
        async for item in stream:
            if sdk.piece(item):
                break
        await (stream.close if hasattr(stream, "close") else stream.aclose)()
        _abandoned(outcome_of(stream))
        await sdk.aclose(client)

    asyncio.run(main())


def _abandoned(outcome: Outcome | None) -> None:
    assert outcome is not None
    assert [attempt.verdict for attempt in outcome.attempts] == ["abandoned"]


@every_way
@pytest.mark.parametrize("fault", ["stall-no-response", "stall-mid-stream"])
def test_a_black_hole_ends_at_the_deadline(server: FaultServer, session: str, way: Way, fault: str) -> None:
    heard = way.meet(url_of(server, way, fault, session), session, retry=QUICK, deadline=0.4)
    assert isinstance(heard.error, (httpx.TimeoutException, httpx2.TimeoutException))
    outcome = outcome_of(heard.error)
    assert outcome is not None
    assert outcome.seconds < 10  # the server holds its answer back for longer


@every_way
def test_an_attempt_whose_time_is_up_is_the_librarys_own_timeout_in_both_colours(
    server: FaultServer, session: str, way: Way
) -> None:
    clocks = Timeouts(connect=0.2, first_token=0.2, idle=0.2, attempt=0.3)
    url = url_of(server, way, "stall-no-response", session)
    heard = way.meet(url, session, retry=Retry(attempts=1), timeouts=clocks)
    assert isinstance(heard.error, (httpx.TimeoutException, httpx2.TimeoutException))
    outcome = outcome_of(heard.error)
    assert outcome is not None
    assert [attempt.kind for attempt in outcome.attempts] == [FailureKind.TIMEOUT]


def test_a_stream_of_lines_reaches_the_caller_as_the_provider_sent_it(
    server: FaultServer, session: str
) -> None:
    client: Any = ollama.Client(host=server.url("none", dialect="ollama", session=session))
    bare = list(client.chat(model="m", messages=ASK, stream=True))
    heard = list(wrap(client).chat(model="m", messages=ASK, stream=True))
    client._client.close()
    assert heard == bare


@every_way
def test_tools_are_called_by_a_fallback_in_the_sdks_own_types(
    server: FaultServer, session: str, way: Way
) -> None:
    url = url_of(server, way, "status:503", session)
    call = ToolCall("call_1", "look", '{"city": "Łódź"}')
    caller = ScriptedModel([ok("", tool_calls=[call], finish_reason="tool_calls")], repeat=True)
    seen: list[Any] = []
    read = {"mistral": _mistral_call, "google": _google_call, "cohere": _cohere_call, "ollama": _ollama_call}

    def kept(one: Any) -> str:
        seen.append(one)
        return ""

    changed = replace(way, sdk=replace(way.sdk, text=kept, piece=kept))
    heard = changed.meet(url, session, retry=QUICK, fallback=[caller])
    assert heard.error is None
    name, arguments = read[way.sdk.name](seen, way.streamed)
    assert name == "look"
    assert arguments == {"city": "Łódź"}


def _loaded(arguments: Any) -> Any:
    return json.loads(arguments) if isinstance(arguments, str) else dict(arguments)


def _mistral_call(seen: list[Any], streamed: bool) -> tuple[str, Any]:  # noqa: FBT001 - a switch of the tests' own
    turns = [
        (one.data.choices[0].delta if one.data.choices else None) if streamed else one.choices[0].message
        for one in seen
    ]
    calls = [call for turn in turns if turn is not None for call in turn.tool_calls or ()]
    return calls[0].function.name, _loaded("".join(call.function.arguments for call in calls))


def _google_call(seen: list[Any], streamed: bool) -> tuple[str, Any]:  # noqa: FBT001 - as above
    del streamed
    call = next(call for one in seen for call in one.function_calls or ())
    return call.name, _loaded(call.args)


def _cohere_call(seen: list[Any], streamed: bool) -> tuple[str, Any]:  # noqa: FBT001 - as above
    if not streamed:
        call = seen[0].message.tool_calls[0]
        assert type(call) is cohere.ToolCallV2
        assert call.function is not None
        return str(call.function.name), _loaded(call.function.arguments)
    start = next(event for event in seen if event.type == "tool-call-start")
    pieces = [
        event.delta.message.tool_calls.function.arguments for event in seen if event.type == "tool-call-delta"
    ]
    return start.delta.message.tool_calls.function.name, _loaded("".join(pieces))


def _ollama_call(seen: list[Any], streamed: bool) -> tuple[str, Any]:  # noqa: FBT001 - as above
    del streamed
    call = next(call for one in seen for call in one.message.tool_calls or ())
    return call.function.name, _loaded(call.function.arguments)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
TOOLS: list[Any] = [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]
CALL: Any = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"city": "Oslo"}'}}


def _ask_mistral(client: Any) -> Any:
    turns = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": PICTURE}],
        },
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "name": "look", "tool_call_id": "c1", "content": "Fine."},
        {"role": "assistant", "content": "Fine."},
        {"role": "user", "content": "Sure?"},
    ]
    return client.chat.complete(
        model="m", messages=turns, tools=TOOLS, tool_choice="auto", temperature=0.1, max_tokens=5
    )


def _ask_google(client: Any) -> Any:
    types = google.genai.types
    turns = [
        types.Content(
            role="user",
            parts=[types.Part(text="Hi"), types.Part.from_bytes(data=b"x", mime_type="image/png")],
        ),
        types.Content(
            role="model", parts=[types.Part.from_function_call(name="look", args={"city": "Oslo"})]
        ),
        types.Content(
            role="user", parts=[types.Part.from_function_response(name="look", response={"sky": "blue"})]
        ),
    ]
    look = types.FunctionDeclaration(name="look", parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[look])],
        system_instruction="Be brief.",
        temperature=0.1,
        max_output_tokens=5,
    )
    return client.models.generate_content(model="gemini-3-flash", contents=turns, config=config)


def _ask_cohere(client: Any) -> Any:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_plan": "I look.", "tool_calls": [CALL]},
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "document", "document": {"data": '{"sky": "blue"}'}}],
        },
    ]
    return client.chat(
        model="command-a", messages=turns, tools=TOOLS, safety_mode="CONTEXTUAL", k=3, p=0.5, seed=3
    )


def _ask_ollama(client: Any) -> Any:
    turns = [
        {"role": "user", "content": "Hi", "images": [b"\x89PNG\r\n"]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "look", "arguments": {"city": "Oslo"}}}],
        },
        {"role": "tool", "tool_name": "look", "content": "Fine."},
    ]
    return client.chat(model="m", messages=turns, tools=TOOLS, options={"temperature": 0.1}, keep_alive="5m")


PICTURE = "data:image/png;base64,iVBORw0KGgoAAA"
ASKED = {"mistral": _ask_mistral, "google": _ask_google, "cohere": _ask_cohere, "ollama": _ask_ollama}


@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: str(sdk.name))
def test_a_conversation_with_tools_and_pictures_moves_to_a_fallback(
    server: FaultServer, session: str, sdk: Sdk
) -> None:
    url = server.url("status:503", dialect=sdk.dialect, session=session)
    client = wrap(sdk.made(url, session), retry=QUICK, fallback=[second()])
    answer = ASKED[sdk.name](client)
    sdk.close(client)
    assert sdk.text(answer) == "On its way."
    outcome = outcome_of(answer)
    assert outcome is not None
    assert outcome.skipped == ()


# --- one owner of retries -----------------------------------------------------------------------------------------------


def test_coheres_own_retries_rest_while_it_is_wrapped_and_count_without_a_retry(
    server: FaultServer, session: str
) -> None:
    url = server.url("status:503", dialect="cohere", session=session)
    client = cohere.ClientV2(api_key=session, base_url=url, max_retries=1)
    http: Any = client._client_wrapper.httpx_client
    wrap(client)
    assert http.base_max_retries == 0
    with pytest.raises(cohere.errors.ServiceUnavailableError):
        client.chat(model="command-a", messages=ASK)
    assert len(server.requests(session)) == 2
    wrap(client, retry=QUICK)
    unwrap(client)
    assert http.base_max_retries == 1
    http.httpx_client.close()


def test_googles_own_retries_rest_while_it_is_wrapped(server: FaultServer, session: str) -> None:
    url = server.url("status:503", dialect="gemini", session=session).removesuffix("/v1beta")
    options: Any = {"base_url": url, "retry_options": {"attempts": 3, "initial_delay": 0.01}}
    client = google.genai.Client(api_key=session, http_options=options)
    own = client._api_client._retry
    wrap(client)
    assert "3 attempts a model" in policy_of(client).explain()
    wrap(client, retry=QUICK)
    with pytest.raises(google_errors.ServerError):
        client.models.generate_content(model="gemini-3-flash", contents="Where?")
    assert len(server.requests(session)) == 2
    unwrap(client)
    assert client._api_client._retry is own
    client.close()


def test_mistrals_own_retries_rest_while_it_is_wrapped(server: FaultServer, session: str) -> None:
    from mistralai.client.utils import BackoffStrategy, RetryConfig

    config = RetryConfig("backoff", BackoffStrategy(10, 20, 1.5, 5000), retry_connection_errors=True)
    url = server.url("status:503", session=session).removesuffix("/v1")
    with mistralai.client.Mistral(api_key=session, server_url=url, retry_config=config) as client:
        wrap(client, retry=QUICK)
        with pytest.raises(mistralai.client.errors.SDKError):
            client.chat.complete(model="m", messages=ASK)
        assert len(server.requests(session)) == 2
        unwrap(client)
        assert client.sdk_configuration.retry_config is config


# --- google-genai and aiohttp -------------------------------------------------------------------------------------------


def test_googles_asynchronous_half_goes_back_to_aiohttp_when_it_is_unwrapped() -> None:
    client = google.genai.Client(api_key="k")
    assert client._api_client._use_aiohttp()
    wrap(client)
    assert not client._api_client._use_aiohttp()
    unwrap(client)
    assert client._api_client._use_aiohttp()
    client.close()


@pytest.mark.parametrize("options", [{"async_client_args": {"read_bufsize": 4096}}])
def test_a_client_made_for_aiohttp_is_refused_with_what_to_pass(options: Any) -> None:
    client = google.genai.Client(api_key="k", http_options=options)
    with pytest.raises(ConfigError, match=r"aiohttp \(read_bufsize\).*httpx_async_client"):
        wrap(client)
    client.close()


def test_a_client_given_its_own_aiohttp_session_is_refused_with_what_to_pass() -> None:
    import aiohttp

    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            options: Any = {"aiohttp_client": session}
            client = google.genai.Client(api_key="k", http_options=options)
            with pytest.raises(ConfigError, match="httpx_async_client"):
                wrap(client)
            client.close()

    asyncio.run(main())


# --- outcomes -----------------------------------------------------------------------------------------------------------


def test_outcomes_belong_to_the_answers_not_to_the_last_call(server: FaultServer, session: str) -> None:
    url = server.url("none", dialect="ollama", session=session)
    client: Any = wrap(ollama.Client(host=url, headers={"authorization": session}), fallback=[second()])
    first = client.chat(model="one", messages=ASK)
    later = client.chat(model="two", messages=ASK)
    told = outcome_of(first), outcome_of(later)
    assert [outcome.served_by for outcome in told if outcome is not None] == ["one", "two"]
    assert outcome_of(ollama.Message(role="user", content="Hi")) is None
    client._client.close()


def test_answers_of_many_tasks_keep_their_own_outcomes(server: FaultServer, session: str) -> None:
    async def main() -> list[str | None]:
        url = server.url("none", dialect="ollama", session=session)
        client: Any = wrap(ollama.AsyncClient(host=url, headers={"authorization": session}))
        names = [f"m{number}" for number in range(8)]
        answers = await asyncio.gather(*(client.chat(model=name, messages=ASK) for name in names))
        await client._client.aclose()
        return [None if (told := outcome_of(answer)) is None else told.served_by for answer in answers]

    assert asyncio.run(main()) == [f"m{number}" for number in range(8)]


def test_unwrapping_closes_the_doors() -> None:
    client = cohere.ClientV2(api_key="k")
    kind, chat = type(client), client.chat
    wrap(client)
    assert type(client) is not kind
    assert isinstance(client, kind)
    unwrap(client)
    assert type(client) is kind
    assert client.chat is chat or client.chat == chat


# --- the other two of openai's make ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["none", "status:503"])
@pytest.mark.parametrize(("package", "kind"), [("groq", "Groq"), ("together", "Together")])
def test_the_sdks_of_openais_make(
    server: FaultServer, session: str, fault: str, package: str, kind: str
) -> None:
    sdk = __import__(package)
    expected = server.text if fault == "none" else "On its way."
    plain = getattr(sdk, kind)(api_key=session, base_url=server.url(fault, session=session))
    with wrap(plain, retry=QUICK, fallback=[second()]) as client:
        answer = client.chat.completions.create(model="m", messages=ASK)
        assert answer.choices[0].message.content == expected
        stream = client.chat.completions.create(model="m", messages=ASK, stream=True)
        assert "".join(one.choices[0].delta.content or "" for one in stream if one.choices) == expected
