"""A filter that redacts what other code logs through the standard library."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Final, cast, final

from resilient_ai.privacy.redactor import FAILED, Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable

_STANDARD: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime"}


@final
class RedactingFilter(logging.Filter):
    """Redacts message, arguments, exception and extra fields of every record that reaches its handler.

    Attach it to handlers: a filter on a logger does not see the records of that logger's children. The record
    is changed in place, so handlers that come later see it redacted as well.
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        super().__init__()
        self._redactor = redactor or Redactor("machine")

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact `record` and let it pass."""
        redactor = self._redactor
        try:
            record.msg = redactor.text(record.getMessage())
        except Exception:  # noqa: BLE001 - arguments that cannot be formatted may not fail the caller nor pass raw
            record.msg = redactor.failed()
        record.args = None
        if record.exc_info:
            record.exc_text = self._traceback(record)
            # The formatter prints `exc_text` alone; left in place, other handlers would print the exception.
            record.exc_info = None
        elif record.exc_text:
            record.exc_text = redactor.text(record.exc_text)
        if record.stack_info:
            record.stack_info = redactor.text(record.stack_info)
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if extra:
            shown = redactor.value(extra)
            fields = cast("dict[str, object]", shown) if isinstance(shown, dict) else {}
            for name in extra:
                setattr(record, name, fields.get(name, FAILED))
        return True

    def _traceback(self, record: logging.LogRecord) -> str:
        """Return the traceback with its messages redacted; source lines stay, values of locals never appear."""
        try:
            info = record.exc_info
            error = info[1] if info else None
            return (
                self._redactor.text("".join(traceback.format_exception(error)).rstrip("\n")) if error else ""
            )
        except Exception:  # noqa: BLE001 - an exception whose own `__str__` raises
            return self._redactor.failed()


def redact_handlers(handlers: Iterable[logging.Handler], redactor: Redactor | None = None) -> RedactingFilter:
    """Put one `RedactingFilter` on each of `handlers` that has none yet, and return it."""
    redacting = RedactingFilter(redactor)
    for handler in handlers:
        if not any(isinstance(existing, RedactingFilter) for existing in handler.filters):
            handler.addFilter(redacting)
    return redacting
