"""Who sees what: data classes, and placeholders for models that are cleared for less, in both colours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from colours import Colour
from echoing_models import LESS, Echo, Pieces
from resilient_ai import (
    AllModelsFailed,
    Chunk,
    ConfigError,
    HopRefused,
    Image,
    Message,
    Reply,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from resilient_ai.core.model import ChunkSource, Scope, Traits
from resilient_ai.messages import OutputSchema, Reasoning
from resilient_ai.models import FunctionModel
from resilient_ai.policies.exposure import Privacy
from resilient_ai.testing import ScriptedModel, error, ok

ANN = "ann@example.com"
CARD = "4111 1111 1111 1111"
QUESTION = f"Write to {ANN} about card {CARD}."
ALL = Traits(typical_seconds=0.05)
DEVICE = Traits(typical_seconds=0.05, local=True)
PSEUDONYMS = Privacy(pseudonymise=("personal",))
WAYS = ["whole", "streamed"]


def echo(request: Request) -> Reply:
    return Reply(f"You said: {request.messages[-1].text}")


def is_done(reply: Reply) -> bool:
    return reply.text == "done"


def ask(colour: Colour, way: str, chain: Any, messages: Any, **options: Any) -> Reply:
    if way == "whole":
        return colour.ask(chain, messages, **options)
    return colour.stream(chain, messages, **options)[1]


@pytest.mark.parametrize("way", WAYS)
def test_a_model_cleared_for_less_is_skipped_visibly(colour: Colour, way: str) -> None:
    less, device = (
        ScriptedModel(traits=LESS, name="less"),
        ScriptedModel([ok()], traits=DEVICE, name="device"),
    )
    reply = ask(colour, way, colour.chain(less, device), QUESTION, data_class="personal")
    assert reply.outcome is not None
    assert [(skip.model, skip.reason) for skip in reply.outcome.skipped] == [("less", "data_class")]
    assert less.log == []


@pytest.mark.parametrize("way", WAYS)
def test_with_pseudonyms_it_is_asked_and_sees_no_personal_data(colour: Colour, way: str) -> None:
    model = Echo(echo)
    reply = ask(colour, way, colour.chain(model, privacy=PSEUDONYMS), QUESTION, data_class="personal")
    assert reply.text == f"You said: {QUESTION}"
    assert "pseudonymised" in reply.flags
    [seen] = model.seen
    assert ANN not in seen.messages[0].text
    assert CARD not in seen.messages[0].text


@pytest.mark.parametrize("way", WAYS)
def test_the_model_on_the_device_gets_the_clear_text(colour: Colour, way: str) -> None:
    less = ScriptedModel([error(400)], traits=LESS, name="less")
    device = Echo(echo, DEVICE)
    chain = colour.chain(less, device, privacy=PSEUDONYMS, on={"bad_request": "next"})
    reply = ask(colour, way, chain, QUESTION, data_class="personal")
    assert device.seen[0].messages[0].text == QUESTION
    assert ANN not in less.requests[0].messages[0].text
    assert "pseudonymised" not in reply.flags


def test_a_model_that_is_cleared_gets_the_clear_text(colour: Colour) -> None:
    model = Echo(echo, ALL)
    colour.ask(colour.chain(model, privacy=PSEUDONYMS), QUESTION, data_class="personal")
    assert model.seen[0].messages[0].text == QUESTION


def test_failover_never_shows_more_than_the_clearance(colour: Colour) -> None:
    cleared = ScriptedModel([error(500)] * 3, traits=ALL, name="cleared")
    less = Echo(echo)
    colour.ask(colour.chain(cleared, less, privacy=PSEUDONYMS), QUESTION, data_class="personal")
    assert ANN not in less.seen[0].messages[0].text


def test_a_class_that_was_not_named_is_not_pseudonymised(colour: Colour) -> None:
    model = ScriptedModel(traits=LESS)
    with pytest.raises(HopRefused):
        colour.ask(colour.chain(model, privacy=PSEUDONYMS), QUESTION, data_class="restricted")
    assert model.log == []


def test_a_model_on_the_device_that_is_not_cleared_is_skipped_all_the_same(colour: Colour) -> None:
    device = ScriptedModel(traits=Traits(local=True, data_classes=frozenset({"public"})))
    with pytest.raises(HopRefused):
        colour.ask(colour.chain(device, privacy=PSEUDONYMS), QUESTION, data_class="personal")


def test_a_picture_is_shown_to_nobody_who_is_not_cleared(colour: Colour) -> None:
    model = ScriptedModel(traits=LESS)
    picture = Message("user", (Text("Who is this?"), Image(url="https://example.com/ann.png")))
    with pytest.raises(HopRefused):
        colour.ask(colour.chain(model, privacy=PSEUDONYMS), [picture], data_class="personal")
    assert model.log == []


def test_retries_re_asks_and_hops_of_a_call_share_the_placeholders_and_calls_do_not(colour: Colour) -> None:
    less = ScriptedModel([error(500), ok("no number"), ok("7"), ok("7")], traits=LESS)
    chain = colour.chain(less, privacy=PSEUDONYMS)
    colour.ask(chain, QUESTION, data_class="personal", output_type=int)
    colour.ask(chain, QUESTION, data_class="personal", output_type=int)
    shown = [request.messages[0].text for request in less.requests]
    assert shown[0] == shown[1] == shown[2]
    assert shown[0] != shown[3]


def test_a_re_ask_hides_the_draft_it_repeats(colour: Colour) -> None:
    def reply(request: Request) -> Reply:
        first, *more = request.messages
        return Reply("done" if more else f"not it: {first.text}")

    model = Echo(reply)
    chain = colour.chain(model, privacy=PSEUDONYMS, checks=[is_done])
    colour.ask(chain, QUESTION, data_class="personal")
    assert len(model.seen) == 2
    assert all(ANN not in message.text for request in model.seen for message in request.messages)


@pytest.mark.parametrize("way", WAYS)
def test_tool_arguments_come_back_in_the_clear_and_are_valid_json(colour: Colour, way: str) -> None:
    secret = 'password is x"y\\z\u00e9w99'

    def call(request: Request) -> Reply:
        text = request.messages[-1].text
        return Reply("", (ToolCall("c1", "mail", json.dumps({"to": text, text: [1, text]})),), "tool_calls")

    model = Echo(call)
    reply = ask(
        colour, way, colour.chain(model, privacy=PSEUDONYMS), f"{ANN} {secret}", data_class="personal"
    )
    assert ANN not in model.seen[0].messages[-1].text
    assert reply.tool_calls[0].parsed() is not None
    assert json.loads(reply.tool_calls[0].arguments)["to"] == f"{ANN} {secret}"


@pytest.mark.parametrize("way", WAYS)
def test_a_structured_answer_stays_valid_json_whatever_the_originals_hold(colour: Colour, way: str) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"
    model = Echo(lambda request: Reply(json.dumps({"said": request.messages[-1].text})))
    reply = ask(
        colour,
        way,
        colour.chain(model, privacy=PSEUDONYMS),
        f"Keep {key} for {ANN}",
        data_class="personal",
        output_type=dict[str, str],
    )
    assert "MIIB" not in model.seen[0].messages[-1].text
    assert reply.output == {"said": f"Keep {key} for {ANN}"}


def test_everything_of_a_request_that_holds_text_is_hidden(colour: Colour) -> None:
    phone = 4915112345678
    arguments = json.dumps({"to": ANN, ANN: phone, "password": "hunter2", "n": 3})
    request = Request(
        (
            Message("system", (Text(f"You work for {ANN}"),)),
            Message("user", (Text(QUESTION),), name="ann"),
            Message("assistant", (Reasoning(ANN, {"signature": ANN}), ToolCall("c1", "mail", arguments))),
            Message("tool", (ToolResult("c1", f"sent to {ANN}"),)),
        ),
        tools=(Tool("mail", f"Mails {ANN}", {"properties": {"to": {"enum": [ANN]}}}),),
        stop=(ANN,),
        output_schema=OutputSchema("answer", {"description": ANN}),
        extra={"user": ANN},
        data_class="personal",
    )
    model = Echo(lambda _: Reply("{}"))
    colour.ask(colour.chain(model, privacy=PSEUDONYMS), request)
    [seen] = model.seen
    everything = f"{[(m.name, m.parts) for m in seen.messages]}" + json.dumps(
        [
            [part.text for m in seen.messages for part in m.parts if isinstance(part, Text)],
            [part.arguments for m in seen.messages for part in m.parts if isinstance(part, ToolCall)],
            [part.content for m in seen.messages for part in m.parts if isinstance(part, ToolResult)],
            [seen.tools[0].description, seen.tools[0].parameters],
            seen.stop,
            seen.output_schema and seen.output_schema.schema,
            dict(seen.extra),
        ]
    )
    assert "example.com" not in everything
    assert str(phone) not in everything
    assert "hunter2" not in everything
    assert "'ann'" not in everything
    assert "signature" not in everything
    [call] = [part for m in seen.messages for part in m.parts if isinstance(part, ToolCall)]
    parsed = call.parsed()
    assert parsed is not None
    assert parsed["n"] == 3


@pytest.mark.parametrize("way", WAYS)
def test_reasoning_comes_back_in_the_clear(colour: Colour, way: str) -> None:
    model = Echo(lambda request: Reply("ok", reasoning=(Reasoning(request.messages[-1].text),)))
    reply = ask(colour, way, colour.chain(model, privacy=PSEUDONYMS), QUESTION, data_class="personal")
    assert [one.text for one in reply.reasoning] == [QUESTION]


def test_a_stream_that_is_cut_hands_over_what_was_held_back(colour: Colour) -> None:
    class Cut(Pieces):
        async def receive(self, until: float) -> list[Chunk] | None:
            chunks = await super().receive(until)
            if chunks is None or chunks[0].finish_reason:
                raise ConnectionResetError
            return chunks

    class Breaking(Echo):
        async def open(self, request: Request, scope: Scope) -> ChunkSource:
            return Cut(Reply("so far <EMA"))

    chain = colour.chain(Breaking(echo), privacy=PSEUDONYMS)
    pieces: list[str] = []
    with pytest.raises(Exception, match="broke after content") as caught:
        _collect(colour, chain, pieces)
    assert "".join(pieces) == "so far <EMA"
    assert caught.value.partial.text == "so far <EMA"  # type: ignore[attr-defined]  # StreamInterrupted


def _collect(colour: Colour, chain: Any, pieces: list[str]) -> None:
    if colour.name == "blocking":
        with chain.stream(QUESTION, data_class="personal") as stream:
            pieces.extend(chunk.text for chunk in stream)
        return

    async def main() -> None:
        async with chain.astream(QUESTION, data_class="personal") as stream:
            async for chunk in stream:
                pieces.append(chunk.text)  # noqa: PERF401 - what came before the break is wanted

    colour.clock.run(main())


def test_a_detector_of_the_users_is_asked_too(colour: Colour) -> None:
    def names(text: str) -> Iterator[tuple[int, int, str]]:
        at = text.find("Ann Example")
        if at >= 0:
            yield at, at + len("Ann Example"), "PERSON"

    model = Echo(echo)
    chain = colour.chain(model, privacy=Privacy(pseudonymise=("personal",), detectors=(names,)))
    reply = colour.ask(chain, "Who is Ann Example?", data_class="personal")
    assert reply.text == "You said: Who is Ann Example?"
    assert model.seen[0].messages[0].text.startswith("Who is <PERSON:")


def test_where_hiding_fails_nothing_is_sent_and_the_next_model_is_asked(colour: Colour) -> None:
    def broken(text: str) -> Iterator[tuple[int, int, str]]:
        raise ValueError(text)

    less, device = Echo(echo), Echo(echo, DEVICE)
    chain = colour.chain(less, device, privacy=Privacy(pseudonymise=("personal",), detectors=(broken,)))
    assert colour.ask(chain, QUESTION, data_class="personal").text == f"You said: {QUESTION}"
    assert less.seen == []
    alone = colour.chain(Echo(echo), Echo(echo), privacy=Privacy(("personal",), (broken,)))
    with pytest.raises(AllModelsFailed):
        colour.ask(alone, QUESTION, data_class="personal")


def test_the_value_of_a_function_comes_back_in_the_clear(colour: Colour) -> None:
    def mail(text: str) -> dict[str, str]:
        return {"to": text}

    model = FunctionModel(mail, data_classes=["public"])
    reply = colour.ask(colour.chain(model, privacy=PSEUDONYMS), QUESTION, data_class="personal")
    assert reply.output == {"to": QUESTION}


@pytest.mark.parametrize("given", ["personal", ["personal"], ("secret",)])
def test_a_data_class_that_does_not_exist_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError):
        Privacy(pseudonymise=given)
