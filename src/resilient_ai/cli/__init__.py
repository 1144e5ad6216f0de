"""The `resilient-ai` command. Human output through rich, `--json` for machines; the exit codes are in `terminal`."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from io import TextIOWrapper

_NEEDS = ("typer", "rich")


def main() -> None:
    """Runs the command line and exits.

    Raises:
        SystemExit: Always, with the exit code.
    """
    if any(find_spec(name) is None for name in _NEEDS):
        sys.stderr.write("The command line needs the [cli] extra: pip install 'resilient_ai[cli]'\n")
        sys.exit(2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a sign shows a question mark; the answer is not lost for it.
            stream.reconfigure(errors="replace")
    from resilient_ai.cli.app import app

    app()
