"""`resilient-ai demo`: support tickets through a chain of two models while the first of them has the worst minute of its life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from resilient_ai.cli.demo.figures import Run
    from resilient_ai.cli.demo.recording import Recording
    from resilient_ai.health import ChainHealth

FOLDER: Final = "resilient-ai-demo"
"""Where the files go unless told otherwise, in the working directory."""
LOG: Final = "log.jsonl"
SPANS: Final = "spans.jsonl"
REPORT: Final = "report.html"


def run(
    *,
    seed: int,
    fast: bool,
    json: bool,
    out: Path | None = None,
    provider: str | None = None,
    calls: int | None = None,
) -> int:
    """Runs the demo, shows it, writes its files and tells what came of it.

    Args:
        seed: Of arrivals, latencies, faults and jitter.
        fast: Shorten the script to under 20 seconds.
        json: Print one JSON object on standard output and nothing else there; what people watch goes to standard error.
        out: Folder for the files; None is `./resilient-ai-demo`. Files of an earlier run are replaced.
        provider: A real model to ask instead of the scripted provider (`openai:gpt-5.2`).
        calls: How many tickets to send; None is 600, 300 under `fast`, or 60 to a real provider.

    Returns:
        The exit code: 0 if every call was answered or failed with a typed error, and none was late; else 1.

    Raises:
        ConfigError: The extra `[on-device]` is missing, or `provider` is unknown or has no key.
        OSError: The files cannot be written.
        KeyboardInterrupt: Ctrl-C. Every process that was started has ended by then.
    """
    from rich.console import Console

    from resilient_ai.cli.demo.figures import document, summarise
    from resilient_ai.cli.demo.summary import print_summary
    from resilient_ai.cli.terminal import OK, PROBLEM, print_json

    folder = _folder(out)
    console = Console(stderr=json, highlight=False)
    done = _watched_run(console, folder, seed=seed, fast=fast, provider=provider, calls=calls)
    files = {name: str(folder / file) for name, file in (("log", LOG), ("spans", SPANS), ("report", REPORT))}
    _write_report(folder / REPORT, done, seed=seed, fast=fast, provider=provider, calls=calls)
    if json:
        print_json(document(done, files))
    else:
        print_summary(console, done, files)
    return OK if summarise(done).good else PROBLEM


def _folder(asked: Path | None) -> Path:
    """The folder for the files, without those of an earlier run."""
    from pathlib import Path

    folder = (asked or Path(FOLDER)).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if asked is None:
        # What nobody asked for by name must not turn up in a commit.
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    for name in (LOG, SPANS, REPORT):
        (folder / name).unlink(missing_ok=True)
    return folder


def _watched_run(
    console: Console, folder: Path, *, seed: int, fast: bool, provider: str | None, calls: int | None
) -> Run:
    import asyncio

    from resilient_ai.cli.demo.play import Options, play
    from resilient_ai.cli.demo.recording import Recording
    from resilient_ai.cli.demo.screen import frame_of, watched
    from resilient_ai.core.clock import SYSTEM_CLOCK

    options = Options(seed, fast, provider, calls, folder / LOG, folder / SPANS)
    recording = Recording(SYSTEM_CLOCK)
    with watched(console) as screen:

        def show(recording: Recording, health: ChainHealth) -> None:
            screen.show(frame_of(recording, health, lasts=options.seconds))

        return asyncio.run(play(options, recording, show))


def _write_report(
    path: Path, done: Run, *, seed: int, fast: bool, provider: str | None, calls: int | None
) -> None:
    import os
    import platform
    from datetime import UTC, datetime

    from resilient_ai import __version__
    from resilient_ai.cli.demo.report import Environment, page
    from resilient_ai.core.clock import SYSTEM_CLOCK

    words = ["resilient-ai demo", f"--seed {seed}"]
    words += ["--fast"] if fast else []
    words += [] if provider is None else [f"--provider {provider}"]
    words += [] if calls is None else [f"--calls {calls}"]
    written = datetime.fromtimestamp(SYSTEM_CLOCK.wall(), UTC)
    facts = {
        "written": f"{written:%Y-%m-%d %H:%M} UTC",
        "models": f"{done.remote}, then {done.device}",
        "library": f"resilient_ai {__version__}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
    }
    path.write_text(page(done, Environment(" ".join(words), facts)), encoding="utf-8")
