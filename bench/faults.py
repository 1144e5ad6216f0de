"""Meets every fault of the catalogue, sync and async, whole and streamed, and judges each ending against the ideal.

Run: python -m bench.faults            prints the table
     python -m bench.faults --write    writes it into docs/faults.md
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from resilient_ai import (
    Breaker,
    DeadlineExceeded,
    Reply,
    ResilientError,
    ResilientModel,
    Retry,
    RetryBudget,
    StreamInterrupted,
    Timeouts,
    outcome_of,
)
from resilient_ai.models import OpenAIModel
from resilient_ai.testing import FaultServer

Colour = Literal["sync", "async"]
Mode = Literal["json", "stream"]

SHORT_SECONDS: Final = 0.7
LONG_SECONDS: Final = 6.0
SLACK_SECONDS: Final = 0.1
PAGE: Final = Path(__file__).parents[1] / "docs" / "faults.md"
COUNTLESS: Final = {"connect-blackhole", "connect-refused", "dns-failure", "flaky", "flapping", "capacity"}
"""Faults whose visits cannot be counted down: they stay, and what is judged is that they are retried and end typed."""
BOUNDED: Final = {
    "infinite-line",
    "infinite-event",
    "infinite-stream",
    "json-whitespace-forever",
    "chunked-huge-size",
}
"""Faults without end: a size bound may end them, typed, before the deadline does."""
UNSEEN: Final = {"reordered-events"}
"""Faults nothing on the wire gives away: events without numbers in the wrong order are another text, and nobody can tell."""
MAY_PASS: Final = {"flaky", "flapping", "capacity", "stale-connection", "json-got-stream", "missing-finish"}
"""Faults that do not hit every request, or whose answer is whole and may be taken as such; a missing finish reason is flagged."""
_serial = itertools.count()


@dataclass(frozen=True)
class Cell:
    """One fault met in one way."""

    fault: str
    colour: Colour
    mode: Mode
    ideal: str
    got: str
    good: bool
    seconds: float
    detail: str


@dataclass(frozen=True)
class _Ending:
    reply: Reply | None
    failure: Exception | None
    seconds: float


def cells(server: FaultServer, only: Iterable[str] | None = None) -> list[tuple[str, Colour, Mode, str]]:
    """Every fault in every way it can be met: fault, colour, mode, ideal."""
    wanted = None if only is None else set(only)
    found: list[tuple[str, Colour, Mode, str]] = []
    for name, fault in server.catalogue.items():
        if wanted is not None and name not in wanted:
            continue
        modes: tuple[Mode, ...] = ("json", "stream")
        for mode in modes:
            if fault.only not in (None, mode):
                continue
            ideal = str(fault.json if mode == "json" else fault.stream)
            found.append((name, "sync", mode, ideal))
            found.append((name, "async", mode, ideal))
    return found


def meet(server: FaultServer, fault: str, colour: Colour, mode: Mode, ideal: str) -> Cell:
    """Meets one fault in one way."""
    session = f"c{next(_serial)}"
    spec = server.catalogue[fault].spec
    counted = counts_down(fault, ideal)
    url = server.url(spec, times=1 if counted else None, session="" if fault in COUNTLESS else session)
    deadline = SHORT_SECONDS if ideal in ("deadline", "partial") else LONG_SECONDS
    patience = 1.5 if ideal == "transient" else deadline
    chain = ResilientModel(
        [OpenAIModel("gpt-x", base_url=url, api_key="sk-not-a-key")],
        deadline=deadline,
        retry=Retry(attempts=3, base=0.01, cap=0.05),
        # A stalled attempt leaves time for the next one only if it is shorter than the call.
        timeouts=Timeouts(connect=min(patience, 0.5), first_token=patience, idle=patience, attempt=patience),
        breaker=Breaker(enabled=False),
        budget=RetryBudget(enabled=False),
        name=session,
    )
    ending = _ask(chain, mode) if colour == "sync" else asyncio.run(_aask(chain, mode))
    chain.close()
    got, good, detail = _judge(server, fault, ideal, ending, counted=counted)
    return Cell(fault, colour, mode, ideal, got, good, ending.seconds, detail)


def _ask(chain: ResilientModel, mode: Mode) -> _Ending:
    start = time.monotonic()
    try:
        reply = chain.generate("question") if mode == "json" else chain.stream("question").reply()
    except Exception as failure:  # noqa: BLE001 - what is judged
        return _Ending(None, failure, time.monotonic() - start)
    return _Ending(reply, None, time.monotonic() - start)


async def _aask(chain: ResilientModel, mode: Mode) -> _Ending:
    start = time.monotonic()
    try:
        reply = await (chain.agenerate("question") if mode == "json" else chain.astream("question").reply())
    except Exception as failure:  # noqa: BLE001 - what is judged
        return _Ending(None, failure, time.monotonic() - start)
    finally:
        seconds = time.monotonic() - start
        await chain.aclose()
    return _Ending(reply, None, seconds)


def _judge(
    server: FaultServer, fault: str, ideal: str, ending: _Ending, *, counted: bool
) -> tuple[str, bool, str]:
    reply, failure = ending.reply, ending.failure
    outcome = outcome_of(reply) if failure is None else outcome_of(failure)
    attempts = 0 if outcome is None else len(outcome.attempts)
    kinds = "" if outcome is None else ",".join(str(attempt.kind or "ok") for attempt in outcome.attempts)
    detail = f"{type(failure).__name__ if failure else 'answer'} [{kinds}]"
    if reply is not None:
        flags = outcome.flags if outcome is not None else ()
        whole = reply.text == server.text or bool(reply.tool_calls)
        detail += f" {' '.join(flags)}"
        if attempts > 1 and whole:
            return "retried", ideal == "transient", detail
        if flags and not whole:
            return "flagged", ideal in ("flag", "ok"), detail
        if whole:
            fine = ideal == "ok" or (ideal == "flag" and bool(flags)) or fault in MAY_PASS
            return ("flagged" if flags else "ok"), fine, detail
        return "WRONG TEXT", False, detail
    if not isinstance(failure, ResilientError):
        return "UNTYPED", False, detail
    if fault in BOUNDED and not isinstance(failure, DeadlineExceeded):
        return ("partial" if isinstance(failure, StreamInterrupted) else "bounded"), True, detail
    if isinstance(failure, StreamInterrupted):
        return (
            "partial",
            ideal in ("partial", "error") and bool(failure.partial.text or failure.partial.tool_calls),
            detail,
        )
    if isinstance(failure, DeadlineExceeded):
        return "deadline", ideal in ("deadline", "error") or (ideal == "partial" and not counted), detail
    if attempts == 1:
        return "one typed error", ideal in ("fatal", "error"), detail
    return "typed error, retried", ideal == "error" or (ideal == "transient" and not counted), detail


def run(only: Iterable[str] | None = None, workers: int = 6) -> list[Cell]:
    """All cells, several at a time."""
    with FaultServer() as server, ThreadPoolExecutor(workers) as pool:
        endings = [pool.submit(meet, server, *way) for way in cells(server, only)]
        return [ending.result() for ending in endings]


def met_by_sdk(only: Iterable[str] | None = None) -> dict[tuple[str, str], str]:
    """The same faults, met by the official openai SDK."""
    from bench import sdk_faults

    with FaultServer() as server:
        ways: list[tuple[str, str, bool]] = [
            (fault, mode, counts_down(fault, ideal))
            for fault, colour, mode, ideal in cells(server, only)
            if colour == "sync" and fault not in COUNTLESS
        ]
        return sdk_faults.run(server, ways)


def counts_down(fault: str, ideal: str) -> bool:
    """The fault passes after one visit, so that a retry succeeds."""
    return ideal == "transient" and fault not in COUNTLESS and not fault.startswith("tls-")


def table(met: list[Cell], sdk: dict[tuple[str, str], str]) -> str:
    """The cells as a Markdown table, a row a fault, beside what the openai SDK made of it."""
    rows: dict[str, dict[tuple[str, str], Cell]] = {}
    for one in met:
        rows.setdefault(one.fault, {})[one.colour, one.mode] = one
    lines = [
        "| fault | whole: ideal | sync | async | openai SDK | streamed: ideal | sync | async | openai SDK |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for fault, ways in rows.items():
        columns = [f"`{fault}`"]
        for mode in ("json", "stream"):
            first = ways.get(("sync", mode))
            columns.append("-" if first is None else first.ideal)
            for colour in ("sync", "async"):
                cell = ways.get((colour, mode))
                columns.append("-" if cell is None else cell.got if cell.good else f"**{cell.got}**")
            columns.append(sdk.get((fault, mode), "-"))
        lines.append("| " + " | ".join(columns) + " |")
    return "\n".join(lines)


def main() -> int:
    """Prints the table; exit 1 if any cell is not ideal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write the table into docs/faults.md")
    parser.add_argument(
        "--sdk", action="store_true", help="meet them with the openai SDK as well (a minute more)"
    )
    parser.add_argument("faults", nargs="*", help="only these")
    options = parser.parse_args()
    met = run(options.faults or None)
    bad = [cell for cell in met if not cell.good]
    late = [cell for cell in met if cell.got == "deadline" and cell.seconds > SHORT_SECONDS + SLACK_SECONDS]
    written = table(met, met_by_sdk(options.faults or None) if options.write or options.sdk else {})
    print(written)
    summary = f"\n{len(met) - len(bad)} of {len(met)} cells ideal; {len(late)} later than the deadline + {SLACK_SECONDS:g} s"
    print(summary)
    for cell in bad:
        print(
            f"  {cell.fault} {cell.colour} {cell.mode}: ideal {cell.ideal}, got {cell.got} in {cell.seconds:.2f} s: {cell.detail}"
        )
    if options.write:
        page = PAGE.read_text()
        head, _, rest = page.partition("<!-- table -->")
        _, _, tail = rest.partition("<!-- /table -->")
        PAGE.write_text(f"{head}<!-- table -->\n{written}\n{summary}\n<!-- /table -->{tail}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
