"""What is known of the client's own models: what their tokens cost, and what the configuration file says of them.

A client names its model in every request, so nothing of it is known when the client is wrapped. What `wrap` was given for all of them or
by name is looked up when a model is first used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, final

from resilient_ai.core.model import Price, Traits
from resilient_ai.errors import ConfigError
from resilient_ai.models.prices import AUTO, price_of

if TYPE_CHECKING:
    from resilient_ai.core.clock import Clock

OwnPrice: TypeAlias = "Price | Literal['auto'] | Mapping[str, Price | Literal['auto']] | None"
"""One price for all models of a client, or one by the model's name; `"auto"` looks it up in `genai-prices` (extra `prices`)."""


@final
class OwnModels:
    """What is known of a client's own models. Immutable; safe to share.

    Args:
        price: What `wrap` was given.
        written: By model name, what the configuration file says of the models at the client's own host.
        clock: Dates the prices that are looked up.

    Raises:
        ConfigError: `price` is no price, or a look-up is asked for and the extra is not installed.
    """

    __slots__ = ("_clock", "_price", "_written")

    def __init__(self, price: OwnPrice, written: Mapping[str, Traits], clock: Clock) -> None:
        self._price: OwnPrice = _checked(price)
        self._written = written
        self._clock = clock
        if AUTO in (price.values() if isinstance(price, Mapping) else (price,)):
            price_of(AUTO, "openai", "any", clock=clock)  # the extra is missed here, not at the first call

    @property
    def priced(self) -> bool:
        """The price of some model may be known."""
        return bool(self._price) or any(traits.price is not None for traits in self._written.values())

    @property
    def prices(self) -> tuple[Price, ...]:
        """The prices that are known without looking one up."""
        given = self._price.values() if isinstance(self._price, Mapping) else (self._price,)
        written = (traits.price for traits in self._written.values())
        return tuple(price for price in (*given, *written) if isinstance(price, Price))

    def traits(self, name: str, provider: str, seen: Traits) -> Traits:
        """`seen` of the model `name`, and what is known of it besides."""
        told = self._written.get(name)
        if told is not None:
            seen = replace(
                seen, price=told.price, data_classes=told.data_classes, context_tokens=told.context_tokens
            )
        given = self._price
        setting = given.get(name) if isinstance(given, Mapping) else given
        price = price_of(setting, provider, name, clock=self._clock)
        return seen if price is None else replace(seen, price=price)


def _checked(price: object) -> OwnPrice:
    if price is None or price == AUTO or isinstance(price, Price):
        return cast("OwnPrice", price)
    if isinstance(price, Mapping):
        entries = cast("Mapping[object, object]", price)
        if all(isinstance(name, str) for name in entries) and all(
            entry == AUTO or isinstance(entry, Price) for entry in entries.values()
        ):
            return cast("OwnPrice", price)
    raise ConfigError(
        "price must be a Price, 'auto', a mapping of model names to those, or None.", key="price"
    )
