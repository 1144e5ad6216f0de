"""What a forked child makes anew.

A fork copies one thread. A lock that another thread of the parent held stays locked for ever in the child, and what those threads had taken
(a place, a probe, money set aside) will never be given back there.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol, final


class Inherited(Protocol):
    """State that threads share. Compared by identity and held weakly."""

    def reset_lock(self) -> None:
        """In a forked child: replaces the locks, and forgets what the parent's threads held."""
        ...


_shared: weakref.WeakSet[Inherited] = weakref.WeakSet()


def reset_in_child(shared: Inherited) -> None:
    """Has `shared.reset_lock()` called in every child forked from now on, before the child runs anything else."""
    _shared.add(shared)


@final
class ChildLock:
    """A lock, used as a context manager, that is free in a forked child whoever held it in the parent.

    Re-entrant: the collector may end a dropped stream, and so a call, in the middle of what this very thread does under the lock.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        reset_in_child(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def reset_lock(self) -> None:
        """In a forked child: replaces the lock if a thread that is not there holds it. One that the forking thread holds it lets go itself."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self._lock = threading.RLock()


def _in_child() -> None:
    for shared in list(_shared):
        shared.reset_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
