"""Runs the SDKs' own tests with every client wrapped, and prints them beside the same tests without.

Run: python scripts/sdk_suites.py [--workers N] [openai anthropic groq together]

Gets the source distributions and what their tests need from the package index, and makes an environment for each below build/sdk_suites.
Nothing of the tests is changed; a plugin (wrap_every_client.py) wraps the clients as they are made. Left out are the tests that ask a mock
server made from the provider's API description, which is no part of a source distribution. A test that fails wrapped only is run once more by
itself; the exit status is 1 if one still fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import venv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "sdk_suites"
SDKS = ("openai", "anthropic", "groq", "together")
OURS = ("tenacity", "httpx", "sniffio", "pybreaker", "structlog", "opentelemetry-sdk", "pydantic")
TESTS = (
    "pytest", "pytest-asyncio", "pytest-xdist", "pytest-timeout", "pytest-mock", "respx", "dirty-equals", "time-machine",
    "inline-snapshot", "http-snapshot", "hypothesis", "nest-asyncio", "trio", "rich", "griffe", "packaging", "importlib-metadata",
    "azure-identity", "aiohttp", "httpx-aiohttp", "websockets", "boto3", "pandas", "Pillow",
)  # fmt: skip
MOCK_SERVER = "tests/api_resources"
TEST_SECONDS = 30
"""A test that hangs fails."""


@dataclass(frozen=True)
class Run:
    """What one run of a suite said: how each test ended, and how much went through the wrapper."""

    ended: dict[str, str]
    clients: int
    calls: int

    @property
    def failures(self) -> set[str]:
        return {test for test, how in self.ended.items() if how == "failed"}

    def __str__(self) -> str:
        many = Counter(self.ended.values())
        return f"{many['passed']:5} passed {many['failed']:4} failed {many['skipped']:4} skipped"


@dataclass(frozen=True)
class Suite:
    """The tests of one SDK: the interpreter they run in, and where they are."""

    name: str
    python: Path
    source: Path

    def run(self, *tests: str, wrapped: bool, workers: int) -> Run:
        """Runs the suite, or only `tests` of it."""
        report = self.source / "report.json"
        report.unlink(missing_ok=True)
        command = [
            str(self.python), "-m", "pytest", *(tests or ("tests", f"--ignore={MOCK_SERVER}")), "-q", "--tb=short", "-p", "no:cacheprovider",
            "-p", "wrap_every_client", "-n", str(workers), f"--timeout={TEST_SECONDS}", "--continue-on-collection-errors",
        ]  # fmt: skip
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "scripts")]),
            "SUITE_REPORT": str(report),
        }
        if wrapped:
            environment["WRAP_CLIENTS_OF"] = self.name
        log = self.source / f"{'wrapped' if wrapped else 'plain'}.log"
        with log.open("w", encoding="utf-8") as told:
            subprocess.run(
                command, cwd=self.source, env=environment, stdout=told, stderr=subprocess.STDOUT, check=False
            )
        if not report.exists():
            raise SystemExit(f"{self.name}: the suite did not run; see {log}")
        said = json.loads(report.read_text(encoding="utf-8"))
        return Run(said["ended"], said["clients"], said["calls"])


def made(name: str) -> Suite:
    """The suite of an SDK; what is there from an earlier run is used again."""
    home = BUILD / name
    home.mkdir(parents=True, exist_ok=True)
    python = home / "venv" / "bin" / "python"
    if not python.exists():
        venv.create(home / "venv", with_pip=True)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if not list(home.glob("*.tar.gz")):
        _call([*pip, "download", "--no-deps", f"--no-binary={name}", name, "-d", str(home)])
    [archive] = home.glob("*.tar.gz")
    source = home / archive.name.removesuffix(".tar.gz")
    if not source.exists():
        with tarfile.open(archive) as opened:
            opened.extractall(home, filter="data")
    installed = home / "installed"
    wanted = "\n".join((*OURS, *TESTS))
    if not installed.exists() or installed.read_text(encoding="utf-8") != wanted:
        _call([*pip, "install", str(archive), *OURS, *TESTS])
        installed.unlink(missing_ok=True)
        installed.write_text(wanted, encoding="utf-8")
    return Suite(name, python, source)


def _call(command: list[str]) -> None:
    subprocess.run(command, check=True)


def compared(suite: Suite, workers: int) -> list[str]:
    """Prints the figures of one suite; gives the tests that only wrapping breaks."""
    plain = suite.run(wrapped=False, workers=workers)
    wrapped = suite.run(wrapped=True, workers=workers)
    broken = sorted(wrapped.failures - plain.failures)
    if broken:
        again = suite.run(*broken, wrapped=True, workers=0)
        broken = sorted(again.failures)
    print(f"{suite.source.name}")
    print(f"  plain    {plain}")
    print(
        f"  wrapped  {wrapped}, {wrapped.calls} calls of {wrapped.clients} clients went through the wrapper"
    )
    for test in broken:
        print(f"  broken by wrapping: {test}")
    if not wrapped.calls:
        broken.append("no call went through the wrapper")
        print(f"  {broken[-1]}")
    sys.stdout.flush()
    return broken


def main() -> int:
    """1 if wrapping broke a test, or nothing was wrapped."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=SDKS, metavar="SDK", help="which SDKs; all by default")
    parser.add_argument("--workers", type=int, default=2, help="processes a suite runs in (2)")
    options = parser.parse_args()
    broken = [test for name in options.names for test in compared(made(name), options.workers)]
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
