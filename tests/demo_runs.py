"""A made-up run of the demo, small enough to check by eye."""

from __future__ import annotations

from collections.abc import Sequence

from resilient_ai.cli.demo.figures import Run
from resilient_ai.cli.demo.recording import (
    Agreement,
    AttemptRow,
    BreakerRow,
    CallRow,
    PhaseRow,
    Sample,
)

CALLS = (
    CallRow(0.5, 0.1, "remote", 1),
    CallRow(2.0, 0.2, "remote", 2, ("timeout",)),
    CallRow(5.0, 1.3, "on-device", 3, ("timeout", "timeout")),
    CallRow(5.5, 0.02, "on-device", 1, (), ("circuit_open",)),
    CallRow(6.0, 4.0, None, 2, ("timeout", "timeout"), (), "deadline_exceeded"),
)
BREAKER = (
    BreakerRow(5.1, "remote", "closed", "open", "timeout", 0.4),
    BreakerRow(5.5, "remote", "open", "half-open", "break over", None),
    BreakerRow(6.0, "remote", "half-open", "closed", "probes answered", None),
    BreakerRow(7.0, "on-device", "closed", "open", "server_error", 0.4),
)
PHASES = (
    PhaseRow("healthy", "answers in time", 0.0, 5.0),
    PhaseRow("stall <b>", "takes & never answers", 5.0, 10.0),
)


def run(
    *,
    calls: Sequence[CallRow] = CALLS,
    breaker: Sequence[BreakerRow] = BREAKER,
    untyped: Sequence[str] = (),
    scripted: bool = True,
) -> Run:
    """The run, with other calls or none."""
    attempts = [AttemptRow(call.at, call.seconds, call.served_by or "remote", call.error) for call in calls]
    return Run(
        scripted,
        "scripted:remote",
        "on-device:triage",
        4.0,
        10.0,
        tuple(calls),
        attempts,
        tuple(breaker),
        PHASES,
        (
            Sample(0.0, 300.0),
            Sample(3.0, 200.0, held=True),
            Sample(4.0, 120.0),
            Sample(10.0, 150.0, held=True),
        ),
        {"remote": Agreement(2, 2, 1), "on-device": Agreement(2, 1, 1)},
        tuple(untyped),
        "chain 'demo'\n  deadline < 4 s",
    )
