"""The choke point: every string that telemetry writes goes through `clean`.

What telemetry writes is typed and known: numbers, closed lists, and a few names. Names still come from outside (a
configuration, a provider's answer), and a key pasted where a model's name belongs must not reach a log. Names repeat,
so that a cleaned one is remembered and costs a dictionary look-up.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from resilient_ai.core.fork import ChildLock
from resilient_ai.privacy.known_values import PROCESS_VALUES
from resilient_ai.privacy.redactor import FAILED as PLACEHOLDER
from resilient_ai.privacy.redactor import Redactor

__all__ = ["MAX_CHARACTERS", "PLACEHOLDER", "TextRedactor", "clean", "clean_once", "count", "counts"]

MAX_CHARACTERS: Final = 256
"""A name longer than this is cut: no model, chain or provider code is, and an attribute must stay small."""

_MAX_INSPECTED: Final = 4096
"""Characters of a value that are looked at; only the first `MAX_CHARACTERS` of them are written."""

_MAX_REMEMBERED: Final = 2048
"""Cleaned names kept. A process has tens; the bound is for one that makes names up."""


class TextRedactor(Protocol):
    """What telemetry needs of a redactor; `resilient_ai.privacy.Redactor` is one."""

    @property
    def errors(self) -> int:
        """Values it replaced as a whole because it failed on them."""
        ...

    def text(self, text: str, /) -> str:
        """`text` without what must not be seen."""
        ...


_IDENTIFIER: Final = re.compile(r"(?:chatcmpl|cmpl|gen|msg|req|resp)[-_][A-Za-z0-9_-]{6,80}")
"""Identifiers as providers form them. They are one to a call, and searching one for everything costs 7 us."""

_lock: Final = ChildLock()
_redactor: TextRedactor = Redactor(profile="machine")
_remembered: dict[str, str] = {}
_known_values = 0
_redactions = 0
_errors = 0


def clean(name: str) -> str:
    """`name` without what must not be seen, remembered. For names that repeat: models, chains, reasons."""
    global _known_values  # noqa: PLW0603 - the version of the keys of this process under which `_remembered` was filled
    if PROCESS_VALUES.version != _known_values:
        # A key was loaded since: what passed before it was known may hold it.
        _remembered.clear()
        _known_values = PROCESS_VALUES.version
    known = _remembered.get(name)
    if known is None:
        known = _redact(name)
        if len(_remembered) >= _MAX_REMEMBERED:
            _remembered.clear()
        _remembered[name] = known
    return known


def clean_once(value: str) -> str:
    """As `clean`, not remembered. For values that never repeat: identifiers of answers and requests."""
    if _IDENTIFIER.fullmatch(value) and not PROCESS_VALUES.stand_in(value):
        return value
    return _redact(value)


def counts() -> tuple[int, int]:
    """How many values were changed, and how many were replaced because the redactor failed."""
    with _lock:
        return _redactions, _errors + _redactor.errors


def count(*, redactions: int = 0, errors: int = 0) -> None:
    """Adds to what `counts` tells, for the redactors of an application's own spans and log lines."""
    global _redactions, _errors  # noqa: PLW0603 - two counters of the process
    with _lock:
        _redactions += redactions
        _errors += errors


def _redact(value: str) -> str:
    inspected = value[:_MAX_INSPECTED]
    try:
        cleaned = _redactor.text(inspected)
    except Exception:  # noqa: BLE001 - closed, whatever failed: the raw value must not pass
        count(errors=1)
        return PLACEHOLDER
    if cleaned not in (inspected, PLACEHOLDER):
        count(redactions=1)
    return cleaned[:MAX_CHARACTERS]
