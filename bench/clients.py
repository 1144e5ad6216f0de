"""The clients that are compared, each ready to ask the same question. Everything is imported where it is used: a child pays for its own."""

from __future__ import annotations

import atexit
import json
import os
import tempfile
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

if TYPE_CHECKING:
    from resilient_ai import ResilientModel

Call: TypeAlias = Callable[[], object]
AsyncCall: TypeAlias = Callable[[], Awaitable[object]]
Client = TypeVar("Client")

KEY: Final = "sk-not-a-key-0123456789abcdef"
MODEL: Final = "gpt-x"
NOBODY: Final = "http://127.0.0.1:9/v1"
"""Where a fallback is that is never asked."""
MESSAGES: Final[Any] = [
    {"role": "system", "content": "Answer in one sentence, and name the day."},
    {
        "role": "user",
        "content": "Where is my parcel? It was sent on Monday and I need it before the weekend.",
    },
]
_SCHEMA: Final = {
    "type": "object",
    "properties": {"parcel": {"type": "string", "description": "Its number"}, "day": {"type": "string"}},
    "required": ["parcel"],
}
_FUNCTIONS: Final = ("find_parcel", "find_address", "open_hours", "write_note", "call_driver")
_TOLD: Final = "Looks it up at the depot, and tells what is known there."
_LOOK: Final = {"parcel": "00340434161094042557"}
_STEPS: Final = 4
"""Calls an agent has made before the one that is measured."""
_HEADERS: Final = {"authorization": f"Bearer {KEY}"}
_BODY: Final = {"model": MODEL, "messages": MESSAGES}
_DONE: Final = "[DONE]"
_SPANS: Final = 100_000


# --- this library -----------------------------------------------------------------------------------------------------


def chain(*urls: str, **options: Any) -> ResilientModel:
    """A chain with all policies at their defaults, but for `options`."""
    from resilient_ai import ResilientModel
    from resilient_ai.models import OpenAIModel

    return ResilientModel([OpenAIModel(MODEL, base_url=url, api_key=KEY) for url in urls], **options)


def switch_on_telemetry() -> None:
    """JSON log lines to a file, spans to an exporter that drops them behind a batch processor, and metrics."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    from resilient_ai import observe

    class Dropping(SpanExporter):
        def export(self, spans: object) -> SpanExportResult:  # noqa: ARG002 - dropped
            return SpanExportResult.SUCCESS

    tracers = TracerProvider(shutdown_on_exit=False)
    # Room for every span of a burst: one that is dropped for want of it would be cheaper than it is.
    tracers.add_span_processor(BatchSpanProcessor(Dropping(), max_queue_size=_SPANS))
    handle, path = tempfile.mkstemp(suffix=".jsonl")
    os.close(handle)
    observation = observe(log_file=path, tracer_provider=tracers, snapshot=True)

    def end() -> None:
        observation.close()
        tracers.shutdown()
        os.unlink(path)  # noqa: PTH108 - pathlib is not needed for it

    atexit.register(end)


def resilient(model: ResilientModel) -> Call:
    return lambda: model.generate(MESSAGES).text


def resilient_async(model: ResilientModel) -> AsyncCall:
    async def call() -> object:
        return (await model.agenerate(MESSAGES)).text

    return call


def resilient_stream(model: ResilientModel) -> Call:
    def call() -> object:
        with model.stream(MESSAGES) as stream:
            for chunk in stream:
                _ = chunk.text
        return stream.outcome

    return call


def resilient_stream_async(model: ResilientModel) -> AsyncCall:
    async def call() -> object:
        async with model.astream(MESSAGES) as stream:
            async for chunk in stream:
                _ = chunk.text
        return stream.outcome

    return call


# --- the official SDKs --------------------------------------------------------------------------------------------------


def openai(url: str, *, wrapped: bool = False, **options: Any) -> Call:
    from openai import OpenAI

    client = _perhaps(OpenAI(base_url=url, api_key=KEY, **options), wrapped=wrapped)
    return lambda: client.chat.completions.create(model=MODEL, messages=MESSAGES).choices[0].message.content


def openai_async(url: str, *, wrapped: bool = False, **options: Any) -> AsyncCall:
    from openai import AsyncOpenAI

    client = _perhaps(AsyncOpenAI(base_url=url, api_key=KEY, **options), wrapped=wrapped)

    async def call() -> object:
        answer = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
        return answer.choices[0].message.content

    return call


def openai_stream(url: str, *, wrapped: bool = False) -> Call:
    from openai import OpenAI

    client = _perhaps(OpenAI(base_url=url, api_key=KEY), wrapped=wrapped)

    def call() -> object:
        for chunk in client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
            _ = chunk.choices[0].delta.content
        return None

    return call


def openai_stream_async(url: str, *, wrapped: bool = False) -> AsyncCall:
    from openai import AsyncOpenAI

    client = _perhaps(AsyncOpenAI(base_url=url, api_key=KEY), wrapped=wrapped)

    async def call() -> object:
        async for chunk in await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
            _ = chunk.choices[0].delta.content
        return None

    return call


def anthropic(url: str, *, wrapped: bool = False) -> Call:
    from anthropic import Anthropic

    client = _perhaps(Anthropic(base_url=url.removesuffix("/v1"), api_key=KEY), wrapped=wrapped)
    return lambda: client.messages.create(model=MODEL, max_tokens=256, messages=MESSAGES[1:]).content[0]


def anthropic_async(url: str, *, wrapped: bool = False) -> AsyncCall:
    from anthropic import AsyncAnthropic

    client = _perhaps(AsyncAnthropic(base_url=url.removesuffix("/v1"), api_key=KEY), wrapped=wrapped)

    async def call() -> object:
        return (await client.messages.create(model=MODEL, max_tokens=256, messages=MESSAGES[1:])).content[0]

    return call


def openai_agent(url: str, *, wrapped: bool = False) -> Call:
    """A step of an agent: four calls of functions and their results are sent, five functions are offered, one of them is called."""
    from openai import OpenAI

    client = _perhaps(OpenAI(base_url=url, api_key=KEY), wrapped=wrapped)
    tools: Any = [
        {"type": "function", "function": {"name": name, "description": _TOLD, "parameters": _SCHEMA}}
        for name in _FUNCTIONS
    ]
    turns: Any = [MESSAGES[0]]
    for step in range(_STEPS):
        function = {"name": _FUNCTIONS[0], "arguments": json.dumps(_LOOK)}
        turns += [
            MESSAGES[1],
            {"role": "assistant", "tool_calls": [{"id": f"call_{step}", "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": f"call_{step}", "content": "It is in Hamburg."},
        ]  # fmt: skip
    return lambda: client.chat.completions.create(model=MODEL, messages=turns, tools=tools).choices[0].message


def anthropic_agent(url: str, *, wrapped: bool = False) -> Call:
    """The same of anthropic's client."""
    from anthropic import Anthropic

    client = _perhaps(Anthropic(base_url=url.removesuffix("/v1"), api_key=KEY), wrapped=wrapped)
    tools: Any = [{"name": name, "description": _TOLD, "input_schema": _SCHEMA} for name in _FUNCTIONS]
    turns: Any = []
    for step in range(_STEPS):
        call = {"type": "tool_use", "id": f"toolu_{step}", "name": _FUNCTIONS[0], "input": _LOOK}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{step}", "content": "It is in Hamburg."}
        turns += [
            MESSAGES[1],
            {"role": "assistant", "content": [{"type": "text", "text": "I will look."}, call]},
            {"role": "user", "content": [result]},
        ]
    return lambda: client.messages.create(model=MODEL, max_tokens=256, messages=turns, tools=tools).content


def _perhaps(client: Client, *, wrapped: bool) -> Client:
    if not wrapped:
        return client
    from resilient_ai import wrap
    from resilient_ai.models import OpenAIModel

    return wrap(client, deadline=60.0, fallback=OpenAIModel("other", base_url=NOBODY, api_key=KEY))


# --- the HTTP client alone ----------------------------------------------------------------------------------------------


def httpx(url: str, library: str) -> Call:
    """`library` is `httpx` or `httpx2`: they have the same interface."""
    client = _client(library, "Client")
    where = f"{url}/chat/completions"
    return lambda: client.post(where, json=_BODY).json()["choices"][0]["message"]["content"]


def httpx_async(url: str, library: str) -> AsyncCall:
    client = _client(library, "AsyncClient")
    where = f"{url}/chat/completions"

    async def call() -> object:
        return (await client.post(where, json=_BODY)).json()["choices"][0]["message"]["content"]

    return call


def httpx_stream(url: str, library: str) -> Call:
    client = _client(library, "Client")
    where = f"{url}/chat/completions"

    def call() -> object:
        with client.stream("POST", where, json={**_BODY, "stream": True}) as response:
            for line in response.iter_lines():
                _ = _delta(line)
        return None

    return call


def httpx_stream_async(url: str, library: str) -> AsyncCall:
    client = _client(library, "AsyncClient")
    where = f"{url}/chat/completions"

    async def call() -> object:
        async with client.stream("POST", where, json={**_BODY, "stream": True}) as response:
            async for line in response.aiter_lines():
                _ = _delta(line)
        return None

    return call


def _client(library: str, kind: str) -> Any:
    from importlib import import_module

    return getattr(import_module(library), kind)(headers=_HEADERS, timeout=60.0)


def _delta(line: str) -> object:
    field, _, data = line.partition(": ")
    if field != "data" or data == _DONE:
        return None
    return json.loads(data)["choices"][0]["delta"].get("content")
