"""The state machine of one logical call.

    begin ──> Ask | Race | Pause | Done
    Ask ──settle──> Ask | Race | Pause | Done
    Race ──hedge──> Race, as often as the policy lets it; every request of it but one ──beaten──>, that one ──settle──> as an Ask
    Pause ──resume──> Ask | Race | Pause | Done

All decisions of a call are made here and in the two it asks, `choice` (who may be asked, until when) and `retries` (whether the same model is asked
again), because they must see each other: time can be kept for the last model only by what also plans the retries, and the budget can be
asked before a pause only by what also knows the deadline. None reads a clock, draws a chance of its own or awaits anything, so the same
code runs in production, in the tests and on a virtual clock.

One object serves one call, in one thread or task.
"""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Final, Literal, final

from resilient_ai.core.failure import FailureKind, Verdict
from resilient_ai.engine.beside import permit_beside
from resilient_ai.engine.books import Books, Unread, unread
from resilient_ai.engine.choice import LEAST_ATTEMPT_SECONDS, Choice, straight
from resilient_ai.engine.cost import usage_of
from resilient_ai.engine.endings import Ending, exception_for
from resilient_ai.engine.fit import with_feedback, with_prefix
from resilient_ai.engine.lessons import blame, lost
from resilient_ai.engine.purse import Purse
from resilient_ai.engine.retries import Retries
from resilient_ai.engine.steps import Ask, Done, Ended, Pause, Race, Step
from resilient_ai.errors import InvalidOutput
from resilient_ai.messages import Outcome, Skip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from resilient_ai.core.clock import Random
    from resilient_ai.core.events import Event
    from resilient_ai.engine.plan import Hop, Plan
    from resilient_ai.messages import Reply, Request

_ANSWERED: Final = Done(None)
next_number: Final = itertools.count(1).__next__
"""A number for a call, unique in this process: observers tell the events of calls apart by it."""


@final
class Call:
    """One logical call over a plan."""

    __slots__ = (
        "_asked",
        "_barred",
        "_booked",
        "_chance",
        "_emit",
        "_hop",
        "_kept_books",
        "_made_choice",
        "_n",
        "_number",
        "_operation",
        "_paused_at",
        "_plan",
        "_purse",
        "_racing",
        "_read",
        "_request",
        "_retries",
        "_step",
        "_waited",
        "around",
        "committed",
        "endings",
        "request",
        "started",
        "until",
        "watched",
    )

    def __init__(
        self,
        plan: Plan,
        request: Request,
        number: int,
        now: float,
        until: float,
        chance: Random,
        emit: Callable[[Event], None] | None,
        operation: Literal["chat", "stream"] = "chat",
        barred: str | None = None,
        read: Callable[[], tuple[Request, str | None]] | None = None,
    ) -> None:
        """Prepares one call.

        Args:
            plan: Who may be asked, and how.
            request: What is asked.
            number: Tells the events of this call from those of others.
            now: When it begins.
            until: By when it must have ended.
            chance: Where jitter comes from.
            emit: Who is told; None builds no events.
            operation: How the answer is wanted.
            barred: Why the request may not leave the first model, as the reason of the `Skip`s; None if it may.
            read: Tells what is asked, and `barred`, where `request` only stands for it: the first model knows by itself, so it is read when
                another must know.
        """
        self._plan = plan
        self._number = number
        self._emit = emit
        self._barred = barred
        self._purse = Purse(plan, request) if plan.capped else None
        self._made_choice: Choice | None = None
        self._kept_books: Books | None = None
        self._chance = chance
        self._operation: Literal["chat", "stream"] = operation
        self.watched = emit is not None
        """Somebody is told. What only tells is not called otherwise."""
        self.started = now
        self.until = until
        self.request = request
        self._read = read
        self._request = request
        """What is asked now: the request, or the request with feedback or a beginning."""
        self.committed = False
        self.around: BaseException | None = sys.exception()
        """What the caller was handling when it began the call."""
        self.endings: list[Ending] = []
        self._hop: Hop | None = None
        self._step: Ask | None = None
        self._racing: tuple[Ask, ...] = ()
        """The requests under way beside each other, in the order they were sent; empty while there is only one."""
        self._retries: Retries | None = None
        """What followed the failures of the model; None before its first."""
        self._n = 0
        self._booked = False
        self._paused_at: float | None = None
        self._waited = 0.0
        """Seconds paused since the last attempt."""
        self._asked = 0
        """The places of the models asked, a bit each."""

    @property
    def hop(self) -> Hop | None:
        """The model the call has turned to; None before it has turned to any."""
        return self._hop

    @property
    def attempts(self) -> int:
        """Attempts that have ended."""
        return 0 if self._kept_books is None else len(self._kept_books.attempts)

    @property
    def _books(self) -> Books:
        """What happened; opened with the first thing that is more than a single answer."""
        books = self._kept_books
        if books is None:
            books = Books(self._plan, self._number, self.started, self.until, self._emit)
            self._kept_books = books
        return books

    @property
    def _choice(self) -> Choice:
        """Who may be asked; made where there is something to choose."""
        choice = self._made_choice
        if choice is None:
            choice = Choice(
                self._plan, self.request, self._purse, self.started, self.until, self._chance, self._barred
            )
            self._made_choice = choice
        return choice

    # --- the transitions ---------------------------------------------------------------------------------------------

    def announce(self, now: float, wall: float) -> None:
        """Tells observers that the call began, before it asks for a place."""
        self._books.call_started(now, wall, self.request, self._operation)

    def begin(self, now: float) -> Step:
        """The first step."""
        step = None
        if not self.watched and self._barred is None:
            step = straight(self._plan, self.request, self.started, now, self.until)
        if step is None:
            return self._enter(0, now, None)
        self._hop = step.hop
        self._n = self._asked = 1
        self._step = step
        return step

    def latest(self, now: float) -> float:
        """By when the model the call has turned to must have answered."""
        return self.until if self._hop is None else self._choice.latest(self._hop, now)

    def resume(self, now: float) -> Step:
        """The step after a pause."""
        if self._paused_at is not None:
            self._waited += now - self._paused_at
            self._paused_at = None
        hop = self._hop
        if hop is None:
            return self._enter(0, now, None)
        return self._ask(hop, now, self._choice.latest(hop, now))

    def settle(self, ended: Ended, now: float) -> Step:
        """The step after an attempt ended with an answer or an exception."""
        step = self._step
        if step is None:
            raise AssertionError("settle without an attempt")
        hop = step.hop
        verdict = ended.verdict
        if self._purse is not None:
            self._purse.pay(hop, ended, now)
        if ended.error is None:
            self._praise(step, now, ended.first_content, ended.away)
            self._record(step, ended, now, "answered")
            if self.watched:
                self._books.left(now, ended)
            return _ANSWERED
        if verdict is None:
            raise AssertionError("a failure without a verdict")
        self._step = None
        if self._read is not None:
            self._know()
        self._blame(step, verdict, now)
        if self.committed:
            return self._after_interrupt(step, ended, verdict, now)
        return self._after_failure(step, ended, verdict, now)

    def answered(self, ended: Ended, now: float, wall: float) -> Outcome:
        """`settle` and `finish` in one, for an attempt whose answer ends the call."""
        step = self._step
        if step is None or not self.untold:
            self.settle(ended, now)
            return self.finish(now, wall, None, ended.reply)
        flags = () if ended.reply is None else ended.reply.flags
        return self.unread(ended.notes, now)(usage_of(ended), flags)

    @property
    def untold(self) -> bool:
        """Nobody is told what the attempt under way answers, and nothing counts its tokens."""
        step = self._step
        return not (
            self.watched or self._purse is not None or (step is not None and step.hop.state.pace.counts)
        )

    def unread(
        self,
        notes: Mapping[str, object],
        now: float,
        first_content: float | None = None,
        away: float = 0.0,
    ) -> Unread:
        """`answered` where the call is `untold`, and nobody has read the answer: what writes the history when somebody asks for it."""
        step = self._step
        if step is None:
            raise AssertionError("an answer without an attempt")
        self._praise(step, now, first_content, away)
        return unread(self._plan, self._kept_books, step, notes, self.started, now)

    def commit(self, now: float) -> None:
        """The first content of a stream is about to be handed over: from here on nothing is silently replayed."""
        if self.watched and not self.committed and self._step is not None:
            self._books.committed(self._step, now)
        self.committed = True

    def hedge(self, first: Ask, now: float) -> Race | None:
        """A further request, to be sent beside those under way since `first`; None if there is to be none, and the reason is told."""
        hedge, hop = self._plan.hedge, first.hop
        if self._step is None or hedge is None:
            raise AssertionError("a hedge without an attempt or a policy")
        tokens = self._choice.to_book() if hop.state.pace.counts else 0
        permit = permit_beside(hop, now, first.until, tokens, self._chance, self._purse)
        if isinstance(permit, str):
            self._books.not_hedged(hop, permit, now)
            return None
        self._n += 1
        # All are to answer by the same instant: a race takes no longer than one attempt may.
        beside = Ask(hop, first.request, self._n, first.until, permit, now)
        self._racing = (*(self._racing or (self._step,)), beside)
        self._books.asked(beside)
        delay = hedge.delay(hop.state.latency) if beside.n - first.n < hedge.at_most else None
        return Race(beside, float("inf") if delay is None else now + delay, 1 + hedge.at_most)

    def beaten(self, step: Ask, ended: Ended, now: float) -> None:
        """A request of a race has ended that does not decide it: another one answered, or is still under way."""
        left = tuple(one for one in self._racing if one is not step)
        self._step = left[0]
        self._racing = left if len(left) > 1 else ()
        if self._purse is not None:
            self._purse.pay(step.hop, ended, now)
        if ended.verdict is None or ended.verdict.kind is FailureKind.CANCELLED:
            lost(step, now, self._chance, answered=ended.verdict is None, last=step.n == self._n)
            self._books.breaker_moved(step.hop, now)
        else:
            self._blame(step, ended.verdict, now)
        self._record(step, ended, now, "hedged")

    def abandon(self, now: float, ended: Ended, verdict: str = "cancelled") -> None:
        """The caller is gone in the middle of an attempt or a pause: cancelled, or done with a stream early.

        Permits go back as neutral; what was used is recorded.
        """
        step = self._step
        self._step = None
        under_way, self._racing = self._racing or (() if step is None else (step,)), ()
        for one in under_way:
            one.hop.state.breaker.settle(one.permit, "neutral", now, self._chance)
            if self._purse is not None:
                self._purse.pay(one.hop, ended, now)
            self._record(one, ended, now, verdict)
        self._books.left(now, ended)

    def finish(self, now: float, wall: float, error: str | None, reply: Reply | None) -> Outcome:
        """Closes the history. Called exactly once, whatever happened."""
        if self._retries is not None:
            self._retries.forget()  # their errors may hold whoever holds the call
        self.endings.clear()  # as above
        self.around = None
        served = self._hop if reply is not None else None
        return self._books.closed(now, wall, error, reply, served)

    # --- turning to a model ------------------------------------------------------------------------------------------

    def _enter(self, index: int, now: float, why: str | None) -> Step:
        """Turns to the first model that is to be asked now, from the place `index` on; `why` the one before it is left, if one is."""
        if self._read is not None:
            self._know()
        choice = self._choice
        if choice.last_resort:  # it may stand before models that were asked already; nobody is asked twice
            return self._run_dry(now, why)
        for hop in self._plan.hops[index:]:
            turn = choice.turn(hop, now)
            if type(turn) is not Skip:
                return self._turn_to(hop, now, turn, why)
            if turn.reason == "circuit_open":
                self._books.breaker_moved(hop, now)  # somebody may have moved it by hand
            self._books.passed_over(turn, now)
            why = why or turn.reason
        return self._run_dry(now, why)

    def _know(self) -> None:
        """From here on somebody else may be asked."""
        if self._read is not None:
            self.request, self._barred = self._read()
            self._request = self.request
            self._read = None

    def _turn_to(self, hop: Hop, now: float, latest: float, why: str | None) -> Step:
        previous, self._hop = self._hop, hop
        self._retries = None
        self._n = 0
        self._booked = False
        self._waited = 0.0
        if self.watched:
            source = previous or (self._plan.hops[0] if why is not None else None)
            self._books.turned_to(hop, source, why, now)
        return self._ask(hop, now, latest)

    def _ask(self, hop: Hop, now: float, latest: float) -> Step:
        """An attempt at `hop`, whose time is up at `latest`; or what comes before or instead of it."""
        if latest - now < LEAST_ATTEMPT_SECONDS:
            return self._next_after(hop, now, "no_time")
        state, choice = hop.state, self._choice
        held = state.pace.held_until
        if held > now and self._plan.patient and not choice.last_resort:
            if held >= latest:
                return self._next_after(hop, now, "rate_limited")
            return self._pause(self._plan.retry.after_hint(held - now, self._chance), now, latest)
        if state.pace.counts and not self._booked:
            start = state.pace.book(now, choice.to_book(), latest)
            if start is None:
                return self._next_after(hop, now, "rate_limited")
            self._booked = True
            if start > now:
                return self._pause(start - now, now, latest)
        if self._purse is not None and not self._purse.hold(hop, now):
            return self._next_after(hop, now, "cost_cap")
        permit = state.breaker.admit(now, anyway=choice.last_resort)
        if state.breaker.changes:
            self._books.breaker_moved(hop, now)
        if permit is None:
            if self._purse is not None:
                self._purse.release(hop, now)
            return self._next_after(hop, now, "circuit_open")
        self._booked = False
        self._n += 1
        self._asked |= 1 << hop.index
        until = min(now + hop.timeouts.attempt, latest)
        step = Ask(hop, self._request, self._n, until, permit, now, self._waited)
        self._step = step
        self._waited = 0.0
        if self.watched:
            self._books.asked(step)
        hedge = self._plan.hedge
        if hedge is not None and self._operation == "chat" and hop.traits.replayable:
            delay = hedge.delay(state.latency)
            if delay is not None and now + delay + LEAST_ATTEMPT_SECONDS <= step.until:
                return Race(step, now + delay, 1 + hedge.at_most)
        return step

    def _next_after(self, hop: Hop, now: float, reason: str) -> Step:
        """Leaves `hop` although its time or its health changed only after it was chosen."""
        if self._n == 0:
            wait = hop.state.breaker.retry_after(now) if reason == "circuit_open" else None
            self._books.passed_over(Skip(hop.name, hop.provider, reason, wait), now)
        elif self._retries is not None and self._retries.failed is not None:
            self.endings.append(self._retries.failed)
        self._books.left(now, None)
        return self._enter(hop.index + 1, now, reason)

    def _run_dry(self, now: float, why: str | None) -> Step:
        """No model is left. What now depends on why: models that are well but held back, by a breaker or a throttle, have a policy of their own."""
        choice = self._choice
        held_back = choice.held_back(now, self._asked)
        if held_back and self.until - now >= LEAST_ATTEMPT_SECONDS and not choice.last_resort:
            if self._plan.when_all_open == "last_resort":
                resort = choice.resort_among(held_back)
                if resort is not None:
                    choice.last_resort = True
                    return self._turn_to(resort, now, self.until, why)
            elif self._plan.when_all_open == "wait" and not self._asked:
                soonest = min(hop.state.breaker.peek(now) or float("inf") for hop in held_back)
                if now + soonest < self.until:  # a throttle tells no time to come back
                    self._hop = None
                    return self._pause(soonest, now, self.until)
        return Done(self._give_up(now))

    # --- after a failure ---------------------------------------------------------------------------------------------

    def _after_failure(self, step: Ask, ended: Ended, verdict: Verdict, now: float) -> Step:
        hop = step.hop
        error = ended.error
        if error is None:
            raise AssertionError("a failure without an exception")
        ending = Ending(hop, error, verdict)
        choice = self._choice
        if self._retries is None:
            self._retries = Retries(self._plan, hop, choice, self._books, self.started, self._chance)
        if isinstance(error, InvalidOutput) and self._retries.asks_for_another_draft(ending, now):
            self._request = with_feedback(self.request, error.draft.text, error.problem)
            self._record(step, ended, now, "re-ask")
            return self._ask(hop, now, choice.latest(hop, now))
        action = self._plan.on.get(verdict.kind)
        retry = verdict.retry if action is None else action in ("retry", "wait")
        if retry:
            pause = self._retries.pause(ending, action, now)
            if pause is not None:
                self._record(step, ended, now, "retry")
                return self._pause(pause, now, self.until)
        moves_on = verdict.next_model if action is None else action == "next"
        moves_on = moves_on or (retry and verdict.next_model)
        self.endings.append(ending)
        self._record(step, ended, now, "next" if moves_on else "raise")
        self._books.left(now, ended)
        if verdict.kind is FailureKind.CONTEXT_OVERFLOW:
            choice.overflowed(hop)
        if not moves_on or choice.last_resort:
            return Done(self._give_up(now, stopped=not moves_on))
        self._request = self.request
        return self._enter(hop.index + 1, now, verdict.kind.value)

    def _after_interrupt(self, step: Ask, ended: Ended, verdict: Verdict, now: float) -> Step:
        """A stream broke after content was delivered: only `on_interrupt` decides."""
        hop = step.hop
        if ended.error is None:
            raise AssertionError("an interruption without an exception")
        policy = self._plan.on_interrupt
        self.endings.append(Ending(hop, ended.error, verdict, whole=ended.checked))
        moves_on = policy != "raise" and verdict.kind not in (FailureKind.LOCAL, FailureKind.CANCELLED)
        self._record(step, ended, now, "next" if moves_on else "interrupted")
        self._books.left(now, ended)
        if not moves_on:
            return Done(self._give_up(now, partial=ended.reply))
        if policy == "continue" and ended.reply is not None:
            self._request = with_prefix(self._request, ended.reply.text)
        following = self._enter(hop.index + 1, now, FailureKind.STREAM_INTERRUPTED.value)
        if isinstance(following, Done):
            return Done(self._give_up(now, partial=ended.reply))
        return following

    # --- what is learned -------------------------------------------------------------------------------------------

    def _praise(self, step: Ask, now: float, to_content: float | None = None, away: float = 0.0) -> None:
        """The call was answered: gives the permit back, and what that says of the model to every other call of it."""
        self._step = None
        state = step.hop.state
        seconds = now - step.started
        breaker = state.breaker
        breaker.settle(
            step.permit, "success", now, self._chance, seconds if to_content is None else to_content
        )
        if breaker.changes:
            self._books.breaker_moved(step.hop, now)
        state.latency.record(seconds - away, now)
        retries = self._retries
        state.budget.refund(None if retries is None else retries.drawn)
        if retries is not None:
            retries.forget()  # their errors may hold whoever holds the call
        if self.endings:
            self.endings.clear()  # as above
        self.around = None

    def _blame(self, step: Ask, verdict: Verdict, now: float) -> None:
        """Gives a permit back, and what a failure says of the model to every other call of it."""
        blame(step, verdict, now, self._chance, self._plan.breaker.open_for_max)
        self._books.breaker_moved(step.hop, now)
        self._books.failed(step.hop, verdict, now)

    def _record(self, step: Ask, ended: Ended, now: float, what_next: str) -> None:
        if ended.checked:
            self._books.checked(step.hop, ended.error, now, what_next)
        usage = self._books.attempted(step, ended, now, what_next)
        pace = step.hop.state.pace
        if pace.counts and self._choice.tokens is not None and usage.input_tokens is not None:
            pace.correct(usage.input_tokens + (usage.output_tokens or 0) - self._choice.to_book())

    def _pause(self, seconds: float, now: float, latest: float) -> Pause:
        self._paused_at = now
        return Pause(min(now + seconds, latest))

    def _give_up(self, now: float, *, stopped: bool = False, partial: Reply | None = None) -> Exception:
        return exception_for(
            self._plan,
            self.endings,
            tuple(self._books.skips),
            late=self.until - now < LEAST_ATTEMPT_SECONDS,
            stopped=stopped,
            partial=partial if self.committed else None,
            around=self.around,
        )
