"""Chains as they take effect: each laid over the ones it extends, with the place in the file every setting came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast, final

from resilient_ai.config.problems import nearest
from resilient_ai.config.read import Source
from resilient_ai.config.toml_lines import KeyPath
from resilient_ai.errors import ConfigError

if TYPE_CHECKING:
    from resilient_ai.config.schema import ChainTable

DEFAULT: Final = "default"
"""What `extends` may always name: the file's own chain of that name, or else the library's defaults."""


@final
@dataclass(frozen=True, slots=True)
class EffectiveChain:
    """One chain with everything it takes over.

    Attributes:
        name: Its name.
        lineage: The chains its settings come from, itself first.
        settings: The settings that take effect; those nobody wrote are absent.
    """

    name: str
    lineage: tuple[str, ...]
    settings: ChainTable
    _written: Mapping[str, Mapping[str, object]]

    def has(self, *key: str) -> bool:
        """Whether the setting at `key` was written, here or in a chain this one extends."""
        return any(_holds(self._written[name], key) for name in self.lineage)

    def place(self, *key: str) -> KeyPath:
        """Where in the file the setting at `key` was written; where it would be if it was not."""
        for name in self.lineage:
            if _holds(self._written[name], key):
                return ("chains", name, *key)
        return ("chains", self.name, *key)


def effective_chain(name: str, chains: Mapping[str, ChainTable], source: Source) -> EffectiveChain:
    """The chain `name` of `chains`, laid over the ones it extends: tables are merged, everything else is replaced.

    Raises:
        ConfigError: A chain extends one that is not there, or, through others, itself.
    """
    lineage: list[str] = []
    current: str | None = name
    while current is not None:
        lineage.append(current)
        parent = chains[current].get("extends")
        place: KeyPath = ("chains", current, "extends")
        if parent == DEFAULT and DEFAULT not in chains:
            parent = None
        elif parent is not None and parent not in chains:
            raise source.error(
                "there is no such chain.", place, suggestion=nearest(parent, {*chains, DEFAULT})
            )
        elif parent in lineage:
            raise _circle(lineage[lineage.index(parent) :], source)
        current = parent
    settings: dict[str, object] = {}
    for ancestor in reversed(lineage):
        settings = _laid_over(settings, cast("Mapping[str, object]", chains[ancestor]))
    settings.pop("extends", None)
    written = {ancestor: cast("Mapping[str, object]", chains[ancestor]) for ancestor in lineage}
    return EffectiveChain(name, tuple(lineage), cast("ChainTable", settings), written)


def _circle(names: list[str], source: Source) -> ConfigError:
    """Says the same of a circle wherever it was entered, so that it is reported once."""
    start = names.index(min(names))
    ordered = names[start:] + names[:start]
    way = " -> ".join([*ordered, ordered[0]])
    return source.error(
        f"the chains extend each other in a circle: {way}.", ("chains", ordered[0], "extends")
    )


def _laid_over(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(value, dict) and isinstance(under, dict):
            merged[key] = _laid_over(cast("dict[str, object]", under), cast("dict[str, object]", value))
        else:
            merged[key] = value
    return merged


def _holds(table: Mapping[str, object], key: tuple[str, ...]) -> bool:
    first, *rest = key
    if first not in table or not rest:
        return first in table
    inner = table[first]
    return isinstance(inner, dict) and _holds(cast("dict[str, object]", inner), tuple(rest))
