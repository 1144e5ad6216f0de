"""`explain_failure` shows the reasoning and never the content."""

from __future__ import annotations

import httpx
import pytest

from resilient_ai.core.explain import ADVICE, explain_failure
from resilient_ai.core.failure import FailureKind


def _failure(status: int, body: object, headers: dict[str, str] | None = None) -> Exception:
    request = httpx.Request("POST", "https://api.example/v1")
    return httpx.HTTPStatusError(
        "x", request=request, response=httpx.Response(status, json=body, headers=headers, request=request)
    )


def test_the_reasoning_names_rule_code_consequence_and_remedy() -> None:
    body = {"error": {"message": "x", "type": "tokens", "code": "rate_limit_exceeded"}}
    text = explain_failure(_failure(429, body, {"retry-after": "7"}))
    assert text.splitlines() == [
        "httpx.HTTPStatusError is read as rate_limited",
        "  status: 429",
        "  code: rate_limit_exceeded",
        "  because: code rate_limit_exceeded",
        "  because: wait hint from retry-after",
        "  same model again: yes, after 7 s",
        "  another model: yes",
        "  counts for the breaker: neutral",
        "  reached the provider: yes",
        f"  to mend it: {ADVICE[FailureKind.RATE_LIMITED]}",
    ]


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_no_message_code_or_header_of_the_provider_is_quoted(status: int) -> None:
    secret = "the prompt sk-live-42"
    body = {"error": {"message": secret, "code": secret, "type": secret, "param": secret}}
    text = explain_failure(_failure(status, body, {"retry-after": secret, "x-request-id": secret}))
    assert "prompt" not in text
    assert "sk-live" not in text


def test_the_text_of_an_exception_is_not_shown() -> None:
    assert "secret" not in explain_failure(ValueError("secret"))
    assert explain_failure(KeyboardInterrupt()).startswith("KeyboardInterrupt is read as cancelled")


def test_every_kind_has_a_remedy() -> None:
    assert set(ADVICE) == set(FailureKind)
