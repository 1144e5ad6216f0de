"""LangChain's messages as ours.

Content is read by `content_blocks`, which understands LangChain's standard blocks and what older code and other integrations left in a history.
A block that no message of ours has a form for becomes `Foreign`: whoever cannot take it is passed over, with its place in the conversation named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_openai_data_block,
)

from resilient_ai.errors import InvalidRequest
from resilient_ai.frameworks.langchain.names import CALL_STATE, FORMAT
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

_ROLES: Final[Mapping[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}
_CALLS: Final = frozenset({"tool_call", "invalid_tool_call", "tool_call_chunk", "tool_use"})
"""Blocks that repeat what `AIMessage.tool_calls` says."""
_OPENAI_ONLY: Final = frozenset({"file", "audio"})
"""Blocks that OpenAI's chat format has a form for, and no other."""


def messages_of(messages: Sequence[BaseMessage]) -> tuple[Message, ...]:
    """The conversation, in order.

    Raises:
        InvalidRequest: A message is of a kind that no model is sent.
    """
    return tuple(_message(message, f"messages[{index}]") for index, message in enumerate(messages))


def _message(message: BaseMessage, where: str) -> Message:
    if isinstance(message, ToolMessage):
        return Message("tool", (_result(message, where),))
    role = _role(message, where)
    parts = list(_parts(message, where))
    if isinstance(message, AIMessage):
        parts += _calls(message)
    return Message(role, tuple(parts), message.name)


def _role(message: BaseMessage, where: str) -> Role:
    if isinstance(message, AIMessage):
        return "assistant"
    if isinstance(message, HumanMessage):
        return "user"
    if isinstance(message, SystemMessage):
        return "system"
    role = _ROLES.get(message.role) if isinstance(message, ChatMessage) else None
    if role is None:
        raise InvalidRequest(
            f"{where} is a {type(message).__name__}; give SystemMessage, HumanMessage, AIMessage or ToolMessage."
        )
    return role


def _parts(message: BaseMessage, where: str) -> Iterator[Part]:
    if isinstance(message.content, str) and not isinstance(message, AIMessage):
        yield Text(message.content)
        return
    for index, block in enumerate(message.content_blocks):
        part = _part(cast("Mapping[str, Any]", block), f"{where}.content[{index}]")
        if part is not None:
            yield part


def _part(block: Mapping[str, Any], where: str) -> Part | None:
    kind = block["type"]
    if kind == "non_standard":
        block = cast("Mapping[str, Any]", block["value"])
        kind = block.get("type", kind)
    if kind in _CALLS:
        return None
    match kind:
        case "text":
            return Text(block.get("text") or "")
        case "text-plain" if block.get("text") is not None:  # by address or in base64 it is a file
            return Text(block["text"])
        case "reasoning":
            return Reasoning(block.get("reasoning") or "", block.get("extras") or {})
        case "thinking":
            signature = block.get("signature")
            return Reasoning(block.get("thinking") or "", {"signature": signature} if signature else {})
        case "redacted_thinking" if block.get("data"):
            return Reasoning("", {kind: block["data"]})  # Anthropic's, under the name its format keeps it by
        case "image" | "image_url":
            image = _image(block)
            return image or Foreign(FORMAT, f"{where}.{kind}", dict(block))
        case _:
            return _foreign(kind, block, where)


def _image(block: Mapping[str, Any]) -> Image | None:
    detail = cast("Mapping[str, Any]", block.get("extras") or {}).get("detail")
    if block.get("base64"):
        return Image(data=block["base64"], media_type=block.get("mime_type"), detail=detail)
    address = block.get("url") or block.get("image_url")
    return image_of_url(address, detail) if isinstance(address, str) else None


def _foreign(kind: str, block: Mapping[str, Any], where: str) -> Foreign:
    if kind in _OPENAI_ONLY:
        try:
            value = convert_to_openai_data_block(dict(block))
        except ValueError:  # by address, which OpenAI's chat format does not take
            return Foreign(FORMAT, f"{where}.{kind}", dict(block))
        return Foreign("openai-chat", f"{where}.{kind}", cast("JSON", value))
    return Foreign(FORMAT, f"{where}.{kind}", dict(block))


def _calls(message: AIMessage) -> Iterator[ToolCall]:
    state = cast("Mapping[str, Mapping[str, JSON]]", message.additional_kwargs.get(CALL_STATE) or {})
    for call in message.tool_calls:
        identity = call["id"] or ""
        yield ToolCall(identity, call["name"], json.dumps(call["args"]), state.get(identity, {}))
    for broken in message.invalid_tool_calls:
        yield ToolCall(broken["id"] or "", broken["name"] or "", broken["args"] or "")


def _result(message: ToolMessage, where: str) -> ToolResult | Foreign:
    parts = list(_parts(message, where))
    texts = [part.text for part in parts if isinstance(part, Text)]
    if len(texts) < len(parts):
        return Foreign(FORMAT, f"{where}.content", message.model_dump(mode="json"))
    return ToolResult(message.tool_call_id, "".join(texts), message.name, message.status == "error")
