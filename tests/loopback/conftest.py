"""What every test on loopback leaves behind: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest


@pytest.fixture(autouse=True)
def clients_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes the blocking HTTP clients a test has made, its own and those inside SDK clients.

    An SDK client is part of a cycle. One that is only dropped leaves its sockets to the collector, and whichever test that runs in would
    fail for it.
    """
    made: list[Any] = []
    for kind in (httpx.Client, httpx2.Client):
        _note(kind, made, monkeypatch)
    yield
    for client in made:
        client.close()


def _note(kind: Any, made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    init = kind.__init__

    def noted(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(kind, "__init__", noted)
