"""Who may see what: the way in which a model may be asked that is not cleared for a request's data class."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias, final, get_args

from resilient_ai.errors import ConfigError
from resilient_ai.messages import DataClassName

Detect: TypeAlias = "Callable[[str], Iterable[tuple[int, int, str]]]"
"""Finds further values to hide: start, end and kind (capital letters) of each. `resilient_ai.privacy.adapters` has ready ones."""

DATA_CLASSES: Final[tuple[str, ...]] = get_args(DataClassName)


@final
@dataclass(frozen=True, slots=True)
class Privacy:
    """What happens to a request whose data class a model is not cleared for. Without more, that model is skipped.

    Attributes:
        pseudonymise: Data classes whose requests such a model gets all the same, with reversible placeholders for what identifies
            people; the answer is put back in the clear here. `("personal",)` is what placeholders are made for: what is restricted or
            internal for another reason than its names and numbers stays so without them.
        detectors: Find what patterns cannot, such as names; called besides the library's own rules, from any thread.
    """

    pseudonymise: tuple[DataClassName, ...] = ()
    detectors: tuple[Detect, ...] = ()

    def __post_init__(self) -> None:
        if type(self.pseudonymise) is not tuple or not set(self.pseudonymise) <= set(DATA_CLASSES):
            raise ConfigError(
                f"Privacy.pseudonymise must hold names of data classes: {', '.join(DATA_CLASSES)}.",
                key="pseudonymise",
            )
        if not all(map(callable, self.detectors)):
            raise ConfigError("Privacy.detectors must hold functions of a text.", key="detectors")
