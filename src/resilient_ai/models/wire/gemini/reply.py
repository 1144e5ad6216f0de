"""The whole answer of Gemini, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from resilient_ai.core.assembly import ReplyBuilder
from resilient_ai.core.clock import Clock
from resilient_ai.messages import JSON, Chunk, Reply
from resilient_ai.models.wire import Malformed, Truncated
from resilient_ai.models.wire.assembly import assemble
from resilient_ai.models.wire.gemini.names import (
    NO_FINISH_REASON,
    TEXT_SIGNATURE,
    WRITTEN,
    needs_signatures,
    write_usage,
)
from resilient_ai.models.wire.gemini.parts import Fields, call_parts, thought_part
from resilient_ai.models.wire.gemini.stream_read import GeminiReader
from resilient_ai.models.wire.identifiers import answer_id
from resilient_ai.models.wire.jsonbody import decode, encode
from resilient_ai.models.wire.reported import reported_without_answer
from resilient_ai.models.wire.sse import SSEDecoder, looks_like_events


def decode_reply(body: bytes) -> Reply:
    """See `Codec.decode_reply`. A list of responses is a stream that nobody asked to be framed as events."""
    if looks_like_events(body):
        return assemble(SSEDecoder(GeminiReader(), decode_reply), body)
    answer = decode(body)
    if isinstance(answer, Mapping):
        reply = _read([answer], streamed=False)
        return replace(reply, raw=answer)
    if not isinstance(answer, (list, tuple)):
        raise Malformed("the JSON text is not an object")
    reply = _read([_response(entry) for entry in answer], streamed=True)
    return replace(reply, raw={"responses": answer})


def _response(entry: JSON) -> Mapping[str, JSON]:
    if isinstance(entry, Mapping):
        return entry
    raise Malformed("an entry of the list is not a response")


def _read(responses: list[Mapping[str, JSON]], *, streamed: bool) -> Reply:
    reader = GeminiReader()
    chunks: list[Chunk] = []
    for response in responses:
        reader.response(response, chunks)
    if not reader.answered:
        error = reported_without_answer(responses[0]) if responses else None
        raise error or Malformed("the answer holds no candidates")
    if not reader.finished:
        if streamed:
            raise Truncated("the stream ended before its finish reason")
        if not any(chunk.has_content or chunk.opaque for chunk in chunks):
            raise Malformed("the candidate holds nothing")
        reader.flags.append(NO_FINISH_REASON)
    builder = ReplyBuilder()
    for chunk in chunks:
        builder.add(chunk)
    return builder.reply(flags=tuple(reader.flags))


def encode_reply(reply: Reply, *, model: str, clock: Clock) -> bytes:
    """See `Codec.encode_reply`. A refusal, which has no place here, is written as text."""
    parts: list[Fields] = []
    signature: JSON = None
    for thought in reply.reasoning:
        if TEXT_SIGNATURE in thought.opaque:
            signature = thought.opaque[TEXT_SIGNATURE]
        elif thought.text:
            parts.append(thought_part(thought))
    text = reply.text or reply.refusal or ""
    if text or signature is not None:
        parts.append({"text": text} if signature is None else {"text": text, "thoughtSignature": signature})
    parts += call_parts(reply.tool_calls, signed=needs_signatures(model), with_ids=True)
    body = frame(reply.id or answer_id("", clock), model, parts, WRITTEN[reply.finish_reason])
    usage = write_usage(reply.usage)
    if usage is not None:
        body["usageMetadata"] = usage
    return encode(body)


def frame(identity: str, model: str, parts: list[Fields], finish: str | None = None) -> Fields:
    """One response."""
    candidate: Fields = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": model, "responseId": identity}
