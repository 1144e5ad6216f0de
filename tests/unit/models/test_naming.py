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


@pytest.mark.parametrize("chain", [[], (), {}])
def test_a_chain_of_nobody_is_refused(chain: Any) -> None:
    with pytest.raises(ConfigError, match="no model; give at least one"):
        ResilientModel(chain)


def test_a_chain_of_one_needs_no_list() -> None:
    assert ResilientModel(ScriptedModel([ok("hi")])).generate("Hello").text == "hi"
