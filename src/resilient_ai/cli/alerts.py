"""`resilient-ai alerts`: rules, their tests, a dashboard and runbooks for who operates the library."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from resilient_ai.cli.terminal import JsonOption, err, print_json, reporting
from resilient_ai.operate.rules import SLO


def alerts(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; made where it is missing.")],
    slo: Annotated[
        float, typer.Option(help="Share of calls that must be answered. The error-budget alerts follow it.")
    ] = SLO,
    runbooks: Annotated[
        str,
        typer.Option(
            help="Folder or URL the runbooks are read under, as the alerts name it.",
        ),
    ] = "runbooks",
    *,
    as_json: JsonOption = False,
) -> None:
    """Write alert rules with their tests, a Grafana dashboard, and a runbook for each alert."""
    from resilient_ai.operate import files
    from resilient_ai.operate.kit import write
    from resilient_ai.operate.rules import Terms

    with reporting(as_json=as_json):
        terms = Terms(slo=slo, runbooks=runbooks)
        # The rules are what wakes somebody: they do not wait for what draws the dashboard.
        drawn = find_spec("grafana_foundation_sdk") is not None
        written = write(out, terms, dashboard=drawn)
        known = files.alerts(terms)
        if as_json:
            print_json(
                {
                    "slo": slo,
                    "files": [str(path) for path in written],
                    "alerts": [
                        {"name": alert.name, "severity": alert.severity, "runbook": alert.runbook}
                        for alert in known
                    ],
                }
            )
            return
        if not drawn:
            err().print("the dashboard is left out: pip install 'resilient_ai\\[operate]'", style="yellow")
        err().print(f"{len(known)} alerts, {len(written)} files written to {out}", style="dim")
