"""Cohere's chat, version 2: messages much like OpenAI's, answers in blocks, a stream of named events.

Source: https://docs.cohere.com/reference/chat and https://docs.cohere.com/reference/chat-stream
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from resilient_ai.core.clock import SYSTEM_CLOCK, Clock
from resilient_ai.messages import JSON, Reply, Request
from resilient_ai.models.wire import Encoded
from resilient_ai.models.wire.cohere.names import FORMAT
from resilient_ai.models.wire.cohere.reply import decode_reply, encode_reply
from resilient_ai.models.wire.cohere.request_read import decode_request
from resilient_ai.models.wire.cohere.request_write import encode_request
from resilient_ai.models.wire.cohere.stream_read import CohereReader
from resilient_ai.models.wire.cohere.stream_write import CohereStreamEncoder
from resilient_ai.models.wire.sse import SSEDecoder

__all__ = ["FORMAT", "Cohere"]


@final
@dataclass(frozen=True, slots=True)
class Cohere:
    """The codec of Cohere's chat. Stateless; safe to share.

    Attributes:
        clock: Dates the identifiers of replies and streams this codec writes.
    """

    clock: Clock = field(default=SYSTEM_CLOCK, repr=False)

    @property
    def format(self) -> str:
        """`cohere`."""
        return FORMAT

    @property
    def stream_content_type(self) -> str:
        """`text/event-stream`."""
        return "text/event-stream"

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - other formats put both into the path
        """`/v2/chat`."""
        return "/v2/chat"

    def encode_request(self, request: Request, *, model: str, stream: bool) -> Encoded:
        """See `Codec.encode_request`."""
        return encode_request(request, model=model, stream=stream)

    def decode_request(self, body: Mapping[str, JSON]) -> Request:
        """See `Codec.decode_request`."""
        return decode_request(body)

    def decode_reply(self, body: bytes) -> Reply:
        """See `Codec.decode_reply`. A stream in place of a body is read as well."""
        return decode_reply(body)

    def encode_reply(self, reply: Reply, *, model: str) -> bytes:  # noqa: ARG002 - an answer does not name its model here
        """See `Codec.encode_reply`."""
        return encode_reply(reply, clock=self.clock)

    def stream_decoder(self) -> SSEDecoder:
        """A decoder for one streamed answer. A whole body in place of a stream is read as well."""
        return SSEDecoder(CohereReader(), decode_reply)

    def stream_encoder(self, *, model: str, include_usage: bool = True) -> CohereStreamEncoder:  # noqa: ARG002 - as above
        """An encoder for one streamed answer."""
        return CohereStreamEncoder(include_usage=include_usage, clock=self.clock)
