"""What tests need: faults on demand, without a provider and without waiting.

Names are loaded when they are first used, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from resilient_ai.testing.fault_server import FaultServer as FaultServer
    from resilient_ai.testing.fault_server import ServedRequest as ServedRequest

_HOMES: Final = {
    "FaultServer": "resilient_ai.testing.fault_server",
    "ServedRequest": "resilient_ai.testing.fault_server",
}

__all__ = ["FaultServer", "ServedRequest"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
