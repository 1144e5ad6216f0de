"""The end of a call that the SDK's loop did not bring about: whoever answers then, in the SDK's own objects, or its own exception.

Here the runtime drives: other models, more attempts at the same one, and every stream from its first byte on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, final

from resilient_ai.adopt.answers import guarded, headers_of, response_of, streamed_response
from resilient_ai.adopt.delivery import handed_over, judged
from resilient_ai.adopt.wire_faults import error_event, sdk_error
from resilient_ai.core.model import Refused
from resilient_ai.engine.endings import attach
from resilient_ai.errors import AllModelsFailed
from resilient_ai.history import outcome_of, remember
from resilient_ai.models.wire.sse import looks_like_events
from resilient_ai.runtime.orchestrate import go_on
from resilient_ai.runtime.session import Session

if TYPE_CHECKING:
    from resilient_ai.adopt.exchange import Exchange
    from resilient_ai.adopt.policy import Chain, Policy
    from resilient_ai.adopt.source import ProviderStream
    from resilient_ai.messages import Reply


@final
class Rescue:
    """Brings one call to its end.

    Args:
        exchange: What has been said to the client's own provider.
        policy: The client's.
        chain: The chain that begins with the model the call names.
    """

    __slots__ = ("_at", "_chain", "_exchange", "_policy", "_result")

    def __init__(self, exchange: Exchange, policy: Policy, chain: Chain) -> None:
        self._exchange = exchange
        self._at = exchange.at
        self._policy = policy
        self._chain = chain
        self._result: Any = None
        """What the SDK made of the answer."""

    async def result(self) -> Any:
        """The SDK's result from whoever answers, beginning with what the state machine said last.

        Raises:
            Exception: The SDK's own, with the call's history attached.
        """
        if self._exchange.sdk.stream and self._exchange.codec is not None:
            return await self.stream()
        return await self._whole()

    async def _whole(self) -> Any:
        at, policy = self._at, self._policy
        at.handed_over()
        at.over = (
            True  # what the SDK does from here on, but for attempts that are asked of it, is its own affair
        )
        try:
            reply = await go_on(
                at.call, at.taken(), at.driver, policy.places, policy.judge, self._chain.check, self._made
            )
        except Exception as error:  # noqa: BLE001 - raised again in the SDK's own class
            await self.fail(error)
        result, self._result = self._result, None
        remember(result, reply.outcome)
        return result

    async def _made(self, reply: Reply) -> None:
        """Has the SDK make its own object of `reply`.

        Raises:
            Refused: It cannot, or a parser it was given cannot: then this was no answer, and the next in line is asked.
        """
        exchange = self._exchange
        arguments = await self._arguments()
        if self._at.on_primary and exchange.received is not None:
            arguments["response"] = self.readable(exchange.response, reply)
        else:
            arguments["response"] = self._rendered(reply)
        try:
            self._result = await exchange.sdk.made(arguments)
        except Exception as error:  # noqa: BLE001 - a parser may be the application's, and raise anything
            if exchange.told is None:
                exchange.told = error  # the provider said nothing that would go before it
            raise Refused(error, reply) from None

    async def stream(self) -> Any:
        """The SDK's stream over whoever begins to answer.

        Raises:
            Exception: The SDK's own, with the call's history attached: nobody came to a first content.
        """
        at, policy = self._at, self._policy
        session = Session(at.call, at.driver, policy.places, policy.judge, self._chain.check, "raise")
        at.handed_over()
        at.over = True
        try:
            await session.start(at.taken())
            own = await judged(session, at, self._exchange.source)
        except Exception as error:  # noqa: BLE001 - raised again in the SDK's own class
            await self._release()
            await self.fail(error)
        try:
            arguments = await self._arguments()
            arguments["response"] = self._delivered(session, own)
            result = await self._exchange.sdk.made(arguments)
        except BaseException:
            await session.close()
            await self._release()
            raise
        remember(result, lambda _: None if session.reply is None else session.reply.outcome)
        return result

    async def _release(self) -> None:
        """Closes the provider's stream, which nobody will read on."""
        if self._exchange.source is not None:
            await self._exchange.source.release()

    # --- responses ----------------------------------------------------------------------------------------------------

    def readable(self, response: Any, reply: Reply) -> Any:
        """`response` as the caller wants it, although its body has been read.

        An answer in a stream nobody asked for is written anew: the SDK would take that for text.
        """
        exchange = self._exchange
        if exchange.codec is None or reply.raw is not None:
            return response
        return self._rendered(reply) if looks_like_events(exchange.read_from(response).content) else response

    def _rendered(self, reply: Reply) -> Any:
        """`reply` as a response of the SDK's own provider."""
        codec = self._exchange.codec
        if codec is None:
            raise AssertionError("an answer of no format")
        at = self._at
        return response_of(
            self._exchange.request,
            headers=headers_of(reply, "application/json", at.number, attempts=at.call.attempts + 1),
            content=codec.encode_reply(reply, model=reply.model or "unnamed"),
            seconds=at.driver.clock.now() - at.call.started,
        )

    def _delivered(self, session: Session, source: ProviderStream | None) -> Any:
        """The response whose body is what `session` brings, the bytes of `source` where that is the provider's stream."""
        exchange = self._exchange
        if exchange.codec is None:
            raise AssertionError("a stream of no format")
        delivery, headers, own = handed_over(
            session, self._at, exchange.codec, source, exchange.sdk.body(), self._final
        )
        body = delivery.body(exchange.request, blocking=self._at.driver.blocking)
        if own is None:
            return streamed_response(exchange.request, headers=headers, stream=body)
        exchange.let_go()
        return guarded(own, body)

    async def _arguments(self) -> dict[str, Any]:
        """What the SDK's `_process_response` takes, but for the response."""
        exchange = self._exchange
        if exchange.request is None:
            exchange.request = await exchange.sdk.unsent()
        return exchange.sdk.arguments(exchange.received, retries=self._at.retries)

    # --- exceptions ---------------------------------------------------------------------------------------------------

    async def fail(self, error: Exception) -> NoReturn:
        """Raises what the caller meets when the call ended with `error`."""
        failure = await self._failure(error)
        around = failure.__context__
        try:
            raise failure from failure.__cause__
        finally:
            # It holds this frame, and `error` may be a group of which it is one: rings would live, and the prompt with them, until a collection.
            failure.__context__ = around
            del failure, error

    async def _failure(self, error: Exception) -> Exception:
        """What the caller meets when the call ended with `error`."""
        exchange = self._exchange
        if exchange.request is None and self._told is None:
            try:
                exchange.request = await exchange.sdk.unsent()
            except Exception:  # noqa: BLE001 - the SDK cannot even build it: then our own error is all there is
                return error
        return self._final(error)

    @property
    def _told(self) -> Exception | None:
        """The SDK's own exception, where that is what the caller is to meet."""
        return None if self._at.call.committed else self._exchange.told

    def _final(self, error: Exception) -> Exception:
        """The SDK's own exception where there is one, else `error` in the SDK's classes."""
        exchange = self._exchange
        if error is exchange.told:
            return error
        raised = self._told
        if raised is None:
            # The first member is what became of the client's own provider.
            own = error.exceptions[0] if isinstance(error, AllModelsFailed) else error
            response = None if exchange.received is None else exchange.read_from(exchange.response)
            sdk, codec = exchange.sdk, exchange.codec
            if sdk.stream and codec is not None and codec.format == "anthropic":
                raised = error_event(sdk.client, own, response)
            if raised is None:
                raised = sdk_error(sdk.kind.module, own, exchange.request, response)
        outcome = outcome_of(error)
        if outcome is not None:
            attach(raised, outcome, note=True)
        return raised
