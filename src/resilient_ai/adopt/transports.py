"""Every other SDK (mistralai, google-genai, cohere, ollama): at the HTTP client it sends with.

These SDKs have no hooks, and most of them no retries. Their HTTP client does: whatever the SDK does ends in its `send`. So that client's class
is replaced by a subclass made for it, and a fallback's answer is a response of the provider as the SDK expects it.

An HTTP client that the application shares with others is followed by the policy wherever it is used.
"""

from __future__ import annotations

import hashlib
import inspect
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast, final

from resilient_ai.adopt.answers import (
    RemainingTime,
    bound,
    family_of,
    headers_of,
    is_read,
    response_of,
    streamed_response,
)
from resilient_ai.adopt.delivery import Delivery
from resilient_ai.adopt.dialects import codec_of, model_in, resource_of, wants_usage
from resilient_ai.adopt.primary import CURRENT, Primary
from resilient_ai.adopt.progress import Progress
from resilient_ai.adopt.source import ProviderStream
from resilient_ai.adopt.wire_faults import says_nothing, typed
from resilient_ai.core.failure import FailureKind
from resilient_ai.errors import AllModelsFailed, CallError
from resilient_ai.messages import Reply
from resilient_ai.models.wire import Malformed, WireError
from resilient_ai.models.wire.jsonbody import decode_object
from resilient_ai.policies.retry import ATTEMPTS
from resilient_ai.runtime.blocking import drive
from resilient_ai.runtime.orchestrate import run
from resilient_ai.runtime.session import Session

if TYPE_CHECKING:
    from resilient_ai.adopt.policy import Chain, Policy
    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.messages import JSON
    from resilient_ai.models.wire import Codec

POLICY: Final = "_resilient_policy"
BASE: Final = "_resilient_base"

_FAMILIES: Final = ("httpx", "httpx2")
_DEEPEST: Final = 5
"""How many attributes of attributes are looked into for an HTTP client."""
_MOST_OBJECTS: Final = 2000

_RETRIES_BY_ITSELF: Final = frozenset({"cohere"})
"""SDKs whose own retries cannot be told apart from new calls here: ours would multiply with them."""
_KEY_HEADERS: Final = ("authorization", "x-goog-api-key", "x-api-key", "api-key")


@final
class BadStatus(Exception):
    """A response of the provider that is an error. Read by the classifier; never reaches a caller."""

    def __init__(self, response: Any) -> None:
        super().__init__(f"status {response.status_code}")
        self.response = response
        self.status_code: int = response.status_code


def http_clients(sdk: object) -> Iterator[Any]:
    """The HTTP clients `sdk` holds, however deep."""
    seen: set[int] = set()
    todo: deque[tuple[object, int]] = deque([(sdk, 0)])
    while todo and len(seen) < _MOST_OBJECTS:
        one, depth = todo.popleft()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if _is_http_client(one):
            yield one
        elif depth < _DEEPEST:
            todo.extend((value, depth + 1) for value in _parts(one))


def adopt(sdk: Any, policy: Policy) -> None:
    """Makes the HTTP clients of `sdk` follow `policy`."""
    provider = type(sdk).__module__.partition(".")[0]
    for client in list(http_clients(sdk)):
        base: Any = client.__class__
        blocking = not inspect.iscoroutinefunction(base.send)
        client.__class__ = type(
            base.__name__,
            (base,),
            {
                "__module__": base.__module__,
                "__qualname__": base.__qualname__,
                POLICY: policy,
                BASE: base,
                "send": _send(base, policy, provider, blocking=blocking),
            },
        )


def release(sdk: Any) -> None:
    """Undoes `adopt`."""
    for client in http_clients(sdk):
        if POLICY in vars(client.__class__):
            client.__class__ = getattr(client, BASE)


def policy_in(sdk: object) -> Policy | None:
    """The policy the HTTP clients of `sdk` follow, or None."""
    for client in http_clients(sdk):
        policy: Any = getattr(client, POLICY, None)
        if policy is not None:
            return cast("Policy", policy)
    return None


def primary_of(sdk: Any, client: Any) -> Primary:
    """A stand-in for whatever model `sdk` is used for."""
    provider = type(sdk).__module__.partition(".")[0]
    return Primary("any", provider, str(getattr(client, "base_url", "")), "none", "any")


def _is_http_client(one: object) -> bool:
    return any(
        base.__module__.partition(".")[0] in _FAMILIES and base.__name__ in ("Client", "AsyncClient")
        for base in type(one).__mro__
    )


def _parts(one: object) -> list[object]:
    if isinstance(one, str | bytes | int | float | type) or inspect.ismodule(one) or inspect.isroutine(one):
        return []
    if isinstance(one, Mapping):
        return list(cast("Mapping[object, object]", one).values())
    if isinstance(one, list | tuple):
        return list(cast("list[object]", one))
    held = list(getattr(one, "__dict__", {}).values())
    slots = (name for base in type(one).__mro__ for name in _slots(base))
    return held + [getattr(one, name) for name in slots if hasattr(one, name)]


def _slots(base: type) -> tuple[str, ...]:
    given = vars(base).get("__slots__", ())
    return (given,) if isinstance(given, str) else tuple(given)


def _send(base: Any, policy: Policy, provider: str, *, blocking: bool) -> Any:
    def send(self: Any, request: Any, **options: Any) -> Any:
        return drive(Exchange(policy, provider, self, base, request, options, blocking=True).carry())

    async def asend(self: Any, request: Any, **options: Any) -> Any:
        return await Exchange(policy, provider, self, base, request, options, blocking=False).carry()

    chosen = send if blocking else asend
    chosen.__name__ = "send"
    return chosen


@final
class Exchange:
    """One request of an SDK, and the response it gets, whoever gives it."""

    __slots__ = (
        "_at", "_base", "_body", "_chain", "_client", "_codec", "_error", "_options", "_policy", "_primary", "_request",
        "_response", "_source", "_stream",
    )  # fmt: skip

    def __init__(
        self,
        policy: Policy,
        provider: str,
        client: Any,
        base: Any,
        request: Any,
        options: dict[str, Any],
        *,
        blocking: bool,
    ) -> None:
        self._policy = policy
        self._client = client
        self._base = base
        self._request = request
        self._options = options
        self._stream = bool(options.get("stream"))
        codec = codec_of(request.method, request.url.path)
        body: Mapping[str, JSON] = {}
        if codec is not None:
            try:
                body = decode_object(request.content)
            except Exception:  # noqa: BLE001 - a body that is streamed or no JSON: it passes through as it is
                codec = None
        self._codec: Codec | None = codec
        self._body = body
        name = resource_of(request.url.path) if codec is None else model_in(codec, request.url.path, body)
        key = next((request.headers[one] for one in _KEY_HEADERS if one in request.headers), "")
        credential = hashlib.sha256(key.encode()).hexdigest()[:8] if key else "none"
        where = str(client.base_url) or f"{request.url.scheme}://{request.url.netloc.decode()}"
        self._primary = Primary(name, provider, where, credential, None if codec is None else codec.format)
        attempts = 1 if provider in _RETRIES_BY_ITSELF else ATTEMPTS
        self._chain: Chain = policy.chain(self._primary, attempts=attempts, alone=codec is None)
        self._at = Progress(
            policy, self._chain, codec, body, stream=self._stream and codec is not None, blocking=blocking
        )
        self._response: Any = None
        self._error: Exception | None = None
        self._source: ProviderStream | None = None

    async def carry(self) -> Any:
        """The response the SDK gets.

        Raises:
            Exception: What the HTTP library raised last, with the call's history attached.
        """
        token = CURRENT.set(self)
        try:
            if self._stream and self._codec is not None:
                return await self._streamed(self._codec)
            reply = await run(
                self._at.call, self._at.driver, self._policy.places, self._policy.judge, self._chain.check
            )
        except CallError as error:
            return self._ending(error)
        except BadStatus as error:
            return error.response
        finally:
            CURRENT.reset(token)
        if self._at.on_primary or self._codec is None:
            return self._response
        outcome = reply.outcome
        return response_of(
            self._request,
            headers=headers_of(reply, "application/json", self._at.number),
            content=self._codec.encode_reply(reply, model=reply.model or "unnamed"),
            seconds=0.0 if outcome is None else outcome.seconds,
        )

    async def _streamed(self, codec: Codec) -> Any:
        at = self._at
        session = Session(
            at.call, at.driver, self._policy.places, self._policy.judge, self._chain.check, "raise"
        )
        await session.start()
        headers: dict[str, str] = {}
        like = encoder = None
        hop = at.call.hop
        if at.on_primary and self._source is not None and not self._source.whole:
            like = self._source.response
        elif hop is not None:
            encoder = codec.stream_encoder(model=hop.name, include_usage=wants_usage(codec, self._body))
            headers = headers_of(
                Reply("", model=hop.name, provider=hop.provider), codec.stream_content_type, at.number
            )
        body = Delivery(session, self._source, encoder, self._raised).body(
            self._request, blocking=at.driver.blocking
        )
        return streamed_response(self._request, headers=headers, stream=body, like=like)

    # --- attempts at the provider -------------------------------------------------------------------------------------

    async def whole(self, scope: Scope) -> Reply:
        """See `primary.Attempts`."""
        response = await self._sent(scope)
        if self._codec is None or self._stream:
            return Reply("")
        if not is_read(response):
            await self._read(response, scope)
        try:
            reply = self._codec.decode_reply(response.content)
            scope.notes["usage"] = reply.usage  # billed, whatever is found wrong with the answer
            if says_nothing(reply):
                raise Malformed("neither content nor a tool call")
        except WireError as error:
            raise typed(error, self._primary, response.headers) from None
        return reply

    async def streamed(self, scope: Scope) -> ChunkSource:
        """See `primary.Attempts`."""
        codec = self._codec
        if codec is None:
            raise AssertionError("a stream of no format")
        response = await self._sent(scope)
        self._source = ProviderStream(
            response,
            codec.stream_decoder(),
            scope,
            lambda error: typed(error, self._primary, response.headers),
        )
        return self._source

    async def _sent(self, scope: Scope) -> Any:
        """The provider's response, if its status is good.

        Raises:
            BadStatus: It is not.
            Exception: What the HTTP library raises.
        """
        request = self._request
        given = request.extensions.get("timeout")
        blocking = self._at.driver.blocking
        options = self._options
        if blocking and self._chain.timed:
            request.extensions["timeout"] = RemainingTime(given or {}, scope.until, scope.clock)
            options = {**options, "stream": True}
        try:
            sent = self._base.send(self._client, request, **options)
            response = await sent if inspect.isawaitable(sent) else sent
            self._response = response
            scope.notes["status"] = response.status_code
            if not self._stream or not response.is_success:
                await self._read(response, scope)
        except Exception as error:
            self._error = error
            raise
        if not response.is_success:
            raise BadStatus(response)
        return response

    async def _read(self, response: Any, scope: Scope) -> None:
        if is_read(response):
            return
        if not self._at.driver.blocking:
            await response.aread()
            return
        if self._chain.timed:
            bound(response, scope.until, scope.clock)
        response.read()

    # --- endings ------------------------------------------------------------------------------------------------------

    def _ending(self, error: CallError) -> Any:
        """What the SDK gets of a call nobody answered: the provider's own refusal, for the SDK to raise in its own class.

        Raises:
            Exception: There is none.
        """
        response = self._response
        if self._error is None and response is not None and not response.is_success:
            return response
        failure = self._raised(error)
        raise failure from failure.__cause__

    def _raised(self, error: Exception) -> Exception:
        """`error` as the HTTP library would have raised it: these SDKs hand that on."""
        if self._error is not None:
            return self._error
        told = error.exceptions[0] if isinstance(error, AllModelsFailed) else error
        if not isinstance(told, CallError):
            return told
        family = family_of(self._request)
        late = told.kind is FailureKind.TIMEOUT
        kind = family.ReadTimeout if late else family.RemoteProtocolError
        raised: Exception = kind(str(error), request=self._request)
        raised.__cause__ = error
        return raised
