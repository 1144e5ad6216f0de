"""`resilient-ai schema`: the JSON Schema of the configuration file, for editors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from resilient_ai.cli.terminal import err, reporting


def schema(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write it to this file instead of standard output.", show_default=False
        ),
    ] = None,
    *,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print tables of every setting for people instead.")
    ] = False,
) -> None:
    """Print the JSON Schema of the configuration file."""
    from resilient_ai.config.jsonschema import json_schema_text
    from resilient_ai.config.reference import settings_markdown

    with reporting(as_json=False):
        text = settings_markdown() if markdown else json_schema_text()
        if output is None:
            sys.stdout.write(text)
            return
        output.write_text(text, encoding="utf-8")
        err().print(f"written to {output}", style="dim")
