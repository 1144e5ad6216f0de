"""The whole answer of Cohere's chat, read and written."""

from __future__ import annotations

from collections.abc import Mapping

from resilient_ai.core.clock import Clock
from resilient_ai.messages import JSON, Reasoning, Reply, ToolCall
from resilient_ai.models.wire import Malformed
from resilient_ai.models.wire.assembly import assemble
from resilient_ai.models.wire.cohere.names import (
    PARTS_LEFT_OUT,
    THINKING,
    TOOL_PLAN,
    failure,
    finish_reason,
    read_usage,
    write_reason,
    write_usage,
)
from resilient_ai.models.wire.cohere.stream_read import CohereReader
from resilient_ai.models.wire.identifiers import answer_id, call_id
from resilient_ai.models.wire.jsonbody import JSONObject, decode_object, encode
from resilient_ai.models.wire.reported import reported, reported_without_answer
from resilient_ai.models.wire.shape import arguments_text, items, label, mapping, string
from resilient_ai.models.wire.sse import SSEDecoder, looks_like_events


def decode_reply(body: bytes) -> Reply:
    """See `Codec.decode_reply`."""
    if looks_like_events(body):
        return assemble(SSEDecoder(CohereReader(), decode_reply), body)
    answer = decode_object(body)
    message = answer.get("message")
    error = reported(answer) if isinstance(message, Mapping) else reported_without_answer(answer)
    if error is not None:
        raise error
    if not isinstance(message, Mapping) or not message:
        raise Malformed("the answer holds no message")
    told = string(answer.get("finish_reason"), "finish_reason")
    failed = failure(told, None)
    if failed is not None:
        raise failed
    return _reply(answer, message, told)


def _reply(answer: Mapping[str, JSON], message: Mapping[str, JSON], told: str) -> Reply:
    flags: list[str] = []
    answer_name = label(answer.get("id")) or None
    texts, thoughts = _content(message, flags)
    plan = string(message.get("tool_plan"), "message.tool_plan")
    if plan:
        thoughts.append(Reasoning(plan, {TOOL_PLAN: True}))
    calls = tuple(
        _call(call, answer_name, index)
        for index, call in enumerate(items(message.get("tool_calls"), "message.tool_calls"))
    )
    return Reply(
        text="".join(texts),
        tool_calls=calls,
        finish_reason=finish_reason(told, flags, called=bool(calls)),
        usage=read_usage(answer.get("usage"), flags),
        reasoning=tuple(thoughts),
        id=answer_name,
        flags=tuple(flags),
        raw=answer,
    )


def _content(message: Mapping[str, JSON], flags: list[str]) -> tuple[list[str], list[Reasoning]]:
    content = message.get("content")
    if isinstance(content, str):
        return [content], []
    texts: list[str] = []
    thoughts: list[Reasoning] = []
    for block in items(content, "message.content"):
        match block.get("type"):
            case "text":
                texts.append(string(block.get("text"), "message.content.text"))
            case "thinking":
                thought = string(block.get("thinking"), "message.content.thinking")
                if thought:
                    thoughts.append(Reasoning(thought, {THINKING: True}))
            case str():
                if PARTS_LEFT_OUT not in flags:
                    flags.append(PARTS_LEFT_OUT)
            case _:
                raise Malformed("a block of the content has no type")
    return texts, thoughts


def _call(call: Mapping[str, JSON], answer_name: str | None, index: int) -> ToolCall:
    function = mapping(call.get("function"), "tool_calls.function")
    name = string(function.get("name"), "tool_calls.function.name")
    return ToolCall(
        id=string(call.get("id"), "tool_calls.id") or call_id(answer_name, index, name),
        name=name,
        arguments=arguments_text(function.get("arguments"), "tool_calls.function.arguments"),
    )


def encode_reply(reply: Reply, *, clock: Clock) -> bytes:
    """See `Codec.encode_reply`. A refusal, which has no place here, is written as text."""
    content: list[JSON] = []
    plan = ""
    for part in reply.reasoning:
        if TOOL_PLAN in part.opaque:
            plan += part.text
        elif part.text:
            content.append({"type": "thinking", "thinking": part.text})
    text = reply.text or reply.refusal or ""
    if text or not reply.tool_calls:
        content.append({"type": "text", "text": text})
    message: JSONObject = {"role": "assistant"}
    if content:
        message["content"] = content
    if plan:
        message["tool_plan"] = plan
    if reply.tool_calls:
        message["tool_calls"] = [written_call(call) for call in reply.tool_calls]
    answer: JSONObject = {
        "id": reply.id or answer_id("", clock),
        "finish_reason": write_reason(reply.finish_reason),
        "message": message,
    }
    usage = write_usage(reply.usage)
    if usage is not None:
        answer["usage"] = usage
    return encode(answer)


def written_call(call: ToolCall) -> JSON:
    """A call as part of a message."""
    function: JSONObject = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}
