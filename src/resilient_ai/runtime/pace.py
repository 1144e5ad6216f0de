"""The clocks of one attempt at a stream.

Both run on content, so that pings and empty events cannot keep a dead stream alive, and the time the caller takes between two chunks counts
for nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from resilient_ai.core.model import Scope
    from resilient_ai.engine.steps import Ask

_NEVER: Final = float("inf")


@final
class Pace:
    """When content came, when it was asked for, and by when more must come. One task or thread at a time.

    Args:
        step: The attempt.
        scope: What it may use.

    Attributes:
        until: The instant by which the stream must go on, as of the last time it was asked for more.
        whole: The instant by which it must have ended, likewise.
        first_content: Seconds until the first content; None before it.
        chunks: Chunks with content.
        most: The instant by which it must have ended however long the caller was away.
        away: Seconds in which the caller did not ask for more, after the first content.
    """

    __slots__ = (
        "_due",
        "_handed",
        "_idle",
        "_most_at_work",
        "_started",
        "away",
        "chunks",
        "first_content",
        "most",
        "until",
        "whole",
    )

    def __init__(self, step: Ask, scope: Scope) -> None:
        self._started = step.started
        self._due = step.started + scope.first_token
        """By when content must come, were the caller never away."""
        self._idle = scope.idle
        self.most = step.until
        self._most_at_work = _NEVER
        """The end of the attempt's own time, the caller's aside."""
        self._handed: float | None = None
        """Since when the caller has what came; None while it waits."""
        self.until = self.whole = step.until
        self.first_content: float | None = None
        self.chunks = 0
        self.away = 0.0

    def freed(self, until: float, seconds: float) -> None:
        """Nobody behind will be asked any more: the time kept for them is free.

        And so is the time the caller takes: the attempt's clock is the provider's.

        Args:
            until: The end of the call.
            seconds: The attempt's own time.
        """
        self.most = until
        self._most_at_work = self._started + seconds

    def asked(self, now: float) -> float:
        """The instant by which content must have come, now that it is asked for."""
        handed = self._handed
        if handed is not None:
            self.away += now - handed
            self._handed = None
        self.whole = whole = min(self._most_at_work + self.away, self.most)
        self.until = until = min(self._due + self.away, whole)
        return until

    @property
    def phase(self) -> str:
        """The clock that sets `until`."""
        if self.until == self.whole:
            return "attempt"
        return "first_token" if self.first_content is None else "idle"

    def content(self, now: float) -> None:
        """A chunk with content came. Events without, which an SDK fetches one after the other, set nothing back."""
        if self.first_content is None:
            self.first_content = now - self._started
        self._due = now - self.away + self._idle
        self.chunks += 1

    def left(self) -> float:
        """Seconds in which more must come once it is asked for, now that the caller has what came; `most` aside."""
        handed = self._handed
        if handed is None:
            raise AssertionError("the caller waits")
        return min(self._due, self._most_at_work) + self.away - handed

    def came(self, asked: float, now: float, chunks: int) -> float:
        """So many chunks with content came, not the first, in the time that was left when more was asked for, and are the caller's.

        Returns:
            As `left`.
        """
        handed = self._handed
        if handed is None:
            raise AssertionError("the caller waits")
        self.away = away = self.away + asked - handed
        self._handed = now
        self._due = due = now - away + self._idle
        self.chunks += chunks
        return min(due, self._most_at_work) + away - now

    def handed(self, now: float) -> None:
        """What came is the caller's."""
        if self.first_content is not None:
            self._handed = now
