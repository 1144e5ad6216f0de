"""Our replies and streams as pydantic-ai's responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, final

from pydantic_ai.messages import (
    FinishReason,
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from pydantic_ai.models import StreamedResponse
from pydantic_ai.usage import RequestUsage

from resilient_ai import messages as ours
from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.errors import CallError
from resilient_ai.frameworks.contract import OUTCOME, refuse_restart
from resilient_ai.frameworks.pydantic_ai.failures import failure_of
from resilient_ai.frameworks.pydantic_ai.names import STATE, SYSTEM
from resilient_ai.history import outcome_document
from resilient_ai.runtime.stream import AsyncStream

_FINISHED: Final[Mapping[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "content_filtered": "content_filter",
    "refusal": "content_filter",
}


def now() -> datetime:
    """The time of day an answer is stamped with."""
    return datetime.fromtimestamp(SYSTEM_CLOCK.wall(), UTC)


def response_of(reply: ours.Reply) -> ModelResponse:
    """A whole answer."""
    parts: list[ModelResponsePart] = [
        ThinkingPart(thought.text, **_state(thought.opaque)) for thought in reply.reasoning
    ]
    if reply.text:
        parts.append(TextPart(reply.text))
    parts += [
        ToolCallPart(call.name, call.arguments, call.id, **_state(call.opaque)) for call in reply.tool_calls
    ]
    return ModelResponse(
        parts,
        usage=usage_of(reply.usage),
        model_name=reply.model,
        timestamp=now(),
        provider_name=reply.provider,
        provider_response_id=reply.id,
        provider_details=details_of(reply),
        finish_reason=_FINISHED.get(reply.finish_reason),
    )


def details_of(reply: ours.Reply) -> dict[str, Any]:
    """What pydantic-ai has no field for: above all the `outcome`."""
    told: dict[str, Any] = {
        "finish_reason": reply.finish_reason,
        "request_id": reply.request_id,
        "refusal": reply.refusal,
        OUTCOME: None if reply.outcome is None else outcome_document(reply.outcome),
    }
    return {name: value for name, value in told.items() if value is not None}


def usage_of(usage: ours.Usage) -> RequestUsage:
    """The tokens; a request whose provider told none counts as unmeasured, not as free."""
    if usage.input_tokens is None and usage.output_tokens is None:
        return RequestUsage(unmeasured_requests=1)
    return RequestUsage(
        input_tokens=usage.input_tokens or 0,
        cache_read_tokens=usage.cached_tokens or 0,
        cache_write_tokens=usage.cache_creation_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        details={} if usage.reasoning_tokens is None else {"reasoning_tokens": usage.reasoning_tokens},
    )


def _state(opaque: Mapping[str, ours.JSON]) -> dict[str, Any]:
    return {"provider_name": SYSTEM, "provider_details": {STATE: dict(opaque)}} if opaque else {}


@final
@dataclass
class ChainStream(StreamedResponse):
    """A streamed answer. `cancel` closes the connection, from any task of the loop; a stream that breaks raises pydantic-ai's classes."""

    _stream: AsyncStream = field(repr=False)
    _model_name: str
    _provider_name: str | None = field(default=None, init=False)
    _timestamp: datetime = field(default_factory=now, init=False)
    _thought: int = field(default=0, init=False)
    """Opaque state closes the thought before it; the next piece of reasoning begins another, as in `core.assembly`."""
    _reader: asyncio.Task[Any] | None = field(default=None, init=False, repr=False)
    _idle: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        try:
            while (chunk := await self._next()) is not None:
                refuse_restart(chunk)
                self._model_name = chunk.model or self._model_name
                for event in self._events(chunk):
                    yield event
            if not self._cancelled:
                self._complete(await self._stream.reply())
        except CallError as error:
            raise failure_of(error, self._model_name) from error

    async def _next(self) -> ours.Chunk | None:
        """The next chunk; None at the end, and when another task cancels the stream while this one waits."""
        reader = self._reader = asyncio.current_task()
        self._idle.clear()
        try:
            return await anext(self._stream, None)
        except asyncio.CancelledError:
            if reader is None or not self._cancelled or reader.uncancel():
                raise
            return None
        finally:
            self._reader = None
            self._idle.set()

    def _events(self, chunk: ours.Chunk) -> Iterator[ModelResponseStreamEvent]:
        if chunk.reasoning or (chunk.opaque and chunk.tool_call is None):
            yield from self._parts_manager.handle_thinking_delta(
                vendor_part_id=f"thought {self._thought}", content=chunk.reasoning, **_state(chunk.opaque)
            )
            self._thought += bool(chunk.opaque)
        if chunk.text:
            yield from self._parts_manager.handle_text_delta(vendor_part_id="text", content=chunk.text)
        call = chunk.tool_call
        if call is not None:
            yield from self._parts_manager.handle_tool_call_delta_events(
                vendor_part_id=f"call {call.index}",
                tool_name=call.name,
                args=call.arguments,
                tool_call_id=call.id,
                **_state(call.opaque),
            )

    def _complete(self, reply: ours.Reply) -> None:
        self._model_name = reply.model or self._model_name
        self._provider_name = reply.provider
        self._usage = usage_of(reply.usage)
        self.provider_response_id = reply.id
        self.provider_details = details_of(reply)
        self.finish_reason = _FINISHED.get(reply.finish_reason)

    async def close_stream(self) -> None:
        if self._reader is None:
            await self._stream.aclose()
        else:  # a stream is read by one task at a time: the one that waits ends it
            self._reader.cancel()
            await self._idle.wait()

    @property
    def model_name(self) -> str:
        return self._model_name

    @property
    def provider_name(self) -> str | None:
        return self._provider_name

    @property
    def provider_url(self) -> None:
        return None

    @property
    def timestamp(self) -> datetime:
        return self._timestamp
