"""Our replies and chunks as LlamaIndex's responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from resilient_ai.frameworks.contract import OUTCOME
from resilient_ai.frameworks.llama_index.names import CALL_STATE
from resilient_ai.history import outcome_document

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import ContentBlock

    from resilient_ai.messages import Chunk, Reply, Usage


def chat_of(reply: Reply, *, delta: str | None = None) -> ChatResponse:
    """A whole answer; the last item of a stream, with an empty `delta`, is one too."""
    blocks: list[ContentBlock] = [
        ThinkingBlock(content=part.text, additional_information=dict(part.opaque)) for part in reply.reasoning
    ]
    if reply.text or not reply.tool_calls:
        blocks.append(TextBlock(text=reply.text))
    for call in reply.tool_calls:
        arguments = call.parsed()
        blocks.append(
            ToolCallBlock(
                tool_call_id=call.id,
                tool_name=call.name,
                tool_kwargs=call.arguments if arguments is None else arguments,
            )
        )
    state = {call.id: dict(call.opaque) for call in reply.tool_calls if call.opaque}
    kept: dict[str, Any] = {CALL_STATE: state} if state else {}
    if reply.refusal is not None:
        kept["refusal"] = reply.refusal
    message = ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs=kept)
    return ChatResponse(message=message, raw=reply.raw, delta=delta, additional_kwargs=facts_of(reply))


def completion_of(reply: Reply, *, delta: str | None = None) -> CompletionResponse:
    """A whole answer as a completion: its text."""
    return CompletionResponse(text=reply.text, raw=reply.raw, delta=delta, additional_kwargs=facts_of(reply))


def facts_of(reply: Reply) -> dict[str, Any]:
    """Tokens by the names LlamaIndex counts them under, who answered, and how it went."""
    told: dict[str, Any] = {
        **_tokens(reply.usage),
        "model": reply.model,
        "provider": reply.provider,
        "finish_reason": reply.finish_reason,
        "request_id": reply.request_id,
        OUTCOME: None if reply.outcome is None else outcome_document(reply.outcome),
    }
    return {name: value for name, value in told.items() if value is not None}


def _tokens(usage: Usage) -> dict[str, int | None]:
    known = usage.input_tokens is not None and usage.output_tokens is not None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": (usage.input_tokens or 0) + (usage.output_tokens or 0) if known else None,
    }


@final
class Growing:
    """The answer of a stream as far as it came: LlamaIndex wants all of it with every piece."""

    def __init__(self) -> None:
        self.text = ""
        self._thought = ""
        self._calls: dict[int, ToolCallBlock] = {}

    def chat(self, chunk: Chunk) -> ChatResponse | None:
        """The response for the next chunk, or None if it holds nothing LlamaIndex has a place for."""
        self.text += chunk.text
        self._thought += chunk.reasoning
        delta = chunk.tool_call
        if delta is not None:
            call = self._calls.get(delta.index)
            before = "" if call is None else str(call.tool_kwargs)
            self._calls[delta.index] = ToolCallBlock(
                tool_call_id=delta.id if call is None else call.tool_call_id,
                tool_name=(delta.name or "") if call is None else call.tool_name,
                tool_kwargs=before + delta.arguments,
            )
        if not (chunk.text or chunk.reasoning or delta):
            return None
        blocks: list[ContentBlock] = [ThinkingBlock(content=self._thought)] if self._thought else []
        if self.text:
            blocks.append(TextBlock(text=self.text))
        blocks += self._calls.values()
        return ChatResponse(
            message=ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks),
            delta=chunk.text,
            additional_kwargs={"thinking_delta": chunk.reasoning} if chunk.reasoning else {},
        )

    def completion(self, chunk: Chunk) -> CompletionResponse | None:
        """As `chat`, for a completion."""
        if not chunk.text:
            return None
        self.text += chunk.text
        return CompletionResponse(text=self.text, delta=chunk.text)
