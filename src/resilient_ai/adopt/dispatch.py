"""One request below an SDK that has no hooks, and the response it gets, whoever gives it.

The SDK has built its request and waits for a response; here the whole chain is run in between. What the SDK gets is what its provider could
have sent: the provider's own response, another model's answer in the provider's format, or the provider's refusal. So the SDK parses, and
raises, by itself.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, final

from resilient_ai.adopt.answers import headers_of
from resilient_ai.adopt.delivery import Delivery, handed_over, judged
from resilient_ai.adopt.primary import CURRENT
from resilient_ai.adopt.progress import Progress
from resilient_ai.adopt.reading import answer_in
from resilient_ai.adopt.source import ProviderStream
from resilient_ai.adopt.visits import note
from resilient_ai.core.failure import FailureKind
from resilient_ai.engine.endings import attach
from resilient_ai.errors import AllModelsFailed, CallError, ModelError
from resilient_ai.history import outcome_of
from resilient_ai.messages import Reply
from resilient_ai.privacy.known_values import repeatable
from resilient_ai.runtime.orchestrate import run
from resilient_ai.runtime.session import Session

if TYPE_CHECKING:
    from resilient_ai.adopt.policy import Policy
    from resilient_ai.adopt.primary import Primary
    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.messages import JSON
    from resilient_ai.models.wire import Codec


class Transport(Protocol):
    """How one request is sent, and what of its library's the SDK is given. One object a request.

    Responses have `status_code`, `headers`, `is_success`, `iter_bytes` (or `aiter_bytes`) and, once they are read, `content`.
    """

    blocking: bool
    """The colour."""
    request: Any
    """What the SDK sends."""

    async def send(self, scope: Scope, *, timed: bool, whole: bool) -> Any:
        """The response to one attempt. Read if it is an error, or if `whole`.

        Raises:
            Exception: What the library raises.
        """
        ...

    def given(self, response: Any) -> Any:
        """The provider's own response, as the SDK gets it."""
        ...

    def rendered(self, content: bytes, headers: Mapping[str, str], seconds: float) -> Any:
        """A whole response somebody else gave."""
        ...

    def streamed(self, delivery: Delivery, headers: Mapping[str, str], own: Any) -> Any:
        """A response whose body is delivered; `own` is the provider's where it is the one that answers."""
        ...

    def refused(self, what: str) -> Any:
        """A response that says the provider's answer was none: the SDK raises its own class on it."""
        ...

    def broken(self, error: Exception, what: str, *, late: bool) -> Exception:
        """`error` as the library would have raised it."""
        ...


@final
class BadStatus(Exception):
    """A response of the provider that is an error. Read by the classifier; never reaches a caller."""

    def __init__(self, response: Any) -> None:
        super().__init__(f"status {response.status_code}")
        self.response = response
        self.status_code: int = response.status_code


@final
class Dispatch:
    """One request on its way.

    Args:
        policy: The client's.
        transport: How it is sent.
        primary: The model it asks.
        codec: The wire format, or None for a request that passes through.
        body: What it holds.
        attempts: Attempts the client itself is set to.
        stream: The SDK reads the answer as it comes.
    """

    __slots__ = (
        "__weakref__", "_at", "_body", "_chain", "_codec", "_policy", "_primary", "_response", "_source", "_stream", "_told", "_transport",
    )  # fmt: skip

    def __init__(
        self,
        policy: Policy,
        transport: Transport,
        primary: Primary,
        codec: Codec | None,
        body: Mapping[str, JSON],
        *,
        attempts: int,
        stream: bool,
    ) -> None:
        self._policy = policy
        self._transport = transport
        self._primary = primary
        self._codec = codec
        self._body = body
        self._stream = stream
        self._chain = policy.chain(primary, attempts=attempts, alone=codec is None)
        watching = policy.watching()
        self._at = Progress(
            policy,
            self._chain,
            codec,
            lambda: body,
            watching,
            read=codec is not None and (bool(watching) or self._chain.must_read(body)),
            stream=stream and codec is not None,
            blocking=transport.blocking,
        )
        self._response: Any = None
        self._told: Exception | None = None
        """What the last attempt at the provider failed with."""
        self._source: ProviderStream | None = None

    async def carry(self) -> Any:
        """The response the SDK gets.

        Raises:
            Exception: What the library raised last, with the call's history attached.
        """
        token = CURRENT.set(weakref.ref(self))
        try:
            if self._stream and self._codec is not None:
                return await self._streamed(self._codec)
            at = self._at
            reply = await run(at.call, at.driver, self._policy.places, self._policy.judge, self._chain.check)
        except Exception as error:  # noqa: BLE001 - raised again as the library would, or given to the SDK to raise
            return self._ending(error)
        finally:
            CURRENT.reset(token)
            self._told = None  # its traceback holds this call
        note(reply.outcome)
        if self._at.on_primary or self._codec is None:
            return self._transport.given(self._response)
        call = self._at.call
        return self._transport.rendered(
            self._codec.encode_reply(reply, model=reply.model or "unnamed"),
            headers_of(reply, "application/json", self._at.number, attempts=call.attempts),
            self._at.driver.clock.now() - call.started,
        )

    async def _streamed(self, codec: Codec) -> Any:
        at, policy = self._at, self._policy
        session = Session(at.call, at.driver, policy.places, policy.judge, self._chain.check, "raise")
        try:
            await session.start()
            source = await judged(session, at, self._source)
        except Exception:
            if self._source is not None:
                await self._source.release()
            raise
        note(lambda: None if session.reply is None else session.reply.outcome, session.close)
        try:
            delivery, headers, own = handed_over(session, at, codec, source, self._body, self._cut)
            return self._transport.streamed(delivery, headers, own)
        except BaseException:
            await session.close()
            raise

    # --- attempts at the provider (see `primary.Attempts`) ------------------------------------------------------------

    async def whole(self, scope: Scope) -> Reply:
        """One attempt at a whole answer."""
        try:
            response = await self._sent(scope)
            if self._codec is None or self._stream:
                return Reply("")  # the caller reads it: its status was all there was to judge
            verified = self._policy.settings.verify_answers
            return answer_in(
                response, self._codec, self._primary, lambda: self._at.request, scope, verified=verified
            )
        except Exception as error:
            self._told = error
            raise

    async def streamed(self, scope: Scope) -> ChunkSource:
        """One attempt at a streamed answer."""
        codec = self._codec
        if codec is None:
            raise AssertionError("a stream of no format")
        try:
            response = await self._sent(scope)
        except Exception as error:
            self._told = error
            raise
        if self._source is not None:
            await self._source.release()
        self._source = ProviderStream(response, codec, self._primary, scope)
        return self._source

    def sends(self, request: object) -> bool:
        """See `Attempts`."""
        return self._transport.request is request

    async def _sent(self, scope: Scope) -> Any:
        """The provider's response, if its status is good.

        Raises:
            BadStatus: It is not.
            Exception: What the library raises.
        """
        self._told = None
        response = await self._transport.send(scope, timed=self._at.timed, whole=not self._stream)
        self._response = response
        scope.notes["status"] = response.status_code
        for name in ("x-request-id", "request-id", "x-amzn-requestid"):
            if name in response.headers:
                scope.notes["request_id"] = repeatable(response.headers[name][:128])
        if not response.is_success:
            raise BadStatus(response)
        return response

    # --- endings ------------------------------------------------------------------------------------------------------

    def _ending(self, error: Exception) -> Any:
        """What the SDK gets of a call nobody answered: the provider's refusal, for the SDK to raise in its own class.

        Raises:
            Exception: There is none.
        """
        outcome = outcome_of(error)
        note(outcome)
        told = self._told
        if told is None:
            # The first member is what became of the client's own provider.
            told = error.exceptions[0] if isinstance(error, AllModelsFailed) else error
        if isinstance(told, BadStatus):
            return self._transport.given(told.response)
        if isinstance(told, ModelError) and not _unheard(told):
            return self._transport.refused(told.args[0])
        raised: Exception = told
        if isinstance(told, CallError):
            raised = self._transport.broken(error, str(error), late=told.kind is FailureKind.TIMEOUT)
        if outcome is not None and outcome_of(raised) is not outcome:
            attach(raised, outcome, note=True)
        around = raised.__context__
        try:
            raise raised from raised.__cause__
        finally:
            # It holds this frame, and `error` may be a group of which it is one: rings would live, and the prompt with them, until a collection.
            raised.__context__ = around
            del raised, told, error

    def _cut(self, error: Exception) -> Exception:
        """What the SDK meets where its stream breaks after content was delivered."""
        told = error.__cause__ if isinstance(error.__cause__, Exception) else error
        late = self._policy.judge(told).kind is FailureKind.TIMEOUT
        what = "the stream broke after content was delivered; `.__cause__.partial` holds what came"
        raised = self._transport.broken(error, what, late=late)
        outcome = outcome_of(error)
        if outcome is not None and outcome_of(raised) is None:
            attach(raised, outcome, note=True)
        return raised


def _unheard(error: ModelError) -> bool:
    """The provider said nothing that could stand in a response: the connection broke, or the time of the attempt was up."""
    return error.kind is FailureKind.CONNECTION or (
        error.kind is FailureKind.TIMEOUT and error.status_code is None
    )
