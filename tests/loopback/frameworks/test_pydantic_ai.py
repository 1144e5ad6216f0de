"""A chain as a pydantic-ai model, under real agents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    BinaryContent,
    ImageUrl,
    ModelAPIError,
    ModelHTTPError,
    ModelRetry,
    NativeOutput,
    PromptedOutput,
    exceptions,
)
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.test import TestModel

from obliging_server import TEXT, THOUGHT, ObligingServer
from resilient_ai import ConfigError, Reply, Request, ResilientModel, Retry
from resilient_ai.errors import AllModelsFailed, CallError, StreamInterrupted
from resilient_ai.frameworks.pydantic_ai import ResilientAgentModel
from resilient_ai.messages import (
    Chunk,
    Foreign,
    Image,
    Reasoning,
    Text,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
)
from resilient_ai.models import AnthropicModel, FunctionModel, OpenAIModel, canned
from resilient_ai.testing import FaultServer, ManualClock, ScriptedModel, cut, error, ok, stall

ONCE = Retry(attempts=1)


class Ticket(BaseModel):
    queue: str
    urgent: bool


MODES: Mapping[str, Any] = {
    "tool": Ticket,
    "native": NativeOutput(Ticket),
    "prompted": PromptedOutput(Ticket),
}


def chain(*models: Any, **options: Any) -> ResilientAgentModel:
    return ResilientAgentModel(ResilientModel(models, retry=ONCE, **options))


def asked(agent: Agent[None, Any], *arguments: Any, **options: Any) -> Any:
    """`run_sync`, in a loop that is closed behind it."""
    return asyncio.run(agent.run(*arguments, **options))


def last(messages: list[Any]) -> ModelResponse:
    response = messages[-1]
    assert isinstance(response, ModelResponse)
    return response


def test_a_response_tells_who_answered_and_what_was_tried() -> None:
    model = chain(
        ScriptedModel([error(503)], name="first"), ScriptedModel([ok("Later.")], name="b", provider="p")
    )
    result = asked(Agent(model), "Hello")
    assert result.output == "Later."
    response = last(result.all_messages())
    assert (response.model_name, response.provider_name, response.finish_reason) == ("b", "p", "stop")
    details = response.provider_details
    assert details is not None
    outcome = details["outcome"]
    assert (outcome["served_by"], outcome["degraded"]) == ("b", True)
    assert [(tried["model"], tried["kind"]) for tried in outcome["attempts"]] == [
        ("first", "overloaded"),
        ("b", None),
    ]
    assert b'"degraded":true' in result.all_messages_json()


def test_a_provider_that_fails_on_loopback_is_survived_whole_and_streamed() -> None:
    async def answered() -> list[str]:
        with FaultServer() as server, ObligingServer() as obliging:
            down = OpenAIModel("gpt-5.2", base_url=server.url("status:500"), api_key="key-of-nobody")
            model = chain(down, obliging.model())
            agent = Agent(model)
            whole = await agent.run("Hello")
            async with agent.run_stream("Hello") as streamed:
                pieces = [piece async for piece in streamed.stream_text(delta=True, debounce_by=None)]
            assert len(pieces) > 3
            response = last(streamed.all_messages())
            assert response.provider_details is not None
            assert response.provider_details["outcome"]["served_by"] == "obliging-1"
            assert (response.model_name, response.provider_name) == ("obliging-1", "openai")
            await model.chain.aclose()
            return [whole.output, "".join(pieces)]

    assert asyncio.run(answered()) == [TEXT, TEXT]


def test_an_agent_uses_tools_and_its_history_comes_back_as_it_was() -> None:
    async def run() -> None:
        with ObligingServer() as obliging:
            agent = Agent(chain(obliging.model()), instructions="Be kind.", system_prompt="You keep a light.")

            @agent.tool_plain
            def magic(number: int) -> dict[str, int]:
                """Adds two."""
                return {"sum": number + 2}

            result = await agent.run("What is magic(3)?")
            assert result.output == TEXT
            first, second = obliging.bodies
            assert first["tools"][0]["function"]["name"] == "magic"
            assert first["tools"][0]["function"]["description"] == "Adds two."
            assert [message["role"] for message in second["messages"]] == [
                *("system", "system", "user", "assistant", "tool")
            ]
            assert [message["content"] for message in second["messages"][:2]] == [
                "You keep a light.",
                "Be kind.",
            ]
            assert json.loads(second["messages"][-1]["content"]) == {"sum": 5}
            assert result.usage.requests == 2
            assert (result.usage.input_tokens, result.usage.output_tokens) == (22, 14)
            assert result.usage.cache_read_tokens == 8
            async with agent.run_stream("What is magic(3)?") as streamed:
                assert await streamed.get_output() == TEXT
            assert streamed.usage.output_tokens == 14
            agent_model = agent.model
            assert isinstance(agent_model, ResilientAgentModel)
            await agent_model.chain.aclose()

    asyncio.run(run())


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("mode", ["tool", "native", "prompted"])
def test_structured_output_in_every_mode(mode: str, streamed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    async def run() -> tuple[Ticket, Any]:
        with ObligingServer() as obliging:
            if mode == "prompted":
                obliging.example = {"queue": "billing", "urgent": True}
            agent: Agent[None, Any] = Agent(chain(obliging.model()), output_type=MODES[mode])
            if streamed:
                async with agent.run_stream("The queue is 'billing'.") as result:
                    found = await result.get_output()
            else:
                found = (await agent.run("The queue is 'billing'.")).output
            model = agent.model
            assert isinstance(model, ResilientAgentModel)
            await model.chain.aclose()
            return found, obliging.bodies[0]

    found, body = asyncio.run(run())
    assert found == Ticket(queue="billing", urgent=True)
    if mode == "tool":
        assert body["tool_choice"] == "required"
    elif mode == "native":
        assert body["response_format"]["json_schema"]["name"] == "Ticket"
    else:
        assert body["response_format"] == {"type": "json_object"}


def test_a_tool_that_asks_to_be_called_again_is_told_as_an_error() -> None:
    scripted = ScriptedModel(
        [
            ok("", tool_calls=[ToolCall("c1", "magic", '{"number": 1}')], finish_reason="tool_calls"),
            ok("", tool_calls=[ToolCall("c2", "magic", '{"number": 2}')], finish_reason="tool_calls"),
            ok("Done."),
        ]
    )
    agent = Agent(chain(scripted))

    @agent.tool_plain(retries=2)
    def magic(number: int) -> int:
        if number == 1:
            raise ModelRetry("Only even numbers.")
        return number

    assert asked(agent, "Go.").output == "Done."
    retried = scripted.requests[1].messages[-1].parts[0]
    assert isinstance(retried, ToolResult)
    assert (retried.call_id, retried.is_error) == ("c1", True)
    assert "Only even numbers." in retried.content
    good = scripted.requests[2].messages[-1].parts[0]
    assert good == ToolResult("c2", "2", "magic")


def test_an_output_that_does_not_fit_is_asked_for_again_by_the_agent() -> None:
    scripted = ScriptedModel([ok("no json"), ok('{"queue": "billing", "urgent": false}')])
    agent = Agent(chain(scripted), output_type=NativeOutput(Ticket), retries=2)
    assert asked(agent, "Sort this.").output == Ticket(queue="billing", urgent=False)
    asked_again = scripted.requests[1].messages[-1]
    assert asked_again.role in ("user", "system")
    assert asked_again.text


def test_pictures_and_documents_of_a_prompt() -> None:
    scripted = ScriptedModel([ok("A light.")])
    asked(
        Agent(chain(scripted)),
        [
            "What is it?",
            ImageUrl("https://a.example/x.png", vendor_metadata={"detail": "low"}),
            BinaryContent(b"hi", media_type="image/jpeg"),
            BinaryContent(b"as text", media_type="text/plain"),
        ],
    )
    assert scripted.requests[0].messages[0].parts == (
        Text("What is it?"),
        Image(url="https://a.example/x.png", detail="low"),
        Image(data="aGk=", media_type="image/jpeg"),
        Text("as text"),
    )
    scripted = ScriptedModel([ok("A page.")])
    asked(Agent(chain(scripted)), ["Read.", BinaryContent(b"hi", media_type="application/pdf")])
    document = scripted.requests[0].messages[0].parts[1]
    assert isinstance(document, Foreign)
    assert document.format == "openai-chat"


def test_settings_reach_the_request() -> None:
    def seen(request: Request) -> str:
        requests.append(request)
        return "ok"

    requests: list[Request] = []
    model = ResilientAgentModel(ResilientModel([seen]), settings={"temperature": 0.5, "seed": 3})
    asked(
        Agent(model),
        "Hello",
        model_settings={"max_tokens": 9, "stop_sequences": ["END"], "top_p": 0.9, "thinking": "high"},
    )
    request = requests[0]
    assert (request.temperature, request.seed, request.max_tokens, request.top_p) == (0.5, 3, 9, 0.9)
    assert (request.stop, request.reasoning_effort) == (("END",), "high")


def test_parameters_of_the_first_models_own_stay_with_its_format() -> None:
    with FaultServer() as server, ObligingServer() as obliging:
        first = OpenAIModel("gpt-5.2", base_url=server.url("status:500"), api_key="key-of-nobody")
        model = chain(first, obliging.model())

        async def run() -> Any:
            settings: Any = {"presence_penalty": 0.5, "extra_body": {"user": "u1"}}
            await Agent(model).run("Hello", model_settings=settings)
            await model.chain.aclose()
            return obliging.bodies[-1]

        body = asyncio.run(run())
    assert (body["presence_penalty"], body["user"]) == (0.5, "u1")


def test_settings_of_openais_format_reach_it_behind_a_first_model_of_another() -> None:
    with FaultServer() as server, ObligingServer() as obliging:
        first = AnthropicModel("claude-sonnet-5", base_url=server.url("status:500"), api_key="key-of-nobody")
        model = chain(first, obliging.model())

        async def run() -> Any:
            await Agent(model).run("Hello", model_settings={"presence_penalty": 0.5})
            await model.chain.aclose()
            return obliging.bodies[-1]

        assert asyncio.run(run())["presence_penalty"] == 0.5


def test_a_timeout_that_is_more_than_one_number_is_refused() -> None:
    with pytest.raises(exceptions.UserError, match="give seconds"):
        asked(Agent(chain(canned("hi"))), "Hello", model_settings={"timeout": httpx.Timeout(3)})


def test_the_timeout_of_the_settings_is_the_deadline_of_the_call() -> None:
    clock = ManualClock()
    agent = Agent(chain(ScriptedModel([stall(60)]), clock=clock))

    async def run() -> None:
        with pytest.raises(exceptions.ModelTimeoutError):
            await agent.run("Hello", model_settings={"timeout": 2})
        assert clock.now() < 10

    clock.run(run())


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (429, exceptions.ModelRateLimitError),
        (401, exceptions.ModelAuthenticationError),
        (400, exceptions.ModelRequestRejectedError),
        (500, exceptions.ModelServerError),
    ],
)
def test_a_failure_is_pydantic_ais_class_with_ours_as_its_cause(
    status: int, expected: type[ModelAPIError]
) -> None:
    with pytest.raises(ModelHTTPError) as caught:
        asked(Agent(chain(ScriptedModel([error(status)]))), "Hello")
    assert isinstance(caught.value, expected)
    assert caught.value.status_code == status
    cause = caught.value.__cause__
    assert isinstance(cause, CallError)
    assert len(cause.attempts) == 1


def test_the_status_told_is_that_of_the_failure_told() -> None:
    clock = ManualClock()
    tired = ResilientModel([ScriptedModel([error(429), error(500)])], retry=Retry(attempts=2), clock=clock)

    async def run() -> None:
        with pytest.raises(exceptions.ModelServerError) as caught:
            await Agent(ResilientAgentModel(tired)).run("Hello")
        assert isinstance(caught.value, ModelHTTPError)
        assert caught.value.status_code == 500

    clock.run(run())


def test_a_chain_that_is_exhausted_hands_over_to_a_fallback_model() -> None:
    tired = chain(ScriptedModel([error(500)]), ScriptedModel([error(kind="connection")]))
    agent = Agent(FallbackModel(tired, TestModel(custom_output_text="Somebody else.")))
    assert asked(agent, "Hello").output == "Somebody else."
    with pytest.raises(ModelAPIError) as caught:
        asked(Agent(chain(ScriptedModel([error(500)]), ScriptedModel([error(500)]))), "Hello")
    assert isinstance(caught.value.__cause__, AllModelsFailed)


def test_a_stream_that_breaks_after_content_raises_and_keeps_what_came() -> None:
    async def run() -> None:
        seen: list[str] = []
        agent = Agent(chain(ScriptedModel([cut(after=2)])))

        async def read() -> None:
            async with agent.run_stream("Hello") as streamed:
                async for piece in streamed.stream_text(delta=True, debounce_by=None):
                    seen.append(piece)  # noqa: PERF401 - what came before the break counts

        with pytest.raises(exceptions.ModelConnectionError) as caught:
            await read()
        assert "".join(seen) == "one two"
        assert caught.value.in_stream
        cause = caught.value.__cause__
        assert isinstance(cause, StreamInterrupted)
        assert cause.partial.text == "one two"

    asyncio.run(run())


def test_a_stream_left_early_or_cancelled_closes_its_connection() -> None:
    async def run() -> None:
        scripted = ScriptedModel([ok("one two three four")], repeat=True)
        agent = Agent(chain(scripted))
        async with agent.run_stream("Hello") as streamed:
            async for _ in streamed.stream_text(delta=True, debounce_by=None):
                assert scripted.open_streams == 1
                break
        assert scripted.open_streams == 0

        model = chain(scripted)
        asked: list[Any] = [ModelRequest(parts=[UserPromptPart("Hello")])]
        async with model.request_stream(asked, None, ModelRequestParameters()) as response:
            events = aiter(response)
            await anext(events)
            await response.cancel()
            assert scripted.open_streams == 0
            left = [type(event).__name__ async for event in events]
            assert left == ["FinalResultEvent", "PartEndEvent"]  # what ends the part that had begun
        assert response.get().state == "interrupted"

    asyncio.run(run())


def test_a_stream_may_be_cancelled_while_another_task_waits_for_it() -> None:
    closed: list[str] = []

    async def words(text: str) -> AsyncIterator[str]:
        try:
            yield "one"
            await asyncio.Event().wait()
        finally:
            closed.append(text)

    async def run() -> None:
        prompt: list[Any] = [ModelRequest(parts=[UserPromptPart("Hello")])]
        async with chain(words).request_stream(prompt, None, ModelRequestParameters()) as response:
            begun = asyncio.Event()

            async def read() -> str:
                async for _ in response:
                    begun.set()
                return "read to the end"

            reader = asyncio.create_task(read())
            await begun.wait()
            await asyncio.sleep(0)  # noqa: TID251 - the reader comes to wait for the second word
            await response.cancel()
            assert closed == ["Hello"]
            assert await reader == "read to the end"
            assert response.get().state == "interrupted"

    asyncio.run(run())


def test_cancelling_a_run_reaches_the_model() -> None:
    ended: list[str] = []

    async def slow(text: str) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(text)
            raise
        return ""

    async def run() -> None:
        begun = asyncio.Event()

        async def begin(text: str) -> str:
            begun.set()
            return await slow(text)

        task = asyncio.create_task(Agent(chain(begin)).run("Hello"))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert ended == ["Hello"]


def test_thoughts_are_parts_and_private_state_goes_back_to_the_provider_whole_or_streamed() -> None:
    """A signature that does not come back makes the next request of a tool loop a 400."""
    thought, other = Reasoning("Hm.", {"signature": "sig-1"}), Reasoning("So.", {"signature": "sig-2"})
    call = ToolCall("c1", "magic", "{}", {"thoughtSignature": "sig-3"})
    seen: list[Request] = []

    def whole(request: Request) -> Reply:
        seen.append(request)
        if request.messages[-1].role == "tool":
            return Reply("Done.")
        return Reply("Look.", (call,), "tool_calls", reasoning=(thought, other))

    def pieces(request: Request) -> Iterator[Chunk]:
        seen.append(request)
        if request.messages[-1].role == "tool":
            yield Chunk(text="Done.")
        else:
            yield Chunk(reasoning="H")
            yield Chunk(reasoning="m.", opaque=thought.opaque)
            yield Chunk(reasoning="So.", opaque=other.opaque)
            yield Chunk(text="Look.")
            yield Chunk(tool_call=ToolCallDelta(0, "c1", "magic", "{", call.opaque))
            yield Chunk(tool_call=ToolCallDelta(0, arguments="}"))
        yield Chunk(finish_reason="stop")

    async def drained(_: object, events: AsyncIterable[object]) -> None:
        async for _event in events:
            pass

    async def run(function: Any, *, streamed: bool) -> None:
        agent = Agent(chain(function))

        @agent.tool_plain
        def magic() -> int:
            return 5

        if streamed:
            assert (await agent.run("Go.", event_stream_handler=drained)).output == "Done."
        else:
            assert (await agent.run("Go.")).output == "Done."
        assert seen[-1].messages[-2].parts == (thought, other, Text("Look."), call)

    asyncio.run(run(whole, streamed=False))
    asyncio.run(run(pieces, streamed=True))


def test_a_thought_of_a_provider_is_told_apart_from_its_text() -> None:
    async def run() -> None:
        with ObligingServer(thinks=True) as thinking:
            model = chain(thinking.model())
            whole = last((await Agent(model).run("Hello")).all_messages())
            async with Agent(model).run_stream("Hello") as streamed:
                await streamed.get_output()
            for response in (whole, last(streamed.all_messages())):
                assert response.thinking == THOUGHT
                assert response.text == TEXT
                assert [part.part_kind for part in response.parts] == ["thinking", "text"]
            await model.chain.aclose()

    asyncio.run(run())


def test_a_history_of_another_model_goes_on_here() -> None:
    scripted = ScriptedModel([ok("Yes.")])
    history = [
        ModelRequest(parts=[UserPromptPart("Hello")]),
        ModelResponse(
            parts=[
                ThinkingPart("Hm.", signature="sig", provider_name="anthropic"),
                ThinkingPart("So.", signature="opaque", provider_name="google"),
                TextPart("Hi."),
                ToolCallPart("magic", {"number": 1}, "c1"),
            ]
        ),
        ModelRequest(parts=[ToolReturnPart("magic", 3, "c1")]),
    ]
    asked(Agent(chain(scripted)), "And now?", message_history=history)
    assert scripted.requests[0].messages[1].parts == (
        Reasoning("Hm.", {"signature": "sig"}),
        Reasoning("So."),
        Text("Hi."),
        ToolCall("c1", "magic", '{"number":1}'),
    )


def test_tokens_that_are_unknown_count_as_unmeasured_and_a_refusal_is_pydantic_ais() -> None:
    result = asked(Agent(chain(ScriptedModel([ok("hi", usage=Usage())]))), "Hello")
    assert result.usage.unmeasured_requests == 1

    def refusing(request: Request) -> Reply:
        return Reply("", finish_reason="refusal", refusal="No.")

    with pytest.raises(exceptions.ContentFilterError):
        asked(Agent(chain(refusing)), "Hello")


def test_a_data_class_keeps_models_out_that_are_not_cleared_for_it() -> None:
    def seen(text: str) -> str:
        return "seen"

    model = ResilientAgentModel(
        ResilientModel([FunctionModel(seen, data_classes=["public"]), canned("kept here")]),
        data_class="personal",
    )
    assert asked(Agent(model), "Ann Smith").output == "kept here"


def test_what_cannot_serve_an_agent_is_refused() -> None:
    with pytest.raises(ConfigError, match="is no chain"):
        ResilientAgentModel("gpt-5.2")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="restart"):
        chain(canned("hi"), on_interrupt="restart")


def test_two_models_of_one_chain_are_equal_and_name_it() -> None:
    one = ResilientModel([canned("hi")], name="support")
    assert ResilientAgentModel(one) == ResilientAgentModel(one)
    assert ResilientAgentModel(one).model_id == "resilient_ai:support"
    assert "support" in repr(ResilientAgentModel(one))
