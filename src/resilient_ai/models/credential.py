"""The key a model is asked with: where it comes from, and what happens when it is refused."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast, final

from resilient_ai.errors import ConfigError
from resilient_ai.privacy.known_values import register
from resilient_ai.privacy.secret import Secret

Key: TypeAlias = "str | Secret | Callable[[], str | Secret]"
"""A key, or a function that gives the current one (a vault, a token that expires). The function is called per attempt and must be quick."""


@final
class Credential:
    """One or more keys for the same account, used in turn: a refused one moves to the next. Thread safe.

    Every value that passes through is known to the redactor from then on.
    """

    __slots__ = ("_at", "_keys", "_known", "_lock", "identity")

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = tuple(keys)
        self._at = 0
        self._known: set[int] = set()
        self._lock = threading.Lock()
        fixed = [_plain(key) for key in self._keys if not callable(key)]
        for value in fixed:
            self._learn(value)
        # What tells two credentials apart in shared state. A digest, and a short one: it may be seen, the key may not.
        text = "\0".join(fixed) if len(fixed) == len(self._keys) else f"{id(self._keys[0])}"
        self.identity: str = hashlib.sha256(text.encode()).hexdigest()[:8] if self._keys else "none"

    def __bool__(self) -> bool:
        return bool(self._keys)

    def current(self) -> str:
        """The key to use now."""
        key = self._keys[self._at]
        value = _plain(key() if callable(key) else key)
        if callable(key):
            self._learn(value)
        return value

    def refused(self, value: str) -> bool:
        """The provider refused `value`: moves on to the next key; True if there is another one to try."""
        with self._lock:
            if len(self._keys) < 2:
                return False
            key = self._keys[self._at]
            if not callable(key) and _plain(key) != value:
                return True  # another attempt already moved on
            self._at = (self._at + 1) % len(self._keys)
            return self._at != 0

    def _learn(self, value: str) -> None:
        mark = hash(value)
        if mark not in self._known:
            self._known.add(mark)
            register(value)

    def __repr__(self) -> str:
        return f"Credential({len(self._keys)} keys)"


def find_credential(
    api_key: Key | Sequence[Key] | None, *, variables: tuple[str, ...], required: bool, provider: str
) -> Credential:
    """The credential given, or the one in the environment.

    Raises:
        ConfigError: One is required and there is none, or one is empty.
    """
    if api_key is not None:
        several = isinstance(api_key, Sequence) and not isinstance(api_key, str)
        keys = list(cast("Sequence[Key]", api_key)) if several else [cast("Key", api_key)]
        if not keys or any(not callable(key) and not _plain(key).strip() for key in keys):
            raise ConfigError(f"The api_key given for {provider} is empty.", key="api_key")
        return Credential(keys)
    for variable in variables:
        value = os.environ.get(variable, "").strip()
        if value:
            return Credential([value])
    if required:
        raise ConfigError(
            f"No key for {provider}: set {' or '.join(variables)} in the environment, or pass api_key "
            '(in a configuration file: api_key = "env:NAME" or "file:PATH").',
            key="api_key",
        )
    return Credential([])


def _plain(key: object) -> str:
    return key.reveal() if isinstance(key, Secret) else str(key)
