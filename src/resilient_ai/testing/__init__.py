"""What tests need: time that a test moves, models that follow a script, faults on demand, without a provider and without waiting.

Names are loaded when they are first used, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from resilient_ai.testing.block import RealCallBlocked, block_real_calls
    from resilient_ai.testing.capture import Captured, capture_events
    from resilient_ai.testing.clock import ManualClock, SteadyRandom
    from resilient_ai.testing.fault_server import FaultServer, ServedRequest
    from resilient_ai.testing.scripted import (
        ScriptedModel,
        ScriptExhausted,
        Step,
        cut,
        error,
        ok,
        raises,
        stall,
    )

_HOMES: Final = {
    "Captured": "capture",
    "FaultServer": "fault_server",
    "ManualClock": "clock",
    "RealCallBlocked": "block",
    "ScriptExhausted": "scripted",
    "ScriptedModel": "scripted",
    "ServedRequest": "fault_server",
    "SteadyRandom": "clock",
    "Step": "scripted",
    "block_real_calls": "block",
    "capture_events": "capture",
    "cut": "scripted",
    "error": "scripted",
    "ok": "scripted",
    "raises": "scripted",
    "stall": "scripted",
}

__all__ = [
    "Captured",
    "FaultServer",
    "ManualClock",
    "RealCallBlocked",
    "ScriptExhausted",
    "ScriptedModel",
    "ServedRequest",
    "SteadyRandom",
    "Step",
    "block_real_calls",
    "capture_events",
    "cut",
    "error",
    "ok",
    "raises",
    "stall",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
