"""Reads an audit trail back, and says where it was tampered with.

Made for whoever has to show that a trail is whole: it needs the files and the key, and nothing of the application.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from resilient_ai.privacy.secret import Secret
from resilient_ai.telemetry import names
from resilient_ai.telemetry.audit.seal import Link, Sealer, read

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""No record is longer: a call has a bounded number of attempts."""


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """Something about one line.

    Attributes:
        file: The file.
        line: The line in it, from 1.
        what: What is the matter, in one sentence.
    """

    file: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


@final
@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was found in the files of a trail.

    Attributes:
        records: Records that are as they were written, up to the first broken line.
        calls: Those of them that tell of a call.
        broken: The first line that is not as it was written, or does not follow the one before; None if the trail is whole.
        cut: Lines that end in the middle, because a machine lost its power or a disk was full. The record is lost; nothing else is.
        lost: Records that could not be written, as later ones tell.
        unclosed: Processes that began to write and did not say that they ended: they run still, or were killed, and what they were asked
            at that moment has no record.
        restarts: Files that begin a chain of their own. What stood between them and the file before cannot be told.
        noted: Whether the seal that was noted elsewhere stands in the trail; None if none was given.
        last: Number and seal of the last record, to be noted elsewhere: the one proof that the end is not missing.
    """

    records: int
    calls: int
    broken: Finding | None
    cut: tuple[Finding, ...]
    lost: int
    unclosed: tuple[int, ...]
    restarts: tuple[Path, ...]
    noted: bool | None
    last: Link

    @property
    def whole(self) -> bool:
        """Every record is as it was written, in the order in which it was written; and the noted one is among them."""
        return self.broken is None and self.noted is not False


@final
class _Reading:
    """What is known so far."""

    def __init__(self, sealer: Sealer, noted: str | None) -> None:
        self.sealer = sealer
        self.last = Link()
        self.records = self.calls = self.lost = 0
        self.cut: list[Finding] = []
        self.restarts: list[Path] = []
        self.processes: dict[int, None] = {}
        self.noted = noted
        self.noted_seen = False

    def take(self, file: Path, number: int, line: bytes, *, first: bool) -> Finding | None:
        """Reads one whole line; what is broken about it, or None."""
        found = read(line)
        if found is None:
            self.cut.append(
                Finding(
                    file,
                    number,
                    "the line is no record: it was cut off or written over, and what it held is lost",
                )
            )
            return None
        link, fields = found
        if first and (objection := self._begins(file, number, fields)) is not None:
            return objection
        if not self.sealer.fits(self.last, line):
            return Finding(file, number, self._why(link, fields))
        self.last = link
        self._count(link, fields)
        return None

    def _begins(self, file: Path, number: int, fields: dict[str, object]) -> Finding | None:
        """Settles what the first line of a file follows."""
        if fields.get("record") != names.AUDIT_OPENED:
            return Finding(
                file, number, "the file does not begin with its first record: lines before it are missing"
            )
        key = fields.get("key")
        if key != self.sealer.key_id:
            return Finding(file, number, _other_key(key, self.sealer.key_id))
        continues = fields.get("continues")
        if continues is None:
            if self.last.n:
                self.restarts.append(file)
            self.last = Link()
        elif not self.last.n and isinstance(continues, str):
            # The files before it were not given: it is taken at its word, which its seal binds.
            number_of = fields.get("n")
            self.last = Link(number_of - 1 if isinstance(number_of, int) else 0, continues)
        return None

    def _why(self, link: Link, fields: dict[str, object]) -> str:
        if fields.get("continues") not in (None, self.last.seal):
            return "the file does not follow the one before it: the end of that one, or a file between them, is missing"
        if link.n == self.last.n + 1:
            return (
                f"record {link.n} is not as it was written, or the one before it is not the one it followed"
            )
        return f"record {link.n} follows record {self.last.n}: records were removed, put in or moved"

    def _count(self, link: Link, fields: dict[str, object]) -> None:
        self.records += 1
        self.noted_seen = self.noted_seen or link.seal == self.noted
        lost = fields.get("lost")
        self.lost += lost if isinstance(lost, int) else 0
        process, what = fields.get("process"), fields.get("record")
        if what == names.AUDIT_CALL:
            self.calls += 1
        if isinstance(process, int):
            if what == names.AUDIT_CLOSED:
                self.processes.pop(process, None)
            else:
                self.processes[process] = None

    def report(self, broken: Finding | None) -> AuditReport:
        return AuditReport(
            self.records,
            self.calls,
            broken,
            tuple(self.cut),
            self.lost,
            tuple(self.processes),
            tuple(self.restarts),
            None if self.noted is None else self.noted_seen,
            self.last,
        )


def verify_audit(
    *files: str | os.PathLike[str], key: Secret | str | None = None, noted: str | None = None
) -> AuditReport:
    """Reads the files of a trail, up to the first broken line.

    Args:
        files: The file, or those it was rotated into, in the order in which they were written.
        key: The key it is sealed with, if it is.
        noted: A seal of this trail that was noted elsewhere; a trail that lacks it has lost its end, or is another.

    Raises:
        OSError: A file cannot be read.
    """
    reading = _Reading(Sealer(None if key is None else Secret(key)), noted)
    for path in map(Path, files):
        first = True
        for number, line, whole in _lines(path):
            if not whole:
                reading.cut.append(
                    Finding(path, number, "the last line ends in the middle; its record is lost")
                )
                break
            broken = reading.take(path, number, line, first=first)
            if broken is not None:
                return reading.report(broken)
            first = first and read(line) is None
        if first and not path.stat().st_size:
            return reading.report(Finding(path, 1, "the file is empty: its first record is missing"))
    return reading.report(None)


def _lines(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Each line with its number, and whether it ends in a line feed."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            yield number, line.removesuffix(b"\n"), line.endswith(b"\n")


def _other_key(key: object, ours: str | None) -> str:
    if ours is None:
        return "the trail is sealed with a key; without it only its holder can tell whether it is whole"
    if key is None:
        return "the trail is sealed without a key, and not with the one given"
    return "the trail is sealed with another key than the one given"
