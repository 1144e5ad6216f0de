"""Every way an application takes an answer from the official clients, and what it then reads of it.

Written once for both colours: `Io` awaits what must be awaited.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import anthropic
import openai
from anthropic.types import Message, ParsedMessage, RawMessageStopEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ParsedChatCompletion
from openai.types.responses import ParsedResponse, Response
from pydantic import BaseModel

MODEL: Final = "primary-1"
QUESTION: Final = "Where is my parcel?"


class Place(BaseModel):
    """What the structured forms ask for."""

    place: str
    stops: int


class track(BaseModel):  # noqa: N801 - the tool is named after it
    """Tracks a parcel."""

    parcel: str
    days: list[int]


PARAMETERS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"parcel": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}},
    "required": ["parcel", "days"],
    "additionalProperties": False,
}


class Called(NamedTuple):
    """A call of a tool, its arguments as a value."""

    id: str
    name: str
    arguments: Any


@dataclass(frozen=True)
class Seen:
    """What an application reads of one answer. `result` is the SDK's own object; a form that does not show a field leaves it None."""

    result: object
    kind: type
    id: str | None
    model: str | None
    text: str | None
    finish: str | None
    tokens: tuple[int, int] | None
    calls: tuple[Called, ...] = ()
    parsed: object = None
    headers: Any = None


class Io:
    """Takes what a client gives, awaited where it must be."""

    async def of(self, value: Any) -> Any:
        return await value if inspect.isawaitable(value) else value

    async def all(self, stream: Any) -> list[Any]:
        if hasattr(stream, "__aiter__"):
            return [item async for item in stream]
        return list(stream)

    async def within(self, manager: Any, use: Callable[[Any], Awaitable[Seen]]) -> Seen:
        if hasattr(manager, "__aenter__"):
            async with manager as entered:
                return await use(entered)
        with manager as entered:
            return await use(entered)


IO: Final = Io()
Form = Callable[..., Coroutine[Any, Any, Seen]]


# --- chat completions -----------------------------------------------------------------------------------------------------

CHAT: Final[dict[str, Any]] = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}]}
CHAT_TOOLS: Final[list[Any]] = [
    {"type": "function", "function": {"name": "track", "parameters": PARAMETERS, "strict": True}}
]
WITH_USAGE: Final[dict[str, Any]] = {"stream": True, "stream_options": {"include_usage": True}}


def chat_seen(completion: ChatCompletion, result: object = None, headers: Any = None) -> Seen:
    choice = completion.choices[0]
    usage = completion.usage
    made: list[Any] = list(choice.message.tool_calls or ())
    return Seen(
        result=completion if result is None else result,
        kind=type(completion),
        id=completion.id,
        model=completion.model,
        text=choice.message.content,
        finish=choice.finish_reason,
        tokens=None if usage is None else (usage.prompt_tokens, usage.completion_tokens),
        calls=tuple(Called(c.id, c.function.name, json.loads(c.function.arguments)) for c in made),
        parsed=getattr(choice.message, "parsed", None)
        or (getattr(made[0].function, "parsed_arguments", None) if made else None),
        headers=headers,
    )


def chat_chunks_seen(chunks: list[ChatCompletionChunk], result: object) -> Seen:
    (kind,) = {type(chunk) for chunk in chunks}
    (identity,) = {chunk.id for chunk in chunks}
    (model,) = {chunk.model for chunk in chunks}
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    calls: dict[int, list[Any]] = {}
    for piece in (piece for delta in deltas for piece in delta.tool_calls or ()):
        called = calls.setdefault(piece.index, ["", "", ""])
        assert piece.function is not None
        called[0] += piece.id or ""
        called[1] += piece.function.name or ""
        called[2] += piece.function.arguments or ""
    (finish,) = {c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason}
    usages = [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert len(usages) <= 1
    usage = usages[0] if usages else None
    return Seen(
        result=result,
        kind=kind,
        id=identity,
        model=model,
        text="".join(delta.content or "" for delta in deltas) or None,
        finish=finish,
        tokens=None if usage is None else (usage.prompt_tokens, usage.completion_tokens),
        calls=tuple(Called(i, name, json.loads(arguments)) for i, name, arguments in calls.values()),
    )


async def chat_plain(client: Any, **options: Any) -> Seen:
    return chat_seen(await IO.of(client.chat.completions.create(**(CHAT | options))))


async def chat_stream(client: Any, **options: Any) -> Seen:
    stream = await IO.of(client.chat.completions.create(**(CHAT | WITH_USAGE | options)))
    return chat_chunks_seen(await IO.all(stream), stream)


async def chat_helper(client: Any, **options: Any) -> Seen:
    async def use(stream: Any) -> Seen:
        events = await IO.all(stream)
        final = await IO.of(stream.get_final_completion())
        said = "".join(event.delta for event in events if event.type == "content.delta")
        assert said == (final.choices[0].message.content or "")
        return chat_seen(final, stream)

    options["stream_options"] = {"include_usage": True}
    return await IO.within(client.chat.completions.stream(**(CHAT | options)), use)


async def chat_parse(client: Any, **options: Any) -> Seen:
    options = {"response_format": Place, **options}
    return chat_seen(await IO.of(client.chat.completions.parse(**(CHAT | options))))


async def chat_raw(client: Any, **options: Any) -> Seen:
    raw = await IO.of(client.chat.completions.with_raw_response.create(**(CHAT | options)))
    assert raw.status_code == 200
    assert json.loads(raw.text if isinstance(raw.text, str) else raw.text())["object"] == "chat.completion"
    return chat_seen(await IO.of(raw.parse()), raw, raw.headers)


async def chat_raw_stream(client: Any, **options: Any) -> Seen:
    raw = await IO.of(client.chat.completions.with_raw_response.create(**(CHAT | WITH_USAGE | options)))
    return chat_chunks_seen(await IO.all(await IO.of(raw.parse())), raw)


async def chat_streaming_response(client: Any, **options: Any) -> Seen:
    async def use(response: Any) -> Seen:
        return chat_seen(await IO.of(response.parse()), response, response.headers)

    return await IO.within(client.chat.completions.with_streaming_response.create(**(CHAT | options)), use)


async def chat_streaming_lines(client: Any, **options: Any) -> Seen:
    async def use(response: Any) -> Seen:
        lines = await IO.all(response.iter_lines())
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        assert data[-1] == "[DONE]"
        chunks = [ChatCompletionChunk.model_validate_json(line, strict=True) for line in data[:-1]]
        return chat_chunks_seen(chunks, response)

    manager = client.chat.completions.with_streaming_response.create(**(CHAT | WITH_USAGE | options))
    return await IO.within(manager, use)


async def chat_tools(client: Any, **options: Any) -> Seen:
    return await chat_plain(client, tools=CHAT_TOOLS, **options)


async def chat_tools_stream(client: Any, **options: Any) -> Seen:
    return await chat_stream(client, tools=CHAT_TOOLS, **options)


async def chat_tools_helper(client: Any, **options: Any) -> Seen:
    return await chat_helper(client, tools=[openai.pydantic_function_tool(track)], **options)


async def chat_tools_parse(client: Any, **options: Any) -> Seen:
    return await chat_parse(
        client, response_format=openai.NOT_GIVEN, tools=[openai.pydantic_function_tool(track)], **options
    )


async def chat_helper_parse(client: Any, **options: Any) -> Seen:
    return await chat_helper(client, **({"response_format": Place} | options))


async def chat_copy(client: Any, **options: Any) -> Seen:
    return await chat_plain(client.with_options(max_retries=0, timeout=20), **options)


# --- responses ------------------------------------------------------------------------------------------------------------

ASKED: Final[dict[str, Any]] = {"model": MODEL, "input": QUESTION}
RESPONSES_TOOLS: Final[list[Any]] = [
    {"type": "function", "name": "track", "parameters": PARAMETERS, "strict": True}
]


def response_seen(response: Response, result: object = None, headers: Any = None) -> Seen:
    calls: list[Any] = [item for item in response.output if item.type == "function_call"]
    details = response.incomplete_details
    return Seen(
        result=response if result is None else result,
        kind=type(response),
        id=response.id,
        model=response.model,
        text=response.output_text or None,
        finish=(details.reason if details else None) or response.status,
        tokens=None
        if response.usage is None
        else (response.usage.input_tokens, response.usage.output_tokens),
        calls=tuple(Called(call.call_id, call.name, json.loads(call.arguments)) for call in calls),
        parsed=getattr(response, "output_parsed", None)
        or (getattr(calls[0], "parsed_arguments", None) if calls else None),
        headers=headers,
    )


def response_events_seen(events: list[Any], result: object) -> Seen:
    assert events[0].type == "response.created"
    numbers = [event.sequence_number for event in events]
    assert numbers == list(range(len(events)))
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete")
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == last.response.output_text
    assert events[0].response.id == last.response.id
    return response_seen(last.response, result)


async def responses_plain(client: Any, **options: Any) -> Seen:
    return response_seen(await IO.of(client.responses.create(**(ASKED | options))))


async def responses_stream(client: Any, **options: Any) -> Seen:
    stream = await IO.of(client.responses.create(**(ASKED | options), stream=True))
    return response_events_seen(await IO.all(stream), stream)


async def responses_helper(client: Any, **options: Any) -> Seen:
    async def use(stream: Any) -> Seen:
        events = await IO.all(stream)
        final = await IO.of(stream.get_final_response())
        said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert said == final.output_text
        return response_seen(final, stream)

    return await IO.within(client.responses.stream(**(ASKED | options)), use)


async def responses_parse(client: Any, **options: Any) -> Seen:
    return response_seen(await IO.of(client.responses.parse(**(ASKED | {"text_format": Place} | options))))


async def responses_raw(client: Any, **options: Any) -> Seen:
    raw = await IO.of(client.responses.with_raw_response.create(**(ASKED | options)))
    assert raw.status_code == 200
    return response_seen(await IO.of(raw.parse()), raw, raw.headers)


async def responses_raw_stream(client: Any, **options: Any) -> Seen:
    raw = await IO.of(client.responses.with_raw_response.create(**(ASKED | options), stream=True))
    return response_events_seen(await IO.all(await IO.of(raw.parse())), raw)


async def responses_streaming_response(client: Any, **options: Any) -> Seen:
    async def use(response: Any) -> Seen:
        return response_seen(await IO.of(response.parse()), response, response.headers)

    return await IO.within(client.responses.with_streaming_response.create(**(ASKED | options)), use)


async def responses_tools(client: Any, **options: Any) -> Seen:
    return await responses_plain(client, tools=RESPONSES_TOOLS, **options)


async def responses_tools_stream(client: Any, **options: Any) -> Seen:
    return await responses_stream(client, tools=RESPONSES_TOOLS, **options)


async def responses_tools_helper(client: Any, **options: Any) -> Seen:
    return await responses_helper(client, tools=[openai.pydantic_function_tool(track)], **options)


async def responses_helper_parse(client: Any, **options: Any) -> Seen:
    return await responses_helper(client, **({"text_format": Place} | options))


async def responses_copy(client: Any, **options: Any) -> Seen:
    return await responses_plain(client.with_options(max_retries=0, timeout=20), **options)


# --- messages -------------------------------------------------------------------------------------------------------------

MESSAGES: Final[dict[str, Any]] = {
    "model": MODEL,
    "max_tokens": 100,
    "messages": [{"role": "user", "content": QUESTION}],
}
MESSAGES_TOOLS: Final[list[Any]] = [{"name": "track", "input_schema": PARAMETERS}]


def message_tokens(usage: Any) -> tuple[int, int]:
    """All tokens; this format alone counts those of its cache apart."""
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    return usage.input_tokens + cached, usage.output_tokens


def message_seen(message: Message, result: object = None, headers: Any = None) -> Seen:
    texts = [block.text for block in message.content if block.type == "text"]
    calls = [block for block in message.content if block.type == "tool_use"]
    return Seen(
        result=message if result is None else result,
        kind=type(message),
        id=message.id,
        model=message.model,
        text="".join(texts) or None,
        finish=message.stop_reason,
        tokens=message_tokens(message.usage),
        calls=tuple(Called(call.id, call.name, call.input) for call in calls),
        parsed=getattr(message, "parsed_output", None),
        headers=headers,
    )


def message_events_seen(events: list[Any], result: object) -> Seen:
    first, before_last, last = events[0], events[-2], events[-1]
    message: object = first.message
    assert (first.type, before_last.type) == ("message_start", "message_delta")
    assert type(last) is RawMessageStopEvent
    text = ""
    calls: dict[int, list[Any]] = {}
    for event in events:
        if event.type == "content_block_start" and event.content_block.type == "tool_use":
            calls[event.index] = [event.content_block.id, event.content_block.name, ""]
        elif event.type == "content_block_delta" and event.delta.type == "text_delta":
            text += event.delta.text
        elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
            calls[event.index][2] += event.delta.partial_json
    usage = before_last.usage
    return Seen(
        result=result,
        kind=type(message),
        id=first.message.id,
        model=first.message.model,
        text=text or None,
        finish=before_last.delta.stop_reason,
        tokens=message_tokens(usage),
        calls=tuple(Called(i, name, json.loads(arguments)) for i, name, arguments in calls.values()),
    )


async def messages_plain(client: Any, **options: Any) -> Seen:
    return message_seen(await IO.of(client.messages.create(**(MESSAGES | options))))


async def messages_stream(client: Any, **options: Any) -> Seen:
    stream = await IO.of(client.messages.create(**(MESSAGES | options), stream=True))
    return message_events_seen(await IO.all(stream), stream)


async def messages_helper(client: Any, **options: Any) -> Seen:
    async def use(stream: Any) -> Seen:
        events = await IO.all(stream)
        final = await IO.of(stream.get_final_message())
        said = "".join(event.text for event in events if event.type == "text")
        assert said == "".join(block.text for block in final.content if block.type == "text")
        return message_seen(final, stream)

    return await IO.within(client.messages.stream(**(MESSAGES | options)), use)


async def messages_parse(client: Any, **options: Any) -> Seen:
    return message_seen(await IO.of(client.messages.parse(**(MESSAGES | {"output_format": Place} | options))))


async def messages_raw(client: Any, **options: Any) -> Seen:
    raw = await IO.of(client.messages.with_raw_response.create(**(MESSAGES | options)))
    assert raw.status_code == 200
    return message_seen(await IO.of(raw.parse()), raw, raw.headers)


async def messages_raw_stream(client: Any, **options: Any) -> Seen:
    raw = await IO.of(client.messages.with_raw_response.create(**(MESSAGES | options), stream=True))
    return message_events_seen(await IO.all(await IO.of(raw.parse())), raw)


async def messages_streaming_response(client: Any, **options: Any) -> Seen:
    async def use(response: Any) -> Seen:
        return message_seen(await IO.of(response.parse()), response, response.headers)

    return await IO.within(client.messages.with_streaming_response.create(**(MESSAGES | options)), use)


async def messages_tools(client: Any, **options: Any) -> Seen:
    return await messages_plain(client, tools=MESSAGES_TOOLS, **options)


async def messages_tools_stream(client: Any, **options: Any) -> Seen:
    return await messages_stream(client, tools=MESSAGES_TOOLS, **options)


async def messages_tools_helper(client: Any, **options: Any) -> Seen:
    return await messages_helper(client, tools=MESSAGES_TOOLS, **options)


async def messages_helper_parse(client: Any, **options: Any) -> Seen:
    return await messages_helper(client, **({"output_format": Place} | options))


async def messages_copy(client: Any, **options: Any) -> Seen:
    return await messages_plain(client.with_options(max_retries=0, timeout=20), **options)


# --- the table ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Surface:
    """One way of asking.

    Attributes:
        blocking: The blocking client.
        asynchronous: The other.
        base_path: What stands in its base URL behind the host.
        forms: By name, with the type the application gets; those with `tools` in it offer a tool, those with `parse` alone a schema.
        finish: How the format says that an answer ended by itself, at its limit, with a call.
    """

    blocking: Callable[..., Any]
    asynchronous: Callable[..., Any]
    base_path: str
    forms: dict[str, tuple[Form, type]]
    finish: tuple[str, str, str]


SURFACES: Final[dict[str, Surface]] = {
    "chat": Surface(
        openai.OpenAI,
        openai.AsyncOpenAI,
        "/v1",
        {
            "plain": (chat_plain, ChatCompletion),
            "stream": (chat_stream, ChatCompletionChunk),
            "helper": (chat_helper, ParsedChatCompletion),
            "parse": (chat_parse, ParsedChatCompletion),
            "helper-parse": (chat_helper_parse, ParsedChatCompletion),
            "raw": (chat_raw, ChatCompletion),
            "raw-stream": (chat_raw_stream, ChatCompletionChunk),
            "streaming-response": (chat_streaming_response, ChatCompletion),
            "streaming-lines": (chat_streaming_lines, ChatCompletionChunk),
            "tools": (chat_tools, ChatCompletion),
            "tools-stream": (chat_tools_stream, ChatCompletionChunk),
            "tools-helper": (chat_tools_helper, ParsedChatCompletion),
            "tools-parse": (chat_tools_parse, ParsedChatCompletion),
            "copy": (chat_copy, ChatCompletion),
        },
        ("stop", "length", "tool_calls"),
    ),
    "responses": Surface(
        openai.OpenAI,
        openai.AsyncOpenAI,
        "/v1",
        {
            "plain": (responses_plain, Response),
            "stream": (responses_stream, Response),
            "helper": (responses_helper, ParsedResponse),
            "parse": (responses_parse, ParsedResponse),
            "helper-parse": (responses_helper_parse, ParsedResponse),
            "raw": (responses_raw, Response),
            "raw-stream": (responses_raw_stream, Response),
            "streaming-response": (responses_streaming_response, Response),
            "tools": (responses_tools, Response),
            "tools-stream": (responses_tools_stream, Response),
            "tools-helper": (responses_tools_helper, ParsedResponse),
            "copy": (responses_copy, Response),
        },
        ("completed", "max_output_tokens", "completed"),
    ),
    "messages": Surface(
        anthropic.Anthropic,
        anthropic.AsyncAnthropic,
        "",
        {
            "plain": (messages_plain, Message),
            "stream": (messages_stream, Message),
            "helper": (messages_helper, ParsedMessage),
            "parse": (messages_parse, ParsedMessage),
            "helper-parse": (messages_helper_parse, ParsedMessage),
            "raw": (messages_raw, Message),
            "raw-stream": (messages_raw_stream, Message),
            "streaming-response": (messages_streaming_response, Message),
            "tools": (messages_tools, Message),
            "tools-stream": (messages_tools_stream, Message),
            "tools-helper": (messages_tools_helper, ParsedMessage),
            "copy": (messages_copy, Message),
        },
        ("end_turn", "max_tokens", "tool_use"),
    ),
}
