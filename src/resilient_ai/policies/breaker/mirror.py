"""State changes replayed into pybreaker, for its listeners and storages.

Listeners run in the thread of the call, outside every lock. A storage may be a network away, so it is written by a thread of its
own that lives only while there is something to write: a slow or dead store never delays a call.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Final, final

from resilient_ai.policies.breaker.options import Breaker

if TYPE_CHECKING:
    from collections.abc import Callable

    from pybreaker import CircuitBreaker

    from resilient_ai.policies.breaker.gate import Change

_log = logging.getLogger("resilient_ai")

PYBREAKER_STATES: Final = {
    "closed": "close",
    "disabled": "close",
    "open": "open",
    "forced-open": "open",
    "half-open": "half_open",
}


@final
class Mirror:
    """Keeps one pybreaker object in step with a gate. Thread safe."""

    __slots__ = ("_breaker", "_lock", "_options", "_pending", "_reported", "_running")

    def __init__(self, options: Breaker, name: str) -> None:
        self._options = options
        # Re-entrant: a stream that the collector drops moves the breaker, perhaps in a thread that is just in here.
        self._lock = threading.RLock()
        self._pending: deque[str] = deque()
        self._running = False
        self._reported = False
        self._breaker: CircuitBreaker | None = None
        if options.listeners or options.storage is not None:
            from pybreaker import CircuitBreaker

            self._breaker = CircuitBreaker(
                fail_max=options.consecutive or options.min_calls,
                reset_timeout=options.open_for,
                listeners=list(options.listeners),
                state_storage=options.storage,
                name=name,
            )

    def replay(self, changes: tuple[Change, ...]) -> None:
        """Brings the pybreaker object to the last of `changes`, in order."""
        if self._breaker is None or not changes:
            return
        if self._options.storage is None:
            for change in changes:
                self._apply(PYBREAKER_STATES[change.new])
            return
        with self._lock:
            self._pending.extend(PYBREAKER_STATES[change.new] for change in changes)
            if self._running:
                return
            self._running = True
        try:
            threading.Thread(target=self._drain, name="resilient-ai-breaker-storage", daemon=True).start()
        except (
            RuntimeError
        ):  # no thread to be had, or the interpreter is on its way out: the next change tries again
            with self._lock:
                self._running = False

    def reset_lock(self) -> None:
        """Makes it usable in a forked child, where the writing thread does not exist."""
        self._lock = threading.RLock()
        self._running = False

    def _drain(self) -> None:
        while True:
            with self._lock:
                if not self._pending:
                    self._running = False
                    return
                method = self._pending.popleft()
            self._apply(method)

    def _apply(self, method: str) -> None:
        change: Callable[[], object] = getattr(self._breaker, method)
        try:
            change()
        except Exception as error:  # noqa: BLE001 - a listener or a store of the user's must not touch the call
            if not self._reported:
                self._reported = True
                _log.warning(
                    "a pybreaker listener or storage failed with %s; further failures are not reported",
                    type(error).__name__,
                )
