"""boto3's client of Amazon Bedrock, by its own event hooks.

`before-send` is asked for a response before a request goes out: there the chain is run. `needs-retry` is answered with no, so that botocore's
own retries rest. A subclass of the live client keeps the outcomes. botocore is not imported until a client of it is wrapped.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast, final
from urllib.parse import urlsplit

from resilient_ai.adopt.dialects import codec_of, model_in
from resilient_ai.adopt.dispatch import Dispatch
from resilient_ai.adopt.keys import keep
from resilient_ai.adopt.layers import base_of, layer_of, put_over, take_away
from resilient_ai.adopt.primary import Primary
from resilient_ai.adopt.visits import Visit, visited
from resilient_ai.core.fork import ChildLock
from resilient_ai.errors import CallError, ConfigError, ModelError, StreamInterrupted
from resilient_ai.history import OutcomeHeader, remember
from resilient_ai.models.wire import WireError
from resilient_ai.models.wire.jsonbody import decode_object, encode
from resilient_ai.policies.retry import ATTEMPTS
from resilient_ai.runtime.blocking import drive

if TYPE_CHECKING:
    from resilient_ai.adopt.delivery import Delivery
    from resilient_ai.adopt.policy import Policy
    from resilient_ai.core.model import Scope
    from resilient_ai.messages import JSON

POLICY: Final = "_resilient_policy"
HOLD: Final = "_resilient_hold"

PROVIDER: Final = "bedrock"

_SERVICE: Final = "bedrock-runtime"
_SENDING: Final = f"before-send.{_SERVICE}"
_RETRYING: Final = f"needs-retry.{_SERVICE}"
_MARK: Final = "resilient-ai"
_LEGACY_ATTEMPTS: Final = 5
"""Source: botocore, `retryhandler.py`, the default of the mode `legacy`."""

_SIGNED: Final = re.compile(r"Credential=([^/,\s]+)")
_OUTCOME_HEADER: Final = "x-resilient-provider"


def is_boto(client: object) -> bool:
    """`client` is one of boto3's, whatever service it is of."""
    return any(
        base.__module__ == "botocore.client" and base.__name__ == "BaseClient"
        for base in type(client).__mro__
    )


def check(client: Any) -> None:
    """Checks that `client`, one of boto3's, can be adopted.

    Raises:
        ConfigError: It is of another service, or asynchronous.
    """
    service = client.meta.service_model.service_name
    if service != _SERVICE:
        raise ConfigError(
            f"A boto3 client of {service!r} cannot be wrapped; one of 'bedrock-runtime' can: it is the one that asks models.",
            key="client",
        )
    if inspect.iscoroutinefunction(client._make_api_call):  # noqa: SLF001 - botocore's own seam, stable since its first release
        raise ConfigError(
            "An asynchronous client of aiobotocore cannot be wrapped. Wrap boto3.client('bedrock-runtime'), or decorate the function that "
            "calls this one with @resilient.",
            key="client",
        )


def attempts_of(client: Any) -> int:
    """The attempts `client` is set to make at a request."""
    retries: Mapping[str, Any] = client.meta.config.retries or {}
    default = _LEGACY_ATTEMPTS if retries.get("mode") == "legacy" else ATTEMPTS
    most = retries.get("total_max_attempts")
    if most is None and retries.get("max_attempts") is not None:
        most = retries["max_attempts"] + 1
    return max(1, int(default if most is None else most))


def primary_of(client: Any) -> Primary:
    """A stand-in for whatever model `client` is used for."""
    return Primary("any", PROVIDER, str(client.meta.endpoint_url), "none", "any")


def adopt(client: Any, policy: Policy, attempts: int) -> None:
    """Makes `client` follow `policy`.

    Args:
        client: A client for which `check` passes.
        policy: What it follows.
        attempts: Attempts the client itself is set to.
    """
    base = base_of(client)
    hold = _Hold(client.meta.events)

    def call(self: Any, *given: Any, **named: Any) -> Any:
        with hold:
            return base._make_api_call(self, *given, **named)  # noqa: SLF001 - as above

    put_over(
        client,
        {
            POLICY: policy,
            HOLD: hold,
            "_make_api_call": visited(call, like=base._make_api_call, keep=_kept),  # noqa: SLF001 - as above
        },
    )
    session = client._endpoint.http_session  # noqa: SLF001 - the one the request would be sent by

    def sending(request: Any, event_name: str, **_: Any) -> Any:
        if request.context is not None:
            request.context[_MARK] = True
        transport = AwsTransport(session, request, event_name.rpartition(".")[2])
        return drive(_dispatched(policy, transport, attempts).carry())

    hold.begin(sending)


def release(client: Any) -> None:
    """Undoes `adopt`. A call under way ends under the policy."""
    layer = layer_of(client)
    if layer is None:
        return
    hold: _Hold = vars(layer)[HOLD]
    take_away(client)
    hold.end()


@final
class _Hold:
    """The handlers of one policy on the events of one client. botocore's own retries rest for its requests, until the last call has ended.

    That is asked when a request has come back: were it asked of botocore again for a call that was under way when the client was unwrapped,
    all its attempts would be made once more.

    Args:
        events: The client's.
    """

    __slots__ = ("_calls", "_ended", "_events", "_lock")

    def __init__(self, events: Any) -> None:
        self._events = events
        self._lock = ChildLock()
        self._calls = 0
        self._ended = False

    def begin(self, sending: Callable[..., Any]) -> None:
        """Has `sending` asked before a request is sent. In front of botocore's own handlers: the first answer that is not None counts."""
        self._events.register_first(_SENDING, sending, unique_id=self)
        self._events.register_first(_RETRYING, _refuse_retry, unique_id=(self, _RETRYING))

    def end(self) -> None:
        """The client has left the policy."""
        self._events.unregister(_SENDING, unique_id=self)
        with self._lock:
            self._ended = True
            under_way = self._calls
        if not under_way:
            self._let_go()

    def __enter__(self) -> None:
        with self._lock:
            self._calls += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._calls -= 1
            last = self._ended and not self._calls
        if last:
            self._let_go()

    def _let_go(self) -> None:
        self._events.unregister(_RETRYING, unique_id=(self, _RETRYING))


def _refuse_retry(request_dict: Mapping[str, Any], **_: Any) -> bool | None:
    """Refuses one to a request that was sent by a policy; None leaves it to botocore."""
    return False if _MARK in request_dict["context"] else None


def _kept(result: Any, visit: Visit) -> Any:
    """The answer of botocore, which is a plain dictionary: its outcome stands on a header among its metadata, and by its stream."""
    if result.__class__ is not dict or visit.noted is None:
        return result
    answer: dict[str, Any] = result
    metadata: dict[str, Any] = answer.get("ResponseMetadata", {})
    headers: dict[str, str] = metadata.setdefault("HTTPHeaders", {})
    headers[_OUTCOME_HEADER] = OutcomeHeader(headers.get(_OUTCOME_HEADER, PROVIDER), visit.outcome)
    outcome = visit.outcome()
    if outcome is not None:
        own = [attempt for attempt in outcome.attempts if attempt.provider == PROVIDER]
        metadata["RetryAttempts"] = max(0, len(own) - 1)  # botocore's loop made one, and knows of no other
    if "stream" in answer:
        remember(answer["stream"], lambda _: visit.outcome())
    return answer


def _dispatched(policy: Policy, transport: AwsTransport, attempts: int) -> Dispatch:
    request = transport.request
    where = urlsplit(str(request.url))
    codec = codec_of(request.method, where.path)
    body: Mapping[str, JSON] = {}
    if codec is not None:
        try:
            body = decode_object(request.body)
        except (WireError, TypeError):  # a stream, or no JSON: it passes through as it is
            codec = None
    name = transport.operation if codec is None else model_in(codec, where.path, body)
    key = _text(request.headers.get("Authorization", ""))
    signed = _SIGNED.search(key)
    text = signed.group(1) if signed is not None else key  # what follows the key changes with every request
    credential = hashlib.sha256(text.encode()).hexdigest()[:8] if text else "none"
    for secret in (text, _text(request.headers.get("X-Amz-Security-Token", ""))):
        if secret:
            keep(secret)
    address = f"{where.scheme}://{where.netloc}"
    primary = Primary(name, PROVIDER, address, credential, None if codec is None else codec.format)
    return Dispatch(policy, transport, primary, codec, body, attempts=attempts, stream=transport.stream)


def _text(header: str | bytes) -> str:
    """A header as text; botocore writes them as bytes."""
    return header if isinstance(header, str) else header.decode("latin-1")


@final
class AwsTransport:
    """The `Transport` of botocore.

    Args:
        session: botocore's HTTP session.
        request: The signed request. It is sent again as it is: a signature holds for five minutes.
        operation: The operation's name.
    """

    __slots__ = ("_session", "blocking", "operation", "request", "stream")

    def __init__(self, session: Any, request: Any, operation: str) -> None:
        self._session = session
        self.request = request
        self.operation = operation
        self.stream = bool(request.stream_output)
        self.blocking = True

    async def send(self, scope: Scope, *, timed: bool, whole: bool) -> Any:
        """See `Transport`. botocore takes no other time to connect than the client's own."""
        request = self.request
        if timed:
            context: dict[str, Any] = getattr(request, "context", None) or {}
            own = context.get("read_timeout") or _read_timeout_of(context)
            request.context = {**context, "read_timeout": max(0.001, min(own, scope.remaining()))}
        request.reset_stream()
        streams, request.stream_output = (
            request.stream_output,
            True,
        )  # read below, where its time can be bounded
        try:
            answer = AwsAnswer(self._session.send(request), request.url, scope if timed else None)
        finally:
            request.stream_output = streams
        if whole or not answer.is_success:
            answer.read()
        return answer

    def given(self, response: Any) -> Any:
        """See `Transport`."""
        return response.native

    def rendered(self, content: bytes, headers: Mapping[str, str], seconds: float) -> Any:  # noqa: ARG002 - botocore keeps no time
        """See `Transport`."""
        return self._response(200, headers, Body(iter((content,)), _nothing))

    def streamed(self, delivery: Delivery, headers: Mapping[str, str], own: Any) -> Any:
        """See `Transport`."""
        body = Body(delivery.pieces(), delivery.close)
        if own is None:
            return self._response(200, headers, body)
        return self._response(own.status_code, own.headers, body)

    def refused(self, what: str) -> Any:
        """See `Transport`. A bad gateway: what stood behind it gave no answer."""
        content = encode({"message": what})
        headers = {"content-type": "application/json"}
        return self._response(502, headers, Body(iter((content,)), _nothing))

    def broken(self, error: Exception, what: str, *, late: bool) -> Exception:
        """See `Transport`. An error the provider reported inside its stream is raised as botocore raises it."""
        exceptions = _exceptions()
        told = error.__cause__ if isinstance(error, StreamInterrupted) else error
        raised: Exception
        if isinstance(told, ModelError) and told.body is not None and isinstance(error, StreamInterrupted):
            fields = decode_object(told.body)
            response = {"Error": {"Code": fields.get("code"), "Message": fields.get("message")}}
            raised = exceptions.EventStreamError(cast("Any", response), self.operation)
        elif late:
            raised = exceptions.ReadTimeoutError(endpoint_url=self.request.url, error=what)
        elif isinstance(told, CallError) and not isinstance(told, ModelError | StreamInterrupted):
            raised = exceptions.EndpointConnectionError(endpoint_url=self.request.url, error=what)
        else:
            raised = exceptions.ResponseStreamingError(error=what)
        raised.__cause__ = error
        return raised

    def _response(self, status: int, headers: Mapping[str, str], body: Body) -> Any:
        return import_module("botocore.awsrequest").AWSResponse(self.request.url, status, dict(headers), body)


@final
class AwsAnswer:
    """A response of botocore as the engine reads it.

    Args:
        native: botocore's own.
        url: Where it came from.
        scope: What the attempt may use; None where the client's own timeouts bound it.
    """

    __slots__ = ("_scope", "_url", "headers", "native", "status_code")

    def __init__(self, native: Any, url: str, scope: Scope | None) -> None:
        self.native = native
        self._url = url
        self._scope = scope
        self.status_code: int = native.status_code
        self.headers: Mapping[str, str] = native.headers

    @property
    def is_success(self) -> bool:
        """The status is good."""
        return 200 <= self.status_code <= 299

    @property
    def content(self) -> bytes:
        """The body, once it has been read."""
        return bytes(self.native.content)

    @property
    def text(self) -> str:
        """The body as text, for the classifier."""
        return self.content.decode("utf-8", "replace")

    def read(self) -> None:
        """Takes the body into memory."""
        self.native._content = b"".join(self.iter_bytes())  # noqa: SLF001 - where botocore itself keeps it

    def iter_bytes(self) -> Iterator[bytes]:
        """The body as it comes.

        Raises:
            ReadTimeoutError, ResponseStreamingError: botocore's, as its own streams raise them.
        """
        exceptions = _exceptions()
        below: Any = import_module("urllib3.exceptions")
        scope = self._scope
        try:
            for piece in self.native.raw.stream():
                if scope is not None and scope.clock.now() > scope.until:
                    raise exceptions.ReadTimeoutError(
                        endpoint_url=self._url, error="the time of the attempt is up"
                    )
                yield piece
        except exceptions.BotoCoreError:
            raise
        except below.ReadTimeoutError as error:
            raise exceptions.ReadTimeoutError(endpoint_url=self._url, error=error) from error
        except below.ProtocolError as error:
            raise exceptions.ResponseStreamingError(error=error) from error

    def close(self) -> None:
        """Closes the connection."""
        self.native.raw.close()


@final
class Body:
    """What botocore reads a response's body from."""

    __slots__ = ("_close", "_pieces")

    def __init__(self, pieces: Iterator[bytes], close: Callable[[], object]) -> None:
        self._pieces = pieces
        self._close = close

    def stream(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:  # noqa: ARG002, FBT001 - urllib3's signature
        """The bytes as they come."""
        return self._pieces

    def read(self, amt: int | None = None) -> bytes:  # noqa: ARG002 - as above
        """All that is left."""
        return b"".join(self._pieces)

    def close(self) -> None:
        """Ends the source."""
        self._close()


def _nothing() -> None: ...


def _exceptions() -> Any:
    """botocore's, which is in memory already: a client of it was wrapped."""
    return import_module("botocore.exceptions")


def _read_timeout_of(context: Mapping[str, Any]) -> float:
    """Seconds a read may take by the client's own settings; None there means no bound."""
    config = context.get("client_config")
    own = getattr(config, "read_timeout", None)
    return float(own) if own else float("inf")
