"""A short name for a policy: equal policies have equal digests, on every machine and in every process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final, cast

from resilient_ai.privacy.key_names import Secrecy, secrecy

DIGEST_LENGTH: Final = 12
"""48 bits: enough to tell the policies of one system apart, short enough for a log line."""


def policy_digest(policy: Mapping[str, object]) -> str:
    """Twelve hexadecimal characters that stand for `policy`.

    Keys that hold secrets or where to find them take no part: a rotated key is the same policy. Whole numbers and floats
    that are equal count as equal, and so do lists and tuples; the order of keys does not matter.
    """
    canonical = json.dumps(_plain(policy), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:DIGEST_LENGTH]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {str(key): _plain(item) for key, item in items if secrecy(str(key)) is not Secrecy.CERTAIN}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[object]", value)]
    if isinstance(value, set | frozenset):
        return sorted(str(item) for item in cast("set[object]", value))
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int | float):
        return float(value)
    return str(type(value).__qualname__)
