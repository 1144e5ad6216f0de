"""The support tickets the demo sorts, and where they and the model on the device are kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, final

from resilient_ai.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

TICKETS: Final = "tickets.jsonl"
MODEL: Final = "triage.gguf"

_HERE: Final = Path(__file__).parent
_PLACES: Final = (_HERE / "data", _HERE.parents[3] / "examples" / "triage")
"""Packaged beside this module in an installed wheel; in a checkout, where they are made."""

Queue: TypeAlias = Literal[
    "billing", "shipping", "returns", "account", "technical", "cancellation", "sales", "feedback"
]
Priority: TypeAlias = Literal["low", "normal", "high"]


@final
@dataclass(frozen=True, slots=True)
class Triage:
    """What every answer has to be: the output type of each call."""

    queue: Queue
    priority: Priority


@final
@dataclass(frozen=True, slots=True)
class Ticket:
    """A made-up support ticket. `expected` is what its author meant, never shown to a model that is measured."""

    text: str
    expected: Triage


def data_file(name: str) -> Path:
    """Where the demo's file `name` is, in an installed package or in a checkout.

    Raises:
        ConfigError: It is in neither place; the installation is not whole.
    """
    for place in _PLACES:
        path = place / name
        if path.is_file():
            return path
    raise ConfigError(
        f"The demo's file {name} is missing; install resilient_ai again, or run from a checkout."
    )


def load_tickets(path: Path | None = None) -> Sequence[Ticket]:
    """All tickets, in the order of the file.

    Args:
        path: The file; None finds it.

    Raises:
        ConfigError: The file is missing.
    """
    lines = (path or data_file(TICKETS)).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line]
    return tuple(Ticket(row["text"], Triage(row["queue"], row["priority"])) for row in rows)
