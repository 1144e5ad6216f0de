"""A streamed answer, whose events arrive as fast as they can be read: what each delta of text costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from bench import clients, harness
from bench.harness import Measure, Scenario
from bench.server import Address

DELTAS: Final = 1000
"""Long enough that what the call itself costs hardly shows in a delta."""
STREAMS: Final = 2
OPENAI: Final = "openai SDK"


def _blocking(make: Callable[[str], clients.Call]) -> Measure:
    return lambda address: harness.each(make(address.url(f"sse-{DELTAS}")), STREAMS) / DELTAS


def _asynchronous(make: Callable[[str], clients.AsyncCall]) -> Measure:
    def measure(address: Address) -> float:
        with asyncio.Runner() as runner:
            return harness.each_in_loop(runner, make(address.url(f"sse-{DELTAS}")), STREAMS) / DELTAS

    return measure


def _observed(url: str) -> clients.Call:
    clients.switch_on_telemetry()
    return clients.resilient_stream(clients.chain(url, url))


def _observed_async(url: str) -> clients.AsyncCall:
    clients.switch_on_telemetry()
    return clients.resilient_stream_async(clients.chain(url, url))


SCENARIOS: Final = (
    Scenario(
        "stream-async",
        f"a delta of a stream of {DELTAS}, asynchronous",
        "us a delta",
        OPENAI,
        {
            OPENAI: _asynchronous(clients.openai_stream_async),
            "resilient_ai, observed": _asynchronous(_observed_async),
            "resilient_ai": _asynchronous(
                lambda url: clients.resilient_stream_async(clients.chain(url, url))
            ),
            "httpx, lines and json": _asynchronous(lambda url: clients.httpx_stream_async(url, "httpx")),
            "httpx2, lines and json": _asynchronous(lambda url: clients.httpx_stream_async(url, "httpx2")),
        },
    ),
    Scenario(
        "stream-sync",
        f"a delta of a stream of {DELTAS}, blocking",
        "us a delta",
        OPENAI,
        {
            OPENAI: _blocking(clients.openai_stream),
            "resilient_ai, observed": _blocking(_observed),
            "resilient_ai": _blocking(lambda url: clients.resilient_stream(clients.chain(url, url))),
            "httpx, lines and json": _blocking(lambda url: clients.httpx_stream(url, "httpx")),
            "httpx2, lines and json": _blocking(lambda url: clients.httpx_stream(url, "httpx2")),
        },
    ),
)
