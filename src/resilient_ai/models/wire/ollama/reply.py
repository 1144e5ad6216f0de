"""The whole answer of Ollama, read and written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from resilient_ai.core.assembly import ReplyBuilder
from resilient_ai.core.clock import Clock
from resilient_ai.messages import JSON, Reply, ToolCall
from resilient_ai.models.wire import Malformed, Truncated
from resilient_ai.models.wire.arguments import object_of
from resilient_ai.models.wire.assembly import assemble
from resilient_ai.models.wire.jsonbody import JSONObject, decode_object, encode
from resilient_ai.models.wire.ollama.names import write_reason, write_usage
from resilient_ai.models.wire.ollama.stream_read import OllamaDecoder
from resilient_ai.models.wire.reported import reported_without_answer


def decode_reply(body: bytes) -> Reply:
    """See `Codec.decode_reply`. Several lines are a stream in place of a body."""
    try:
        answer = decode_object(body)
    except Malformed:
        if _begins_a_stream(body):
            return assemble(OllamaDecoder(), body)
        raise
    if "message" not in answer:
        raise reported_without_answer(answer) or Malformed("the answer holds no message")
    decoder = OllamaDecoder()
    decoder.line(answer)
    if not decoder.complete:
        raise Truncated("the answer is not done")
    builder = ReplyBuilder()
    for chunk in decoder.take():
        builder.add(chunk)
    return replace(builder.reply(flags=decoder.flags), raw=answer)


def _begins_a_stream(body: bytes) -> bool:
    """The first line is a whole one that says more will come; behind a last one nothing has any business."""
    first, end, _ = body.lstrip().partition(b"\n")
    try:
        return bool(end) and decode_object(first).get("done") is False
    except (Malformed, Truncated):
        return False


def encode_reply(reply: Reply, *, model: str, clock: Clock) -> bytes:
    """See `Codec.encode_reply`. A refusal, which has no place here, is written as text."""
    message: JSONObject = {"role": "assistant", "content": reply.text or reply.refusal or ""}
    thought = "".join(part.text for part in reply.reasoning)
    if thought:
        message["thinking"] = thought
    if reply.tool_calls:
        message["tool_calls"] = [written_call(call) for call in reply.tool_calls]
    end: JSONObject = {"done_reason": write_reason(reply.finish_reason), **write_usage(reply.usage)}
    return encode({**line(model, clock, message, done=True), **end})


def written_call(call: ToolCall) -> JSON:
    """A call as part of a message."""
    return {"id": call.id, "function": {"name": call.name, "arguments": object_of(call.arguments)}}


def line(model: str, clock: Clock, message: JSONObject, *, done: bool) -> JSONObject:
    """One line of an answer."""
    moment = datetime.fromtimestamp(clock.wall(), UTC).isoformat().replace("+00:00", "Z")
    return {"model": model, "created_at": moment, "message": message, "done": done}
