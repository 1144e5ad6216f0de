"""From what went wrong with an answer of the SDK's provider to one verdict, and from a failed call to the SDK's own exception."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from resilient_ai.core.classify import classify
from resilient_ai.core.failure import FailureKind, verdict_of
from resilient_ai.errors import (
    BudgetExceeded,
    CallError,
    CircuitOpen,
    HopRefused,
    ModelError,
    Overloaded,
    StreamInterrupted,
)
from resilient_ai.models.wire import ReportedError, Truncated, WireError

if TYPE_CHECKING:
    from resilient_ai.adopt.primary import Primary
    from resilient_ai.messages import Reply

_MAX_BODY_BYTES: Final = 64 * 1024
_NOT_SENT: Final = (CircuitOpen, Overloaded, HopRefused, BudgetExceeded)
"""Ended here, without an answer of anybody: to a caller of the SDK, as if the provider could not be reached."""


def typed(error: WireError, primary: Primary, headers: Mapping[str, str]) -> ModelError:
    """The typed error of an answer that came with a good status and is none."""
    body: bytes | None = None
    if isinstance(error, ReportedError):
        body = error.body[:_MAX_BODY_BYTES]
        verdict = classify(
            status=error.status or 200, headers=headers, body=body, provider=primary.provider, in_stream=True
        )
    elif isinstance(error, Truncated):
        verdict = verdict_of(FailureKind.CONNECTION, sent=True, reasons=("ended before its terminal event",))
    else:
        verdict = verdict_of(FailureKind.SERVER_ERROR, sent=True, reasons=("not an answer of this format",))
    return ModelError(
        f"{verdict.kind.value.replace('_', ' ')}; the answer is not usable: {error.what}",
        verdict=replace(verdict, sent=True),
        model=primary.name,
        provider=primary.provider,
        status_code=verdict.status or 200,
        body=body,
    )


def sdk_of(kind: type) -> Any:
    """The top-level module of the SDK that `kind` or one of its bases comes from."""
    for base in kind.__mro__:
        module = sys.modules.get(base.__module__.partition(".")[0])
        if module is not None and hasattr(module, "APIError") and hasattr(module, "APIConnectionError"):
            return module
    return None


def sdk_error(sdk: Any, error: Exception, request: Any, response: Any) -> Exception:
    """`error` in the SDK's own classes, for callers that know no others; `error` is then its cause.

    Args:
        sdk: The SDK's top-level module.
        error: What ended the call here, where the SDK itself raised nothing.
        request: The request as the SDK built it.
        response: The answer that was none, or None.
    """
    if sdk is None or request is None or isinstance(error, sdk.APIError):
        return error
    told = error.__cause__ if isinstance(error, StreamInterrupted) else error
    failed = told if isinstance(told, Exception) else error
    what = _what(error)
    kind = failed.kind if isinstance(failed, CallError) else classify(failed).kind
    if kind is FailureKind.LOCAL and not isinstance(failed, CallError):
        return error  # a bug of this process, and nothing an SDK would have raised
    raised: Exception
    if kind is FailureKind.TIMEOUT:
        raised = sdk.APITimeoutError(request=request)
    elif not isinstance(failed, CallError) and failed is error:
        raised = sdk.APIConnectionError(request=request)
    elif not isinstance(failed, CallError) or kind is FailureKind.CONNECTION or isinstance(failed, _NOT_SENT):
        raised = sdk.APIConnectionError(message=what, request=request)
    else:
        body = _decoded(failed.body) if isinstance(failed, ModelError) and failed.body is not None else None
        if body is None and response is not None and hasattr(sdk, "APIResponseValidationError"):
            raised = sdk.APIResponseValidationError(response=response, body=None, message=what)
        else:
            raised = sdk.APIError(what, request, body=body)
    raised.__cause__ = error
    return raised


def error_event(client: Any, error: Exception, response: Any) -> Exception | None:
    """What anthropic's SDK itself raises at the event in which its provider reports an error; None where that is not what happened.

    It says what happened in our own words: the provider's may repeat what it was sent, and stand in `body` only.

    Args:
        client: The SDK's client.
        error: What ended the call here, and the cause of what is given.
        response: Whose stream it was, or None.
    """
    told = error.__cause__ if isinstance(error, StreamInterrupted) else error
    if response is None or not isinstance(told, ModelError) or told.body is None:
        return None
    raised: Exception = client._make_status_error(_what(error), body=_json(told.body), response=response)  # noqa: SLF001 - the SDK's own hook
    raised.__cause__ = error
    return raised


def _what(error: Exception) -> str:
    if isinstance(error, StreamInterrupted):
        return "the stream broke after content was delivered; `.__cause__.partial` holds what came"
    return str(error)


def _json(body: bytes) -> object:
    from resilient_ai.models.wire.jsonbody import decode

    try:
        return decode(body)
    except WireError:
        return None


def _decoded(body: bytes) -> object:
    found = _json(body)
    # The SDKs keep what stands under `error`, and read its code and type from there.
    if not isinstance(found, dict):
        return found
    fields = cast("dict[str, object]", found)
    return fields.get("error", fields)


def says_nothing(reply: Reply) -> bool:
    """A chat answer whose content is null, although it stopped by itself and calls no tool."""
    if reply.text or reply.tool_calls or reply.refusal is not None or reply.finish_reason != "stop":
        return False
    if not isinstance(reply.raw, Mapping):
        return False
    raw = cast("Mapping[str, Any]", reply.raw)
    messages = [choice.get("message") for choice in raw.get("choices") or ()]  # OpenAI's chat
    if "message" in raw:
        messages.append(raw["message"])  # Ollama's and Cohere's
    return bool(messages) and not any(message and message.get("content") is not None for message in messages)
