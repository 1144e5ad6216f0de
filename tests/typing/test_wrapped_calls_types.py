"""What type checkers see of the calls of a wrapped client: the SDK's own answers. mypy and pyright judge this file; nothing here is called."""

from __future__ import annotations

from typing import assert_type

from anthropic import Anthropic, AsyncAnthropic
from anthropic import AsyncStream as AnthropicAsyncStream
from anthropic import Stream as AnthropicStream
from anthropic.types import Message, RawMessageStreamEvent
from openai import AsyncOpenAI, AsyncStream, OpenAI, Stream
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ParsedChatCompletion
from openai.types.responses import ParsedResponse, Response, ResponseStreamEvent
from pydantic import BaseModel

from resilient_ai import wrap


class Place(BaseModel):
    name: str


def chat(client: OpenAI) -> None:
    wrapped = wrap(client, deadline=20)
    create = wrapped.chat.completions.create
    assert_type(create(model="m", messages=[]), ChatCompletion)
    assert_type(create(model="m", messages=[], stream=True), Stream[ChatCompletionChunk])
    for chunk in create(model="m", messages=[], stream=True):
        assert_type(chunk, ChatCompletionChunk)
    parsed = wrapped.chat.completions.parse(model="m", messages=[], response_format=Place)
    assert_type(parsed, ParsedChatCompletion[Place])
    assert_type(parsed.choices[0].message.parsed, Place | None)
    with wrapped.chat.completions.stream(model="m", messages=[], response_format=Place) as stream:
        assert_type(stream.get_final_completion(), ParsedChatCompletion[Place])
    raw = wrapped.chat.completions.with_raw_response.create(model="m", messages=[])
    assert_type(raw.parse(), ChatCompletion)
    assert_type(wrapped.with_options(timeout=3), OpenAI)
    assert_type(wrapped.embeddings.create(model="m", input="x"), CreateEmbeddingResponse)


async def chat_later(client: AsyncOpenAI) -> None:
    wrapped = wrap(client, deadline=20)
    create = wrapped.chat.completions.create
    assert_type(await create(model="m", messages=[]), ChatCompletion)
    assert_type(await create(model="m", messages=[], stream=True), AsyncStream[ChatCompletionChunk])
    async for chunk in await create(model="m", messages=[], stream=True):
        assert_type(chunk, ChatCompletionChunk)
    async with wrapped.chat.completions.stream(model="m", messages=[]) as stream:
        assert_type(await stream.get_final_completion(), ParsedChatCompletion[None])


def responses(client: OpenAI) -> None:
    wrapped = wrap(client)
    assert_type(wrapped.responses.create(model="m", input="x"), Response)
    assert_type(wrapped.responses.create(model="m", input="x", stream=True), Stream[ResponseStreamEvent])
    assert_type(wrapped.responses.parse(model="m", input="x", text_format=Place), ParsedResponse[Place])


def messages(client: Anthropic) -> None:
    create = wrap(client).messages.create
    assert_type(create(model="m", max_tokens=1, messages=[]), Message)
    streamed = create(model="m", max_tokens=1, messages=[], stream=True)
    assert_type(streamed, AnthropicStream[RawMessageStreamEvent])


async def messages_later(client: AsyncAnthropic) -> None:
    create = wrap(client).messages.create
    assert_type(await create(model="m", max_tokens=1, messages=[]), Message)
    streamed = await create(model="m", max_tokens=1, messages=[], stream=True)
    assert_type(streamed, AnthropicAsyncStream[RawMessageStreamEvent])


def wrong_calls(client: OpenAI) -> None:
    """Each line is an error for both type checkers; an unneeded `ignore` is one too."""
    wrap(client).chat.completions.create(model="m")  # type: ignore[call-overload]
    wrap(client, deadline="soon")  # type: ignore[arg-type]
    wrap(client, price="cheap")  # type: ignore[arg-type]
