"""All files of the kit, and how they are brought to disk.

`python -m resilient_ai.operate operations docs/operations.md` brings the copies in this repository in step.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from resilient_ai.operate import files
from resilient_ai.operate.board import board
from resilient_ai.operate.promql import span
from resilient_ai.operate.rules import Terms

_OPENING: Final = "<!-- alerts -->\n"
_CLOSING: Final = "<!-- /alerts -->\n"


def kit(terms: Terms, *, dashboard: bool = True) -> Mapping[str, str]:
    """The text of each file, by its path below the kit's folder. The same terms give the same text, byte for byte.

    Raises:
        ConfigError: The dashboard is wanted, and the `[operate]` extra is not installed.
    """
    drawn = {files.DASHBOARD_FILE: files.json_text(board(terms))} if dashboard else {}
    return {
        files.RULES_FILE: files.rules_text(terms),
        files.TESTS_FILE: files.tests_text(terms),
        **drawn,
        **{f"{files.RUNBOOKS}/{alert.runbook}": files.runbook_text(alert) for alert in files.alerts(terms)},
    }


def write(folder: Path, terms: Terms, *, dashboard: bool = True) -> tuple[Path, ...]:
    """Writes the kit to `folder`, which is made where it is missing; other files in it are left alone.

    Returns:
        The files written, in order.

    Raises:
        ConfigError: As for `kit`; then nothing is written.
        OSError: One cannot be written.
    """
    written: list[Path] = []
    for name, text in kit(terms, dashboard=dashboard).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
    return tuple(written)


def in_step(page: str, terms: Terms, *, runbooks: str) -> str:
    """`page` with its list of alerts written anew, linked to the `runbooks`.

    Raises:
        ValueError: It has no place for the list.
    """
    before, found, rest = page.partition(_OPENING)
    _, ended, after = rest.partition(_CLOSING)
    if not found or not ended:
        raise ValueError("the page has no place for the list of alerts")
    lines = [
        "| Alert | Severity | After | What it says |",
        "| --- | --- | --- | --- |",
        *(
            f"| [{alert.name}]({runbooks}/{alert.runbook}) | {alert.severity} "
            f"| {span(alert.hold) if alert.hold else 'at once'} | {alert.means} |"
            for alert in files.alerts(terms)
        ),
    ]
    return f"{before}{_OPENING}\n{chr(10).join(lines)}\n\n{_CLOSING}{after}"
