"""What moves a call on to the next model, beyond the verdict table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

from resilient_ai.core.failure import Action, FailureKind
from resilient_ai.errors import ConfigError

WhenAllOpen: TypeAlias = Literal["last_resort", "wait", "raise"]
OnInterrupt: TypeAlias = Literal["raise", "restart", "continue"]

FIXED: Final = frozenset({FailureKind.CANCELLED, FailureKind.LOCAL})
"""Kinds that are nobody's to remap: a cancellation leaves untouched, a local fault is not a provider's."""


def actions(on: Mapping[str, str] | None) -> dict[FailureKind, Action]:
    """The user's `on=` mapping, checked.

    Raises:
        ConfigError: A kind or an action is unknown, or the kind cannot be remapped.
    """
    import difflib

    checked: dict[FailureKind, Action] = {}
    kinds = [kind.value for kind in FailureKind]
    allowed = get_args(Action)
    for name, action in (on or {}).items():
        if name not in kinds:
            near = difflib.get_close_matches(str(name), kinds, 1)
            raise ConfigError(
                f"on: unknown failure kind {name!r}; the kinds are {', '.join(kinds)}.",
                key=f"on.{name}",
                suggestion=near[0] if near else None,
            )
        if action not in allowed:
            raise ConfigError(
                f"on.{name} is {action!r}; it must be one of {', '.join(allowed)}.", key=f"on.{name}"
            )
        kind = FailureKind(name)
        if kind in FIXED:
            raise ConfigError(
                f"on.{name} cannot be changed: {name} is never retried and never moved on.", key=f"on.{name}"
            )
        checked[kind] = action  # type: ignore[assignment]
    return checked


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Checks a choice.

    Raises:
        ConfigError: `value` is not in `allowed`.
    """
    if value not in allowed:
        raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.", key=name)
