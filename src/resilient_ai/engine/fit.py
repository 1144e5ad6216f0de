"""Whether a model may take a request at all, before time or health are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from resilient_ai.messages import Image, Message, Reasoning, Request, Text, ToolCall, ToolResult

if TYPE_CHECKING:
    from resilient_ai.core.model import Traits

BYTES_PER_TOKEN: Final = 4.0
"""UTF-8 bytes a token of English prose or code holds, by the large vendors' own rule of thumb."""
SAFETY: Final = 1.15
"""Factor on the estimate: a request just above its window costs a refused attempt, one just below costs nothing."""
MESSAGE_TOKENS: Final = 6
IMAGE_TOKENS: Final = 1000
"""About what a picture of a megapixel costs at the large vendors."""


def estimated_tokens(request: Request) -> int:
    """Input tokens `request` will take, estimated without a tokenizer, on the high side."""
    size = 0
    tokens = 0
    for message in request.messages:
        tokens += MESSAGE_TOKENS
        for part in message.parts:
            if isinstance(part, Text | Reasoning):
                size += _bytes(part.text)
            elif isinstance(part, ToolCall):
                size += _bytes(part.arguments) + len(part.name)
            elif isinstance(part, ToolResult):
                size += _bytes(part.content)
            elif isinstance(part, Image):
                tokens += IMAGE_TOKENS
            else:
                size += len(repr(part.value))
    for tool in request.tools:
        size += len(tool.name) + len(tool.description or "") + len(repr(tool.parameters))
    return tokens + int(size / BYTES_PER_TOKEN * SAFETY)


def misfit(traits: Traits, request: Request, tokens: int | None, at_least: int) -> str | None:
    """Why a model with `traits` cannot take `request`, or None if it can.

    Args:
        traits: The model's.
        request: What is asked.
        tokens: The estimate for `request`, or None where no model declares a window.
        at_least: Context another model of this call already overflowed; only a larger window may try.
    """
    if (
        request.data_class is not None
        and traits.data_classes is not None
        and request.data_class not in traits.data_classes
    ):
        return "data_class"
    window = traits.context_tokens
    if at_least and not traits.stand_in and (window is None or window <= at_least):
        return "context"
    if window is not None and tokens is not None and tokens + (request.max_tokens or 0) > window:
        return "context"
    return None


def with_feedback(request: Request, draft: str, problem: str) -> Request:
    """`request` with an answer that did not fit and what is wrong with it, to be asked again."""
    from dataclasses import replace

    said = (Message("assistant", (Text(draft),)),) if draft else ()
    correction = Message(
        "user",
        (
            Text(
                f"That answer was not valid: {problem} Answer again, with the complete corrected answer only."
            ),
        ),
    )
    return replace(request, messages=(*request.messages, *said, correction))


def with_prefix(request: Request, partial: str) -> Request:
    """`request` with the beginning of its answer, for another model to go on from."""
    from dataclasses import replace

    if not partial:
        return request
    return replace(request, messages=(*request.messages, Message("assistant", (Text(partial),))))


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
