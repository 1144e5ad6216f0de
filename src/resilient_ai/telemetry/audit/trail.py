"""Keeps the record of every call. An observer, which no call ever notices."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, TypeAlias, final

from resilient_ai.core import events
from resilient_ai.core.clock import SYSTEM_CLOCK, Clock
from resilient_ai.core.fork import ChildLock
from resilient_ai.errors import ConfigError
from resilient_ai.telemetry import names
from resilient_ai.telemetry.audit import record
from resilient_ai.telemetry.audit.file import SealedFile
from resilient_ai.telemetry.audit.seal import Sealer
from resilient_ai.telemetry.calls import MAX_CALLS, Calls
from resilient_ai.telemetry.redaction import clean

if TYPE_CHECKING:
    from resilient_ai.telemetry.audit.options import Audit

Ids: TypeAlias = Callable[[int], tuple[str, str] | None]
"""Trace and span id of a call, or None."""

_log = logging.getLogger("resilient_ai")
_counting: Final = ChildLock()
_records = 0
_errors = 0


def counts() -> tuple[int, int]:
    """Records written since the process began, and records that could not be."""
    with _counting:
        return _records, _errors


@final
class AuditTrail:
    """Writes a record of each call when it ends, and of what operators do. An observer; safe between threads, tasks and forks.

    A record that cannot be written is counted (`resilient_ai.audit.errors`), reported once, and told of in the next one that can be; the call
    goes on.

    Args:
        audit: Where the trail is kept.
        ids: Trace and span id of a call.
        clock: What records are stamped by.
        currency: What `Attempt.cost` is in.
        limit: How many calls in flight are remembered.

    Raises:
        ConfigError: The file is no audit trail, or one sealed with another key.
        OSError: The file cannot be opened; or, if the trail is required, not written.
    """

    def __init__(
        self,
        audit: Audit,
        *,
        ids: Ids | None = None,
        clock: Clock = SYSTEM_CLOCK,
        currency: str = "USD",
        limit: int = MAX_CALLS,
    ) -> None:
        self._audit = audit
        self._ids = ids
        self._clock = clock
        self._currency = currency
        self._sealer = Sealer(audit.key)
        self._calls: Calls[record.Fields] = Calls(self._give_up, limit=limit)
        self._reported = False
        try:
            self._file = SealedFile(audit.file, self._sealer, self._opening, audit.fsync)
        except ValueError as error:
            raise ConfigError(str(error), key="file") from None
        try:
            self._file.append()
        except OSError as error:
            if audit.required:
                self._file.close({})
                raise
            self._failed(error)

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.CallStarted():
                begun = record.begun(event, self._audit)
                self._calls.put(event.call, {"process": os.getpid(), **begun})
            case events.CallFinished():
                self._finish(event)
            case events.AlertRaised():
                self._put(names.AUDIT_ALERT, record.alert(event))
            case events.BreakerChanged(reason="by hand"):
                self._put(names.AUDIT_BREAKER, record.breaker(event))
            case _:
                pass

    def config_loaded(self, *, source: str, policy: str, chains: int, models: int) -> None:
        """Records that a configuration is in force. Arguments as for `Log.config_loaded`; never raises."""
        fields: record.Fields = {
            "source": clean(source),
            "policy": clean(policy),
            "chains": chains,
            "models": models,
        }
        self._put(names.AUDIT_CONFIG, fields)

    def close(self) -> None:
        """Ends the trail: calls in flight are recorded as unfinished, and the file is closed. Never raises; idempotent."""
        self._calls.drain()
        try:
            self._file.close(self._headed(names.AUDIT_CLOSED))
        except (OSError, ValueError) as error:
            self._failed(error)

    def _finish(self, event: events.CallFinished) -> None:
        begun = self._calls.pop(event.call)
        if begun is not None:
            trace_id, span_id = (None if self._ids is None else self._ids(event.call)) or (None, None)
            ids = {"trace_id": trace_id, "span_id": span_id}
            self._put(names.AUDIT_CALL, {**begun, **ids, **record.ended(event, self._audit, self._currency)})

    def _give_up(self, begun: record.Fields) -> None:
        if begun["process"] == os.getpid():  # not the parent's calls, in a forked child
            self._put(names.AUDIT_CALL, {**begun, "trace_id": None, "span_id": None, **record.unfinished()})

    def _put(self, what: str, fields: record.Fields) -> None:
        try:
            written = self._file.append({**self._headed(what), **fields})
        except Exception as error:  # noqa: BLE001 - whatever keeps a record from its file, the call goes on
            self._failed(error)
        else:
            _count(records=written)

    def _headed(self, what: str) -> record.Fields:
        return {"at": record.stamp(self._clock.wall()), "record": what, "process": os.getpid()}

    def _opening(self, continues: str | None) -> record.Fields:
        return {
            **self._headed(names.AUDIT_OPENED),
            "version": version("resilient_ai"),
            "key": self._sealer.key_id,
            "continues": continues,
        }

    def _failed(self, error: Exception) -> None:
        _count(errors=1)
        if self._reported:
            return
        self._reported = True
        why = errno.errorcode.get(error.errno or 0, "") if isinstance(error, OSError) else ""
        # The application's own log handler may be what is broken; then the count is all that is left to say.
        with contextlib.suppress(Exception):
            _log.warning(
                "audit records cannot be written to their file: %s; calls go on, and further failures are only counted",
                f"{type(error).__qualname__} {why}".rstrip(),
            )


def _count(*, records: int = 0, errors: int = 0) -> None:
    global _records, _errors  # noqa: PLW0603 - two counters of the process
    with _counting:
        _records += records
        _errors += errors
