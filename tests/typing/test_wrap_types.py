"""What type checkers see of a wrapped client: exactly the client. mypy and pyright judge this file; running it judges little."""

from __future__ import annotations

from typing import assert_type

from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncAzureOpenAI, AsyncOpenAI, OpenAI

from resilient_ai import Outcome, outcome_of, unwrap, wrap
from resilient_ai.adopt import Policy, policy_of
from resilient_ai.models import canned


def test_wrapping_gives_back_the_clients_own_type() -> None:
    client = OpenAI(api_key="sk-test")
    assert_type(wrap(client), OpenAI)
    assert_type(wrap(client, fallback=[canned("later")], deadline=20), OpenAI)
    assert_type(unwrap(client), OpenAI)
    assert wrap(client) is client


def test_every_client_keeps_its_own_type() -> None:
    assert_type(wrap(AsyncOpenAI(api_key="sk-test")), AsyncOpenAI)
    assert_type(wrap(Anthropic(api_key="sk-test")), Anthropic)
    assert_type(wrap(AsyncAnthropic(api_key="sk-test"), fallback="canned:later"), AsyncAnthropic)
    azure = AsyncAzureOpenAI(api_key="sk-test", azure_endpoint="https://x.example", api_version="2026-01-01")
    assert_type(wrap(azure), AsyncAzureOpenAI)
    assert isinstance(azure, AsyncOpenAI)


def test_what_is_known_of_a_wrapped_client_is_typed() -> None:
    client = wrap(OpenAI(api_key="sk-test"))
    assert_type(policy_of(client), Policy)
    assert_type(policy_of(client).explain("gpt-5.2"), str)
    assert_type(outcome_of(client), Outcome | None)
