"""Runs the SDKs' own tests with every client wrapped, and prints them beside the same tests without.

Run: python scripts/sdk_suites.py [--workers N] [--tests PATH] [openai anthropic groq together]

Gets the source distributions and what their tests need from the package index, and makes an environment for each below build/sdk_suites.
Nothing of the tests is changed, and none is left out: one plugin (wrap_every_client.py) wraps the clients as they are made, another
(mock_provider.py) is the server that the tests of resources ask.

Each suite is run three times: as it is; wrapped as `wrap` does by default; and wrapped with `verify_answers=False`, which takes whatever comes
with a good status for an answer. The last may break nothing. Of the second, sdk_suites_refused.toml names each test that fails because a
broken answer is its subject or its means, and why. A test that fails wrapped only is run once more by itself. The exit status is 1 if one
still fails that is not named there, if one fails that is named and in which no answer was refused, or if one passes that is named.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tomllib
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
REFUSED = ROOT / "scripts" / "sdk_suites_refused.toml"
"""By SDK and by reason, the tests that have an answer refused: one test, or a function with all its parameters."""


@dataclass(frozen=True)
class Run:
    """What one run of a suite said: how each test ended, in which an answer was refused, and how much went through the wrapper."""

    ended: dict[str, str]
    refused: dict[str, list[str]]
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

    def run(self, tests: Iterable[str], how: str, *, workers: int, alone: bool = False) -> Run:
        """Runs tests of the suite, named as pytest names them; what pytest says goes to a log in the suite's folder.

        Args:
            tests: Which.
            how: `plain`, or how the clients are wrapped: `judged` or `unjudged`.
            workers: Processes.
            alone: Once more, because they failed.
        """
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
        if how != "plain":
            environment["WRAP_CLIENTS"] = how
        log = self.source / f"{how}{'-alone' if alone else ''}.log"
        with log.open("w", encoding="utf-8") as out:
            subprocess.run(
                command, cwd=self.source, env=environment, stdout=out, stderr=subprocess.STDOUT, check=False
            )
        if not report.exists():
            raise SystemExit(f"{self.name}: the suite did not run; see {log}")
        said = json.loads(report.read_text(encoding="utf-8"))
        return Run(said["ended"], said["refused"], said["clients"], said["calls"])


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


def named(name: str) -> dict[str, str]:
    """The tests of an SDK that have an answer refused, each with the reason."""
    found = tomllib.loads(REFUSED.read_text(encoding="utf-8")).get(name, [])
    return {test: group["reason"] for group in found for test in group["tests"]}


def compared(suite: Suite, tests: Sequence[str], workers: int) -> list[str]:
    """Prints the figures of one suite; gives what is wrong."""
    plain = suite.run(tests, "plain", workers=workers)
    print(f"{suite.source.name}")
    print(f"  as it is                      {plain}")
    wrong: list[str] = []
    for how, words in (("judged", "wrapped as by default"), ("unjudged", "wrapped, not verifying")):
        wrapped = suite.run(tests, how, workers=workers)
        print(f"  {words:29} {wrapped}, {wrapped.calls} calls of {wrapped.clients} clients went through us")
        suspects = (wrapped.failures - plain.failures) | (plain.ended.keys() - wrapped.ended.keys())
        if how == "judged":
            suspects -= _expected(suite.name, wrapped, suspects, wrong)
        broken = suspects - suite.run(sorted(suspects), how, workers=0, alone=True).good if suspects else ()
        wrong += [f"broken by wrapping ({how}): {test}" for test in sorted(broken)]
        if not wrapped.calls:
            wrong.append(f"no call went through the wrapper ({how})")
    for what in wrong:
        print(f"  {what}")
    sys.stdout.flush()
    return wrong


def _expected(name: str, wrapped: Run, failed: set[str], wrong: list[str]) -> set[str]:
    """Those of `failed` that are named, and printed by reason; `wrong` is told what is wrong with the list."""
    groups = tomllib.loads(REFUSED.read_text(encoding="utf-8")).get(name, [])
    reasons = {test: group["reason"] for group in groups for test in group["tests"]}
    found = {test: reasons.get(test) or reasons.get(test.partition("[")[0]) for test in failed}
    expected = {test for test, reason in found.items() if reason}
    for reason, count in Counter(found[test] for test in expected).most_common():
        print(f"    {count:4} fail, each of which {reason}")
    wrong += [
        f"named, but no answer was refused: {test}" for test in sorted(expected - wrapped.refused.keys())
    ]
    ran = {form for test in wrapped.ended for form in (test, test.partition("[")[0])}
    failing = {form for test in failed for form in (test, test.partition("[")[0])}
    wrong += [f"named, but passes: {test}" for test in sorted((reasons.keys() & ran) - failing)]
    return expected


def main() -> int:
    """1 if wrapping broke a test that nobody expects to be, if nothing was wrapped, or if the list of the expected ones is out of date."""
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
    wrong = [what for name in options.names for what in compared(made(name), tests, options.workers)]
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
