"""boto3's client of Amazon Bedrock, wrapped: the real client on loopback, whole and streamed."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar, cast

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    EventStreamError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from resilient_ai import Breaker, Retry, outcome_of, unwrap, wrap
from resilient_ai.adopt import policy_of
from resilient_ai.core.events import AttemptStarted
from resilient_ai.errors import ConfigError
from resilient_ai.messages import Outcome, ToolCall
from resilient_ai.privacy.known_values import PROCESS_VALUES
from resilient_ai.testing import FaultServer, ScriptedModel, ok

QUICK = Retry(attempts=2, base=0.01, cap=0.02)
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ASK: list[Any] = [{"role": "user", "content": [{"text": "Where is my parcel?"}]}]

boto: Any = boto3


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)


@pytest.fixture
def client_at() -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def client(url: str, key: str, **config: Any) -> Any:
        made.append(
            boto.client(
                "bedrock-runtime",
                region_name="us-east-1",
                endpoint_url=url,
                aws_access_key_id=key,
                aws_secret_access_key="secret",
                config=Config(**config),
            )
        )
        return made[-1]

    yield client
    for one in made:
        one.close()


@dataclass
class Heard:
    """What came of one call."""

    text: str = ""
    outcome: Outcome | None = None
    error: Exception | None = None
    answer: Any = None


def whole(client: Any) -> Heard:
    heard = Heard()
    try:
        answer = heard.answer = client.converse(modelId=MODEL, messages=ASK)
        heard.text = "".join(block.get("text", "") for block in answer["output"]["message"]["content"])
        heard.outcome = outcome_of(answer)
    except Exception as error:  # noqa: BLE001 - whatever came of it is looked at
        heard.error = error
    return heard


def streamed(client: Any) -> Heard:
    heard = Heard()
    try:
        answer = heard.answer = client.converse_stream(modelId=MODEL, messages=ASK)
        for event in answer["stream"]:
            heard.text += event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
        heard.outcome = outcome_of(answer["stream"])
        assert outcome_of(answer) == heard.outcome
    except Exception as error:  # noqa: BLE001 - whatever came of it is looked at
        heard.error = error
    return heard


ways = pytest.mark.parametrize("ask", [whole, streamed])


def retry_handlers(client: Any) -> int:
    """How many are asked whether `client` asks again."""
    emitter = client.meta.events._emitter
    return len(emitter._handlers.prefix_search("needs-retry.bedrock-runtime.Converse"))


def second() -> ScriptedModel:
    return ScriptedModel([ok("On its way.")], name="second", repeat=True)


@ways
def test_the_providers_answer_comes_after_a_retry(
    server: FaultServer, session: str, client_at: Callable[..., Any], ask: Callable[[Any], Heard]
) -> None:
    url = server.url("status:503~1", dialect="bedrock", session=session)
    heard = ask(wrap(client_at(url, session), retry=QUICK, fallback=[second()]))
    assert heard.error is None
    assert heard.text == server.text
    assert heard.outcome is not None
    assert [attempt.verdict for attempt in heard.outcome.attempts] == ["retry", "answered"]
    assert heard.outcome.served_by == MODEL
    assert heard.answer["ResponseMetadata"]["HTTPHeaders"]["x-resilient-provider"] == "bedrock"
    assert ask is streamed or heard.answer["ResponseMetadata"]["RetryAttempts"] == 1
    assert len(server.requests(session)) == 2


@ways
@pytest.mark.parametrize(
    "fault", ["status:503", "status:403", "html-200", "error-in-200", "connect-refused", "rst-no-response"]
)
def test_a_fallback_answers_in_botocores_own_shapes(
    server: FaultServer, session: str, client_at: Callable[..., Any], ask: Callable[[Any], Heard], fault: str
) -> None:
    url = server.url(fault, dialect="bedrock", session=session)
    heard = ask(wrap(client_at(url, session), retry=QUICK, fallback=[second()]))
    assert heard.error is None
    assert heard.text == "On its way."
    assert heard.outcome is not None
    assert heard.outcome.served_by == "second"
    headers = heard.answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-resilient-provider"] == "scripted"
    assert heard.answer["ResponseMetadata"]["HTTPStatusCode"] == 200


@ways
def test_tools_are_called_by_a_fallback(
    server: FaultServer, session: str, client_at: Callable[..., Any], ask: Callable[[Any], Heard]
) -> None:
    url = server.url("status:503", dialect="bedrock", session=session)
    call = ToolCall("call_1", "look", '{"city":"Łódź"}')
    caller = ScriptedModel([ok("", tool_calls=[call], finish_reason="tool_calls")], repeat=True)
    client = wrap(client_at(url, session), retry=QUICK, fallback=[caller])
    if ask is whole:
        answer = client.converse(modelId=MODEL, messages=ASK)
        assert answer["output"]["message"]["content"] == [
            {"toolUse": {"toolUseId": "call_1", "name": "look", "input": {"city": "Łódź"}}}
        ]
        assert answer["stopReason"] == "tool_use"
        return
    events = list(client.converse_stream(modelId=MODEL, messages=ASK)["stream"])
    starts = [event["contentBlockStart"]["start"] for event in events if "contentBlockStart" in event]
    assert starts == [{"toolUse": {"toolUseId": "call_1", "name": "look"}}]
    pieces = [
        event["contentBlockDelta"]["delta"]["toolUse"]["input"]
        for event in events
        if "contentBlockDelta" in event
    ]
    assert json.loads("".join(pieces)) == {"city": "Łódź"}
    assert [event["messageStop"]["stopReason"] for event in events if "messageStop" in event] == ["tool_use"]
    assert [sorted(event["metadata"]) for event in events if "metadata" in event] == [["metrics", "usage"]]


@ways
def test_a_refusal_is_botocores_own_exception_with_its_history(
    server: FaultServer, session: str, client_at: Callable[..., Any], ask: Callable[[Any], Heard]
) -> None:
    url = server.url("status:429", dialect="bedrock", session=session)
    heard = ask(wrap(client_at(url, session), retry=QUICK))
    assert isinstance(heard.error, ClientError)
    assert len(cast("Any", heard.error).attempts) == 2
    assert "resilient_ai tried:" in "".join(heard.error.__notes__)
    outcome = outcome_of(heard.error)
    assert outcome is not None
    assert [attempt.status for attempt in outcome.attempts] == [429, 429]
    assert len(server.requests(session)) == 2


@pytest.mark.parametrize("fault", ["html-200", "empty-200", "json-array", "error-in-200", "missing-choices"])
def test_an_answer_that_is_none_is_a_client_error_with_a_kind(
    server: FaultServer, session: str, client_at: Callable[..., Any], fault: str
) -> None:
    url = server.url(fault, dialect="bedrock", session=session)
    heard = whole(wrap(client_at(url, session), retry=Retry(attempts=1)))
    assert isinstance(heard.error, ClientError)
    outcome = outcome_of(heard.error)
    assert outcome is not None
    assert outcome.attempts[0].kind is not None


def test_a_cleanly_truncated_stream_raises_after_what_came(
    server: FaultServer, session: str, client_at: Callable[..., Any]
) -> None:
    url = server.url("truncated-clean", dialect="bedrock", session=session)
    heard = streamed(wrap(client_at(url, session), retry=QUICK, fallback=[second()]))
    assert heard.text
    assert server.text.startswith(heard.text)
    assert isinstance(heard.error, ResponseStreamingError)
    assert cast("Any", heard.error.__cause__).partial.text == heard.text
    outcome = outcome_of(heard.error)
    assert outcome is not None
    assert outcome.attempts[-1].verdict == "interrupted"


def test_an_exception_inside_the_stream_is_raised_as_botocore_raises_it(
    server: FaultServer, session: str, client_at: Callable[..., Any]
) -> None:
    url = server.url("error-mid-stream", dialect="bedrock", session=session)
    heard = streamed(wrap(client_at(url, session), retry=QUICK, fallback=[second()]))
    assert server.text.startswith(heard.text)
    assert isinstance(heard.error, EventStreamError)
    assert heard.error.response["Error"]["Code"]
    assert outcome_of(heard.error) is not None


def test_closing_a_stream_early_closes_the_connection(
    server: FaultServer, session: str, client_at: Callable[..., Any]
) -> None:
    url = server.url("infinite-stream", dialect="bedrock", session=session)
    client = wrap(client_at(url, session), retry=QUICK)
    stream = client.converse_stream(modelId=MODEL, messages=ASK)["stream"]
    assert next(iter(stream))
    stream.close()
    outcome = outcome_of(stream)
    assert outcome is not None
    assert [attempt.verdict for attempt in outcome.attempts] == ["abandoned"]


def test_an_exception_before_the_first_content_is_retried_in_silence(
    server: FaultServer, session: str, client_at: Callable[..., Any]
) -> None:
    url = server.url("error-first-event~1", dialect="bedrock", session=session)
    heard = streamed(wrap(client_at(url, session), retry=QUICK))
    assert heard.error is None
    assert heard.text == server.text


def test_a_server_that_does_not_end_behind_the_end_of_the_answer_is_not_waited_for(
    server: FaultServer, session: str, client_at: Callable[..., Any]
) -> None:
    url = server.url("done-then-stall", dialect="bedrock", session=session)
    heard = streamed(wrap(client_at(url, session)))
    assert heard.error is None
    assert heard.text == server.text


@ways
@pytest.mark.parametrize("fault", ["stall-no-response", "stall-mid-stream", "slow-drip:0.2"])
def test_a_black_hole_ends_at_the_deadline(
    server: FaultServer, session: str, client_at: Callable[..., Any], ask: Callable[[Any], Heard], fault: str
) -> None:
    url = server.url(fault, dialect="bedrock", session=session)
    heard = ask(wrap(client_at(url, session), retry=QUICK, deadline=0.5))
    assert isinstance(heard.error, ReadTimeoutError)
    outcome = outcome_of(heard.error)
    assert outcome is not None
    assert outcome.seconds < 10


def test_an_open_breaker_looks_like_an_endpoint_that_cannot_be_reached(
    server: FaultServer, session: str, client_at: Callable[..., Any]
) -> None:
    url = server.url("status:500", dialect="bedrock", session=session)
    client = wrap(client_at(url, session), retry=Retry(attempts=1), breaker=Breaker(consecutive=1))
    assert isinstance(whole(client).error, ClientError)
    assert isinstance(whole(client).error, EndpointConnectionError)
    assert len(server.requests(session)) == 1


class Refusing(BaseHTTPRequestHandler):
    """Refuses everything, and counts."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.asked.append(self.path)
        body = b'{"message": "busy"}'
        self.send_response(503)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Nothing: the tests count instead."""


def test_other_operations_are_retried_and_have_no_fallback(
    session: str, client_at: Callable[..., Any]
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as http:
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{http.server_address[1]}"
        client = wrap(client_at(url, session), retry=QUICK, fallback=[second()])
        with pytest.raises(ClientError) as raised:
            client.invoke_model(modelId=MODEL, body=b"{}")
        http.shutdown()
        thread.join()
    assert len(Refusing.asked) == 2
    assert len(cast("Any", raised.value).attempts) == 2


@pytest.mark.parametrize("config", [{}, {"retries": {"mode": "legacy", "max_attempts": 1}}])
def test_botocores_own_retries_rest_while_it_is_wrapped_and_count_without_a_retry(
    server: FaultServer, session: str, client_at: Callable[..., Any], config: dict[str, Any]
) -> None:
    url = server.url("status:503", dialect="bedrock", session=session)
    client = client_at(url, session, **config)
    kind = client.__class__
    wrap(client)
    told = 2 if config else 3
    assert f"{told} attempts a model" in policy_of(client).explain()
    wrap(client, retry=QUICK)
    assert isinstance(whole(client).error, ClientError)
    assert len(server.requests(session)) == 2
    unwrap(client)
    assert client.__class__ is kind
    assert unwrap(client) is client


def test_a_call_under_way_when_it_is_unwrapped_ends_under_the_policy_and_the_next_is_botocores(
    server: FaultServer, session: str, client_at: Callable[..., Any]
) -> None:
    """No retry of botocore's comes on top of those of the policy; and from then on they are there again."""
    url = server.url("status:503", dialect="bedrock", session=session)
    client = client_at(url, session, retries={"mode": "standard", "total_max_attempts": 2})
    before = retry_handlers(client)

    def leave(event: object) -> None:
        if isinstance(event, AttemptStarted):
            unwrap(client)

    wrap(client, retry=QUICK, observers=[leave])
    assert retry_handlers(client) == before + 1
    heard = whole(client)
    assert isinstance(heard.error, ClientError)
    assert len(server.requests(session)) == 2
    assert retry_handlers(client) == before
    assert isinstance(whole(client).error, ClientError)
    assert len(server.requests(session)) == 4


def test_a_client_wrapped_anew_while_a_call_is_under_way_keeps_both_policies(
    server: FaultServer, session: str, client_at: Callable[..., Any]
) -> None:
    url = server.url("status:503", dialect="bedrock", session=session)
    client = client_at(url, session, retries={"mode": "standard", "total_max_attempts": 5})
    before = retry_handlers(client)
    again: list[int] = []

    def wrap_anew(event: object) -> None:
        if isinstance(event, AttemptStarted) and not again:
            again.append(len(server.requests(session)))
            wrap(client, retry=Retry(attempts=3, base=0.01, cap=0.02))

    wrap(client, retry=QUICK, observers=[wrap_anew])
    assert isinstance(whole(client).error, ClientError)
    assert len(server.requests(session)) == 2
    assert isinstance(whole(client).error, ClientError)
    assert len(server.requests(session)) == 5
    unwrap(client)
    assert retry_handlers(client) == before


@pytest.mark.parametrize("kind", ["session", "bearer"])
def test_whatever_is_sent_as_a_key_is_looked_for(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The token of a temporary credential, and a key of Bedrock's own, which botocore sends over TLS only."""
    token = f"{kind}-token-4f1c"
    monkeypatch.setenv("AWS_SESSION_TOKEN" if kind == "session" else "AWS_BEARER_TOKEN_BEDROCK", token)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID4F1C")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    session = boto.session.Session()  # boto3's own keeps the first credentials it finds in a process
    client = session.client("bedrock-runtime", region_name="us-east-1", endpoint_url="https://127.0.0.1:1")
    assert whole(wrap(client, retry=Retry(attempts=1))).error is not None
    client.close()
    assert PROCESS_VALUES.stand_in(f"x {token} x")


def test_an_outcome_lives_as_long_as_the_answer_and_the_answer_stays_plain_data(
    server: FaultServer, session: str, client_at: Callable[..., Any]
) -> None:
    url = server.url("none", dialect="bedrock", session=session)
    client = wrap(client_at(url, session), retry=QUICK)
    first = client.converse(modelId="one", messages=ASK)
    later = client.converse(modelId="two", messages=ASK)
    served = [outcome.served_by for outcome in map(outcome_of, (first, later)) if outcome is not None]
    assert served == ["one", "two"]
    assert first.__class__ is dict
    assert json.loads(json.dumps(first)) == first
    assert pickle.loads(pickle.dumps(first)) == first  # noqa: S301 - our own bytes
    assert outcome_of(copy.copy(first)) == outcome_of(first)


def test_a_client_of_another_service_is_refused_by_name() -> None:
    client = boto.client("s3", region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s")
    with pytest.raises(ConfigError, match="'s3' cannot be wrapped; one of 'bedrock-runtime' can"):
        wrap(client)
    client.close()


def test_what_cannot_be_adopted_is_told_what_can() -> None:
    with pytest.raises(ConfigError, match="boto3's of bedrock-runtime"):
        wrap(object())
