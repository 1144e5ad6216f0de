"""The classifier, held against labelled failures of real providers and against hostile input."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_ai import errors
from resilient_ai.core.classify import classify
from resilient_ai.core.error_body import MAX_BODY_BYTES
from resilient_ai.core.failure import MEANINGS, FailureKind, Verdict
from resilient_ai.core.signs import CODES, GENERIC_CODES, PROVIDER_CODES, PROVIDER_STATUSES
from resilient_ai.messages import Reply

VECTORS = Path(__file__).parents[2] / "vectors" / "failures.json"
CASES = cast("list[dict[str, object]]", json.loads(VECTORS.read_text("utf-8")))

HOPELESS = {kind for kind, meaning in MEANINGS.items() if not meaning.retry}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(sorted(CODES)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "code",
                    "type",
                    "status",
                    "message",
                    "details",
                    "errors",
                    "metadata",
                    "raw",
                    "response",
                    "choices",
                    "violations",
                ]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def _classified(case: dict[str, object], *, decoded: bool) -> Verdict:
    body = case["body"]
    if not decoded and body is not None and not isinstance(body, str):
        body = json.dumps(body).encode()
    return classify(
        status=cast("int | None", case["status"]),
        headers=cast("dict[str, str]", case["headers"]),
        body=cast("bytes | dict[str, object] | None", body),
        provider=cast("str | None", case["provider"]),
        in_stream=bool(case["in_stream"]),
    )


@pytest.mark.parametrize("decoded", [False, True], ids=["bytes", "decoded"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(cast("dict[str, object]", case)["id"]))
def test_a_real_failure_is_read_as_labelled(case: dict[str, object], *, decoded: bool) -> None:
    verdict = _classified(case, decoded=decoded)
    meaning = MEANINGS[FailureKind(cast("str", case["kind"]))]
    assert verdict.kind == case["kind"], verdict.reasons
    assert verdict.retry is (meaning.retry if case["retry"] is None else case["retry"])
    assert verdict.next_model is (meaning.next_model if case["next_model"] is None else case["next_model"])
    assert verdict.health == meaning.health
    assert verdict.retry_after == pytest.approx(case["retry_after"])
    assert verdict.reasons


OWN_WORDS = set(PROVIDER_CODES) | {provider for provider, _ in PROVIDER_STATUSES}


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["provider"] not in OWN_WORDS], ids=lambda case: str(case["id"])
)
def test_a_provider_without_words_of_its_own_need_not_be_named(case: dict[str, object]) -> None:
    assert _classified(case | {"provider": None}, decoded=True).kind == case["kind"]


def test_the_labelled_failures_cover_every_kind_a_response_can_be() -> None:
    unseen = set(FailureKind) - {cast("str", case["kind"]) for case in CASES}
    assert unseen == {
        FailureKind.CANCELLED,
        FailureKind.LOCAL,
        FailureKind.STREAM_INTERRUPTED,
        FailureKind.UNKNOWN,
    }
    assert len(CASES) >= 100
    assert all(case["source"] for case in CASES)


def test_every_code_is_lower_case_and_decides_alone_at_any_status() -> None:
    for code, kind in CODES.items():
        assert code == code.lower()
        assert code not in GENERIC_CODES
        body = {"error": {"code": code, "message": "x"}}
        assert classify(status=400, body=body).kind is kind
        assert classify(status=500, body=body).kind is kind
        assert classify(status=200, body=body, in_stream=True).kind is kind


ECHOES = [
    "insufficient_quota",
    "context_length_exceeded",
    "You exceeded your current quota, please check your plan and billing details.",
    "This model's maximum context length is 8192 tokens",
    "prompt is too long: 5 tokens > 4 maximum",
    "Overloaded",
    "Rate limit reached for gpt-4. Please try again in 5s.",
    "The response was filtered due to the prompt triggering",
    "The model `gpt-4` does not exist",
    "Incorrect API key provided",
]
QUOTINGS = [
    'Invalid value: "{}". Supported values are: text.',
    "Could not parse: {}",
    "'{}' is not of type 'array' - 'messages.0.content'",
    'messages.0.content: unexpected "{}"',
    "[{{'loc': ['body'], 'input': '{}'}}]",
]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("quoting", QUOTINGS)
def test_a_bad_request_that_quotes_the_prompt_stays_a_bad_request(echo: str, quoting: str) -> None:
    message = quoting.format(echo)
    for body in (
        {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}},
        {"type": "error", "error": {"type": "invalid_request_error", "message": message}},
        {"error": message},
        {"detail": message},
        {"detail": [{"msg": message, "input": {"error": {"code": "insufficient_quota"}}}]},
        message,
    ):
        verdict = classify(status=400, body=body)
        assert verdict.kind is FailureKind.BAD_REQUEST
        assert not verdict.retry
        assert not verdict.next_model


def test_quota_is_asked_before_rate_limit() -> None:
    body = {"error": {"code": "rate_limit_exceeded", "type": "insufficient_quota", "message": "x"}}
    assert classify(status=429, body=body).kind is FailureKind.QUOTA_EXHAUSTED


@given(st.integers(min_value=400, max_value=599))
def test_a_bare_status_is_retried_exactly_if_it_is_transient(status: int) -> None:
    transient = status in {408, 409, 425, 429} or status >= 500
    assert classify(status=status).retry is transient


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_is_neither_followed_nor_asked_again(status: int) -> None:
    verdict = classify(status=status, headers={"location": "https://elsewhere.example"})
    assert not verdict.retry
    assert verdict.next_model
    assert any("redirect" in reason for reason in verdict.reasons)


def test_should_retry_never_revives_what_waiting_does_not_mend() -> None:
    for kind in HOPELESS - {FailureKind.BAD_REQUEST}:
        code = next((code for code, meant in CODES.items() if meant is kind), None)
        if code is not None:
            verdict = classify(status=400, headers={"x-should-retry": "true"}, body={"error": {"code": code}})
            assert verdict.kind is kind
            assert not verdict.retry


@pytest.mark.parametrize(
    "body", [b"", b"   ", b"null", b"{}", b"[]", b"<html>", b"\xff\xfe", b'{"choices": []}', None]
)
def test_a_good_status_without_an_answer_is_a_server_error(body: bytes | None) -> None:
    verdict = classify(status=200, body=body)
    assert verdict.kind is FailureKind.SERVER_ERROR
    assert verdict.retry


def test_nothing_known_is_unknown() -> None:
    assert classify().kind is FailureKind.UNKNOWN
    assert classify(ValueError("insufficient_quota 429 rate limit")).kind is FailureKind.UNKNOWN


def test_a_model_error_of_ours_keeps_the_verdict_it_carries() -> None:
    verdict = classify(status=503)
    failure = errors.ModelError("overloaded", verdict=verdict, model="m", provider="p")
    assert classify(failure) is verdict


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (errors.DeadlineExceeded("x"), FailureKind.TIMEOUT),
        (errors.CircuitOpen("x", retry_after=3.0), FailureKind.OVERLOADED),
        (errors.Overloaded("x"), FailureKind.LOCAL),
        (errors.StreamInterrupted("x", partial=Reply(text="")), FailureKind.STREAM_INTERRUPTED),
        (errors.InvalidOutput("x", draft=Reply(text=""), problem="x"), FailureKind.INVALID_OUTPUT),
        (
            errors.AllModelsFailed("x", [ValueError()], kind=FailureKind.RATE_LIMITED),
            FailureKind.RATE_LIMITED,
        ),
        (errors.InvalidRequest("x"), FailureKind.BAD_REQUEST),
        (errors.ConfigError("x"), FailureKind.LOCAL),
    ],
    ids=lambda value: value.__class__.__name__,
)
def test_an_error_of_ours_is_read_by_the_kind_it_names(failure: Exception, kind: FailureKind) -> None:
    assert classify(failure).kind is kind
    assert classify(failure).retry_after == getattr(failure, "retry_after", None)


SECRET = "Zq9 sk-live-0123456789 the prompt"


def test_nothing_of_the_body_or_the_headers_is_in_a_verdict() -> None:
    for body in (
        {"error": {"message": SECRET, "code": SECRET, "type": SECRET, "status": SECRET, "param": SECRET}},
        {"error": {"message": SECRET, "code": "sk-live-0123456789"}},
        SECRET,
    ):
        verdict = classify(status=429, headers={"retry-after": SECRET, SECRET: SECRET}, body=body)
        assert "Zq9" not in repr(verdict)
        assert "0123456789" not in repr(verdict)


def test_a_huge_body_is_not_parsed() -> None:
    assert (
        classify(
            status=400,
            body=b'{"error": {"code": "insufficient_quota", "x": "' + b"a" * MAX_BODY_BYTES + b'"}}',
        ).kind
        is FailureKind.BAD_REQUEST
    )
    assert classify(status=500, body="<html>" + "a" * 1_000_000).kind is FailureKind.SERVER_ERROR
    assert classify(status=429, body=b"a" * 1_000_000).kind is FailureKind.RATE_LIMITED


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"error":' * 50_000, '{"error": {"code": ' + "9" * 100_000 + "}}", "data: " * 40_000],
)
def test_a_body_made_to_break_parsers_only_loses_its_say(text: str) -> None:
    assert classify(status=500, body=text).kind is FailureKind.SERVER_ERROR


def test_a_message_made_to_break_patterns_is_read_in_linear_time() -> None:
    # A pattern that backtracks would run for minutes here, and the test's time limit would end it.
    for piece in (
        "Rate limit reached for ",
        "litellm.A: ",
        "Quota exceeded for metric: a",
        "1h1m1s",
        "Please try again in 1.1",
        "Your account a ",
        "Limit 1, ",
    ):
        text = piece * 20_000
        classify(status=429, body={"error": {"message": text, "code": "rate_limit_exceeded"}})
        classify(
            status=429, headers={"retry-after": text, "x-ratelimit-reset-tokens": text, "ratelimit": text}
        )


def _sound(verdict: Verdict) -> None:
    assert verdict.retry_after is None or (isfinite(verdict.retry_after) and verdict.retry_after >= 0)
    assert verdict.reasons
    assert verdict.code is None or len(verdict.code) <= 64


@given(
    status=st.none() | st.integers(-5, 999),
    body=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()),
    headers=st.dictionaries(
        st.text(max_size=12) | st.sampled_from(["retry-after", "date", "x-should-retry", "ratelimit"]),
        st.text(max_size=20),
        max_size=3,
    ),
    provider=st.sampled_from([None, "openai", "mistral", "cohere"]),
    in_stream=st.booleans(),
)
def test_any_response_gets_a_sound_verdict(
    *, status: int | None, body: bytes, headers: dict[str, str], provider: str | None, in_stream: bool
) -> None:
    _sound(classify(status=status, body=body, headers=headers, provider=provider, in_stream=in_stream))


@given(JSON.filter(lambda value: isinstance(value, dict)))
def test_any_decoded_body_gets_a_sound_verdict(body: object) -> None:
    _sound(classify(status=429, body=cast("dict[str, object]", body)))


@given(JSON, JSON, JSON, JSON)
def test_any_attributes_of_an_exception_give_a_sound_verdict(
    status: object, body: object, response: object, code: object
) -> None:
    failure = RuntimeError("x")
    for name, value in (
        ("status_code", status),
        ("body", body),
        ("response", response),
        ("code", code),
        ("headers", body),
        ("details", code),
    ):
        setattr(failure, name, value)
    _sound(classify(failure))
