"""Faults of load and time: the answer is good, but late, or only sometimes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from resilient_ai.testing.fault_server.fault import Argument, Family, Ideal

if TYPE_CHECKING:
    from resilient_ai.testing.fault_server.exchange import Exchange

FAMILY: Final = Family("load")

_USUAL_SECONDS: Final = 0.05
_TAIL_SECONDS: Final = 5.0
"""Far enough from the usual 0.05 s that a hedge sent at any sensible percentile wins."""


@FAMILY.fault("none", Ideal.OK)
def none(exchange: Exchange) -> None:
    """A healthy server."""
    exchange.good()


@FAMILY.fault("latency", Ideal.OK, argument=Argument("1", "seconds"))
def latency(exchange: Exchange) -> None:
    """Good after `arg` seconds."""
    exchange.wait(float(exchange.argument))
    exchange.good()


@FAMILY.fault("latency-tail", Ideal.OK, argument=Argument("0.1", "share"))
def latency_tail(exchange: Exchange) -> None:
    """0.05 s, but every (1/`arg`)-th request of the session takes 5 s: hedging shows."""
    period = max(1, round(1 / float(exchange.argument)))
    exchange.wait(_USUAL_SECONDS if exchange.visit % period else _TAIL_SECONDS)
    exchange.good()


@FAMILY.fault("flaky", Ideal.TRANSIENT, argument=Argument("3", "count"))
def flaky(exchange: Exchange) -> None:
    """Every `arg`-th request of the session gets a 500."""
    if exchange.visit % int(exchange.argument):
        exchange.good()
    else:
        exchange.refuse(500)


@FAMILY.fault("flapping", Ideal.TRANSIENT, argument=Argument("5", "count"))
def flapping(exchange: Exchange) -> None:
    """`arg` requests of the session get a 503, the next `arg` are good, and so on: a breaker must follow."""
    if (exchange.visit - 1) // int(exchange.argument) % 2:
        exchange.good()
    else:
        exchange.refuse(503)


@FAMILY.fault("capacity", Ideal.TRANSIENT, argument=Argument("2", "count"))
def capacity(exchange: Exchange) -> None:
    """Answers take 0.05 s, and more than `arg` requests at a time get a 503."""
    if exchange.in_flight > int(exchange.argument):
        exchange.refuse(503)
        return
    exchange.wait(_USUAL_SECONDS)
    exchange.good()
