"""Nothing of what passes through a framework's model is seen outside of it, whatever a provider repeats: in what we emit, raise or attach."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from llama_index.core.llms import ChatMessage
from pydantic_ai import Agent

from echoing_server import MODES, echoing
from resilient_ai import Breaker, ResilientModel, Retry, Timeouts
from resilient_ai.frameworks.langchain import ResilientChatModel
from resilient_ai.frameworks.llama_index import ResilientLLM
from resilient_ai.frameworks.pydantic_ai import ResilientAgentModel
from resilient_ai.models import OpenAIModel
from watching import Seen, planted, planted_key, watched

SYSTEM: Final = planted("system")
PROMPT: Final = f"{planted('prompt')} ann.{planted('mail')}@example.com 4111 1111 1111 1111"


async def _last(items: Any) -> Any:
    """What the last of `items` is, of either colour."""
    if hasattr(items, "__aiter__"):
        return [item async for item in items][-1]
    return list(items)[-1]


class LangChain:
    WAYS = ("invoke", "ainvoke", "stream", "astream")

    def __init__(self, chain: ResilientModel) -> None:
        self.adapter = ResilientChatModel(model=chain)

    async def ask(self, way: str, seen: Seen, mode: str) -> None:
        messages = [SystemMessage(SYSTEM), AIMessage(planted("answer")), HumanMessage(PROMPT)]
        came = getattr(self.adapter, way)(messages)
        if inspect.isawaitable(came):
            came = await came
        if not isinstance(came, AIMessage):
            came = await _last(came)
        seen.note(f"{mode}: the metadata", came.response_metadata, came.usage_metadata)


class LlamaIndex:
    WAYS = ("chat", "achat", "stream_chat", "astream_chat")

    def __init__(self, chain: ResilientModel) -> None:
        self.adapter = ResilientLLM(model=chain)

    async def ask(self, way: str, seen: Seen, mode: str) -> None:
        messages = [ChatMessage(role="system", content=SYSTEM), ChatMessage(role="user", content=PROMPT)]
        came: Any = getattr(self.adapter, way)(messages)
        if inspect.isawaitable(came):
            came = await came
        if isinstance(came, Iterator | AsyncIterator):
            came = await _last(came)
        seen.note(f"{mode}: the metadata", came.additional_kwargs)


class PydanticAi:
    WAYS = ("run", "run_stream")

    def __init__(self, chain: ResilientModel) -> None:
        self.adapter = ResilientAgentModel(chain)

    async def ask(self, way: str, seen: Seen, mode: str) -> None:
        agent = Agent(self.adapter, system_prompt=SYSTEM, retries=0)
        if way == "run":
            result: Any = await agent.run(PROMPT)
        else:
            async with agent.run_stream(PROMPT) as result:
                await _last(result.stream_text())
        for message in result.all_messages():
            seen.note(f"{mode}: the metadata", getattr(message, "provider_details", None))


CASES: Final = [(kind, way) for kind in (LangChain, LlamaIndex, PydanticAi) for way in kind.WAYS]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with echoing() as port:
        yield port


@pytest.mark.timeout(180)  # every fault in one test: on a busy machine that takes its time
@pytest.mark.parametrize(("kind", "way"), CASES, ids=lambda case: getattr(case, "__name__", case))
def test_nothing_is_seen_of_a_frameworks_model(
    port: int,
    kind: Callable[[ResilientModel], Any],
    way: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def main(seen: Seen) -> None:
        for mode in MODES:
            url = f"http://127.0.0.1:{port}/{planted('path')}/{mode}"
            wait = 0.3 if mode == "stall" else 5.0
            chain = ResilientModel(
                [
                    OpenAIModel(name, url, planted_key(2), headers={"X-Tenant": planted("header")})
                    for name in ("a", "b")
                ],
                deadline=wait,
                retry=Retry(2, base=0, cap=0),
                timeouts=Timeouts(attempt=wait),
                breaker=Breaker(window=20),
                name=mode,
            )
            asked = kind(chain)
            try:
                await asked.ask(way, seen, mode)
            except Exception as error:  # noqa: BLE001 - what is looked at
                _met(error, mode, seen)
            seen.note(f"{mode}: the adapter", asked.adapter)
            await chain.aclose()

    with watched(tmp_path) as seen:
        asyncio.run(main(seen))
    seen.note("the terminal", *capfd.readouterr())
    assert seen.leaks() == {}
    assert seen.texts["the audit trail"].count('"record":"call"') >= len(MODES)


def _met(error: BaseException | None, mode: str, seen: Seen) -> None:
    """All that is ours of `error` and what stands behind it: our exceptions, and the framework's that we made of them."""
    while error is not None:
        ours = type(error).__module__.startswith("resilient_ai")
        if ours or type(error.__cause__).__module__.startswith("resilient_ai"):
            seen.note(f"{mode}: what we raised", error, error.args)
        seen.note(f"{mode}: its notes", *getattr(error, "__notes__", ()))
        seen.note(f"{mode}: its attempts", *getattr(error, "attempts", ()))
        error = error.__cause__
