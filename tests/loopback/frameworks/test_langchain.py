"""A chain as a LangChain chat model: what LangChain's own suite does not ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core import exceptions
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import BaseModel, ValidationError

from obliging_server import TEXT, THOUGHT, ObligingServer
from resilient_ai import InvalidRequest, Reply, Request, ResilientModel, Retry
from resilient_ai.errors import AllModelsFailed, DeadlineExceeded, StreamInterrupted
from resilient_ai.frameworks.langchain import ResilientChatModel
from resilient_ai.messages import (
    Chunk,
    Foreign,
    Image,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
)
from resilient_ai.models import FunctionModel, canned
from resilient_ai.testing import FaultServer, ManualClock, ScriptedModel, cut, error, ok, stall

ONCE = Retry(attempts=1)


class Ticket(BaseModel):
    queue: str
    urgent: bool


def chat(*models: Any, **options: Any) -> ResilientChatModel:
    return ResilientChatModel(model=ResilientModel(models, retry=ONCE, **options))


def added(chunks: Iterator[AIMessageChunk]) -> AIMessageChunk:
    whole, *rest = list(chunks)
    return whole.__add__(rest) if rest else whole


def test_a_message_tells_who_answered_and_what_was_tried() -> None:
    message = chat(ScriptedModel([error(503)], name="first"), canned("Later.")).invoke("Hello")
    assert message.text == "Later."
    assert message.response_metadata["model_name"] == "canned"
    outcome = message.response_metadata["outcome"]
    assert (outcome["served_by"], outcome["degraded"]) == ("canned", True)
    assert [(tried["model"], tried["kind"]) for tried in outcome["attempts"]] == [
        ("first", "overloaded"),
        ("canned", None),
    ]
    json.dumps(message.response_metadata)


def test_a_stream_tells_it_on_its_last_chunk() -> None:
    chunks = list(chat(ScriptedModel([error(503)]), ScriptedModel([ok("one two")], name="b")).stream("Hello"))
    assert [chunk.content for chunk in chunks] == ["one", " two", ""]
    assert "outcome" not in chunks[0].response_metadata
    assert chunks[-1].response_metadata["outcome"]["served_by"] == "b"
    assert chunks[-1].chunk_position == "last"


def test_a_provider_that_fails_on_loopback_is_survived_in_every_way_of_asking() -> None:
    with FaultServer() as server, ObligingServer() as obliging:
        from resilient_ai.models import OpenAIModel

        down = OpenAIModel("gpt-5.2", base_url=server.url("status:500"), api_key="key-of-nobody")
        model = chat(down, obliging.model())

        async def asynchronous() -> list[str]:
            answered = await model.ainvoke("Hello")
            streamed = [chunk.text async for chunk in model.astream("Hello")]
            await model.model.aclose()
            return [answered.text, "".join(streamed)]

        texts = [model.invoke("Hello").text, added(model.stream("Hello")).text, *asyncio.run(asynchronous())]
        model.model.close()
    assert [str(text) for text in texts] == [TEXT] * 4


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, exceptions.ModelAuthenticationError),
        (429, exceptions.ModelRateLimitError),
        (503, exceptions.ModelAPIError),
        (400, exceptions.ModelInvalidRequestError),
    ],
)
def test_a_failure_is_langchains_class_with_ours_as_its_cause(status: int, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught:
        chat(ScriptedModel([error(status)])).invoke("Hello")
    assert caught.value.__cause__ is not None
    assert len(caught.value.__cause__.attempts) == 1  # type: ignore[attr-defined]
    with pytest.raises(expected):
        list(chat(ScriptedModel([error(status)])).stream("Hello"))


def test_an_overflowing_context_is_what_summarising_middleware_catches() -> None:
    with pytest.raises(exceptions.ContextOverflowError) as caught:
        chat(ScriptedModel([error(kind="context_overflow")])).invoke("Hello")
    assert caught.value.__cause__ is not None


def test_a_chain_that_is_exhausted_and_a_deadline_that_passed() -> None:
    with pytest.raises(exceptions.ModelAPIError) as failed:
        chat(ScriptedModel([error(500)]), ScriptedModel([error(500)])).invoke("Hello")
    assert isinstance(failed.value.__cause__, AllModelsFailed)
    late = chat(ScriptedModel([stall(60)]), deadline=5, clock=ManualClock())
    with pytest.raises(exceptions.ModelTimeoutError) as passed:
        late.invoke("Hello")
    assert isinstance(passed.value.__cause__, DeadlineExceeded)


def test_a_function_of_the_chain_raises_its_own_exception() -> None:
    def broken(text: str) -> str:
        raise KeyError("mine")

    with pytest.raises(KeyError):
        chat(broken).invoke("Hello")


def test_a_stream_that_breaks_after_content_raises_and_keeps_what_came() -> None:
    seen: list[str] = []
    with pytest.raises(exceptions.ModelConnectionError) as caught:
        seen.extend(str(chunk.text) for chunk in chat(ScriptedModel([cut(after=2)])).stream("Hello"))
    assert seen == ["one", " two"]
    cause = caught.value.__cause__
    assert isinstance(cause, StreamInterrupted)
    assert cause.partial.text == "one two"


def test_a_stream_dropped_early_closes_its_connection() -> None:
    scripted = ScriptedModel([ok("one two three"), ok("one two three")])
    stream = chat(scripted).stream("Hello")
    next(stream)
    assert scripted.open_streams == 1
    stream.close()  # type: ignore[attr-defined]
    assert scripted.open_streams == 0

    async def left() -> None:
        words = chat(scripted).astream("Hello")
        await anext(words)
        await words.aclose()  # type: ignore[attr-defined]
        await asyncio.get_running_loop().shutdown_asyncgens()

    asyncio.run(left())
    assert scripted.open_streams == 0


def test_cancelling_reaches_the_model() -> None:
    ended: list[str] = []

    async def slow(text: str) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(text)
            raise
        return ""

    async def cancelled() -> None:
        task = asyncio.create_task(chat(slow).ainvoke("Hello"))
        for _ in range(20):
            await asyncio.sleep(0)  # noqa: TID251 - lets the task run as far as it can
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert ended == ["Hello"]


def test_blocking_calls_start_no_event_loop_and_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a blocking call started something")

    with ObligingServer() as obliging:
        model = chat(obliging.model())
        monkeypatch.setattr(asyncio, "new_event_loop", refuse)
        monkeypatch.setattr(asyncio, "Runner", refuse)
        threads = threading.active_count()
        assert model.invoke("Hello").text == TEXT
        assert added(model.stream("Hello")).text == TEXT
        monkeypatch.undo()
        model.model.close()
    assert threading.active_count() <= threads


def test_a_conversation_arrives_as_it_was_meant() -> None:
    seen: list[Request] = []

    def answer(request: Request) -> str:
        seen.append(request)
        return "ok"

    call = {"name": "search", "args": {"q": "parcel"}, "id": "c1", "type": "tool_call"}
    chat(answer).invoke(
        [
            SystemMessage("Be kind."),
            HumanMessage(
                [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image", "base64": "aGk=", "mime_type": "image/jpeg"},
                    {"type": "image_url", "image_url": {"url": "https://a.example/x.png"}},
                ],
                name="ann",
            ),
            AIMessage("Let me look.", tool_calls=[call]),
            ToolMessage("nothing", tool_call_id="c1", name="search", status="error"),
        ]
    )
    system, user, assistant, tool = seen[0].messages
    assert (system.role, system.text) == ("system", "Be kind.")
    assert user.name == "ann"
    assert [type(part).__name__ for part in user.parts] == ["Text", "Image", "Image"]
    assert user.parts[1].data == "aGk="  # type: ignore[union-attr]
    assert user.parts[2].url == "https://a.example/x.png"  # type: ignore[union-attr]
    assert assistant.parts == (Text("Let me look."), ToolCall("c1", "search", '{"q": "parcel"}'))
    assert tool.parts == (ToolResult("c1", "nothing", "search", is_error=True),)


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text-plain", "text": "A page."}, Text("A page.")),
        ({"type": "image_url", "image_url": "https://a.example/x.png"}, Image(url="https://a.example/x.png")),
        (
            {"type": "image_url", "image_url": "data:image/png;base64,aGk="},
            Image(data="aGk=", media_type="image/png"),
        ),
        ({"type": "redacted_thinking", "data": "sealed"}, Reasoning("", {"redacted_thinking": "sealed"})),
    ],
)
def test_blocks_that_older_code_left_in_a_history_are_read(block: dict[str, Any], part: Part) -> None:
    assert sent([AIMessage([block]) if isinstance(part, Reasoning) else HumanMessage([block])]) == (part,)


@pytest.mark.parametrize("source", [{"base64": "aGk="}, {"url": "https://a.example/x.txt"}, {"file_id": "f"}])
def test_a_text_that_lies_in_a_file_is_not_taken_for_an_empty_one(source: dict[str, str]) -> None:
    (part,) = sent([HumanMessage([{"type": "text-plain", "mime_type": "text/plain", **source}])])
    assert isinstance(part, Foreign)
    assert part.field == "messages[0].content[0].text-plain"


def sent(messages: list[BaseMessage]) -> tuple[Part, ...]:
    """The parts of the first message, as the chain is asked."""
    seen: list[Request] = []

    def answer(request: Request) -> str:
        seen.append(request)
        return "ok"

    chat(answer).invoke(messages)
    return seen[0].messages[0].parts


def test_private_state_of_a_provider_goes_back_to_it_whole_or_streamed() -> None:
    """A signature that does not come back makes the next request of a tool loop a 400."""
    call = ToolCall("c1", "search", "{}", {"thoughtSignature": "sig-of-call"})
    thought = Reasoning("Hm.", {"signature": "sig-of-thought"})
    other = Reasoning("So.", {"signature": "sig-of-other"})
    seen: list[Request] = []

    def whole(request: Request) -> Reply:
        seen.append(request)
        return Reply("Look.", (call,), "tool_calls", reasoning=(thought, other))

    def pieces(request: Request) -> Iterator[Chunk]:
        seen.append(request)
        yield Chunk(reasoning="H")
        yield Chunk(reasoning="m.", opaque=thought.opaque)
        yield Chunk(reasoning="So.", opaque=other.opaque)
        yield Chunk(text="Lo")
        yield Chunk(text="ok.")
        yield Chunk(tool_call=ToolCallDelta(0, "c1", "search", "{", call.opaque))
        yield Chunk(tool_call=ToolCallDelta(0, arguments="}"))
        yield Chunk(finish_reason="tool_calls")

    for version in ("v0", "v1"):
        for message in (
            ResilientChatModel(model=ResilientModel(whole), output_version=version).invoke("Where?"),
            added(ResilientChatModel(model=ResilientModel(pieces), output_version=version).stream("Where?")),
        ):
            assert message.text == "Look."
            assert [block["type"] for block in message.content_blocks] == [
                *("reasoning", "reasoning", "text", "tool_call")
            ]
            chat(whole).invoke([HumanMessage("Where?"), message, ToolMessage("here", tool_call_id="c1")])
            assert seen[-1].messages[1].parts == (thought, other, Text("Look."), call)


def test_a_thought_is_told_apart_from_the_text() -> None:
    with ObligingServer(thinks=True) as thinking:
        model = chat(thinking.model())
        for message in (model.invoke("Hello"), added(model.stream("Hello"))):
            assert message.text == TEXT
            reasoning = [block for block in message.content_blocks if block["type"] == "reasoning"]
            assert [block.get("reasoning") for block in reasoning] == [THOUGHT]
        model.model.close()


def test_two_streamed_tool_calls_stay_two_and_arguments_that_are_no_json_are_told_as_invalid() -> None:
    def pieces(request: Request) -> Iterator[Chunk]:
        yield Chunk(text="Both.")
        yield Chunk(tool_call=ToolCallDelta(0, "c1", "a", '{"x": 1}'))
        yield Chunk(tool_call=ToolCallDelta(1, "c2", "b", '{"y": 2}'))
        yield Chunk(finish_reason="tool_calls")

    for version in ("v0", "v1"):
        message = added(ResilientChatModel(model=ResilientModel(pieces), output_version=version).stream("x"))
        assert [(call["id"], call["args"]) for call in message.tool_calls] == [
            ("c1", {"x": 1}),
            ("c2", {"y": 2}),
        ]
        assert message.text == "Both."

    calls = [ToolCall("c1", "a", "not json")]
    told = chat(ScriptedModel([ok("", tool_calls=calls, finish_reason="tool_calls")])).invoke("x")
    assert told.tool_calls == []
    assert told.invalid_tool_calls[0]["args"] == "not json"


def test_structured_output_is_asked_for_again_and_then_of_the_next_model() -> None:
    first = ScriptedModel([ok("no json"), ok("still none"), ok('{"queue": 1}')], name="first")
    second = ScriptedModel([ok('{"queue": "billing", "urgent": true}')], name="second")
    ticket = chat(first, second).with_structured_output(Ticket).invoke("Sort this.")
    assert ticket == Ticket(queue="billing", urgent=True)
    first.assert_done()
    schema = second.requests[0].output_schema
    assert schema is not None
    assert schema.name == "Ticket"


def test_an_answer_that_never_fits_is_langchains_parsing_error() -> None:
    with pytest.raises(exceptions.OutputParserException):
        chat(ScriptedModel([ok("no")], repeat=True)).with_structured_output(Ticket).invoke("Sort this.")
    raw = (
        chat(ScriptedModel([ok("no")])).with_structured_output(Ticket, include_raw=True).invoke("Sort this.")
    )
    assert isinstance(raw, dict)
    assert raw["raw"].text == "no"
    assert raw["parsed"] is None
    assert isinstance(raw["parsing_error"], exceptions.OutputParserException)


def test_tokens_that_are_unknown_are_none_and_not_zero() -> None:
    assert chat(ScriptedModel([ok("hi", usage=Usage(None, 3))])).invoke("x").usage_metadata is None
    told = chat(ScriptedModel([ok("hi", usage=Usage(9, 3, 4, 2, 1))])).invoke("x").usage_metadata
    assert told == {
        "input_tokens": 9,
        "output_tokens": 3,
        "total_tokens": 12,
        "input_token_details": {"cache_read": 4, "cache_creation": 2},
        "output_token_details": {"reasoning": 1},
    }


def test_settings_of_the_model_and_of_the_call_reach_the_request(obliging: ObligingServer) -> None:
    model = ResilientChatModel(
        model=ResilientModel([obliging.model()]), temperature=0.5, max_tokens=10, stop=["END"], seed=3
    )
    model.invoke("Hello", temperature=0.1, top_p=0.9, user="u1")
    body = obliging.bodies[-1]
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.1, 0.9, 10)
    assert (body["stop"], body["seed"], body["user"]) == (["END"], 3, "u1")
    assert "stream" not in body
    model.model.close()


def test_a_data_class_keeps_models_out_that_are_not_cleared_for_it() -> None:
    def seen(text: str) -> str:
        return "seen"

    open_house = FunctionModel(seen, data_classes=["public"])
    model = ResilientChatModel(model=ResilientModel([open_house, canned("kept here")]), data_class="personal")
    assert model.invoke("Ann Smith, Elm Street 3").text == "kept here"


@pytest.mark.parametrize("name", ["model", "timeout", "max_retries", "api_key"])
def test_what_the_chain_decides_cannot_be_given_with_a_call(name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{name}= cannot be given with a call"):
        chat(canned("hi")).invoke("x", None, stop=None, **{name: "1"})


def test_what_the_chain_decides_cannot_be_given_at_construction() -> None:
    with pytest.raises(ValidationError, match="max_retries"):
        ResilientChatModel(model=ResilientModel([canned("hi")]), max_retries=2)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="is no chain"):
        ResilientChatModel(model="gpt-5.2")  # type: ignore[arg-type]


def test_a_chain_that_takes_back_what_it_delivered_is_refused() -> None:
    with pytest.raises(ValidationError, match="restart"):
        chat(canned("hi"), on_interrupt="restart")


def test_a_document_is_sent_to_openais_format_and_to_no_other(obliging: ObligingServer) -> None:
    document = {"type": "file", "base64": "aGk=", "mime_type": "application/pdf", "filename": "a.pdf"}
    message = HumanMessage([{"type": "text", "text": "Sum it up."}, document])
    model = ResilientChatModel(model=ResilientModel([obliging.model()]))
    model.invoke([message])
    assert obliging.bodies[-1]["messages"][0]["content"][1] == {
        "type": "file",
        "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"},
    }
    model.model.close()
    from resilient_ai.models import AnthropicModel

    elsewhere = AnthropicModel("claude-sonnet-5", base_url=obliging.url, api_key="key-of-nobody")
    other = ResilientChatModel(model=ResilientModel([elsewhere]))
    with pytest.raises(exceptions.ModelError) as caught:
        other.invoke([message])
    assert "content[1].file" in str(caught.value.__cause__) or "file" in repr(caught.value.__cause__)
    other.model.close()


def test_two_chains_are_kept_apart_in_langchains_cache() -> None:
    from langchain_core.caches import InMemoryCache

    cache = InMemoryCache()
    one = ResilientChatModel(model=ResilientModel([canned("one")], name="one"), cache=cache)
    two = ResilientChatModel(model=ResilientModel([canned("two")], name="two"), cache=cache)
    assert [str(model.invoke("x").text) for model in (one, two, one)] == ["one", "two", "one"]
