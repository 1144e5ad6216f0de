"""A streamed answer, put together again."""

from __future__ import annotations

from dataclasses import fields, replace

from resilient_ai.core.assembly import ReplyBuilder
from resilient_ai.messages import Chunk, ToolCallDelta, Usage

FULL = Chunk(
    text="text",
    reasoning="thought",
    tool_call=ToolCallDelta(0, "call_1", "name"),
    refusal="no",
    finish_reason="stop",
    usage=Usage(1, 2),
    restarted=True,
    model="m",
    id="a1",
    opaque={"signature": "s"},
    items=(1,),
)


def test_the_first_chunk_with_content_keeps_all_it_has() -> None:
    assert all(getattr(FULL, one.name) != getattr(Chunk(), one.name) for one in fields(FULL))
    assert ReplyBuilder("asked").introduced(FULL) == FULL


def test_the_first_chunk_with_content_tells_what_the_events_before_it_told() -> None:
    builder = ReplyBuilder("asked")
    builder.add(Chunk(model="m", id="a1", usage=Usage(1, 2)))
    bare = replace(FULL, usage=None, model=None, id=None)
    assert builder.introduced(bare) == FULL


def test_what_two_models_think_is_kept_apart() -> None:
    builder = ReplyBuilder("first")
    builder.add(Chunk(reasoning="one "))
    builder.add(Chunk(reasoning="thought"))
    builder.goes_on()
    builder.add(Chunk(reasoning="another"))
    assert [each.text for each in builder.reply().reasoning] == ["one thought", "another"]


def test_looking_at_what_came_changes_nothing() -> None:
    builder = ReplyBuilder("m")
    builder.add(Chunk(reasoning="one "))
    assert builder.reply() == builder.reply()
    builder.add(Chunk(reasoning="thought"))
    assert [each.text for each in builder.reply().reasoning] == ["one thought"]
