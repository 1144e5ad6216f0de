"""The books of one call: what was asked, what came of it, and who is told.

Kept apart from the decisions so that neither can hide in the other. Without observers no event is built.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol, final

from resilient_ai.core import events
from resilient_ai.core.classify import HINT_IGNORED
from resilient_ai.core.identifiers import identifier
from resilient_ai.engine.cost import cost_of, usage_of
from resilient_ai.errors import InvalidOutput
from resilient_ai.messages import UNKNOWN_USAGE, Attempt, Outcome, Skip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from resilient_ai.core.failure import Verdict
    from resilient_ai.engine.plan import Hop, Plan
    from resilient_ai.engine.steps import Ask, Ended
    from resilient_ai.messages import Reply, Request, Usage


@final
class Books:
    """The history of one call as it grows. One thread or task at a time."""

    __slots__ = ("_emit", "_number", "_on_hop", "_plan", "_started", "_until", "attempts", "skips")

    def __init__(
        self,
        plan: Plan,
        number: int,
        started: float,
        until: float,
        emit: Callable[[events.Event], None] | None,
    ) -> None:
        self._plan = plan
        self._number = number
        self._started = started
        self._until = until
        self._emit = emit
        self._on_hop: Hop | None = None
        self.attempts: list[Attempt] = []
        self.skips: list[Skip] = []

    def call_started(
        self, now: float, wall: float, request: Request, operation: Literal["chat", "stream"]
    ) -> None:
        """The call began."""
        if self._emit is not None:
            plan = self._plan
            models = tuple(hop.label for hop in plan.hops)
            self._emit(
                events.CallStarted(
                    self._number,
                    now,
                    wall,
                    plan.name,
                    models,
                    self._until - now,
                    plan.digest,
                    operation,
                    request,
                )
            )

    def turned_to(self, hop: Hop, source: Hop | None, why: str | None, now: float) -> None:
        """The call turned to `hop`, away from `source` because of `why`."""
        self._on_hop = hop
        if self._emit is None:
            return
        traits = hop.traits
        if source is not None and source is not hop:
            self._emit(events.FallbackUsed(self._number, now, source.name, hop.name, why or "failure"))
        self._emit(
            events.ModelStarted(
                self._number,
                now,
                hop.name,
                hop.provider,
                traits.local,
                traits.server_address,
                traits.server_port,
            )
        )

    def asked(self, step: Ask) -> None:
        """A request is about to go out."""
        if self._emit is not None:
            hop = step.hop
            self._emit(
                events.AttemptStarted(self._number, step.started, hop.name, hop.provider, step.n, step.waited)
            )

    def committed(self, step: Ask, now: float) -> None:
        """The first content of a stream is about to be handed over."""
        if self._emit is not None:
            hop = step.hop
            self._emit(events.StreamCommitted(self._number, now, hop.name, hop.provider, now - step.started))

    def attempted(self, step: Ask, ended: Ended, now: float, what_next: str) -> Usage:
        """An attempt ended; its tokens as far as they are known."""
        attempt = _attempted(step, ended, now, what_next)
        self.attempts.append(attempt)
        if self._emit is not None:
            self._emit(events.AttemptFinished(self._number, now, attempt))
        return attempt.usage

    def passed_over(self, skip: Skip, now: float) -> None:
        """A model was not asked."""
        self.skips.append(skip)
        if self._emit is not None:
            self._emit(events.ModelSkipped(self._number, now, skip))

    def left(self, now: float, ended: Ended | None) -> None:
        """The call is done with the model it had turned to. Tells it once."""
        hop, self._on_hop = self._on_hop, None
        if self._emit is None or hop is None:
            return
        reply = None if ended is None else ended.reply
        verdict = None if ended is None else ended.verdict
        self._emit(
            events.ModelFinished(
                self._number,
                now,
                hop.name,
                hop.provider,
                None if verdict is None else verdict.kind,
                UNKNOWN_USAGE if reply is None else reply.usage,
                None if reply is None else identifier(reply.model),
                None if reply is None or reply.id is None else identifier(reply.id),
                None if reply is None else reply.finish_reason,
                0 if ended is None else ended.chunks,
                None if ended is None else ended.first_content,
            )
        )

    def checked(self, hop: Hop, error: Exception | None, now: float, what_next: str) -> None:
        """An answer was validated; `error` is the objection, if there was one."""
        if self._emit is None or not (error is None or isinstance(error, InvalidOutput)):
            return
        name = "output" if error is None else error.check
        action = "pass" if error is None else what_next
        self._emit(
            events.OutputChecked(self._number, now, hop.name, hop.provider, name, error is None, action)
        )

    def suppressed(self, hop: Hop, reason: str, now: float) -> None:
        """A retry the verdict allowed did not happen."""
        if self._emit is not None:
            self._emit(events.RetrySuppressed(self._number, now, hop.name, hop.provider, reason))

    def not_hedged(self, hop: Hop, reason: str, now: float) -> None:
        """An answer was late, and no request was sent beside the one under way."""
        if self._emit is not None:
            self._emit(events.HedgeSuppressed(self._number, now, hop.name, hop.provider, reason))

    def failed(self, hop: Hop, verdict: Verdict, now: float) -> None:
        """What operators want to know of a failure beyond its record."""
        if self._emit is None:
            return
        if HINT_IGNORED in verdict.reasons:
            self._emit(events.HintIgnored(self._number, now, hop.name, hop.provider))
        if verdict.alert:
            self._emit(events.AlertRaised(now, hop.name, hop.provider, verdict.kind))

    def breaker_moved(self, hop: Hop, now: float) -> None:
        """Passes on what the breaker of `hop` went through since it was last looked at, if anything."""
        changes = hop.state.breaker.take_changes()
        hop.state.mirror.replay(changes)
        if self._emit is not None:
            for change in changes:
                self._emit(
                    events.BreakerChanged(
                        now,
                        hop.name,
                        hop.provider,
                        change.old,
                        change.new,
                        change.reason,
                        change.open_for,
                    )
                )

    def closed(
        self, now: float, wall: float, error: str | None, reply: Reply | None, served: Hop | None
    ) -> Outcome:
        """The whole history. Called exactly once, whatever happened."""
        plan = self._plan
        outcome = Outcome(
            plan.name,
            None if served is None else served.name,
            served is not None and (served.index > 0 or served.traits.stand_in),
            tuple(self.attempts),
            tuple(self.skips),
            now - self._started,
            plan.digest,
            () if reply is None else reply.flags,
        )
        if self._emit is not None:
            self._emit(events.CallFinished(self._number, now, wall, outcome, error, now > self._until, reply))
        return outcome


class Unread(Protocol):
    """Writes the history of a call that was answered. May be asked more than once."""

    def __call__(self, usage: Usage = UNKNOWN_USAGE, flags: tuple[str, ...] = ()) -> Outcome:
        """The history; the tokens and oddities of the answer are whoever's that has read it."""
        ...


def unread(
    plan: Plan, books: Books | None, step: Ask, notes: Mapping[str, object], started: float, now: float
) -> Unread:
    """The history of a call nobody watches, whose answer nobody has read: most callers never ask for it, and it is written when one does.

    It holds nothing of the call but this.

    Args:
        plan: Who could be asked.
        books: What went before the attempt that answered; None if nothing did.
        step: That attempt.
        notes: What was written down of it.
        started: When the call began.
        now: When it was answered.
    """
    before = ((), ()) if books is None else (tuple(books.attempts), tuple(books.skips))
    hop = step.hop
    return partial(
        _history,
        plan.name,
        plan.digest,
        hop,
        step.n,
        now - step.started,
        step.waited,
        notes,
        *before,
        now - started,
    )


def _history(
    chain: str,
    policy: str,
    hop: Hop,
    n: int,
    seconds: float,
    waited: float,
    notes: Mapping[str, object],
    attempts: tuple[Attempt, ...],
    skips: tuple[Skip, ...],
    took: float,
    usage: Usage = UNKNOWN_USAGE,
    flags: tuple[str, ...] = (),
) -> Outcome:
    last = _attempt(hop, n, seconds, waited, usage, notes, None, "answered")
    degraded = hop.index > 0 or hop.traits.stand_in
    return Outcome(chain, hop.name, degraded, (*attempts, last), skips, took, policy, flags)


def _attempted(step: Ask, ended: Ended, now: float, what_next: str) -> Attempt:
    seconds = now - step.started
    usage = usage_of(ended)
    return _attempt(step.hop, step.n, seconds, step.waited, usage, ended.notes, ended.verdict, what_next)


def _attempt(
    hop: Hop,
    n: int,
    seconds: float,
    waited: float,
    usage: Usage,
    notes: Mapping[str, object],
    verdict: Verdict | None,
    what_next: str,
) -> Attempt:
    """An attempt for the history."""
    price = hop.traits.price
    status = request_id = None
    if notes:
        status, request_id = notes.get("status"), notes.get("request_id")
    kind = code = retry_after = None
    if verdict is not None:
        kind, code, retry_after = verdict.kind, verdict.code, verdict.retry_after
        status = status if verdict.status is None else verdict.status
    return Attempt(
        hop.name,
        hop.provider,
        n,
        kind,
        seconds,
        waited,
        usage,
        None if price is None else cost_of(price, usage),
        status if isinstance(status, int) else None,
        code,
        retry_after,
        None if request_id is None else identifier(request_id),
        what_next,
    )
