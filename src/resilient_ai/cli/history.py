"""How a call went, for people and for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from resilient_ai.config.durations import format_duration

if TYPE_CHECKING:
    from rich.console import Console

    from resilient_ai.messages import Attempt, Outcome, Skip


def print_history(console: Console, outcome: Outcome) -> None:
    """Prints every attempt and every model that was passed over, one a line."""
    for skip in outcome.skipped:
        console.print(_skip_line(skip))
    for attempt in outcome.attempts:
        console.print(_attempt_line(attempt))


def _attempt_line(attempt: Attempt) -> Text:
    who = f"{attempt.provider}:{attempt.model}"
    after = f"after {format_duration(round(attempt.seconds, 3))}"
    if attempt.kind is None:
        return Text.assemble(("  ✓ ", "green"), who, (f"  answered {after}", "dim"))
    status = f" {attempt.status}" if attempt.status is not None else ""
    code = f" ({attempt.code})" if attempt.code else ""
    waited = f", then waited {format_duration(attempt.waited)} before it" if attempt.waited >= 1 else ""
    return Text.assemble(
        ("  ✗ ", "red"), who, (f"  {attempt.kind.value}{status}{code} {after}{waited}", "dim")
    )


def _skip_line(skip: Skip) -> Text:
    again = f", again in {format_duration(round(skip.retry_after, 1))}" if skip.retry_after else ""
    return Text.assemble(
        ("  - ", "yellow"), f"{skip.provider}:{skip.model}", (f"  not asked: {skip.reason}{again}", "dim")
    )
