"""Exceptions of every library, read by shape: those installed here for real, the others as stand-ins of the same shape."""

from __future__ import annotations

import asyncio
import errno
import http.client
import json
import socket
import ssl
import urllib.error
from collections.abc import Callable, Mapping
from email.message import Message
from itertools import pairwise
from types import SimpleNamespace
from typing import cast

import httpcore
import httpx
import httpx2
import pydantic
import pytest
import requests
import urllib3.exceptions

from resilient_ai.core.classify import classify
from resilient_ai.core.failure import FailureKind

K = FailureKind


def shaped(
    name: str,
    /,
    *,
    module: str = "somewhere",
    bases: tuple[str, ...] = (),
    args: tuple[object, ...] = ("x",),
    **attributes: object,
) -> Exception:
    """An exception of a class of this name, with these attributes, as a library that is not installed here raises it."""
    parent: type[Exception] = Exception
    for base in (*reversed(bases), name):
        parent = cast("type[Exception]", type(base, (parent,), {"__module__": module}))
    failure = parent(*args)
    for key, value in attributes.items():
        setattr(failure, key, value)
    return failure


def caused(failure: Exception, *causes: BaseException) -> Exception:
    """`failure`, raised from the first of `causes`, that from the second, and so on."""
    chain: list[BaseException] = [failure, *causes]
    for outer, inner in pairwise(chain):
        outer.__cause__ = inner
    return failure


UNTRUSTED = ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")


def wrong_version() -> ssl.SSLError:
    failure = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    failure.reason = "WRONG_VERSION_NUMBER"
    return failure


REQUEST = httpx.Request("POST", "https://api.example/v1")

TRANSPORT: list[tuple[str, Exception, FailureKind, bool, bool | None]] = [
    ("httpx ConnectError", httpx.ConnectError("x"), K.CONNECTION, True, False),
    ("httpx ConnectTimeout", httpx.ConnectTimeout("x"), K.TIMEOUT, True, False),
    ("httpx ReadTimeout", httpx.ReadTimeout("x"), K.TIMEOUT, True, True),
    ("httpx WriteTimeout", httpx.WriteTimeout("x"), K.TIMEOUT, True, None),
    ("httpx PoolTimeout", httpx.PoolTimeout("x"), K.LOCAL, False, False),
    ("httpx ReadError", httpx.ReadError("x"), K.CONNECTION, True, None),
    ("httpx RemoteProtocolError", httpx.RemoteProtocolError("x"), K.CONNECTION, True, None),
    ("httpx LocalProtocolError", httpx.LocalProtocolError("x"), K.LOCAL, False, False),
    ("httpx ProxyError", httpx.ProxyError("x"), K.CONNECTION, True, False),
    ("httpx DecodingError", httpx.DecodingError("x"), K.SERVER_ERROR, True, True),
    ("httpx UnsupportedProtocol", httpx.UnsupportedProtocol("x"), K.LOCAL, False, False),
    ("httpx InvalidURL", httpx.InvalidURL("x"), K.LOCAL, False, False),
    ("httpx TooManyRedirects", httpx.TooManyRedirects("x"), K.SERVER_ERROR, False, True),
    ("httpx2 ConnectError", httpx2.ConnectError("x"), K.CONNECTION, True, False),
    ("httpx2 ReadTimeout", httpx2.ReadTimeout("x"), K.TIMEOUT, True, True),
    ("httpx2 PoolTimeout", httpx2.PoolTimeout("x"), K.LOCAL, False, False),
    ("httpcore ReadError", httpcore.ReadError("x"), K.CONNECTION, True, None),
    ("untrusted certificate", UNTRUSTED, K.CONNECTION, False, False),
    (
        "untrusted certificate in httpx",
        caused(httpx.ConnectError("x"), httpcore.ConnectError("x"), UNTRUSTED),
        K.CONNECTION,
        False,
        False,
    ),
    (
        "plain text behind https",
        caused(httpx.ConnectError("x"), httpcore.ConnectError("x"), wrong_version()),
        K.CONNECTION,
        False,
        False,
    ),
    (
        "reset during the handshake",
        caused(
            httpx.ConnectError("x"), httpcore.ConnectError("x"), ConnectionResetError(errno.ECONNRESET, "x")
        ),
        K.CONNECTION,
        True,
        False,
    ),
    (
        "end of file during the handshake",
        caused(httpx.ConnectError("x"), ssl.SSLEOFError(8, "x")),
        K.CONNECTION,
        True,
        False,
    ),
    ("DNS", socket.gaierror(socket.EAI_NONAME, "x"), K.CONNECTION, True, False),
    ("refused", ConnectionRefusedError(errno.ECONNREFUSED, "x"), K.CONNECTION, True, False),
    ("reset", ConnectionResetError(errno.ECONNRESET, "x"), K.CONNECTION, True, None),
    ("broken pipe", BrokenPipeError(errno.EPIPE, "x"), K.CONNECTION, True, None),
    ("timed out", TimeoutError("x"), K.TIMEOUT, True, None),
    ("asyncio timed out", TimeoutError(), K.TIMEOUT, True, None),
    ("no descriptors", OSError(errno.EMFILE, "x"), K.CONNECTION, True, False),
    ("no route", OSError(errno.EHOSTUNREACH, "x"), K.CONNECTION, True, False),
    ("kernel timeout", OSError(errno.ETIMEDOUT, "x"), K.TIMEOUT, True, None),
    ("all attempts failed", OSError("All connection attempts failed"), K.CONNECTION, True, False),
    ("no such file", FileNotFoundError(errno.ENOENT, "x"), K.LOCAL, False, False),
    ("disk full", OSError(errno.ENOSPC, "x"), K.LOCAL, False, False),
    ("out of memory", MemoryError(), K.LOCAL, False, None),
    ("broken JSON", json.JSONDecodeError("x", "{", 1), K.SERVER_ERROR, True, True),
    ("broken UTF-8", UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), K.SERVER_ERROR, True, True),
    ("cut body", http.client.IncompleteRead(b"x"), K.CONNECTION, True, None),
    ("server hung up", http.client.RemoteDisconnected("x"), K.CONNECTION, True, None),
    ("URL error", urllib.error.URLError(socket.gaierror(-2, "x")), K.CONNECTION, True, False),
    ("URL error of TLS", urllib.error.URLError(UNTRUSTED), K.CONNECTION, False, False),
    (
        "requests connect",
        requests.exceptions.ConnectionError(
            urllib3.exceptions.MaxRetryError(
                cast("urllib3.connectionpool.ConnectionPool", None),
                "/",
                ConnectionRefusedError(errno.ECONNREFUSED, "x"),
            )
        ),
        K.CONNECTION,
        True,
        False,
    ),
    ("requests read timeout", requests.exceptions.ReadTimeout("x"), K.TIMEOUT, True, True),
    ("requests connect timeout", requests.exceptions.ConnectTimeout("x"), K.TIMEOUT, True, False),
    (
        "requests certificate",
        requests.exceptions.SSLError(
            urllib3.exceptions.MaxRetryError(
                cast("urllib3.connectionpool.ConnectionPool", None),
                "/",
                urllib3.exceptions.SSLError(UNTRUSTED),
            )
        ),
        K.CONNECTION,
        False,
        False,
    ),
    (
        "requests TLS cut",
        requests.exceptions.SSLError(urllib3.exceptions.SSLError(ssl.SSLEOFError(8, "x"))),
        K.CONNECTION,
        True,
        None,
    ),
    ("requests chunk", requests.exceptions.ChunkedEncodingError("x"), K.CONNECTION, True, None),
    ("requests JSON", requests.exceptions.JSONDecodeError("x", "{", 1), K.SERVER_ERROR, True, True),
    ("requests URL", requests.exceptions.MissingSchema("x"), K.LOCAL, False, False),
    (
        "client closed",
        RuntimeError("Cannot send a request, as the client has been closed."),
        K.LOCAL,
        False,
        False,
    ),
    ("own bug", NameError("x"), K.LOCAL, False, False),
    ("anything else", RuntimeError("x"), K.UNKNOWN, True, None),
    ("group of one", ExceptionGroup("x", [httpx.ReadTimeout("x")]), K.TIMEOUT, True, True),
    (
        "aiohttp connect",
        shaped(
            "ClientConnectorError",
            module="aiohttp.client_exceptions",
            os_error=ConnectionRefusedError(errno.ECONNREFUSED, "x"),
        ),
        K.CONNECTION,
        True,
        False,
    ),
    (
        "aiohttp certificate",
        shaped("ClientConnectorCertificateError", module="aiohttp.client_exceptions"),
        K.CONNECTION,
        False,
        False,
    ),
    (
        "aiohttp disconnected",
        shaped("ServerDisconnectedError", module="aiohttp.client_exceptions"),
        K.CONNECTION,
        True,
        None,
    ),
    (
        "aiohttp payload",
        shaped("ClientPayloadError", module="aiohttp.client_exceptions"),
        K.CONNECTION,
        True,
        None,
    ),
    (
        "boto endpoint",
        shaped("EndpointConnectionError", module="botocore.exceptions"),
        K.CONNECTION,
        True,
        False,
    ),
    ("boto read timeout", shaped("ReadTimeoutError", module="botocore.exceptions"), K.TIMEOUT, True, True),
    (
        "boto credentials",
        shaped("NoCredentialsError", module="botocore.exceptions"),
        K.AUTHENTICATION,
        False,
        False,
    ),
    (
        "boto parameters",
        shaped("ParamValidationError", module="botocore.exceptions"),
        K.BAD_REQUEST,
        False,
        False,
    ),
    (
        "azure not sent",
        shaped("ServiceRequestError", module="azure.core.exceptions"),
        K.CONNECTION,
        True,
        False,
    ),
    (
        "google credentials",
        shaped("DefaultCredentialsError", module="google.auth.exceptions"),
        K.AUTHENTICATION,
        False,
        False,
    ),
]


@pytest.mark.parametrize(
    ("failure", "kind", "retry", "sent"), [row[1:] for row in TRANSPORT], ids=[row[0] for row in TRANSPORT]
)
def test_a_transport_error_is_known_by_its_class(
    failure: Exception, kind: FailureKind, *, retry: bool, sent: bool | None
) -> None:
    verdict = classify(failure)
    assert (verdict.kind, verdict.retry, verdict.sent) == (kind, retry, sent), verdict.reasons


@pytest.mark.parametrize(
    "failure",
    [
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        GeneratorExit(),
        SystemExit(1),
        BaseExceptionGroup("x", [KeyboardInterrupt()]),
    ],
)
def test_what_leaves_from_outside_is_cancelled_and_neutral(failure: BaseException) -> None:
    verdict = classify(failure)
    assert verdict.kind is K.CANCELLED
    assert not verdict.retry
    assert not verdict.next_model
    assert verdict.health == "neutral"


def test_an_answer_that_does_not_fit_its_model_is_invalid_output() -> None:
    class Ticket(pydantic.BaseModel):
        priority: int

    with pytest.raises(pydantic.ValidationError) as caught:
        Ticket.model_validate_json('{"priority": "high"}')
    assert classify(caught.value).kind is K.INVALID_OUTPUT


QUOTA = {"error": {"message": "x", "type": "insufficient_quota", "code": "insufficient_quota"}}


def grpc(name: str, details: str) -> Exception:
    failure = shaped("AioRpcError", module="grpc.aio", bases=("RpcError",))
    failure.code = lambda: SimpleNamespace(name=name)  # type: ignore[attr-defined]
    failure.details = lambda: details  # type: ignore[attr-defined]
    failure.trailing_metadata = lambda: (("retry-after", "4"),)  # type: ignore[attr-defined]
    return failure


SDKS: list[tuple[str, Callable[[], Exception], FailureKind, float | None]] = [
    (
        "httpx status error",
        lambda: httpx.HTTPStatusError(
            "x",
            request=REQUEST,
            response=httpx.Response(429, headers={"retry-after": "3"}, json=QUOTA, request=REQUEST),
        ),
        K.QUOTA_EXHAUSTED,
        None,
    ),
    (
        "httpx status error, unread",
        lambda: httpx.HTTPStatusError(
            "x",
            request=REQUEST,
            response=httpx.Response(
                429, headers={"retry-after": "3"}, stream=httpx.ByteStream(b"x"), request=REQUEST
            ),
        ),
        K.RATE_LIMITED,
        3.0,
    ),
    (
        "requests status error",
        lambda: requests_error(503, b"<html>", {"Retry-After": "2"}),
        K.OVERLOADED,
        2.0,
    ),
    (
        "urllib status error",
        lambda: urllib.error.HTTPError(
            "https://x", 429, "Too Many Requests", message({"Retry-After": "9"}), None
        ),
        K.RATE_LIMITED,
        9.0,
    ),
    (
        "aiohttp status error",
        lambda: shaped(
            "ClientResponseError",
            module="aiohttp.client_exceptions",
            bases=("ClientError",),
            status=429,
            message="Too Many Requests",
            headers={"Retry-After": "5"},
        ),
        K.RATE_LIMITED,
        5.0,
    ),
    (
        "mistral",
        lambda: shaped(
            "SDKError",
            module="mistralai.models",
            status_code=429,
            body='{"object":"error","message":"Rate limit exceeded","type":"rate_limited","code":"1300"}',
            headers={"retry-after": "1"},
        ),
        K.RATE_LIMITED,
        1.0,
    ),
    (
        "mistral, error inside a stream",
        lambda: shaped(
            "ResponseValidationError",
            module="mistralai.models",
            status_code=200,
            body='{"object":"error","message":"Service tier capacity exceeded for this model.","type":"invalid_request_error","code":null}',
        ),
        K.OVERLOADED,
        None,
    ),
    (
        "mistral, nonsense",
        lambda: shaped(
            "ResponseValidationError", module="mistralai.models", status_code=200, body="nonsense"
        ),
        K.SERVER_ERROR,
        None,
    ),
    (
        "cohere",
        lambda: shaped(
            "TooManyRequestsError",
            module="cohere.errors",
            bases=("ApiError",),
            status_code=429,
            body={"message": "You are using a Trial key, which is limited to 1000 API calls / month."},
            headers={},
        ),
        K.QUOTA_EXHAUSTED,
        None,
    ),
    (
        "cohere 498",
        lambda: shaped(
            "ApiError", module="cohere.core.api_error", status_code=498, body={"message": "x"}, headers={}
        ),
        K.CONTENT_FILTERED,
        None,
    ),
    (
        "ollama",
        lambda: shaped("ResponseError", module="ollama", status_code=404, error="model 'x' not found"),
        K.MODEL_UNAVAILABLE,
        None,
    ),
    (
        "ollama, inside a stream",
        lambda: shaped(
            "ResponseError", module="ollama", status_code=-1, error="llama runner process has terminated"
        ),
        K.SERVER_ERROR,
        None,
    ),
    (
        "google",
        lambda: shaped(
            "ClientError",
            module="google.genai.errors",
            bases=("APIError",),
            code=429,
            status="RESOURCE_EXHAUSTED",
            message="x",
            details={
                "error": {
                    "code": 429,
                    "status": "RESOURCE_EXHAUSTED",
                    "message": "x",
                    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "26s"}],
                }
            },
        ),
        K.RATE_LIMITED,
        26.0,
    ),
    (
        "google, inside a stream",
        lambda: shaped(
            "ServerError",
            module="google.genai.errors",
            bases=("APIError",),
            code=503,
            status="UNAVAILABLE",
            message="x",
            details={"error": {"code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded."}},
        ),
        K.OVERLOADED,
        None,
    ),
    (
        "google api core",
        lambda: shaped(
            "ResourceExhausted",
            module="google.api_core.exceptions",
            bases=("GoogleAPICallError",),
            code=429,
            message="Quota exceeded",
            details=[SimpleNamespace(retry_delay=SimpleNamespace(seconds=7, nanos=500_000_000))],
            errors=(),
        ),
        K.RATE_LIMITED,
        7.5,
    ),
    (
        "google api core, by day",
        lambda: shaped(
            "ResourceExhausted",
            module="google.api_core.exceptions",
            code=429,
            message="x",
            errors=(),
            details=[
                SimpleNamespace(
                    violations=[
                        SimpleNamespace(quota_id="GenerateRequestsPerDayPerProjectPerModel", quota_metric="x")
                    ]
                )
            ],
        ),
        K.QUOTA_EXHAUSTED,
        None,
    ),
    (
        "boto",
        lambda: shaped(
            "ThrottlingException",
            module="botocore.errorfactory",
            bases=("ClientError",),
            response={
                "Error": {
                    "Code": "ThrottlingException",
                    "Message": "Too many requests, please wait before trying again.",
                },
                "ResponseMetadata": {"HTTPStatusCode": 429, "HTTPHeaders": {}},
            },
        ),
        K.RATE_LIMITED,
        None,
    ),
    (
        "boto, too long",
        lambda: shaped(
            "ValidationException",
            module="botocore.errorfactory",
            bases=("ClientError",),
            response={
                "Error": {"Code": "ValidationException", "Message": "Input is too long for requested model."},
                "ResponseMetadata": {"HTTPStatusCode": 400},
            },
        ),
        K.CONTEXT_OVERFLOW,
        None,
    ),
    (
        "boto, inside a stream",
        lambda: shaped(
            "EventStreamError",
            module="botocore.exceptions",
            bases=("ClientError",),
            response={"Error": {"Code": "modelStreamErrorException", "Message": "x"}},
        ),
        K.SERVER_ERROR,
        None,
    ),
    (
        "azure",
        lambda: shaped(
            "HttpResponseError",
            module="azure.core.exceptions",
            status_code=429,
            reason="Too Many Requests",
            response=SimpleNamespace(status_code=429, headers={"retry-after": "7"}),
            error=SimpleNamespace(code="429", message="Rate limit is exceeded."),
        ),
        K.RATE_LIMITED,
        7.0,
    ),
    (
        "azure, filtered",
        lambda: shaped(
            "HttpResponseError",
            module="azure.core.exceptions",
            status_code=400,
            response=SimpleNamespace(status_code=400, headers={}),
            error=SimpleNamespace(code="content_filter", message="x"),
        ),
        K.CONTENT_FILTERED,
        None,
    ),
    (
        "hugging face",
        lambda: shaped(
            "HfHubHTTPError",
            module="huggingface_hub.errors",
            response=SimpleNamespace(status_code=402, headers={}),
            server_message="You have exceeded your monthly included credits",
        ),
        K.QUOTA_EXHAUSTED,
        None,
    ),
    (
        "litellm, embedded Python",
        lambda: shaped(
            "RateLimitError",
            module="litellm.exceptions",
            status_code=429,
            llm_provider="openai",
            message="litellm.RateLimitError: RateLimitError: OpenAIException - Error code: 429 - {'error': {'message': 'x', 'type': 'tokens', 'param': None, 'code': 'insufficient_quota'}}",
        ),
        K.QUOTA_EXHAUSTED,
        None,
    ),
    (
        "litellm, embedded JSON",
        lambda: shaped(
            "BadRequestError",
            module="litellm.exceptions",
            status_code=400,
            llm_provider="anthropic",
            message='litellm.BadRequestError: AnthropicException - {"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 207791 tokens > 200000 maximum"}}',
        ),
        K.CONTEXT_OVERFLOW,
        None,
    ),
    (
        "litellm, sentence",
        lambda: shaped(
            "RateLimitError",
            module="litellm.exceptions",
            status_code=429,
            llm_provider="openai",
            message="litellm.RateLimitError: RateLimitError: OpenAIException - You exceeded your current quota, please check your plan and billing details.",
        ),
        K.QUOTA_EXHAUSTED,
        None,
    ),
    (
        "litellm, by class",
        lambda: shaped(
            "ContextWindowExceededError",
            module="litellm.exceptions",
            bases=("BadRequestError",),
            status_code=400,
            message="x",
        ),
        K.CONTEXT_OVERFLOW,
        None,
    ),
    (
        "litellm, filtered",
        lambda: shaped(
            "ContentPolicyViolationError",
            module="litellm.exceptions",
            bases=("BadRequestError",),
            status_code=400,
            message="x",
        ),
        K.CONTENT_FILTERED,
        None,
    ),
    (
        "gRPC rate",
        lambda: grpc("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
        K.RATE_LIMITED,
        4.0,
    ),
    (
        "gRPC capacity",
        lambda: grpc("RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
        K.OVERLOADED,
        4.0,
    ),
    ("gRPC unavailable", lambda: grpc("UNAVAILABLE", "x"), K.OVERLOADED, 4.0),
    (
        "gRPC unconnected",
        lambda: grpc("UNAVAILABLE", "failed to connect to all addresses"),
        K.CONNECTION,
        None,
    ),
    ("gRPC deadline", lambda: grpc("DEADLINE_EXCEEDED", "x"), K.TIMEOUT, 4.0),
    ("gRPC key", lambda: grpc("UNAUTHENTICATED", "x"), K.AUTHENTICATION, None),
    ("gRPC argument", lambda: grpc("INVALID_ARGUMENT", "x"), K.BAD_REQUEST, None),
    ("gRPC internal", lambda: grpc("INTERNAL", "x"), K.SERVER_ERROR, 4.0),
    ("class name alone", lambda: shaped("RateLimitError", module="acme_llm"), K.RATE_LIMITED, None),
    ("status alone", lambda: shaped("AcmeError", status_code=503), K.OVERLOADED, None),
    ("code alone", lambda: shaped("AcmeError", code="context_length_exceeded"), K.CONTEXT_OVERFLOW, None),
    ("a number called code", lambda: shaped("AcmeError", code=404), K.UNKNOWN, None),
    (
        "wrapped in an application's own",
        lambda: caused(
            shaped("AcmeError"),
            shaped("Another"),
            shaped("AcmeHTTP", status_code=429, headers={"retry-after": "2"}),
        ),
        K.RATE_LIMITED,
        2.0,
    ),
]


def requests_error(status: int, body: bytes, headers: Mapping[str, str]) -> Exception:
    response = requests.Response()
    response.status_code = status
    response._content = body
    response.headers.update(headers)
    return requests.exceptions.HTTPError("x", response=response)


def message(headers: Mapping[str, str]) -> Message:
    built = Message()
    for name, value in headers.items():
        built[name] = value
    return built


@pytest.mark.parametrize(
    ("make", "kind", "retry_after"), [row[1:] for row in SDKS], ids=[row[0] for row in SDKS]
)
def test_an_sdks_exception_is_read_by_its_shape(
    make: Callable[[], Exception], kind: FailureKind, retry_after: float | None
) -> None:
    verdict = classify(make())
    assert (verdict.kind, verdict.retry_after) == (kind, retry_after), verdict.reasons


def test_a_pool_that_is_full_is_local_even_where_an_sdk_calls_it_a_timeout() -> None:
    failure = caused(
        shaped("APITimeoutError", module="openai", bases=("APIConnectionError",)), httpx2.PoolTimeout("x")
    )
    assert classify(failure).kind is K.LOCAL


def test_a_chain_of_causes_may_be_a_circle_or_endless() -> None:
    first, second = ValueError("x"), ValueError("y")
    first.__cause__, second.__cause__ = second, first
    assert classify(first).kind is K.UNKNOWN
    deep: BaseException = httpx.ReadTimeout("x")
    for _ in range(50):
        outer = ValueError("x")
        outer.__cause__ = deep
        deep = outer
    assert classify(deep).kind is K.UNKNOWN


def test_what_was_handled_and_suppressed_is_not_the_cause() -> None:
    failure = ValueError("x")
    failure.__context__ = httpx.ReadTimeout("x")
    assert classify(failure).kind is K.TIMEOUT
    failure.__suppress_context__ = True
    assert classify(failure).kind is K.UNKNOWN


def test_an_unread_response_is_never_read() -> None:
    class Response:
        status_code = 429

        @property
        def content(self) -> bytes:
            raise AssertionError("read from the connection")

        text = content

    assert classify(shaped("AcmeError", response=Response())).kind is K.RATE_LIMITED


def test_properties_that_raise_say_nothing() -> None:
    class Hostile(Exception):
        @property
        def status_code(self) -> int:
            raise ValueError

        body = response = headers = code = details = status_code

    assert classify(Hostile()).kind is K.UNKNOWN
