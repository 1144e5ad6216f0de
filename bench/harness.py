"""How everything here is measured.

Every contender of a scenario runs once a round in a child process of its own, so that nobody pays for another's imports, garbage
or warm caches. Within a round the contenders follow each other directly, and every other round in reverse, so that whatever else the
machine does falls on all of them alike. A child reports CPU time, user and system, of its own process: waiting costs
nothing and the server is not counted. What is compared is the ratio to the scenario's yardstick *in the same round*; the figure given
is the median over the rounds, with the least and the greatest beside it.

Absolute figures belong to the machine and to the moment. Nothing is judged and nothing fails: a time is no test.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from statistics import median
from typing import Final, TypeAlias

from bench.server import Address

Measure: TypeAlias = Callable[[Address], float]
"""Run in a child process: measures one contender, answers in the scenario's unit."""

BURSTS: Final = 3
"""Bursts a child measures after one to warm up; it reports their median."""
CHILD_SECONDS: Final = 300.0


@dataclass(frozen=True)
class Scenario:
    """Contenders that do the same work.

    Attributes:
        name: How it is asked for on the command line.
        title: What is measured.
        unit: What a figure is in.
        yardstick: The contender the others are divided by.
        contenders: What is run, by name: a function, or a whole program that prints its figure.
    """

    name: str
    title: str
    unit: str
    yardstick: str
    contenders: Mapping[str, Measure | str]


@dataclass(frozen=True)
class Figure:
    """What one contender came to over all rounds."""

    contender: str
    middle: float
    ratio: float
    least: float
    greatest: float


@dataclass(frozen=True)
class Result:
    """A scenario as measured."""

    name: str
    title: str
    unit: str
    yardstick: str
    figures: tuple[Figure, ...]

    def table(self) -> str:
        """For a terminal."""
        width = max(len(figure.contender) for figure in self.figures)
        lines = [f"{self.name}: {self.title}"]
        lines += [
            f"  {figure.contender:<{width}}  {figure.middle:10.1f} {self.unit}   "
            f"{figure.ratio:6.2f} x   ({figure.least:.2f} .. {figure.greatest:.2f})"
            for figure in self.figures
        ]
        return "\n".join(lines)


def measure(scenario: Scenario, address: Address, rounds: int) -> Result:
    """Runs every contender of `scenario` once a round."""
    names = list(scenario.contenders)
    seen: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            seen[name].append(_in_child(scenario, name, address))
    base = seen[scenario.yardstick]
    figures: list[Figure] = []
    for name in names:
        ratios = [one / other for one, other in zip(seen[name], base, strict=True)]
        figures.append(Figure(name, median(seen[name]), median(ratios), min(ratios), max(ratios)))
    return Result(scenario.name, scenario.title, scenario.unit, scenario.yardstick, tuple(figures))


def as_json(results: list[Result]) -> str:
    """All results, for machines."""
    return json.dumps([asdict(result) for result in results], indent=2)


def _in_child(scenario: Scenario, contender: str, address: Address) -> float:
    program = scenario.contenders[contender]
    arguments = [str(address.port), str(address.dead_port)]
    if isinstance(program, str):
        command = [sys.executable, "-c", program, *arguments]
    else:
        command = [sys.executable, "-m", "bench", "--child", scenario.name, contender, *arguments]
    done = subprocess.run(  # noqa: S603 - programs of this package
        command, stdout=subprocess.PIPE, check=True, text=True, timeout=CHILD_SECONDS
    )
    return float(done.stdout.split()[-1])


# --- in the child -----------------------------------------------------------------------------------------------------


def cpu(work: Callable[[], object], units: int) -> float:
    """Microseconds of CPU time `work` takes for each of its `units`: the median of some bursts."""
    work()
    gc.collect()
    bursts: list[float] = []
    for _ in range(BURSTS):
        begun = time.process_time()
        work()
        bursts.append((time.process_time() - begun) / units * 1e6)
    return median(bursts)


def each(call: Callable[[], object], calls: int) -> float:
    """Of a blocking call, one after another."""

    def burst() -> None:
        for _ in range(calls):
            call()

    return cpu(burst, calls)


def each_in_threads(call: Callable[[], object], calls: int, threads: int) -> float:
    """Of a blocking call, in several threads at a time."""
    with ThreadPoolExecutor(threads) as pool:

        def share() -> None:
            for _ in range(calls // threads):
                call()

        def burst() -> None:
            for running in [pool.submit(share) for _ in range(threads)]:
                running.result()

        return cpu(burst, calls // threads * threads)


def each_in_loop(
    runner: asyncio.Runner, call: Callable[[], Awaitable[object]], calls: int, at_a_time: int = 1
) -> float:
    """Of an asynchronous call, `at_a_time` of them under way."""

    async def share() -> None:
        for _ in range(calls // at_a_time):
            await call()

    async def burst() -> None:
        if at_a_time == 1:
            await share()
        else:
            await asyncio.gather(*(share() for _ in range(at_a_time)))

    return cpu(lambda: runner.run(burst()), calls // at_a_time * at_a_time)
