"""Keys: where they come from, what is known of them, and that nothing shows them."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable, Iterator

import pytest

from resilient_ai import ConfigError, ResilientModel
from resilient_ai.models import OpenAIModel
from resilient_ai.models.credential import REMEMBERED_TOKENS, Credential, find_credential
from resilient_ai.privacy import KnownValues, Secret, redact_log
from resilient_ai.privacy.known_values import PROCESS_VALUES

KEY = "canary-key-5e3f"
OTHER = "canary-key-88ab"


def model_with(key: object) -> OpenAIModel:
    return OpenAIModel("gpt-x", "http://127.0.0.1:9/v1", key)  # type: ignore[arg-type]  # several forms


@pytest.mark.parametrize("key", [KEY, Secret(KEY), f" {KEY}\n"])
def test_a_key_is_held_as_a_secret_whatever_it_was_given_as(key: str | Secret) -> None:
    assert Credential([key]).current() == Secret(KEY)


@pytest.mark.parametrize("show", [repr, str, vars, dir])
def test_nothing_that_shows_a_model_shows_its_key(show: Callable[[object], object]) -> None:
    model = model_with([KEY, OTHER])
    held = model._credential
    shown = f"{show(model)!r} {held} {[getattr(held, name) for name in Credential.__slots__]} {model.key}"
    assert KEY not in shown
    assert OTHER not in shown


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("holder", [model_with(KEY), Credential([KEY])], ids=["model", "credential"])
def test_what_holds_a_key_is_neither_pickled_nor_copied(
    take: Callable[[object], object], holder: object
) -> None:
    with pytest.raises(TypeError) as caught:
        take(holder)
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_chain_is_not_pickled_with_a_key_in_it() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(ResilientModel(model_with(KEY)))


@pytest.mark.parametrize("key", ["canary\r\nx: y", "canary key", "canary\u2026key", "canary\x00", "", "  "])
def test_what_cannot_be_a_key_is_refused_when_the_model_is_made_without_repeating_it(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        model_with(key)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("value", ["canary\r\nx: y", "canary\u2026", "canary\x00"])
def test_a_header_that_cannot_be_sent_is_refused_when_the_model_is_made(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OpenAIModel("gpt-x", "http://127.0.0.1:9/v1", KEY, headers={"X-Tenant": value})
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_a_header_named_like_a_secret_is_known_to_the_redactor() -> None:
    OpenAIModel("gpt-x", "http://127.0.0.1:9/v1", KEY, headers={"X-Api-Key": "canary-header-1"})
    assert redact_log("it said canary-header-1") == "it said <KEY>"


def test_the_key_given_is_known_to_the_redactor() -> None:
    find_credential([KEY, Secret(OTHER)], variables=(), required=True, provider="P")
    assert redact_log(f"{KEY} {OTHER}") == "<KEY> <KEY>"


def test_a_refused_key_moves_to_the_next_until_all_were_refused() -> None:
    credential = Credential(["first-key", "second-key", "third-key"])
    tried: list[tuple[str, bool]] = []
    for _ in range(3):
        key = credential.current()
        tried.append((key.reveal(), credential.refused(key)))
    assert tried == [("first-key", True), ("second-key", True), ("third-key", False)]
    assert credential.current() == Secret("first-key")


def test_a_key_refused_to_two_calls_at_once_moves_on_once() -> None:
    credential = Credential(["first-key", "second-key"])
    key = credential.current()
    assert credential.refused(key)
    assert credential.refused(key)
    assert credential.current() == Secret("second-key")


def test_a_function_that_gives_a_new_token_by_now_is_asked_again() -> None:
    tokens: Iterator[str] = iter(["token-one", "token-two"])
    credential = Credential([lambda: next(tokens)])
    assert credential.refused(credential.current())


def test_a_function_that_gives_the_same_token_is_not_asked_again() -> None:
    credential = Credential([lambda: "token-one"])
    assert not credential.refused(credential.current())


def test_a_function_that_gives_no_key_is_told_so() -> None:
    with pytest.raises(ConfigError):
        Credential([lambda: ""]).current()


def test_the_tokens_of_a_function_are_known_and_the_old_ones_forgotten() -> None:
    tokens = [f"rotating-token-{number:04}" for number in range(500)]
    given = iter(tokens)
    credential = Credential([lambda: next(given)])
    before = len(PROCESS_VALUES)
    for _ in tokens:
        credential.current()
    forms_a_value = 3
    assert len(PROCESS_VALUES) - before <= REMEMBERED_TOKENS * forms_a_value
    assert redact_log(f"token {tokens[-1]}") == "token <KEY>"
    assert tokens[0] in redact_log(f"see {tokens[0]}")


def test_a_value_two_have_registered_stays_known_until_both_have_let_it_go() -> None:
    known = KnownValues(["shared-value", "shared-value"])
    known.discard("shared-value")
    assert list(known.find("shared-value"))
    known.discard("shared-value")
    known.discard("shared-value")
    assert len(known) == 0
