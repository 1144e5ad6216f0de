"""What tokens cost. Unknown stays None: a cost that is guessed, or zero for want of a price, misleads whoever pays."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resilient_ai.core.model import Price
    from resilient_ai.messages import Usage


def cost_of(price: Price | None, usage: Usage) -> float | None:
    """Money `usage` costs at `price`, or None if the price or a token count is unknown."""
    if price is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    cached = min(usage.cached_tokens or 0, usage.input_tokens) if price.cached_input is not None else 0
    fresh = usage.input_tokens - cached
    money = fresh * price.input + cached * (price.cached_input or 0.0) + usage.output_tokens * price.output
    return money / price.per
