"""The whole answer of a response, read and written."""

from __future__ import annotations

from collections.abc import Mapping

from resilient_ai.core.clock import Clock
from resilient_ai.messages import JSON, Reasoning, Reply, ToolCall
from resilient_ai.models.wire import Malformed
from resilient_ai.models.wire.assembly import assemble
from resilient_ai.models.wire.identifiers import answer_id, call_id
from resilient_ai.models.wire.jsonbody import decode_object, encode
from resilient_ai.models.wire.openai_responses.items import call_item, frame, message_item, reasoning_item
from resilient_ai.models.wire.openai_responses.names import (
    CALL_STATE_FIELDS,
    REASONING_ITEM,
    UNFINISHED,
    failure,
    finish_reason,
    message_texts,
    output_items,
    read_usage,
    reasoning_text,
    write_status,
    write_usage,
)
from resilient_ai.models.wire.openai_responses.stream_read import ResponsesReader
from resilient_ai.models.wire.reported import reported_without_answer
from resilient_ai.models.wire.shape import arguments_text, label, string
from resilient_ai.models.wire.sse import SSEDecoder, looks_like_events


def decode_reply(body: bytes) -> Reply:
    """See `Codec.decode_reply`."""
    if looks_like_events(body):
        return assemble(SSEDecoder(ResponsesReader(), decode_reply), body)
    answer = decode_object(body)
    error = None if "output" in answer else reported_without_answer(answer)
    error = error or failure(answer)
    if error is not None:
        raise error
    return reply_of(answer)


def reply_of(answer: Mapping[str, JSON]) -> Reply:
    """The answer in a response object that reports no error."""
    output = output_items(answer)
    if not output and answer.get("status") in (None, "completed"):
        raise Malformed("the answer holds no output")
    texts: list[str] = []
    refusals: list[str] = []
    calls: list[ToolCall] = []
    thoughts: list[Reasoning] = []
    for item in output:
        kind = item.get("type")
        if kind == "message":
            text, refused = message_texts(item)
            texts.append(text)
            refusals.append(refused)
        elif kind == "function_call":
            calls.append(_read_call(item, answer.get("id"), len(calls)))
        elif kind == "reasoning":
            thoughts.append(Reasoning(reasoning_text(item), {REASONING_ITEM: item}))
    refusal = "".join(refusals) or None
    flags: list[str] = []
    if answer.get("status") not in (None, "completed", "incomplete"):
        flags.append(UNFINISHED)
    return Reply(
        text="".join(texts),
        tool_calls=tuple(calls),
        finish_reason=finish_reason(answer, called=bool(calls), refused=refusal is not None),
        usage=read_usage(answer.get("usage"), flags),
        model=label(answer.get("model")),
        reasoning=tuple(thoughts),
        refusal=refusal,
        id=label(answer.get("id")) or None,
        flags=tuple(flags),
        raw=answer,
    )


def _read_call(item: Mapping[str, JSON], answer: JSON, index: int) -> ToolCall:
    """The call in an item of an answer."""
    name = string(item.get("name"), "function_call.name")
    return ToolCall(
        id=string(item.get("call_id"), "function_call.call_id") or call_id(answer, index, name),
        name=name,
        arguments=arguments_text(item.get("arguments"), "function_call.arguments"),
        opaque={key: item[key] for key in CALL_STATE_FIELDS if item.get(key) is not None},
    )


def encode_reply(reply: Reply, *, model: str, clock: Clock) -> bytes:
    """See `Codec.encode_reply`."""
    identity = reply.id or answer_id("resp_", clock)
    status, details = write_status(reply.finish_reason)
    output: list[JSON] = [
        reasoning_item(f"rs_{identity}_{index}", part.text)
        for index, part in enumerate(reply.reasoning)
        if part.text
    ]
    if reply.text or reply.refusal or not reply.tool_calls:
        output.append(message_item(f"msg_{identity}", reply.text, reply.refusal, status=status))
    output += [
        call_item(f"fc_{identity}_{index}", call.id, call.name, call.arguments, status="completed")
        for index, call in enumerate(reply.tool_calls)
    ]
    return encode(
        frame(
            identity,
            model,
            int(clock.wall()),
            status=status,
            incomplete_details=details,
            output=output,
            usage=write_usage(reply.usage),
        )
    )
