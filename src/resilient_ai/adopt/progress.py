"""How far one call of a wrapped client has come: the state machine's side of it, and the one timer of its attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, final

from resilient_ai.core.deadline import earliest
from resilient_ai.engine.call import Call, next_number
from resilient_ai.engine.steps import Ask, Ended, Pause
from resilient_ai.messages import Message, Request
from resilient_ai.models.wire import WireError
from resilient_ai.models.wire.portability import unportable, without_opaque
from resilient_ai.options import options_here
from resilient_ai.runtime import observers as watchers
from resilient_ai.runtime.orchestrate import CANCELLED, closed, enter, failed, scope_of

if TYPE_CHECKING:
    from resilient_ai.adopt.policy import Chain, Policy
    from resilient_ai.core.events import Observer
    from resilient_ai.core.model import Scope
    from resilient_ai.engine.plan import Plan
    from resilient_ai.engine.steps import Step
    from resilient_ai.messages import JSON, DataClassName, Outcome, Reply
    from resilient_ai.models.wire import Codec
    from resilient_ai.policies.exposure import Privacy
    from resilient_ai.runtime.driver import Driver

NOTHING_ASKED: Final = Request(messages=())
"""What the books hold of a call that passes through."""


@final
class Progress:
    """One call as the engine sees it. One thread or task at a time.

    Args:
        policy: The client's.
        chain: The chain that begins with the model the call names.
        codec: The wire format, or None for a call that passes through.
        body: Tells the request's body. Must not hold this.
        watching: Who is shown the call.
        read: What is asked has to be read before anybody is asked. Otherwise it is when somebody else is to be asked.
        stream: The answer is streamed.
        blocking: The colour.

    Attributes:
        call: The state machine.
        driver: The colour.
        step: What the state machine said last.
        asked: The attempt the SDK is making; None when it has ended.
        asks: Attempts made at the client's own provider.
        scope: What the attempt may use.
        over: The engine has nothing more to say.
        timed: The engine's own clocks bound its attempts, not the client's alone: the policy's, or those of a call or a block around it.
    """

    __slots__ = (
        "_armed", "_body", "_codec", "_placed", "_policy", "_timer", "_unread", "_watched", "asked", "asks", "call", "driver", "number", "over", "scope", "step", "timed",
    )  # fmt: skip

    def __init__(
        self,
        policy: Policy,
        chain: Chain,
        codec: Codec | None,
        body: Callable[[], Mapping[str, JSON]],
        watching: tuple[Observer, ...],
        *,
        read: bool,
        stream: bool,
        blocking: bool,
    ) -> None:
        self._policy = policy
        self.driver: Driver = policy.blocking if blocking else policy.aio
        self.number = next_number()
        settings = policy.settings
        clock = self.driver.clock
        self._codec = codec
        self._body = body
        request, barred = _request(codec, body) if read else (NOTHING_ASKED, None)
        self._unread = codec is not None and not read
        self._watched = bool(watching)
        data_class, seconds = settings.data_class, chain.plan.deadline
        options = options_here()
        if options is not None:
            data_class, seconds = options.data_class or data_class, options.tightened(seconds)
        if data_class is not None:
            request = replace(request, data_class=data_class)
        now = clock.now()
        until = earliest(clock, now, seconds)
        self.timed = chain.timed or until < now + chain.plan.deadline
        self.call = Call(
            _shown(chain.plan, request, settings.privacy) if settings.privacy.pseudonymise else chain.plan,
            request,
            self.number,
            now,
            until,
            settings.chance,
            partial(watchers.emit, watching) if watching else None,
            "stream" if stream else "chat",
            barred,
            partial(_request, codec, body, data_class) if self._unread and chain.shared else None,
        )
        self.step: Step | None = None
        self.asked: Ask | None = None
        self.asks = 0
        self.scope: Scope | None = None
        self.over = False
        self._placed = False
        self._timer: asyncio.Timeout | None = None
        self._armed: float | None = None
        """For which instant the timer is set."""

    async def begin(self) -> Step:
        """The first step, once the call has been announced and has a place.

        Raises:
            Overloaded: There is none.
        """
        if self._watched:
            clock = self.driver.clock
            self.call.announce(clock.now(), clock.wall())
        places = self._policy.places
        try:
            if not places.enter(None):
                await enter(self.call, self.driver, places)
        except Exception as error:
            closed(self.call, self.driver, error)
            self.over = True
            raise
        self._placed = True
        self.step = step = self.call.begin(self.driver.clock.now())
        return step

    async def wait(self) -> Step | None:
        """The step after the provider was only to be waited for."""
        step = self.step
        while isinstance(step, Pause) and self.on_primary:
            await self.driver.sleep_until(step.until)
            step = self.call.resume(self.driver.clock.now())
        self.step = step
        return step

    @property
    def request(self) -> Request:
        """What was asked."""
        return _request(self._codec, self._body)[0] if self._unread else self.call.request

    @property
    def on_primary(self) -> bool:
        """The call has turned to the client's own provider."""
        hop = self.call.hop
        return hop is not None and hop.index == 0

    @property
    def asks_primary(self) -> bool:
        """The next step is an attempt at the client's own provider."""
        return isinstance(self.step, Ask) and self.step.hop.index == 0

    @property
    def goes_on(self) -> bool:
        """The provider is to be asked again, now or after a pause."""
        return isinstance(self.step, Ask | Pause) and self.on_primary

    @property
    def retries(self) -> int:
        """How often the provider was asked again."""
        return max(0, self.asks - 1)

    def begin_attempt(self) -> None:
        """The SDK is about to make the attempt the state machine asked for."""
        step = self.step
        if type(step) is not Ask:
            raise AssertionError("an attempt nobody asked for")
        self.asked = step
        self.asks += 1
        self.scope = scope_of(step, self.driver)

    def taken(self) -> Step:
        """What the state machine said last, for whoever goes on from there.

        It is not kept: it may hold an error, whose traceback holds this.
        """
        step, self.step = self.step, None
        if step is None:
            raise AssertionError("nothing was decided")
        return step

    def resume(self) -> None:
        """The pause before the next attempt is over."""
        if isinstance(self.step, Pause):
            self.step = self.call.resume(self.driver.clock.now())

    def fail(self, error: Exception, *, again: bool | None = None) -> None:
        """The attempt under way failed; what is next is in the state machine's hands.

        Args:
            error: What was raised.
            again: See `Policy.judge`.
        """
        step, scope = self.asked, self.scope
        if step is None or scope is None:
            raise AssertionError("a failure without an attempt")
        self.disarm()
        self.asked = None
        ended = failed(step, scope, error, partial(self._policy.judge, again=again))
        self.step = self.call.settle(ended, self.driver.clock.now())

    def answered(self, reply: Reply) -> Outcome:
        """The attempt under way answered, and with it the call."""
        scope, clock = self.scope, self.driver.clock
        self.asked = None
        now = clock.now()
        outcome = self.call.answered(
            Ended(reply, None, None, {} if scope is None else scope.notes), now, clock.wall()
        )
        self.over = True
        self._leave()
        return outcome

    def unread(self, status: int) -> Callable[[], Outcome]:
        """The attempt under way answered, and with it the call; nobody watches, and what the answer holds was not read.

        Args:
            status: Of the response.

        Returns:
            What writes the history when somebody asks for it.
        """
        scope = self.scope
        if scope is None:
            raise AssertionError("an answer without an attempt")
        self.asked = None
        self.over = True
        scope.notes["status"] = status
        history = self.call.unread(scope.notes, self.driver.clock.now())
        self._leave()
        return history

    def given_up(self, error: Exception) -> Outcome:
        """The SDK will not ask again, whatever the state machine says."""
        clock = self.driver.clock
        outcome = self.call.finish(clock.now(), clock.wall(), self._policy.judge(error).kind.value, None)
        self.over = True
        self._leave()
        return outcome

    def handed_over(self) -> None:
        """Somebody else gives the place back and closes the history."""
        self._placed = False

    def abandon(self, error: BaseException) -> None:
        """Whatever left the call by another door than its own: a cancellation, or a bug."""
        if self.over:
            return
        self.over = True
        clock = self.driver.clock
        self.call.abandon(clock.now(), Ended(verdict=CANCELLED))
        kind = "_OTHER" if isinstance(error, Exception) else CANCELLED.kind.value
        self.call.finish(clock.now(), clock.wall(), kind, None)
        self._leave()

    def _leave(self) -> None:
        if self._placed:
            self._placed = False
            self._policy.places.leave()

    # --- the timer of an asynchronous attempt -------------------------------------------------------------------------

    def use(self, timer: asyncio.Timeout | None) -> None:
        """The timer around the SDK's loop, which ends each attempt in it at its own instant."""
        self._timer = timer
        self._armed = None
        self.arm()

    def arm(self) -> None:
        """Sets the timer to the end of the attempt under way."""
        scope = self.scope
        if self._timer is None or scope is None or self.asked is None or self._armed == scope.until:
            return
        self._armed = scope.until
        self._timer.reschedule(asyncio.get_running_loop().time() + scope.until - self.driver.clock.now())

    def arm_ahead(self) -> None:
        """Sets the timer for what comes before the next attempt is sent: the pause, and perhaps a key that is fetched anew."""
        step, hop = self.step, self.call.hop
        if self._timer is None or self._timer.expired() or hop is None or not isinstance(step, Pause):
            return
        now = self.driver.clock.now()
        until = min(step.until + hop.timeouts.attempt, self.call.latest(now))
        self._timer.reschedule(asyncio.get_running_loop().time() + until - now)

    def disarm(self) -> None:
        """No attempt is under way."""
        self._armed = None
        if self._timer is not None and not self._timer.expired():
            self._timer.reschedule(None)


def _shown(plan: Plan, request: Request, privacy: Privacy) -> Plan:
    """`plan` for one call, its fallbacks behind placeholders where `privacy` asks for them.

    The client's own model stays as it is: the SDK sends what the application wrote.
    """
    if request.data_class is None:
        return plan
    from resilient_ai.models.pseudonymised import with_pseudonyms

    hidden = with_pseudonyms(plan, request, privacy)
    return replace(hidden, hops=(plan.hops[0], *hidden.hops[1:]))


def _request(
    codec: Codec | None, body: Callable[[], Mapping[str, JSON]], data_class: DataClassName | None = None
) -> tuple[Request, str | None]:
    """The request as others may be asked it, and why nobody else may be."""
    request, barred = _decoded(codec, body())
    return (request if data_class is None else replace(request, data_class=data_class)), barred


def _decoded(codec: Codec | None, body: Mapping[str, JSON]) -> tuple[Request, str | None]:
    if codec is None:
        return NOTHING_ASKED, None
    try:
        request = codec.decode_request(body)
    except WireError:
        # The provider is the judge of a request we cannot read; nobody else may be asked it.
        return Request((Message("user", ()),)), "unportable:messages"
    field = unportable(request)
    return without_opaque(request), None if field is None else f"unportable:{field}"
