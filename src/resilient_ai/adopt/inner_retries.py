"""The retries an SDK makes by itself, put to none while it is wrapped: a request has one owner, or retries multiply.

What a caller asks of one call (`max_retries` in cohere's `request_options`, `retries` of mistralai, `retry_options` in google-genai's
`config.http_options`) is the caller's: it comes on top.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from resilient_ai.adopt.held import held_by
from resilient_ai.policies.retry import ATTEMPTS

_GOOGLES_ATTEMPTS: Final = 5
"""Source: google-genai, `_api_client.py`, the default of `HttpRetryOptions.attempts`."""

Undo = Callable[[], None]


def attempts_of(sdk: object) -> int:
    """The attempts `sdk` is set to make at a request; the default where it says nothing of them."""
    for one in held_by(sdk):
        most = getattr(one, "base_max_retries", None)
        if isinstance(most, int):
            return max(0, most) + 1
        options = _googles(one)
        if options is not None:
            return int(options.attempts or _GOOGLES_ATTEMPTS)
    return ATTEMPTS


def silence(sdk: object) -> list[Undo]:
    """Puts the retries of `sdk` to none, and returns what puts them back."""
    undo: list[Undo] = []
    for one in list(held_by(sdk)):
        if isinstance(
            getattr(one, "base_max_retries", None), int
        ):  # cohere, and other clients of its generator
            undo.append(_put(one, "base_max_retries", 0))
        if _googles(one) is not None:
            once = sys.modules["tenacity"].stop_after_attempt(1)
            undo.append(_put(one, "_retry", one._retry.copy(stop=once)))  # noqa: SLF001 - there is no other way to it
            undo.append(_put(one, "_async_retry", one._async_retry.copy(stop=once)))  # noqa: SLF001 - as above
        if type(one).__name__ == "RetryConfig" and type(one).__module__.startswith("mistralai."):
            undo += [
                _put(holder, "retry_config", None)
                for holder in list(held_by(sdk))
                if getattr(holder, "retry_config", None) is one
            ]
    return undo


def _googles(one: Any) -> Any:
    """The retry options of google-genai's own client, or None for anything else and where there are none."""
    if hasattr(one, "_async_retry") and hasattr(one, "_http_options"):
        return one._http_options.retry_options  # noqa: SLF001 - as above
    return None


def _put(holder: Any, name: str, value: Any) -> Undo:
    before = getattr(holder, name)
    setattr(holder, name, value)

    def undo() -> None:
        if getattr(holder, name) is value:  # else the application has set it since
            setattr(holder, name, before)

    return undo
