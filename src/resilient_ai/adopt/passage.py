"""One call of a wrapped client: the engine's state machine, told of every attempt by the SDK's own loop.

    begin ──> the SDK's request() ──> hooks: built, may_retry, pause, received ──> the SDK's own result
      │                  │                                          │
      └── nothing to ask ┴── the loop gave up ──> rescue <── no answer ┘──> the next models, rendered in the SDK's format

The SDK keeps its loop, because it alone keeps its counts, headers, rewound bodies and middleware right. What the loop cannot do (another
attempt after a bad answer in a good response, or after a stream that broke before its first content; another model) the runtime does,
which asks the provider again through the SDK, one attempt at a time.

One object serves one call, in one thread or task. Written once for both colours: in the blocking one nothing here suspends.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast, final

from resilient_ai.adopt.answers import is_read
from resilient_ai.adopt.exchange import Exchange
from resilient_ai.adopt.glance import named
from resilient_ai.adopt.primary import CURRENT
from resilient_ai.adopt.progress import Progress
from resilient_ai.adopt.rescue import Rescue
from resilient_ai.adopt.sdk import READ_BY_CALLER
from resilient_ai.adopt.timing import RemainingTime, phases
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.core.model import Refused
from resilient_ai.engine.endings import attach
from resilient_ai.engine.steps import Ask, Pause
from resilient_ai.errors import CallError
from resilient_ai.history import remember
from resilient_ai.messages import Reply

if TYPE_CHECKING:
    from resilient_ai.adopt.glance import Glance
    from resilient_ai.adopt.policy import Chain, Policy
    from resilient_ai.adopt.primary import Primary
    from resilient_ai.adopt.sdk import Sdk
    from resilient_ai.core.events import Observer
    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.engine.steps import Step
    from resilient_ai.models.wire import Codec

GLANCED: Final = Reply("")
"""Stands for an answer that was not read, since nobody asked what was in it."""
SUCCESS: Final = 2
"""The first digit of a good status."""
SAY_ENOUGH: Final = frozenset({408, 502, 504, 529})
"""Statuses that mean the same whatever the body says."""
NO_BOUND: Final = 1000
"""Retries the SDK's loop is allowed where a strategy of the user's own ends them."""


@final
class LeftLoop(Exception):
    """Leaves the SDK's retry loop where the loop itself would go on. Never reaches a caller."""


@final
class Passage:
    """One call on its way.

    Args:
        policy: The client's.
        chain: The chain that begins with the model the call names.
        primary: That model.
        codec: The wire format, or None for a call that passes through.
        sdk: The SDK's side.
        watching: Who is shown the call.
        read: What is asked has to be read before anybody is asked.

    Attributes:
        reads_by_itself: The body of the answer is read here and not by the SDK's send, so that its time can be bounded.
    """

    __slots__ = (
        "__weakref__",
        "_at",
        "_bounded",
        "_chain",
        "_exchange",
        "_glance",
        "_policy",
        "_renewed",
        "_retries",
        "_sdk",
        "_told",
        "reads_by_itself",
    )

    def __init__(
        self,
        policy: Policy,
        chain: Chain,
        primary: Primary,
        codec: Codec | None,
        sdk: Sdk,
        watching: tuple[Observer, ...],
        *,
        read: bool,
    ) -> None:
        self._policy = policy
        self._chain = chain
        self._sdk = sdk
        self._renewed = False  # the SDK has thrown away the key its provider refused, and fetches another
        self._told = False  # the failure after which the loop waits has been told to the state machine
        self._at = Progress(
            policy, chain, codec, sdk.body, watching, read=read, stream=sdk.stream, blocking=sdk.blocking
        )
        self._exchange = Exchange(sdk, self._at, primary, codec, verified=policy.settings.verify_answers)
        self._glance = None if watching else chain.glance
        self._bounded = sdk.blocking and self._at.timed
        most = chain.attempts
        self._retries = NO_BOUND if most is None else most if self._bounded else most - 1
        """How many retries the SDK's loop is given."""
        self.reads_by_itself = codec is not None and self._bounded

    def is_of(self, client: object) -> bool:
        """`client` makes this call."""
        return self._sdk.client is client

    # --- the call -----------------------------------------------------------------------------------------------------

    async def carry(self) -> Any:
        """The SDK's own result, whoever answered.

        Raises:
            Exception: The SDK's own, with the call's history attached.
        """
        token = CURRENT.set(weakref.ref(self))
        try:
            step: Step | None
            try:
                step = await self._at.begin()
            except CallError as error:
                await self._rescue().fail(error)
            if type(step) is Pause:
                step = await self._at.wait()
            if type(step) is Ask and step.hop.index == 0:
                done, result = await self._through_the_sdk()
                if done:
                    return result
            return await self._rescue().result()
        except BaseException as error:
            self._at.abandon(error)
            raise
        finally:
            CURRENT.reset(token)
            self._exchange.told = None  # its traceback holds this call

    async def _through_the_sdk(self) -> tuple[bool, Any]:
        """Whether the SDK's loop answered, and its result."""
        self._at.begin_attempt()
        options = self._sdk.options
        if not self._sdk.kind.copies:
            options = self._sdk.copied(retries=self._retries)
        try:
            # Most calls are short: where nothing is awaited, no coroutine is made for it.
            result = self._sdk.send(options) if self._sdk.blocking else await self._exchange.sent(options)
            if not self._at.over:  # a middleware answered, and nothing was sent
                self._begun()
                remember(result, self._at.answered(GLANCED))
            return True, result
        except LeftLoop:
            return False, None
        except AttemptTimeout:
            if self._at.asked is not None:
                self._at.fail(AttemptTimeout())  # a new one: the first holds the frames of the SDK
            return False, None
        except Exception as error:
            if self._at.over:
                raise
            self._exchange.tell(error)
            if self._at.asked is None and not self._told:
                with suppress(LeftLoop):
                    self._begun()  # something hides the hook before sending
            if self._at.asked is not None:
                self._at.fail(error, again=self._again(error))
            if self._at.goes_on and not self._sdk.replayable:
                # The SDK knows that the body it sent cannot be sent again, although its failure would allow it.
                attach(error, self._at.given_up(error), note=True)
                raise
            return False, None

    def _again(self, error: Exception) -> bool | None:
        """Whether the SDK would ask again after `error`, which has left its loop; None where it leaves that to others."""
        if not self._sdk.raised(error):
            return False
        if self._renewed:
            return True
        unasked = (
            isinstance(error, self._sdk.kind.module.APIConnectionError) and self._at.asks <= self._retries
        )
        return False if unasked else None

    @property
    def refused_retries(self) -> int:
        """How many of the retries the SDK's loop is given the hooks will refuse it.

        One, where time is bounded in a blocking call: the loop would read the body of its last refusal without asking them, however long that
        took.
        """
        return 1 if self._bounded and self._chain.attempts is not None else 0

    def _rescue(self) -> Rescue:
        return Rescue(self._exchange, self._policy, self._chain)

    # --- the attempts the engine makes by itself (see `primary.Attempts`) ---------------------------------------------

    async def whole(self, scope: Scope) -> Reply:
        """See `Exchange.whole`."""
        return await self._exchange.whole(scope)

    async def streamed(self, scope: Scope) -> ChunkSource:
        """See `Exchange.streamed`."""
        return await self._exchange.streamed(scope)

    def sends(self, request: object) -> bool:
        """See `Attempts`."""
        return self._exchange.request is request

    # --- what the SDK's loop asks and tells ---------------------------------------------------------------------------

    @property
    def capturing(self) -> bool:
        """One attempt is made outside the loop; its response is taken before the SDK looks at it."""
        return self._exchange.alone

    def copied(self, options: Any) -> Any:
        """The SDK's own copy of the options of a run of its loop, the body in it turned into plain data."""
        if self._sdk.prepared is None:
            self._sdk.prepared = options
        if not self._exchange.alone:
            options.max_retries = self._retries
        return options

    def built(self, request: Any) -> None:
        """The request of the attempt, just before it is sent, is given no more time than the attempt has."""
        self._exchange.request = request
        at = self._at
        if at.asked is None:
            self._begun()
            at.arm()
        extensions, scope = request.extensions, at.scope
        given = extensions.get("timeout")
        if at.timed and given is not None and scope is not None:
            stream = self._sdk.stream
            extensions["timeout"] = (
                RemainingTime(given, scope, stream=stream)
                if stream or at.driver.blocking
                else phases(given, scope)
            )

    def _begun(self) -> None:
        """Begins the next attempt where the loop has waited out a pause."""
        if self._exchange.alone:
            return
        self._at.resume()
        if not self._at.asks_primary:
            raise LeftLoop
        self._at.begin_attempt()

    def may_retry(self, response: Any, *, renewed: bool) -> bool:
        """Whether the loop may ask again after `response`, which is an error; `renewed` is a key the SDK will fetch anew."""
        self._renewed = renewed
        self._exchange.know_key()
        if self._at.asked is None:
            self._begun()  # as in `_through_the_sdk`, or a middleware answered before it
        refused = self._refused(response)
        if refused is None:
            return False  # the SDK reads and raises it, and the runtime asks again
        self._at.fail(refused, again=self._renewed or None)
        self._told = True
        return self._at.goes_on

    def _refused(self, response: Any) -> Exception | None:
        """The SDK's exception for `response`; None where its body must be known and cannot be read here, where nothing suspends."""
        client = self._sdk.client
        if not is_read(response):
            if not self._at.driver.blocking:
                if response.status_code not in SAY_ENOUGH:
                    return None
                told = f"Error code: {response.status_code}"
                return cast("Exception", client._make_status_error(told, body=None, response=response))  # noqa: SLF001 - the SDK's own hook
            try:
                self._exchange.read(response)
            except Exception as error:
                self._at.fail(error)
                raise LeftLoop from error
        return cast("Exception", client._make_status_error_from_response(response))  # noqa: SLF001 - the SDK's own hook

    def may_retry_after(self, error: BaseException, *, own: bool, answered: bool) -> bool:
        """Whether the loop may ask again after `error`.

        Args:
            error: What ended an attempt.
            own: What the SDK would do.
            answered: There is a response, which `may_retry` was told of.
        """
        if self._at.over or not isinstance(error, Exception) or isinstance(error, LeftLoop):
            return False
        if self._at.asked is None and not answered:
            self._begun()  # as above
        if self._at.asked is not None:
            self._exchange.tell(error)
            self._at.fail(error, again=own)
            self._told = True
        return self._at.goes_on

    def pause(self, own: Callable[[], float]) -> float:
        """Seconds the loop waits before it asks again; `own` tells what the SDK would wait.

        Raises:
            LeftLoop: It must not ask again; an SDK of the older kind did not ask before it came here.
        """
        if not self._told:
            if self._at.asked is None:
                self._begun()  # as in `_through_the_sdk`
            error = sys.exception()
            self._exchange.know_key()
            self._at.fail(error if isinstance(error, Exception) else AttemptTimeout(), again=True)
        self._told = False
        if not self._at.goes_on:
            raise LeftLoop
        self._at.arm_ahead()
        if self._policy.settings.retry is None and not self._at.timed:
            return own()  # neither a policy nor a clock of ours has a say in it
        step = self._at.step
        return max(0.0, step.until - self._at.driver.clock.now()) if isinstance(step, Pause) else 0.0

    async def received(self, arguments: dict[str, Any]) -> Any:
        """What the SDK makes of a response with a good status, or of the answer that takes its place.

        Args:
            arguments: Those of the SDK's `_process_response`.
        """
        if self._exchange.primary.fetched:
            self._exchange.know_key()
        if arguments["response"].status_code // 100 != SUCCESS:
            return await self._sdk.made(arguments)  # for middleware; the loop comes back to its status
        if self._exchange.alone:
            self._exchange.received = arguments
            if getattr(self._sdk.client, "_middleware", None):
                return await self._sdk.made(arguments)  # middleware wants the SDK's own object
            return arguments["response"]
        at, exchange = self._at, self._exchange
        if at.asked is None:
            self._begun()  # something hides the hook before sending
        if not at.driver.blocking:
            at.disarm()
        exchange.received = arguments
        if not exchange.verified and self._sdk.left_to_caller(arguments):
            return await self._handed_on(arguments)
        if exchange.codec is not None and arguments["stream"]:
            exchange.opened()
            at.step, at.asked = at.asked, None
            return await self._rescue().stream()
        return await self._judged(arguments)

    async def _judged(self, arguments: dict[str, Any]) -> Any:
        """What the SDK makes of a whole answer that is a good one, or of the answer that takes its place."""
        response = arguments["response"]
        sdk, exchange, glance = self._sdk, self._exchange, self._glance
        result = None
        try:
            if self.reads_by_itself and sdk.mark != READ_BY_CALLER:
                exchange.read(response)
            else:
                await exchange.load(response)
            if glance is not None:
                try:
                    result = sdk.process(arguments)
                    if not sdk.blocking:
                        result = await result
                except Exception:  # noqa: BLE001 - raised again once the answer was read, which shows whose fault it is
                    result = None
                if glance.plain(result, exchange.primary.name, sdk.body):
                    return self._glanced(glance, result, response)
            exchange.note(response)
            reply = exchange.reply_in(response)
            if self._chain.check is not None:
                reply = self._chain.check(reply)
        except Exception as error:  # noqa: BLE001 - every failure becomes exactly one verdict
            exchange.note(response)
            self._at.fail(error)
            return await self._rescue().result()
        try:
            readable = self._rescue().readable(response, reply)
            if result is None or readable is not response:
                result = await sdk.made({**arguments, "response": readable})
        except Exception as error:  # noqa: BLE001 - the SDK, or a parser it was given, refuses the answer
            exchange.tell(error)
            self._at.fail(Refused(error, reply))
            return await self._rescue().result()
        remember(result, self._at.answered(reply))
        return result

    async def _handed_on(self, arguments: dict[str, Any]) -> Any:
        """What the SDK makes of a response nobody here looks into: that it has come is the answer."""
        result = await self._sdk.made(arguments)
        remember(result, self._at.answered(GLANCED))
        return result

    def _glanced(self, glance: Glance, result: Any, response: Any) -> Any:
        """`result`, which plainly is an answer; what it cost is read when somebody asks."""
        price = self._chain.plan.hops[0].traits.price
        if named(result) is None:
            self._exchange.note(response)
        history = self._at.unread(response.status_code)
        remember(result, lambda answer: glance.outcome(history(), answer, price))
        return result


def passage_of(client: object) -> Passage | None:
    """The call of `client` that is being driven here and still wants to be told: once it is over, what the SDK does is its own affair."""
    held = CURRENT.get()
    passage = None if held is None else held()
    if type(passage) is not Passage or passage._sdk.client is not client:  # noqa: SLF001 - its own kind
        return None
    return passage if passage._exchange.alone or not passage._at.over else None  # noqa: SLF001 - as above
