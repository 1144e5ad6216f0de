"""`resilient-ai audit verify`: whether an audit trail is as it was written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from resilient_ai.cli.terminal import (
    EXIT_CODES,
    PROBLEM,
    ConfigOption,
    JsonOption,
    err,
    out,
    print_json,
    put,
    reporting,
)
from resilient_ai.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resilient_ai.privacy import Secret
    from resilient_ai.telemetry.audit.verify import AuditReport

audit = typer.Typer(name="audit", help="Read the record of calls that auditors read.", no_args_is_help=True)


@audit.callback()
def _audit() -> None:
    """A group of its own, so that `verify` stays a word of the command line."""


@audit.command(epilog=EXIT_CODES)
def verify(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="The file, or those it was rotated into, in the order in which they were written."
        ),
    ],
    key: Annotated[
        str | None,
        typer.Option(
            help="Where the key is that the trail is sealed with: env:NAME or file:PATH. Without it: what \\[audit] of --config says.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    noted: Annotated[
        str | None,
        typer.Option(
            help="A seal that was noted elsewhere: the trail must have it, or its end is missing.",
            show_default=False,
        ),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Verify that no record of an audit trail was changed, removed or put in; name the first line that is broken."""
    from resilient_ai.telemetry.audit.verify import verify_audit

    with reporting(as_json=as_json):
        report = verify_audit(*files, key=_key(key, config), noted=noted)
        if as_json:
            print_json(_document(report))
        else:
            _print(report)
        if not report.whole:
            raise typer.Exit(PROBLEM)


def _key(reference: str | None, config: Path | None) -> Secret | None:
    from resilient_ai.config.secrets import check_reference, look_up

    if reference is not None:
        try:
            return look_up(check_reference(reference), Path())
        except ValueError as error:
            raise ConfigError(f"{error}.", key="key") from None
        except LookupError as error:
            raise ConfigError(f"{error.args[0]}.", key="key") from None
    if config is None:
        return None
    from resilient_ai.config.load import load_config
    from resilient_ai.config.telemetry import audit_options

    options = audit_options(load_config(config))
    return None if options is None else options.key


def _document(report: AuditReport) -> dict[str, Any]:
    broken = report.broken
    return {
        "whole": report.whole,
        "records": report.records,
        "calls": report.calls,
        "broken": None
        if broken is None
        else {"file": str(broken.file), "line": broken.line, "what": broken.what},
        "cut": [{"file": str(one.file), "line": one.line} for one in report.cut],
        "lost": report.lost,
        "unclosed": list(report.unclosed),
        "restarts": [str(path) for path in report.restarts],
        "noted": report.noted,
        "last": {"n": report.last.n, "seal": report.last.seal} if report.records else None,
    }


def _print(report: AuditReport) -> None:
    console = out()
    if report.broken is not None:
        put(console, Text("✗ ", "red"), Text(str(report.broken)))
        put(
            console,
            Text("  "),
            Text(f"The {report.records} records before it are whole. What follows was not looked at."),
        )
    elif report.noted is False:
        put(
            console,
            Text("✗ ", "red"),
            Text("The noted seal is not in it: the end of the trail is missing, or this is another."),
        )
    else:
        words = f"{report.records} records, {report.calls} of them calls: whole."
        put(console, Text("✓ ", "green"), Text(words))
    for remark in _remarks(report):
        put(console, Text("! ", "yellow"), Text(remark))
    if report.records and report.broken is None:
        err().print(f"last: {report.last.n} {report.last.seal}", style="dim")


def _remarks(report: AuditReport) -> Iterator[str]:
    """What does not break the trail and still ought to be known."""
    yield from map(str, report.cut)
    if report.lost:
        yield f"{report.lost} records could not be written; the record that follows each gap says so."
    for path in report.restarts:
        yield f"{path}: a chain of its own begins here; whether records are missing before it cannot be told."
    if report.unclosed:
        processes = ", ".join(map(str, report.unclosed))
        yield (
            f"no end was written by process {processes}: it runs still, or it was killed, and the calls it was making then have no record."
        )
