"""How the lines of an audit trail are bound together. Pure: no file, no clock.

A line is a JSON object whose last member is its seal: a digest over the seal of the line before and everything else in the line. To change,
remove or insert a line, every seal behind it must be made anew, and with a key nobody can who does not hold it. What no chain can show is
that its end is missing: for that, a seal has to be noted somewhere else.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast, final

from resilient_ai.telemetry.audit.options import derived

if TYPE_CHECKING:
    from resilient_ai.privacy.secret import Secret

BEGINNING: Final = "0" * 64
"""What the first line of a trail is sealed together with."""
_SEALED: Final = re.compile(rb'(\{.*),"seal":"([0-9a-f]{64})"\}', re.DOTALL)


@final
@dataclass(frozen=True, slots=True)
class Link:
    """The end of a chain as far as it is known: the number of its last line, and that line's seal."""

    n: int = 0
    seal: str = BEGINNING


@final
class Sealer:
    """Seals lines, and tells whether a seal is right.

    Args:
        key: The trail's key; without one seals are bare digests, which anybody can make.
    """

    __slots__ = ("_key", "key_id")

    def __init__(self, key: Secret | None) -> None:
        self._key = None if key is None else derived(key, "seal")
        self.key_id: str | None = None if key is None else derived(key, "id").hex()[:8]
        """Tells keys apart without giving any of them away; None without a key."""

    def line(self, after: Link, fields: Mapping[str, object]) -> tuple[bytes, Link]:
        """The line that follows `after`, with its line feed, and the end of the chain it makes."""
        number = after.n + 1
        body = json.dumps({"n": number, **fields}, separators=(",", ":")).encode()[:-1]
        seal = self._seal(after.seal, body)
        return b'%b,"seal":"%b"}\n' % (body, seal.encode()), Link(number, seal)

    def fits(self, after: Link, line: bytes) -> bool:
        """`line`, without its line feed, follows `after` and is as it was written."""
        found = _SEALED.fullmatch(line)
        return found is not None and hmac.compare_digest(self._seal(after.seal, found[1]), found[2].decode())

    def _seal(self, before: str, body: bytes) -> str:
        content = before.encode() + b"\n" + body
        if self._key is None:
            return hashlib.sha256(content).hexdigest()
        return hmac.digest(self._key, content, "sha256").hex()


def read(line: bytes) -> tuple[Link, dict[str, object]] | None:
    """The place `line` has in its chain by its own account, and what it holds; None if it is no line of a trail, or half of one."""
    found = _SEALED.fullmatch(line)
    if found is None:
        return None
    try:
        fields: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    number = cast("dict[str, object]", fields).get("n") if isinstance(fields, dict) else None
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    return Link(number, found[2].decode()), cast("dict[str, object]", fields)
