"""Hedged requests: where an answer is late, a second request is sent beside the first, and the first answer counts.

For the tail of the latencies, not for failures. Both requests are billed, so there are as few as do any good: one, by default, and only once the
model has taken longer than it does nineteen times out of twenty. They draw from the retry budget like retries, and nothing they draw is paid back
for their own success: where more than about one request in fourteen is late, the model as a whole is slow, the bucket runs dry, and no more
load is put on it.

Source: J. Dean and L. A. Barroso, "The Tail at Scale", Communications of the ACM 56(2), 2013 (hedge after the 95th percentile).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from resilient_ai.errors import ConfigError
from resilient_ai.policies.options import check_kinds

if TYPE_CHECKING:
    from resilient_ai.policies.latency import Latency

LEAST_SECONDS: Final = 0.01
"""A learned delay is no shorter: what answers this fast gains nothing from a second request."""
MOST_EXTRA: Final = 3
"""More requests for one answer are a storm."""


@final
@dataclass(frozen=True, slots=True)
class Hedge:
    """When a second request is sent beside one that is late. There is none unless it is given.

    Attributes:
        after: Seconds without an answer after which it is sent; None learns them: the 95th percentile of the model's own answers, once ten
            are known.
        at_most: Requests sent beside each request, 1 to 3, each `after` seconds later than the one before.
        enabled: False sends none.
    """

    after: float | None = None
    at_most: int = 1
    enabled: bool = True

    def __post_init__(self) -> None:
        check_kinds(self)
        if self.after is not None and not 0 < self.after < float("inf"):
            raise ConfigError(
                f"Hedge.after is {self.after!r}; it must be a number of seconds above 0, or None to learn it.",
                key="after",
            )
        if not 1 <= self.at_most <= MOST_EXTRA:
            raise ConfigError(
                f"Hedge.at_most is {self.at_most!r}; it must be from 1 to {MOST_EXTRA}.", key="at_most"
            )

    def delay(self, latency: Latency) -> float | None:
        """Seconds to wait for an answer before another request is sent; None while too few answers are known."""
        if self.after is not None:
            return self.after
        return None if latency.p95 is None else max(LEAST_SECONDS, latency.p95)
