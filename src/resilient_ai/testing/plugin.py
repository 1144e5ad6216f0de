"""The pytest plugin: fixtures `manual_clock`, `captured_events`, `fault_server` and `no_real_calls`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from resilient_ai.testing import Captured, FaultServer, ManualClock


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that stands still until it is slept on."""
    from resilient_ai.testing import ManualClock

    return ManualClock()


@pytest.fixture
def captured_events() -> Iterator[Captured]:
    """The events of every call of the test."""
    from resilient_ai.testing import capture_events

    with capture_events() as captured:
        yield captured


@pytest.fixture
def fault_server() -> Iterator[FaultServer]:
    """A server on loopback that serves faults by URL."""
    from resilient_ai.testing import FaultServer

    with FaultServer() as server:
        yield server


@pytest.fixture
def no_real_calls() -> Iterator[None]:
    """Lets nothing in the test connect to another machine."""
    from resilient_ai.testing import block_real_calls

    with block_real_calls():
        yield
