"""Every exception a caller can meet.

    ResilientError
    ├── ConfigError (ValueError)          a policy, a chain, a key or a file is wrong; known before any call
    ├── InvalidRequest (ValueError)       the request itself cannot be sent to anybody (no messages, ...)
    └── CallError                         a call ended without a usable answer; .kind .attempts .retry_after
        ├── ModelError                    what a model of this library raises for one failed attempt
        ├── AllModelsFailed (ExceptionGroup)  the chain is exhausted; its first member is the first model's cause
        ├── DeadlineExceeded (TimeoutError)   the deadline of the call passed
        ├── CircuitOpen                   every breaker in the way is open
        ├── Overloaded                    shed locally: too many calls in flight here
        ├── BudgetExceeded                a cost cap forbids the call
        ├── HopRefused                    no model left that may take this request without changing its meaning
        ├── StreamInterrupted             a stream broke after content was delivered; .partial
        └── InvalidOutput                 the answer does not fit what was asked; .draft

A chain of one model raises the model's own exception (an SDK's, a function's) with `.attempts` attached.
No text here ever holds a prompt, an answer, a key or a header value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from resilient_ai.core.failure import FailureKind, Verdict

if TYPE_CHECKING:
    from resilient_ai.messages import Attempt, Outcome, Reply


class ResilientError(Exception):
    """Anything this library raises by itself."""


@final
class ConfigError(ResilientError, ValueError):
    """A policy, a chain, a key or a configuration file is wrong, and the text says how to mend it.

    Attributes:
        path: The file, or None.
        line: The line in it, from 1, or None.
        key: Dotted path of the setting, or None.
        suggestion: The nearest right name or value, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        line: int | None = None,
        key: str | None = None,
        suggestion: str | None = None,
    ) -> None:
        where = ""
        if path is not None:
            where = f"{path}:{line}: " if line is not None else f"{path}: "
        hint = f" Did you mean {suggestion!r}?" if suggestion is not None else ""
        super().__init__(f"{where}{message}{hint}")
        self.path = path
        self.line = line
        self.key = key
        self.suggestion = suggestion


@final
class InvalidRequest(ResilientError, ValueError):
    """The request cannot be sent to any model: it has no messages, a tool result nobody asked for, and so on."""


class CallError(ResilientError):
    """A call ended without a usable answer.

    Attributes:
        kind: Why, as the classifier names it.
        attempts: Every request that was sent, in order.
        outcome: The whole history, or None where the call never began.
        retry_after: Seconds after which another call may succeed, or None.
    """

    kind: FailureKind = FailureKind.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        kind: FailureKind | None = None,
        outcome: Outcome | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        if kind is not None:
            self.kind = kind
        self.outcome = outcome
        self.retry_after = retry_after

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every request that was sent, in order."""
        return () if self.outcome is None else self.outcome.attempts


@final
class ModelError(CallError):
    """One attempt at one model failed, and `verdict` says what that means.

    Raised by the models of this library, where an SDK would raise its own classes. Its text names the model,
    the kind, the status and the provider's code; the provider's message and body never stand in it, because they may repeat
    the prompt or the key. `body` holds what the provider sent, for `explain_failure` and for a debugger.

    Attributes:
        verdict: The classifier's reading.
        model: The model asked.
        provider: Its provider.
        status_code: HTTP status, or None.
        request_id: The provider's identifier of the request, or None.
        body: The first bytes of the answer, at most 64 KiB, or None. May hold content: never log it.
    """

    def __init__(
        self,
        what: str,
        *,
        verdict: Verdict,
        model: str,
        provider: str,
        status_code: int | None = None,
        request_id: str | None = None,
        body: bytes | None = None,
        partial: Reply | None = None,
    ) -> None:
        super().__init__(f"{provider}:{model}: {what}", kind=verdict.kind, retry_after=verdict.retry_after)
        self.verdict = verdict
        self.model = model
        self.provider = provider
        self.status_code = status_code
        self.request_id = request_id
        self.body = body
        self.partial = partial


@final
class AllModelsFailed(CallError, ExceptionGroup[Exception]):
    """Every model of the chain failed or was passed over. The first member is the first model's failure."""

    def __new__(
        cls,
        message: str,
        exceptions: Sequence[Exception],
        *,
        kind: FailureKind | None = None,  # noqa: ARG004 - taken by __init__
        outcome: Outcome | None = None,  # noqa: ARG004 - taken by __init__
        retry_after: float | None = None,  # noqa: ARG004 - taken by __init__
    ) -> AllModelsFailed:
        return ExceptionGroup.__new__(cls, message, exceptions)

    def __init__(
        self,
        message: str,
        exceptions: Sequence[Exception],
        *,
        kind: FailureKind | None = None,
        outcome: Outcome | None = None,
        retry_after: float | None = None,
    ) -> None:
        CallError.__init__(self, message, kind=kind, outcome=outcome, retry_after=retry_after)
        self.args = (message, list(exceptions))

    def __repr__(self) -> str:
        # The standard one repeats the texts of its members, and those of other libraries may hold anything.
        members = ", ".join(type(error).__name__ for error in self.exceptions)
        return f"AllModelsFailed({self.message!r}, [{members}])"

    def derive(self, excs: Sequence[Exception]) -> AllModelsFailed:  # type: ignore[override]
        """A group of the same call with other members (`except*` splits one)."""
        return AllModelsFailed(
            self.message, excs, kind=self.kind, outcome=self.outcome, retry_after=self.retry_after
        )


@final
class DeadlineExceeded(CallError, TimeoutError):
    """The deadline of the call passed before any model had answered."""

    kind = FailureKind.TIMEOUT


@final
class CircuitOpen(CallError):
    """Every model in the way has an open breaker, and the policy is to fail fast. `__cause__` is what opened it."""

    kind = FailureKind.OVERLOADED


@final
class Overloaded(CallError):
    """Shed here, before anything was sent: too many calls are in flight or waiting in this process, or their models have no room for more."""

    kind = FailureKind.LOCAL


@final
class BudgetExceeded(CallError):
    """A cost cap forbids the call; nothing was sent."""

    kind = FailureKind.LOCAL


@final
class HopRefused(CallError):
    """No model is left that may take the request: a hop would widen exposure or change its meaning.

    The text names each model that was passed over and the reason.
    """

    kind = FailureKind.LOCAL


@final
class StreamInterrupted(CallError):
    """A stream broke after content was delivered. `partial` is what came; `__cause__` is what broke it."""

    kind = FailureKind.STREAM_INTERRUPTED

    def __init__(
        self,
        message: str,
        *,
        partial: Reply,
        kind: FailureKind | None = None,
        outcome: Outcome | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, kind=kind, outcome=outcome, retry_after=retry_after)
        self.partial = partial


@final
class InvalidOutput(CallError):
    """The answer does not fit `output_type` or a check. `draft` is the last answer; `problem` says what is wrong.

    `problem` is written from the schema and the place in the answer, without values, and goes back to the model on a re-ask.
    """

    kind = FailureKind.INVALID_OUTPUT

    def __init__(
        self,
        message: str,
        *,
        draft: Reply,
        problem: str,
        check: str = "output",
        kind: FailureKind | None = None,
        outcome: Outcome | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, kind=kind, outcome=outcome, retry_after=retry_after)
        self.draft = draft
        self.problem = problem
        self.check = check
