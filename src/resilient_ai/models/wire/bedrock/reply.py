"""The whole answer of Bedrock's Converse, read and written."""

from __future__ import annotations

from collections.abc import Mapping

from resilient_ai.messages import JSON, Reasoning, Reply, ToolCall
from resilient_ai.models.wire import Malformed
from resilient_ai.models.wire.arguments import object_of, text_of
from resilient_ai.models.wire.assembly import assemble
from resilient_ai.models.wire.bedrock.names import (
    PARTS_LEFT_OUT,
    READABLE,
    REDACTED,
    SIGNATURE,
    finish_reason,
    read_usage,
    write_reason,
    write_usage,
)
from resilient_ai.models.wire.bedrock.request_write import write_thought
from resilient_ai.models.wire.bedrock.stream_read import BedrockDecoder
from resilient_ai.models.wire.identifiers import call_id
from resilient_ai.models.wire.jsonbody import JSONObject, decode_object, encode
from resilient_ai.models.wire.reported import reported, reported_without_answer
from resilient_ai.models.wire.shape import items, mapping, string


def decode_reply(body: bytes) -> Reply:
    """See `Codec.decode_reply`."""
    if body[:1] == b"\0":  # the length of a frame: no text begins like this
        return assemble(BedrockDecoder(decode_reply), body)
    answer = decode_object(body)
    output = answer.get("output")
    message = output.get("message") if isinstance(output, Mapping) else None
    error = reported_without_answer(answer) if output is None else reported(answer)
    if error is not None:
        raise error
    if not isinstance(message, Mapping) or not isinstance(message.get("content"), (list, tuple)):
        raise Malformed("the answer holds no message")
    flags: list[str] = []
    texts: list[str] = []
    calls: list[ToolCall] = []
    thoughts: list[Reasoning] = []
    for block in items(message["content"], "content"):
        _read_block(block, texts, calls, thoughts, flags)
    return Reply(
        text="".join(texts),
        tool_calls=tuple(calls),
        finish_reason=finish_reason(
            string(answer.get("stopReason"), "stopReason"), flags, called=bool(calls)
        ),
        usage=read_usage(answer.get("usage"), flags),
        reasoning=tuple(thoughts),
        flags=tuple(flags),
        raw=answer,
    )


def _read_block(
    block: Mapping[str, JSON],
    texts: list[str],
    calls: list[ToolCall],
    thoughts: list[Reasoning],
    flags: list[str],
) -> None:
    if not block:
        raise Malformed("a block of the content is empty")
    if "text" in block:
        texts.append(string(block["text"], "content.text"))
    elif "toolUse" in block:
        fields = mapping(block["toolUse"], "content.toolUse")
        name = string(fields.get("name"), "toolUse.name")
        identity = string(fields.get("toolUseId"), "toolUse.toolUseId") or call_id(len(calls), name)
        calls.append(ToolCall(identity, name, text_of(fields.get("input"), "toolUse.input")))
    elif "reasoningContent" in block:
        thoughts.append(_thought(mapping(block["reasoningContent"], "content.reasoningContent")))
    elif PARTS_LEFT_OUT not in flags:
        flags.append(PARTS_LEFT_OUT)


def _thought(fields: Mapping[str, JSON]) -> Reasoning:
    if fields.get("redactedContent") is not None:
        return Reasoning("", {REDACTED: fields["redactedContent"]})
    text = mapping(fields.get("reasoningText"), "reasoningContent.reasoningText")
    signature = string(text.get("signature"), "reasoningText.signature")
    state: dict[str, JSON] = {SIGNATURE: signature} if signature else {READABLE: True}
    return Reasoning(string(text.get("text"), "reasoningText.text"), state)


def encode_reply(reply: Reply) -> bytes:
    """See `Codec.encode_reply`. A refusal is written as text as well; a thought that another provider gave is written without a proof."""
    content: list[JSON] = []
    for part in reply.reasoning:
        written = write_thought(part)
        if written is None and part.text:
            written = {"reasoningContent": {"reasoningText": {"text": part.text}}}
        if written is not None:
            content.append(written)
    text = reply.text or reply.refusal or ""
    if text or not reply.tool_calls:
        content.append({"text": text})
    for call in reply.tool_calls:
        fields: JSONObject = {"toolUseId": call.id, "name": call.name, "input": object_of(call.arguments)}
        content.append({"toolUse": fields})
    outcome = reply.outcome
    took = 0 if outcome is None else round(outcome.seconds * 1000)
    return encode(
        {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": write_reason(reply.finish_reason),
            "usage": write_usage(reply.usage),
            "metrics": {"latencyMs": took},
        }
    )
