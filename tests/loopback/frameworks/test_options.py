"""Options of a block of code reach the calls of every framework's model."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic_ai import Agent

from resilient_ai import ResilientModel, resilient_options
from resilient_ai.core.events import CallFinished, CallStarted
from resilient_ai.core.model import Traits
from resilient_ai.frameworks.langchain import ResilientChatModel
from resilient_ai.frameworks.llama_index import ResilientLLM
from resilient_ai.frameworks.pydantic_ai import ResilientAgentModel
from resilient_ai.models import canned
from resilient_ai.testing import Captured, ManualClock, ScriptedModel, ok


def langchain(chain: ResilientModel) -> Any:
    return ResilientChatModel(model=chain, data_class="public").invoke("Hello")


def llama_index(chain: ResilientModel) -> Any:
    return ResilientLLM(model=chain, data_class="public").complete("Hello")


def pydantic_ai(chain: ResilientModel) -> Any:
    return asyncio.run(Agent(ResilientAgentModel(chain, data_class="public")).run("Hello"))


@pytest.mark.parametrize("ask", [langchain, llama_index, pydantic_ai])
def test_a_blocks_deadline_and_data_class_reach_a_frameworks_model(ask: Any) -> None:
    seen = Captured()
    careless = Traits(data_classes=frozenset({"public"}))
    chain = ResilientModel(
        [ScriptedModel([ok("first")], name="first", repeat=True, traits=careless), canned("behind")],
        deadline=10,
        observers=[seen],
        clock=ManualClock(),
    )
    ask(chain)
    with resilient_options(deadline=5, data_class="personal"):
        ask(chain)
    assert [event.deadline for event in seen.of(CallStarted)] == [10, 5]
    assert [event.outcome.served_by for event in seen.of(CallFinished)] == ["first", "canned"]
