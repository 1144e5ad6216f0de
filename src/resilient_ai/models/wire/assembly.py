"""From a whole streamed body to an answer, and from an answer to chunks."""

from __future__ import annotations

from resilient_ai.core.assembly import ReplyBuilder
from resilient_ai.messages import UNKNOWN_USAGE, Chunk, Reply, ToolCallDelta, Usage
from resilient_ai.models.wire import StreamDecoder


def assemble(decoder: StreamDecoder, body: bytes) -> Reply:
    """The answer in a whole stream.

    Raises:
        WireError: What the decoder raises.
    """
    builder = ReplyBuilder()
    for chunk in decoder.feed(body):
        builder.add(chunk)
    for chunk in decoder.end():
        builder.add(chunk)
    return builder.reply()


def chunks_of(reply: Reply) -> list[Chunk]:
    """The answer as a stream in few pieces, which `ReplyBuilder` puts together again."""
    usage: Usage | None = None if reply.usage == UNKNOWN_USAGE else reply.usage
    chunks = [Chunk(model=reply.model or None, id=reply.id)] if reply.model or reply.id else []
    chunks += [Chunk(reasoning=part.text, opaque=part.opaque) for part in reply.reasoning]
    if reply.text:
        chunks.append(Chunk(text=reply.text))
    if reply.refusal:
        chunks.append(Chunk(refusal=reply.refusal))
    chunks += [
        Chunk(tool_call=ToolCallDelta(index, call.id, call.name, call.arguments, call.opaque))
        for index, call in enumerate(reply.tool_calls)
    ]
    chunks.append(Chunk(finish_reason=reply.finish_reason, usage=usage))
    return chunks
