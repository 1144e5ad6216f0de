"""What `wrap` adds to a client: the same call of the official SDK, bare and wrapped.

The wrapped client has every policy at its default, a deadline and a fallback; nobody watches it. Its answers are read, judged and kept
account of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from bench import clients, harness
from bench.harness import Measure, Scenario
from bench.server import Address

CALLS: Final = 128
SHORT: Final = 10
DELTAS: Final = 1000
STREAMS: Final = 2
BARE: Final = "bare"
WRAPPED: Final = "wrapped"


def _blocking(make: Callable[[str], clients.Call], kind: str, calls: int, units: int) -> Measure:
    return lambda address: harness.each(make(address.url(kind)), calls) / units


def _asynchronous(make: Callable[[str], clients.AsyncCall], kind: str, calls: int, units: int) -> Measure:
    def measure(address: Address) -> float:
        with asyncio.Runner() as runner:
            return harness.each_in_loop(runner, make(address.url(kind)), calls) / units

    return measure


def _pair(
    name: str,
    title: str,
    measured: Callable[[bool], Measure],
    unit: str = "us a call",
) -> Scenario:
    return Scenario(name, title, unit, BARE, {BARE: measured(False), WRAPPED: measured(True)})


SCENARIOS: Final = (
    _pair(
        "wrap-openai-sync",
        "what wrapping adds to a call of openai's client, blocking",
        lambda wrapped: _blocking(lambda url: clients.openai(url, wrapped=wrapped), "ok", CALLS, 1),
    ),
    _pair(
        "wrap-openai-async",
        "the same, asynchronous",
        lambda wrapped: _asynchronous(lambda url: clients.openai_async(url, wrapped=wrapped), "ok", CALLS, 1),
    ),
    _pair(
        "wrap-anthropic-sync",
        "what wrapping adds to a call of anthropic's client, blocking",
        lambda wrapped: _blocking(lambda url: clients.anthropic(url, wrapped=wrapped), "message", CALLS, 1),
    ),
    _pair(
        "wrap-anthropic-async",
        "the same, asynchronous",
        lambda wrapped: _asynchronous(
            lambda url: clients.anthropic_async(url, wrapped=wrapped), "message", CALLS, 1
        ),
    ),
    _pair(
        "wrap-openai-agent",
        "what wrapping adds to a step of an agent that calls functions, openai's client, blocking",
        lambda wrapped: _blocking(
            lambda url: clients.openai_agent(url, wrapped=wrapped), "ok-call", CALLS, 1
        ),
    ),
    _pair(
        "wrap-anthropic-agent",
        "the same of anthropic's client",
        lambda wrapped: _blocking(
            lambda url: clients.anthropic_agent(url, wrapped=wrapped), "message-call", CALLS, 1
        ),
    ),
    _pair(
        "wrap-short-stream",
        f"what wrapping adds to a whole stream of {SHORT} deltas of openai's client, blocking",
        lambda wrapped: _blocking(
            lambda url: clients.openai_stream(url, wrapped=wrapped), f"sse-{SHORT}", CALLS, 1
        ),
        "us a stream",
    ),
    _pair(
        "wrap-stream-sync",
        f"what wrapping adds to a delta of a stream of {DELTAS} of openai's client, blocking",
        lambda wrapped: _blocking(
            lambda url: clients.openai_stream(url, wrapped=wrapped), f"sse-{DELTAS}", STREAMS, DELTAS
        ),
        "us a delta",
    ),
    _pair(
        "wrap-stream-async",
        "the same, asynchronous",
        lambda wrapped: _asynchronous(
            lambda url: clients.openai_stream_async(url, wrapped=wrapped), f"sse-{DELTAS}", STREAMS, DELTAS
        ),
        "us a delta",
    ),
)
