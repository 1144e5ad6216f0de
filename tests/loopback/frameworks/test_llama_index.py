"""A chain as a LlamaIndex LLM, under LlamaIndex's own agents and programs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, ValidationError

from obliging_server import TEXT, THOUGHT, ObligingServer
from resilient_ai import AllModelsFailed, InvalidRequest, Reply, Request, ResilientModel, Retry
from resilient_ai.errors import DeadlineExceeded, InvalidOutput, ModelError, StreamInterrupted
from resilient_ai.frameworks.llama_index import ResilientLLM
from resilient_ai.messages import (
    Chunk,
    Foreign,
    Image,
    OutputSchema,
    Reasoning,
    Text,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
)
from resilient_ai.models import FunctionModel, OpenAIModel, canned
from resilient_ai.testing import FaultServer, ManualClock, ScriptedModel, cut, error, ok, stall

ONCE = Retry(attempts=1)
HELLO = [ChatMessage(role=MessageRole.USER, content="Hello")]


class Ticket(BaseModel):
    queue: str
    urgent: bool


def llm(*models: Any, **options: Any) -> ResilientLLM:
    return ResilientLLM(model=ResilientModel(models, retry=ONCE, **options))


def told(response: ChatResponse | CompletionResponse) -> dict[str, Any]:
    """What stands beside an answer; LlamaIndex leaves its type open."""
    return cast("dict[str, Any]", response.additional_kwargs)


def test_a_response_tells_who_answered_and_what_was_tried() -> None:
    usage = Usage(9, 3)
    response = llm(
        ScriptedModel([error(503)], name="a"), ScriptedModel([ok("Yes.", usage=usage)], name="b")
    ).chat(HELLO)
    assert response.message.content == "Yes."
    facts = told(response)
    assert (facts["model"], facts["finish_reason"]) == ("b", "stop")
    assert (facts["prompt_tokens"], facts["completion_tokens"], facts["total_tokens"]) == (9, 3, 12)
    outcome = facts["outcome"]
    assert (outcome["served_by"], outcome["degraded"]) == ("b", True)
    assert [(tried["model"], tried["kind"]) for tried in outcome["attempts"]] == [
        ("a", "overloaded"),
        ("b", None),
    ]
    json.dumps(facts)


def test_a_provider_that_fails_on_loopback_is_survived_in_all_eight_ways_of_asking() -> None:
    with FaultServer() as server, ObligingServer() as obliging:
        down = OpenAIModel("gpt-5.2", base_url=server.url("status:500"), api_key="key-of-nobody")
        asked = llm(down, obliging.model())
        texts = [asked.chat(HELLO).message.content, asked.complete("Hello").text]
        for items in (list(asked.stream_chat(HELLO)), list(asked.stream_complete("Hello"))):
            texts.append("".join(item.delta or "" for item in items))
            assert len(items) > 3
            assert told(items[-1])["outcome"]["served_by"] == "obliging-1"

        async def asynchronous() -> None:
            texts.append((await asked.achat(HELLO)).message.content)
            texts.append((await asked.acomplete("Hello")).text)
            texts.append("".join([item.delta or "" async for item in await asked.astream_chat(HELLO)]))
            texts.append("".join([item.delta or "" async for item in await asked.astream_complete("Hello")]))
            await asked.model.aclose()

        asyncio.run(asynchronous())
        asked.model.close()
    assert texts == [TEXT] * 8


def test_an_item_of_a_stream_holds_all_that_came() -> None:
    items = list(llm(ScriptedModel([ok("one two three")])).stream_chat(HELLO))
    assert [item.message.content for item in items] == ["one", "one two", "one two three", "one two three"]
    assert [item.delta for item in items] == ["one", " two", " three", ""]


# LlamaIndex's workflows look at every attribute of an agent, pydantic's deprecated ones included.
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
def test_an_agent_of_llama_index_uses_tools() -> None:
    def magic(number: int) -> int:
        """Adds two."""
        return number + 2

    async def run() -> None:
        with ObligingServer() as obliging:
            asked = llm(obliging.model())
            # Its overloads take the new way of calling it for the deprecated one.
            agent = cast("Any", FunctionAgent(tools=[magic], llm=asked, system_prompt="Be kind."))
            assert str(await agent.run(user_msg="What is magic(3)?")) == TEXT
            first, second = obliging.bodies
            assert first["tools"][0]["function"]["name"] == "magic"
            assert [message["role"] for message in second["messages"]] == [
                "system",
                "user",
                "assistant",
                "tool",
            ]
            assert second["messages"][-1]["content"] == "5"
            assert second["messages"][-1]["tool_call_id"] == second["messages"][-2]["tool_calls"][0]["id"]
            await asked.model.aclose()

    asyncio.run(run())


def test_one_function_is_predicted_and_called(obliging: ObligingServer) -> None:
    def magic(number: int) -> int:
        """Adds two."""
        return number + 2

    asked = llm(obliging.model())
    tool = FunctionTool.from_defaults(magic)
    assert str(asked.predict_and_call([tool], "What is magic(3)?")) == "5"
    assert obliging.bodies[-1]["parallel_tool_calls"] is False
    asked.chat_with_tools([tool], "What is magic(3)?", tool_required=True)
    assert obliging.bodies[-1]["tool_choice"] == "required"
    asked.model.close()


def test_a_second_call_is_left_out_where_one_was_asked_for() -> None:
    same = [ToolCall("", "magic", "{}"), ToolCall("", "magic", "{}")]
    twins = llm(ScriptedModel([ok("", tool_calls=same, finish_reason="tool_calls")]))
    calls = [ToolCall("c1", "magic", "{}"), ToolCall("c2", "magic", "{}")]
    asked = llm(ScriptedModel([ok("", tool_calls=calls, finish_reason="tool_calls")], repeat=True))

    def magic() -> int:
        """Five."""
        return 5

    tool = FunctionTool.from_defaults(magic)
    one = asked.chat_with_tools([tool], "Go.")
    assert [call.tool_id for call in asked.get_tool_calls_from_response(one)] == ["c1"]
    assert len(asked.get_tool_calls_from_response(twins.chat_with_tools([tool], "Go."))) == 1
    both = asked.chat_with_tools([tool], "Go.", allow_parallel_tool_calls=True)
    assert [call.tool_id for call in asked.get_tool_calls_from_response(both)] == ["c1", "c2"]
    with pytest.raises(ValueError, match="no tool"):
        asked.get_tool_calls_from_response(llm(canned("hi")).chat(HELLO))


def test_structured_output_is_asked_for_again_and_then_of_the_next_model() -> None:
    first = ScriptedModel([ok("no json"), ok("still none"), ok('{"queue": 1}')])
    second = ScriptedModel([ok('{"queue": "billing", "urgent": true}')])
    prompt = PromptTemplate("Sort this: {text}")
    ticket = llm(first, second).structured_predict(Ticket, prompt, text="I was billed twice.")
    assert ticket == Ticket(queue="billing", urgent=True)
    first.assert_done()
    assert second.requests[0].messages[0].text == "Sort this: I was billed twice."

    async def asynchronous() -> Ticket:
        scripted = ScriptedModel([ok('{"queue": "billing", "urgent": true}')])
        return await llm(scripted).astructured_predict(Ticket, prompt, text="Twice.")

    assert asyncio.run(asynchronous()) == ticket
    with pytest.raises(InvalidOutput):
        llm(ScriptedModel([ok("no")], repeat=True)).structured_predict(Ticket, prompt, text="x")
    structured = llm(ScriptedModel([ok('{"queue": "billing", "urgent": true}')])).as_structured_llm(Ticket)
    assert structured.chat(HELLO).raw == ticket


def test_failures_are_this_librarys_own() -> None:
    with pytest.raises(ModelError):
        llm(ScriptedModel([error(400)])).chat(HELLO)
    with pytest.raises(AllModelsFailed):
        llm(ScriptedModel([error(500)]), ScriptedModel([error(500)])).complete("Hello")
    with pytest.raises(DeadlineExceeded):
        llm(ScriptedModel([stall(60)]), deadline=5, clock=ManualClock()).chat(HELLO)
    seen: list[str] = []
    with pytest.raises(StreamInterrupted) as caught:
        seen.extend(item.delta or "" for item in llm(ScriptedModel([cut(after=2)])).stream_chat(HELLO))
    assert "".join(seen) == caught.value.partial.text == "one two"


def test_a_stream_left_early_closes_its_connection() -> None:
    scripted = ScriptedModel([ok("one two three")], repeat=True)
    stream = llm(scripted).stream_chat(HELLO)
    next(stream)
    assert scripted.open_streams == 1
    stream.close()
    assert scripted.open_streams == 0

    async def left() -> None:
        words = await llm(scripted).astream_chat(HELLO)
        await anext(words)
        assert scripted.open_streams == 1
        await words.aclose()
        await asyncio.get_running_loop().shutdown_asyncgens()

    asyncio.run(left())
    assert scripted.open_streams == 0


def test_cancelling_reaches_the_model() -> None:
    ended: list[str] = []

    async def run() -> None:
        begun = asyncio.Event()

        async def slow(text: str) -> AsyncIterator[str]:
            begun.set()
            try:
                await asyncio.Event().wait()
                yield ""
            finally:
                ended.append(text)

        async def read() -> list[ChatResponse]:
            return [item async for item in await llm(slow).astream_chat(HELLO)]

        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert ended == ["Hello"]


def test_blocking_calls_start_no_event_loop(
    monkeypatch: pytest.MonkeyPatch, obliging: ObligingServer
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a blocking call started an event loop")

    asked = llm(obliging.model())
    monkeypatch.setattr(asyncio, "new_event_loop", refuse)
    monkeypatch.setattr(asyncio, "Runner", refuse)
    assert asked.chat(HELLO).message.content == TEXT
    assert list(asked.stream_complete("Hello"))[-1].text == TEXT
    asked.model.close()


def test_a_conversation_arrives_as_it_was_meant(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4 hi")
    seen: list[Request] = []

    def answer(request: Request) -> str:
        seen.append(request)
        return "ok"

    of_call = {"tool_call_id": "c1", "name": "search"}
    old = {"id": "c0", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    llm(answer).chat(
        [
            ChatMessage(role=MessageRole.SYSTEM, content="Be kind."),
            ChatMessage(
                role=MessageRole.USER,
                blocks=[
                    TextBlock(text="What is it?"),
                    ImageBlock(url="https://a.example/x.png", detail="low"),
                    ImageBlock(image=b"hi", image_mimetype="image/jpeg"),
                ],
            ),
            ChatMessage(role=MessageRole.ASSISTANT, content="", additional_kwargs={"tool_calls": [old]}),
            ChatMessage(
                role=MessageRole.ASSISTANT,
                blocks=[
                    ThinkingBlock(content="Hm.", additional_information={"signature": "sig"}),
                    TextBlock(text="Let me look."),
                    ToolCallBlock(tool_call_id="c1", tool_name="search", tool_kwargs={"q": "parcel"}),
                ],
            ),
            ChatMessage(role=MessageRole.TOOL, content="nothing", additional_kwargs=of_call),
        ]
    )
    system, user, older, assistant, tool = seen[0].messages
    assert (system.role, system.text) == ("system", "Be kind.")
    assert user.parts == (
        Text("What is it?"),
        Image(url="https://a.example/x.png", detail="low"),
        Image(data="aGk=", media_type="image/jpeg"),
    )
    assert older.parts[-1] == ToolCall("c0", "search", "{}")
    assert assistant.parts == (
        Reasoning("Hm.", {"signature": "sig"}),
        Text("Let me look."),
        ToolCall("c1", "search", '{"q": "parcel"}'),
    )
    assert tool.parts == (ToolResult("c1", "nothing", "search"),)

    files = [DocumentBlock(path=tmp_path / "a.pdf", title="a.pdf"), AudioBlock(audio=b"hi", format="wav")]
    llm(answer).chat([ChatMessage(role=MessageRole.USER, blocks=files)])
    document, audio = seen[-1].messages[0].parts
    assert isinstance(document, Foreign)
    assert isinstance(audio, Foreign)
    assert (document.format, audio.format) == ("openai-chat", "openai-chat")
    assert audio.value == {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}


def test_private_state_of_a_provider_goes_back_to_it_whole_or_streamed() -> None:
    """A signature that does not come back makes the next request of a tool loop a 400."""
    thought, call = (
        Reasoning("Hm.", {"signature": "s1"}),
        ToolCall("c1", "a", "{}", {"thoughtSignature": "s2"}),
    )
    seen: list[Request] = []

    def whole(request: Request) -> Reply:
        seen.append(request)
        return Reply("Look.", (call,), "tool_calls", reasoning=(thought,))

    def pieces(request: Request) -> Iterator[Chunk]:
        yield Chunk(reasoning="Hm.", opaque=thought.opaque)
        yield Chunk(text="Look.")
        yield Chunk(tool_call=ToolCallDelta(0, "c1", "a", "{", call.opaque))
        yield Chunk(tool_call=ToolCallDelta(0, arguments="}"))
        yield Chunk(finish_reason="tool_calls")

    for response in (llm(whole).chat(HELLO), list(llm(pieces).stream_chat(HELLO))[-1]):
        result = ChatMessage(role=MessageRole.TOOL, content="5", additional_kwargs={"tool_call_id": "c1"})
        llm(whole).chat([*HELLO, response.message, result])
        assert seen[-1].messages[1].parts == (thought, Text("Look."), call)


def test_a_thought_is_told_apart_from_the_text() -> None:
    with ObligingServer(thinks=True) as thinking:
        asked = llm(thinking.model())
        items = list(asked.stream_chat(HELLO))
        assert "".join(told(item).get("thinking_delta", "") for item in items) == THOUGHT
        for response in (asked.chat(HELLO), items[-1]):
            assert response.message.content == TEXT
            thoughts = [block for block in response.message.blocks if isinstance(block, ThinkingBlock)]
            assert [block.content for block in thoughts] == [THOUGHT]
        asked.model.close()


def test_settings_of_the_llm_and_of_the_call_reach_the_request(obliging: ObligingServer) -> None:
    asked = ResilientLLM(model=ResilientModel([obliging.model()]), temperature=0.5, max_tokens=10)
    asked.chat(HELLO, temperature=0.1, top_p=0.9, user="u1")
    body = obliging.bodies[-1]
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["user"]) == (0.1, 0.9, 10, "u1")
    asked.model.close()


@pytest.mark.parametrize("name", ["model", "timeout", "max_retries", "api_key"])
def test_what_the_chain_decides_cannot_be_given_with_a_call(name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{name}= cannot be given with a call"):
        llm(canned("hi")).chat(HELLO, **{name: "1"})


def test_the_form_of_an_answer_in_openais_words_reaches_every_model() -> None:
    scripted = ScriptedModel([ok("{}"), ok("{}")])
    asked = llm(scripted)
    asked.chat(HELLO, response_format={"type": "json_object"}, tool_choice=None)
    form = {"type": "json_schema", "json_schema": {"name": "Ticket", "schema": {"type": "object"}}}
    asked.complete("Hello", response_format=form)
    assert [request.output_schema for request in scripted.requests] == [
        OutputSchema("json", None, strict=False),
        OutputSchema("Ticket", {"type": "object"}, strict=False),
    ]
    with pytest.raises(InvalidRequest, match="response_format must be"):
        asked.chat(HELLO, response_format=Ticket)


def test_a_tool_call_that_cannot_be_read_is_told_by_its_place() -> None:
    broken = ChatMessage(
        role=MessageRole.ASSISTANT, content="", additional_kwargs={"tool_calls": [{"id": "c"}]}
    )
    with pytest.raises(InvalidRequest, match=r"messages\[1\]\.additional_kwargs\['tool_calls'\]\[0\]"):
        llm(canned("hi")).chat([*HELLO, broken])


def test_metadata_is_that_of_the_first_model() -> None:
    first = OpenAIModel("gpt-5.2", base_url="http://127.0.0.1:9", api_key="k", context_tokens=400_000)
    metadata = llm(first, canned("hi")).metadata
    assert (metadata.model_name, metadata.context_window) == ("gpt-5.2", 400_000)
    assert metadata.is_chat_model
    assert metadata.is_function_calling_model
    assert ResilientLLM(model=ResilientModel([first]), context_window=8_000).metadata.context_window == 8_000


def test_a_data_class_keeps_models_out_that_are_not_cleared_for_it() -> None:
    def seen(text: str) -> str:
        return "seen"

    chain = ResilientModel([FunctionModel(seen, data_classes=["public"]), canned("kept here")])
    assert ResilientLLM(model=chain, data_class="personal").complete("Ann Smith").text == "kept here"


def test_what_cannot_serve_is_refused() -> None:
    with pytest.raises(ValidationError, match="is no chain"):
        ResilientLLM(model="gpt-5.2")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="restart"):
        llm(canned("hi"), on_interrupt="restart")
    with pytest.raises(ValidationError, match="max_retries"):
        ResilientLLM(model=ResilientModel([canned("hi")]), max_retries=2)  # type: ignore[call-arg]
