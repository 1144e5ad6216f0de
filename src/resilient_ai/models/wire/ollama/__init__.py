"""Ollama's chat: one JSON text a line, streamed unless told otherwise.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from resilient_ai.core.clock import SYSTEM_CLOCK, Clock
from resilient_ai.messages import JSON, Reply, Request
from resilient_ai.models.wire import Encoded
from resilient_ai.models.wire.ollama.names import FORMAT
from resilient_ai.models.wire.ollama.reply import decode_reply, encode_reply
from resilient_ai.models.wire.ollama.request_read import decode_request
from resilient_ai.models.wire.ollama.request_write import encode_request
from resilient_ai.models.wire.ollama.stream_read import OllamaDecoder
from resilient_ai.models.wire.ollama.stream_write import OllamaStreamEncoder

__all__ = ["FORMAT", "Ollama"]


@final
@dataclass(frozen=True, slots=True)
class Ollama:
    """The codec of Ollama's chat. Stateless; safe to share.

    Attributes:
        num_ctx: Size of the context window to load the model with, in tokens; None leaves it to the server.
        keep_alive: How long the model stays loaded afterwards: seconds, or text such as `10m`; None leaves it to the server.
        clock: Dates the replies and streams this codec writes.
    """

    num_ctx: int | None = None
    keep_alive: str | float | None = None
    clock: Clock = field(default=SYSTEM_CLOCK, repr=False)

    @property
    def format(self) -> str:
        """`ollama`."""
        return FORMAT

    @property
    def stream_content_type(self) -> str:
        """`application/x-ndjson`."""
        return "application/x-ndjson"

    def path(self, model: str, *, stream: bool) -> str:  # noqa: ARG002 - other formats put both into the path
        """`/api/chat`."""
        return "/api/chat"

    def encode_request(self, request: Request, *, model: str, stream: bool) -> Encoded:
        """See `Codec.encode_request`."""
        return encode_request(
            request, model=model, stream=stream, num_ctx=self.num_ctx, keep_alive=self.keep_alive
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

    def stream_decoder(self) -> OllamaDecoder:
        """A decoder for one streamed answer."""
        return OllamaDecoder()

    def stream_encoder(self, *, model: str, include_usage: bool = True) -> OllamaStreamEncoder:
        """An encoder for one streamed answer, under the name `model`."""
        return OllamaStreamEncoder(model, include_usage=include_usage, clock=self.clock)
