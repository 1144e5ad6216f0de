"""What every wrapped client keeps, whichever SDK it is of, in both colours, whole and streamed."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import groq
import openai
import pytest
import together

from resilient_ai import Breaker, Retry, RetryBudget, outcome_of, wrap
from resilient_ai.adopt import policy_of
from resilient_ai.testing import FaultServer, ScriptedModel
from resilient_ai.testing import error as failure

ASK: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]
CHAT = {"model": "m", "messages": ASK}
MESSAGE = {"model": "m", "max_tokens": 100, "messages": ASK}
RESPONSE = {"model": "m", "input": "Where is my parcel?"}
DEADLINE = 0.4


@dataclass(frozen=True)
class Way:
    """One way to ask one SDK, in one colour."""

    name: str
    sdk: Any
    kind: str
    dialect: Any
    use: Callable[[Any], Any]

    @property
    def blocks(self) -> bool:
        return not self.kind.startswith("Async")


def _helper(resource: Callable[[Any], Any], arguments: dict[str, Any]) -> Callable[[Any], Any]:
    """Reads the whole of the `.stream()` helper of a resource."""

    def use(client: Any) -> Any:
        manager = resource(client).stream(**arguments)
        if hasattr(manager, "__enter__"):
            with manager as events:
                return list(events)

        async def read() -> list[Any]:
            async with manager as events:
                return [event async for event in events]

        return read()

    return use


def _created(
    resource: Callable[[Any], Any], arguments: dict[str, Any], *, stream: bool
) -> Callable[[Any], Any]:
    def use(client: Any) -> Any:
        if not stream:
            return resource(client).create(**arguments)
        opened = resource(client).create(**arguments, stream=True)
        if not asyncio.iscoroutine(opened):
            return list(opened)

        async def read() -> list[Any]:
            return [event async for event in await opened]

        return read()

    return use


def _chat(client: Any) -> Any:
    return client.chat.completions


def _responses(client: Any) -> Any:
    return client.responses


def _messages(client: Any) -> Any:
    return client.messages


def _ways(*, stream: bool, helpers: bool = False) -> list[Any]:
    found: list[Any] = []
    for sdk, kind, dialect, resource, arguments in (
        (openai, "OpenAI", "openai", _chat, CHAT),
        (openai, "OpenAI", "openai", _responses, RESPONSE),
        (anthropic, "Anthropic", "anthropic", _messages, MESSAGE),
        (groq, "Groq", "openai", _chat, CHAT),
        (together, "Together", "openai", _chat, CHAT),
    ):
        uses = {"create": _created(resource, arguments, stream=stream)}
        if helpers and sdk in (openai, anthropic):
            uses["helper"] = _helper(resource, arguments)
        for (form, use), colour in itertools.product(uses.items(), ("", "Async")):
            name = f"{colour}{kind}{resource.__name__}-{form}"
            found.append(pytest.param(Way(name, sdk, colour + kind, dialect, use), id=name))
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^\w.-]", "-", request.node.name, flags=re.ASCII)


@pytest.fixture
def asked(server: FaultServer, session: str) -> Callable[..., tuple[Any, Exception]]:
    """Asks in one way and expects the SDK's own exception: gives the wrapped client and that."""

    def asked(way: Way, fault: str, **policy: Any) -> tuple[Any, Exception]:
        base_url = server.url(fault, dialect=way.dialect, session=session)
        if way.sdk is groq:
            base_url = base_url.removesuffix("/v1").removesuffix("/openai")
        client = wrap(getattr(way.sdk, way.kind)(api_key="sk-test", base_url=base_url), **policy)
        with pytest.raises(way.sdk.APIError) as raised:
            _asked(client, way)
        return client, raised.value

    return asked


def _asked(client: Any, way: Way) -> None:
    if way.blocks:
        with client:
            way.use(client)
        return

    async def main() -> None:
        async with client:
            await way.use(client)

    asyncio.run(main())


@pytest.mark.parametrize("way", [*_ways(stream=False), *_ways(stream=True)])
@pytest.mark.parametrize("fallbacks", [0, 1])
def test_the_worst_case_that_is_explained_is_what_the_server_sees(
    way: Way, fallbacks: int, server: FaultServer, session: str, asked: Callable[..., tuple[Any, Exception]]
) -> None:
    behind = [ScriptedModel([failure(503)], repeat=True, name="behind") for _ in range(fallbacks)]
    client, raised = asked(
        way,
        "status:503",
        fallback=behind,
        deadline=60,
        retry=Retry(attempts=3, base=0, cap=0),
        breaker=Breaker(enabled=False),
        budget=RetryBudget(enabled=False),
    )
    sent = len(server.requests(session)) + sum(len(model.requests) for model in behind)
    assert f"worst case: {sent} requests" in policy_of(client).explain("m")
    assert len(server.requests(session)) == 3
    assert len(raised.attempts) == sent  # type: ignore[attr-defined]


@pytest.mark.parametrize("way", [*_ways(stream=False), *_ways(stream=True)])
def test_a_black_hole_ends_at_the_deadline(way: Way, asked: Callable[..., tuple[Any, Exception]]) -> None:
    _, raised = asked(way, "stall-no-response", deadline=DEADLINE)
    assert isinstance(raised, way.sdk.APITimeoutError)
    outcome = outcome_of(raised)
    assert outcome is not None
    assert DEADLINE - 0.05 < outcome.seconds < 10 * DEADLINE


@pytest.mark.parametrize("way", _ways(stream=True, helpers=True))
@pytest.mark.parametrize("fault", ["truncated-clean", "truncated-mid-event"])
def test_a_stream_that_ends_politely_in_the_middle_raises(
    way: Way, fault: str, asked: Callable[..., tuple[Any, Exception]]
) -> None:
    _, raised = asked(way, fault)
    assert isinstance(raised, way.sdk.APIConnectionError)
    assert raised.__cause__ is not None
    assert getattr(raised.__cause__, "partial").text  # noqa: B009 - the cause is ours, and what came is on it
