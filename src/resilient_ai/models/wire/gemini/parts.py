"""The parts of a turn as Gemini writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from resilient_ai.messages import JSON, Image, Reasoning, ToolCall
from resilient_ai.models.wire import Unportable
from resilient_ai.models.wire.arguments import object_of
from resilient_ai.models.wire.gemini.names import CALL_ID, SIGNATURE, THOUGHT, UNSIGNED

Fields = dict[str, JSON]

_MEDIA_TYPES: Final[Mapping[str, str]] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
}


def media_type_of(url: str) -> str | None:
    """The media type of a picture, by the ending of its address."""
    return _MEDIA_TYPES.get(urlsplit(url).path.rpartition(".")[2].lower())


def image_part(image: Image, where: str) -> Fields:
    """A picture, by value or by address."""
    if image.data is not None:
        return {"inlineData": {"mimeType": image.media_type or "image/png", "data": image.data}}
    if image.url is None:
        raise Unportable(where, "a picture has neither an address nor data")
    media_type = image.media_type or media_type_of(image.url)
    found: Fields = {} if media_type is None else {"mimeType": media_type}
    return {"fileData": {**found, "fileUri": image.url}}


def thought_part(thought: Reasoning) -> Fields:
    """A thought as a part of its own."""
    body: Fields = {"text": thought.text, "thought": True}
    if SIGNATURE in thought.opaque:
        body[SIGNATURE] = thought.opaque[SIGNATURE]
    return body


def is_own_thought(thought: Reasoning) -> bool:
    """It came from Gemini, as a part of its own."""
    return THOUGHT in thought.opaque


def call_parts(calls: Sequence[ToolCall], *, signed: bool, with_ids: bool) -> list[Fields]:
    """The calls of one turn.

    Args:
        calls: The calls, in order.
        signed: The model that reads them refuses a turn whose first call carries no signature.
        with_ids: Write every identifier, not only those Gemini gave itself.
    """
    parts: list[Fields] = []
    for index, call in enumerate(calls):
        inner: Fields = {"name": call.name, "args": object_of(call.arguments)}
        if with_ids or CALL_ID in call.opaque:
            inner["id"] = call.id
        part: Fields = {"functionCall": inner}
        if SIGNATURE in call.opaque:
            part[SIGNATURE] = call.opaque[SIGNATURE]
        elif signed and index == 0:
            part[SIGNATURE] = UNSIGNED
        parts.append(part)
    return parts
