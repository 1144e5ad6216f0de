"""One vocabulary for failure, and what each kind means before any policy is applied.

Nothing else in the library decides whether a failure is worth another try: the classifier maps whatever
happened to one `FailureKind`, and `MEANINGS` says what that kind allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeAlias, final

Health: TypeAlias = Literal["failure", "success", "neutral"]
"""What an attempt says about the model's health. `neutral` tells the breaker nothing."""

Action: TypeAlias = Literal["retry", "next", "raise", "wait"]
"""What a user may ask for, per kind, instead of the default (`on={"content_filtered": "next"}`)."""


@final
class FailureKind(StrEnum):
    """Why an attempt did not give a usable answer. A closed list; its values appear in telemetry."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    AUTHENTICATION = "authentication"
    MODEL_UNAVAILABLE = "model_unavailable"
    CONTEXT_OVERFLOW = "context_overflow"
    CONTENT_FILTERED = "content_filtered"
    BAD_REQUEST = "bad_request"
    INVALID_OUTPUT = "invalid_output"
    STREAM_INTERRUPTED = "stream_interrupted"
    LOCAL = "local"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@final
@dataclass(frozen=True, slots=True)
class Meaning:
    """What a kind of failure allows before any policy is applied.

    Attributes:
        retry: The same model may be asked again soon.
        next_model: Another model may be asked.
        health: What the breaker learns.
        alert: An operator has to act (a key, a bill, a name); waiting does not mend it. The breaker opens long.
        max_retries: A bound below the policy's own number of attempts, or None.
    """

    retry: bool
    next_model: bool
    health: Health
    alert: bool = False
    max_retries: int | None = None


MEANINGS: Final[dict[FailureKind, Meaning]] = {
    FailureKind.CONNECTION: Meaning(retry=True, next_model=True, health="failure"),
    FailureKind.TIMEOUT: Meaning(retry=True, next_model=True, health="failure"),
    # A rate limit paces the model; it says nothing about its health.
    FailureKind.RATE_LIMITED: Meaning(retry=True, next_model=True, health="neutral"),
    FailureKind.QUOTA_EXHAUSTED: Meaning(retry=False, next_model=True, health="failure", alert=True),
    FailureKind.OVERLOADED: Meaning(retry=True, next_model=True, health="failure"),
    FailureKind.SERVER_ERROR: Meaning(retry=True, next_model=True, health="failure"),
    FailureKind.AUTHENTICATION: Meaning(retry=False, next_model=True, health="failure", alert=True),
    FailureKind.MODEL_UNAVAILABLE: Meaning(retry=False, next_model=True, health="failure", alert=True),
    # The engine moves on only to a model with a larger context window.
    FailureKind.CONTEXT_OVERFLOW: Meaning(retry=False, next_model=True, health="neutral"),
    FailureKind.CONTENT_FILTERED: Meaning(retry=False, next_model=False, health="neutral"),
    # The caller's fault: replaying it on every paid model would hide a bug and bill for it.
    FailureKind.BAD_REQUEST: Meaning(retry=False, next_model=False, health="neutral"),
    # Re-asks have a count of their own; a transport retry of a bad answer would only repeat it.
    FailureKind.INVALID_OUTPUT: Meaning(retry=False, next_model=True, health="neutral"),
    # After content was delivered only `on_interrupt` decides; before that a cut stream is a connection failure.
    FailureKind.STREAM_INTERRUPTED: Meaning(retry=False, next_model=False, health="failure"),
    FailureKind.LOCAL: Meaning(retry=False, next_model=False, health="neutral"),
    FailureKind.CANCELLED: Meaning(retry=False, next_model=False, health="neutral"),
    FailureKind.UNKNOWN: Meaning(retry=True, next_model=True, health="failure", max_retries=1),
}
"""The verdict table. A user changes a row with `on=`; code never second-guesses it."""


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """What one failure means, as the classifier read it.

    Attributes:
        kind: The one kind this failure is.
        retry: The same model may be asked again soon.
        next_model: Another model may be asked.
        health: What the breaker learns of it.
        retry_after: Seconds the provider asks to wait, or None. Never negative, NaN or infinite.
        sent: Whether the request reached the provider: False makes a retry free of replay risk, None is unknown.
        code: The provider's own machine-readable code, or None. Never free text.
        status: HTTP status, or None.
        reasons: How the classifier came to this, one short phrase a rule. No text from the provider's message.
    """

    kind: FailureKind
    retry: bool
    next_model: bool
    health: Health
    retry_after: float | None = None
    sent: bool | None = None
    code: str | None = None
    status: int | None = None
    reasons: tuple[str, ...] = ()

    @property
    def alert(self) -> bool:
        """An operator has to act; the breaker opens long."""
        return MEANINGS[self.kind].alert


def verdict_of(
    kind: FailureKind,
    *,
    retry_after: float | None = None,
    sent: bool | None = None,
    code: str | None = None,
    status: int | None = None,
    reasons: tuple[str, ...] = (),
) -> Verdict:
    """The verdict the table gives for `kind`."""
    meaning = MEANINGS[kind]
    return Verdict(
        kind, meaning.retry, meaning.next_model, meaning.health, retry_after, sent, code, status, reasons
    )
