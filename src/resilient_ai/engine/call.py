"""The state machine of one logical call.

    begin ──> Ask | Race | Pause | Done
    Ask ──settle──> Ask | Race | Pause | Done
    Race ──hedge──> Race, as often as the policy lets it; every request of it but one ──beaten──>, that one ──settle──> as an Ask
    Pause ──resume──> Ask | Race | Pause | Done

It holds every decision in one place because they must see each other: time can be kept for the last model only by what also plans
the retries, and the budget can be asked before a pause only by what also knows the deadline. It reads no clock, draws no chance
of its own and awaits nothing, so the same code runs in production, in the tests and on a virtual clock.

One object serves one call, in one thread or task.
"""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Final, Literal, final

from resilient_ai.core.failure import FailureKind, Verdict
from resilient_ai.engine.beside import permit_beside
from resilient_ai.engine.books import Books
from resilient_ai.engine.endings import Ending, exception_for
from resilient_ai.engine.fit import estimated_tokens, misfit, with_feedback, with_prefix
from resilient_ai.engine.lessons import blame, lost
from resilient_ai.engine.purse import Purse
from resilient_ai.engine.steps import Ask, Done, Ended, Pause, Race, Step
from resilient_ai.errors import InvalidOutput
from resilient_ai.messages import Outcome, Skip
from resilient_ai.policies.retry import Strategies

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_ai.core.clock import Random
    from resilient_ai.core.events import Event
    from resilient_ai.engine.plan import Hop, Plan
    from resilient_ai.messages import Reply, Request

_NO_SLICE: Final[tuple[int, float, float]] = (-1, 0.0, 0.0)
_ANSWERED: Final = Done(None)
LEAST_ATTEMPT_SECONDS: Final = 0.005
"""A slice of time shorter than this is not worth a request."""
_numbers: Final = itertools.count(1)


def next_number() -> int:
    """A number for a call, unique in this process: observers tell the events of calls apart by it."""
    return next(_numbers)


@final
class Call:
    """One logical call over a plan."""

    __slots__ = (
        "_asked",
        "_barred",
        "_booked",
        "_books",
        "_chance",
        "_drawn",
        "_failed",
        "_failures",
        "_hop",
        "_last_resort",
        "_least_context",
        "_n",
        "_operation",
        "_paused_at",
        "_plan",
        "_purse",
        "_racing",
        "_reasks",
        "_request",
        "_slice",
        "_step",
        "_strategies",
        "_throttled",
        "_tokens",
        "around",
        "committed",
        "endings",
        "request",
        "started",
        "until",
    )

    def __init__(
        self,
        plan: Plan,
        request: Request,
        *,
        number: int,
        now: float,
        until: float,
        chance: Random,
        emit: Callable[[Event], None] | None,
        operation: Literal["chat", "stream"] = "chat",
        barred: str | None = None,
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
        """
        self._plan = plan
        self._barred = barred
        self._books = Books(plan, number, now, until, emit)
        self._purse = Purse(plan, request) if plan.max_cost.active else None
        self._chance = chance
        self._operation: Literal["chat", "stream"] = operation
        self.started = now
        self.until = until
        self.request = request
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
        self._n = 0
        self._failures = 0
        self._failed: Ending | None = None
        """The failure after which the same model is to be asked again."""
        self._reasks = 0
        self._strategies: Strategies | None = None
        self._drawn: float | None = None
        self._booked = False
        self._paused_at: float | None = None
        self._last_resort = False
        self._asked = 0
        """The places of the models asked, a bit each."""
        self._throttled = 0
        """The places of the models passed over for the throttle, a bit each."""
        self._least_context = 0
        self._tokens: int | None = None
        self._slice = _NO_SLICE
        """The last slice of time worked out: for which hop, at which instant, and its end."""

    @property
    def hop(self) -> Hop | None:
        """The model the call has turned to; None before it has turned to any."""
        return self._hop

    @property
    def attempts(self) -> int:
        """Attempts that have ended."""
        return len(self._books.attempts)

    # --- the transitions ---------------------------------------------------------------------------------------------

    def announce(self, now: float, wall: float) -> None:
        """Tells observers that the call began, before it asks for a place."""
        self._books.call_started(now, wall, self.request, self._operation)

    def begin(self, now: float) -> Step:
        """The first step."""
        return self._enter(0, now, None)

    def resume(self, now: float) -> Step:
        """The step after a pause."""
        if self._paused_at is not None:
            self._books.waited += now - self._paused_at
            self._paused_at = None
        if self._hop is None:
            return self._enter(0, now, None)
        return self._ask(self._hop, now)

    def settle(self, ended: Ended, now: float) -> Step:
        """The step after an attempt ended with an answer or an exception."""
        step = self._step
        if step is None:
            raise AssertionError("settle without an attempt")
        self._step = None
        hop = step.hop
        verdict = ended.verdict
        seconds = now - step.started
        if self._purse is not None:
            self._purse.pay(hop, ended, now)
        if ended.error is None:
            state = hop.state
            to_content = seconds if ended.first_content is None else ended.first_content
            state.breaker.settle(step.permit, "success", now, self._chance, seconds=to_content)
            if state.breaker.changes:
                self._books.breaker_moved(hop, now)
            state.budget.refund(self._drawn)
            state.latency.record(seconds - ended.away, now)
            self._record(step, ended, now, "answered")
            self._books.left(now, ended)
            return _ANSWERED
        if verdict is None:
            raise AssertionError("a failure without a verdict")
        self._blame(step, verdict, now)
        if self.committed:
            return self._after_interrupt(step, ended, verdict, now)
        return self._after_failure(step, ended, verdict, now)

    def commit(self, now: float) -> None:
        """The first content of a stream is about to be handed over: from here on nothing is silently replayed."""
        if not self.committed and self._step is not None:
            self._books.committed(self._step, now)
        self.committed = True

    def hedge(self, first: Ask, now: float) -> Race | None:
        """A further request, to be sent beside those under way since `first`; None if there is to be none, and the reason is told."""
        hedge, hop = self._plan.hedge, first.hop
        if self._step is None or hedge is None:
            raise AssertionError("a hedge without an attempt or a policy")
        tokens = self._estimate() + (self.request.max_tokens or 0) if hop.state.pace.counts else 0
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
        if self._strategies is not None:
            self._strategies.forget()
        self.around = None
        self._failed = None  # its error may hold whoever holds the call
        served = self._hop if reply is not None else None
        return self._books.closed(now, wall, error, reply, served)

    # --- choosing a model --------------------------------------------------------------------------------------------

    def _enter(self, index: int, now: float, why: str | None) -> Step:
        if self._last_resort:  # it may stand before models that were asked already; nobody is asked twice
            return self._run_dry(now, why)
        for hop in self._plan.hops[index:]:
            skip = self._skip(hop, now)
            if skip is None:
                return self._turn_to(hop, now, why)
            if skip.reason == "circuit_open":
                self._books.breaker_moved(hop, now)  # somebody may have moved it by hand
            self._books.passed_over(skip, now)
            why = why or skip.reason
        return self._run_dry(now, why)

    def _skip(self, hop: Hop, now: float) -> Skip | None:
        """Why `hop` is passed over, or None if it is to be asked."""
        traits = hop.traits
        if traits.context_tokens is not None:
            self._estimate()
        reason = self._misfit(hop)
        if reason is None and self._purse is not None and not self._purse.affords(hop, now):
            reason = "cost_cap"
        if reason is not None:
            return Skip(hop.name, hop.provider, reason)
        wait = hop.state.breaker.peek(now)
        if wait is not None:
            return Skip(hop.name, hop.provider, "circuit_open", None if wait == float("inf") else wait)
        latest = self._slice_end(hop, now)
        if latest - now < LEAST_ATTEMPT_SECONDS:
            return Skip(hop.name, hop.provider, "no_time")
        held = hop.state.pace.held_until
        if held > now and (held >= latest or self._somebody_behind(hop, now, sooner_than=held)):
            return Skip(hop.name, hop.provider, "rate_limited", held - now)
        typical = hop.state.latency.typical(now)
        if typical is not None and now + typical > latest and self._somebody_behind(hop, now):
            return Skip(hop.name, hop.provider, "no_time")
        if hop.state.throttle is not None and self._kept_back(hop, now):
            self._throttled |= 1 << hop.index
            return Skip(hop.name, hop.provider, "throttled")
        return None

    def _kept_back(self, hop: Hop, now: float) -> bool:
        """The throttle of `hop` rejects a request that nothing else forbids. Asked once for each; a last resort is never kept back."""
        throttle = hop.state.throttle
        return throttle is not None and not self._last_resort and not throttle.lets_out(now, self._chance)

    def _usable(self, hop: Hop, now: float) -> bool:
        """`hop` could be asked now, time aside."""
        return (
            hop.state.breaker.peek(now) is None
            and self._misfit(hop) is None
            and (self._purse is None or self._purse.affords(hop, now))
        )

    def _affords(self, hop: Hop, now: float) -> bool:
        """Another request to `hop` fits the cost caps."""
        return self._purse is None or self._purse.affords(hop, now)

    def _misfit(self, hop: Hop) -> str | None:
        """Why `hop` may not take the request at all, or None."""
        if self._barred is not None and hop.index > 0:
            return self._barred
        if not (hop.picky or self._least_context):
            return None
        return misfit(hop.traits, self.request, self._tokens, self._least_context)

    def _somebody_behind(self, hop: Hop, now: float, sooner_than: float = float("inf")) -> bool:
        return any(
            self._usable(other, now) and other.state.pace.held_until < sooner_than
            for other in self._plan.hops[hop.index + 1 :]
        )

    def _slice_end(self, hop: Hop, now: float) -> float:
        """The instant by which the time of `hop` is up: the deadline less what the models behind need."""
        hops = self._plan.hops
        if hop.index + 1 == len(hops) or self._last_resort:
            return self.until
        place, instant, end = self._slice
        if place == hop.index and instant == now:
            return end
        usable = [other for other in hops[1:] if self._usable(other, now)]
        end = self.until - self._plan.kept(hop.index, usable, self.until - self.started)
        self._slice = (hop.index, now, end)
        return end

    def _turn_to(self, hop: Hop, now: float, why: str | None) -> Step:
        previous = self._hop
        self._hop = hop
        self._n = 0
        self._failures = 0
        self._failed = None
        self._reasks = 0
        self._drawn = None
        self._booked = False
        self._strategies = None
        source = previous or (self._plan.hops[0] if why is not None else None)
        self._books.turned_to(hop, source, why, now)
        return self._ask(hop, now)

    def _ask(self, hop: Hop, now: float) -> Step:
        latest = self._slice_end(hop, now)
        if latest - now < LEAST_ATTEMPT_SECONDS:
            return self._next_after(hop, now, "no_time")
        state = hop.state
        held = state.pace.held_until
        if held > now and self._plan.patient and not self._last_resort:
            if held >= latest:
                return self._next_after(hop, now, "rate_limited")
            return self._pause(self._plan.retry.after_hint(held - now, self._chance), now, latest)
        if state.pace.counts and not self._booked:
            start = state.pace.book(now, self._estimate() + (self.request.max_tokens or 0), latest)
            if start is None:
                return self._next_after(hop, now, "rate_limited")
            self._booked = True
            if start > now:
                return self._pause(start - now, now, latest)
        if self._purse is not None and not self._purse.hold(hop, now):
            return self._next_after(hop, now, "cost_cap")
        permit = state.breaker.admit(now, anyway=self._last_resort)
        if state.breaker.changes:
            self._books.breaker_moved(hop, now)
        if permit is None:
            if self._purse is not None:
                self._purse.release(hop, now)
            return self._next_after(hop, now, "circuit_open")
        self._booked = False
        self._n += 1
        self._asked |= 1 << hop.index
        step = Ask(hop, self._request, self._n, min(now + hop.timeouts.attempt, latest), permit, now)
        self._step = step
        self._books.asked(step)
        hedge = self._plan.hedge
        if hedge is not None and self._operation == "chat" and hop.traits.replayable:
            delay = hedge.delay(state.latency)
            if delay is not None and now + delay + LEAST_ATTEMPT_SECONDS <= step.until:
                return Race(step, now + delay, 1 + hedge.at_most)
        return step

    def _estimate(self) -> int:
        """Tokens the request is taken to need; worked out once."""
        if self._tokens is None:
            self._tokens = estimated_tokens(self.request)
        return self._tokens

    def _next_after(self, hop: Hop, now: float, reason: str) -> Step:
        """Leaves `hop` although its time or its health changed only after it was chosen."""
        if self._n == 0:
            wait = hop.state.breaker.retry_after(now) if reason == "circuit_open" else None
            self._books.passed_over(Skip(hop.name, hop.provider, reason, wait), now)
        elif self._failed is not None:
            self.endings.append(self._failed)
        self._books.left(now, None)
        return self._enter(hop.index + 1, now, reason)

    def _run_dry(self, now: float, why: str | None) -> Step:
        """No model is left. What now depends on why: models that are well but held back, by a breaker or a throttle, have a policy of their own."""
        plan = self._plan
        held_back = [
            hop
            for hop in plan.hops
            if not self._asked >> hop.index & 1
            and self._misfit(hop) is None
            and (self._throttled >> hop.index & 1 or hop.state.breaker.peek(now) is not None)
        ]
        if held_back and self.until - now >= LEAST_ATTEMPT_SECONDS and not self._last_resort:
            if plan.when_all_open == "last_resort":
                resort = next((hop for hop in held_back if hop.traits.local), None)
                # A chain of one remote model has nowhere to turn: asking it anyway would make its breaker pointless.
                if resort is None and len(plan.hops) > 1 and held_back[-1].index == len(plan.hops) - 1:
                    resort = held_back[-1]
                if resort is not None:
                    self._last_resort = True
                    return self._turn_to(resort, now, why)
            elif plan.when_all_open == "wait" and not self._asked:
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
        if isinstance(error, InvalidOutput) and self._may_reask(hop, now):
            self._reasks += 1
            self._failed = Ending(hop, error, verdict)
            self._request = with_feedback(self.request, error.draft.text, error.problem)
            self._record(step, ended, now, "re-ask")
            return self._ask(hop, now)
        action = self._plan.on.get(verdict.kind)
        retry = verdict.retry if action is None else action in ("retry", "wait")
        if retry:
            self._failures += 1
            again = self._again(hop, error, verdict, now, waits=action == "wait", forced=action is not None)
            if again is not None:
                self._failed = Ending(hop, error, verdict)
                self._record(step, ended, now, "retry")
                return again
        moves_on = verdict.next_model if action is None else action == "next"
        moves_on = moves_on or (retry and verdict.next_model)
        self.endings.append(Ending(hop, error, verdict))
        self._record(step, ended, now, "next" if moves_on else "raise")
        self._books.left(now, ended)
        if verdict.kind is FailureKind.CONTEXT_OVERFLOW:
            self._overflowed(hop)
        if not moves_on or self._last_resort:
            return Done(self._give_up(now, stopped=not moves_on))
        self._request = self.request
        return self._enter(hop.index + 1, now, verdict.kind.value)

    def _may_reask(self, hop: Hop, now: float) -> bool:
        """Another draft is allowed and there is time for one like the last."""
        if self._reasks >= self._plan.reasks or FailureKind.INVALID_OUTPUT in self._plan.on:
            return False
        if not self._affords(hop, now):
            self._books.suppressed(hop, "cost_cap", now)
            return False
        if now + (hop.state.latency.typical(now) or LEAST_ATTEMPT_SECONDS) >= self._slice_end(hop, now):
            return False
        if self._kept_back(hop, now):
            self._books.suppressed(hop, "throttle", now)
            return False
        return True

    def _again(
        self, hop: Hop, error: Exception, verdict: Verdict, now: float, *, waits: bool, forced: bool
    ) -> Step | None:
        """The pause before the next attempt at the same model, or None with the reason told.

        Everything that may forbid the attempt is asked before anything waits.
        """
        if self._last_resort:
            return None
        if self._strategies is None:
            self._strategies = Strategies(self._plan.retry, self.started)
        strategies = self._strategies
        strategies.observe(self._failures, error, now)
        if not strategies.wants_retry():
            return None
        most = self._plan.retry.most_attempts if forced else None
        some_left = most is not None and self._failures < most
        if not waits and strategies.stops(self._failures, verdict) and not some_left:
            self._books.suppressed(hop, "attempts", now)
            return None
        latest = self._slice_end(hop, now)
        pause = strategies.wait(self._failures, verdict, self._chance)
        if now + pause + LEAST_ATTEMPT_SECONDS > latest and verdict.retry_after is not None:
            pause = verdict.retry_after  # the exact hint may still fit where the spread does not
        if now + pause + LEAST_ATTEMPT_SECONDS > latest:
            self._books.suppressed(hop, "deadline", now)
            return None
        if hop.state.breaker.peek(now) is not None:
            self._books.suppressed(hop, "breaker", now)
            return None
        if not self._affords(hop, now):
            self._books.suppressed(hop, "cost_cap", now)
            return None
        if not waits and self._kept_back(hop, now):
            self._books.suppressed(hop, "throttle", now)
            return None
        drawn = hop.state.budget.draw(verdict.kind, now)
        if drawn is None:
            self._books.suppressed(hop, "budget", now)
            return None
        self._drawn = drawn
        return self._pause(pause, now, latest)

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

    def _overflowed(self, hop: Hop) -> None:
        self._least_context = max(self._least_context, hop.traits.context_tokens or self._estimate())

    # --- what is learned -------------------------------------------------------------------------------------------

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
        if pace.counts and self._tokens is not None and usage.input_tokens is not None:
            used = usage.input_tokens + (usage.output_tokens or 0)
            pace.correct(used - self._tokens - (self.request.max_tokens or 0))

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
