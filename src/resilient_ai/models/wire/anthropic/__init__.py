"""Anthropic's messages, and the servers that speak them.

Content is a list of blocks here, and a stream numbers them: a block begins, comes in pieces, and ends.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, final

from resilient_ai.core.clock import SYSTEM_CLOCK, Clock
from resilient_ai.messages import JSON, Reply, Request
from resilient_ai.models.wire import Encoded
from resilient_ai.models.wire.anthropic.names import FORMAT
from resilient_ai.models.wire.anthropic.reply import decode_reply, encode_reply
from resilient_ai.models.wire.anthropic.request_read import decode_request
from resilient_ai.models.wire.anthropic.request_write import encode_request
from resilient_ai.models.wire.anthropic.stream_read import MessagesReader
from resilient_ai.models.wire.anthropic.stream_write import MessagesStreamEncoder
from resilient_ai.models.wire.sse import SSEDecoder

__all__ = ["FORMAT", "Anthropic"]

DEFAULT_MAX_TOKENS: Final = 8192
"""The output bound of a request that names none; this format obliges one. The most that every model since Claude 3.5 takes.

Source: https://platform.claude.com/docs/en/about-claude/models/overview
"""


@final
@dataclass(frozen=True, slots=True)
class Anthropic:
    """The codec of Anthropic's messages. Stateless; safe to share.

    Attributes:
        default_max_tokens: The output bound of a request that names none.
        clock: Dates the replies and streams this codec writes.
    """

    default_max_tokens: int = DEFAULT_MAX_TOKENS
    clock: Clock = field(default=SYSTEM_CLOCK, repr=False)

    @property
    def format(self) -> str:
        """`anthropic`."""
        return FORMAT

    @property
    def stream_content_type(self) -> str:
        """`text/event-stream`."""
        return "text/event-stream"

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - other formats put both into the path
        """`/v1/messages`."""
        return "/v1/messages"

    def encode_request(self, request: Request, *, model: str, stream: bool) -> Encoded:
        """See `Codec.encode_request`."""
        return encode_request(request, model=model, stream=stream, default_max_tokens=self.default_max_tokens)

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
        reader = MessagesReader()
        return SSEDecoder(reader, decode_reply, reader)

    def stream_encoder(self, *, model: str, include_usage: bool = True) -> MessagesStreamEncoder:
        """An encoder for one streamed answer, under the name `model`."""
        return MessagesStreamEncoder(model, include_usage=include_usage, clock=self.clock)
