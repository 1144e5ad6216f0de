"""The whole answer of Anthropic's messages, read and written."""

from __future__ import annotations

from collections.abc import Mapping

from resilient_ai.core.clock import Clock
from resilient_ai.messages import JSON, Reasoning, Reply, ToolCall
from resilient_ai.models.wire import Malformed
from resilient_ai.models.wire.anthropic.names import (
    CALL_STATE_FIELDS,
    PARTS_LEFT_OUT,
    REDACTED,
    SIGNATURE,
    WRITTEN,
    finish_reason,
    read_usage,
    refusal_text,
    stop_details,
    write_usage,
)
from resilient_ai.models.wire.anthropic.stream_read import MessagesReader
from resilient_ai.models.wire.arguments import object_of, text_of
from resilient_ai.models.wire.assembly import assemble
from resilient_ai.models.wire.identifiers import answer_id, call_id
from resilient_ai.models.wire.jsonbody import decode_object, encode
from resilient_ai.models.wire.reported import reported, reported_without_answer
from resilient_ai.models.wire.shape import items, label, string
from resilient_ai.models.wire.sse import SSEDecoder, looks_like_events


def decode_reply(body: bytes) -> Reply:
    """See `Codec.decode_reply`."""
    if looks_like_events(body):
        return assemble(SSEDecoder(MessagesReader(), decode_reply), body)
    answer = decode_object(body)
    content = answer.get("content")
    error = reported_without_answer(answer) if content is None else reported(answer)
    if error is not None:
        raise error
    if not isinstance(content, list):
        raise Malformed("the answer holds no content")
    return _reply(answer, items(content, "content"))


def _reply(answer: Mapping[str, JSON], content: list[Mapping[str, JSON]]) -> Reply:
    flags: list[str] = []
    texts: list[str] = []
    calls: list[ToolCall] = []
    thoughts: list[Reasoning] = []
    answer_name = label(answer.get("id")) or None
    for block in content:
        match block.get("type"):
            case "text":
                texts.append(string(block.get("text"), "content.text"))
            case "tool_use":
                calls.append(_call(block, answer_name, len(calls)))
            case "thinking":
                thoughts.append(_thought(block))
            case "redacted_thinking":
                thoughts.append(Reasoning("", {REDACTED: block.get("data")}))
            case str() if PARTS_LEFT_OUT not in flags:
                flags.append(PARTS_LEFT_OUT)
            case str():
                pass
            case _:
                raise Malformed("a block of the content has no type")
    told = string(answer.get("stop_reason"), "stop_reason")
    return Reply(
        text="".join(texts),
        tool_calls=tuple(calls),
        finish_reason=finish_reason(told, flags, called=bool(calls)),
        usage=read_usage(answer.get("usage"), flags),
        model=label(answer.get("model")),
        reasoning=tuple(thoughts),
        refusal=refusal_text(answer.get("stop_details")),
        id=answer_name,
        flags=tuple(flags),
        raw=answer,
    )


def _call(block: Mapping[str, JSON], answer_name: str | None, index: int) -> ToolCall:
    name = string(block.get("name"), "tool_use.name")
    return ToolCall(
        id=string(block.get("id"), "tool_use.id") or call_id(answer_name, index, name),
        name=name,
        arguments=text_of(block.get("input"), "tool_use.input"),
        opaque={key: block[key] for key in CALL_STATE_FIELDS if block.get(key) is not None},
    )


def _thought(block: Mapping[str, JSON]) -> Reasoning:
    signature = string(block.get(SIGNATURE), "thinking.signature")
    return Reasoning(
        string(block.get("thinking"), "thinking.thinking"), {SIGNATURE: signature} if signature else {}
    )


def encode_reply(reply: Reply, *, model: str, clock: Clock) -> bytes:
    """See `Codec.encode_reply`.

    A refusal is written as text as well: whoever reads the first block finds it. A thought that Anthropic did not sign is left
    out: sent back, it would fail the next request.
    """
    content: list[JSON] = []
    for part in reply.reasoning:
        if REDACTED in part.opaque:
            content.append({"type": "redacted_thinking", "data": part.opaque[REDACTED]})
        elif SIGNATURE in part.opaque:
            content.append({"type": "thinking", "thinking": part.text, "signature": part.opaque[SIGNATURE]})
    text = reply.text or reply.refusal or ""
    if text or not reply.tool_calls:
        content.append({"type": "text", "text": text})
    content += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": object_of(call.arguments)}
        for call in reply.tool_calls
    ]
    return encode(
        {
            "id": reply.id or answer_id("msg_", clock),
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": content,
            "stop_reason": WRITTEN[reply.finish_reason],
            "stop_sequence": None,
            "stop_details": stop_details(reply.finish_reason, reply.refusal),
            "usage": write_usage(reply.usage),
        }
    )
