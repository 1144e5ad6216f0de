"""Amazon Bedrock's Converse: one shape for every model it serves, streamed in binary frames.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final
from urllib.parse import quote

from resilient_ai.core.clock import SYSTEM_CLOCK, Clock
from resilient_ai.messages import JSON, Reply, Request
from resilient_ai.models.wire import Encoded
from resilient_ai.models.wire.bedrock.names import FORMAT
from resilient_ai.models.wire.bedrock.reply import decode_reply, encode_reply
from resilient_ai.models.wire.bedrock.request_read import decode_request
from resilient_ai.models.wire.bedrock.request_write import encode_request
from resilient_ai.models.wire.bedrock.stream_read import BedrockDecoder
from resilient_ai.models.wire.bedrock.stream_write import BedrockStreamEncoder

__all__ = ["FORMAT", "Bedrock"]


@final
@dataclass(frozen=True, slots=True)
class Bedrock:
    """The codec of Bedrock's Converse. Stateless; safe to share. Answers name neither themselves nor their model here.

    Attributes:
        clock: Dates the identifiers of calls this codec invents.
    """

    clock: Clock = field(default=SYSTEM_CLOCK, repr=False)

    @property
    def format(self) -> str:
        """`bedrock`."""
        return FORMAT

    @property
    def stream_content_type(self) -> str:
        """`application/vnd.amazon.eventstream`."""
        return "application/vnd.amazon.eventstream"

    def path(self, model: str, *, stream: bool) -> str:
        """`/model/MODEL/converse`, or `/model/MODEL/converse-stream`."""
        return f"/model/{quote(model, safe='')}/converse{'-stream' if stream else ''}"

    def encode_request(self, request: Request, *, model: str, stream: bool) -> Encoded:  # noqa: ARG002 - both stand in the path
        """See `Codec.encode_request`."""
        return encode_request(request)

    def decode_request(self, body: Mapping[str, JSON]) -> Request:
        """See `Codec.decode_request`."""
        return decode_request(body)

    def decode_reply(self, body: bytes) -> Reply:
        """See `Codec.decode_reply`. A stream in place of a body is read as well."""
        return decode_reply(body)

    def encode_reply(self, reply: Reply, *, model: str) -> bytes:  # noqa: ARG002 - an answer does not name its model here
        """See `Codec.encode_reply`."""
        return encode_reply(reply)

    def stream_decoder(self) -> BedrockDecoder:
        """A decoder for one streamed answer. A whole body in place of a stream is read as well."""
        return BedrockDecoder(decode_reply)

    def stream_encoder(self, *, model: str, include_usage: bool = True) -> BedrockStreamEncoder:  # noqa: ARG002 - as above
        """An encoder for one streamed answer."""
        return BedrockStreamEncoder(include_usage=include_usage, clock=self.clock)
