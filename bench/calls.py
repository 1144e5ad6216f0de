"""A whole call to a chat completions API, answered at once: ours with everything in force, the official SDK's, the bare HTTP client's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from bench import clients, harness
from bench.harness import Measure, Scenario
from bench.server import Address

CALLS: Final = 128
AT_A_TIME: Final = 64
THREADS: Final = 16
OPENAI: Final = "openai SDK"


def _blocking(make: Callable[[str], clients.Call]) -> Measure:
    return lambda address: harness.each(make(address.url("ok")), CALLS)


def _threaded(make: Callable[[str], clients.Call]) -> Measure:
    return lambda address: harness.each_in_threads(make(address.url("ok")), CALLS, THREADS)


def _asynchronous(make: Callable[[str], clients.AsyncCall], at_a_time: int) -> Measure:
    def measure(address: Address) -> float:
        with asyncio.Runner() as runner:
            return harness.each_in_loop(runner, make(address.url("ok")), CALLS, at_a_time)

    return measure


def _observed(url: str) -> clients.Call:
    clients.switch_on_telemetry()
    return clients.resilient(clients.chain(url, url))


def _observed_async(url: str) -> clients.AsyncCall:
    clients.switch_on_telemetry()
    return clients.resilient_async(clients.chain(url, url))


_BLOCKING: Final[dict[str, Callable[[str], clients.Call]]] = {
    OPENAI: clients.openai,
    "resilient_ai, observed": _observed,
    "resilient_ai": lambda url: clients.resilient(clients.chain(url, url)),
    "httpx": lambda url: clients.httpx(url, "httpx"),
    "httpx2": lambda url: clients.httpx(url, "httpx2"),
}
_ASYNCHRONOUS: Final[dict[str, Callable[[str], clients.AsyncCall]]] = {
    OPENAI: clients.openai_async,
    "resilient_ai, observed": _observed_async,
    "resilient_ai": lambda url: clients.resilient_async(clients.chain(url, url)),
    "httpx": lambda url: clients.httpx_async(url, "httpx"),
    "httpx2": lambda url: clients.httpx_async(url, "httpx2"),
}

SCENARIOS: Final = (
    Scenario(
        "calls-async",
        "a call, asynchronous, one after another",
        "us a call",
        OPENAI,
        {name: _asynchronous(make, 1) for name, make in _ASYNCHRONOUS.items()},
    ),
    Scenario(
        f"calls-async-{AT_A_TIME}",
        f"a call, asynchronous, {AT_A_TIME} at a time",
        "us a call",
        OPENAI,
        {name: _asynchronous(make, AT_A_TIME) for name, make in _ASYNCHRONOUS.items()},
    ),
    Scenario(
        "calls-sync",
        "a call, blocking, one after another",
        "us a call",
        OPENAI,
        {name: _blocking(make) for name, make in _BLOCKING.items()},
    ),
    Scenario(
        "calls-threads",
        f"a call, blocking, in {THREADS} threads",
        "us a call",
        OPENAI,
        {name: _threaded(make) for name, make in _BLOCKING.items()},
    ),
)
