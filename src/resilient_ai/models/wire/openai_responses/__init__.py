"""OpenAI's responses, and the servers that speak them.

The format of a conversation as a list of items: messages, function calls, their outputs, reasoning. Items of one answer become one
turn here, and a turn becomes its items again.

Source: https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from resilient_ai.core.clock import SYSTEM_CLOCK, Clock
from resilient_ai.messages import JSON, Reply, Request
from resilient_ai.models.wire import Encoded
from resilient_ai.models.wire.openai_responses.names import FORMAT
from resilient_ai.models.wire.openai_responses.reply import decode_reply, encode_reply
from resilient_ai.models.wire.openai_responses.request_read import decode_request
from resilient_ai.models.wire.openai_responses.request_write import encode_request
from resilient_ai.models.wire.openai_responses.stream_read import ResponsesReader
from resilient_ai.models.wire.openai_responses.stream_write import ResponsesStreamEncoder
from resilient_ai.models.wire.sse import SSEDecoder

__all__ = ["FORMAT", "OpenAIResponses"]


@final
@dataclass(frozen=True, slots=True)
class OpenAIResponses:
    """The codec of responses. Stateless; safe to share.

    Attributes:
        clock: Dates the replies and streams this codec writes.
    """

    clock: Clock = field(default=SYSTEM_CLOCK, repr=False)

    @property
    def format(self) -> str:
        """`openai-responses`."""
        return FORMAT

    @property
    def stream_content_type(self) -> str:
        """`text/event-stream`."""
        return "text/event-stream"

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - other formats put both into the path
        """`/responses`."""
        return "/responses"

    def encode_request(self, request: Request, *, model: str, stream: bool) -> Encoded:
        """See `Codec.encode_request`."""
        return encode_request(request, model=model, stream=stream)

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
        reader = ResponsesReader()
        return SSEDecoder(reader, decode_reply, reader)

    def stream_encoder(self, *, model: str, include_usage: bool = True) -> ResponsesStreamEncoder:
        """An encoder for one streamed answer, under the name `model`."""
        return ResponsesStreamEncoder(model, include_usage=include_usage, clock=self.clock)
