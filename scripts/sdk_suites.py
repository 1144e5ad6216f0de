"""Runs the SDKs' own client tests with every client wrapped, and prints them beside the same tests without.

Run: python scripts/sdk_suites.py [openai anthropic groq together]

Downloads the source distributions from the package index and makes an environment for each below build/sdk_suites. Nothing of the tests is
changed; a plugin wraps the clients as they are made.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "sdk_suites"
OURS = ("tenacity", "httpx", "sniffio", "pybreaker", "structlog", "opentelemetry-sdk", "pydantic")
TESTS = (
    "pytest",
    "pytest-asyncio",
    "pytest-xdist",
    "respx",
    "dirty-equals",
    "time-machine",
    "inline-snapshot",
    "nest-asyncio",
    "trio",
    "rich",
    "azure-identity",
    "aiohttp",
    "httpx-aiohttp",
    "boto3",
)


@dataclass(frozen=True)
class Run:
    """What one run of a suite said."""

    passed: int
    failed: int
    skipped: int
    wrapped: str
    failures: tuple[str, ...]


def _made(name: str) -> tuple[Path, Path]:
    """The interpreter of the environment for an SDK, and its sources."""
    home = BUILD / name
    home.mkdir(parents=True, exist_ok=True)
    python = home / "venv" / "bin" / "python"
    if not python.exists():
        venv.create(home / "venv", with_pip=True)
    if not list(home.glob("*.tar.gz")):
        _call(
            [
                str(python),
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                f"--no-binary={name}",
                name,
                "-d",
                str(home),
            ]
        )
    [archive] = home.glob("*.tar.gz")
    source = home / archive.name.removesuffix(".tar.gz")
    if not source.exists():
        with tarfile.open(archive) as opened:
            opened.extractall(home, filter="data")
    if not (home / "installed").exists():
        _call([str(python), "-m", "pip", "install", "-q", str(archive), *OURS, *TESTS])
        (home / "installed").touch()
    return python, source


def _call(command: list[str]) -> None:
    subprocess.run(command, check=True)


def _run(name: str, python: Path, source: Path, *, wrapped: bool) -> Run:
    command = [
        str(python),
        "-m",
        "pytest",
        "tests/test_client.py",
        "-q",
        "-o",
        "addopts=",
        "-p",
        "no:cacheprovider",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "scripts")])}
    if wrapped:
        command += ["-p", "wrap_every_client"]
        environment["WRAP_CLIENTS_OF"] = name
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    out = done.stdout
    if not re.search(r"\d+ (passed|failed)", out):
        raise SystemExit(f"{name}: the suite did not run\n{out[-4000:]}\n{done.stderr[-2000:]}")

    def count(word: str) -> int:
        found = re.search(rf"(\d+) {word}", out)
        return int(found[1]) if found else 0

    told = re.search(r"wrapped clients: .*", out)
    return Run(
        count("passed"),
        count("failed") + count("error"),
        count("skipped"),
        told[0] if told else "",
        tuple(re.findall(r"^(?:FAILED|ERROR) (\S+)", out, re.MULTILINE)),
    )


def main(names: list[str]) -> int:
    """Prints the figures; 1 if wrapping broke a test."""
    broken = 0
    for name in names or ["openai", "anthropic", "groq", "together"]:
        python, source = _made(name)
        plain = _run(name, python, source, wrapped=False)
        wrapped = _run(name, python, source, wrapped=True)
        new = sorted(set(wrapped.failures) - set(plain.failures))
        broken += len(new)
        print(f"{source.name}")
        for word, run in (("plain", plain), ("wrapped", wrapped)):
            print(f"  {word:8} {run.passed} passed, {run.failed} failed, {run.skipped} skipped")
        print(f"  {wrapped.wrapped}")
        for test in new:
            print(f"  broken by wrapping: {test}")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
