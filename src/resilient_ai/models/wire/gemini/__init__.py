"""Google's Gemini: generateContent and streamGenerateContent, of the Gemini API and of Vertex AI.

The model and the mode stand in the path. A turn is a list of parts; calls and their results carry names, and seldom identifiers.

Source: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final
from urllib.parse import quote

from resilient_ai.core.clock import SYSTEM_CLOCK, Clock
from resilient_ai.messages import JSON, Reply, Request
from resilient_ai.models.wire import Encoded
from resilient_ai.models.wire.gemini.names import FORMAT
from resilient_ai.models.wire.gemini.reply import decode_reply, encode_reply
from resilient_ai.models.wire.gemini.request_read import decode_request
from resilient_ai.models.wire.gemini.request_write import encode_request
from resilient_ai.models.wire.gemini.stream_read import GeminiReader
from resilient_ai.models.wire.gemini.stream_write import GeminiStreamEncoder
from resilient_ai.models.wire.sse import SSEDecoder

__all__ = ["FORMAT", "Gemini"]


@final
@dataclass(frozen=True, slots=True)
class Gemini:
    """The codec of Gemini. Stateless; safe to share.

    Attributes:
        clock: Dates the replies and streams this codec writes.
    """

    clock: Clock = field(default=SYSTEM_CLOCK, repr=False)

    @property
    def format(self) -> str:
        """`gemini`."""
        return FORMAT

    @property
    def stream_content_type(self) -> str:
        """`text/event-stream`."""
        return "text/event-stream"

    def path(self, model: str, *, stream: bool) -> str:
        """`/models/MODEL:generateContent`, or its streaming sister. A name with a folder (`tunedModels/mine`) keeps it."""
        name = quote(model if "/" in model else f"models/{model}")
        return f"/{name}:streamGenerateContent?alt=sse" if stream else f"/{name}:generateContent"

    def encode_request(self, request: Request, *, model: str, stream: bool) -> Encoded:  # noqa: ARG002 - the path says it
        """See `Codec.encode_request`."""
        return encode_request(request, model=model)

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
        """A decoder for one streamed answer. A list of responses in place of events is read as well."""
        return SSEDecoder(GeminiReader(), decode_reply)

    def stream_encoder(self, *, model: str, include_usage: bool = True) -> GeminiStreamEncoder:
        """An encoder for one streamed answer, under the name `model`."""
        return GeminiStreamEncoder(model, include_usage=include_usage, clock=self.clock)
