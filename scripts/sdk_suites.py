"""Runs the SDKs' own tests with every client wrapped, and prints them beside the same tests without.

Run: python scripts/sdk_suites.py [--workers N] [--tests PATH] [openai anthropic groq together]

Gets the source distributions and what their tests need from the package index, and makes an environment for each below build/sdk_suites.
Nothing of the tests is changed, and none is left out: one plugin (wrap_every_client.py) wraps the clients as they are made, another
(mock_provider.py) is the server that the tests of resources ask. A test that fails wrapped only is run once more by itself; the exit status
is 1 if one still fails.
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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "sdk_suites"
SDKS = {
    "openai": "aiohttp,bedrock,datalib,realtime,vertex",
    "anthropic": "aiohttp,aws,bedrock,google-cloud,mcp,vertex,webhooks",
    "groq": "aiohttp",
    "together": "aiofiles,aiohttp,cli,realtime",
}
"""Each with its extras."""
OURS = ("tenacity", "httpx", "sniffio", "pybreaker", "structlog", "opentelemetry-sdk", "pydantic")
TESTS = (
    "pytest", "pytest-asyncio", "pytest-xdist", "pytest-timeout", "pytest-mock", "respx", "dirty-equals", "time-machine",
    "inline-snapshot", "http-snapshot", "hypothesis", "nest-asyncio", "trio", "rich", "griffe", "packaging", "importlib-metadata",
    "azure-identity", "Pillow",
)  # fmt: skip
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

    @property
    def good(self) -> set[str]:
        return self.ended.keys() - self.failures

    def __str__(self) -> str:
        many = Counter(self.ended.values())
        return f"{many['passed']:5} passed {many['failed']:4} failed {many['skipped']:4} skipped"


@dataclass(frozen=True)
class Suite:
    """The tests of one SDK: the interpreter they run in, and where they are."""

    name: str
    python: Path
    source: Path

    def run(self, tests: Iterable[str], *, wrapped: bool, workers: int, told: str) -> Run:
        """Runs tests of the suite, named as pytest names them; what pytest says goes to the file `told`.log."""
        report = self.source / "report.json"
        report.unlink(missing_ok=True)
        command = [
            str(self.python), "-m", "pytest", *tests, "-q", "--tb=native", "-p", "no:cacheprovider", "-p", "wrap_every_client",
            "-p", "mock_provider", "-n", str(workers), f"--timeout={TEST_SECONDS}", "--continue-on-collection-errors",
        ]  # fmt: skip
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "scripts")]),
            "SUITE_OF": self.name,
            "SUITE_REPORT": str(report),
        }
        if wrapped:
            environment["WRAP_CLIENTS"] = "1"
        log = self.source / f"{told}.log"
        with log.open("w", encoding="utf-8") as out:
            subprocess.run(
                command, cwd=self.source, env=environment, stdout=out, stderr=subprocess.STDOUT, check=False
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
    wanted = [f"{archive}[{SDKS[name]}]", *OURS, *TESTS]
    if not installed.exists() or installed.read_text(encoding="utf-8").splitlines() != wanted:
        _call([*pip, "install", *wanted])
        installed.unlink(missing_ok=True)
        installed.write_text("\n".join(wanted), encoding="utf-8")
    return Suite(name, python, source)


def _call(command: list[str]) -> None:
    subprocess.run(command, check=True)


def compared(suite: Suite, tests: Sequence[str], workers: int) -> list[str]:
    """Prints the figures of one suite; gives the tests that only wrapping breaks."""
    plain = suite.run(tests, wrapped=False, workers=workers, told="plain")
    wrapped = suite.run(tests, wrapped=True, workers=workers, told="wrapped")
    suspects = (wrapped.failures - plain.failures) | (plain.ended.keys() - wrapped.ended.keys())
    broken: list[str] = []
    if suspects:
        alone = suite.run(sorted(suspects), wrapped=True, workers=0, told="alone")
        broken = sorted(suspects - alone.good)
    print(f"{suite.source.name}")
    print(f"  plain    {plain}")
    print(
        f"  wrapped  {wrapped}, {wrapped.calls} calls of {wrapped.clients} clients went through the wrapper"
    )
    for test in sorted(suspects.difference(broken)):
        print(f"  failed wrapped, and passed wrapped when run by itself: {test}")
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
    parser.add_argument(
        "names", nargs="*", default=list(SDKS), metavar="SDK", help="which SDKs; all by default"
    )
    parser.add_argument(
        "--tests", action="append", metavar="PATH", help="only these, a path in the source distribution"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes a suite runs in (2)")
    options = parser.parse_args()
    tests = options.tests or ["tests"]
    broken = [test for name in options.names for test in compared(made(name), tests, options.workers)]
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
