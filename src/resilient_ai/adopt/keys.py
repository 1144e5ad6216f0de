"""The keys that wrapped clients send: every redactor of the process looks for them, wherever a provider repeats them."""

from __future__ import annotations

from typing import Final

from resilient_ai.core.fork import ChildLock
from resilient_ai.privacy.known_values import PROCESS_VALUES, register

MOST: Final = 64
"""Keys that are looked for at a time, the latest ones. Looking for one more costs every text that is redacted some 0.2 us; an application
that serves each of its tenants with their own key may have thousands."""

_kept: Final[dict[str, None]] = {}
_lock: Final = ChildLock()

is_kept: Final = _kept.__contains__
"""Whether a key is looked for now; it may have been pushed out since it was kept."""


def keep(key: str) -> None:
    """Has `key` looked for from now on, until as many others were kept. For every request that is sent with it.

    Args:
        key: As it is sent, perhaps behind the name of its scheme (`Bearer`).
    """
    if key in _kept:
        return
    with _lock:
        if key in _kept or not register(_bare(key)):
            return
        _kept[key] = None
        if len(_kept) > MOST:
            oldest = next(iter(_kept))
            del _kept[oldest]
            PROCESS_VALUES.discard(_bare(oldest))


def _bare(key: str) -> str:
    return key.rpartition(" ")[2]
