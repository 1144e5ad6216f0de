"""The locks of observers: safe where the collector ends a call, and safe in a forked child.

Both happen to telemetry and to little else. A stream that is dropped ends its call in whatever thread the collector runs in, perhaps one
that is inside an observer just then: so the locks are re-entrant. And a process that forks while another of its threads holds a lock
leaves it locked for ever in the child: so they are made anew there.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Final, Protocol


class Locked(Protocol):
    """Guards its state with `_lock`."""

    _lock: threading.RLock


_owners: Final[weakref.WeakSet[Locked]] = weakref.WeakSet()


def renewed_in_children(owner: Locked) -> threading.RLock:
    """A lock for `owner`, which keeps it as `_lock` and gets a new one in every forked child."""
    _owners.add(owner)
    return threading.RLock()


def _after_fork() -> None:
    for owner in list(_owners):
        owner._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
