"""What tokens cost. Unknown stays None: a cost that is guessed, or zero for want of a price, misleads whoever pays.

A cap is the one place that must guess, because it is asked before there are tokens to count; it guesses on the high side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from resilient_ai.messages import UNKNOWN_USAGE, Usage

if TYPE_CHECKING:
    from resilient_ai.core.model import Price
    from resilient_ai.engine.steps import Ended

ASSUMED_OUTPUT_TOKENS: Final = 1024
"""Output counted for a request without `max_tokens`: a long chat answer, some 750 words. Only `max_tokens` makes the estimate a bound."""


def cost_of(price: Price | None, usage: Usage) -> float | None:
    """Money `usage` costs at `price`, or None if the price or a token count is unknown."""
    if price is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    cached = min(usage.cached_tokens or 0, usage.input_tokens) if price.cached_input is not None else 0
    fresh = usage.input_tokens - cached
    money = fresh * price.input + cached * (price.cached_input or 0.0) + usage.output_tokens * price.output
    return money / price.per


def usage_of(ended: Ended) -> Usage:
    """Tokens of an attempt as far as they are known, also of one that failed or was cut."""
    usage = ended.reply.usage if ended.reply is not None else UNKNOWN_USAGE
    if usage is not UNKNOWN_USAGE or not ended.notes:
        return usage
    noted = ended.notes.get("usage")
    return noted if isinstance(noted, Usage) else usage


def estimated_cost(price: Price, input_tokens: int, max_tokens: int | None) -> float:
    """Money a request may cost that is about to be sent."""
    output = ASSUMED_OUTPUT_TOKENS if max_tokens is None else max_tokens
    return (input_tokens * price.input + output * price.output) / price.per


def charged(price: Price, ended: Ended, estimate: float) -> float:
    """Money a cap counts for an attempt: what it cost, and the estimate where nobody told.

    What never reached the provider, and what it refused with a status, is not billed.
    """
    cost = cost_of(price, usage_of(ended))
    if cost is not None:
        return cost
    verdict = ended.verdict
    if ended.error is None or verdict is None:
        return estimate
    refused = verdict.status is not None and verdict.status >= 400
    return 0.0 if refused or verdict.sent is False else estimate
