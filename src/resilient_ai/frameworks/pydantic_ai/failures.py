"""Our failures as the classes pydantic-ai's own code catches (`FallbackModel`, retries, usage of failed attempts). Ours is the `__cause__`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic_ai import exceptions

from resilient_ai.core.failure import FailureKind
from resilient_ai.errors import CallError

_BY_STATUS: Final[Mapping[FailureKind, type[Any]]] = {
    FailureKind.RATE_LIMITED: exceptions.ModelRateLimitError,
    FailureKind.QUOTA_EXHAUSTED: exceptions.ModelQuotaExceededError,
    FailureKind.OVERLOADED: exceptions.ModelOverloadedError,
    FailureKind.SERVER_ERROR: exceptions.ModelServerError,
    FailureKind.AUTHENTICATION: exceptions.ModelAuthenticationError,
    FailureKind.MODEL_UNAVAILABLE: exceptions.ModelNotFoundError,
    FailureKind.CONTEXT_OVERFLOW: exceptions.ModelContextWindowExceededError,
    FailureKind.BAD_REQUEST: exceptions.ModelRequestRejectedError,
}
"""Kinds a provider answers with a status: where it is known, the class is a `ModelHTTPError` too."""
_OTHERS: Final[Mapping[FailureKind, type[exceptions.ModelAPIError]]] = {
    FailureKind.CONNECTION: exceptions.ModelConnectionError,
    FailureKind.TIMEOUT: exceptions.ModelTimeoutError,
    FailureKind.STREAM_INTERRUPTED: exceptions.ModelConnectionError,
}


def failure_of(error: CallError, model_name: str) -> exceptions.ModelAPIError:
    """The exception to raise from `error`. Neither has a body: it may repeat the prompt."""
    failed = next((attempt for attempt in error.attempts if attempt.kind is error.kind), None)
    in_stream = error.kind is FailureKind.STREAM_INTERRUPTED
    category = _BY_STATUS.get(error.kind)
    if category is not None and failed is not None and failed.status is not None:
        return exceptions.ModelHTTPError.for_category(
            category,
            status_code=failed.status,
            model_name=model_name,
            hint=str(error),
            provider_error_code=failed.code,
            retry_after=error.retry_after,
            in_stream=in_stream,
        )
    made = category or _OTHERS.get(error.kind, exceptions.ModelAPIError)
    told: exceptions.ModelAPIError = made(
        model_name,
        str(error),
        provider_error_code=None if failed is None else failed.code,
        retry_after=error.retry_after,
        in_stream=in_stream,
    )
    return told
