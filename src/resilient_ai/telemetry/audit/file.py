"""A file that sealed lines are appended to, by several threads and several processes, over rotation and forks.

One chain goes through the whole file, whoever writes: a lock of the operating system is held from reading the last seal to
writing the next line. The lock is waited for a bounded time, because the process that holds it may be stopped, and a call must not wait
for that. A line is one write, so that a process that is killed leaves whole lines.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Final, TypeAlias, final

from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.core.fork import reset_in_child
from resilient_ai.telemetry.audit import seal
from resilient_ai.telemetry.audit.options import Fsync

Fields: TypeAlias = Mapping[str, object]

LOCK_SECONDS: Final = 0.25
"""How long the file is waited for. Another process holds it for microseconds, or for one write to the disk."""
_LOCK_PAUSE: Final = 0.0005
_TAIL_BYTES: Final = 65_536
"""What is read first to find the last line; more if that line is longer."""
_MODE: Final = 0o600
"""Only the application's own user may read who asked what kind of thing, and when."""


@final
class SealedFile:
    """Appends sealed lines. Safe to share between threads and to carry over a fork.

    Args:
        path: The file; its folder must exist.
        sealer: What seals the lines.
        opening: Makes the record that each process begins with in each file, from the seal the trail had come to in the file before
            (None if this one begins it).
        fsync: Whether each line is on the disk before `append` returns.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It holds something else than a trail, or one sealed with another key.
    """

    def __init__(
        self, path: Path, sealer: seal.Sealer, opening: Callable[[str | None], Fields], fsync: Fsync
    ) -> None:
        self._path = path
        self._sealer = sealer
        self._opening = opening
        self._fsync = fsync
        # Re-entrant: the collector may end a dropped stream, and so a call, in the middle of a write of this very thread.
        self._lock = threading.RLock()
        self._writing = False
        self._waiting: deque[Fields | None] = deque()
        self._descriptor = -1
        self._size = -1
        self._last = seal.Link()
        self._greeted = False
        self._lost = 0
        self._open()
        reset_in_child(self)

    @property
    def greeted(self) -> bool:
        """This process has written a line to the file that is open."""
        return self._greeted

    def append(self, fields: Fields | None = None) -> int:
        """Appends a record; without one, only what this process begins with in a file.

        Returns:
            The number of records written; 0 if a write of this very thread is under way and takes the record along.

        What could not be written is counted in the next record that can be (`lost`).

        Raises:
            OSError: It could not be written: no space, no permission, no folder, or the lock was held for too long.
            ValueError: Somebody else has put something into the file that is no line of a trail.
        """
        with self._lock:
            if fields is not None or not self._writing:
                self._waiting.append(fields)
            if self._writing:
                return 0
            self._writing = True
            written = 0
            try:
                while self._waiting:
                    self._write(self._waiting.popleft())
                    written += 1
            finally:
                self._writing = False
            return written

    def close(self, closing: Fields) -> None:
        """Appends a last record, if this process has written any, and closes the file. Idempotent.

        Raises:
            OSError: The record could not be written. The file is closed all the same.
        """
        with self._lock:
            try:
                if self._greeted:
                    self.append(closing)
            finally:
                self._shut()

    def reset_lock(self) -> None:
        """In a forked child: forgets the lock a thread of the parent may have held, and the parent's open file.

        A lock of the system belongs to the open file, which parent and child share: with it they would not exclude each other.
        """
        self._lock = threading.RLock()
        self._writing = False
        self._waiting.clear()
        self._shut()
        self._lost = 0

    def _write(self, fields: Fields | None) -> None:
        try:
            if self._descriptor < 0:
                self._open()
            for last_try in (False, False, True):
                with _locked(self._descriptor):
                    if last_try or not self._moved():
                        self._append(fields)
                        return
                self._shut()
                self._open()
        except (OSError, ValueError):
            if fields is not None:
                self._lost += 1
            raise

    def _append(self, fields: Fields | None) -> None:
        size = os.fstat(self._descriptor).st_size
        if size != self._size:
            size = self._catch_up(size)
        if not self._greeted:
            continues = None if size or not self._last.n else self._last.seal
            size = self._put(self._opening(continues), size)
            self._greeted = True
        if fields is not None:
            self._put({**fields, "lost": self._lost} if self._lost else fields, size)
            self._lost = 0
        if self._fsync == "always":
            os.fsync(self._descriptor)

    def _put(self, fields: Fields, size: int) -> int:
        line, link = self._sealer.line(self._last, fields)
        written = os.write(self._descriptor, line)
        if written < len(line):
            # Half a line would be glued to the next one. Nobody else writes: the lock is ours.
            os.ftruncate(self._descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._last = link
        self._size = size + written
        return self._size

    def _catch_up(self, size: int) -> int:
        """Reads the end of a file that others have written to, and ends a line that was cut short; the size it has then."""
        if size == 0:
            return 0
        found, whole = _last_line(self._descriptor, size)
        if found is None:
            raise ValueError(f"{self._path.name} is no audit trail: begin a new file")
        self._last = found
        return size if whole else size + os.write(self._descriptor, b"\n")

    def _open(self) -> None:
        descriptor = os.open(
            self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), _MODE
        )
        try:
            self._check(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._size = -1
        self._greeted = False

    def _check(self, descriptor: int) -> None:
        """Refuses a file that is no trail, or one that this process could only break."""
        size = os.fstat(descriptor).st_size
        if size == 0:
            return
        first = seal.read(_read(descriptor, 0, _TAIL_BYTES).partition(b"\n")[0])
        if first is None and _last_line(descriptor, size)[0] is None:
            raise ValueError(f"{self._path.name} is no audit trail: begin a new file")
        if first is not None and first[1].get("key") != self._sealer.key_id:
            raise ValueError(
                f"{self._path.name} is sealed with another key, or without one: begin a new file when the key changes"
            )

    def _shut(self) -> None:
        self._greeted = False
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _moved(self) -> bool:
        """The file is no longer where it was: it was rotated away or removed. Then the last line of it is read once more."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            there = None
        ours = os.fstat(self._descriptor)
        if there is not None and (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
            return False
        if ours.st_size not in (self._size, 0):
            self._last = _last_line(self._descriptor, ours.st_size)[0] or self._last
        return True


@contextlib.contextmanager
def _locked(descriptor: int) -> Generator[None]:
    """Keeps other processes out of the file.

    Raises:
        BlockingIOError: Another holds it and does not let go.
    """
    if sys.platform == "win32":  # it has no such lock: there each process needs a file of its own
        yield
        return
    import fcntl

    until = SYSTEM_CLOCK.now() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if SYSTEM_CLOCK.now() > until:
                raise
            SYSTEM_CLOCK.sleep(_LOCK_PAUSE)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _last_line(descriptor: int, size: int) -> tuple[seal.Link | None, bool]:
    """The last whole line of a trail in the file, and whether nothing follows it that has no end."""
    length = min(size, _TAIL_BYTES)
    while True:
        tail = _read(descriptor, size - length, length)
        *lines, rest = tail.split(b"\n")
        for line in reversed(lines[1:] if length < size else lines):
            found = seal.read(line)
            if found is not None:
                return found[0], not rest
        if length == size:
            return None, not rest
        length = min(size, length * 4)


def _read(descriptor: int, at: int, length: int) -> bytes:
    os.lseek(descriptor, at, os.SEEK_SET)  # where it is appended to is not touched by this
    return os.read(descriptor, length)
