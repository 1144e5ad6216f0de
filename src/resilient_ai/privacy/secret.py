"""A string that shows itself only when asked."""

from __future__ import annotations

import hmac
from typing import Final, NoReturn, final

MASK: Final = "**********"


@final
class Secret:
    """Wraps a key so that no repr, format, log line, pickle or copy reveals it.

    Comparison is constant-time and the hash is that of the value, so that secrets work in sets. Two secrets
    are concatenated or sliced only through `reveal()`, which makes every place that reads one easy to find.
    """

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str | Secret) -> None:
        object.__setattr__(self, "_value", value.reveal() if isinstance(value, Secret) else value)

    def reveal(self) -> str:
        """Return the string itself, to be handed straight to whoever needs it."""
        return self._value

    def get_secret_value(self) -> str:
        """Return the string itself; the name other libraries know this method by."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{MASK}')" if self._value else "Secret('')"

    def __str__(self) -> str:
        return MASK if self._value else ""

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(
            self._value.encode("utf-8", "surrogatepass"), other._value.encode("utf-8", "surrogatepass")
        )

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled: pass the reference it was loaded from instead")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled: pass the reference it was loaded from instead")
