"""OpenAI's chat completions, and the many servers that speak it.

Read liberally: fields that nobody promised are ignored, and the habits of the compatible servers (Azure, Groq, Mistral,
OpenRouter, Together, DeepSeek, vLLM, llama-server, ...) are known by their shape, never by the provider's name. Written strictly: as
OpenAI's own client expects it.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, final

from resilient_ai.core.clock import SYSTEM_CLOCK, Clock
from resilient_ai.messages import JSON, Reply, Request
from resilient_ai.models.wire import Encoded
from resilient_ai.models.wire.openai_chat.names import FORMAT
from resilient_ai.models.wire.openai_chat.reply import decode_reply, encode_reply
from resilient_ai.models.wire.openai_chat.request_read import decode_request
from resilient_ai.models.wire.openai_chat.request_write import encode_request
from resilient_ai.models.wire.openai_chat.stream_read import ChatReader
from resilient_ai.models.wire.openai_chat.stream_write import ChatStreamEncoder
from resilient_ai.models.wire.sse import SSEDecoder

__all__ = ["FORMAT", "OpenAIChat"]


@final
@dataclass(frozen=True, slots=True)
class OpenAIChat:
    """The codec of chat completions. Stateless; safe to share.

    Attributes:
        max_tokens_field: Under which name a token limit is sent. OpenAI's newer models refuse `max_tokens`; many compatible
            servers know nothing else.
        stream_usage: Ask for token counts at the end of a stream. A few compatible servers refuse the option.
        clock: Dates the replies and streams this codec writes.
    """

    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    stream_usage: bool = True
    clock: Clock = field(default=SYSTEM_CLOCK, repr=False)

    @property
    def format(self) -> str:
        """`openai-chat`."""
        return FORMAT

    @property
    def stream_content_type(self) -> str:
        """`text/event-stream`."""
        return "text/event-stream"

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - other formats put both into the path
        """`/chat/completions`."""
        return "/chat/completions"

    def encode_request(self, request: Request, *, model: str, stream: bool) -> Encoded:
        """See `Codec.encode_request`."""
        return encode_request(
            request,
            model=model,
            stream=stream,
            max_tokens_field=self.max_tokens_field,
            stream_usage=self.stream_usage,
        )

    def decode_request(self, body: Mapping[str, JSON]) -> Request:
        """See `Codec.decode_request`."""
        return decode_request(body)

    def decode_reply(self, body: bytes) -> Reply:
        """See `Codec.decode_reply`. A stream in place of a body is read as well."""
        return decode_reply(body)

    def encode_reply(self, reply: Reply, *, model: str) -> bytes:
        """See `Codec.encode_reply`."""
        return encode_reply(reply, model=model, clock=self.clock)

    def stream_decoder(self) -> SSEDecoder:
        """A decoder for one streamed answer. A whole body in place of a stream is read as well."""
        reader = ChatReader()
        return SSEDecoder(reader, decode_reply, reader)

    def stream_encoder(self, *, model: str, include_usage: bool = True) -> ChatStreamEncoder:
        """An encoder for one streamed answer, under the name `model`."""
        return ChatStreamEncoder(model, include_usage=include_usage, clock=self.clock)
