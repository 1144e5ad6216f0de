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

    __slots__ = ("_answer", "_decoder", "_now", "_pace", "_session", "bounded", "source", "until")

    def __init__(
        self, session: Session, source: ProviderStream, pace: Pace, bounds: Bounds, answer: ReplyBuilder
    ) -> None:
        self._session = session
        self.source = source
        self._pace = pace
        self._answer = answer
        self._now = session.driver.clock.now
        self._decoder = source.decoder
        self.bounded = bounds.bounded
        self.until = 0.0
        """The instant by which the next piece must have come."""

    def asked(self) -> bool:
        """The caller asks for more; whether the last piece was one that may recur, and there is time for the next."""
        if self._decoder.recurring is None or self._session.ended:
            return False
        now = self._now()
        self.until = until = self._pace.asked(now)
        return now <= until

    def failed(self, error: BaseException) -> None:
        """Puts back what reading the next piece raised.

        Raises:
            BaseException: `error`: the stream was ended meanwhile, and nobody would meet it.
        """
        if self._session.ended:
            try:
                raise error
            finally:
                del error  # it holds this frame
        self.source.put_back(error)

    def took(self, piece: bytes | None) -> bool:
        """Whether `piece` is another of that kind: then it is the caller's, and counted. What is none is put back."""
        recurring = self._decoder.recurring
        if piece is None or recurring is None:
            return False
        answer = self._answer
        texts = answer.texts
        before = len(texts)
        if (
            piece
            and answer.size + len(piece) <= MAX_ANSWER_CHARACTERS
            and recurring.read(piece, texts) == len(piece)
        ):
            now = self._now()
            if now <= self.until:
                new = texts[before:]
                answer.size += sum(map(len, new))
                self._pace.passed(now, len(new))
                return True
        del texts[before:]
        self.source.put_back(piece)
        return False


def steady_state(session: Session, source: ProviderStream) -> Steady | None:
    """The steady state of `session`, which `source` answers; None before its first content."""
    pace, bounds, answer = session.pace, session.bounds, session.assembly
    if pace is None or bounds is None or answer is None:
        return None
    return Steady(session, source, pace, bounds, answer)
