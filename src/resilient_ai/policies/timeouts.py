"""The clocks of one attempt.

A socket read timeout is defeated by keep-alive events and by bodies that drip, so these are enforced by timers of our own, on
content, not on bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final, final

from resilient_ai.errors import ConfigError
from resilient_ai.policies.options import check_kinds

DEADLINE_SECONDS: Final = 120.0
"""The whole call: long enough for two whole answers with long outputs, short enough that somebody is still waiting."""
CONNECT_SECONDS: Final = 5.0
"""Both large SDKs allow 5 s for a connection; a healthy one takes a tenth of a second."""
FIRST_TOKEN_SECONDS: Final = 20.0
"""Beyond the 99th percentile of time to first content seen on hosted models (about 3 s), with room for reasoning."""
IDLE_SECONDS: Final = 30.0
"""Far above the slowest steady output (45 ms a token); a gap this long is a stall."""
ATTEMPT_SECONDS: Final = 60.0
"""About the 99th percentile of whole answers with long outputs."""


def check_deadline(seconds: object) -> None:
    """Refuses what is no deadline.

    Raises:
        ConfigError: `seconds` is not a finite number above 0.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise ConfigError(
            f"deadline is {seconds!r}; it must be a finite number of seconds above 0.", key="deadline"
        )


@final
@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the phases of one attempt may take, in seconds, each greater than 0.

    Attributes:
        connect: Until a connection stands, TLS included.
        first_token: From the start of a streamed attempt to its first content.
        idle: Between two pieces of content of a stream. Pings and empty events do not count as content.
        attempt: One attempt from start to end. At its default it is capped by the deadline; a chosen one must fit the deadline.
    """

    connect: float = CONNECT_SECONDS
    first_token: float = FIRST_TOKEN_SECONDS
    idle: float = IDLE_SECONDS
    attempt: float = ATTEMPT_SECONDS

    def __post_init__(self) -> None:
        check_kinds(self)
        for one in fields(self):
            value = getattr(self, one.name)
            if not 0 < value < float("inf"):
                raise ConfigError(
                    f"Timeouts.{one.name} is {value!r}; it must be a finite number of seconds above 0."
                )

    @property
    def attempt_was_chosen(self) -> bool:
        """`attempt` differs from its default, so it must fit the deadline instead of being capped by it."""
        return self.attempt != ATTEMPT_SECONDS

    def capped(self, deadline: float) -> Timeouts:
        """These timeouts with the attempt no longer than `deadline` seconds."""
        return self if self.attempt <= deadline else replace(self, attempt=deadline)
