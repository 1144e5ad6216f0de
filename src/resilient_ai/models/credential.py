"""The key a model is asked with: where it comes from, and what happens when it is refused."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from typing import Final, NoReturn, TypeAlias, cast, final

from resilient_ai.core.fork import ChildLock
from resilient_ai.errors import ConfigError
from resilient_ai.privacy.known_values import PROCESS_VALUES, register
from resilient_ai.privacy.secret import Secret

Key: TypeAlias = "str | Secret | Callable[[], str | Secret]"
"""A key, or a function that gives the current one (a vault, a token that expires). The function is called per attempt and must be quick."""

REMEMBERED_TOKENS: Final = 8
"""Values of one function that the redactor goes on knowing: the current one, and those that attempts still under way may hold. A token
lives for minutes at least, an attempt for minutes at most."""

_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
"""What a key is made of. Anything else cannot stand in a header, and the HTTP library would say so by quoting the header."""


@final
class Credential:
    """One or more keys for the same account, used in turn: a refused one moves to the next. Thread safe; never pickled.

    Every value that passes through is known to the redactor from then on; of the values of a function, the latest few.
    """

    __slots__ = ("_at", "_keys", "_lock", "_passed", "_refused", "identity")

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = tuple(key if callable(key) else _secret(key) for key in keys)
        self._at = 0
        self._refused: set[int] = set()
        self._passed: list[Secret] = []
        self._lock = ChildLock()
        fixed = [key for key in self._keys if isinstance(key, Secret)]
        for key in fixed:
            register(key)
        # What tells two credentials apart in shared state. A digest, and a short one: it may be seen, the key may not.
        whole = len(fixed) == len(self._keys)
        text = "\0".join(key.reveal() for key in fixed) if whole else f"{id(self._keys[0])}"
        self.identity: str = hashlib.sha256(text.encode()).hexdigest()[:8] if self._keys else "none"

    def __bool__(self) -> bool:
        return bool(self._keys)

    def current(self) -> Secret:
        """The key to use now.

        Raises:
            ConfigError: The function gave something that is no key.
            Exception: What the function raised.
        """
        key = self._keys[self._at]
        if isinstance(key, Secret):
            return key
        value = _secret(key())
        self._learn(value)
        return value

    def refused(self, value: Secret) -> bool:
        """The provider refused `value`. True if there is another one to try at once: the next key, or what the function gives by now.

        Once every key has been refused it is False, and the turn begins anew with the following call.
        """
        with self._lock:
            at = self._at
            key = self._keys[at]
            if value != (key if isinstance(key, Secret) else _secret(key())):
                return True  # another attempt already moved on, or the token was renewed
            self._refused.add(at)
            count = len(self._keys)
            for step in range(1, count):
                following = (at + step) % count
                if following not in self._refused:
                    self._at = following
                    return True
            self._refused.clear()
            self._at = (at + 1) % count
            return False

    def _learn(self, value: Secret) -> None:
        passed = self._passed
        if value in passed:
            return
        with self._lock:
            if value in passed:
                return
            register(value)
            passed.append(value)
            if len(passed) > REMEMBERED_TOKENS:
                PROCESS_VALUES.discard(passed.pop(0))

    def __repr__(self) -> str:
        return f"Credential({len(self._keys)} keys)"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Credential cannot be pickled: make it from the reference its keys were loaded from"
        )


def find_credential(
    api_key: Key | Sequence[Key] | None, *, variables: tuple[str, ...], required: bool, provider: str
) -> Credential:
    """The credential given, or the one in the environment.

    Raises:
        ConfigError: One is required and there is none, or one is empty or no key at all.
    """
    if api_key is not None:
        several = isinstance(api_key, Sequence) and not isinstance(api_key, str | bytes)
        keys = list(cast("Sequence[Key]", api_key)) if several else [cast("Key", api_key)]
        if not all(isinstance(key, str | Secret) or callable(key) for key in keys):
            raise ConfigError(
                f"The api_key given for {provider} is no key; give a text, a Secret, a function, or a list of these.",
                key="api_key",
            )
        if not keys or any(not callable(key) and not _plain(key) for key in keys):
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


def _secret(key: object) -> Secret:
    """`key` without the white space around it, which a file or a shell adds.

    Raises:
        ConfigError: It cannot be a key; the text does not repeat it.
    """
    plain = _plain(key)
    if not _VISIBLE.fullmatch(plain):
        raise ConfigError(
            "A key holds a character that no key holds and no header may (a line break, a blank, a letter outside ASCII), "
            "or is empty; look at where it was copied from.",
            key="api_key",
        )
    return Secret(plain)


def _plain(key: object) -> str:
    return (key.reveal() if isinstance(key, Secret) else str(key)).strip()
