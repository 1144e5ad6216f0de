"""A way to end a blocking attempt from another thread: the one that lost a race."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import final

from resilient_ai.core.deadline import AttemptTimeout


@final
class Brake:
    """What an attempt waits on now, and whether it is still wanted. Shared by the thread of the attempt and the one that may end it.

    Attributes:
        pulled: The attempt is not wanted any more; what it still answers is dropped.
    """

    __slots__ = ("_lock", "_stop", "pulled")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stop: Callable[[], None] | None = None
        self.pulled = False

    def holds(self, stop: Callable[[], None]) -> None:
        """The attempt is about to wait for something that `stop`, called from any thread, ends at once.

        Raises:
            AttemptTimeout: It is not wanted any more.
        """
        with self._lock:
            if self.pulled:
                raise AttemptTimeout
            self._stop = stop

    def free(self) -> None:
        """What the attempt waited on is about to be closed or given to somebody else; it is not touched after this."""
        with self._lock:
            self._stop = None

    def pull(self) -> bool:
        """Ends the wait under way, and every later one; True if there was one it could end. Idempotent."""
        with self._lock:
            self.pulled = True
            stop, self._stop = self._stop, None
            if stop is not None:
                stop()
            return stop is not None
