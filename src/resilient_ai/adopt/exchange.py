"""What the SDK and its own provider say to each other in one call of a wrapped client, and what of it is an answer."""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any, Final, final

from resilient_ai.adopt.answers import decoded, is_read, put_back
from resilient_ai.adopt.keys import keep_sent
from resilient_ai.adopt.reading import answer_in
from resilient_ai.adopt.sdk import RAW_HEADER, READ_BY_CALLER
from resilient_ai.adopt.source import ProviderStream
from resilient_ai.adopt.timing import bound, flows
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.messages import Reply
from resilient_ai.privacy.known_values import PROCESS_VALUES

if TYPE_CHECKING:
    from resilient_ai.adopt.primary import Primary
    from resilient_ai.adopt.progress import Progress
    from resilient_ai.adopt.sdk import Sdk
    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.models.wire import Codec

_IDENTITY: Final = frozenset({b"x-request-id", b"request-id"})
_LENGTHS: Final = frozenset(map(len, _IDENTITY))


@final
class Exchange:
    """The requests of one call to the client's own provider. Its attempts in the SDK's loop are counted there, all others are made here.

    Args:
        sdk: The SDK's side.
        at: How far the call has come.
        primary: The model the call names.
        codec: The wire format, or None for a call that passes through.
        verified: A whole answer that is none of its format is a failure.

    Attributes:
        request: The last request as the SDK built it; None before there is one.
        received: The arguments the SDK's `_process_response` last got; None before it got any.
        told: What the SDK itself raised last: what a caller meets if nobody answers.
        alone: An attempt is made outside the SDK's loop; its response is taken before the SDK looks at it.
        source: The provider's stream, once it is read.
    """

    __slots__ = (
        "_let_go",
        "_opened",
        "_twin",
        "alone",
        "at",
        "codec",
        "primary",
        "received",
        "request",
        "sdk",
        "source",
        "told",
        "verified",
    )

    def __init__(
        self,
        sdk: Sdk,
        at: Progress,
        primary: Primary,
        codec: Codec | None,
        *,
        verified: bool,
    ) -> None:
        self.sdk = sdk
        self.at = at
        self.primary = primary
        self.codec = codec
        self.verified = verified
        self.request: Any = None
        self.received: dict[str, Any] | None = None
        self.told: Exception | None = None
        self.alone = False
        self.source: ProviderStream | None = None
        self._opened = False
        self._let_go = False
        self._twin: tuple[Any, Any] = (None, None)
        """A response whose body is the caller's to read, and what it would be had it been read here."""

    # --- sending ------------------------------------------------------------------------------------------------------

    async def sent(self, options: Any) -> Any:
        """One run of the SDK's request, in the colour of the call; the timer is set anew for each attempt in it.

        Raises:
            AttemptTimeout: The time of an attempt was up.
            Stopped: A blocking SDK raised `StopIteration`.
            Exception: What else the SDK raises.
        """
        sdk = self.sdk
        if sdk.blocking:
            return sdk.send(options)
        if not self.at.timed:
            return await sdk.send(options)
        timer = asyncio.timeout(None)
        try:
            async with timer:
                self.at.use(timer)
                return await sdk.send(options)
        except TimeoutError as error:
            if timer.expired():
                raise AttemptTimeout from error
            raise
        finally:
            self.at.use(None)
            del timer  # it holds the task, which may end with the error, which holds this frame

    async def _again(self, scope: Scope) -> Any:
        """The response of one more attempt through the SDK, outside its loop."""
        self.at.scope = scope
        self.at.asks += 1
        self.alone = True
        try:
            await self.sent(self.sdk.copied(retries=0, count=self.at.retries))
        except Exception as error:
            self.tell(error)
            raise
        finally:
            self.alone = False
        return self.response

    # --- the attempts the engine makes by itself (see `primary.Attempts`) ---------------------------------------------

    async def whole(self, scope: Scope) -> Reply:
        """The answer to one more request."""
        response = await self._again(scope)
        self.note(response)
        await self.load(response)
        return self.reply_in(response)

    async def streamed(self, scope: Scope) -> ChunkSource:
        """The stream the SDK's loop has opened, once; after that the one that answers one more request."""
        codec = self.codec
        if codec is None:
            raise AssertionError("a stream of no format")
        if self._opened:
            self._opened = False
            response = self.response
        else:
            response = await self._again(scope)
        self.at.scope = (
            scope  # of the attempt the stream is now, though the SDK's loop had opened it in one of its own
        )
        self.note(response)
        flows(response)
        if self.source is not None:
            await self.source.release()
        self.source = ProviderStream(response, codec, self.primary, scope)
        return self.source

    # --- what may be repeated -----------------------------------------------------------------------------------------

    def tell(self, error: Exception) -> None:
        """The SDK has raised `error`."""
        self.told = error
        self.know_key()

    def know_key(self) -> None:
        """A key that was fetched for the last request is looked for, before anything that came of that is shown."""
        if self.primary.fetched and self.request is not None:
            keep_sent(self.request.headers)

    # --- reading ------------------------------------------------------------------------------------------------------

    @property
    def response(self) -> Any:
        """The last response with a good status."""
        if self.received is None:
            raise AssertionError("the SDK returned without a response")
        response: Any = self.received["response"]
        return response() if self._let_go else response

    def let_go(self) -> None:
        """The last response is the caller's. Its body keeps all this alive: were it held, only a collection of the garbage would end both."""
        if self.received is not None:
            self._let_go = True
            self.received["response"] = weakref.ref(self.received["response"])

    def read_from(self, response: Any) -> Any:
        """What the body of `response` is read from here: itself, or its twin where the caller is to read it."""
        own, twin = self._twin
        return twin if own is response and twin is not None else response

    def opened(self) -> None:
        """The response is a stream nothing has been read of."""
        self._opened = True

    async def load(self, response: Any) -> None:
        """Reads the body of a response with a good status, if somebody is to judge it.

        Raises:
            Exception: What the SDK's HTTP library raises while it is read.
        """
        if self.codec is None:
            return
        if self.sdk.mark == READ_BY_CALLER:
            if is_read(response):
                return
            raw = await self._taken(response)
            self._twin = (response, decoded(response, raw))
            put_back(response, raw, blocking=self.at.driver.blocking)
        elif self.sdk.blocking:
            self.read(response)
        else:
            await response.aread()

    async def _taken(self, response: Any) -> bytes:
        """The whole body of `response` as it was sent; the response stays as if nobody had read it."""
        if self.at.driver.blocking:
            if self.at.timed and self.at.scope is not None:
                bound(response, self.at.scope)
            below = response.stream
            try:
                return b"".join(below)
            finally:
                below.close()
        below = response.stream
        try:
            return b"".join([piece async for piece in below])
        finally:
            await below.aclose()

    def reply_in(self, response: Any) -> Reply:
        """The answer in a whole response, which has been read.

        Raises:
            ModelError: There is none in it.
        """
        if self.codec is None:
            return Reply("")  # its status was all there was to judge
        response = self.read_from(response)
        if not response.content and RAW_HEADER in response.request.headers:
            return Reply("")  # asked for as it is, and taken for no answer by anybody
        return answer_in(
            response, self.codec, self.primary, lambda: self.at.request, self.at.scope, verified=self.verified
        )

    def read(self, response: Any) -> None:
        """Reads the body of a blocking response in the time the attempt has, unless it is in memory."""
        if self.at.timed and self.at.scope is not None and not response.is_closed:
            bound(response, self.at.scope)
        response.read()

    def note(self, response: Any) -> None:
        """Writes down what the head of `response` says of the attempt."""
        scope = self.at.scope
        if scope is None:
            return
        scope.notes["status"] = response.status_code
        for name, value in response.headers.raw:  # each look-up by name would go through all of them
            if len(name) in _LENGTHS and name.lower() in _IDENTITY:
                told = value[:128].decode("latin-1")
                scope.notes["request_id"] = None if PROCESS_VALUES.stand_in(told) else told
