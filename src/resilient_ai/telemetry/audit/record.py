"""What a line of an audit trail holds: numbers, closed lists, names, sizes and fingerprints. Never a text of a call.

The kinds of records and their keys are `names.AUDIT_RECORDS`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeAlias, assert_never

from resilient_ai.core import events
from resilient_ai.messages import (
    Attempt,
    Foreign,
    Image,
    Message,
    Outcome,
    Part,
    Reasoning,
    Reply,
    Request,
    Skip,
    Text,
    ToolCall,
    ToolResult,
)
from resilient_ai.telemetry import names
from resilient_ai.telemetry.audit.options import Audit
from resilient_ai.telemetry.redaction import clean, clean_once

Fields: TypeAlias = dict[str, object]


def stamp(wall: float) -> str:
    """An instant, in seconds since the epoch, in ISO 8601."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def begun(started: events.CallStarted, audit: Audit) -> Fields:
    """What is known of a call from its beginning on."""
    request = started.request
    return {
        "call": started.call,
        "chain": clean(started.chain),
        "operation": started.operation,
        "policy": clean(started.policy),
        "data_class": request.data_class,
        "models": [clean(model) for model in started.models],
        "deadline": started.deadline,
        "prompt": _prompt(request, audit),
    }


def ended(finished: events.CallFinished, audit: Audit, currency: str) -> Fields:
    """How a call ended."""
    outcome = finished.outcome
    return {
        "outcome": names.outcome(error=finished.error, degraded=outcome.degraded),
        "error_type": None if finished.error is None else names.error_type(finished.error),
        "served_by": None if outcome.served_by is None else clean(outcome.served_by),
        "seconds": round(outcome.seconds, 6),
        "late": finished.late,
        **_spent(outcome, currency),
        "attempts": [_attempt(attempt) for attempt in outcome.attempts],
        "skipped": [_skip(skip) for skip in outcome.skipped],
        "flags": [clean(flag) for flag in outcome.flags],
        "answer": None if finished.reply is None else _answer(finished.reply, audit),
    }


def unfinished() -> Fields:
    """The end of a call that was under way when the watching ended: what came of it is not known."""
    return {
        **dict.fromkeys(
            ("error_type", "served_by", "seconds", "late", "cost", "currency", "attempts", "skipped", "flags")
        ),
        "outcome": names.UNFINISHED,
        "answer": None,
    }


def breaker(changed: events.BreakerChanged) -> Fields:
    """A breaker that somebody moved by hand."""
    return {
        "provider": clean(changed.provider),
        "model": clean(changed.model),
        "old": changed.old,
        "new": changed.new,
    }


def alert(raised: events.AlertRaised) -> Fields:
    """A key that was refused, a quota that is spent, a model that is gone."""
    return {
        "provider": clean(raised.provider),
        "model": clean(raised.model),
        "error_type": names.error_type(raised.kind.value),
    }


def texts_of(messages: Sequence[Message]) -> Iterator[str]:
    """The texts of a conversation, part by part, as `Audit.fingerprint` takes them."""
    for message in messages:
        for part in message.parts:
            yield _text_of(part)


def _text_of(part: Part) -> str:
    match part:
        case Text() | Reasoning():
            return part.text
        case ToolCall():
            return part.arguments
        case ToolResult():
            return part.content
        case Image():
            return part.data if part.data is not None else part.url or ""
        case Foreign():
            # No text that anybody could look for. What cannot be written as JSON was refused before the call began.
            return json.dumps(part.value, sort_keys=True, default=lambda value: type(value).__name__)
        case _:
            assert_never(part)


def _prompt(request: Request, audit: Audit) -> Fields:
    texts = list(texts_of(request.messages))
    return {
        "messages": len(request.messages),
        "characters": sum(map(len, texts)),
        "fingerprint": audit.fingerprint(*texts) if texts else None,
    }


def _answer(reply: Reply, audit: Audit) -> Fields:
    return {
        "characters": len(reply.text),
        "tool_calls": len(reply.tool_calls),
        "finish_reason": reply.finish_reason,
        "fingerprint": audit.fingerprint(reply.text),
    }


def _spent(outcome: Outcome, currency: str) -> Fields:
    return {"cost": outcome.cost, "currency": currency}


def _attempt(attempt: Attempt) -> Fields:
    usage = attempt.usage
    return {
        "provider": clean(attempt.provider),
        "model": clean(attempt.model),
        "n": attempt.n,
        "error_type": None if attempt.kind is None else names.error_type(attempt.kind.value),
        "verdict": clean(attempt.verdict),
        "status": attempt.status,
        "code": None if attempt.code is None else clean(attempt.code),
        "waited": attempt.waited,
        "seconds": round(attempt.seconds, 6),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost": attempt.cost,
        "request_id": None if attempt.request_id is None else clean_once(attempt.request_id),
    }


def _skip(skip: Skip) -> Fields:
    return {"provider": clean(skip.provider), "model": clean(skip.model), "reason": clean(skip.reason)}
