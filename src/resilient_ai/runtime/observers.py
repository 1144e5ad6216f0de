"""Who watches the calls of this process, and the rule for an observer that fails.

The runtime asks `current()` once a call and hands every event to `emit`. With nobody watching, `current()` is the empty
tuple, and the runtime does not even build the events. Standard library only: what observers do with an event
(log lines, spans, metrics) is imported only by those who switch it on.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from resilient_ai.core.events import Event, Observer
from resilient_ai.core.fork import ChildLock

_MAX_NAMES: Final = 256
"""Observers told apart in the failure count; what fails beyond that is counted under one name."""

_OVERFLOW: Final = "(others)"

_log = logging.getLogger("resilient_ai")
_lock: Final = ChildLock()
_default: tuple[Observer, ...] = ()
_failures: dict[str, int] = {}
_showing = threading.local()
"""What waits to be shown by the thread that is showing an event; nothing while it is not."""


def add(observer: Observer) -> None:
    """Shows `observer` every call of this process from now on. Adding it again changes nothing.

    Safe from any thread. Calls that have begun keep the observers they began with.
    """
    global _default  # noqa: PLW0603 - one tuple, replaced as a whole, so that readers need no lock
    with _lock:
        if observer not in _default:
            _default = (*_default, observer)


def remove(observer: Observer) -> None:
    """Undoes `add`. Removing one that is not there changes nothing."""
    global _default  # noqa: PLW0603 - as in `add`
    with _lock:
        _default = tuple(known for known in _default if known != observer)


def current() -> tuple[Observer, ...]:
    """The observers of this process, in the order they were added."""
    return _default


def emit(observers: Iterable[Observer], event: Event) -> None:
    """Shows `event` to each observer in turn; one that raises is counted and never changes the call.

    The first failure of an observer is reported as a warning of the logger `resilient_ai`. The report names types only: the
    text of an exception may hold what the observer was looking at.

    An event that arises while this thread is showing another one waits until that one has been shown. It does when the collector drops
    a stream in the middle of an observer, which may be holding a lock just then, its own or one of OpenTelemetry's; and when an observer
    makes a call itself.

    Raises:
        BaseException: What is not an `Exception` (a cancellation, Ctrl-C) passes through; it is not the observer's.
    """
    waiting = getattr(_showing, "waiting", None)
    if waiting is not None:
        waiting.append((observers, event))
        return
    waiting = _showing.waiting = deque[tuple[Iterable[Observer], Event]]()
    try:
        _show(observers, event)
        while waiting:
            _show(*waiting.popleft())
    finally:
        _showing.waiting = None


def _show(observers: Iterable[Observer], event: Event) -> None:
    for observer in observers:
        try:
            observer(event)
        except Exception as error:  # noqa: BLE001 - an observer is foreign code, whatever it raises
            _count(observer, error)


def failures() -> Mapping[str, int]:
    """How often each observer has raised since the process began, by the observer's type or function name."""
    with _lock:
        return dict(_failures)


def _count(observer: Observer, error: Exception) -> None:
    name = _name(observer)
    with _lock:
        if name not in _failures and len(_failures) >= _MAX_NAMES:
            name = _OVERFLOW
        count = _failures[name] = _failures.get(name, 0) + 1
    if count == 1:
        # The application's own log handler may be what is broken; then the count is all that is left to say.
        with contextlib.suppress(Exception):
            _log.warning(
                "observer %s raised %s; the call goes on, and its further failures are only counted",
                name,
                type(error).__qualname__,
            )


def _name(observer: Observer) -> str:
    """Module and qualified name: of a function itself, of any other callable its type."""
    named = observer if hasattr(observer, "__qualname__") else type(observer)
    return f"{getattr(named, '__module__', '?')}.{getattr(named, '__qualname__', '?')}"
