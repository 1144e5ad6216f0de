"""What a configuration file says, once it has been read and holds together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from resilient_ai.config.chains import DEFAULT, EffectiveChain, effective_chain
from resilient_ai.config.problems import nearest

if TYPE_CHECKING:
    from resilient_ai.config.read import Source
    from resilient_ai.config.schema import FileTable, ModelTable


@final
@dataclass(frozen=True, slots=True)
class Config:
    """A configuration file that holds together. Immutable.

    Attributes:
        source: The file it was read from.
        tables: Its settings, durations in seconds; what was not written is absent.
        digest: Stands for the settings: equal settings have equal digests. No secret takes part.
    """

    source: Source
    tables: FileTable
    digest: str

    @property
    def path(self) -> Path:
        """The file it was read from."""
        return self.source.path

    @property
    def models(self) -> Mapping[str, ModelTable]:
        """Its models, by name."""
        return self.tables.get("models", {})

    @property
    def chains(self) -> tuple[str, ...]:
        """Names of the chains that can be asked, as they stand in the file.

        A chain without models only lends its settings to those that extend it.
        """
        return tuple(
            name for name in self.tables.get("chains", {}) if self.chain(name).settings.get("models")
        )

    def chain(self, name: str | None = None) -> EffectiveChain:
        """The chain `name` as it takes effect. Without a name: the only one, or the one called `default`.

        Raises:
            ConfigError: There is no such chain, or no name was given and there are several.
        """
        tables = self.tables.get("chains", {})
        if name is None:
            usable = self.chains
            if len(usable) == 1:
                (name,) = usable
            elif DEFAULT in usable:
                name = DEFAULT
            elif usable:
                raise self.source.error(
                    f"there are several chains; name one of: {', '.join(usable)}.", ("chains",)
                )
            else:
                raise self.source.error("the file has no chain with models.", ("chains",))
        if name not in tables:
            known = f"the chains are: {', '.join(self.chains)}." if tables else "the file has none."
            raise self.source.error(
                f"there is no chain called {name!r}; {known}", ("chains",), suggestion=nearest(name, tables)
            )
        return effective_chain(name, tables, self.source)
