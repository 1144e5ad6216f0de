"""The keys that wrapped clients send: every redactor of the process looks for them, wherever a provider repeats them."""

from __future__ import annotations

from typing import Final

from resilient_ai.core.fork import ChildLock
from resilient_ai.privacy.known_values import PROCESS_VALUES, register
from resilient_ai.privacy.secret import Secret

MOST: Final = 64
"""Keys that are looked for at a time, the last ones used. Looking for one more costs every text that is redacted some 0.2 us; an application
that serves each of its tenants with their own key may have thousands."""

_kept: Final[dict[str, Secret]] = {}
_lock: Final = ChildLock()


def keep(digest: str, key: str) -> None:
    """Has `key` looked for from now on.

    Args:
        digest: Tells it from other keys.
        key: As it is sent, perhaps behind the name of its scheme (`Bearer`).
    """
    if digest in _kept:
        return
    secret = Secret(key.rpartition(" ")[2])
    with _lock:
        if digest in _kept or not register(secret):
            return
        _kept[digest] = secret
        if len(_kept) > MOST:
            PROCESS_VALUES.discard(_kept.pop(next(iter(_kept))))
