"""A pytest plugin for the test suites of SDKs: every client they make is wrapped as soon as it is made.

Used by sdk_suites.py. The environment names the SDK in SUITE_OF, and in SUITE_REPORT the file that is told how each test ended. WRAP_CLIENTS says how: without it nothing
is wrapped; `judged` is what `wrap` does by default; with `unjudged` whatever comes with a good status is taken for an answer.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

SEEN = {"clients": 0, "calls": 0}
ENDED: dict[str, str] = {}
"""How each test ended: `passed`, `skipped` or `failed`; whatever went wrong around it is its failure."""
REFUSED: dict[str, list[str]] = {}
"""For each test the kinds of the failures that were found in answers of a good status: what only a judged run finds."""


def pytest_configure() -> None:
    """Patches the constructors of every client class the SDK exports."""
    how = os.environ.get("WRAP_CLIENTS")
    if how is None:
        return
    name = os.environ["SUITE_OF"]
    sdk = importlib.import_module(name)
    base = importlib.import_module(f"{name}._base_client")
    for kind in {value for value in list(vars(sdk).values()) if isinstance(value, type)}:
        if issubclass(kind, base.BaseClient) and "__init__" in vars(kind):
            setattr(kind, "__init__", _wrapping(vars(kind)["__init__"], judged=how == "judged"))  # noqa: B010 - a constructor is replaced on purpose


def _wrapping(init: Callable[..., None], *, judged: bool) -> Callable[..., None]:
    from resilient_ai import Breaker, RetryBudget
    from resilient_ai.adopt import hooks, wrap
    from resilient_ai.core.events import AttemptFinished, CallStarted, Event

    def look(event: Event) -> None:
        if isinstance(event, CallStarted):
            SEEN["calls"] += 1
        elif (
            isinstance(event, AttemptFinished)
            and event.attempt.kind is not None
            and _good(event.attempt.status)
        ):
            test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
            REFUSED.setdefault(test, []).append(event.attempt.kind.value)

    @functools.wraps(init)
    def made(self: Any, *arguments: Any, **named: Any) -> None:
        init(self, *arguments, **named)
        kind: Any = self.__class__
        outermost = getattr(kind.__init__, "__wrapped__", None) is init
        if outermost and not hasattr(kind, hooks.POLICY):
            # The suites fail calls on purpose, all with one key and many on one client: breaker and retry budget would do their work.
            wrap(
                self,
                breaker=Breaker(enabled=False),
                budget=RetryBudget(enabled=False),
                verify_answers=judged,
                observers=[look],
            )
            SEEN["clients"] += 1

    return made


def _good(status: int | None) -> bool:
    return status is not None and 200 <= status <= 299


def pytest_runtest_logreport(report: Any) -> None:
    """Notes how a test ended."""
    if report.failed or (report.when == "call" and report.nodeid not in ENDED):
        ENDED[report.nodeid] = report.outcome
    elif report.skipped:
        ENDED.setdefault(report.nodeid, "skipped")


def pytest_collectreport(report: Any) -> None:
    """A module that cannot be read fails like a test."""
    if report.failed:
        ENDED[report.nodeid] = "failed"


def pytest_testnodedown(node: Any) -> None:
    """Adds what a worker of pytest-xdist saw."""
    output = getattr(node, "workeroutput", {})
    for word, many in output.get("seen", {}).items():
        SEEN[word] += many
    REFUSED.update(output.get("refused", {}))


def pytest_sessionfinish(session: Any) -> None:
    """Writes the report, or hands it to who writes it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput.update(seen=SEEN, refused=REFUSED)
        return
    Path(os.environ["SUITE_REPORT"]).write_text(
        json.dumps({"ended": ENDED, "refused": REFUSED, **SEEN}), encoding="utf-8"
    )
