"""Our failures as the classes LangChain's own code catches (fallbacks, retries, summarising middleware). Ours is the `__cause__`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from langchain_core import exceptions

from resilient_ai.core.failure import FailureKind
from resilient_ai.errors import CallError

_Made = Callable[[str], Exception]

_CLASSES: Final[Mapping[FailureKind, _Made]] = {
    FailureKind.CONNECTION: exceptions.ModelConnectionError,
    FailureKind.TIMEOUT: exceptions.ModelTimeoutError,
    FailureKind.RATE_LIMITED: exceptions.ModelRateLimitError,
    FailureKind.QUOTA_EXHAUSTED: exceptions.ModelPermissionDeniedError,
    FailureKind.OVERLOADED: exceptions.ModelAPIError,
    FailureKind.SERVER_ERROR: exceptions.ModelAPIError,
    FailureKind.AUTHENTICATION: exceptions.ModelAuthenticationError,
    FailureKind.MODEL_UNAVAILABLE: exceptions.ModelNotFoundError,
    FailureKind.CONTEXT_OVERFLOW: exceptions.ContextOverflowError,
    FailureKind.CONTENT_FILTERED: exceptions.ModelRefusalError,
    FailureKind.BAD_REQUEST: exceptions.ModelInvalidRequestError,
    FailureKind.INVALID_OUTPUT: exceptions.OutputParserException,
    FailureKind.STREAM_INTERRUPTED: exceptions.ModelConnectionError,
}


def failure_of(error: CallError) -> Exception:
    """The exception to raise from `error`; `ModelError` for a kind LangChain has no word for."""
    return _CLASSES.get(error.kind, exceptions.ModelError)(str(error))
