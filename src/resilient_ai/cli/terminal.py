"""What all commands share: exit codes, where output goes, and how an error is told."""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from resilient_ai.errors import CallError, ConfigError, ResilientError

OK: Final = 0
PROBLEM: Final = 1
"""A problem was found, or a call failed."""
USAGE: Final = 2
"""The command line or the configuration is wrong."""
INTERRUPTED: Final = 130
"""Ctrl-C: 128 and the number of SIGINT, as shells count it."""

EXIT_CODES: Final = (
    "Exit codes: 0 all is well; 1 a problem was found or the call failed; "
    "2 the command line or the configuration is wrong; 130 interrupted."
)

_COMMANDING: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters of ASCII and Latin-1 except tab and line feed."""

ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The configuration file. Without it: what RESILIENT_AI_CONFIG names, ./resilient.toml, or \\[tool.resilient-ai] in "
        "./pyproject.toml.",
        show_default=False,
    ),
]
ChainOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--chain", help="The chain. Without it: the only one, or `default`.", show_default=False),
]
JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON document instead of text for people.")
]


def out() -> Console:
    """Where results go. Made per command, so that it follows a redirected stream."""
    return Console(highlight=False, soft_wrap=True)


def err() -> Console:
    """Where progress, notes and errors go."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def put(console: Console, mark: Text, body: Text) -> None:
    """Prints `mark` and `body` on one line. On a terminal a longer body goes on below itself, by words; elsewhere it stays whole."""
    if not console.is_terminal:
        console.print(Text.assemble(mark, body))
        return
    grid = Table.grid()
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(mark, body)
    console.print(grid, soft_wrap=False)


def printable(text: str) -> str:
    """`text` without the characters that command a terminal: an answer is shown, it does not act."""
    return _COMMANDING.sub("", text)


def print_json(document: object) -> None:
    """Prints `document` for machines."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


@contextmanager
def reporting(*, as_json: bool) -> Generator[None]:
    """Tells an error in one or a few lines, without a traceback and without a key, and exits with its code.

    Raises:
        typer.Exit: An error was told.
    """
    try:
        yield
    except (typer.Exit, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        err().print("interrupted", style="dim")
        raise typer.Exit(INTERRUPTED) from None
    except ConfigError as error:
        _tell(error, as_json=as_json)
        raise typer.Exit(USAGE) from None
    except Exception as error:  # noqa: BLE001 - a model of another package raises what it likes, and a traceback shows content
        _tell(error, as_json=as_json)
        raise typer.Exit(PROBLEM) from None


def describe(error: Exception) -> dict[str, object]:
    """`error` for machines: its type, its redacted text, and where it comes from."""
    described: dict[str, object] = {"type": type(error).__name__, "message": safe_text(error)}
    if isinstance(error, ConfigError):
        described |= {
            "path": error.path,
            "line": error.line,
            "key": error.key,
            "suggestion": error.suggestion,
        }
    if isinstance(error, CallError):
        described |= {"kind": error.kind.value, "retry_after": error.retry_after}
    return described


def safe_text(error: Exception) -> str:
    """The text of `error` as far as it may be seen: whatever raised it, no key, prompt or answer stands in it."""
    from resilient_ai.privacy import redact_log

    if isinstance(error, ResilientError):
        return redact_log(str(error.args[0]))
    if isinstance(error, OSError):
        where = f": {error.filename}" if isinstance(error.filename, str) else ""
        return redact_log(f"{error.strerror or type(error).__name__}{where}")
    # Texts of others may hold anything: only where it happened is told.
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}; its text is withheld, because it may hold content"


def _tell(error: Exception, *, as_json: bool) -> None:
    from resilient_ai.cli.history import print_history
    from resilient_ai.history import outcome_document
    from resilient_ai.privacy import redact_log

    outcome = error.outcome if isinstance(error, CallError) else None
    notes = [str(note) for note in getattr(error, "__notes__", [])]
    if as_json:
        history: Mapping[str, object] = {} if outcome is None else {"outcome": outcome_document(outcome)}
        print_json(
            {"error": describe(error), "others": notes, **history}
            if notes
            else {"error": describe(error), **history}
        )
        return
    console = err()
    label = type(error).__name__ if isinstance(error, CallError) else "error"
    put(console, Text(f"{label}: ", "bold red"), Text(safe_text(error)))
    for note in notes:
        put(console, Text(f"{label}: ", "bold red"), Text(redact_log(note)))
    if outcome is not None:
        print_history(console, outcome)
