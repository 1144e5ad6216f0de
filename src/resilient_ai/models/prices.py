"""Prices from the table of the package `genai-prices` (extra `prices`), for those who do not want to keep their own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

from resilient_ai.core.clock import SYSTEM_CLOCK, Clock
from resilient_ai.core.model import Price
from resilient_ai.errors import ConfigError

AUTO: Final = "auto"
PriceSetting: TypeAlias = "Price | Literal['auto'] | None"
"""A price, `"auto"` for the table's, or None for unknown."""

_PROVIDERS: Final = {"gemini": "google", "openai-responses": "openai"}
_PER: Final = 1_000_000
"""The table's prices are for a million tokens, in US dollars."""


def price_of(
    setting: PriceSetting, provider: str, model: str, *, clock: Clock = SYSTEM_CLOCK
) -> Price | None:
    """The price that `setting` stands for; None if it is unknown.

    Raises:
        ConfigError: It is `"auto"` and the extra is not installed, or it is no price at all.
    """
    if setting is None or isinstance(setting, Price):
        return setting
    if setting != AUTO:
        raise ConfigError("price must be a Price, 'auto' or None.", key="price")
    return listed_price(provider, model, clock=clock)


def listed_price(provider: str, model: str, *, clock: Clock = SYSTEM_CLOCK) -> Price | None:
    """What `model` of `provider` costs by the table that is installed; None if it is not in there, or its price is not one per token.

    Reads no network: the table is as old as the package. Where long requests cost more, it is the price of short ones.

    Raises:
        ConfigError: The extra `prices` is not installed.
    """
    try:
        from genai_prices.data_snapshot import get_snapshot
    except ImportError as error:
        raise ConfigError(
            "price='auto' needs the extra 'prices': pip install 'resilient_ai[prices]'.", key="price"
        ) from error
    try:
        _, found = get_snapshot().find_provider_model(model, None, _PROVIDERS.get(provider, provider), None)
    except LookupError:
        return None
    listed: Any = found.get_prices(datetime.fromtimestamp(clock.wall(), UTC))
    read, written = _amount(listed, "input_mtok"), _amount(listed, "output_mtok")
    if read is None or written is None:
        return None
    return Price(read, written, _amount(listed, "cache_read_mtok"), _PER, "USD")


def _amount(listed: Any, name: str) -> float | None:
    amount = getattr(listed, name, None)
    amount = getattr(amount, "base", amount)
    return None if amount is None else float(amount)
