"""Brings the kit and the list of alerts on the page in step: `python -m resilient_ai.operate operations docs/operations.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from resilient_ai.operate.kit import in_step, write
from resilient_ai.operate.rules import Terms


def main(folder: Path, page: Path) -> None:
    """Writes the kit to `folder`, and the list of its alerts into `page`."""
    terms = Terms()
    write(folder, terms)
    text = in_step(page.read_text(encoding="utf-8"), terms, runbooks="../operations/runbooks")
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
