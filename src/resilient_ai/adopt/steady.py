"""The steady state of a provider's stream: piece after piece that differs from the last one in nothing but its text.

There is nothing for the engine to decide about such a piece, so it is not asked. The clocks run, the text is kept and bounded; whatever else
comes, or does not come in time, is put back for the engine to meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from resilient_ai.runtime.session import MAX_ANSWER_CHARACTERS

if TYPE_CHECKING:
    from resilient_ai.adopt.source import ProviderStream
    from resilient_ai.core.assembly import ReplyBuilder
    from resilient_ai.models.wire.recurring import RecurringEvent
    from resilient_ai.runtime.driver import Bounds
    from resilient_ai.runtime.pace import Pace
    from resilient_ai.runtime.session import Session


@final
class Steady:
    """Judges the pieces of one stream ahead of the engine. One task or thread at a time.

    Args:
        session: The stream, brought to its first content.
        source: The provider's side of it.
        pace: The clocks of the attempt.
        bounds: What bounds its waits.
        answer: What has come.
    """

    __slots__ = ("_answer", "_pace", "_recurring", "bounded", "left", "most", "now", "session", "source")

    def __init__(
        self, session: Session, source: ProviderStream, pace: Pace, bounds: Bounds, answer: ReplyBuilder
    ) -> None:
        self.session = session
        self.source = source
        self._pace = pace
        self._answer = answer
        self._recurring: RecurringEvent | None = None
        self.now = session.driver.clock.now
        self.bounded = bounds.bounded
        self.left = 0.0
        """Seconds in which the next piece must come once it is asked for."""
        self.most = pace.most
        """The instant by which it must come in any case."""

    def begins(self) -> bool:
        """Whether the last piece, which the caller has, was one that may recur."""
        self._recurring = None if self.session.ended else self.source.decoder.recurring
        if self._recurring is None:
            return False
        self.left = self._pace.left()
        return True

    def failed(self, error: BaseException, asked: float) -> None:
        """Puts back what reading the next piece raised, which the caller asked for at the instant `asked`.

        Raises:
            BaseException: `error`: the stream was ended meanwhile, and nobody would meet it.
        """
        if self.session.ended:
            try:
                raise error
            finally:
                del error  # it holds this frame
        self._pace.asked(asked)
        self.source.put_back(error)

    def took(self, piece: bytes | None, asked: float, until: float) -> bool:
        """Whether `piece` is another of that kind: then it is the caller's, and counted. What is none is put back.

        Args:
            piece: What came; None at the end.
            asked: When the caller asked for it.
            until: By when it must have come.
        """
        answer, recurring = self._answer, self._recurring
        texts = answer.texts
        before = len(texts)
        now = self.now()
        if (
            piece
            and now <= until
            and recurring is not None
            and answer.size + len(piece) <= MAX_ANSWER_CHARACTERS
            and recurring.read(piece, texts, whole=True) == len(piece)
        ):
            for text in texts[before:]:
                answer.size += len(text)
            self.left = self._pace.came(asked, now, len(texts) - before)
            return True
        del texts[before:]
        self._pace.asked(asked)
        if piece is not None:
            self.source.put_back(piece)
        return False


def steady_state(session: Session, source: ProviderStream) -> Steady | None:
    """The steady state of `session`, which `source` answers; None before its first content."""
    pace, bounds, answer = session.pace, session.bounds, session.assembly
    if pace is None or bounds is None or answer is None:
        return None
    return Steady(session, source, pace, bounds, answer)
