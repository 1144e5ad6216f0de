"""A whole body that a server sends although a stream was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from resilient_ai.messages import Chunk, Reply
from resilient_ai.models.wire import Malformed
from resilient_ai.models.wire.assembly import chunks_of
from resilient_ai.models.wire.jsonbody import MAX_BODY_BYTES


@final
class WholeBody:
    """Such a body as it comes. One per stream.

    Args:
        decode_reply: Reads it once it is there.
    """

    __slots__ = ("_data", "_decode_reply")

    def __init__(self, decode_reply: Callable[[bytes], Reply]) -> None:
        self._data = bytearray()
        self._decode_reply = decode_reply

    def add(self, data: bytes) -> None:
        """Takes more of it.

        Raises:
            Malformed: It is longer than a body may be.
        """
        self._data += data
        if len(self._data) > MAX_BODY_BYTES:
            raise Malformed("the body is longer than the limit")

    def read(self, out: list[Chunk], flags: list[str]) -> None:
        """Appends its answer to `out`, and the answer's oddities to `flags`.

        Raises:
            WireError: What `decode_reply` raises.
        """
        reply = self._decode_reply(bytes(self._data))
        flags += reply.flags
        out += chunks_of(reply)
