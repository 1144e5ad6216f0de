"""A wrapped Anthropic client: the SDK's own types and exceptions, whoever answers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import anthropic
import pytest
from anthropic.types import Message, TextBlock, ToolUseBlock

from resilient_ai import Breaker, Retry, ToolCall, outcome_of, unwrap, wrap
from resilient_ai.adopt import policy_of
from resilient_ai.adopt.primary import Primary
from resilient_ai.errors import ModelError
from resilient_ai.testing import FaultServer, ScriptedModel, ok


class Run(Protocol):
    """Asks in one of the two colours."""

    def __call__(self, fault: str, use: Callable[[Any], Any], **policy: Any) -> Any: ...


ASK: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Where is my parcel?"}],
}
POLICY: dict[str, Any] = {
    "retry": Retry(attempts=3, base=0.01, cap=0.02),
    "breaker": Breaker(consecutive=None),
}


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)


@pytest.fixture(params=[True, False], ids=["blocking", "async"])
def run(request: pytest.FixtureRequest, server: FaultServer, session: str) -> Run:
    """Asks in either colour: `run(fault, use, **policy)` gives what `use(client)` gives, a stream as all its events and itself."""

    def asked(fault: str, use: Callable[[Any], Any], **policy: Any) -> Any:
        base_url = server.url(fault, dialect="anthropic", session=session)
        policy = {**POLICY, **policy}
        if request.param:
            with wrap(anthropic.Anthropic(api_key="sk-test", base_url=base_url), **policy) as client:
                result = use(client)
                return _read(result) if isinstance(result, anthropic.Stream) else result

        async def main() -> Any:
            plain = anthropic.AsyncAnthropic(api_key="sk-test", base_url=base_url)
            async with wrap(plain, **policy) as client:
                result = await use(client)
                return await _aread(result) if isinstance(result, anthropic.AsyncStream) else result

        return asyncio.run(main())

    return asked


def second(text: str = "On its way.", **options: Any) -> ScriptedModel:
    return ScriptedModel([ok(text, **options)], name="second", repeat=True)


def _read(stream: Any) -> tuple[list[Any], Any]:
    return list(stream), stream


async def _aread(stream: Any) -> tuple[list[Any], Any]:
    return [event async for event in stream], stream


def create(client: Any) -> Any:
    return client.messages.create(**ASK)


def stream(client: Any) -> Any:
    return client.messages.create(**ASK, stream=True)


def text_of(events: list[Any]) -> str:
    return "".join(
        event.delta.text
        for event in events
        if event.type == "content_block_delta" and event.delta.type == "text_delta"
    )


def test_a_message_of_the_provider_is_what_the_sdk_makes_of_it(run: Run, server: FaultServer) -> None:
    message = run("none", create)
    assert type(message) is Message
    assert isinstance(message.content[0], TextBlock)
    assert message.content[0].text == server.text
    outcome = outcome_of(message)
    assert outcome is not None
    assert outcome.served_by == "claude-sonnet-5"


def test_the_sdk_itself_retries_and_counts_its_retries(run: Run, server: FaultServer, session: str) -> None:
    raw = run("status:529~2", lambda client: client.messages.with_raw_response.create(**ASK))
    assert raw.retries_taken == 2
    counts = [request.header("x-stainless-retry-count") for request in server.requests(session)]
    assert counts == ["0", "1", "2"]


@pytest.mark.parametrize(
    "fault", ["status:529", "html-200", "json-empty-object", "error-in-200", "connect-refused"]
)
def test_a_fallback_answers_in_the_sdks_own_type(run: Run, fault: str) -> None:
    message = run(fault, create, fallback=[second()])
    assert type(message) is Message
    assert isinstance(message.content[0], TextBlock)
    assert message.content[0].text == "On its way."
    assert (message.stop_reason, message.role, message.usage.input_tokens) == ("end_turn", "assistant", 3)
    outcome = outcome_of(message)
    assert outcome is not None
    assert (outcome.served_by, outcome.degraded) == ("second", True)


@pytest.mark.parametrize("fault", ["status:503", "error-first-event", "html-200"])
def test_a_fallback_streams_in_the_sdks_own_events(run: Run, fault: str) -> None:
    events, answered = run(fault, stream, fallback=[second()])
    assert (events[0].type, events[-1].type) == ("message_start", "message_stop")
    assert text_of(events) == "On its way."
    outcome = outcome_of(answered)
    assert outcome is not None
    assert outcome.served_by == "second"


def test_a_fallback_tells_who_it_is_in_the_headers_of_a_raw_response(run: Run) -> None:
    raw = run(
        "status:503", lambda client: client.messages.with_raw_response.create(**ASK), fallback=[second()]
    )
    assert raw.headers["x-resilient-provider"] == "scripted"
    assert raw.retries_taken == 2


def test_the_stream_helper_puts_a_fallback_together(server: FaultServer, session: str) -> None:
    base_url = server.url("status:503", dialect="anthropic", session=session)
    plain = anthropic.Anthropic(api_key="sk-test", base_url=base_url)
    with wrap(plain, fallback=[second()], **POLICY) as client, client.messages.stream(**ASK) as opened:
        assert "".join(opened.text_stream) == "On its way."
        assert opened.get_final_message().stop_reason == "end_turn"


def test_a_fallback_uses_tools_with_their_input_as_an_object(run: Run) -> None:
    calling = second("", tool_calls=[ToolCall("toolu_1", "track", '{"id": "7"}')], finish_reason="tool_calls")
    tools = [{"name": "track", "input_schema": {"type": "object"}}]
    message = run("status:503", lambda client: client.messages.create(**ASK, tools=tools), fallback=[calling])
    assert message.stop_reason == "tool_use"
    used = message.content[-1]
    assert isinstance(used, ToolUseBlock)
    assert (used.id, used.name, used.input) == ("toolu_1", "track", {"id": "7"})


def test_a_turn_of_the_sdk_can_be_sent_back_to_a_fallback(run: Run) -> None:
    earlier = [TextBlock(type="text", text="It left Bern.")]
    conversation = [
        *ASK["messages"],
        {"role": "assistant", "content": earlier},
        {"role": "user", "content": "And now?"},
    ]
    asked = second()
    message = run(
        "status:503",
        lambda client: client.messages.create(**{**ASK, "messages": conversation}),
        fallback=[asked],
    )
    assert message.content[0].text == "On its way."
    assert [turn.text for turn in asked.log[0].request.messages] == [
        "Where is my parcel?",
        "It left Bern.",
        "And now?",
    ]


@pytest.mark.parametrize("fault", ["truncated-clean", "rst-mid-stream", "error-mid-stream"])
def test_a_stream_that_is_cut_raises_instead_of_ending(run: Run, fault: str) -> None:
    with pytest.raises(anthropic.APIError) as raised:
        run(fault, stream, fallback=[second()])
    partial: Any = raised.value.__cause__
    assert partial.partial.text


def test_handlers_written_for_the_sdk_keep_working(run: Run) -> None:
    with pytest.raises(anthropic.RateLimitError) as raised:
        run("status:429", create)
    outcome = outcome_of(raised.value)
    assert outcome is not None
    assert len(outcome.attempts) == 3


def test_a_bad_answer_nobody_stands_in_for_names_what_was_wrong_with_it(run: Run) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    with pytest.raises(anthropic.APIResponseValidationError) as raised:
        run(
            "html-200",
            lambda client: client.messages.create(**ASK, tools=tools),
            fallback=[ScriptedModel([])],
        )
    assert isinstance(raised.value.__cause__, ModelError)
    outcome = outcome_of(raised.value)
    assert outcome is not None
    assert outcome.skipped[0].reason.startswith("unportable:")


@pytest.mark.parametrize("use", [create, stream])
def test_a_silent_endpoint_ends_at_the_deadline(run: Run, use: Callable[[Any], Any]) -> None:
    with pytest.raises(anthropic.APITimeoutError):
        run("stall-no-response", use, deadline=0.4)


def test_middleware_of_the_client_sees_every_attempt(server: FaultServer, session: str) -> None:
    seen: list[int] = []

    def note(request: Any, call_next: Any) -> Any:
        response = call_next(request)
        seen.append(response.http_response.status_code)
        return response

    plain = anthropic.Anthropic(
        api_key="sk-test",
        base_url=server.url("status:503~1", dialect="anthropic", session=session),
        middleware=[note],
    )
    with wrap(plain, **POLICY) as client:
        message = cast("Any", client).messages.create(**ASK)
    assert message.content[0].type == "text"
    assert seen == [503, 200]


def test_unwrapping_gives_the_client_back_its_class() -> None:
    client = anthropic.Anthropic(api_key="sk-test")
    assert wrap(client, **POLICY) is client
    assert isinstance(client, anthropic.Anthropic)
    assert type(client) is not anthropic.Anthropic
    assert type(unwrap(client)) is anthropic.Anthropic


def test_what_is_known_of_a_model_is_found_by_copies_of_the_client() -> None:
    client = wrap(anthropic.Anthropic(api_key="sk-test"), **POLICY)
    policy = policy_of(client)

    def known(asked: anthropic.Anthropic, make: Callable[[], Primary]) -> Primary:
        return policy.target(("m", "anthropic", "key"), asked.base_url, make, attempts=3, alone=False)[0]

    def never() -> Primary:
        raise AssertionError("it is known")

    first = known(client, lambda: Primary("m", "anthropic", str(client.base_url), "none", "anthropic"))
    copy = client.with_options(timeout=3)
    assert copy.base_url is not client.base_url
    assert known(copy, never) is first
    elsewhere = client.with_options(base_url="http://127.0.0.1:1/")
    with pytest.raises(AssertionError, match="it is known"):
        known(elsewhere, never)


@pytest.mark.parametrize("behind", [0, 1])
@pytest.mark.parametrize("fault", ["html-200~1", "status:503~1"])
def test_messages_that_can_be_read_only_once_are_whole_in_every_attempt(
    run: Run, server: FaultServer, session: str, fault: str, behind: int
) -> None:
    def use(client: Any) -> Any:
        return client.messages.create(**{**ASK, "messages": iter(ASK["messages"])})

    run(fault, use, fallback=[second()] * behind)
    sent = [json.loads(request.body)["messages"] for request in server.requests(session)]
    assert sent == [ASK["messages"]] * 2
