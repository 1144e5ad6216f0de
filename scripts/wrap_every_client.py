"""A pytest plugin for the test suites of SDKs: every client they make is wrapped as soon as it is made.

Used by sdk_suites.py; the SDK is named by the environment variable WRAP_CLIENTS_OF.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable
from typing import Any

from resilient_ai import Breaker
from resilient_ai.adopt import hooks, wrap
from resilient_ai.core.clock import SystemClock
from resilient_ai.core.events import CallStarted, Event

_seen = {"clients": 0, "calls": 0}


def _count(event: Event) -> None:
    if isinstance(event, CallStarted):
        _seen["calls"] += 1


def _wrapping(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def made(self: Any, *arguments: Any, **named: Any) -> None:
        init(self, *arguments, **named)
        kind: Any = self.__class__
        outermost = getattr(kind.__init__, "__wrapped__", None) is init
        if outermost and not hasattr(kind, hooks.POLICY):
            # The suites fail calls on purpose, all with one key and many on one client: a breaker would do its work. A clock of its own keeps
            # the budget of every client to itself.
            wrap(self, clock=SystemClock(), breaker=Breaker(enabled=False), observers=[_count])
            _seen["clients"] += 1

    return made


def pytest_configure() -> None:
    """Patches the constructors of every client class the SDK exports."""
    sdk = importlib.import_module(os.environ["WRAP_CLIENTS_OF"])
    base = importlib.import_module(f"{sdk.__name__}._base_client")
    for kind in {value for value in list(vars(sdk).values()) if isinstance(value, type)}:
        if issubclass(kind, base.BaseClient) and "__init__" in vars(kind):
            setattr(kind, "__init__", _wrapping(vars(kind)["__init__"]))  # noqa: B010 - a constructor is replaced on purpose


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says how much of the suite went through the wrapper."""
    terminalreporter.write_line(f"wrapped clients: {_seen['clients']}; wrapped calls: {_seen['calls']}")
