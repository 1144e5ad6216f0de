"""`resilient-ai ask`: one question to a chain, the answer as it comes."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any, final

import typer
from rich.text import Text

from resilient_ai.cli.history import print_history
from resilient_ai.cli.terminal import (
    ChainOption,
    ConfigOption,
    JsonOption,
    err,
    print_json,
    printable,
    reporting,
)
from resilient_ai.config.durations import format_duration, parse_duration
from resilient_ai.core import events
from resilient_ai.errors import ConfigError
from resilient_ai.history import outcome_document

if TYPE_CHECKING:
    from pathlib import Path

    from rich.status import Status

    from resilient_ai.messages import Reply
    from resilient_ai.model import ResilientModel


def ask(
    question: Annotated[
        str | None,
        typer.Argument(
            help="What to ask. Without it, or as `-`, it is read from standard input.", show_default=False
        ),
    ] = None,
    config: ConfigOption = None,
    chain: ChainOption = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A model as provider:name, for example openai:gpt-5.2, instead of a configuration file. Repeat it for fallbacks.",
            show_default=False,
        ),
    ] = None,
    system: Annotated[str | None, typer.Option(help="Instructions to the model.", show_default=False)] = None,
    deadline: Annotated[
        str | None, typer.Option(help="Time the call may take, for example 20s.", show_default=False)
    ] = None,
    data_class: Annotated[
        str | None,
        typer.Option(
            help="How sensitive the question is: public, internal, personal or restricted.",
            show_default=False,
        ),
    ] = None,
    *,
    stream: Annotated[bool, typer.Option(help="Print the answer as it comes.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Ask a chain one question."""
    with reporting(as_json=as_json):
        text = _read() if question in (None, "-") else question
        asked = _messages(text or "", system)
        options: dict[str, Any] = {"data_class": data_class}
        if deadline is not None:
            options["deadline"] = _seconds(deadline)
        progress = Progress()
        names = model or []
        with (
            _audited(config, names),
            _model(config, chain, names, progress) as resilient,
            progress,
        ):
            reply = (
                _streamed(resilient, asked, options, progress)
                if stream and not as_json
                else resilient.generate(asked, **options)
            )
        if as_json:
            print_json(_document(reply))
        else:
            if not stream:
                sys.stdout.write((printable(reply.text) if sys.stdout.isatty() else reply.text) + "\n")
            _summary(reply)


def _read() -> str:
    if sys.stdin.isatty():
        err().print("[dim]the question, and Ctrl-D at its end:[/dim]")
    return sys.stdin.read().strip()


@final
class Progress:
    """Shows on standard error who is being asked while nothing has come yet; only on a terminal. An observer of the chain."""

    def __init__(self) -> None:
        self._console = err()
        self._status: Status | None = None

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._status = self._console.status("asking", spinner="dots")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done()

    def __call__(self, event: events.Event) -> None:
        if self._status is None:
            return
        if isinstance(event, events.AttemptStarted):
            again = f", attempt {event.n}" if event.n > 1 else ""
            self._status.update(Text(f"asking {event.provider}:{event.model}{again}"))
        elif isinstance(event, events.AttemptFinished) and event.attempt.kind is not None:
            self._status.update(
                Text(f"{event.attempt.provider}:{event.attempt.model}: {event.attempt.kind.value}")
            )

    def done(self) -> None:
        """Takes the line away. Idempotent."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def _model(config: Path | None, chain: str | None, names: list[str], progress: Progress) -> ResilientModel:
    from resilient_ai.model import ResilientModel

    if not names:
        return ResilientModel.from_config(config, chain=chain, observers=(progress,))
    if config is not None or chain is not None:
        raise ConfigError("--model asks models without a configuration file: leave --config and --chain out.")
    return ResilientModel(names, observers=(progress,))


def _audited(config: Path | None, names: list[str]) -> AbstractContextManager[object]:
    """Keeps the audit trail the file asks for: a question from a terminal is a call like any other."""
    if names:
        return nullcontext()
    from resilient_ai.config.load import find_config, load_config
    from resilient_ai.config.telemetry import audit_options

    if config is None:
        try:
            config = find_config()
        except ConfigError as error:
            if error.path is not None:
                raise
            raise ConfigError(f"{error}, or ask a model without one: --model openai:gpt-5.2.") from None
    options = audit_options(load_config(config))
    if options is None:
        return nullcontext()
    from resilient_ai.telemetry import observe

    return observe(logs=None, spans=False, metrics=False, audit=options)


def _messages(text: str, system: str | None) -> Any:
    if system is None:
        return text
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def _seconds(written: str) -> float:
    try:
        # On a command line a bare number is text too.
        return parse_duration(float(written) if written.replace(".", "", 1).isdigit() else written)
    except ValueError as error:
        raise ConfigError(f"--deadline: {error}.") from None


def _streamed(model: ResilientModel, asked: Any, options: dict[str, Any], progress: Progress) -> Reply:
    with model.stream(asked, **options) as stream:
        for chunk in stream:
            if chunk.restarted:
                err().print("\n[dim]the answer broke off; another model begins again[/dim]")
            if chunk.text:
                progress.done()
                sys.stdout.write(printable(chunk.text) if sys.stdout.isatty() else chunk.text)
                sys.stdout.flush()
        sys.stdout.write("\n")
        return stream.reply()


def _document(reply: Reply) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "text": reply.text,
        "model": reply.model,
        "provider": reply.provider,
        "degraded": reply.degraded,
        "finish_reason": reply.finish_reason,
        "refusal": reply.refusal,
        "usage": asdict(reply.usage),
        "cost": reply.cost,
        "outcome": None if reply.outcome is None else outcome_document(reply.outcome),
    }


def _summary(reply: Reply) -> None:
    outcome = reply.outcome
    if outcome is None:
        return
    console = err()
    count = len(outcome.attempts)
    facts = [
        f"{reply.provider}:{outcome.served_by}",
        format_duration(round(outcome.seconds, 2)),
        f"{count} attempt{'' if count == 1 else 's'}",
    ]
    if reply.usage.input_tokens is not None and reply.usage.output_tokens is not None:
        facts.append(f"{reply.usage.input_tokens} + {reply.usage.output_tokens} tokens")
    if reply.cost is not None:
        facts.append(f"cost {reply.cost:.6f}")
    if reply.finish_reason != "stop":
        facts.append(f"ended by {reply.finish_reason}")
    console.print(
        Text.assemble(("fallback  " if reply.degraded else "", "yellow"), (" · ".join(facts), "dim"))
    )
    if count > 1 or outcome.skipped:
        print_history(console, outcome)
