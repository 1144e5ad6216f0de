"""The SDK's side of one call: its client, its own methods below the hooks, and how its options are read and changed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast, final

from resilient_ai.models.calling import Stopped

if TYPE_CHECKING:
    from resilient_ai.messages import JSON

RAW_HEADER: Final = "x-stainless-raw-response"
"""How the SDK marks a call whose response the caller wants as it is: `true`, or `READ_BY_CALLER`."""
READ_BY_CALLER: Final = "stream"
COPIES: Final = "_copy_and_prepare"
"""What begins every request of an SDK that reads the body before its loop."""
COUNT_HEADER: Final = "x-stainless-retry-count"


@final
class Kind:
    """What is the same for all calls of one client.

    Args:
        base: The SDK's own class of the client, below the hooks.
        module: The SDK's top-level module, for its exception classes.
        blocking: The colour.

    Attributes:
        copies: The SDK begins each request with a copy of its options, whose body it reads (`_copy_and_prepare`).
        unset: Classes of what stands in a body for a value the caller did not give, until that copy leaves it out.
    """

    __slots__ = ("base", "blocking", "copies", "module", "unset")

    def __init__(self, base: Any, module: Any, *, blocking: bool) -> None:
        self.base = base
        self.module = module
        self.blocking = blocking
        self.copies = hasattr(base, COPIES)
        names = ("NotGiven", "Omit") if self.copies else ()
        self.unset = tuple(getattr(module, name) for name in names if hasattr(module, name))


@final
class Sdk:
    """The SDK's side of one call: its client and its own methods, below the hooks.

    These are looked up when they are needed: an instrumentation may have been put on the SDK's classes since the client was wrapped.

    Attributes:
        kind: What is the same for all calls of the client.
        client: The client, or the copy of it, that was called.
        cast_to: What the SDK is to make of the answer.
        options: The SDK's options of the call, never changed here.
        prepared: The same as the SDK sent them first, the body turned into plain data; None before that.
        blocking: The colour.
        stream: The answer is streamed.
        stream_cls: The SDK's class of stream.
    """

    __slots__ = (
        "_shadow", "blocking", "cast_to", "client", "kind", "options", "prepared", "stream", "stream_cls",
    )  # fmt: skip

    def __init__(
        self,
        kind: Kind,
        client: Any,
        cast_to: Any,
        options: Any,
        stream: bool,  # noqa: FBT001 - as the SDK gives it
        stream_cls: Any,
        shadow: Callable[..., Any] | None = None,
    ) -> None:
        self.kind = kind
        self.client = client
        self.cast_to = cast_to
        self.options = options
        self.stream = stream
        self.stream_cls = stream_cls
        self.blocking = kind.blocking
        self.prepared: Any = None
        self._shadow = shadow
        """What an instrumentation put in front of the client's `request`."""

    def body(self) -> Mapping[str, JSON]:
        """What is sent, in plain data; nothing where that is no JSON object, or where it cannot be told without waiting for a file.

        Raises:
            Stopped: A blocking SDK raised `StopIteration`.
            Exception: What else the SDK raises.
        """
        if self.prepared is None and self.kind.copies:
            work = self.prepare()
            try:
                work.send(None)
            except StopIteration:  # as almost always: it has nothing to wait for
                pass
            else:
                work.close()
                return {}
        return body_of(self.options if self.prepared is None else self.prepared)

    def send(self, options: Any) -> Any:
        """The client's own `request`, hooks included; in the asynchronous colour to be awaited.

        Raises:
            Stopped: A blocking SDK raised `StopIteration`.
            Exception: What else the SDK raises.
        """
        try:
            if self._shadow is not None:
                return self._shadow(self.cast_to, options, stream=self.stream, stream_cls=self.stream_cls)
            return self.kind.base.request(
                self.client, self.cast_to, options, stream=self.stream, stream_cls=self.stream_cls
            )
        except StopIteration as error:
            raise Stopped from error

    def process(self, arguments: Mapping[str, Any]) -> Any:
        """The client's own `_process_response`, whose arguments these are; in the asynchronous colour to be awaited."""
        return self.kind.base._process_response(self.client, **arguments)  # noqa: SLF001 - the SDK's own hook

    @property
    def replayable(self) -> bool:
        """The body can be sent again outside the SDK's loop: it is plain data, no file and no stream."""
        options = self.options
        return getattr(options, "files", None) is None and getattr(options, "content", None) is None

    def raised(self, error: Exception) -> bool:
        """The SDK takes `error` for its provider's: it is of a class of its own."""
        return isinstance(error, self.kind.module.APIError)

    @property
    def mark(self) -> str | None:
        """What the caller wants of the response: see `RAW_HEADER`; None for the answer in it."""
        given = self.options.headers
        if type(given) is dict or isinstance(
            given, Mapping
        ):  # asking an abstract class costs more than the rest
            for name, value in cast("Mapping[str, str]", given).items():
                if name.lower() == RAW_HEADER:
                    return value
        return None

    async def prepare(self) -> None:
        """Has the SDK turn what the caller wrote (omitted values, its own models, iterators) into plain data, where it does so itself."""
        if self.kind.copies and self.prepared is None:
            try:
                prepared = self.kind.base._copy_and_prepare(self.client, self.options)  # noqa: SLF001 - the SDK's own hook
            except StopIteration as error:
                raise Stopped from error
            self.options = self.prepared = prepared if self.blocking else await prepared

    def copied(self, *, retries: int | None, count: int | None = None) -> Any:
        """The options for one more run of the SDK's loop.

        Args:
            retries: How many retries the loop may make; None leaves that to the client.
            count: What to say in the retry-count header, unless the caller says something there.
        """
        options = self.options.model_copy() if hasattr(self.options, "model_copy") else self.options.copy()
        prepared = self.prepared
        if prepared is not None:  # what can be read only once has been read
            options.json_data, options.extra_json, options.params = (
                prepared.json_data,
                prepared.extra_json,
                prepared.params,
            )
        if retries is not None:
            options.max_retries = retries
        if count is not None:
            headers: dict[str, Any] = (
                dict(cast("Mapping[str, Any]", options.headers))
                if isinstance(options.headers, Mapping)
                else {}
            )
            if COUNT_HEADER not in {name.lower() for name in headers}:
                options.headers = {**headers, COUNT_HEADER: str(count)}
        return options

    def left_to_caller(self, arguments: Mapping[str, Any]) -> bool:
        """The body of a response is read by the caller, and not by the SDK; `arguments` are those of its `_process_response`."""
        return bool(arguments["stream"]) or self.mark == READ_BY_CALLER

    async def made(self, arguments: Mapping[str, Any]) -> Any:
        """What the SDK makes of a response; `arguments` are those of its `_process_response`.

        Raises:
            Stopped: A blocking SDK raised `StopIteration`.
            Exception: What else the SDK raises.
        """
        try:
            made = self.process(arguments)
        except StopIteration as error:
            raise Stopped from error
        return made if self.blocking else await made

    def arguments(self, known: Mapping[str, Any] | None, *, retries: int) -> dict[str, Any]:
        """The arguments of the SDK's `_process_response`, the response aside.

        Args:
            known: Those it was called with before, or None.
            retries: How often the provider was asked again.
        """
        if known is None:
            options = self.copied(retries=None)
            cast_to = self.client._maybe_override_cast_to(self.cast_to, options)  # noqa: SLF001 - the SDK's own hook
            known = {
                "cast_to": cast_to,
                "options": options,
                "stream": self.stream,
                "stream_cls": self.stream_cls,
            }
        arguments = dict(known)
        if _is_told_of_retries(self.kind.base._process_response):  # noqa: SLF001 - as above
            arguments["retries_taken"] = retries
        return arguments

    async def unsent(self) -> Any:
        """The request as the SDK would have sent it, had its provider been asked.

        Bare where the SDK cannot prepare it: it may be that very thing, a key that cannot be fetched, which another model answers for.
        """
        client = self.client
        await self.prepare()
        options = self.copied(retries=None)
        client._maybe_override_cast_to(self.cast_to, options)  # noqa: SLF001 - takes its mark from the headers
        try:
            prepared = client._prepare_options(options)  # noqa: SLF001 - the SDK's own hook
            options = prepared if self.blocking else await prepared
            return client._build_request(options)  # noqa: SLF001 - the SDK's own hook
        except Exception:  # noqa: BLE001 - a key's source is the application's, and may raise anything
            mark = self.mark
            return client._client.build_request(  # noqa: SLF001 - the SDK's HTTP client
                options.method,
                client._prepare_url(options.url),  # noqa: SLF001 - the SDK's own
                headers={} if mark is None else {RAW_HEADER: mark},
            )


@lru_cache(maxsize=16)
def _is_told_of_retries(process: Callable[..., Any]) -> bool:
    """`process`, the `_process_response` of an SDK, takes their number."""
    return "retries_taken" in inspect.signature(process).parameters


def body_of(options: Any) -> Mapping[str, JSON]:
    """What will be sent, or nothing where that is no JSON object."""
    given, extra = options.json_data, options.extra_json
    if (
        extra is None and type(given) is dict
    ):  # nearly always; asking an abstract class costs more than the rest
        return cast("Mapping[str, JSON]", given)
    if not isinstance(given, Mapping):
        return {}
    body = cast("Mapping[str, JSON]", given)
    return {**body, **cast("Mapping[str, JSON]", extra)} if isinstance(extra, Mapping) else body
