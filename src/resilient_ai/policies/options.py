"""What the options of every policy have in common: each field takes what its annotation says.

Options are written by hand as often as by a configuration file, and `Retry(attempts="3")` should be refused where it is written.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from resilient_ai.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "bool": ((bool,), "True or False"),
    "float": ((int, float), "a number"),
    "int": ((int,), "a whole number"),
    "str": ((str,), "a text"),
}
"""The annotations that are checked here; strategies, listeners and the like are checked by the policy that uses them."""


def check_kinds(options: Any) -> None:
    """Refuses an option of the wrong kind.

    Args:
        options: A dataclass of options, annotations kept as text.

    Raises:
        ConfigError: A field holds something else than its annotation says; the text names both.
    """
    for field in fields(options):
        words = [word.strip() for word in str(field.type).split("|")]
        if words[0] not in _KINDS:
            continue
        value = getattr(options, field.name)
        if value is None and "None" in words:
            continue
        kinds, said = _KINDS[words[0]]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            nothing = ", or None" if "None" in words else ""
            raise ConfigError(
                f"{type(options).__name__}.{field.name} is {value!r}; it must be {said}{nothing}.",
                key=field.name,
            )
