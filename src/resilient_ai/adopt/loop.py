"""What the retry loop of a Stainless SDK asks and tells on its way: the SDK's own hooks, answered by the call that is being driven."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from resilient_ai.adopt.passage import Passage, passage_of
from resilient_ai.adopt.primary import current
from resilient_ai.adopt.sdk import COPIES
from resilient_ai.runtime.blocking import drive

UNAUTHORIZED: Final = 401


def loop_hooks(base: type[Any], *, blocking: bool) -> dict[str, Any]:
    """The SDK's own hooks, each going on to the SDK's where no call of this client is under way."""
    hooks: dict[str, Any] = {}

    def sync_copied(self: Any, options: Any) -> Any:
        copied = base._copy_and_prepare(self, options)  # noqa: SLF001 - the hook being overridden
        passage = passage_of(self)
        return copied if passage is None else passage.copied(copied)

    async def async_copied(self: Any, options: Any) -> Any:
        copied = await base._copy_and_prepare(self, options)  # noqa: SLF001 - the hook being overridden
        passage = passage_of(self)
        return copied if passage is None else passage.copied(copied)

    def sync_built(self: Any, request: Any) -> None:
        base._prepare_request(self, request)  # noqa: SLF001 - the hook being overridden
        passage = passage_of(self)
        if passage is not None:
            passage.built(request)

    async def async_built(self: Any, request: Any) -> None:
        await base._prepare_request(self, request)  # noqa: SLF001 - the hook being overridden
        passage = passage_of(self)
        if passage is not None:
            passage.built(request)

    def sync_received(self: Any, **arguments: Any) -> Any:
        passage = passage_of(self)
        if passage is None:
            return base._process_response(self, **arguments)  # noqa: SLF001 - the hook being overridden
        return drive(passage.received(arguments))

    async def async_received(self: Any, **arguments: Any) -> Any:
        passage = passage_of(self)
        if passage is None:
            return await base._process_response(self, **arguments)  # noqa: SLF001 - the hook being overridden
        return await passage.received(arguments)

    def streams_body(self: Any, request: Any) -> bool:
        passage = passage_of(self)
        if passage is not None and passage.reads_by_itself:
            return True
        own: bool = base._should_stream_response_body(self, request=request)  # noqa: SLF001 - as above
        return own

    def may_retry(self: Any, response: Any) -> bool:
        passage = passage_of(self)
        if passage is None or passage.capturing:
            own: bool = base._should_retry(self, response)  # noqa: SLF001 - the hook being overridden
            return own
        # Asked where its answer counts, and nowhere else: it says in the log what it would do.
        renewed = response.status_code == UNAUTHORIZED and base._should_retry(self, response)  # noqa: SLF001 - as above
        return passage.may_retry(response, renewed=renewed)

    def may_retry_after(self: Any, error: BaseException) -> Any:
        own, response = base._should_retry_exception(self, error)  # noqa: SLF001 - the hook being overridden
        passage = current()
        if type(passage) is not Passage or not passage.is_of(self) or passage.capturing:
            return own, response
        return passage.may_retry_after(error, own=own, answered=response is not None), response

    def pause(self: Any, *arguments: Any, **named: Any) -> float:
        passage = passage_of(self)
        own: Callable[[], float] = partial(base._calculate_retry_timeout, self, *arguments, **named)  # noqa: SLF001 - as above
        return own() if passage is None or passage.capturing else passage.pause(own)

    def sleep(self: Any, *, max_retries: int, **named: Any) -> None:
        passage = passage_of(self)
        if passage is not None and not passage.capturing:
            max_retries -= passage.refused_retries  # it is told to whoever reads the SDK's log
        base._sleep_for_retry(self, max_retries=max_retries, **named)  # noqa: SLF001 - the hook being overridden

    candidates: dict[str, Callable[..., Any]] = {
        COPIES: sync_copied if blocking else async_copied,
        "_prepare_request": sync_built if blocking else async_built,
        "_process_response": sync_received if blocking else async_received,
        "_should_stream_response_body": streams_body,
        "_should_retry": may_retry,
        "_should_retry_exception": may_retry_after,
        "_calculate_retry_timeout": pause,
    }
    if blocking:
        candidates["_sleep_for_retry"] = sleep
    for name, hook in candidates.items():
        if callable(getattr(base, name, None)):
            hook.__name__ = name
            hooks[name] = hook
    return hooks
