from __future__ import annotations

import pytest

from resilient_ai.messages import Message, Reply, Request, Text, Tool, ToolCall, Usage
from resilient_ai.models.wire.flags import flags_of, same_model

REQUEST = Request((Message("user", (Text("?"),)),), tools=(Tool("look"),))
USAGE = Usage(1, 1)


def flags(reply: Reply, model: str | None = None) -> tuple[str, ...]:
    return flags_of(REQUEST, reply, model=model)


def test_a_good_answer_has_no_flags() -> None:
    assert flags(Reply("x", usage=USAGE, model="gpt-4o-2024-08-06"), "gpt-4o") == ()
    call = ToolCall("1", "look", '{"a": 1}')
    assert flags(Reply("", (call, ToolCall("2", "look", "")), "tool_calls", USAGE)) == ()


def test_what_the_wire_showed_stays_and_nothing_stands_twice() -> None:
    reply = Reply("x", finish_reason="length", usage=USAGE, flags=("other_choices", "truncated"))
    assert flags(reply) == ("other_choices", "truncated")


@pytest.mark.parametrize(
    ("reply", "flag"),
    [
        (Reply("", usage=USAGE), "empty"),
        (Reply("x", usage=USAGE, finish_reason="length"), "truncated"),
        (Reply("x", usage=USAGE, finish_reason="content_filtered"), "content_filtered"),
        (Reply("", usage=USAGE, refusal="No.", finish_reason="refusal"), "refusal"),
        (Reply("x"), "usage_missing"),
        (Reply("", (ToolCall("1", "lock", "{}"),), "tool_calls", USAGE), "unknown_tool"),
    ],
)
def test_an_oddity_is_flagged(reply: Reply, flag: str) -> None:
    assert flags(reply) == (flag,)


@pytest.mark.parametrize(
    "arguments", ['{"a": ', '{"a": 1} {"b": 2}', "[1]", '"x"', "null", "look!", '{"a": "\ud800"}']
)
def test_arguments_that_are_not_one_object_are_flagged(arguments: str) -> None:
    reply = Reply("", (ToolCall("1", "look", arguments),), "tool_calls", USAGE)
    assert flags(reply) == ("tool_arguments_invalid",)


def test_another_model_is_flagged_where_a_name_was_asked_for() -> None:
    reply = Reply("x", usage=USAGE, model="gpt-4o-mini")
    assert flags(reply, "gpt-4o") == ("wrong_model",)
    assert flags(reply) == ()


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-3.5-turbo", "gpt-3.5-turbo-0125"),
        ("openai/gpt-4o:nitro", "openai/gpt-4o"),
        ("claude-sonnet-4-0", "claude-sonnet-4-20250514"),
        ("claude-3-5-sonnet@20240620", "claude-3-5-sonnet-20240620"),
        ("mistral-large-latest", "mistral-large-2411"),
        ("models/gemini-2.0-flash", "gemini-2.0-flash-001"),
        ("command-r", "command-r-08-2024"),
        ("Qwen/Qwen3-8B", "qwen3-8b"),
        ("llama3.2", "llama3.2:latest"),
        ("anything", ""),
    ],
)
def test_a_version_a_prefix_and_a_variant_are_the_same_model(asked: str, answered: str) -> None:
    assert same_model(asked, answered)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-4o", "gpt-4o-mini"),
        ("gpt-4o", "gpt-4"),
        ("gpt-4", "gpt-4-32k"),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-11-20"),
        ("gpt-4o", "gpt-4o-mini-2024-07-18"),
        ("mistral-large-latest", "mistral-small-2409"),
        ("gpt-4o", "claude-sonnet-4-0"),
    ],
)
def test_another_size_date_or_family_is_another_model(asked: str, answered: str) -> None:
    assert not same_model(asked, answered)
