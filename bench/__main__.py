"""Measures what this library costs beside what else there is. Prints figures and judges nothing.

    python -m bench                      every scenario
    python -m bench policy calls-async   those whose name begins so
    python -m bench --list               their names

See docs/performance.md for what is measured and what it came to.
"""

from __future__ import annotations

import argparse
import sys
from typing import Final

from bench import calls, failover, harness, overhead, policy, start, streams, wrap
from bench.server import Address, serving

SCENARIOS: Final[tuple[harness.Scenario, ...]] = (
    *policy.SCENARIOS,
    *calls.SCENARIOS,
    *streams.SCENARIOS,
    *failover.SCENARIOS,
    *overhead.SCENARIOS,
    *wrap.SCENARIOS,
    *start.SCENARIOS,
)
ROUNDS: Final = 5


def main() -> None:
    """Measures what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="only scenarios whose names begin so")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"how often each contender runs ({ROUNDS})"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document at the end instead of tables"
    )
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        _child(*options.child)
        return
    chosen = [
        one
        for one in SCENARIOS
        if not options.names or any(one.name.startswith(name) for name in options.names)
    ]
    if not chosen:
        parser.error(f"no scenario begins so; there are {', '.join(one.name for one in SCENARIOS)}")
    if options.list:
        print("\n".join(f"{one.name:<24} {one.title}" for one in chosen))
        return
    results: list[harness.Result] = []
    with serving() as address:
        for scenario in chosen:
            result = harness.measure(scenario, address, options.rounds)
            results.append(result)
            print(result.table(), end="\n\n", flush=True, file=sys.stderr if options.json else sys.stdout)
    if options.json:
        print(harness.as_json(results))


def _child(name: str, contender: str, port: str, dead_port: str) -> None:
    """Measures one contender in this process and prints its figure."""
    scenario = next(one for one in SCENARIOS if one.name == name)
    run = scenario.contenders[contender]
    if isinstance(run, str):
        raise AssertionError("a whole program is not run as a child of this one")  # noqa: TRY004 - no one's input
    print(run(Address(int(port), int(dead_port))))


if __name__ == "__main__":
    main()
