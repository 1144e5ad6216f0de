"""LlamaIndex's chat messages as ours.

A block that no message of ours has a form for becomes `Foreign`: whoever cannot take it is passed over, with its place named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from resilient_ai.errors import InvalidRequest
from resilient_ai.frameworks.llama_index.names import CALL_STATE, FORMAT
from resilient_ai.messages import (
    JSON,
    Foreign,
    Image,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from resilient_ai.models.wire.images import image_of_url

if TYPE_CHECKING:
    from llama_index.core.base.llms.types import ChatMessage, ContentBlock

_ROLES: Final[Mapping[MessageRole, Role]] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}


def messages_of(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """The conversation, in order.

    Raises:
        InvalidRequest: A message holds a tool call that cannot be read.
    """
    return tuple(_message(message, f"messages[{index}]") for index, message in enumerate(messages))


def _message(message: ChatMessage, where: str) -> Message:
    told = message.additional_kwargs
    if _ROLES[message.role] == "tool":
        return Message("tool", (_result(message, where),))
    parts = list(_parts(message.blocks, told.get(CALL_STATE) or {}, where))
    if not any(isinstance(part, ToolCall) for part in parts):
        parts += _older_calls(told.get("tool_calls") or (), where)
    return Message(_ROLES[message.role], tuple(parts), told.get("name"))


def _parts(
    blocks: Sequence[ContentBlock], state: Mapping[str, Mapping[str, JSON]], where: str
) -> Iterator[Part]:
    for index, block in enumerate(blocks):
        at = f"{where}.blocks[{index}]"
        match block:
            case TextBlock():
                yield Text(block.text)
            case ThinkingBlock():
                yield Reasoning(block.content or "", block.additional_information)
            case ToolCallBlock():
                identity = block.tool_call_id or ""
                wanted = block.tool_kwargs
                arguments = wanted if isinstance(wanted, str) else json.dumps(wanted)
                yield ToolCall(identity, block.tool_name, arguments, state.get(identity, {}))
            case ImageBlock():
                yield _image(block, at)
            case CitableBlock():
                yield from _parts(block.content, state, at)
            case CachePoint() | CitationBlock():  # what it costs, and where it was found: not what is said
                continue
            case _:
                yield _file(block, at)


def _image(block: ImageBlock, where: str) -> Image | Foreign:
    if block.url is not None:
        image = image_of_url(str(block.url), block.detail)
        return image or Foreign(FORMAT, f"{where}.url", str(block.url))
    data = block.resolve_image(as_base64=True).read().decode()
    return Image(data=data, media_type=block.image_mimetype, detail=block.detail)


def _file(block: ContentBlock, where: str) -> Foreign:
    """A file in the form OpenAI's chat format has for it, by value; one by address, and a film, have none."""
    value: dict[str, JSON]
    if isinstance(block, AudioBlock) and block.url is None:
        data = block.resolve_audio(as_base64=True).read().decode()
        value = {"type": "input_audio", "input_audio": {"data": data, "format": block.format or "wav"}}
    elif isinstance(block, DocumentBlock) and block.url is None:
        value = {
            "type": "file",
            "file": {"filename": block.title or "document", "file_data": block.inline_url()},
        }
    else:
        return Foreign(FORMAT, f"{where}.{block.block_type}", None)
    return Foreign("openai-chat", f"{where}.{block.block_type}", value)


def _older_calls(calls: Sequence[Any], where: str) -> Iterator[ToolCall]:
    """Tool calls as LlamaIndex kept them before it had blocks for them: in OpenAI's form.

    Raises:
        InvalidRequest: One is of another form.
    """
    for index, call in enumerate(calls):
        told = cast("Mapping[str, Any]", call if isinstance(call, Mapping) else call.model_dump())
        function = cast("Mapping[str, str]", told.get("function") or {})
        if "name" not in function:
            raise InvalidRequest(
                f"{where}.additional_kwargs['tool_calls'][{index}] is no tool call in OpenAI's form."
            )
        yield ToolCall(told.get("id") or "", function["name"], function.get("arguments") or "")


def _result(message: ChatMessage, where: str) -> ToolResult | Foreign:
    parts = list(_parts(message.blocks, {}, where))
    texts = [part.text for part in parts if isinstance(part, Text)]
    if len(texts) < len(parts):
        return Foreign(FORMAT, f"{where}.blocks", None)
    told = message.additional_kwargs
    return ToolResult(told.get("tool_call_id") or "", "\n".join(texts), told.get("name"))
