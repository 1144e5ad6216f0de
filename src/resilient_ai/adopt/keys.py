"""The keys that wrapped clients send: every redactor of the process looks for them, wherever a provider repeats them.

A key is written down in the client, or fetched for each request by something the client holds. The first is known before anything is sent,
the second stands in the request alone.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MethodType
from typing import Any, Final

from resilient_ai.core.fork import ChildLock
from resilient_ai.privacy.known_values import PROCESS_VALUES, register

MOST: Final = 64
"""Keys that are looked for at a time, the latest ones. Looking for one more costs every text that is redacted some 0.2 us; an application
that serves each of its tenants with their own key may have thousands."""

SOURCES: Final = (
    "_api_key_provider",
    "_azure_ad_token_provider",
    "_workload_identity_auth",
    "_token_cache",
    "credentials",
)
"""Where clients of the SDKs with hooks hold what fetches their keys, of openai, Azure (of openai and anthropic), and anthropic with its clouds."""
WRITTEN: Final = (
    "api_key",
    "auth_token",
    "_azure_ad_token",
    "access_token",
    "admin_api_key",
    "aws_access_key",
    "aws_session_token",
)
"""Where they hold keys that are written down."""
STAND_INS: Final = frozenset({"<missing API key>", "workload-identity-auth"})
"""What openai writes where there is no key, because it is fetched."""
_SENT: Final = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "x-amz-security-token")
_SCHEME: Final = "bearer "
"""Of what else stands behind `authorization` (a signature) nothing can be used again."""

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
        if key in _kept:
            return
        register(_bare(key))  # not one that is too short to be looked for; it is known all the same
        _kept[key] = None
        if len(_kept) > MOST:
            oldest = next(iter(_kept))
            del _kept[oldest]
            PROCESS_VALUES.discard(_bare(oldest))


def _bare(key: str) -> str:
    return key.rpartition(" ")[2]


def keep_written(client: object) -> None:
    """Has the keys looked for that are written down in `client`."""
    for key in _written(client):
        keep(key)


def keep_sent(headers: Mapping[str, str]) -> None:
    """Has the keys looked for that stand in the head of a request."""
    for name in _SENT:
        key = headers.get(name, "")
        if key and (name != "authorization" or key[: len(_SCHEME)].lower() == _SCHEME):
            keep(key)


def source_of(client: object) -> object | None:
    """What fetches the keys of `client`; None if they are written down, or nobody knows where they come from."""
    return next((held for name in SOURCES if (held := getattr(client, name, None)) is not None), None)


def written_in(client: object) -> str:
    """The key that is written down in `client`; empty if none is."""
    return next(_written(client), "")


def _written(client: object) -> Iterator[str]:
    for name in WRITTEN:
        key = getattr(client, name, None)
        if isinstance(key, str) and key and key not in STAND_INS:
            yield key


# --- telling what fetches them apart --------------------------------------------------------------------------------------

_numbers: Final[dict[int, tuple[Callable[[], object], int]]] = {}
"""By address, whose it is and its number. An address alone is soon another's."""
_held: Final[list[int]] = []
"""The addresses of what nobody can hold weakly, held here: the latest ones, as many as keys are looked for."""
_serial: Final = itertools.count(1)


def number_of(source: object) -> str:
    """What tells `source` from every other, also from those that come to its address when it is gone.

    A bound method, of which there is another one whenever somebody asks for it, is told by its object.
    """
    if isinstance(source, MethodType):
        return f"{number_of(source.__self__)}.{source.__func__.__qualname__}"
    known = _numbers.get(id(source))
    if known is None or known[0]() is not source:
        known = _numbered(source)
    return f"\0{known[1]}"  # no key: it could not be sent


def _numbered(source: Any) -> tuple[Callable[[], object], int]:
    place = id(source)
    with _lock:
        known = _numbers.get(place)
        if known is not None and known[0]() is source:
            return known
        try:
            known = (weakref.ref(source, partial(_forget, place)), next(_serial))
        except TypeError:
            known = (lambda: source, next(_serial))
            _held.append(place)
            if len(_held) > MOST:
                del _numbers[_held.pop(0)]
        _numbers[place] = known
    return known


def _forget(place: int, gone: object) -> None:
    """Runs in the middle of anything, perhaps while this thread holds the lock."""
    known = _numbers.get(place)
    if known is not None and known[0] is gone:
        del _numbers[place]
