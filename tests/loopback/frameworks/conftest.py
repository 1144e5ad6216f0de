"""What the frameworks' own test suites need to run here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from obliging_server import ObligingServer


@pytest.fixture(scope="session")
def obliging() -> Iterator[ObligingServer]:
    """A provider that does what it is asked."""
    with ObligingServer() as server:
        yield server


@pytest.fixture
def benchmark() -> Callable[[Callable[[], object]], object]:
    """What langchain-tests times with; here it only runs."""
    return lambda work: work()


@pytest.fixture
def vcr() -> None:
    """What langchain-tests records with; here nothing is recorded."""
