"""One call of a wrapped client: the engine's state machine, told of every attempt by the SDK's own loop.

    begin ──> the SDK's request() ──> hooks: prepared, may_retry, pause, received ──> the SDK's own result
      │                  │                                             │
      └── nothing to ask ┴── the loop gave up ──> rescue <── no answer ┘──> the next models, rendered in the SDK's format

The SDK keeps its loop, because it alone keeps its counts, headers, rewound bodies and middleware right. What the loop cannot do (another
attempt after a bad answer in a good response, or after a stream that broke before its first content; another model) the runtime does,
which asks the provider again through the SDK, one attempt at a time.

One object serves one call, in one thread or task. Written once for both colours: in the blocking one nothing here suspends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, final

from resilient_ai.adopt.answers import (
    RemainingTime,
    bound,
    headers_of,
    is_read,
    response_of,
    streamed_response,
)
from resilient_ai.adopt.delivery import Delivery
from resilient_ai.adopt.dialects import wants_usage
from resilient_ai.adopt.primary import CURRENT
from resilient_ai.adopt.progress import Progress
from resilient_ai.adopt.sdk import RAW_HEADER, clamped
from resilient_ai.adopt.source import ProviderStream
from resilient_ai.adopt.wire_faults import says_nothing, sdk_error, typed
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.engine.endings import attach
from resilient_ai.engine.steps import Pause
from resilient_ai.errors import AllModelsFailed, CallError
from resilient_ai.history import outcome_of, remember
from resilient_ai.messages import Reply
from resilient_ai.models.wire import Malformed, WireError
from resilient_ai.models.wire.flags import flags_of
from resilient_ai.models.wire.sse import looks_like_events
from resilient_ai.runtime.orchestrate import go_on
from resilient_ai.runtime.session import Session

if TYPE_CHECKING:
    from resilient_ai.adopt.policy import Chain, Policy
    from resilient_ai.adopt.primary import Primary
    from resilient_ai.adopt.sdk import Sdk
    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.engine.steps import Step
    from resilient_ai.messages import JSON
    from resilient_ai.models.wire import Codec

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
        body: The request's body.
        sdk: The SDK's side.
        blocking: The colour.
    """

    __slots__ = (
        "_at",
        "_body",
        "_captured",
        "_capturing",
        "_chain",
        "_codec",
        "_opened",
        "_policy",
        "_primary",
        "_request",
        "_sdk",
        "_source",
        "_told",
    )

    def __init__(
        self,
        policy: Policy,
        chain: Chain,
        primary: Primary,
        codec: Codec | None,
        body: Mapping[str, JSON],
        sdk: Sdk,
        *,
        blocking: bool,
    ) -> None:
        self._policy = policy
        self._chain = chain
        self._primary = primary
        self._codec = codec
        self._body = body
        self._sdk = sdk
        self._at = Progress(policy, chain, codec, body, stream=sdk.stream, blocking=blocking)
        self._told: Exception | None = None
        """What the SDK itself raised last: what a caller meets if nobody answers."""
        self._request: Any = None
        self._capturing = False
        self._captured: dict[str, Any] | None = None
        self._opened = False
        self._source: ProviderStream | None = None

    # --- the call -----------------------------------------------------------------------------------------------------

    async def carry(self) -> Any:
        """The SDK's own result, whoever answered.

        Raises:
            Exception: The SDK's own, with the call's history attached.
        """
        token = CURRENT.set(self)
        try:
            try:
                await self._at.enter()
            except CallError as error:
                failure = await self._failure(error)
                raise failure from failure.__cause__
            await self._at.begin()
            if self._at.asks_primary:
                done, result = await self._through_the_sdk()
                if done:
                    return result
            return await self._rescued(None)
        except BaseException as error:
            self._at.abandon(error)
            raise
        finally:
            CURRENT.reset(token)
            self._told = None  # its traceback holds this call

    async def _through_the_sdk(self) -> tuple[bool, Any]:
        """Whether the SDK's loop answered, and its result."""
        self._at.begin_attempt()
        retries = self._chain.plan.retry.most_attempts
        # One more than may be used: the loop asks the hooks before each retry, and they refuse the last.
        options = self._sdk.copied(retries=NO_BOUND if retries is None else retries)
        try:
            return True, await self._sent(options)
        except LeftLoop:
            return False, None
        except Exception as error:
            if self._at.over:
                raise
            self._told = error
            if self._at.asked is not None:
                self._at.fail(error)
            if self._at.goes_on and not self._sdk.replayable:
                # The SDK knows that the body it sent cannot be sent again, although its failure would allow it.
                attach(error, self._at.given_up(error), note=True)
                raise
            return False, None

    async def _sent(self, options: Any) -> Any:
        """One run of the SDK's request, in the colour of the call; the timer is set anew for each attempt in it."""
        sdk = self._sdk
        if self._at.driver.blocking:
            return sdk.send(sdk.cast_to, options, stream=sdk.stream, stream_cls=sdk.stream_cls)
        timer = asyncio.timeout(None)
        try:
            async with timer:
                self._at.use(timer)
                return await sdk.send(sdk.cast_to, options, stream=sdk.stream, stream_cls=sdk.stream_cls)
        except TimeoutError as error:
            if not timer.expired():
                raise
            if self._at.asked is None:
                raise AttemptTimeout from error
            self._at.fail(AttemptTimeout())
            raise LeftLoop from error
        finally:
            self._at.use(None)

    # --- what the SDK's loop asks and tells ---------------------------------------------------------------------------

    @property
    def capturing(self) -> bool:
        """One attempt is made outside the loop; its response is taken before the SDK looks at it."""
        return self._capturing

    @property
    def reads_by_itself(self) -> bool:
        """The body of the answer is read here and not by the SDK's send, so that its time can be bounded."""
        return self._at.driver.blocking and self._chain.timed and self._codec is not None

    def prepared(self, options: Any) -> Any:
        """The options of the attempt that begins, with no more time than it has."""
        if self._at.asked is None and not self._capturing:
            # The loop has waited out a pause and begins again.
            self._at.resume()
            if not self._at.asks_primary:
                raise LeftLoop
            self._at.begin_attempt()
        scope = self._at.scope
        if scope is None:
            raise AssertionError("an attempt without a scope")
        self._at.arm()
        options.max_retries = self._sdk.options.max_retries  # what the caller asked for; pages inherit it
        if self._chain.timed:
            options.timeout = clamped(options.timeout, self._sdk.client, scope, stream=self._sdk.stream)
        return options

    def built(self, request: Any) -> None:
        """The request of the attempt, just before it is sent."""
        self._request = request
        scope = self._at.scope
        given = request.extensions.get("timeout")
        if self._at.driver.blocking and self._chain.timed and scope is not None and given is not None:
            request.extensions["timeout"] = RemainingTime(given, scope.until, scope.clock)

    def may_retry(self, response: Any) -> bool:
        """Whether the loop may ask again after `response`, which is an error."""
        if self._at.asked is None:
            return self._at.goes_on
        if not is_read(response):
            if not self._at.driver.blocking:
                return (
                    False  # it cannot be read here: the SDK reads and raises it, and the runtime asks again
                )
            try:
                self._read(response)
            except Exception as error:
                self._at.fail(error)
                raise LeftLoop from error
        self._at.fail(self._sdk.client._make_status_error_from_response(response))  # noqa: SLF001 - the SDK's own hook
        return self._at.goes_on

    def may_retry_after(self, error: BaseException) -> bool:
        """Whether the loop may ask again after `error`."""
        if self._at.over or not isinstance(error, Exception) or isinstance(error, LeftLoop):
            return False
        if self._at.asked is not None:
            self._told = error
            self._at.fail(error)
        return self._at.goes_on

    def pause(self) -> float:
        """Seconds the loop waits before it asks again.

        Raises:
            LeftLoop: It must not ask again; an SDK of the older kind did not ask before it came here.
        """
        if self._at.asked is not None:
            error = sys.exception()
            self._at.fail(error if isinstance(error, Exception) else AttemptTimeout())
        if not self._at.goes_on:
            raise LeftLoop
        step = self._at.step
        return max(0.0, step.until - self._at.driver.clock.now()) if isinstance(step, Pause) else 0.0

    async def received(self, arguments: dict[str, Any]) -> Any:
        """What the SDK makes of a response with a good status, or of the answer that takes its place.

        Args:
            arguments: Those of the SDK's `_process_response`.
        """
        if not arguments["response"].is_success:
            return await self._sdk.made(arguments)  # for middleware; the loop comes back to its status
        if self._capturing:
            self._captured = arguments
            if getattr(self._sdk.client, "_middleware", None):
                return await self._sdk.made(arguments)  # middleware wants the SDK's own object
            return arguments["response"]
        if self._at.asked is None:
            raise AssertionError("a response without an attempt")
        self._at.disarm()
        self._captured = arguments
        if self._codec is not None and arguments["stream"]:
            self._opened = True
            step, self._at.asked = self._at.asked, None
            return await self._streamed(step, arguments)
        try:
            reply = await self._reply_in(arguments["response"])
            if self._chain.check is not None:
                reply = self._chain.check(reply)
        except Exception as error:  # noqa: BLE001 - every failure becomes exactly one verdict
            self._at.fail(error)
            return await self._rescued(arguments)
        try:
            result = await self._sdk.made(
                {**arguments, "response": self._readable(arguments["response"], reply)}
            )
        except Exception as error:  # noqa: BLE001 - the SDK, or a parser it was given, refuses the answer
            self._told = error
            self._at.fail(error)
            return await self._rescued(arguments)
        remember(result, self._at.answered(reply))
        return result

    # --- attempts outside the SDK's loop ------------------------------------------------------------------------------

    async def whole(self, scope: Scope) -> Reply:
        """See `primary.Attempts`."""
        return await self._reply_in(await self._again(scope))

    async def streamed(self, scope: Scope) -> ChunkSource:
        """See `primary.Attempts`."""
        codec = self._codec
        if codec is None:
            raise AssertionError("a stream of no format")
        if self._opened and self._captured is not None:
            self._opened = False
            response = self._captured["response"]
        else:
            response = await self._again(scope)
        scope.notes["status"] = response.status_code
        self._note(response, scope)
        self._source = ProviderStream(
            response,
            codec.stream_decoder(),
            scope,
            lambda error: typed(error, self._primary, response.headers),
        )
        return self._source

    async def _again(self, scope: Scope) -> Any:
        """The response of one more attempt through the SDK."""
        self._at.scope = scope
        self._at.asks += 1
        self._capturing = True
        try:
            await self._sent(self._sdk.copied(retries=0, count=self._at.retries))
        except Exception as error:
            self._told = error
            raise
        finally:
            self._capturing = False
        if self._captured is None:
            raise AssertionError("the SDK returned without a response")
        return self._captured["response"]

    async def _reply_in(self, response: Any) -> Reply:
        """The answer in a whole response.

        Raises:
            ModelError: There is none in it.
        """
        scope = self._at.scope
        if scope is not None:
            self._note(response, scope)
        raw = response.request.headers.get(RAW_HEADER)
        if self._codec is None or raw == "stream":
            return Reply("")  # the caller reads it: its status was all there was to judge
        if not is_read(response):
            if self._at.driver.blocking:
                self._read(response)
            else:
                await response.aread()
        if raw and not response.content:
            return Reply("")  # asked for as it is, and taken for no answer by anybody
        try:
            reply = self._codec.decode_reply(response.content)
            if says_nothing(reply):
                raise Malformed("neither content nor a tool call")
        except WireError as error:
            raise typed(error, self._primary, response.headers) from None
        flags = flags_of(self._at.call.request, reply, model=self._primary.name)
        return replace(reply, provider=self._primary.provider, flags=flags)

    def _read(self, response: Any) -> None:
        scope = self._at.scope
        if scope is not None and self._chain.timed:
            bound(response, scope.until, scope.clock)
        response.read()

    def _note(self, response: Any, scope: Scope) -> None:
        scope.notes["status"] = response.status_code
        for name in ("x-request-id", "request-id"):
            if name in response.headers:
                scope.notes["request_id"] = response.headers[name][:128]

    # --- when the loop did not answer ---------------------------------------------------------------------------------

    async def _rescued(self, arguments: dict[str, Any] | None) -> Any:
        """The SDK's result from whoever answers now.

        Args:
            arguments: Those of the SDK's `_process_response` where it got that far.
        """
        step = self._at.step
        if step is None:
            raise AssertionError("nothing was decided")
        if self._sdk.stream and self._codec is not None:
            return await self._streamed(step, arguments)
        self._at.handed_over()
        try:
            reply = await go_on(
                self._at.call,
                step,
                self._at.driver,
                self._policy.places,
                self._policy.judge,
                self._chain.check,
            )
        except Exception as error:  # noqa: BLE001 - raised again in the SDK's own class
            self._at.over = True
            failure = await self._failure(error)
            raise failure from failure.__cause__
        except BaseException:
            self._at.over = True
            raise
        self._at.over = True
        arguments = await self._arguments(arguments)
        if self._at.on_primary and self._captured is not None:
            arguments["response"] = self._readable(self._captured["response"], reply)
        else:
            arguments["response"] = self._rendered(reply)
        result = await self._sdk.made(arguments)
        remember(result, reply.outcome)
        return result

    def _readable(self, response: Any, reply: Reply) -> Any:
        """`response`, unless it holds the answer as a stream nobody asked for: the SDK would take that for text."""
        if reply.raw is not None or self._codec is None or not is_read(response):
            return response
        return self._rendered(reply) if looks_like_events(response.content) else response

    def _rendered(self, reply: Reply) -> Any:
        """`reply` as a response of the SDK's own provider."""
        codec = self._codec
        if codec is None:
            raise AssertionError("an answer of no format")
        outcome = reply.outcome
        return response_of(
            self._request,
            headers=headers_of(reply, "application/json", self._at.number),
            content=codec.encode_reply(reply, model=reply.model or "unnamed"),
            seconds=0.0 if outcome is None else outcome.seconds,
        )

    async def _streamed(self, step: Step, arguments: dict[str, Any] | None) -> Any:
        """The SDK's stream over whoever begins to answer."""
        codec = self._codec
        if codec is None:
            raise AssertionError("a stream of no format")
        session = Session(
            self._at.call,
            self._at.driver,
            self._policy.places,
            self._policy.judge,
            self._chain.check,
            "raise",
        )
        self._at.handed_over()
        self._at.over = True
        try:
            await session.start(step)
        except Exception as error:  # noqa: BLE001 - raised again in the SDK's own class
            failure = await self._failure(error)
            raise failure from failure.__cause__
        try:
            arguments = await self._arguments(arguments)
            hop = self._at.call.hop
            headers: dict[str, str] = {}
            like = encoder = None
            if self._at.on_primary and self._source is not None and not self._source.whole:
                like = self._source.response
            elif hop is not None:
                encoder = codec.stream_encoder(model=hop.name, include_usage=wants_usage(self._body))
                seen = Reply("", model=hop.name, provider=hop.provider)
                headers = headers_of(seen, codec.stream_content_type, self._at.number)
                headers["x-resilient-attempts"] = str(self._at.call.attempts + 1)
            body = Delivery(session, self._source, encoder, self._final).body(
                self._request, blocking=self._at.driver.blocking
            )
            arguments["response"] = streamed_response(self._request, headers=headers, stream=body, like=like)
            result = await self._sdk.made(arguments)
        except BaseException:
            await session.close()
            raise
        remember(result, lambda: None if session.reply is None else session.reply.outcome)
        return result

    async def _arguments(self, arguments: dict[str, Any] | None) -> dict[str, Any]:
        """What the SDK's `_process_response` takes, but for the response."""
        if self._request is None:
            self._request = await self._sdk.unsent()
        return self._sdk.arguments(arguments or self._captured, retries=self._at.retries)

    def is_of(self, client: object) -> bool:
        """`client` makes this call."""
        return self._sdk.client is client

    @property
    def listens(self) -> bool:
        """The SDK's hooks concern this call; once it is over, what the SDK does is its own affair."""
        return self._capturing or not self._at.over

    # --- endings ------------------------------------------------------------------------------------------------------

    async def _failure(self, error: Exception) -> Exception:
        if self._request is None:
            try:
                self._request = await self._sdk.unsent()
            except Exception:  # noqa: BLE001 - the SDK cannot even build it: then our own error is all there is
                return error
        return self._final(error)

    def _final(self, error: Exception) -> Exception:
        """What the caller meets: the SDK's own exception where there is one, else `error` in the SDK's classes."""
        raised = self._told
        if raised is not None and raised is error:
            return error
        if raised is None or self._at.call.committed:
            # The first member is what became of the client's own provider.
            own = error.exceptions[0] if isinstance(error, AllModelsFailed) else error
            response = None if self._captured is None else self._captured["response"]
            raised = sdk_error(self._sdk.module, own, self._request, response)
        outcome = outcome_of(error)
        if outcome is not None:
            attach(raised, outcome, note=True)
        return raised
