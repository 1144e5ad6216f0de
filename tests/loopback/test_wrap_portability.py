"""What moves with a wrapped client's request to another provider, what is left behind, and what keeps the request where it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from answering_server import TEXT, AnsweringServer, answering
from parameter_decisions import BESIDE, BODIES, CONVERSATIONS, DROPPED, REFUSED, SECRET
from resilient_ai import Breaker, Retry, outcome_of, wrap
from resilient_ai.models import AnthropicModel, GeminiModel, OpenAIModel

POLICY: dict[str, Any] = {"retry": Retry(attempts=1), "breaker": Breaker(consecutive=None, min_calls=100_000)}
BETA = BESIDE["anthropic beta"]


@pytest.fixture(scope="module")
def server() -> Generator[AnsweringServer]:
    with answering() as running:
        yield running


@pytest.fixture(scope="module")
def create(server: AnsweringServer) -> Generator[dict[str, Callable[..., Any]]]:
    """How each format asks, its own provider down and two of other formats behind it."""
    for_chat = [AnthropicModel("other-1", server.url(), "k"), GeminiModel("other-2", server.url(), "k")]
    for_messages = [OpenAIModel("other-1", f"{server.url()}/v1", "k"), for_chat[1]]
    with (
        openai.OpenAI(api_key="k", base_url=server.url("/v1", below="down"), max_retries=0) as of_openai,
        anthropic.Anthropic(api_key="k", base_url=server.url(below="down"), max_retries=0) as of_anthropic,
    ):
        wrap(of_openai, fallback=for_chat, **POLICY)
        wrap(of_anthropic, fallback=for_messages, **POLICY)
        yield {
            "openai-chat": of_openai.chat.completions.create,
            "openai-responses": of_openai.responses.create,
            "anthropic": of_anthropic.messages.create,
            "anthropic beta": of_anthropic.beta.messages.create,
        }


REFUSING = [
    *((wire, name) for wire, fields in REFUSED.items() for name in fields),
    *(("anthropic beta", name) for name in BETA[2]),
]
DROPPING = [
    *((wire, name) for wire, fields in DROPPED.items() for name in fields),
    *(("anthropic beta", name) for name in BETA[1]),
]


@pytest.mark.parametrize(("wire", "name"), REFUSING)
def test_a_parameter_no_other_format_has_keeps_the_call_with_its_provider(
    create: dict[str, Callable[..., Any]], server: AnsweringServer, wire: str, name: str
) -> None:
    value = BETA[2][name] if wire == "anthropic beta" else REFUSED[wire][name]
    server.seen.clear()
    with pytest.raises((openai.InternalServerError, anthropic.InternalServerError)) as raised:
        create[wire](**{**BODIES[wire.partition(" ")[0]], name: value})
    assert server.seen == []
    outcome = outcome_of(raised.value)
    assert outcome is not None
    assert [skip.reason for skip in outcome.skipped] == [f"unportable:{name}"] * 2


@pytest.mark.parametrize(("wire", "name"), DROPPING)
def test_a_parameter_that_only_tunes_is_left_behind_and_told(
    create: dict[str, Callable[..., Any]], server: AnsweringServer, wire: str, name: str
) -> None:
    value = BETA[1][name] if wire == "anthropic beta" else DROPPED[wire][name]
    server.seen.clear()
    answer = create[wire](**{**BODIES[wire.partition(" ")[0]], name: value})
    ((_, body),) = server.seen
    assert name not in body
    outcome = outcome_of(answer)
    assert outcome is not None
    assert f"dropped:{name}" in outcome.flags


@pytest.mark.parametrize("wire", ["openai-chat", "openai-responses", "anthropic"])
def test_private_state_of_a_provider_is_not_sent_to_another(
    create: dict[str, Callable[..., Any]], server: AnsweringServer, wire: str
) -> None:
    server.seen.clear()
    create[wire](**{**BODIES[wire], **CONVERSATIONS[wire]})
    ((_, body),) = server.seen
    assert SECRET not in str(body)
    assert "'f'" in str(body)


def test_private_state_is_not_sent_to_another_model_of_the_same_format_either(
    server: AnsweringServer,
) -> None:
    behind = AnthropicModel("other-1", server.url(), "k")
    server.seen.clear()
    with anthropic.Anthropic(api_key="k", base_url=server.url(below="down"), max_retries=0) as client:
        body: dict[str, Any] = {**BODIES["anthropic"], **CONVERSATIONS["anthropic"]}
        ask: Any = wrap(client, fallback=[behind], **POLICY).messages.create
        answer = ask(**body)
    assert answer.content[0].text == TEXT
    assert SECRET not in str(server.seen)


DOCUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "openai-chat": (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
        "messages[0].content[0].file",
    ),
    "openai-responses": (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
        "input[0].content[0].input_file",
    ),
    "anthropic": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "?"},
                        {
                            "type": "document",
                            "source": {"type": "text", "media_type": "text/plain", "data": "x"},
                            "citations": {"enabled": True},
                        },
                    ],
                }
            ]
        },
        "messages[0].content[1].document",
    ),
}


@pytest.mark.parametrize("wire", DOCUMENTS)
def test_a_document_keeps_the_call_with_its_provider_and_its_place_is_named(
    create: dict[str, Callable[..., Any]], server: AnsweringServer, wire: str
) -> None:
    body, place = DOCUMENTS[wire]
    server.seen.clear()
    with pytest.raises((openai.InternalServerError, anthropic.InternalServerError)) as raised:
        create[wire](**{**BODIES[wire], **body})
    outcome = outcome_of(raised.value)
    assert outcome is not None
    assert outcome.skipped[0].reason == f"unportable:{place}"
    assert server.seen == []


@pytest.mark.parametrize("turns", ["plain", "of parts"])
@pytest.mark.parametrize("wire", ["openai-chat", "openai-responses", "anthropic"])
def test_another_model_is_asked_what_was_sent_whatever_the_caller_does_to_his_list_meanwhile(
    server: AnsweringServer, wire: str, turns: str
) -> None:
    name = "input" if wire == "openai-responses" else "messages"
    content: Any = "first"
    if turns == "of parts":
        content = [{"type": "input_text" if wire == "openai-responses" else "text", "text": "first"}]
    asked: list[dict[str, Any]] = [{"role": "user", "content": content}]

    def fails(_: httpx2.Request) -> httpx2.Response:
        asked[0]["content"] = "second"
        asked.append({"role": "user", "content": "third"})
        return httpx2.Response(503)

    behind = GeminiModel("other", server.url(), "k")
    transport = httpx2.Client(transport=httpx2.MockTransport(fails))
    server.seen.clear()
    if wire == "anthropic":
        client: Any = wrap(anthropic.Anthropic(api_key="k", http_client=transport), fallback=behind, **POLICY)
        client.messages.create(**{**BODIES[wire], name: asked})
    else:
        client = wrap(openai.OpenAI(api_key="k", http_client=transport), fallback=behind, **POLICY)
        api = client.responses if wire == "openai-responses" else client.chat.completions
        api.create(**{**BODIES[wire], name: asked})
    behind.close()
    ((_, body),) = server.seen
    assert "first" in str(body)
    assert not any(word in str(body) for word in ("second", "third"))


def test_who_is_asked_in_the_place_of_a_provider_whose_breaker_is_open_is_asked_what_was_to_be_sent(
    server: AnsweringServer,
) -> None:
    # Anthropic's SDK leaves out what nobody gave only when it sends, and here nothing is sent.
    behind = OpenAIModel("other-1", f"{server.url()}/v1", "k")
    with anthropic.Anthropic(api_key="k-open", base_url=server.url(below="down"), max_retries=0) as client:
        wrap(client, fallback=behind, retry=Retry(attempts=1), breaker=Breaker(consecutive=1))
        ask: Callable[..., Any] = client.messages.create
        server.seen.clear()
        answers = [ask(**BODIES["anthropic"]) for _ in range(2)]
    outcomes = [outcome_of(answer) for answer in answers]
    assert [outcome and [skip.reason for skip in outcome.skipped] for outcome in outcomes] == [
        [],
        ["circuit_open"],
    ]
    behind.close()
    failed_over, skipped = server.seen
    assert failed_over == skipped


def test_a_value_that_a_provider_could_not_be_sent_keeps_the_call_from_others(
    server: AnsweringServer,
) -> None:
    # OpenAI's SDK leaves such values out of the arguments of its methods, and sends the body of a bare `post` as it is given.
    behind = AnthropicModel("other-1", server.url(), "k")
    with openai.OpenAI(api_key="k", base_url=server.url("/v1", below="down"), max_retries=0) as client:
        wrap(client, fallback=behind, retry=Retry(attempts=1), breaker=Breaker(consecutive=1))
        ask: Callable[..., Any] = client.chat.completions.create
        ask(**BODIES["openai-chat"])
        server.seen.clear()
        with pytest.raises(openai.APIConnectionError, match=r"other-1 was skipped \(unportable:messages\)"):
            client.post(
                "/chat/completions", body={**BODIES["openai-chat"], "seed": openai.omit}, cast_to=object
            )
    assert server.seen == []


def test_a_body_that_nobody_copies_is_judged_again_when_it_is_read_for_others(
    server: AnsweringServer,
) -> None:
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "?"}]}

    def fails(_: httpx2.Request) -> httpx2.Response:
        body["messages"][0]["content"] = [{"type": "file", "file": {"file_id": "f1"}}]
        return httpx2.Response(503)

    behind = AnthropicModel("other-1", server.url(), "k")
    transport = httpx2.Client(transport=httpx2.MockTransport(fails))
    client = wrap(openai.OpenAI(api_key="k", http_client=transport), fallback=behind, **POLICY)
    server.seen.clear()
    with pytest.raises(openai.InternalServerError) as raised:
        client.post("/chat/completions", body=body, cast_to=object)
    outcome = outcome_of(raised.value)
    assert outcome is not None
    assert [skip.reason for skip in outcome.skipped] == ["unportable:messages[0].content[0].file"]
    assert server.seen == []


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_answers_that_are_sent_back_as_they_came_reach_who_is_asked_in_the_place_of_a_provider_whose_breaker_is_open(
    server: AnsweringServer, colour: str
) -> None:
    said = anthropic.types.TextBlock(type="text", text="I look.")
    called = anthropic.types.ToolUseBlock(type="tool_use", id="t", name="f", input={"a": 1})
    asked: dict[str, Any] = {
        "model": "m",
        "max_tokens": 9,
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": "Where?"},
            {"role": "assistant", "content": [said, called]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "Here."}]},
        ],
    }
    behind = OpenAIModel("other-1", f"{server.url()}/v1", "k")
    place: dict[str, Any] = {"api_key": f"k-{colour}", "base_url": server.url(below="down"), "max_retries": 0}
    policy: dict[str, Any] = {
        "fallback": behind,
        "retry": Retry(attempts=1),
        "breaker": Breaker(consecutive=1),
    }
    server.seen.clear()
    if colour == "sync":
        with anthropic.Anthropic(**place) as client:
            for _ in range(2):
                wrap(client, **policy).messages.create(**asked)
    else:

        async def ask() -> None:
            async with anthropic.AsyncAnthropic(**place) as client:
                for _ in range(2):
                    await wrap(client, **policy).messages.create(**asked)

        asyncio.run(ask())
    behind.close()
    failed_over, skipped = server.seen
    assert failed_over == skipped
    assert all(word in str(skipped) for word in ("Where?", "I look.", "Here."))
