"""What the scripted provider goes through, as data: which fault, for how long, how slow.

The provider plays it on a clock of its own; the client under test never sees it. The screen and the report only use it to name
what the provider said it was doing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resilient_ai.core.clock import Random

Fault: TypeAlias = Literal["none", "rate_limit", "error", "refuse", "stall"]
"""What happens to a request: answered, 429 with Retry-After, 500, nobody listens, read and never answered."""

FAST: Final = 0.3
"""Share of their length that phases keep under `--fast`: 14 s of script, under 20 s with start and report."""

RETRY_AFTER_SECONDS: Final = 1
"""What a 429 of the script asks for: the smallest wait the header can hold."""


@final
@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the provider's day.

    Attributes:
        name: For machines, and short enough for a label.
        title: What it looks like from outside, in a few words.
        seconds: How long it lasts.
        fault: What happens to requests.
        share: Share of the requests it happens to, in [0, 1]; the others are answered.
        latency: Least and most seconds an answer takes.
    """

    name: str
    title: str
    seconds: float
    fault: Fault = "none"
    share: float = 1.0
    latency: tuple[float, float] = (0.05, 0.25)

    def answer_seconds(self, chance: Random) -> float:
        """How long one answer takes. Drawn so that most are near the least, as with real providers."""
        least, most = self.latency
        return least + (most - least) * chance.random() ** 2

    def strikes(self, chance: Random) -> bool:
        """Whether the fault happens to one request."""
        return self.fault != "none" and chance.random() < self.share


SCRIPT: Final[tuple[Phase, ...]] = (
    Phase("healthy", "answers in 0.05 to 0.25 s", 6.0),
    Phase("slow", "answers in 0.4 to 1.6 s", 6.0, latency=(0.4, 1.6)),
    Phase("429 storm", "429 with Retry-After: 1 to 9 of 10 requests", 7.0, "rate_limit", share=0.9),
    Phase("errors", "500 to every request", 5.0, "error"),
    Phase("refused", "nobody listens on its port", 5.0, "refuse"),
    Phase("stall", "takes requests and never answers", 5.0, "stall"),
    Phase("recovered", "answers in 0.05 to 0.25 s again", 13.0),
)
"""The last phase is long enough for the longest break, and for a probe that was lost in the stall before it."""


def script(*, fast: bool = False) -> tuple[Phase, ...]:
    """The phases in order; `fast` shortens each, and changes nothing else."""
    return tuple(replace(phase, seconds=phase.seconds * FAST) for phase in SCRIPT) if fast else SCRIPT


def total_seconds(phases: Sequence[Phase]) -> float:
    """How long the script lasts."""
    return sum(phase.seconds for phase in phases)


def arrivals(count: int, seconds: float, chance: Random) -> list[float]:
    """When each of `count` calls arrives, in seconds from the start, in order.

    Calls of many users do not wait for each other: arrivals are a Poisson process (uniform instants, once their number is
    known), so a slow provider piles up calls in flight instead of slowing down those who call.
    """
    return sorted(chance.random() * seconds for _ in range(count))
