"""The commands of `resilient-ai`, put together."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, cast

import typer

from resilient_ai.cli.alerts import alerts
from resilient_ai.cli.ask import ask
from resilient_ai.cli.audit import audit
from resilient_ai.cli.check import check
from resilient_ai.cli.explain import explain
from resilient_ai.cli.schema import schema
from resilient_ai.cli.terminal import EXIT_CODES, JsonOption, reporting

app = typer.Typer(
    name="resilient-ai",
    help="AI calls that answer in time: retries, breakers, fallback to the device, from one configuration file.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:  # noqa: FBT001 - typer's callback
    if value:
        from importlib.metadata import version

        typer.echo(f"resilient-ai {version('resilient_ai')}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


@app.command(epilog=EXIT_CODES)
def demo(
    seed: Annotated[int, typer.Option(help="Seed of everything that is left to chance.")] = 7,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the report, the log and the spans.", show_default="./resilient-ai-demo"
        ),
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(
            help="Ask a real model first, for example openai:gpt-5.2, with its key from the environment. This sends the tickets, "
            "and may cost money.",
            show_default=False,
        ),
    ] = None,
    calls: Annotated[
        int | None,
        typer.Option(min=1, help="How many tickets to send.", show_default="600; 300 fast, 60 real"),
    ] = None,
    *,
    fast: Annotated[bool, typer.Option("--fast", help="The same script in under 20 seconds.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Watch calls being answered while a provider fails in every way: no key, no download, nothing leaves this machine."""
    with reporting(as_json=as_json):
        run = cast("Callable[..., int]", import_module("resilient_ai.cli.demo").run)
        raise typer.Exit(run(seed=seed, fast=fast, json=as_json, out=out, provider=provider, calls=calls))


for _command in (ask, check, explain, schema, alerts):
    app.command(epilog=EXIT_CODES)(_command)
app.add_typer(audit)
