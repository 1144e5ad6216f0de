"""Our replies and chunks as LangChain's messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, final

from langchain_core.messages import AIMessage, AIMessageChunk, UsageMetadata
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk

from resilient_ai.frameworks.contract import OUTCOME
from resilient_ai.frameworks.langchain.names import CALL_STATE
from resilient_ai.history import outcome_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import InvalidToolCall, ToolCall, ToolCallChunk

    from resilient_ai.messages import JSON, Chunk, Reply, ToolCallDelta, Usage


def message_of(reply: Reply) -> AIMessage:
    """A whole answer. Its content is plain text, or standard blocks where the model told what it thought."""
    calls: list[ToolCall] = []
    broken: list[InvalidToolCall] = []
    for call in reply.tool_calls:
        arguments = call.parsed()
        if arguments is None:
            broken.append(
                invalid_tool_call(
                    name=call.name, args=call.arguments, id=call.id, error="the arguments are no JSON object"
                )
            )
        else:
            calls.append(tool_call(name=call.name, args=cast("dict[str, Any]", arguments), id=call.id))
    content: str | list[str | dict[Any, Any]] = reply.text
    if reply.reasoning:
        blocks = [_reasoning(part.text, part.opaque) for part in reply.reasoning]
        if reply.text:
            blocks.append({"type": "text", "text": reply.text})
        content = [*blocks]
    return AIMessage(
        content=content,
        tool_calls=calls,
        invalid_tool_calls=broken,
        additional_kwargs={
            **_call_state({call.id: call.opaque for call in reply.tool_calls}),
            **({} if reply.refusal is None else {"refusal": reply.refusal}),
        },
        usage_metadata=_usage(reply.usage),
        response_metadata=_metadata(reply),
    )


def last_chunk(reply: Reply) -> AIMessageChunk:
    """What is known once a stream has ended: tokens, who answered, why it stopped."""
    return AIMessageChunk(
        content="",
        usage_metadata=_usage(reply.usage),
        response_metadata=_metadata(reply),
        chunk_position="last",
    )


@final
class ChunkWriter:
    """Writes the chunks of one stream so that LangChain adds them up to the message of the whole answer.

    Blocks are added up by their `index`. Plain text that comes first has none: LangChain gives it 0 where it wants one. As in
    `core.assembly`, opaque state closes the thought before it, however much text came between.
    """

    def __init__(self) -> None:
        self._index = -1
        self._kind = ""
        self._thought: int | None = None
        self._calls: dict[int, tuple[int, str]] = {}

    def written(self, chunk: Chunk) -> AIMessageChunk | None:
        """`chunk`, or None if it holds nothing that LangChain has a place for."""
        content: str | list[str | dict[Any, Any]] = ""
        blocks: list[dict[str, Any]] = []
        if chunk.reasoning or (chunk.opaque and not chunk.tool_call):
            blocks.append(self._reasoning(chunk))
        if chunk.text:
            index = self._at("text")
            if blocks or index:
                blocks.append({"type": "text", "text": chunk.text, "index": index})
            else:
                content = chunk.text
        calls, extra = self._call(chunk.tool_call)
        if chunk.refusal:
            extra["refusal"] = chunk.refusal
        if not (blocks or content or calls or extra):
            return None
        return AIMessageChunk(
            content=[*blocks] if blocks else content, tool_call_chunks=calls, additional_kwargs=extra
        )

    def _call(self, delta: ToolCallDelta | None) -> tuple[list[ToolCallChunk], dict[str, Any]]:
        if delta is None:
            return [], {}
        if delta.index not in self._calls:
            self._calls[delta.index] = (self._at(f"tool_call {delta.index}"), delta.id or "")
        index, identity = self._calls[delta.index]
        piece = tool_call_chunk(name=delta.name, args=delta.arguments, id=delta.id, index=index)
        return [piece], _call_state({identity: delta.opaque})

    def _reasoning(self, chunk: Chunk) -> dict[Any, Any]:
        if self._thought is None:
            self._kind = ""
            self._thought = self._at("reasoning")
        block = {**_reasoning(chunk.reasoning, chunk.opaque), "index": self._thought}
        self._kind = "reasoning"
        if chunk.opaque:
            self._thought = None
        return block

    def _at(self, kind: str) -> int:
        if kind != self._kind:
            self._kind = kind
            self._index += 1
        return self._index


def _reasoning(text: str, opaque: Mapping[str, JSON]) -> dict[Any, Any]:
    block: dict[Any, Any] = {"type": "reasoning", "reasoning": text}
    if opaque:
        block["extras"] = dict(opaque)
    return block


def _call_state(states: Mapping[str, Mapping[str, JSON]]) -> dict[str, Any]:
    kept = {identity: dict(state) for identity, state in states.items() if state}
    return {CALL_STATE: kept} if kept else {}


def _usage(usage: Usage) -> UsageMetadata | None:
    """The tokens, where both halves are known: LangChain adds numbers up, and an unknown one is not 0."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    told = UsageMetadata(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
    )
    read = InputTokenDetails()
    if usage.cached_tokens is not None:
        read["cache_read"] = usage.cached_tokens
    if usage.cache_creation_tokens is not None:
        read["cache_creation"] = usage.cache_creation_tokens
    if read:
        told["input_token_details"] = read
    if usage.reasoning_tokens is not None:
        told["output_token_details"] = OutputTokenDetails(reasoning=usage.reasoning_tokens)
    return told


def _metadata(reply: Reply) -> dict[str, Any]:
    told: dict[str, Any] = {
        "model_name": reply.model,
        "provider": reply.provider,
        "finish_reason": reply.finish_reason,
        "id": reply.id,
        "request_id": reply.request_id,
        OUTCOME: None if reply.outcome is None else outcome_document(reply.outcome),
    }
    return {name: value for name, value in told.items() if value is not None}
