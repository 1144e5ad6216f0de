"""pydantic-ai's message history as ours.

Files that no message of ours has a form for become `Foreign`: whoever cannot take one is passed over, with its place named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    BinaryContent,
    CachePoint,
    ImageUrl,
    InstructionPart,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)

from resilient_ai.frameworks.pydantic_ai.names import FORMAT, STATE, SYSTEM
from resilient_ai.messages import JSON, Foreign, Image, Message, Part, Reasoning, Text, ToolCall, ToolResult
from resilient_ai.models.wire.images import image_of_url

_ANTHROPIC: Final = "anthropic"
"""Whose signatures pydantic-ai's own model leaves on a thought; a history it began can be continued here."""


def messages_of(
    messages: Sequence[ModelMessage], instructions: Sequence[InstructionPart]
) -> tuple[Message, ...]:
    """The conversation, in order, with the instructions behind the system prompts it begins with.

    Raises:
        UserError: A part was not put through `Model.prepare_messages`, which an `Agent` does by itself.
    """
    turns: list[Message] = []
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if isinstance(message, ModelRequest):
            turns += _request(message, where)
        else:
            parts = tuple(_answered(message))
            turns += [Message("assistant", parts)] if parts else []
    begins = next((at for at, turn in enumerate(turns) if turn.role != "system"), len(turns))
    turns[begins:begins] = [Message("system", (Text(part.content),)) for part in instructions]
    return tuple(turns)


def _request(message: ModelRequest, where: str) -> Iterator[Message]:
    files: list[UserContent] = []
    for index, part in enumerate(message.parts):
        yield _part(part, f"{where}.parts[{index}]", files)
    if (
        files
    ):  # a tool result is text; what else a tool returned follows as the user's, as pydantic-ai words it
        yield Message("user", tuple(_content(files, f"{where}.files")))


def _part(part: ModelRequestPart, where: str, files: list[UserContent]) -> Message:
    match part:
        case SystemPromptPart():
            return Message("system", (Text(part.content),))
        case UserPromptPart():
            content = [part.content] if isinstance(part.content, str) else part.content
            return Message("user", tuple(_content(content, where)))
        case ToolReturnPart():
            text, returned = part.model_response_str_and_user_content()
            files += returned
            failed = part.outcome != "success"
            return Message("tool", (ToolResult(part.tool_call_id, text, part.tool_name, is_error=failed),))
        case _:
            raise UserError(
                f"{where} is a {type(part).__name__}, which no model is sent; call `prepare_messages` first, as an Agent does."
            )


def _content(content: Sequence[UserContent], where: str) -> Iterator[Part]:
    for index, item in enumerate(content):
        at = f"{where}.content[{index}]"
        match item:
            case str():
                yield Text(item)
            case TextContent():
                yield Text(item.content)
            case CachePoint():  # where to cut a prompt for a cache: it changes what an answer costs, not what it says
                continue
            case ImageUrl():
                image = image_of_url(item.url, _detail(item.vendor_metadata))
                yield image or Foreign(FORMAT, f"{at}.image", item.url)
            case BinaryContent():
                yield _binary(item, at)
            case _:
                yield Foreign(FORMAT, f"{at}.{item.kind}", None)


def _binary(item: BinaryContent, where: str) -> Part:
    if item.is_image:
        return Image(data=item.base64, media_type=item.media_type, detail=_detail(item.vendor_metadata))
    if item.media_type.startswith("text/"):
        return Text(item.data.decode(errors="replace"))
    value: dict[str, JSON]
    if item.is_audio:
        value = {"type": "input_audio", "input_audio": {"data": item.base64, "format": item.format}}
    elif item.is_document:
        name = f"{item.identifier}.{item.format}"
        value = {"type": "file", "file": {"filename": name, "file_data": item.data_uri}}
    else:
        return Foreign(FORMAT, f"{where}.{item.media_type}", None)
    return Foreign("openai-chat", f"{where}.{value['type']}", value)


def _detail(metadata: Mapping[str, Any] | None) -> str | None:
    return (metadata or {}).get("detail")


def _answered(message: ModelResponse) -> Iterator[Part]:
    """An answer. What a provider's own tools did in it, and files it made, stay behind: they belong to who made them."""
    for part in message.parts:
        match part:
            case TextPart():
                if part.content:
                    yield Text(part.content)
            case ThinkingPart():
                yield Reasoning(part.content, _thought_state(part))
            case ToolCallPart():
                yield ToolCall(part.tool_call_id, part.tool_name, part.args_as_json_str(), _state(part))
            case _:
                continue


def _thought_state(part: ThinkingPart) -> Mapping[str, JSON]:
    if part.signature and part.provider_name == _ANTHROPIC:
        return {"signature": part.signature}
    return _state(part)


def _state(part: ThinkingPart | ToolCallPart) -> Mapping[str, JSON]:
    if part.provider_name != SYSTEM:
        return {}
    return cast("Mapping[str, JSON]", (part.provider_details or {}).get(STATE) or {})
