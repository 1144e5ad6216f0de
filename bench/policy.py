"""The policy layer alone, around functions that answer at once, beside the same made by hand of the usual parts.

By hand: a tenacity retry over a pybreaker breaker for each of two functions, the second tried when the first has failed, all within one
deadline (`asyncio.timeout`; blocking code has nothing of the kind, there the retry stops by the clock). It has no reserve of time, no retry
budget, no history, no classification beyond one exception type and no log: the comparison favours it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from bench import clients, harness
from bench.harness import Scenario
from bench.server import Address

CALLS: Final = 500
BY_HAND: Final = "tenacity + pybreaker + timeout"
_QUESTION: Final = "Where is my parcel?"
_DEADLINE_SECONDS: Final = 120.0


class _Transient(Exception):
    """What the hand-made policy retries."""


def _primary(_: str) -> str:
    return "Tomorrow before noon."


def _backup(_: str) -> str:
    return "Soon."


async def _primary_async(_: str) -> str:
    return "Tomorrow before noon."


async def _backup_async(_: str) -> str:
    return "Soon."


def _by_hand(_: Address) -> float:
    import pybreaker
    import tenacity

    def guarded(function: Any) -> Any:
        breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30)

        @tenacity.retry(
            stop=tenacity.stop_after_attempt(3) | tenacity.stop_after_delay(_DEADLINE_SECONDS),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=8),
            retry=tenacity.retry_if_exception_type(_Transient),
            reraise=True,
        )
        def ask(question: str) -> str:
            answer: str = breaker.call(function, question)
            return answer

        return ask

    models = [guarded(_primary), guarded(_backup)]

    def call() -> object:
        failure: Exception | None = None
        for ask in models:
            try:
                return ask(_QUESTION)
            except (_Transient, pybreaker.CircuitBreakerError) as error:
                failure = error
        raise AssertionError from failure

    return harness.each(call, CALLS)


def _by_hand_async(_: Address) -> float:
    import pybreaker
    import tenacity

    def guarded(function: Any) -> Any:
        breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30)

        @tenacity.retry(
            stop=tenacity.stop_after_attempt(3),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=8),
            retry=tenacity.retry_if_exception_type(_Transient),
            reraise=True,
        )
        async def ask(question: str) -> str:
            with breaker.calling():
                answer: str = await function(question)
                return answer

        return ask

    models = [guarded(_primary_async), guarded(_backup_async)]

    async def call() -> object:
        failure: Exception | None = None
        async with asyncio.timeout(_DEADLINE_SECONDS):
            for ask in models:
                try:
                    return await ask(_QUESTION)
                except (_Transient, pybreaker.CircuitBreakerError) as error:
                    failure = error
        raise AssertionError from failure

    with asyncio.Runner() as runner:
        return harness.each_in_loop(runner, call, CALLS)


def _ours(_: Address) -> float:
    from resilient_ai import ResilientModel

    model = ResilientModel([_primary, _backup], deadline=_DEADLINE_SECONDS)
    return harness.each(lambda: model.generate(_QUESTION).text, CALLS)


def _ours_observed(address: Address) -> float:
    clients.switch_on_telemetry()
    return _ours(address)


def _ours_async(_: Address) -> float:
    from resilient_ai import ResilientModel

    model = ResilientModel([_primary_async, _backup_async], deadline=_DEADLINE_SECONDS)

    async def call() -> object:
        return (await model.agenerate(_QUESTION)).text

    with asyncio.Runner() as runner:
        return harness.each_in_loop(runner, call, CALLS)


def _ours_async_observed(address: Address) -> float:
    clients.switch_on_telemetry()
    return _ours_async(address)


SCENARIOS: Final = (
    Scenario(
        "policy-sync",
        "the policy layer alone, blocking",
        "us a call",
        BY_HAND,
        {BY_HAND: _by_hand, "resilient_ai": _ours, "resilient_ai, observed": _ours_observed},
    ),
    Scenario(
        "policy-async",
        "the policy layer alone, asynchronous",
        "us a call",
        BY_HAND,
        {
            BY_HAND: _by_hand_async,
            "resilient_ai": _ours_async,
            "resilient_ai, observed": _ours_async_observed,
        },
    ),
)
