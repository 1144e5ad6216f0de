"""The commands of `resilient-ai`, put together."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Annotated, cast

import typer

from resilient_ai.cli.ask import ask
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
    *,
    fast: Annotated[bool, typer.Option("--fast", help="Do not wait for people to read along.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Watch the library at work on embedded defaults: no key, no download, nothing sent."""
    with reporting(as_json=as_json):
        run = cast("Callable[..., int]", import_module("resilient_ai.cli.demo").run)
        raise typer.Exit(run(seed=seed, fast=fast, json=as_json))


for _command in (ask, check, explain, schema):
    app.command(epilog=EXIT_CODES)(_command)
