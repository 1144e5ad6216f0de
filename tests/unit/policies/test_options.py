"""Options of the wrong kind are refused where they are written, with the name, the value and what would do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from openai import OpenAI

from resilient_ai import (
    Breaker,
    ConfigError,
    Limits,
    Reply,
    ResilientModel,
    Retry,
    RetryBudget,
    Timeouts,
    resilient,
    wrap,
)
from resilient_ai.core.model import Traits
from resilient_ai.models import OpenAIModel, canned


def made(kind: Callable[..., object], **options: object) -> Callable[[], object]:
    return lambda: kind(**options)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (made(Retry, attempts="3"), "Retry.attempts is '3'; it must be a whole number"),
        (made(Breaker, consecutive=True), "Breaker.consecutive is True; it must be a whole number, or None"),
        (made(Breaker, enabled=1), "Breaker.enabled is 1; it must be True or False"),
        (made(Timeouts, attempt=None), "Timeouts.attempt is None; it must be a number"),
        (made(Limits, concurrency=2.5), "Limits.concurrency is 2.5; it must be a whole number, or None"),
        (made(RetryBudget, floor="x"), "RetryBudget.floor is 'x'; it must be a whole number"),
        (made(ResilientModel, chain=[canned("x")], deadline="20s"), "deadline is '20s'"),
        (made(ResilientModel, chain=[canned("x")], deadline=-1), "deadline is -1"),
        (made(ResilientModel, chain=[canned("x")], deadline=True), "deadline is True"),
        (made(Traits, data_classes="public"), "data_classes must hold names of data classes: internal, "),
        (made(OpenAIModel, name="m", api_key="k", data_classes=["cosmic"]), "data_classes must hold names"),
        (made(OpenAIModel, name="m", api_key="k", context_tokens=0), "context_tokens is 0; it must be"),
        (made(OpenAIModel, name="m", api_key=b"key"), "api_key given for OpenAI is no key; give a text"),
        (made(OpenAIModel, name="m", api_key=["key", 5]), "api_key given for OpenAI is no key; give a text"),
        (made(ResilientModel, chain=[canned("x"), canned("y")], reserve="2s"), "reserve is '2s'"),
    ],
)
def test_an_option_of_the_wrong_kind_is_refused_by_name(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()


def checked(reply: Reply) -> None: ...


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("retry", 3, r"retry is of type int; give retry=Retry\(attempts=3\)"),
        ("timeouts", 5, r"give timeouts=Timeouts\("),
        ("breaker", False, r"give breaker=Breaker\(enabled=False\)"),
        ("budget", 5, r"give budget=RetryBudget\("),
        ("limits", 8, r"give limits=Limits\("),
        ("max_cost", 0.5, r"give max_cost=CostCap\("),
        ("privacy", "personal", r"give privacy=Privacy\("),
        ("on", ["server_error"], "give on={"),
        ("checks", checked, "give a list of functions"),
        ("checks", ["short"], "checks holds something of type str; give a list of functions"),
        ("checks", (check for check in [checked]), "give a list of functions"),
        ("observers", print, "give a list of functions"),
        ("classify", "hook", "give a function of the exception"),
        ("name", 5, "name is of type int; give a text"),
    ],
)
def test_an_argument_that_is_no_policy_is_refused_in_all_three_ways_in(
    name: str, value: object, said: str
) -> None:
    given: Any = {name: value}
    with pytest.raises(ConfigError, match=said):
        ResilientModel([canned("x")], **given)
    with OpenAI(api_key="key-of-nobody") as client, pytest.raises(ConfigError, match=said):
        wrap(client, **given)
    if name not in ("checks", "max_cost", "privacy"):  # a function has no use for these
        with pytest.raises(ConfigError, match=said):
            resilient(**given)


def test_whole_numbers_do_for_seconds_and_none_for_no_bound() -> None:
    assert Timeouts(attempt=30).attempt == 30
    assert Limits(concurrency=None).concurrency is None
    assert Breaker(consecutive=None).consecutive is None
