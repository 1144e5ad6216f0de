"""Drives a call: does what the state machine says next, and tells it how that ended. Written once for both colours.

Nothing is decided here. What is guaranteed here: an abandoned attempt is closed before the next one starts (its coroutine has ended),
a place and a permit are given back on every ending, and whatever is not an `Exception` passes through untouched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from resilient_ai.core.deadline import CURRENT_DEADLINE, AttemptTimeout
from resilient_ai.core.failure import FailureKind, Verdict, verdict_of
from resilient_ai.core.model import CheckRaised, Refused, Scope
from resilient_ai.engine.call import Call
from resilient_ai.engine.endings import attach, bare
from resilient_ai.engine.steps import Ask, Ended, Pause, Race, Step
from resilient_ai.errors import (
    BudgetExceeded,
    CallError,
    CircuitOpen,
    DeadlineExceeded,
    InvalidOutput,
    ModelError,
    Overloaded,
    ResilientError,
)

if TYPE_CHECKING:
    from resilient_ai.engine.plan import Hop
    from resilient_ai.messages import Outcome, Reply
    from resilient_ai.policies.limits import Concurrency
    from resilient_ai.runtime.driver import Driver, Finished

Judge: TypeAlias = Callable[[Exception], Verdict]
"""Reads any exception."""
Check: TypeAlias = "Callable[[Reply], Reply]"
"""Validates an answer: the answer, perhaps with `output` filled in, or an exception."""
Hand: TypeAlias = "Callable[[Reply], Awaitable[None]]"
"""Hands an answer to whoever asked. Raises `Refused` if they cannot take it."""

_OTHER: Final = "_OTHER"
CANCELLED: Final = verdict_of(FailureKind.CANCELLED)


async def run(call: Call, driver: Driver, places: Concurrency, judge: Judge, check: Check | None) -> Reply:
    """The answer of one unary call, with its outcome.

    Raises:
        Exception: What `engine.endings` chose, with the call's outcome attached.
    """
    clock = driver.clock
    if call.watched:
        call.announce(clock.now(), clock.wall())
    try:
        if not places.enter(None):
            await enter(call, driver, places)
    except BaseException as error:
        _left(call, driver, error)
        raise
    return await go_on(call, None, driver, places, judge, check)


async def go_on(
    call: Call,
    step: Step | None,
    driver: Driver,
    places: Concurrency,
    judge: Judge,
    check: Check | None,
    hand: Hand | None = None,
) -> Reply:
    """The answer of a call that has been announced and has a place, which is given back.

    Args:
        call: What is driven.
        step: What the state machine said last, to somebody else; None begins.
        driver: The colour.
        places: Where its place is.
        judge: Reads failures.
        check: Validates answers.
        hand: Hands answers over, where they can be refused; an answer that is refused is a failed attempt.

    Raises:
        Exception: As for `run`.
    """
    clock = driver.clock
    ended: Ended | None = None
    failure: Exception | None = None
    try:
        try:
            step = call.begin(clock.now()) if step is None else step
            while True:
                if type(step) is Ask:
                    ended, now = await _attempt(step, driver, judge, check, hand), clock.now()
                elif type(step) is Race:  # never where answers are handed over: wrapped clients have no hedge
                    ended, now = await _race(call, step, driver, judge, check)
                elif type(step) is Pause:
                    await driver.sleep_until(step.until)
                    step = call.resume(clock.now())
                    continue
                else:
                    failure = step.error
                    break
                if ended.error is None and ended.reply is not None:
                    return with_outcome(ended.reply, call.answered(ended, now, clock.wall()))
                step = call.settle(ended, now)
        except BaseException:
            call.abandon(clock.now(), Ended(verdict=CANCELLED))
            raise
        finally:
            places.leave()
    except BaseException as error:
        _left(call, driver, error)
        raise
    if failure is None:
        failure = AssertionError("a call without an answer and without an error")
    closed(call, driver, failure)
    try:
        raise failure
    finally:
        # The error holds this frame: were the frame to hold the error, both and the prompt would live until a collection.
        del failure, step, ended


def _left(call: Call, driver: Driver, error: BaseException) -> None:
    """Closes the history of a call that was left by `error`, which no model raised."""
    if isinstance(error, ResilientError):
        closed(call, driver, error)
        return
    clock = driver.clock
    call.finish(
        clock.now(), clock.wall(), _OTHER if isinstance(error, Exception) else CANCELLED.kind.value, None
    )


def with_outcome(reply: Reply, outcome: Outcome) -> Reply:
    """`reply` with its history filled in.

    In place: a model makes a new reply for each attempt, and a copy of it would cost as much as the rest of the bookkeeping.
    """
    object.__setattr__(reply, "outcome", outcome)
    return reply


async def enter(call: Call, driver: Driver, places: Concurrency) -> None:
    """Takes a place in the chain's concurrency limit, waiting in the line if there is room in it.

    Raises:
        Overloaded: The line is full, or the deadline came before a place.
    """
    if places.enter(None):
        return
    place = driver.place()
    taken = places.enter(place)
    if taken is None:
        raise Overloaded(
            f"{places.limit} calls are in flight and {places.queue} are waiting, as many as limits allow; nothing was sent. "
            "Raise limits.concurrency or limits.queue, or send less.",
            kind=FailureKind.LOCAL,
        )
    if taken:
        return
    woken = False
    try:
        woken = await place.wait(call.until)
    finally:
        if not woken:
            places.give_up(place)
    if not woken:
        raise Overloaded(
            f"no place among {places.limit} concurrent calls became free before the deadline; nothing was sent. "
            "Raise limits.concurrency, shorten the queue, or send less.",
            kind=FailureKind.LOCAL,
        )


def closed(call: Call, driver: Driver, error: Exception) -> Outcome:
    """Closes the history of a call that ends with `error`, and attaches it there."""
    around = call.around
    outcome = call.finish(driver.clock.now(), driver.clock.wall(), error_type(error, call), None)
    bare(error, around)
    attach(error, outcome, note=not isinstance(error, ResilientError) or isinstance(error, ModelError))
    return outcome


def error_type(error: Exception, call: Call) -> str:
    """`error` in the closed list of `error.type`."""
    if isinstance(error, DeadlineExceeded):
        return "deadline_exceeded"
    if isinstance(error, CircuitOpen):
        return "circuit_open"
    if isinstance(error, BudgetExceeded):
        return "budget_exhausted"
    if isinstance(error, CallError):
        return error.kind.value
    if call.endings:
        return call.endings[-1].verdict.kind.value
    return _OTHER


def scope_of(step: Ask, driver: Driver) -> Scope:
    """What the attempt of `step` may use."""
    timeouts = step.hop.timeouts
    return Scope(
        driver.blocking, driver.clock, step.until, timeouts.connect, timeouts.first_token, timeouts.idle, {}
    )


def failed(step: Ask, scope: Scope, error: Exception, judge: Judge) -> Ended:
    """How an attempt that raised ended."""
    if isinstance(error, CheckRaised):
        return _unchecked(error, scope)
    if isinstance(error, Refused):
        fault = error.fault
        return Ended(reply=error.draft, error=fault, verdict=judge(fault), notes=scope.notes)
    if isinstance(error, AttemptTimeout):
        timeout = timed_out(step.hop, scope, error)
        timeout.__cause__ = error.__cause__
        error = timeout
    # What came of a failed answer is billed like a good one.
    came = (
        error.draft
        if isinstance(error, InvalidOutput)
        else error.partial
        if isinstance(error, ModelError)
        else None
    )
    return Ended(reply=came, error=error, verdict=judge(error), notes=scope.notes)


def _unchecked(error: CheckRaised, scope: Scope) -> Ended:
    """How an attempt ended whose answer could not be checked: no fault of the model, and another one would meet the same check."""
    fault = error.fault
    with contextlib.suppress(Exception):
        # The traceback goes, as every attempt's does: its frames hold the answer. The line it came from mends it.
        fault.add_note(f"resilient_ai: raised by {error.where}; the answer was not judged by it")
    verdict = verdict_of(FailureKind.LOCAL, sent=True, reasons=("a check raised",))
    return Ended(reply=error.draft, error=fault, verdict=verdict, checked=True, notes=scope.notes)


def timed_out(hop: Hop, scope: Scope, error: AttemptTimeout) -> ModelError:
    """The typed error of an attempt whose time was up."""
    model = hop.model
    sent = scope.notes.get("sent")
    verdict = verdict_of(
        FailureKind.TIMEOUT,
        sent=sent if isinstance(sent, bool) else error.sent,
        reasons=(f"the {error.phase} clock ran out",),
    )
    words = {
        "connect": f"no connection within {scope.connect:g} s",
        "first_token": f"no content within {scope.first_token:g} s of the start",
        "idle": f"no content for {scope.idle:g} s in mid-stream",
    }
    what = words.get(error.phase, "no complete answer in the time the attempt had")
    return ModelError(f"timeout: {what}", verdict=verdict, model=model.name, provider=model.provider)


def _unanswered(step: Ask, scope: Scope, error: Exception, judge: Judge, *, checked: bool) -> Ended:
    """How a whole attempt that raised ended. No local of the frame that `error` holds: both would live until a collection."""
    ended = failed(step, scope, error, judge)
    ended.checked = checked
    return ended


async def _attempt(step: Ask, driver: Driver, judge: Judge, check: Check | None, hand: Hand | None) -> Ended:
    scope = scope_of(step, driver)
    token = CURRENT_DEADLINE.set((driver.clock, step.until))
    try:
        reply = await driver.bounded(step.hop.model.answer(step.request, scope), step.until)
        if check is not None:
            reply = check(reply)
        if hand is not None:
            await hand(reply)
    except Exception as error:  # noqa: BLE001 - every failure of a model becomes exactly one verdict
        return _unanswered(step, scope, error, judge, checked=check is not None)
    finally:
        CURRENT_DEADLINE.reset(token)
    return Ended(reply, None, None, scope.notes, check is not None)


# --- attempts beside each other ---------------------------------------------------------------------------------------


async def _race(
    call: Call, first: Race, driver: Driver, judge: Judge, check: Check | None
) -> tuple[Ended, float]:
    """How the request ended that decides a race, and when; the call has been told of the others.

    The first answer decides, or the last failure. What is under way then is ended; an answer does not wait until what lost has cleaned up,
    everything else does.
    """
    clock = driver.clock
    racers = driver.racers(first.most)
    scopes: dict[int, Scope] = {}
    under_way: list[Ask] = []

    def start(step: Ask) -> bool:
        scope = scope_of(step, driver)
        if racers is None or not racers.start(step, scope, partial(_answered, step, scope, driver)):
            return False
        scopes[step.n] = scope
        under_way.append(step)
        return True

    if racers is None or not start(first.ask):
        return await _attempt(first.ask, driver, judge, check, None), clock.now()
    at = first.at
    decided = False
    try:
        while True:
            finished = await racers.next(at)
            now = clock.now()
            if finished is None:
                further = call.hedge(first.ask, now)
                at = float("inf") if further is None else further.at
                if further is not None and not start(further.ask):
                    call.beaten(further.ask, Ended(verdict=CANCELLED), now)
                continue
            step = finished.step
            ended = _judged(finished, scopes[step.n], judge, check)
            del finished  # its error may hold this frame
            under_way.remove(step)
            decided = ended.error is None
            if decided or not under_way:
                break
            call.beaten(step, ended, now)
    finally:
        came_in = {late.step.n: late for late in await racers.stop(decided=decided)}
    for loser in under_way:
        late, scope = came_in.get(loser.n), scopes[loser.n]
        known = late is not None and (late.error is None or isinstance(late.error, Exception))
        # One that was told to stop is billed, and nobody knows for how much.
        lost = Ended(verdict=CANCELLED, notes=scope.notes)
        call.beaten(loser, _judged(late, scope, judge, None) if late is not None and known else lost, now)
    return ended, now


async def _answered(step: Ask, scope: Scope, driver: Driver) -> Reply:
    """The answer to one of several attempts."""
    token = CURRENT_DEADLINE.set((driver.clock, step.until))
    try:
        return await driver.bounded(step.hop.model.answer(step.request, scope), step.until)
    finally:
        CURRENT_DEADLINE.reset(token)


def _judged(finished: Finished, scope: Scope, judge: Judge, check: Check | None) -> Ended:
    """How one of several attempts ended: checked and judged where the call is, like any other.

    Raises:
        BaseException: What it raised that is no failure of a model.
    """
    step, reply, error = finished.step, finished.reply, finished.error
    checked = check is not None
    if error is None and reply is not None:
        try:
            reply = reply if check is None else check(reply)
        except Exception as objection:  # noqa: BLE001 - judged like any other
            return _unanswered(step, scope, objection, judge, checked=checked)
        return Ended(reply=reply, checked=checked, notes=scope.notes)
    if isinstance(error, Exception):
        ended = _unanswered(step, scope, error, judge, checked=checked)
        bare(error)  # its frames hold what ran it, which holds the error
        return ended
    try:
        raise error or AssertionError("an attempt without an end")
    finally:
        del error, finished
