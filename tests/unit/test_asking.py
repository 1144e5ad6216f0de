"""What a caller writes, and what a `Request` is made of."""

from __future__ import annotations

from typing import Any

import pytest

from resilient_ai import InvalidRequest, ResilientModel, Tool
from resilient_ai.testing import ScriptedModel, ok


@pytest.mark.parametrize("name", ["model", "timeout", "max_retries", "api_key", "base_url", "stream"])
def test_what_is_decided_elsewhere_is_refused_and_never_sent_as_a_parameter(name: str) -> None:
    scripted = ScriptedModel([ok("hi")])
    model = ResilientModel([scripted])
    given: Any = {name: "sk-of-nobody"}
    with pytest.raises(InvalidRequest, match=f"^{name}= cannot be given with a call: .") as caught:
        model.generate("Hello", **given)
    assert "sk-of-nobody" not in str(caught.value)
    with pytest.raises(InvalidRequest, match=name):
        model.stream("Hello", **given)
    with pytest.raises(InvalidRequest, match=name):
        model.with_options(**given)
    assert scripted.requests == []


@pytest.mark.parametrize(
    ("stop", "expected"),
    [("END", ("END",)), (["A", "B"], ("A", "B")), (("A",), ("A",)), (None, ()), ([], ())],
)
def test_stop_is_a_text_or_several(stop: Any, expected: tuple[str, ...]) -> None:
    scripted = ScriptedModel([ok("hi")])
    ResilientModel([scripted]).generate("Hello", stop=stop)
    assert scripted.requests[0].stop == expected


@pytest.mark.parametrize("stop", [5, ["A", 5], {"A": 1}, b"END"])
def test_any_other_stop_is_refused(stop: Any) -> None:
    with pytest.raises(InvalidRequest, match="stop must be"):
        ResilientModel([ScriptedModel([])]).generate("Hello", stop=stop)


@pytest.mark.parametrize("tools", [5, {"name": "search"}, "search", [print], [5], [{"name": 5}]])
def test_what_is_no_list_of_tools_is_refused(tools: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^tools"):
        ResilientModel([ScriptedModel([])]).generate("Hello", tools=tools)


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ({"role": "user"}, r"messages\[1\] has no content; give text"),
        ({"role": "user", "text": "Hello"}, r"messages\[1\] has no content; give text"),
        ({"role": "system", "content": None}, r"messages\[1\] has no content; give text"),
        ({"role": "user", "content": 5}, r"messages\[1\]\.content is neither text nor a list of parts"),
        (
            {"role": "user", "content": [5]},
            r"messages\[1\].*: an entry of messages\[1\]\.content is not an object",
        ),
        ({"role": "usr", "content": "Hello"}, r"messages\[1\] has no role a model knows"),
    ],
)
def test_a_turn_that_cannot_be_taken_is_named_by_its_place(turn: Any, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        ResilientModel([ScriptedModel([])]).generate([{"role": "user", "content": "Hello"}, turn])


@pytest.mark.parametrize("messages", [5, 5.0, {"role": "user"}, b"Hello", iter("Hello")])
def test_what_is_no_conversation_is_refused_by_its_type(messages: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"The messages are .*{type(messages).__name__}"):
        ResilientModel([ScriptedModel([])]).generate(messages)


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        ("auto", "auto"),
        ("tool:search", "tool:search"),
        ({"type": "function", "function": {"name": "search"}}, "tool:search"),
        ({"type": "function", "name": "search"}, "tool:search"),
        (None, None),
    ],
)
def test_a_choice_of_tool_is_taken_in_openais_form_too(choice: Any, taken: str | None) -> None:
    scripted = ScriptedModel([ok("hi")])
    ResilientModel([scripted]).generate("Hello", tools=[Tool("search")], tool_choice=choice)
    assert scripted.requests[0].tool_choice == taken


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", "10"), ("max_tokens", 0), ("max_tokens", -5), ("max_tokens", 1.5), ("max_tokens", True),
        ("temperature", "hot"), ("temperature", float("nan")), ("temperature", float("inf")), ("temperature", False),
        ("top_p", []), ("seed", "x"), ("seed", 1.0), ("reasoning_effort", 3), ("parallel_tool_calls", "yes"), ("parallel_tool_calls", 1),
        ("tool_choice", 3), ("tool_choice", {"type": "function"}), ("tool_choice", {"type": "function", "function": {"name": 3}}),
        ("tool_choice", {"type": "custom", "name": "x"}),
    ],
)  # fmt: skip
def test_a_parameter_that_is_none_of_its_kind_is_refused_before_anybody_is_asked(
    name: str, value: Any
) -> None:
    scripted = ScriptedModel([])
    given: Any = {name: value}
    with pytest.raises(InvalidRequest, match=f"^{name} is .*; it must be "):
        ResilientModel([scripted]).generate("Hello", **given)
    assert scripted.requests == []


def test_a_parameter_that_is_refused_is_told_by_its_type_where_it_may_hold_a_text() -> None:
    hot: Any = "my secret"
    with pytest.raises(InvalidRequest) as caught:
        ResilientModel([ScriptedModel([])]).generate("Hello", temperature=hot)
    assert str(caught.value) == "temperature is of type str; it must be a finite number."
