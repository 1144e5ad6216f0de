"""A wrapped client under the adaptive throttle: what its provider would refuse for load is not sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from resilient_ai import Breaker, Hedge, Overloaded, Retry, Throttle, outcome_of, wrap
from resilient_ai.adopt import policy_of
from resilient_ai.errors import ConfigError
from resilient_ai.testing import FaultServer, ScriptedModel, SteadyRandom, ok

ASK: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]
POLICY: dict[str, Any] = {
    "throttle": Throttle(min_requests=2),
    "retry": Retry(attempts=1),
    "breaker": Breaker(enabled=False),
    "chance": SteadyRandom(0.5),
}


def asked(client: openai.OpenAI) -> str | None:
    return client.chat.completions.create(model="gpt-5.2", messages=ASK).choices[0].message.content


def test_a_throttled_request_raises_the_sdks_error_and_never_reaches_the_server() -> None:
    with FaultServer() as server, openai.OpenAI(api_key="sk-test", base_url=server.url("status:429")) as bare:
        client = wrap(bare, name="throttled", **POLICY)
        for _ in range(2):
            with pytest.raises(openai.RateLimitError):
                asked(client)
        for _ in range(3):
            with pytest.raises(openai.APIConnectionError) as caught:
                asked(client)
            assert isinstance(caught.value.__cause__, Overloaded)
            outcome = outcome_of(caught.value)
            assert outcome is not None
            assert [skip.reason for skip in outcome.skipped] == ["throttled"]
        assert len(server.requests()) == 2
        assert policy_of(client).health("gpt-5.2").models[0].throttled > 0.6


def test_a_fallback_answers_what_the_throttle_keeps_from_the_provider(tmp_path: Path) -> None:
    page = tmp_path / "resilient.toml"
    page.write_text(
        "version = 1\n[models.last]\nprovider = 'canned'\ntext = 'unused'\n"
        "[chains.x]\nmodels = ['last']\nthrottle = { min_requests = 2 }\nhedge = {}\nretry = { attempts = 1 }\nbreaker = { enabled = false }\n"
    )
    backup = ScriptedModel([ok("Here.")], repeat=True)
    with FaultServer() as server, openai.OpenAI(api_key="sk-test", base_url=server.url("status:503")) as bare:
        client = wrap(bare, chain="x", config=page, fallback=[backup], chance=SteadyRandom(0.5), name="filed")
        assert "hedge" not in policy_of(client).explain("gpt-5.2")
        assert [asked(client) for _ in range(5)] == ["Here."] * 5
        assert len(server.requests()) == 2


def test_a_wrapped_client_takes_no_hedge_and_says_what_does() -> None:
    bare = openai.OpenAI(api_key="sk-test")
    with pytest.raises(ConfigError, match=r"@resilient\(hedge=Hedge\(\)\)"):
        wrap(bare, hedge=Hedge())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="unexpected keyword argument 'fallbacks'"):
        wrap(bare, fallbacks=[])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    bare.close()
