"""What may leave the process, and in what form."""

from __future__ import annotations

from resilient_ai.privacy.known_values import KnownValues, register
from resilient_ai.privacy.logging_filter import RedactingFilter, redact_handlers
from resilient_ai.privacy.pseudonyms import Pseudonymiser, RestoringStream
from resilient_ai.privacy.redactor import FAILED, Redactor
from resilient_ai.privacy.secret import Secret
from resilient_ai.privacy.spans import Detector, Span
from resilient_ai.privacy.stream import StreamRedactor

__all__ = [
    "FAILED",
    "Detector",
    "KnownValues",
    "Pseudonymiser",
    "RedactingFilter",
    "Redactor",
    "RestoringStream",
    "Secret",
    "Span",
    "StreamRedactor",
    "redact",
    "redact_handlers",
    "redact_log",
    "register",
]

_TEXT = Redactor("text")
_MACHINE = Redactor("machine")


def redact(text: str) -> str:
    """Return `text` with everything sensitive replaced, recall first: for content shown to others."""
    return _TEXT.text(text)


def redact_log(text: str) -> str:
    """Return `text` with secrets and proven identifiers replaced, precision first: for log fields."""
    return _MACHINE.text(text)
