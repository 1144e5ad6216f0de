"""The installed SDKs raise, over a transport in memory, and the classifier reads what they raise."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import cast

import anthropic
import httpx2
import openai
import pytest

from resilient_ai.core.classify import classify
from resilient_ai.core.failure import FailureKind, Verdict

K = FailureKind
Handler = Callable[[httpx2.Request], httpx2.Response]


def _answer(status: int, body: object, headers: Mapping[str, str] | None = None) -> Handler:
    return lambda request: httpx2.Response(status, json=body, headers=dict(headers or {}), request=request)


def _stream(*events: str) -> Handler:
    def pieces() -> Iterator[bytes]:
        for event in events:
            yield event.encode()

    return lambda request: httpx2.Response(
        200, headers={"content-type": "text/event-stream"}, content=pieces(), request=request
    )


def _failing(failure: Exception) -> Handler:
    def handle(request: httpx2.Request) -> httpx2.Response:
        raise failure

    return handle


def _raised(call: Callable[[], object]) -> Verdict:
    """The verdict on what `call`, or reading its answer to the end, raises."""

    def run() -> None:
        list(cast("Iterator[object]", call()))

    with pytest.raises(Exception) as caught:
        run()
    return classify(caught.value)


def _openai(handler: Handler, *, stream: bool = False) -> Verdict:
    with httpx2.Client(transport=httpx2.MockTransport(handler)) as http:
        client = openai.OpenAI(api_key="x", http_client=http, max_retries=0)
        return _raised(
            lambda: client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hi"}], stream=stream
            )
        )


def _anthropic(handler: Handler, *, stream: bool = False) -> Verdict:
    with httpx2.Client(transport=httpx2.MockTransport(handler)) as http:
        client = anthropic.Anthropic(api_key="x", http_client=http, max_retries=0)
        return _raised(
            lambda: client.messages.create(
                model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}], stream=stream
            )
        )


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "retry_after"),
    [
        (
            429,
            {"error": {"message": "x", "type": "insufficient_quota", "code": "insufficient_quota"}},
            {},
            K.QUOTA_EXHAUSTED,
            None,
        ),
        (
            429,
            {
                "error": {
                    "message": "Rate limit reached for m. Please try again in 2.2s.",
                    "type": "tokens",
                    "code": "rate_limit_exceeded",
                }
            },
            {},
            K.RATE_LIMITED,
            2.2,
        ),
        (
            429,
            {"error": {"message": "x", "type": "requests", "code": "rate_limit_exceeded"}},
            {"retry-after": "60", "retry-after-ms": "700"},
            K.RATE_LIMITED,
            0.7,
        ),
        (
            429,
            {
                "error": {
                    "message": "Request too large for m on tokens per min (TPM): Limit 1, Requested 2.",
                    "type": "tokens",
                    "code": "rate_limit_exceeded",
                }
            },
            {},
            K.CONTEXT_OVERFLOW,
            None,
        ),
        (
            400,
            {"error": {"message": "x", "type": "invalid_request_error", "code": "context_length_exceeded"}},
            {},
            K.CONTEXT_OVERFLOW,
            None,
        ),
        (
            400,
            {
                "error": {
                    "message": "'insufficient_quota' is not valid",
                    "type": "invalid_request_error",
                    "code": None,
                }
            },
            {},
            K.BAD_REQUEST,
            None,
        ),
        (
            404,
            {"error": {"message": "x", "type": "invalid_request_error", "code": "model_not_found"}},
            {},
            K.MODEL_UNAVAILABLE,
            None,
        ),
        (
            401,
            {"error": {"message": "x", "type": "invalid_request_error", "code": "invalid_api_key"}},
            {},
            K.AUTHENTICATION,
            None,
        ),
        (
            503,
            {
                "object": "error",
                "message": "Service tier capacity exceeded for this model.",
                "type": "invalid_request_error",
                "code": None,
            },
            {"retry-after": "1"},
            K.OVERLOADED,
            1.0,
        ),
        (500, {}, {}, K.SERVER_ERROR, None),
    ],
)
def test_openai_errors_carry_what_the_server_said(
    status: int, body: object, headers: dict[str, str], kind: FailureKind, retry_after: float | None
) -> None:
    verdict = _openai(_answer(status, body, headers))
    assert (verdict.kind, verdict.retry_after, verdict.status) == (kind, retry_after, status), verdict.reasons


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "retry_after"),
    [
        (
            429,
            {"type": "error", "error": {"type": "rate_limit_error", "message": "x"}},
            {"retry-after": "12"},
            K.RATE_LIMITED,
            12.0,
        ),
        (
            429,
            {
                "type": "error",
                "error": {
                    "type": "rate_limit_error",
                    "message": "x",
                    "details": {"error_code": "enforced_spend_limit_reached"},
                },
            },
            {},
            K.QUOTA_EXHAUSTED,
            None,
        ),
        (
            400,
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "Your credit balance is too low to access the Anthropic API.",
                },
            },
            {},
            K.QUOTA_EXHAUSTED,
            None,
        ),
        (
            529,
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            {},
            K.OVERLOADED,
            None,
        ),
        (
            413,
            {"type": "error", "error": {"type": "request_too_large", "message": "x"}},
            {},
            K.CONTEXT_OVERFLOW,
            None,
        ),
        (
            404,
            {"type": "error", "error": {"type": "not_found_error", "message": "model: m"}},
            {},
            K.MODEL_UNAVAILABLE,
            None,
        ),
    ],
)
def test_anthropic_errors_carry_what_the_server_said(
    status: int, body: object, headers: dict[str, str], kind: FailureKind, retry_after: float | None
) -> None:
    verdict = _anthropic(_answer(status, body, headers))
    assert (verdict.kind, verdict.retry_after, verdict.status) == (kind, retry_after, status), verdict.reasons


@pytest.mark.parametrize(
    ("failure", "kind", "retry", "sent"),
    [
        (httpx2.ConnectError("x"), K.CONNECTION, True, False),
        (httpx2.ReadTimeout("x"), K.TIMEOUT, True, True),
        (httpx2.PoolTimeout("x"), K.LOCAL, False, False),
        (httpx2.RemoteProtocolError("x"), K.CONNECTION, True, None),
    ],
)
@pytest.mark.parametrize("call", [_openai, _anthropic])
def test_connection_errors_are_read_through_the_sdks_own(
    call: Callable[[Handler], Verdict],
    failure: Exception,
    kind: FailureKind,
    *,
    retry: bool,
    sent: bool | None,
) -> None:
    verdict = call(_failing(failure))
    assert (verdict.kind, verdict.retry, verdict.sent) == (kind, retry, sent), verdict.reasons


def test_an_error_inside_an_openai_stream_is_read_by_its_code() -> None:
    event = {"error": {"message": "x", "type": "server_error", "code": None, "param": None}}
    assert _openai(_stream(f"data: {json.dumps(event)}\n\n"), stream=True).kind is K.SERVER_ERROR
    event["error"]["code"] = "rate_limit_exceeded"
    assert _openai(_stream(f"data: {json.dumps(event)}\n\n"), stream=True).kind is K.RATE_LIMITED


def test_an_error_inside_an_anthropic_stream_is_read_by_its_type() -> None:
    event = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    verdict = _anthropic(_stream(f"event: error\ndata: {json.dumps(event)}\n\n"), stream=True)
    assert (verdict.kind, verdict.retry) == (K.OVERLOADED, True)


def test_an_event_that_is_no_json_is_a_server_error() -> None:
    assert _openai(_stream("data: {nonsense\n\n"), stream=True).kind is K.SERVER_ERROR


def test_a_truncated_or_filtered_parse_is_not_the_transports_fault() -> None:
    filtered = openai.ContentFilterFinishReasonError()
    assert classify(filtered).kind is K.CONTENT_FILTERED
    completion = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "{"}}
        ],
    }
    with httpx2.Client(transport=httpx2.MockTransport(_answer(200, completion))) as http:
        client = openai.OpenAI(api_key="x", http_client=http, max_retries=0)
        with pytest.raises(openai.LengthFinishReasonError) as caught:
            client.chat.completions.parse(model="m", messages=[{"role": "user", "content": "hi"}])
    assert classify(caught.value).kind is K.INVALID_OUTPUT
