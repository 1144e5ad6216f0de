"""Nothing of what passes through a call is seen outside of it, on real sockets, whatever a provider repeats."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from echoing_server import MODES, echoing
from resilient_ai import (
    Breaker,
    Message,
    Reply,
    ResilientModel,
    Retry,
    Text,
    Timeouts,
    Tool,
    ToolCall,
    ToolResult,
    outcome_of,
    wrap,
)
from resilient_ai.models import OpenAIModel
from watching import Seen, planted, planted_key, watched

WAYS = ["generate", "agenerate", "stream", "astream"]
CONVERSATION = [
    Message("system", (Text(planted("system")),)),
    Message("user", (Text(f"{planted('prompt')} ann.{planted('mail')}@example.com 4111 1111 1111 1111"),)),
    Message("assistant", (ToolCall("c1", "mail", f'{{"to": "{planted("arguments")}"}}'),)),
    Message("tool", (ToolResult("c1", planted("result")),)),
]
TOOLS = [Tool("mail", planted("tool"), {"type": "object", "description": planted("schema")})]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with echoing() as port:
        yield port


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_seen_of_what_a_provider_repeats(
    port: int, mode: str, way: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with watched(tmp_path) as seen:
        models = [
            OpenAIModel(
                name,
                f"http://127.0.0.1:{port}/{planted('path')}/{mode}",
                [planted_key(1), planted_key(2)],
                headers={"X-Tenant": planted("header")},
            )
            for name in ("first", "second")
        ]
        wait = 0.3 if mode == "stall" else 5.0
        chain = ResilientModel(
            models,
            deadline=wait,
            retry=Retry(2, base=0, cap=0),
            timeouts=Timeouts(attempt=wait),
            breaker=Breaker(window=20, consecutive=3),
        )
        for _ in range(2):
            asked = asyncio.run(_aask(chain, way, seen)) if way[0] == "a" else _ask(chain, way, seen)
            if asked is not None:
                seen.note("the reply", asked, asked.outcome, asked.tool_calls, asked.message())
        seen.note("the chain", chain, chain.explain(), chain.health(), chain.plan)
        chain.close()
    captured = capfd.readouterr()
    seen.note("the terminal", captured.out, captured.err)
    assert seen.leaks() == {}
    assert seen.texts["the log file"].count("call.finished") == 2


def _ask(chain: ResilientModel, way: str, seen: Seen) -> Reply | None:
    try:
        if way == "generate":
            return chain.generate(CONVERSATION, tools=TOOLS, user=planted("extra"))
        with chain.stream(CONVERSATION, tools=TOOLS, user=planted("extra")) as stream:
            seen.note("the chunks", *stream)
            return stream.reply()
    except Exception as error:  # noqa: BLE001 - what is looked at
        _met(error, seen)
    return None


async def _aask(chain: ResilientModel, way: str, seen: Seen) -> Reply | None:
    async with chain:
        try:
            if way == "agenerate":
                return await chain.agenerate(CONVERSATION, tools=TOOLS, user=planted("extra"))
            async with chain.astream(CONVERSATION, tools=TOOLS, user=planted("extra")) as stream:
                seen.note("the chunks", *[chunk async for chunk in stream])
                return await stream.reply()
        except Exception as error:  # noqa: BLE001 - what is looked at
            _met(error, seen)
    return None


def _met(error: Any, seen: Seen) -> None:
    seen.met(error)
    for inner in getattr(error, "exceptions", ()):
        seen.met(inner)
    partial = getattr(error, "partial", None)
    if partial is not None:
        seen.note("what came", partial)


def test_a_key_that_comes_back_as_an_identifier_stands_in_no_outcome() -> None:
    """Of an answer that is otherwise as plain as can be."""
    message = {"role": "assistant", "content": "On its way."}
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "first",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }

    def respond(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=answer, headers={"x-request-id": planted_key(4)}, request=request)

    with httpx2.Client(transport=httpx2.MockTransport(respond)) as http:
        client = wrap(
            openai.OpenAI(api_key=planted_key(4), base_url="http://127.0.0.1:1/v1", http_client=http)
        )
        given = client.chat.completions.create(
            model="first", messages=[{"role": "user", "content": "Where?"}]
        )
    outcome = outcome_of(given)
    assert outcome is not None
    [attempt] = outcome.attempts
    assert (attempt.request_id, attempt.usage.output_tokens) == (None, 1)


@pytest.mark.parametrize("way", ["create", "acreate", "stream", "astream"])
@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_seen_of_a_wrapped_client(
    port: int,
    mode: str,
    way: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By whoever watches. What the SDK raises, and what it and its HTTP client log, says what it always says."""
    for foreign in ("openai", "httpx", "httpx2"):
        monkeypatch.setattr(logging.getLogger(foreign), "disabled", True)
    options: dict[str, Any] = {
        "base_url": f"http://127.0.0.1:{port}/{planted('path')}/{mode}",
        "api_key": planted_key(),
        "default_headers": {"X-Tenant": planted("header")},
        "timeout": 0.3 if mode == "stall" else 5.0,
    }
    asked: dict[str, Any] = {
        "model": "first",
        "user": planted("extra"),
        "messages": [
            {"role": "system", "content": planted("system")},
            {"role": "user", "content": f"{planted('prompt')} ann.{planted('mail')}@example.com"},
        ],
    }
    behind = OpenAIModel("second", options["base_url"], planted_key(2))
    policies: dict[str, Any] = {"fallback": [behind], "retry": Retry(2, base=0, cap=0), "deadline": 5.0}

    async def main() -> None:
        async with contextlib.aclosing(behind), wrap(openai.AsyncOpenAI(**options), **policies) as client:
            if way == "acreate":
                await client.chat.completions.create(**asked)
            else:
                async for _ in await client.chat.completions.create(**asked, stream=True):
                    pass

    with watched(tmp_path) as seen:
        try:
            if way in ("acreate", "astream"):
                asyncio.run(main())
            else:
                with wrap(openai.OpenAI(**options), **policies) as client:
                    answer: Any = client.chat.completions.create(**asked, stream=way == "stream")
                    if way == "stream":
                        list(answer)
        except Exception as error:  # noqa: BLE001 - what is looked at
            seen.note("the outcome", outcome_of(error), *getattr(error, "attempts", ()))
            seen.note("its notes", *getattr(error, "__notes__", ()))
    seen.note("the terminal", *capfd.readouterr())
    behind.close()
    assert seen.leaks() == {}
    assert seen.texts["the audit trail"].count('"record":"call"') == 1
