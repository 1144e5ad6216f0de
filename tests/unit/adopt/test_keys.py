"""Whose key a wrapped client sends, where the key is fetched anew for each request."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import Any

import openai
import pytest

from resilient_ai.adopt import keys
from resilient_ai.adopt.hooks import primary_of
from resilient_ai.privacy.known_values import PROCESS_VALUES


class Unhashable:
    """As a dataclass with `eq` is."""

    __hash__ = None  # type: ignore[assignment]

    def __call__(self) -> str:
        return "fetched-key"


class Slotted:
    """Nobody can hold one weakly."""

    __slots__ = ()

    def __call__(self) -> str:
        return "fetched-key"


class Vault:
    def key(self) -> str:
        return "fetched-key"

    def other_key(self) -> str:
        return "other-key"


CLIENT = openai.OpenAI(api_key="none", base_url="http://127.0.0.1:1")


def state_of(source: Callable[[], str]) -> str:
    """What the breaker and the budget of a client are found by whose keys come from `source`."""
    return primary_of(CLIENT.with_options(api_key=source), "m", None).key


def azure(**credential: Any) -> str:
    client = openai.AzureOpenAI(azure_endpoint="http://127.0.0.1:1", api_version="1", **credential)
    return primary_of(client, "m", None).key


SOURCES: list[Callable[[], Callable[[], str]]] = [
    lambda: functools.partial(str, "fetched-key"),
    lambda: Vault().key,
    Unhashable,
    Slotted,
]


@pytest.mark.parametrize("make", SOURCES)
def test_a_source_of_keys_never_has_the_state_of_one_that_is_gone(
    make: Callable[[], Callable[[], str]],
) -> None:
    """Addresses are used again at once: told by theirs, most of these would be one."""
    assert len({state_of(make()) for _ in range(20)}) == 20


@pytest.mark.parametrize("make", SOURCES)
def test_clients_of_one_source_share_their_state(make: Callable[[], Callable[[], str]]) -> None:
    source = make()
    assert state_of(source) == state_of(source)


def test_a_method_is_the_same_source_however_often_it_is_asked_for() -> None:
    vault = Vault()
    assert state_of(vault.key) == state_of(vault.key)
    assert len({state_of(vault.key), state_of(vault.other_key), state_of(Vault().key)}) == 3


def test_what_is_gone_is_not_remembered() -> None:
    for make in SOURCES[:3]:
        state_of(make())
    gc.collect()
    before = len(keys._numbers)
    for _ in range(5):
        for make in SOURCES[:3]:
            state_of(make())
    gc.collect()
    assert len(keys._numbers) == before
    for _ in range(2 * keys.MOST):
        state_of(Slotted())
    assert len(keys._held) == keys.MOST


def test_tokens_of_azure_are_told_apart_and_no_placeholder_is_taken_for_a_secret() -> None:
    vault = Vault()
    told = [azure(azure_ad_token=f"azure-token-{number}") for number in range(2)]
    told += [azure(azure_ad_token_provider=vault.key), azure(azure_ad_token_provider=vault.other_key)]
    assert len(set(told)) == 4
    assert PROCESS_VALUES.stand_in("azure-token-1")
    assert not PROCESS_VALUES.stand_in("<missing API key>")


def test_of_a_signed_request_the_token_is_looked_for_and_no_signature() -> None:
    signature = "Credential=AKID7/x, Signature=0123456789abcdef"
    keys.keep_sent(
        {"authorization": f"AWS4-HMAC-SHA256 {signature}", "x-amz-security-token": "session-token-71"}
    )
    assert PROCESS_VALUES.stand_in("session-token-71")
    assert not PROCESS_VALUES.stand_in(signature)
