"""Prices: given, looked up, or unknown."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from resilient_ai import ConfigError
from resilient_ai.core.model import Price
from resilient_ai.models import OpenAIModel
from resilient_ai.models.prices import listed_price, price_of
from resilient_ai.testing import ManualClock

CLOCK = ManualClock()


def test_a_price_that_was_given_is_taken_as_it_is() -> None:
    price = Price(1.0, 2.0)
    assert price_of(price, "openai", "gpt-4o") is price
    assert price_of(None, "openai", "gpt-4o") is None


def test_a_price_is_looked_up_in_the_table() -> None:
    assert listed_price("openai", "gpt-4o", clock=CLOCK) == Price(2.5, 10.0, 1.25)


@pytest.mark.parametrize(("provider", "model"), [("openai", "no-such-model"), ("no-such-provider", "gpt-4o")])
def test_what_the_table_does_not_know_is_unknown_and_not_free(provider: str, model: str) -> None:
    assert listed_price(provider, model, clock=CLOCK) is None


def test_a_model_can_be_made_with_the_price_of_the_table() -> None:
    model = OpenAIModel("gpt-4o", "http://127.0.0.1:9/v1", "some-key", price="auto")
    assert model.traits.price is not None


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data_snapshot", None)
    with pytest.raises(ConfigError, match=r"resilient_ai\[prices\]"):
        listed_price("openai", "gpt-4o", clock=CLOCK)


def test_anything_else_is_no_price() -> None:
    with pytest.raises(ConfigError):
        price_of("cheap", "openai", "gpt-4o")  # type: ignore[arg-type]  # the mistake in question


@pytest.mark.parametrize(
    "price",
    [{"input": -1, "output": 1}, {"input": 1, "output": float("nan")}, {"input": float("inf"), "output": 1},
     {"input": "1.25", "output": 1}, {"input": 1, "output": 1, "cached_input": -1}, {"input": 1, "output": 1, "per": 0}],
)  # fmt: skip
def test_a_price_that_a_cap_could_not_count_with_is_refused(price: Any) -> None:
    with pytest.raises(ConfigError, match=r"Price\.(input|output|cached_input|per) is "):
        Price(**price)
