"""`resilient-ai check`: whether the configuration holds together and every model can be asked from this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, final

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from resilient_ai.cli.terminal import (
    PROBLEM,
    ConfigOption,
    JsonOption,
    describe,
    err,
    out,
    print_json,
    put,
    reporting,
    safe_text,
)
from resilient_ai.config.durations import format_duration
from resilient_ai.errors import CallError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from resilient_ai.config.file import Config
    from resilient_ai.core.model import Model

LIVE_SECONDS: Final = 30.0
"""What a model may take to answer one word: the default of a first token, and half as much again."""
LIVE_TOKENS: Final = 16
"""The fewest output tokens every provider accepts as a bound. Source: OpenAI's Responses API refuses fewer than 16."""


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one model or chain.

    Attributes:
        kind: `model` or `chain`.
        name: Its name in the file.
        what: What it is: `openai:gpt-5.2`, or the models of the chain.
        detail: What was found, in a few words.
        ok: It can be used from here.
        problem: What is wrong with it, or None; a chain that is not ok because of a model has none of its own.
        seconds: How long the model took to answer, where it was asked.
    """

    kind: str
    name: str
    what: str
    detail: str = ""
    ok: bool = True
    problem: Exception | None = None
    seconds: float | None = None

    def document(self) -> dict[str, Any]:
        """The same as plain data."""
        problem = None if self.problem is None else describe(self.problem)
        return {
            "kind": self.kind,
            "name": self.name,
            "what": self.what,
            "ok": self.ok,
            "detail": self.detail or None,
            "seconds": self.seconds,
            "problem": problem,
        }


def check(
    config: ConfigOption = None,
    *,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Ask each model for one word. This sends requests, and they may cost money."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Validate the configuration and try every model: its key, its file, its settings."""
    from resilient_ai.config.file import Config
    from resilient_ai.config.load import examine, find_config
    from resilient_ai.config.read import read_file

    with reporting(as_json=as_json):
        path = find_config(config)
        try:
            examined = examine(read_file(path))
        except ConfigError as error:
            examined = [error]
        if isinstance(examined, Config) and not examined.models and not examined.chains:
            examined = [
                ConfigError("the file has no model and no chain: nobody can be asked by it.", path=str(path))
            ]
        if not isinstance(examined, Config):
            _print_problems(examined, as_json=as_json)
            raise typer.Exit(PROBLEM)
        console = err()
        with console.status("checking", spinner="dots") as status:
            findings: list[Finding] = []
            for finding in _findings(examined, live=live):
                status.update(f"checking, {finding.kind} {escape(finding.name)} done")
                findings.append(finding)
        if as_json:
            print_json(
                {
                    "path": str(path),
                    "policy": examined.digest,
                    "problems": [describe(found.problem) for found in findings if found.problem is not None],
                    "findings": [finding.document() for finding in findings],
                }
            )
        else:
            _print_findings(out(), examined, findings)
        if not all(finding.ok for finding in findings):
            raise typer.Exit(PROBLEM)


def _findings(config: Config, *, live: bool) -> Iterator[Finding]:
    unmade: set[str] = set()
    for name in config.models:
        finding = _model_finding(config, name, live=live)
        if isinstance(finding.problem, ConfigError):
            unmade.add(name)
        yield finding
    for name in config.chains:
        yield _chain_finding(config, name, unmade)


def _model_finding(config: Config, name: str, *, live: bool) -> Finding:
    from resilient_ai.config.build import build_model

    table = config.models[name]
    what = f"{table['provider']}:{table.get('model') or table.get('path') or name}"
    try:
        detail = _file_detail(config, name)
        model = build_model(config, name)
    except ConfigError as error:
        return _problem("model", name, what, error)
    try:
        if not live:
            return Finding(
                "model", name, what, detail or ("key found" if "api_key" in table else "can be asked")
            )
        seconds, problem = _ask_for_a_word(model)
    finally:
        model.close()
    if problem is not None:
        return _problem("model", name, what, problem, seconds=seconds)
    return Finding(
        "model", name, what, f"answered after {format_duration(round(seconds, 2))}", seconds=seconds
    )


def _file_detail(config: Config, name: str) -> str:
    """The size of a model's file, for a model on the device."""
    from resilient_ai.config.build import file_path

    written = config.models[name].get("path")
    if written is None:
        return ""
    path = file_path(config, written)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
    except OSError as error:
        raise config.source.error(
            f"the file {path} cannot be read: {error.strerror}.", ("models", name, "path")
        ) from None
    return f"file of {size / 1e6:.1f} MB"


def _ask_for_a_word(model: Model) -> tuple[float, Exception | None]:
    """Sends one request, past every retry and breaker. Seconds it took, and why there was no answer."""
    from resilient_ai.core.clock import SYSTEM_CLOCK
    from resilient_ai.core.failure import FailureKind
    from resilient_ai.model import ResilientModel
    from resilient_ai.policies.breaker import Breaker
    from resilient_ai.policies.retry import Retry

    once = ResilientModel(
        [model], deadline=LIVE_SECONDS, retry=Retry(attempts=1), breaker=Breaker(enabled=False)
    )
    started = SYSTEM_CLOCK.now()
    problem: Exception | None = None
    try:
        once.generate("Answer with one word: ready?", max_tokens=LIVE_TOKENS)
    except CallError as error:
        # An answer that is empty or cut off is an answer: a model that thinks first spends the few tokens on that.
        problem = None if error.kind is FailureKind.INVALID_OUTPUT else error
    except Exception as error:  # noqa: BLE001 - a model of another package raises what it likes; the others are still checked
        problem = error
    return SYSTEM_CLOCK.now() - started, problem


def _problem(kind: str, name: str, what: str, problem: Exception, *, seconds: float | None = None) -> Finding:
    if isinstance(problem, ConfigError) and problem.line is not None:
        detail = f"line {problem.line}"
    else:
        detail = problem.kind.value if isinstance(problem, CallError) else type(problem).__name__
    return Finding(kind, name, what, detail, ok=False, problem=problem, seconds=seconds)


def _chain_finding(config: Config, name: str, unmade: set[str]) -> Finding:
    from resilient_ai.config.build import resilient_model
    from resilient_ai.config.secrets import stand_in

    members = config.chain(name).settings.get("models", [])
    what = " → ".join(members)
    missing = [member for member in members if member in unmade]
    if missing:
        return Finding("chain", name, what, f"cannot be built without {', '.join(missing)}", ok=False)
    try:
        with resilient_model(config, name, keys=stand_in) as model:
            plan = model.plan
    except ConfigError as error:
        return _problem("chain", name, what, error)
    worst = plan.worst_case()
    requests = "any number of" if worst.requests is None else str(worst.requests)
    return Finding("chain", name, what, f"at most {requests} requests in {format_duration(worst.seconds)}")


def _print_problems(problems: list[ConfigError], *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "path": problems[0].path,
                "policy": None,
                "problems": [describe(one) for one in problems],
                "findings": [],
            }
        )
        return
    console = out()
    for problem in problems:
        put(console, Text("✗ ", "red"), Text(safe_text(problem)))
    _print_count(console, len(problems))


def _print_findings(console: Console, config: Config, findings: list[Finding]) -> None:
    console.print(f"[bold]{escape(str(config.path))}[/bold]  [dim]policy {config.digest}[/dim]\n")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(style="dim", overflow="fold")
    kind = ""
    for finding in findings:
        if kind and finding.kind != kind:
            table.add_row()
        kind = finding.kind
        mark = "[green]✓[/green]" if finding.ok else "[red]✗[/red]"
        table.add_row(mark, escape(finding.name), escape(finding.what), escape(finding.detail))
    console.print(table)
    problems = [finding.problem for finding in findings if finding.problem is not None]
    if problems:
        console.print()
    # One problem stops a model and every chain that has it: told once.
    for text in dict.fromkeys(map(safe_text, problems)):
        put(console, Text("✗ ", "red"), Text(text))
    _print_count(console, len(set(map(safe_text, problems))))


def _print_count(console: Console, count: int) -> None:
    words = "no problem" if count == 0 else "1 problem" if count == 1 else f"{count} problems"
    console.print(f"\n[{'green' if count == 0 else 'red'}]{words}[/]")
