"""The hooks of the Stainless SDKs (openai, anthropic, groq, together): a subclass for one live client.

The client gets a class of its own (`layers`): resources taken before route through it, and copies of it (`with_options`) are given the same
class and carry the policy.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, cast

from resilient_ai.adopt.dialects import codec_of, in_frames, model_in, resource_of
from resilient_ai.adopt.keys import is_kept, keep_written, number_of, source_of, written_in
from resilient_ai.adopt.layers import base_of, layer_of, put_over, take_away
from resilient_ai.adopt.loop import loop_hooks
from resilient_ai.adopt.passage import Passage
from resilient_ai.adopt.primary import Primary
from resilient_ai.adopt.sdk import Kind, Sdk, body_of
from resilient_ai.adopt.wire_faults import sdk_of
from resilient_ai.errors import ConfigError
from resilient_ai.history import stop_of
from resilient_ai.models.calling import Stopped
from resilient_ai.runtime.blocking import drive

if TYPE_CHECKING:
    from resilient_ai.adopt.policy import Policy
    from resilient_ai.messages import JSON

NEEDED: Final = (
    "request",
    "_process_response",
    "_prepare_options",
    "_build_request",
    "_maybe_override_cast_to",
)
"""Without these there is no way in. The retry hooks may be missing: then the SDK's own retries stand."""
COPIERS: Final = ("copy", "with_options")
"""What makes another client of this one."""
POLICY: Final = "_resilient_policy"
FRAMED: Final = "_resilient_framed"
"""Whether the streams the client reads come in frames of AWS."""


def fits(client: object) -> bool:
    """`client` is built on the core these SDKs share."""
    return all(callable(getattr(client, name, None)) for name in NEEDED) and sdk_of(type(client)) is not None


def adopt(client: Any, policy: Policy) -> None:
    """Makes `client` follow `policy`."""
    base = base_of(client)
    blocking = _blocks(base)
    shadow = client.__dict__.get("request")
    put_over(
        client,
        {
            POLICY: policy,
            FRAMED: _reads_frames(base),
            "request": _request(base, policy, blocking=blocking),
            **{name: _copier(base, name) for name in COPIERS if callable(getattr(base, name, None))},
            **loop_hooks(base, blocking=blocking),
        },
    )
    if shadow is not None:
        # An instrumentation put itself in front of the class, where it would hide the subclass.
        client.__dict__["request"] = _Shadow(client, shadow, policy, base, blocking=blocking)


def release(client: Any) -> None:
    """Undoes `adopt`: calls that begin from now on are the SDK's alone, and those under way end under the policy.

    Raises:
        ConfigError: Calls are under way, and somebody else has put a class over that of the policy: neither can be done without the other.
    """
    layer = layer_of(client)
    policy: Policy | None = None if layer is None else vars(layer).get(POLICY)
    if policy is None:
        return
    under_way = policy.places.active
    if under_way and layer is not type(client):
        raise ConfigError(
            f"{under_way} calls of this {type(client).__qualname__} are under way (an open stream is one until it is closed), and its class was "
            "changed by somebody else after wrap(). Call unwrap() when they have ended, or undo that change first.",
            key="client",
        )
    shadow = client.__dict__.get("request")
    if type(shadow) is _Shadow:  # and no proxy that somebody put around it
        client.__dict__["request"] = shadow.hidden
    if not under_way:
        take_away(client)
        return
    base = base_of(client)
    blocking = _blocks(base)
    put_over(
        client,
        {"request": _leaving(base, policy, blocking=blocking), **loop_hooks(base, blocking=blocking)},
    )


def _reads_frames(base: Any) -> bool:
    """Clients of `base` read their streams out of frames of AWS, as that of anthropic for Bedrock says of itself."""
    made = getattr(base, "_make_sse_decoder", None)
    return "AWSEventStreamDecoder" in str(getattr(made, "__annotations__", {}).get("return"))


def _blocks(base: Any) -> bool:
    return not inspect.iscoroutinefunction(base.request)


def _leaving(base: Any, policy: Policy, *, blocking: bool) -> Callable[..., Any]:
    """The SDK's own `request`, on a client that was unwrapped while calls were under way: these still need the hooks beside it."""

    def request(self: Any, *given: Any, **named: Any) -> Any:
        if not policy.places.active:
            take_away(self)
        return base.request(self, *given, **named)

    async def arequest(self: Any, *given: Any, **named: Any) -> Any:
        return await request(self, *given, **named)

    chosen = request if blocking else arequest
    chosen.__name__ = "request"
    return chosen


class _Shadow:
    """Stands where an instrumentation's `request` stood on the client itself, and sends through that."""

    def __init__(
        self, client: Any, hidden: Callable[..., Any], policy: Policy, base: Any, *, blocking: bool
    ) -> None:
        self._client = client
        self.hidden = hidden
        self._policy = policy
        self._blocking = blocking
        self._kind = _kind_of(base, blocking=blocking)

    def __call__(self, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None) -> Any:
        if getattr(self._client, POLICY, None) is not self._policy:  # somebody kept it beyond `unwrap`
            return self.hidden(cast_to, options, stream=stream, stream_cls=stream_cls)
        sdk = Sdk(self._kind, self._client, cast_to, options, stream, stream_cls, self.hidden)
        carried = _carried(sdk, self._policy)
        return _driven(carried) if self._blocking else carried


def _kind_of(base: Any, *, blocking: bool) -> Kind:
    return Kind(base, sdk_of(base), blocking=blocking)


def _copier(base: Any, name: str) -> Callable[..., Any]:
    """The SDK's `copy`, run on a client of the very class the SDK knows: of any other, anthropic leaves the credentials behind."""
    copies: Callable[..., Any] = getattr(base, name)

    @wraps(copies)
    def copy(self: Any, *arguments: Any, **named: Any) -> Any:
        twin = object.__new__(base)
        before = dict(self.__dict__)
        twin.__dict__ = dict(before)  # its own: a resource that is first asked for here belongs to it
        try:
            made = copies(twin, *arguments, **named)
        finally:
            for each, value in twin.__dict__.items():
                if before.get(each, before) is not value and getattr(value, "_client", None) is not twin:
                    self.__dict__[each] = value  # what the SDK looked up meanwhile and keeps
            twin.__dict__ = {}  # of an SDK whose clients close when they are collected: there is nothing to close
        made.__class__ = type(self)
        return made

    return copy


def _request(base: Any, policy: Policy, *, blocking: bool) -> Callable[..., Any]:
    kind = _kind_of(base, blocking=blocking)

    def request(
        self: Any, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None
    ) -> Any:
        # An instrumentation may have kept this for itself, and goes on calling it when the client follows the policy no more.
        if getattr(self, POLICY, None) is not policy:
            return base.request(self, cast_to, options, stream=stream, stream_cls=stream_cls)
        return _driven(_carried(Sdk(kind, self, cast_to, options, stream, stream_cls), policy))

    async def arequest(
        self: Any, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None
    ) -> Any:
        if getattr(self, POLICY, None) is not policy:  # as above
            return await base.request(self, cast_to, options, stream=stream, stream_cls=stream_cls)
        return await _carried(Sdk(kind, self, cast_to, options, stream, stream_cls), policy)

    chosen = request if blocking else arequest
    chosen.__name__ = "request"
    return chosen


def _driven(work: Coroutine[object, object, Any]) -> Any:
    """What a blocking call comes to.

    Raises:
        StopIteration: What the application gave the SDK raised one.
        Exception: Whatever else the call ends in.
    """
    try:
        return drive(work)
    except Stopped as error:
        raise stop_of(error) from None


async def _carried(sdk: Sdk, policy: Policy) -> Any:
    """The result of one call under `policy`."""
    retries = sdk.options.get_max_retries(sdk.client.max_retries)
    if not isinstance(retries, int) or retries < 0:  # the SDK itself would not take it
        refused = sdk.send(sdk.options)
        return refused if sdk.blocking else await refused
    client = sdk.client
    codec = codec_of(sdk.options.method, sdk.options.url)
    if codec is not None and client._resilient_framed:  # noqa: SLF001 - our own mark
        codec = in_frames(codec)
    body: Mapping[str, JSON] = {}
    if codec is not None:
        body = body_of(sdk.options)
        if not body and not isinstance(sdk.options.json_data, Mapping):
            await sdk.prepare()
            body = body_of(sdk.options)
        if not body:
            codec = None  # not JSON: nothing of ours could read it
    url = sdk.options.url
    name = resource_of(url) if codec is None else model_in(codec, url, body)
    key = _key_of(client)
    primary, chain = policy.target(
        (name, type(codec), key),
        client.base_url,
        lambda: primary_of(client, name, None if codec is None else codec.format),
        attempts=retries + 1,
        alone=codec is None,
    )
    watching = policy.watching()
    read = codec is not None and (bool(watching) or chain.must_read(body, sdk.kind.unset))
    if read:
        await sdk.prepare()
    return await Passage(policy, chain, primary, codec, sdk, watching, read=read).carry()


def primary_of(client: Any, name: str, wire: str | None) -> Primary:
    """The model `name` behind `client`, with what identifies its state."""
    key = _key_of(client)
    credential = hashlib.sha256(key.encode()).hexdigest()[:8] if key else "none"
    provider = sdk_of(cast("Any", type(client))).__name__
    fetched = source_of(client) is not None or not written_in(client)
    return Primary(name, provider, str(client.base_url), credential, wire, fetched=fetched)


def _key_of(client: Any) -> str:
    """What tells the client's key from others; empty where it has none.

    Where keys are fetched it is what fetches them: the keys change, and whose breaker and budget it is does not. Keys that are
    written down are looked for from here on.
    """
    if getattr(client, "_api_key_provider", None) is None:  # openai writes down what that fetched
        key: Any = getattr(client, "api_key", None) or getattr(client, "auth_token", None)
        if isinstance(key, str) and is_kept(key):
            return key
    keep_written(client)
    source = source_of(client)
    return written_in(client) if source is None else number_of(source)
