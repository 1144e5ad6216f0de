"""A first model that fails and a second that answers, asynchronous: what a failed-over call costs.

Retries are off for all, so that no pause is in it; the official SDK is given its second client by hand, and for the open breaker pybreaker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from bench import clients, harness
from bench.harness import Measure, Scenario
from bench.server import Address

CALLS: Final = 96
BY_HAND: Final = "openai SDK, two clients"
BY_HAND_BREAKER: Final = "openai SDK, two clients, pybreaker"
_LONG_SECONDS: Final = 3600.0
_FAILURES_TO_OPEN: Final = 40
"""More than any breaker's threshold here."""


def _measured(make: Callable[[str, str], clients.AsyncCall], kind: str, warm_up: int = 0) -> Measure:
    def measure(address: Address) -> float:
        call = make(address.url(kind), address.url("ok"))
        with asyncio.Runner() as runner:

            async def fail_first() -> None:
                for _ in range(warm_up):
                    await call()

            runner.run(fail_first())
            return harness.each_in_loop(runner, call, CALLS)

    return measure


def _by_hand(first: str, second: str) -> clients.AsyncCall:
    from openai import APIConnectionError, InternalServerError

    asked = clients.openai_async(first, max_retries=0)
    backup = clients.openai_async(second, max_retries=0)

    async def call() -> object:
        try:
            return await asked()
        except (APIConnectionError, InternalServerError):
            return await backup()

    return call


def _by_hand_with_breaker(first: str, second: str) -> clients.AsyncCall:
    import pybreaker
    from openai import APIConnectionError, InternalServerError

    breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=_LONG_SECONDS)
    asked = clients.openai_async(first, max_retries=0)
    backup = clients.openai_async(second, max_retries=0)

    async def call() -> object:
        try:
            with breaker.calling():
                return await asked()
        except (APIConnectionError, InternalServerError, pybreaker.CircuitBreakerError):
            return await backup()

    return call


def _without_breaker(first: str, second: str) -> clients.AsyncCall:
    from resilient_ai import Breaker, Retry

    return clients.resilient_async(
        clients.chain(first, second, retry=Retry(attempts=1), breaker=Breaker(enabled=False))
    )


def _with_breaker(first: str, second: str) -> clients.AsyncCall:
    from resilient_ai import Breaker, Retry

    breaker = Breaker(open_for=_LONG_SECONDS, open_for_max=_LONG_SECONDS)
    return clients.resilient_async(clients.chain(first, second, retry=Retry(attempts=1), breaker=breaker))


def _observed(make: Callable[[str, str], clients.AsyncCall]) -> Callable[[str, str], clients.AsyncCall]:
    def made(first: str, second: str) -> Any:
        clients.switch_on_telemetry()
        return make(first, second)

    return made


SCENARIOS: Final = (
    *(
        Scenario(
            f"failover-{kind}",
            title,
            "us a call",
            BY_HAND,
            {
                BY_HAND: _measured(_by_hand, kind),
                "resilient_ai, observed": _measured(_observed(_without_breaker), kind),
                "resilient_ai": _measured(_without_breaker, kind),
            },
        )
        for kind, title in (
            ("500", "the first model answers with status 500"),
            ("refused", "the first model's host refuses the connection"),
        )
    ),
    Scenario(
        "failover-open",
        "the first model's breaker is open",
        "us a call",
        BY_HAND_BREAKER,
        {
            BY_HAND_BREAKER: _measured(_by_hand_with_breaker, "500", _FAILURES_TO_OPEN),
            "resilient_ai, observed": _measured(_observed(_with_breaker), "500", _FAILURES_TO_OPEN),
            "resilient_ai": _measured(_with_breaker, "500", _FAILURES_TO_OPEN),
        },
    ),
)
