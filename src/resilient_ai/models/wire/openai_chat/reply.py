"""The whole answer of a chat completion, read and written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from resilient_ai.core.clock import Clock
from resilient_ai.messages import JSON, Reasoning, Reply, ToolCall
from resilient_ai.models.wire import Malformed, ReportedError
from resilient_ai.models.wire.assembly import assemble
from resilient_ai.models.wire.flags import FINISH_MISSING
from resilient_ai.models.wire.identifiers import answer_id, call_id
from resilient_ai.models.wire.jsonbody import decode_object, encode
from resilient_ai.models.wire.openai_chat.names import (
    CALL_STATE_FIELDS,
    FAILED,
    REASONING_DETAILS,
    REASONING_FIELD,
    REASONING_FIELDS,
    WRITTEN,
    finish_reason,
    read_usage,
    write_usage,
)
from resilient_ai.models.wire.openai_chat.stream_read import (
    OTHER_CHOICES,
    ChatReader,
    read_content,
)
from resilient_ai.models.wire.reported import reported, reported_without_answer
from resilient_ai.models.wire.shape import arguments_text, items, label, mapping, optional_string, string
from resilient_ai.models.wire.sse import SSEDecoder, looks_like_events


def decode_reply(body: bytes) -> Reply:
    """See `Codec.decode_reply`."""
    if looks_like_events(body):
        return assemble(SSEDecoder(ChatReader(), decode_reply), body)
    answer = decode_object(body)
    choices = items(answer.get("choices"), "choices")
    error = reported(answer) if choices else reported_without_answer(answer)
    if error is not None:
        raise error
    if not choices:
        raise Malformed("the answer holds no choices")
    return _reply(answer, choices)


def _reply(answer: Mapping[str, JSON], choices: list[Mapping[str, JSON]]) -> Reply:
    choice = next((choice for choice in choices if not choice.get("index")), choices[0])
    told = string(choice.get("finish_reason"), "finish_reason")
    error = reported(choice)
    if error is not None:
        raise error
    if told == FAILED:
        raise ReportedError("the provider gave up in the middle", body=encode(choice))
    if not isinstance(choice.get("message"), Mapping):
        raise Malformed("the answer holds no message")
    message = mapping(choice["message"], "message")
    flags: list[str] = [OTHER_CHOICES] if len(choices) > 1 else []
    if not told:
        flags.append(FINISH_MISSING)
    text, thought = read_content(message.get("content"))
    answer_name = label(answer.get("id")) or None
    calls = tuple(_calls(message, answer_name))
    refusal = optional_string(message.get("refusal"), "refusal")
    return Reply(
        text=text,
        tool_calls=calls,
        finish_reason=finish_reason(told, called=bool(calls), refused=refusal is not None),
        usage=read_usage(answer.get("usage"), flags),
        model=label(answer.get("model")),
        reasoning=tuple(_reasoning(message, thought)),
        refusal=refusal,
        id=answer_name,
        flags=tuple(flags),
        raw=answer,
    )


def _calls(message: Mapping[str, JSON], answer_name: str | None) -> Iterator[ToolCall]:
    calls = items(message.get("tool_calls"), "tool_calls")
    older = message.get("function_call")
    if not calls and older is not None:
        calls = [{"function": older}]
    for index, call in enumerate(calls):
        function = call.get("function")
        if not isinstance(function, Mapping):
            raise Malformed("a tool call names no function")
        name = string(function.get("name"), "tool_calls.function.name")
        yield ToolCall(
            id=string(call.get("id"), "tool_calls.id") or call_id(answer_name, index, name),
            name=name,
            arguments=arguments_text(function.get("arguments"), "tool_calls.function.arguments"),
            opaque={key: call[key] for key in CALL_STATE_FIELDS if call.get(key) is not None},
        )


def _reasoning(message: Mapping[str, JSON], thought: str) -> Iterator[Reasoning]:
    opaque: dict[str, JSON] = {}
    for name in REASONING_FIELDS:
        text = string(message.get(name), name)
        if text and not thought:
            thought = text
            opaque[REASONING_FIELD] = name
    if message.get(REASONING_DETAILS):
        opaque[REASONING_DETAILS] = message[REASONING_DETAILS]
    if thought or opaque:
        yield Reasoning(thought, opaque)


def encode_reply(reply: Reply, *, model: str, clock: Clock) -> bytes:
    """See `Codec.encode_reply`."""
    message: dict[str, JSON] = {
        "role": "assistant",
        "content": reply.text if reply.text or not (reply.tool_calls or reply.refusal) else None,
        "refusal": reply.refusal,
    }
    if reply.tool_calls:
        message["tool_calls"] = [_written_call(call) for call in reply.tool_calls]
    thought = "".join(part.text for part in reply.reasoning)
    if thought:
        message[REASONING_FIELDS[0]] = thought
    choice: dict[str, JSON] = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": WRITTEN[reply.finish_reason],
    }
    body: dict[str, JSON] = {
        "id": reply.id or answer_id("chatcmpl-", clock),
        "object": "chat.completion",
        "created": int(clock.wall()),
        "model": model,
        "choices": [choice],
    }
    usage = write_usage(reply.usage)
    if usage is not None:
        body["usage"] = usage
    return encode(body)


def _written_call(call: ToolCall) -> dict[str, JSON]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
