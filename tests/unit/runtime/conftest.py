"""Both colours of a call, for tests that must hold in either."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from colours import Colour
from resilient_ai.testing import Captured, ManualClock


@pytest.fixture(params=["blocking", "asyncio"])
def colour(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Colour:
    """A call in either colour; the blocking one may not create an event loop."""
    if request.param == "blocking":
        monkeypatch.setattr(asyncio, "new_event_loop", _forbidden("new_event_loop"))
        monkeypatch.setattr(asyncio, "Runner", _forbidden("Runner"))
        monkeypatch.setattr(asyncio.SelectorEventLoop, "__init__", _forbidden("SelectorEventLoop"))
    return Colour(request.param, ManualClock(), Captured())


def _forbidden(name: str) -> Callable[..., object]:
    def refuse(*_: object, **__: object) -> object:
        raise AssertionError(f"a blocking call created an event loop (asyncio.{name})")

    return refuse
