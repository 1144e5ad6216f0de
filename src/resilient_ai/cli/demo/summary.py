"""What a person reads when the demo is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from resilient_ai.cli.demo.figures import by_phase, summarise
from resilient_ai.cli.demo.screen import DEVICE, FAILED, REMOTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console, RenderableType

    from resilient_ai.cli.demo.figures import Run, Summary


def print_summary(console: Console, run: Run, files: Mapping[str, str]) -> None:
    """Prints what came of `run`, and where its files are."""
    summary = summarise(run)
    console.print()
    console.print(_headline(summary))
    console.print()
    console.print(_phases(run))
    console.print()
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(run, summary).items():
        facts.add_row(name, value)
    console.print(facts)
    console.print()
    for name, path in files.items():
        # A path is copied: it is never broken over lines.
        console.print(Text.assemble((f"{name:<8}", "dim"), path), soft_wrap=True)


def _headline(summary: Summary) -> Text:
    late = "none late" if not summary.late else f"{summary.late} late"
    return Text.assemble(
        (
            f"{summary.answered} of {summary.calls} calls answered, {late}",
            "bold green" if summary.good else "bold red",
        ),
        ": ",
        (f"{summary.served_by['remote']} by the remote model", REMOTE),
        ", ",
        (f"{summary.degraded} on this device", DEVICE),
        ", ",
        (f"{summary.failed} failed", FAILED if summary.failed else "dim"),
    )


def _phases(run: Run) -> RenderableType:
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("phase")
    for name in ("calls", "remote", "device", "failed", "sent", "p50", "p95", "longest"):
        table.add_column(name, justify="right")
    for row in by_phase(run):
        table.add_row(
            row.phase.name,
            str(row.calls),
            Text(str(row.remote), REMOTE),
            Text(str(row.on_device), DEVICE),
            Text(str(row.failed), FAILED if row.failed else "dim"),
            str(row.attempts),
            _s(row.p50),
            _s(row.p95),
            _s(row.longest),
        )
    return table


def _facts(run: Run, summary: Summary) -> dict[str, str]:
    changes = [row for row in run.breaker if row.asked == "remote"]
    moves = [f"{row.new} {row.at:.1f}" for row in changes]
    device = run.agreement["on-device"]
    remote = run.agreement["remote"]
    return {
        "latency": f"p50 {_s(summary.p50)}, p95 {_s(summary.p95)}, p99 {_s(summary.p99)}, longest {_s(summary.longest)}; "
        f"the deadline was {run.deadline:g} s",
        **({"untyped": ", ".join(sorted(set(run.untyped)))} if run.untyped else {}),
        "requests": f"{summary.attempts} sent, {summary.attempts_per_call:.2f} for each call",
        "breaker": f"{len(changes)} changes, at seconds: {', '.join(moves)}" if moves else "stayed closed",
        "queues": f"on this device {_agreed(device.queue, device.answers)}; remote "
        + (
            "not measured, the scripted provider looks them up"
            if run.scripted
            else _agreed(remote.queue, remote.answers)
        ),
    }


def _agreed(part: int, whole: int) -> str:
    return f"{part} of {whole} as the ticket's author meant ({part / whole:.0%})" if whole else "no answers"


def _s(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f} s"
