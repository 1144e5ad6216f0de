"""Writes the tables of defaults in the docs from the dataclasses themselves.

Run: python scripts/defaults_tables.py --write
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
MARK = re.compile(r"(<!-- defaults: ([\w.]+) -->\n).*?(<!-- /defaults -->)", re.DOTALL)


def table(path: str) -> str:
    """The options of the dataclass at `path`, their defaults and what they mean."""
    module, _, name = path.rpartition(".")
    options = getattr(importlib.import_module(module), name)
    meanings = _attributes(inspect.getdoc(options) or "")
    rows = ["| option | default | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(options):
        default = "" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
        rows.append(f"| `{field.name}` | {default} | {meanings[field.name]} |")
    return "\n".join(rows) + "\n"


def filled(text: str) -> str:
    """A page with its tables as they should be."""
    return MARK.sub(lambda found: f"{found[1]}{table(found[2])}{found[3]}", text)


def _attributes(doc: str) -> dict[str, str]:
    _, _, section = doc.partition("Attributes:\n")
    section = re.split(r"\n\S", section, maxsplit=1)[0]
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        start = re.match(r"    (\w+): (.*)", line)
        if start:
            name = start[1]
            found[name] = start[2]
        elif line.strip() and name:
            found[name] += f" {line.strip()}"
    return found


def main() -> int:
    """Checks the pages, or writes them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    stale = [page for page in sorted(DOCS.glob("*.md")) if filled(page.read_text()) != page.read_text()]
    for page in stale:
        sys.stdout.write(f"{'wrote' if write else 'stale'}: {page.name}\n")
        if write:
            page.write_text(filled(page.read_text()))
    return 0 if write or not stale else 1


if __name__ == "__main__":
    sys.exit(main())
