"""What may stand in a chain, and what is said of anything else."""

from __future__ import annotations

from typing import Any

import pytest
from openai import OpenAI

from resilient_ai import ConfigError, ResilientModel
from resilient_ai.testing import ScriptedModel, ok


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("openai", r"'openai' is not a model; write provider:name.* Did you mean 'openai:\.\.\.'\?"),
        ("opnai:gpt-5.2", r"names an unknown provider; .* Did you mean 'openai:gpt-5\.2'\?"),
        ("openai:", "'openai:' is not a model"),
        (5, "Nothing of type int can answer"),
        (OpenAI(api_key="sk-test"), r"Nothing of type OpenAI can answer; .* wrap\(client\)"),
        (["openai:gpt-5.2"], "Nothing of type list can answer"),
        (ScriptedModel, "ScriptedModel is a class; a chain takes models made of it"),
    ],
)
def test_what_cannot_answer_is_refused_with_what_could(what: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ResilientModel([ScriptedModel([ok("hi")]), what])


def no_argument() -> str:
    return "hi"


def two_arguments(text: str, style: str) -> str:
    return text + style


def by_keyword(*, text: str) -> str:
    return text


@pytest.mark.parametrize("function", [no_argument, two_arguments, by_keyword])
def test_a_function_that_cannot_be_called_with_a_question_is_refused_when_the_chain_is_built(
    function: Any,
) -> None:
    with pytest.raises(ConfigError, match=f"{function.__name__} cannot stand in a chain: .*one argument"):
        ResilientModel([function])


def one_of_two(text: str, style: str = "") -> str:
    return text + style


def any_number(*texts: str) -> str:
    return texts[0]


@pytest.mark.parametrize("function", [str, str.upper, one_of_two, any_number])
def test_a_function_that_can_be_called_with_a_question_may_stand_in_a_chain(function: Any) -> None:
    assert ResilientModel([function]).generate("hi").text.lower() == "hi"


@pytest.mark.parametrize("chain", [[], (), {}])
def test_a_chain_of_nobody_is_refused(chain: Any) -> None:
    with pytest.raises(ConfigError, match="no model; give at least one"):
        ResilientModel(chain)


def test_a_chain_of_one_needs_no_list() -> None:
    assert ResilientModel(ScriptedModel([ok("hi")])).generate("Hello").text == "hi"
