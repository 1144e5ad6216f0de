"""A wrapped OpenAI client: the SDK's own types and exceptions, whoever answers."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import re
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response
from pydantic import BaseModel

from resilient_ai import (
    Breaker,
    ConfigError,
    Limits,
    Message,
    Reply,
    Request,
    Retry,
    Text,
    ToolCall,
    Usage,
    outcome_of,
    unwrap,
    wrap,
)
from resilient_ai.adopt import policy_of
from resilient_ai.models import canned
from resilient_ai.testing import FaultServer, ScriptedModel, ok
from resilient_ai.testing import error as failure

MODEL = "gpt-5.2"
ASK: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]
QUICK = Retry(attempts=3, base=0.01, cap=0.02)
CALMED = Breaker(consecutive=None)
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "track",
            "parameters": {"type": "object", "properties": {"id": {"type": "string"}}},
        },
    }
]


MADE: list[openai.OpenAI] = []


class Answer(BaseModel):
    place: str


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)


@pytest.fixture
def url(server: FaultServer, session: str) -> Callable[[str], str]:
    return lambda fault: server.url(fault, session=session)


@pytest.fixture(autouse=True)
def all_closed() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().close()


def unwrapped(base_url: str, **options: Any) -> openai.OpenAI:
    """A client as an application makes it; closed when the test has ended."""
    given: dict[str, Any] = {"api_key": "sk-test", **options}
    MADE.append(openai.OpenAI(base_url=base_url, **given))
    return MADE[-1]


def blocking(base_url: str, **policy: Any) -> openai.OpenAI:
    policy.setdefault("retry", QUICK)
    return wrap(unwrapped(base_url), **policy)


def asynchronous(base_url: str, **policy: Any) -> openai.AsyncOpenAI:
    policy.setdefault("retry", QUICK)
    return wrap(openai.AsyncOpenAI(api_key="sk-test", base_url=base_url), **policy)


def second(text: str = "On its way.", **options: Any) -> ScriptedModel:
    return ScriptedModel([ok(text, **options)], name="second", repeat=True)


class Both:
    """Asks in either colour, with the same words."""

    def __init__(self, *, blocks: bool, base_url: str, **policy: Any) -> None:
        self.client: Any = (blocking if blocks else asynchronous)(base_url, **policy)
        self._blocks = blocks

    def run(self, use: Callable[[Any], Any]) -> Any:
        """What `use(client)` gives, awaited where it must be."""
        if self._blocks:
            with self.client:
                return use(self.client)

        async def main() -> Any:
            async with self.client:
                return await use(self.client)

        return asyncio.run(main())

    def ask(self, **options: Any) -> Any:
        return self.run(
            lambda client: client.chat.completions.create(**{"model": MODEL, "messages": ASK, **options})
        )

    def chunks(self, **options: Any) -> tuple[list[ChatCompletionChunk], Any]:
        """All chunks of a stream, and the stream."""
        options = {"model": MODEL, "messages": ASK, "stream": True, **options}
        if self._blocks:
            with self.client:
                stream = self.client.chat.completions.create(**options)
                return list(stream), stream

        async def main() -> tuple[list[ChatCompletionChunk], Any]:
            async with self.client:
                stream = await self.client.chat.completions.create(**options)
                return [chunk async for chunk in stream], stream

        return asyncio.run(main())


@pytest.fixture(params=[True, False], ids=["blocking", "async"])
def both(request: pytest.FixtureRequest, url: Callable[[str], str]) -> Callable[..., Both]:
    def ask(fault: str, **policy: Any) -> Both:
        return Both(blocks=request.param, base_url=url(fault), **policy)

    return ask


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


# --- the provider answers -------------------------------------------------------------------------------------------------


def test_an_answer_of_the_provider_is_what_the_sdk_makes_of_it(
    both: Callable[..., Both], server: FaultServer
) -> None:
    answer = both("none").ask()
    assert type(answer) is ChatCompletion
    assert answer.choices[0].message.content == server.text
    outcome = outcome_of(answer)
    assert outcome is not None
    assert (outcome.served_by, outcome.degraded, len(outcome.attempts)) == (MODEL, False, 1)


def test_the_sdk_itself_retries_and_counts_its_retries(
    both: Callable[..., Both], server: FaultServer, session: str
) -> None:
    raw = both("status:503~2").run(
        lambda client: client.chat.completions.with_raw_response.create(model=MODEL, messages=ASK)
    )
    assert raw.retries_taken == 2
    assert type(raw.parse()) is ChatCompletion
    counts = [request.header("x-stainless-retry-count") for request in server.requests(session)]
    assert counts == ["0", "1", "2"]
    outcome = outcome_of(raw)
    assert outcome is not None
    assert [attempt.kind for attempt in outcome.attempts] == ["overloaded", "overloaded", None]


def test_a_stream_is_retried_before_it_begins(both: Callable[..., Both], server: FaultServer) -> None:
    chunks, stream = both("status:503~2").chunks()
    assert text_of(chunks) == server.text
    outcome = outcome_of(stream)
    assert outcome is not None
    assert len(outcome.attempts) == 3


def test_a_stream_of_the_provider_reaches_the_caller_byte_for_byte(
    both: Callable[..., Both], url: Callable[[str], str]
) -> None:
    wrapped, _ = both("none").chunks(stream_options={"include_usage": True})
    with unwrapped(url("none")) as plain:
        bare = list(
            plain.chat.completions.create(
                model=MODEL, messages=ASK, stream=True, stream_options={"include_usage": True}
            )
        )
    for chunk in (*wrapped, *bare):
        chunk.id, chunk.created = "", 0
    assert wrapped == bare


# --- somebody else answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", ["status:503", "html-200", "json-empty-object", "error-in-200", "null-content", "401"]
)
def test_a_fallback_answers_in_the_sdks_own_type(both: Callable[..., Both], fault: str) -> None:
    answer = both(fault, fallback=[second()], breaker=CALMED).ask()
    assert type(answer) is ChatCompletion
    assert answer.choices[0].message.content == "On its way."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 3
    outcome = outcome_of(answer)
    assert outcome is not None
    assert (outcome.served_by, outcome.degraded) == ("second", True)


@pytest.mark.parametrize("fault", ["status:503", "error-first-event", "rst-no-response"])
def test_a_fallback_streams_in_the_sdks_own_type(both: Callable[..., Both], fault: str) -> None:
    chunks, stream = both(fault, fallback=[second()], breaker=CALMED).chunks()
    assert type(stream) in (openai.Stream, openai.AsyncStream)
    assert {type(chunk) for chunk in chunks} == {ChatCompletionChunk}
    assert text_of(chunks) == "On its way."
    assert chunks[-1].choices[0].finish_reason == "stop"
    outcome = outcome_of(stream)
    assert outcome is not None
    assert outcome.served_by == "second"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("blocks", [True, False], ids=["blocking", "async"])
def test_a_fallback_answers_while_the_key_of_the_provider_cannot_be_fetched(
    url: Callable[[str], str], *, blocks: bool, streamed: bool
) -> None:
    def fetch() -> str:
        raise ConnectionRefusedError("the identity provider is down")

    async def afetch() -> str:
        return fetch()

    both = Both(blocks=blocks, base_url=url("none"), fallback=[second()])
    both.client._api_key_provider = fetch if blocks else afetch
    if streamed:
        chunks, result = both.chunks()
        assert text_of(chunks) == "On its way."
    else:
        result = both.ask()
        assert result.choices[0].message.content == "On its way."
    outcome = outcome_of(result)
    assert outcome is not None
    assert outcome.served_by == "second"


def test_a_client_whose_keys_are_fetched_has_one_breaker_for_all_of_them(url: Callable[[str], str]) -> None:
    keys = iter(f"sk-{n}" for n in range(9))
    down = unwrapped(url("status:500"), api_key=lambda: next(keys), max_retries=0)
    with wrap(down, breaker=Breaker(consecutive=3)) as client:
        for _ in range(3):
            with pytest.raises(openai.InternalServerError):
                client.chat.completions.create(model=MODEL, messages=ASK)
        with pytest.raises(openai.APIConnectionError):
            client.chat.completions.create(model=MODEL, messages=ASK)


def parse(client: Any) -> Any:
    return client.chat.completions.parse(model=MODEL, messages=ASK, response_format=Answer)


def test_the_next_fallback_is_asked_where_the_sdks_parser_refuses_an_answer(
    both: Callable[..., Both],
) -> None:
    refused = ScriptedModel([ok("no object", usage=Usage(3, 4))], name="refused", repeat=True)
    fitting = ScriptedModel([ok('{"place": "Bern"}')], name="fitting", repeat=True)
    answer = both("status:503", fallback=[refused, fitting]).run(parse)
    assert answer.choices[0].message.parsed == Answer(place="Bern")
    outcome = outcome_of(answer)
    assert outcome is not None
    *_, drafted, taken = outcome.attempts
    assert (drafted.model, drafted.kind, drafted.usage.output_tokens) == ("refused", "invalid_output", 4)
    assert (taken.model, taken.kind) == ("fitting", None)


def test_an_answer_of_the_provider_that_its_parser_refuses_is_billed(url: Callable[[str], str]) -> None:
    fitting = ScriptedModel([ok('{"place": "Bern"}')], name="fitting", repeat=True)
    outcome = outcome_of(parse(blocking(url("none"), fallback=[fitting])))
    assert outcome is not None
    refused, _ = outcome.attempts
    assert (refused.kind, refused.usage.output_tokens) == ("invalid_output", 57)


def test_what_the_provider_said_is_raised_where_the_parser_refuses_every_fallback(
    both: Callable[..., Both],
) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        both("status:503", fallback=[second("no object")]).run(parse)
    outcome = outcome_of(caught.value)
    assert outcome is not None
    assert [attempt.kind for attempt in outcome.attempts][-1] == "invalid_output"
    assert outcome.served_by is None


def test_the_parsers_own_exception_is_raised_where_the_provider_was_not_even_asked(
    both: Callable[..., Both],
) -> None:
    from pydantic import ValidationError

    opens = both("status:401")  # a breaker, which the second client shares
    with pytest.raises(openai.AuthenticationError):
        opens.ask()
    with pytest.raises(ValidationError) as caught:
        both("status:401", fallback=[second("no object")]).run(parse)
    outcome = outcome_of(caught.value)
    assert outcome is not None
    assert [attempt.model for attempt in outcome.attempts] == ["second"]


def test_a_fallback_tells_who_it_is_in_the_headers_of_a_raw_response(both: Callable[..., Both]) -> None:
    raw = both("status:503", fallback=[second()]).run(
        lambda client: client.chat.completions.with_raw_response.create(model=MODEL, messages=ASK)
    )
    assert (raw.headers["x-resilient-provider"], raw.headers["x-resilient-attempts"]) == ("scripted", "4")
    assert raw.request_id
    assert raw.status_code == 200
    assert raw.retries_taken == 2
    parsed = raw.parse()
    assert parsed.choices[0].message.content == "On its way."
    assert parsed._request_id == raw.request_id


def test_a_fallback_can_be_read_as_a_streaming_response(url: Callable[[str], str]) -> None:
    client = blocking(url("status:503"), fallback=[second()])
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=ASK) as response:
        assert json.loads(response.read())["choices"][0]["message"]["content"] == "On its way."


def test_a_fallback_can_be_read_as_an_asynchronous_streaming_response(url: Callable[[str], str]) -> None:
    async def main() -> str:
        async with asynchronous(url("status:503"), fallback=[second()]) as client:
            manager = client.chat.completions.with_streaming_response.create(model=MODEL, messages=ASK)
            async with manager as response:
                return (await response.parse()).choices[0].message.content or ""

    assert asyncio.run(main()) == "On its way."


def test_a_fallback_fills_the_model_a_caller_parses_into(both: Callable[..., Both]) -> None:
    answer = both("status:503", fallback=[second('{"place": "Bern"}')]).run(
        lambda client: client.chat.completions.parse(model=MODEL, messages=ASK, response_format=Answer)
    )
    assert answer.choices[0].message.parsed == Answer(place="Bern")


def test_the_stream_helper_puts_a_fallback_together(url: Callable[[str], str]) -> None:
    client = blocking(url("status:503"), fallback=[second()])
    with client.chat.completions.stream(model=MODEL, messages=ASK) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in kinds
    assert final.choices[0].message.content == "On its way."


def test_a_fallback_calls_tools_with_the_arguments_as_text(both: Callable[..., Both]) -> None:
    call = ToolCall("call_1", "track", '{"id": "7"}')
    calling = second("", tool_calls=[call], finish_reason="tool_calls")
    answer = both("status:503", fallback=[calling]).ask(tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    made = answer.choices[0].message.tool_calls[0]
    assert (made.id, made.function.name, made.function.arguments) == ("call_1", "track", '{"id": "7"}')


def test_a_fallback_passes_the_sdks_strict_validation(url: Callable[[str], str]) -> None:
    strict = unwrapped(url("status:503"), _strict_response_validation=True)
    client = wrap(strict, fallback=[second()], retry=QUICK)
    assert client.chat.completions.create(model=MODEL, messages=ASK).choices[0].message.content
    assert text_of(list(client.chat.completions.create(model=MODEL, messages=ASK, stream=True)))
    assert client.responses.create(model=MODEL, input="Where?").output_text == "On its way."


def test_the_fallback_is_asked_what_the_provider_was(url: Callable[[str], str]) -> None:
    seen: list[Request] = []

    def answer(request: Request) -> Reply:
        seen.append(request)
        return Reply("Yes.")

    client = blocking(url("status:503"), fallback=[answer])
    client.chat.completions.create(
        model=MODEL, messages=[{"role": "system", "content": "Be brief."}, *ASK], tools=TOOLS, temperature=0.5
    )
    assert seen[0].messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("Where is my parcel?"),)),
    )
    assert [tool.name for tool in seen[0].tools] == ["track"]
    assert seen[0].temperature == 0.5


def test_a_request_that_would_change_its_meaning_is_not_moved(both: Callable[..., Both]) -> None:
    untouched = ScriptedModel([])
    with pytest.raises(openai.InternalServerError) as raised:
        both("status:503", fallback=[untouched]).ask(n=2)
    outcome = outcome_of(raised.value)
    assert outcome is not None
    assert [(skip.model, skip.reason) for skip in outcome.skipped] == [("scripted", "unportable:n")]
    assert untouched.log == []


def test_embeddings_are_retried_and_have_no_fallback(url: Callable[[str], str]) -> None:
    untouched = ScriptedModel([])
    client = blocking(url("connect-refused"), fallback=[untouched])
    with pytest.raises(openai.APIConnectionError) as raised:
        client.embeddings.create(model="small", input="text")
    assert len(raised.value.attempts) == 3  # type: ignore[attr-defined]
    assert untouched.log == []


# --- nobody answers -------------------------------------------------------------------------------------------------------


def test_handlers_written_for_the_sdk_keep_working(both: Callable[..., Both]) -> None:
    with pytest.raises(openai.RateLimitError) as raised:
        both("status:429", fallback=[ScriptedModel([failure(500)] * 3)]).ask()
    outcome = outcome_of(raised.value)
    assert outcome is not None
    assert [attempt.model for attempt in outcome.attempts] == [MODEL] * 3 + ["scripted"] * 3
    assert "resilient_ai tried: openai:gpt-5.2 #1 rate_limited" in raised.value.__notes__[0]
    assert raised.value.status_code == 429


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("html-200", openai.APIResponseValidationError),
        ("error-in-200", openai.APIError),
        ("connect-refused", openai.APIConnectionError),
        ("empty-200", openai.APIResponseValidationError),
    ],
)
def test_an_answer_that_is_none_is_an_error_of_the_sdk(
    both: Callable[..., Both], fault: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as raised:
        both(fault, breaker=CALMED).ask()
    assert len(raised.value.attempts) == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("fault", ["truncated-clean", "rst-mid-stream", "error-mid-stream"])
def test_a_stream_that_is_cut_raises_instead_of_ending(both: Callable[..., Both], fault: str) -> None:
    with pytest.raises(openai.APIError) as raised:
        both(fault, fallback=[second()]).chunks()
    partial: Any = raised.value.__cause__
    assert partial.partial.text


class Prompt(str):
    """Text whose end can be seen."""

    __slots__ = ("__weakref__",)


def holds_on(client: openai.OpenAI, *, streamed: bool) -> bool:
    """After a call of `client` that failed, something holds its prompt until the next collection."""
    prompt = Prompt("Where is my parcel?")
    alive = weakref.ref(prompt)

    def fail(text: str) -> None:
        with contextlib.suppress(openai.APIError):
            ask: list[Any] = [{"role": "user", "content": text}]
            client.chat.completions.create(model=MODEL, messages=ask, stream=streamed)

    gc.collect()
    gc.disable()
    try:
        fail(prompt)
        del prompt
        return alive() is not None
    finally:
        gc.enable()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", ["status:500", "html-200", "connect-refused"])
@pytest.mark.parametrize("behind", [False, True], ids=["alone", "with-a-fallback"])
def test_a_failed_call_leaves_no_reference_cycle_that_holds_the_prompt(
    url: Callable[[str], str], fault: str, *, behind: bool, streamed: bool
) -> None:
    def failing(request: str) -> str:  # keeps nothing of what it is asked
        raise ConnectionError(f"{len(request)} characters")

    if fault == "connect-refused" and holds_on(unwrapped(url(fault), max_retries=0), streamed=streamed):
        pytest.skip("the SDK itself holds it on this version of Python")
    client = blocking(url(fault), fallback=[failing] if behind else [])
    assert not holds_on(client, streamed=streamed)


@pytest.mark.parametrize("fault", ["status:500", "none"])
def test_an_answer_the_parser_refuses_leaves_no_reference_cycle(
    url: Callable[[str], str], fault: str
) -> None:
    client = blocking(url(fault), fallback=[canned("no object"), canned("nor this")])

    def ask(prompt: Prompt) -> None:
        with contextlib.suppress(Exception):
            client.chat.completions.parse(
                model=MODEL, messages=[{"role": "user", "content": prompt}], response_format=Answer
            )

    ask(Prompt("Where is my parcel?"))
    prompt = Prompt("Where is my parcel?")
    alive = weakref.ref(prompt)
    gc.collect()
    gc.disable()
    try:
        ask(prompt)
        del prompt
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("fault", ["status:500", "html-200", "connect-refused"])
def test_a_call_that_a_fallback_answered_leaves_no_reference_cycle_that_holds_the_prompt(
    url: Callable[[str], str], fault: str
) -> None:
    client = blocking(url(fault), breaker=CALMED, fallback=canned("Call us."))
    assert client.chat.completions.create(model=MODEL, messages=ASK).choices[0].message.content == "Call us."
    assert not holds_on(client, streamed=False)


@pytest.mark.parametrize("deadline", [None, 30.0])
def test_a_loop_that_keeps_cancelled_timers_does_not_keep_the_prompt(
    url: Callable[[str], str], deadline: float | None
) -> None:
    async def ask(client: openai.AsyncOpenAI, prompt: str) -> None:
        with contextlib.suppress(openai.APIError):
            await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": prompt}])

    async def main() -> None:
        async with asynchronous(url("status:500"), deadline=deadline) as client:
            await ask(client, "Where is my parcel?")
            prompt = Prompt("Where is my parcel?")
            alive = weakref.ref(prompt)
            await ask(client, prompt)
            del prompt
            assert alive() is None

    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


def test_an_open_breaker_is_a_connection_error_of_the_sdk(url: Callable[[str], str]) -> None:
    client = blocking(url("status:500"), breaker=Breaker(consecutive=2), retry=Retry(attempts=2, base=0))
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model=MODEL, messages=ASK)
    with pytest.raises(openai.APIConnectionError, match="breaker is open") as raised:
        client.chat.completions.create(model=MODEL, messages=ASK)
    assert outcome_of(raised.value) is not None


@pytest.mark.parametrize(
    "fault", ["stall-no-response", "connect-blackhole", "byte-drip:0.05", "stall-mid-body"]
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_silent_endpoint_ends_at_the_deadline(
    both: Callable[..., Both], fault: str, *, streamed: bool
) -> None:
    client = both(fault, deadline=0.4)
    with pytest.raises(openai.APITimeoutError) as raised:
        client.chunks() if streamed else client.ask()
    outcome = outcome_of(raised.value)
    assert outcome is not None
    assert outcome.seconds < 10


def test_a_bad_request_is_neither_retried_nor_moved(both: Callable[..., Both]) -> None:
    untouched = ScriptedModel([])
    with pytest.raises(openai.BadRequestError) as raised:
        both("status:400", fallback=[untouched]).ask()
    assert len(raised.value.attempts) == 1  # type: ignore[attr-defined]


def test_a_parser_of_the_sdk_refuses_in_its_own_words(url: Callable[[str], str]) -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        blocking(url("finish-length")).chat.completions.parse(
            model=MODEL, messages=ASK, response_format=Answer
        )


# --- the client stays itself ----------------------------------------------------------------------------------------------


def test_the_client_stays_the_same_object_of_the_same_class(url: Callable[[str], str]) -> None:
    client = unwrapped(url("none"))
    wrapped = wrap(client)
    assert wrapped is client
    assert isinstance(wrapped, openai.OpenAI)
    assert (type(wrapped).__name__, type(wrapped).__module__) == ("OpenAI", openai.OpenAI.__module__)


def test_wrapping_again_replaces_the_policy_and_unwrapping_removes_it(url: Callable[[str], str]) -> None:
    client = unwrapped(url("status:503"), max_retries=0)
    wrap(client, fallback=[second("first policy")])
    wrap(client, fallback=[second("second policy")])
    assert type(client).__mro__[1] is openai.OpenAI
    answer = client.chat.completions.create(model=MODEL, messages=ASK)
    assert answer.choices[0].message.content == "second policy"
    assert unwrap(client) is client
    assert type(client) is openai.OpenAI
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model=MODEL, messages=ASK)
    assert outcome_of(raised.value) is None
    assert type(unwrap(client)) is openai.OpenAI


def test_copies_and_resources_taken_before_follow_the_policy(url: Callable[[str], str]) -> None:
    client = unwrapped(url("status:503"))
    before = client.chat.completions
    wrap(client, fallback=[second()], retry=QUICK)
    for completions in (
        before,
        client.with_options(timeout=3).chat.completions,
        client.copy().chat.completions,
    ):
        assert completions.create(model=MODEL, messages=ASK).choices[0].message.content == "On its way."


def test_an_instrumentation_on_the_client_itself_is_kept(url: Callable[[str], str]) -> None:
    client = unwrapped(url("status:503"))
    seen: list[str] = []
    original = client.request

    @functools.wraps(original)
    def traced(cast_to: Any, options: Any, **named: Any) -> Any:
        seen.append(options.url)
        return original(cast_to, options, **named)

    client.request = traced  # type: ignore[method-assign]
    wrap(client, fallback=[second()], retry=QUICK)
    assert (
        client.chat.completions.create(model=MODEL, messages=ASK).choices[0].message.content == "On its way."
    )
    assert seen == ["/chat/completions"]
    unwrap(client)
    assert client.__dict__["request"] is traced


@pytest.mark.parametrize("fault", ["status:503", "rst-no-response"])
@pytest.mark.parametrize("colour", ["blocking", "asynchronous"])
def test_attempts_are_counted_though_something_on_the_client_hides_the_hook_before_sending(
    server: FaultServer, url: Callable[[str], str], session: str, fault: str, colour: str
) -> None:
    async def nothing(_: object) -> None: ...

    async def ask_later() -> None:
        async with asynchronous(url(fault), breaker=CALMED) as client:
            vars(client)["_prepare_request"] = nothing
            await client.chat.completions.create(model=MODEL, messages=ASK)

    def ask() -> None:
        client = blocking(url(fault), breaker=CALMED)
        vars(client)["_prepare_request"] = id
        client.chat.completions.create(model=MODEL, messages=ASK)

    with pytest.raises(openai.APIError) as raised:
        asyncio.run(ask_later()) if colour == "asynchronous" else ask()
    outcome = outcome_of(raised.value)
    assert outcome is not None
    assert len(outcome.attempts) == len(server.requests(session)) == 3


def test_a_key_that_cannot_be_fetched_again_takes_no_more_time_than_the_deadline_leaves(
    url: Callable[[str], str],
) -> None:
    async def main() -> None:
        fetched = 0

        async def key() -> str:
            nonlocal fetched
            fetched += 1
            if fetched == 2:
                await asyncio.Event().wait()
            return "sk-test"

        async with openai.AsyncOpenAI(api_key=key, base_url=url("status:503")) as client, asyncio.timeout(30):
            wrap(client, retry=QUICK, breaker=CALMED, deadline=0.5, fallback=canned("Call us."))
            answer = await client.chat.completions.create(model=MODEL, messages=ASK)
        assert answer.choices[0].message.content == "Call us."
        assert fetched == 2

    asyncio.run(main())


def test_a_client_without_a_policy_of_its_own_keeps_its_number_of_retries(
    server: FaultServer, url: Callable[[str], str], session: str
) -> None:
    client = wrap(unwrapped(url("503-overloaded"), max_retries=1))
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model=MODEL, messages=ASK)
    assert len(server.requests(session)) == 2
    with pytest.raises(openai.InternalServerError):
        client.with_options(max_retries=0).chat.completions.create(model=MODEL, messages=ASK)
    assert len(server.requests(session)) == 3


def test_the_provider_sees_as_many_requests_as_the_policy_explains(
    server: FaultServer, url: Callable[[str], str], session: str
) -> None:
    client = blocking(url("status:503"), retry=Retry(attempts=4, base=0.01, cap=0.01), breaker=CALMED)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model=MODEL, messages=ASK)
    assert f"worst case: {len(server.requests(session))} requests" in policy_of(client).explain(MODEL)


def test_a_client_without_a_deadline_is_explained_without_one(url: Callable[[str], str]) -> None:
    client = wrap(openai.OpenAI(api_key="sk-test", base_url=url("none")))
    told = policy_of(client).explain(MODEL)
    assert "deadline none;" in told
    assert "86400" not in told


@pytest.mark.parametrize("deadline", [None, 30.0])
def test_the_sdks_log_counts_the_retries_there_are(
    url: Callable[[str], str], caplog: pytest.LogCaptureFixture, deadline: float | None
) -> None:
    client = blocking(url("status:503"), deadline=deadline)
    with caplog.at_level("DEBUG", logger="openai"), pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model=MODEL, messages=ASK)
    told = [record.getMessage() for record in caplog.records]
    assert [line for line in told if line.endswith("left")] == ["2 retries left", "1 retry left"]
    assert [line[line.index("(") :] for line in told if line.startswith("Retrying")] == [
        "(retry 1 of 2)",
        "(retry 2 of 2)",
    ]


@pytest.mark.parametrize("method", ["_prepare_options", "_process_response"])
@pytest.mark.parametrize("error", [StopIteration, RuntimeError])
def test_a_stop_iteration_of_the_application_reaches_the_caller_as_what_it_is(
    url: Callable[[str], str], method: str, error: type[Exception]
) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise error("coroutine raised StopIteration") from StopIteration("no key is left")

    application = type("Application", (openai.OpenAI,), {method: fail})
    client: Any = wrap(application(api_key="sk-test", base_url=url("none")), retry=QUICK)
    with pytest.raises(error, match="coroutine raised StopIteration") as caught:
        client.chat.completions.create(model=MODEL, messages=ASK)
    assert caught.type is error
    outcome = outcome_of(caught.value)
    assert outcome is not None
    assert outcome.attempts


def test_leaving_a_stream_early_closes_the_connection(
    both: Callable[..., Both], server: FaultServer, session: str
) -> None:
    def use(client: Any) -> Any:
        stream = client.chat.completions.create(model=MODEL, messages=ASK, stream=True)
        if hasattr(stream, "__await__"):

            async def leave() -> Any:
                opened = await stream
                async for _ in opened:
                    break
                await opened.close()
                return opened

            return leave()
        for _ in stream:
            break
        stream.close()
        return stream

    left = both("stall-mid-stream").run(use)
    server.wait_for_hang_up(session)
    outcome = outcome_of(left)
    assert outcome is not None
    assert outcome.attempts[-1].verdict == "abandoned"


def test_cancelling_a_call_leaves_nothing_behind(
    url: Callable[[str], str], server: FaultServer, session: str
) -> None:
    async def main() -> None:
        async with asynchronous(url("stall-no-response"), limits=Limits(concurrency=1)) as client:
            task = asyncio.create_task(client.chat.completions.create(model=MODEL, messages=ASK))
            await asyncio.to_thread(server._books.log.wait_for, session, bool, 5.0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert policy_of(client).places.enter(None)

    asyncio.run(main())


def test_an_object_that_is_no_client_is_refused_with_what_can_be_wrapped() -> None:
    with pytest.raises(ConfigError, match=r"builtins\.dict cannot be wrapped\. Clients of openai"):
        wrap({"not": "a client"})
    with pytest.raises(ConfigError, match="OpenAI is a class; wrap a client made of it"):
        wrap(openai.OpenAI)
    with pytest.raises(ConfigError, match="Completions is a part of a client; wrap the client"):
        wrap(openai.OpenAI(api_key="sk-test").chat.completions)


def test_an_unwrapped_client_has_no_policy_to_ask_for() -> None:
    with pytest.raises(ConfigError, match=r"call wrap\(client\) first"):
        policy_of(openai.OpenAI(api_key="sk-test"))


def test_a_chain_of_the_configuration_gives_policy_and_fallbacks(
    url: Callable[[str], str], tmp_path: Any
) -> None:
    file = tmp_path / "resilient.toml"
    file.write_text(
        "version = 1\n[models.last]\nprovider = 'canned'\ntext = 'Try again later.'\n"
        "[chains.support]\nmodels = ['last']\ndeadline = '9s'\nretry = { attempts = 1 }\n"
    )
    client = wrap(unwrapped(url("status:503")), chain="support", config=file)
    answer = client.chat.completions.create(model=MODEL, messages=ASK)
    assert answer.choices[0].message.content == "Try again later."
    outcome = outcome_of(answer)
    assert outcome is not None
    assert (outcome.chain, len(outcome.attempts)) == ("support", 2)
    assert "deadline 9 s" in policy_of(client).explain(MODEL)


# --- responses ------------------------------------------------------------------------------------------------------------


def test_a_response_of_the_provider_and_of_a_fallback_have_one_type(
    both: Callable[..., Both], server: FaultServer
) -> None:
    own = both("none").run(lambda client: client.responses.create(model=MODEL, input="Where?"))
    other = both("status:503", fallback=[second()]).run(
        lambda client: client.responses.create(model=MODEL, input="Where?")
    )
    assert (type(own), type(other)) == (Response, Response)
    assert own.output_text == server.text
    assert other.output_text == "On its way."


def test_responses_stream_from_a_fallback_with_all_their_events(url: Callable[[str], str]) -> None:
    client = blocking(url("status:503"), fallback=[second()])
    kinds = [event.type for event in client.responses.create(model=MODEL, input="Where?", stream=True)]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    with client.responses.stream(model=MODEL, input="Where?") as stream:
        assert stream.get_final_response().output_text == "On its way."


def test_a_truncated_stream_of_responses_raises(url: Callable[[str], str]) -> None:
    with pytest.raises(openai.APIConnectionError):
        list(blocking(url("truncated-clean")).responses.create(model=MODEL, input="Where?", stream=True))


def test_a_response_that_goes_on_from_one_kept_by_the_provider_is_not_moved(
    url: Callable[[str], str],
) -> None:
    client = blocking(url("status:503"), fallback=[ScriptedModel([])])
    with pytest.raises(openai.InternalServerError) as raised:
        client.responses.create(model=MODEL, input="And now?", previous_response_id="resp_1")
    outcome = outcome_of(raised.value)
    assert outcome is not None
    assert outcome.skipped[0].reason == "unportable:previous_response_id"
