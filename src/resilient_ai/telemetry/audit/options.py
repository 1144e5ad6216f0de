"""What is asked of an audit trail."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias, final

from resilient_ai.errors import ConfigError
from resilient_ai.privacy.secret import Secret

Fsync: TypeAlias = Literal["never", "always"]

SHORTEST_KEY: Final = 16
"""Characters: half of what HMAC-SHA-256 can use, and already more than can be guessed. Source: RFC 2104, section 3."""
_FINGERPRINT_CHARACTERS: Final = 32
"""128 bits: no two texts of one application share them by accident."""


@final
@dataclass(frozen=True, slots=True)
class Audit:
    """An audit trail: where it is kept, and how surely.

    Attributes:
        file: The file that records are appended to; its folder must exist. Several processes may share it.
        key: Seals the lines, and makes fingerprints of what was asked and answered. Without one a line that was changed is still noticed, but
            whoever can write the file can seal it anew, and there are no fingerprints. 16 characters at least.
        fsync: `always` has every record on the disk before the call that made it returns, which costs milliseconds a call and stops an event
            loop for as long; `never` leaves it to the operating system: a process that is killed loses nothing, a machine that loses its
            power may lose the last seconds.
        required: Whether the first record must reach the file. Where it does not, `observe` raises, and no call is made without a trail.

    Raises:
        ConfigError: The key is too short.
    """

    file: Path
    key: Secret | None = field(default=None, repr=False)
    fsync: Fsync = "never"
    required: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "file", Path(self.file).expanduser())
        if self.key is not None:
            object.__setattr__(self, "key", Secret(self.key))
            if len(self.key) < SHORTEST_KEY:
                raise ConfigError(
                    f"the key of an audit trail has {len(self.key)} characters; it must have {SHORTEST_KEY} at least, "
                    "for example those of `openssl rand -hex 32`.",
                    key="key",
                )
        if self.fsync not in ("never", "always"):
            raise ConfigError(f"fsync is {self.fsync!r}; it must be 'never' or 'always'.", key="fsync")

    def fingerprint(self, *texts: str) -> str | None:
        """What stands in a record for `texts`: the texts of a conversation's parts in order, or the text of one answer.

        Equal texts have equal fingerprints under the same key, so that who holds key and text can find the call; nothing leads back from
        it to the text. None without a key: a bare hash would let anybody try texts out.
        """
        if self.key is None:
            return None
        made = hmac.new(derived(self.key, "fingerprint"), digestmod="sha256")
        for text in texts:
            content = text.encode("utf-8", "surrogatepass")
            # Each with its length before it, so that moving a boundary makes another fingerprint.
            made.update(b"%d:" % len(content))
            made.update(content)
        return made.hexdigest()[:_FINGERPRINT_CHARACTERS]


def derived(key: Secret, purpose: str) -> bytes:
    """A key of its own for `purpose`, so that what one use shows says nothing about another."""
    return hmac.digest(
        key.reveal().encode("utf-8", "surrogatepass"), f"resilient_ai audit {purpose}".encode(), "sha256"
    )
