"""The tables of docs/telemetry.md and docs/audit.md, written from `names`.

`python -m resilient_ai.telemetry.tables docs/telemetry.md docs/audit.md` brings the pages in step.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from resilient_ai.core.events import ERROR_TYPES
from resilient_ai.telemetry import names


def tables() -> dict[str, str]:
    """Each table in Markdown, by its name in the page's markers."""
    return {
        "spans": _table(
            ("Span", "Kind", "Parent", "Covers"),
            ((f"`{row.name}`", row.kind, _quoted(row.parent), row.covers) for row in names.SPANS),
        ),
        "span-attributes": _table(
            ("Span", "Attributes at its start", "Attributes at its end", "Events"),
            (
                (f"`{row.name}`", _codes(row.at_start), _codes(row.at_end), _codes(row.events))
                for row in names.SPANS
            ),
        ),
        "metrics": _table(
            ("Metric", "Instrument", "Unit", "Labels", "What it says"),
            (
                (
                    f"`{row.name}`",
                    row.instrument,
                    f"`{row.unit}`" if row.unit else "",
                    _codes(row.labels),
                    row.description,
                )
                for row in names.METRICS
            ),
        ),
        "log-events": _table(
            ("Event", "Level", "Keys", "What it says"),
            ((f"`{row.event}`", row.levels, _codes(row.keys), row.meaning) for row in names.LOG_EVENTS),
        ),
        "error-types": _codes(sorted(ERROR_TYPES)),
    }


def audit_tables() -> dict[str, str]:
    """The tables of docs/audit.md, by their names in its markers."""
    rows = ((f"`{row.record}`", row.meaning, _codes(row.keys)) for row in names.AUDIT_RECORDS)
    return {"audit-records": _table(("Record", "What it says", "Keys"), rows)}


def in_step(page: str, written: Mapping[str, str] | None = None) -> str:
    """`page` with each of its tables written anew: those of `tables()`, or those given.

    Raises:
        ValueError: A marker is missing.
    """
    for name, table in (tables() if written is None else written).items():
        opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        before, found, rest = page.partition(opening)
        _, ended, after = rest.partition(closing)
        if not found or not ended:
            raise ValueError(f"the page has no place for the table {name!r}")
        page = f"{before}{opening}\n{table}\n{closing}{after}"
    return page


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (heads, tuple("---" for _ in heads), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _codes(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _quoted(parent: str) -> str:
    return f"`{parent}`" if parent in {row.name for row in names.SPANS} else parent


if __name__ == "__main__":
    for argument, made in zip(sys.argv[1:], (tables(), audit_tables()), strict=False):
        path = Path(argument)
        path.write_text(in_step(path.read_text(encoding="utf-8"), made), encoding="utf-8")
