"""What telemetry adds: the same call with nothing attached, and with log lines, spans and metrics on.

All of a call's CPU time is this library's and that of the HTTP engine below it; the yardstick is the call with nothing attached.
"""

from __future__ import annotations

import asyncio
from typing import Final

from bench import clients, harness
from bench.harness import Measure, Scenario
from bench.server import Address

CALLS: Final = 128
PLAIN: Final = "resilient_ai"


def _unary(*, blocking: bool, observed: bool) -> Measure:
    def measure(address: Address) -> float:
        if observed:
            clients.switch_on_telemetry()
        model = clients.chain(address.url("ok"), address.url("ok"))
        if blocking:
            return harness.each(clients.resilient(model), CALLS)
        with asyncio.Runner() as runner:
            return harness.each_in_loop(runner, clients.resilient_async(model), CALLS)

    return measure


SCENARIOS: Final = tuple(
    Scenario(
        f"overhead-{'sync' if blocking else 'async'}",
        f"what telemetry adds to a whole call, {'blocking' if blocking else 'asynchronous'}",
        "us a call",
        PLAIN,
        {
            PLAIN: _unary(blocking=blocking, observed=False),
            "resilient_ai, observed": _unary(blocking=blocking, observed=True),
        },
    )
    for blocking in (True, False)
)
