"""Every other SDK (mistralai, google-genai, cohere, ollama): at the HTTP client it sends with.

These SDKs have no hooks, and most of them no retries. Their HTTP client does: whatever the SDK does ends in its `send`. So that client gets a
class of its own (`layers`), and a fallback's answer is a response of the provider as the SDK expects it.

An HTTP client that the application shares with others follows the policy wherever it is used, but for calls that have one of their own.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, cast, final

from resilient_ai.adopt import inner_retries
from resilient_ai.adopt.answers import (
    family_of,
    guarded,
    is_read,
    response_of,
    streamed_response,
)
from resilient_ai.adopt.dialects import codec_of, model_in, resource_of
from resilient_ai.adopt.dispatch import Dispatch
from resilient_ai.adopt.googles import keep_to_httpx
from resilient_ai.adopt.held import http_clients, package_of
from resilient_ai.adopt.keys import keep
from resilient_ai.adopt.layers import base_of, layer_of, put_over, take_away
from resilient_ai.adopt.primary import Primary, current
from resilient_ai.adopt.timing import RemainingTime, bound, flows
from resilient_ai.adopt.visits import open_doors
from resilient_ai.models.wire.jsonbody import decode_object, encode
from resilient_ai.runtime.blocking import drive

if TYPE_CHECKING:
    from resilient_ai.adopt.delivery import Delivery
    from resilient_ai.adopt.policy import Policy
    from resilient_ai.core.model import Scope
    from resilient_ai.messages import JSON
    from resilient_ai.models.wire import Codec

__all__ = ["adopt", "attempts_of", "http_clients", "policy_in", "primary_of", "release"]

POLICY: Final = "_resilient_policy"
UNDO: Final = "_resilient_undo"
ATTEMPTS: Final = "_resilient_attempts"

_KEY_HEADERS: Final = ("authorization", "x-goog-api-key", "x-api-key", "api-key")


def adopt(sdk: Any, policy: Policy, attempts: int) -> None:
    """Makes the HTTP clients of `sdk` follow `policy`.

    Args:
        sdk: The client.
        policy: What they follow.
        attempts: Attempts the client itself is set to.

    Raises:
        ConfigError: A half of it sends by something that cannot follow.
    """
    undo: list[Callable[[], None]] = [*keep_to_httpx(sdk), *inner_retries.silence(sdk), open_doors(sdk)]
    for client in list(http_clients(sdk)):
        base, hidden = base_of(client), client.__dict__.get("send")
        send = _send(base, policy, package_of(sdk), attempts, hidden)
        put_over(client, {POLICY: policy, UNDO: undo, ATTEMPTS: attempts, "send": send})
        if hidden is not None:
            # An instrumentation put itself in front of the class, where it would hide the layer. It sees each attempt.
            undo.append(_put_in_front(client, MethodType(send, client), hidden))


def release(sdk: Any) -> None:
    """Undoes `adopt`. Calls under way end under the policy."""
    for client in list(http_clients(sdk)):
        if layer_of(client) is not None:
            undo: list[Callable[[], None]] = getattr(client, UNDO)
            take_away(client)
            while undo:
                undo.pop()()


def attempts_of(sdk: object) -> int:
    """The attempts `sdk` is set to make at a request where nobody wraps it."""
    for client in http_clients(sdk):
        attempts: int | None = getattr(client, ATTEMPTS, None)
        if attempts is not None:
            return attempts
    return inner_retries.attempts_of(sdk)


def policy_in(sdk: object) -> Policy | None:
    """The policy the HTTP clients of `sdk` follow, or None."""
    for client in http_clients(sdk):
        policy: Any = getattr(client, POLICY, None)
        if policy is not None:
            return cast("Policy", policy)
    return None


def primary_of(sdk: Any, client: Any) -> Primary:
    """A stand-in for whatever model `sdk` is used for."""
    return Primary("any", package_of(sdk), str(getattr(client, "base_url", "")), "none", "any")


def _put_in_front(client: Any, ours: Any, hidden: Any) -> Callable[[], None]:
    client.send = ours

    def undo() -> None:
        if client.__dict__.get("send") is ours:
            client.send = hidden

    return undo


def _send(base: Any, policy: Policy, provider: str, attempts: int, hidden: Any) -> Any:
    def below(client: Any) -> Callable[..., Any]:
        return hidden or base.send.__get__(client)  # type: ignore[no-any-return]

    def send(self: Any, request: Any, **options: Any) -> Any:
        if not _drives(self, policy, request):
            return below(self)(request, **options)
        transport = HttpTransport(below(self), self, request, options, blocking=True)
        return drive(_dispatched(policy, transport, provider, attempts).carry())

    async def asend(self: Any, request: Any, **options: Any) -> Any:
        if not _drives(self, policy, request):
            return await below(self)(request, **options)
        transport = HttpTransport(below(self), self, request, options, blocking=False)
        return await _dispatched(policy, transport, provider, attempts).carry()

    chosen = asend if inspect.iscoroutinefunction(base.send) else send
    chosen.__name__ = "send"
    return chosen


def _drives(client: object, policy: Policy, request: Any) -> bool:
    """`policy` drives `request`.

    Not if the client has left it, and somebody kept this `send` of it; and not what a call sends that has a policy of its own, as those of an
    SDK with hooks do that shares its HTTP client with this one.
    """
    if getattr(type(client), POLICY, None) is not policy:
        return False
    call = current()
    return (call is None or not call.sends(request)) and _replayable(request)


def _replayable(request: Any) -> bool:
    """The body is in memory. One that is read from a file as it goes out cannot be sent twice, and nothing of ours could read it."""
    try:
        request.content  # noqa: B018 - reading it is the question
    except family_of(request).RequestNotRead:
        return False
    return True


def _dispatched(policy: Policy, transport: HttpTransport, provider: str, attempts: int) -> Dispatch:
    request = transport.request
    path: str = request.url.path
    codec: Codec | None = codec_of(request.method, path)
    body: Mapping[str, JSON] = {}
    if codec is not None:
        try:
            body = decode_object(request.content)
        except Exception:  # noqa: BLE001 - no JSON: it passes through as it is
            codec = None
    name = resource_of(path) if codec is None else model_in(codec, path, body)
    key = next((request.headers[one] for one in _KEY_HEADERS if one in request.headers), "")
    credential = hashlib.sha256(key.encode()).hexdigest()[:8] if key else "none"
    if key:
        keep(key)
    where = str(transport.client.base_url) or f"{request.url.scheme}://{request.url.netloc.decode()}"
    primary = Primary(name, provider, where, credential, None if codec is None else codec.format)
    return Dispatch(policy, transport, primary, codec, body, attempts=attempts, stream=transport.stream)


@final
class HttpTransport:
    """The `Transport` of httpx and httpx2.

    Args:
        below: The client's own `send`, below the policy.
        client: The HTTP client.
        request: What the SDK sends.
        options: The other arguments of `send`.
        blocking: The colour.
    """

    __slots__ = ("_below", "_options", "blocking", "client", "request", "stream")

    def __init__(
        self,
        below: Callable[..., Any],
        client: Any,
        request: Any,
        options: dict[str, Any],
        *,
        blocking: bool,
    ) -> None:
        self._below = below
        self._options = options
        self.client = client
        self.request = request
        self.blocking = blocking
        self.stream = bool(options.get("stream"))

    async def send(self, scope: Scope, *, timed: bool, whole: bool) -> Any:
        """See `Transport`."""
        request, options = self.request, self._options
        bounded = timed and self.blocking
        if bounded:
            given: dict[str, Any] = request.extensions.get("timeout") or {}
            request.extensions["timeout"] = RemainingTime(given, scope, stream=not whole)
            options = {**options, "stream": True}  # read below, where its time can be bounded
        sent = self._below(request, **options)
        response = await sent if inspect.isawaitable(sent) else sent
        if (whole or not response.is_success) and not is_read(response):
            if not self.blocking:
                await response.aread()
            else:
                if bounded:
                    bound(response, scope)
                response.read()
        elif bounded and not whole:
            flows(response)
        return response

    def given(self, response: Any) -> Any:
        """See `Transport`."""
        return response

    def rendered(self, content: bytes, headers: Mapping[str, str], seconds: float) -> Any:
        """See `Transport`."""
        return response_of(self.request, headers=headers, content=content, seconds=seconds)

    def streamed(self, delivery: Delivery, headers: Mapping[str, str], own: Any) -> Any:
        """See `Transport`."""
        body = delivery.body(self.request, blocking=self.blocking)
        if own is None:
            return streamed_response(self.request, headers=headers, stream=body)
        return guarded(own, body)

    def refused(self, what: str) -> Any:
        """See `Transport`. A bad gateway: what stood behind it gave no answer."""
        body = encode({"error": {"code": 502, "message": what, "status": "BAD_GATEWAY"}, "message": what})
        return response_of(
            self.request, status=502, headers={"content-type": "application/json"}, content=body, seconds=0.0
        )

    def broken(self, error: Exception, what: str, *, late: bool) -> Exception:
        """See `Transport`."""
        family = family_of(self.request)
        raised: Exception = (family.ReadTimeout if late else family.RemoteProtocolError)(
            what, request=self.request
        )
        raised.__cause__ = error
        return raised
