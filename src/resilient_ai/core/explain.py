"""Why a failure was read as it was, in words for a terminal. Names rules and codes, never content."""

from __future__ import annotations

from typing import Final

from resilient_ai.core.classify import classify
from resilient_ai.core.failure import FailureKind, Verdict

ADVICE: Final[dict[FailureKind, str]] = {
    FailureKind.CONNECTION: "Check the address, the proxy and the certificate authorities of this machine.",
    FailureKind.TIMEOUT: "Raise the clock that ran out in `Timeouts`, or put a faster model behind this one.",
    FailureKind.RATE_LIMITED: "Set `Limits` to what the account allows, ask for more, or spread the load over models.",
    FailureKind.QUOTA_EXHAUSTED: "Pay the bill or raise the spending limit; no retry can help until then.",
    FailureKind.OVERLOADED: "Wait, or put a model of another provider behind this one.",
    FailureKind.SERVER_ERROR: "Nothing to mend here; retries and a second provider bridge it.",
    FailureKind.AUTHENTICATION: "Check the key, its project, its rights and its region.",
    FailureKind.MODEL_UNAVAILABLE: "Check the model's name, and that this account may use it.",
    FailureKind.CONTEXT_OVERFLOW: "Shorten the input, lower the output limit, or put a model with a larger context behind this one.",
    FailureKind.CONTENT_FILTERED: 'Change the input, or let another model decide: `on={"content_filtered": "next"}`.',
    FailureKind.BAD_REQUEST: "Mend the request; every model would be asked the same wrong thing.",
    FailureKind.INVALID_OUTPUT: "Loosen the schema, raise the output limit, or put a stronger model behind this one.",
    FailureKind.STREAM_INTERRUPTED: "In a `ResilientModel`, choose what follows a cut stream with `on_interrupt`; to a wrapped client it is always an error.",
    FailureKind.LOCAL: "Mend this process: its pool, its memory, its configuration or its code.",
    FailureKind.CANCELLED: "Nothing to mend: the caller ended the call.",
    FailureKind.UNKNOWN: "Teach the classifier with the `classify=` hook if this recurs.",
}
"""How to mend each kind."""


def explain_failure(failure: BaseException) -> str:
    """The reasoning behind the verdict on `failure`, one fact a line.

    Shows the class, the rules that decided, what may happen next and how to mend the cause. Nothing of a message, a body or a header's
    value is in it, so it may go to a log.
    """
    return "\n".join(_lines(type(failure), classify(failure)))


def _lines(raised: type[BaseException], verdict: Verdict) -> list[str]:
    package = raised.__module__.partition(".")[0]
    name = raised.__qualname__ if package == "builtins" else f"{package}.{raised.__qualname__}"
    facts = [f"{name} is read as {verdict.kind}"]
    if verdict.status is not None:
        facts.append(f"  status: {verdict.status}")
    if verdict.code is not None:
        facts.append(f"  code: {verdict.code}")
    facts += [f"  because: {reason}" for reason in verdict.reasons]
    facts.append(f"  same model again: {_yes(allowed=verdict.retry)}{_after(verdict)}")
    facts.append(f"  another model: {_yes(allowed=verdict.next_model)}")
    facts.append(f"  counts for the breaker: {verdict.health}{', opens it long' if verdict.alert else ''}")
    facts.append(
        f"  reached the provider: {'not known' if verdict.sent is None else _yes(allowed=verdict.sent)}"
    )
    facts.append(f"  to mend it: {ADVICE[verdict.kind]}")
    return facts


def _after(verdict: Verdict) -> str:
    return "" if verdict.retry_after is None else f", after {verdict.retry_after:g} s"


def _yes(*, allowed: bool) -> str:
    return "yes" if allowed else "no"
