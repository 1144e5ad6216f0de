"""A chain as built: its models with their shared state and the policies that bind them, checked against each other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, final

from resilient_ai.core.failure import Action, FailureKind
from resilient_ai.errors import ConfigError
from resilient_ai.policies.spending import CostCap, Spending
from resilient_ai.policies.timeouts import check_deadline

if TYPE_CHECKING:
    from resilient_ai.core.model import Model, Traits
    from resilient_ai.policies.breaker import Breaker
    from resilient_ai.policies.budget import RetryBudget
    from resilient_ai.policies.fallback import OnInterrupt, WhenAllOpen
    from resilient_ai.policies.hedge import Hedge
    from resilient_ai.policies.limits import Limits
    from resilient_ai.policies.retry import Retry
    from resilient_ai.policies.throttle import Throttle
    from resilient_ai.policies.timeouts import Timeouts
    from resilient_ai.state import ModelState

LEARNED_RESERVE_FACTOR: Final = 1.5
"""On the 95th percentile of a model's own answers: room for the one in twenty."""
LEAST_RESERVE_SECONDS: Final = 0.05
"""Even a constant answer needs a turn of the loop."""
REASKS: Final = 2
"""Times an answer that does not fit is asked for again before the next model is."""


@final
@dataclass(frozen=True, slots=True)
class Hop:
    """One model of a chain, in its place.

    Attributes:
        index: Its place, from 0.
        model: Who is asked.
        state: What is shared about it.
        timeouts: Its clocks, capped by the deadline.
        name: The model's name, read once: what never changes is not asked again on every call.
        provider: Its provider.
        traits: Its traits.
        picky: It may have to refuse a request, for its size or its data class.
    """

    index: int
    model: Model
    state: ModelState
    timeouts: Timeouts
    name: str = field(init=False)
    provider: str = field(init=False)
    traits: Traits = field(init=False)
    picky: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.model.name)
        object.__setattr__(self, "provider", self.model.provider)
        traits = self.model.traits
        object.__setattr__(self, "traits", traits)
        object.__setattr__(
            self, "picky", traits.context_tokens is not None or traits.data_classes is not None
        )

    @property
    def label(self) -> str:
        """`provider:name`, for people."""
        return f"{self.provider}:{self.name}"

    def needs(self, configured: float | None) -> float:
        """Seconds to keep for this model while an earlier one is tried."""
        if configured is not None:
            return configured
        p95 = self.state.latency.p95
        learned = self.traits.typical_seconds if p95 is None else LEARNED_RESERVE_FACTOR * p95
        return max(LEAST_RESERVE_SECONDS, learned)


@final
@dataclass(frozen=True, slots=True)
class WorstCase:
    """The most a call may cost.

    Attributes:
        requests: Requests sent, or None where a custom `stop` decides, or `on` has a kind waited for.
        seconds: Seconds until it ends, answered or not: the deadline.
        unbounded_seconds: What the attempts and pauses would add up to without the deadline; infinite where a custom strategy decides.
    """

    requests: int | None
    seconds: float
    unbounded_seconds: float


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """A chain and its policies. Immutable and shared by all calls.

    Attributes:
        name: The chain's name.
        hops: Its models, in the order they are asked.
        deadline: Seconds a call may take.
        reserve: Seconds kept for each model behind the one being tried; None learns them.
        on: What the user wants done, per kind, instead of the verdict's default.
        digest: Short hash of the effective policy.
        max_cost: What may be spent.
        spending: What the chain has spent in the window of `max_cost`; None without one.
        throttle: How much of what a model refuses for load is kept from it; None keeps back nothing.
        hedge: When a second request is sent beside one that is late; None sends none.
        capped: There is a bound in `max_cost`.
        straight: Health and time alone decide who is asked first, whatever is asked.
        patient: A model that told an earlier call to wait is waited for where nobody else answers sooner; otherwise it is asked at once.
    """

    name: str
    hops: tuple[Hop, ...]
    deadline: float
    reserve: float | None
    retry: Retry
    timeouts: Timeouts
    breaker: Breaker
    budget: RetryBudget
    limits: Limits
    on: Mapping[FailureKind, Action]
    on_interrupt: OnInterrupt
    when_all_open: WhenAllOpen
    reasks: int
    digest: str
    max_cost: CostCap = CostCap()  # noqa: RUF009 - frozen
    spending: Spending | None = None
    patient: bool = True
    throttle: Throttle | None = None
    hedge: Hedge | None = None
    capped: bool = field(init=False)
    straight: bool = field(init=False)

    def __post_init__(self) -> None:
        capped = self.max_cost.active
        object.__setattr__(self, "capped", capped)
        choosy = any(
            hop.picky if hop.index == 0 else hop.traits.data_classes is not None for hop in self.hops
        )
        object.__setattr__(self, "straight", not (choosy or capped or self.hedge is not None))

    def worst_case(self, *, checked: bool = False) -> WorstCase:
        """The most a call of this plan may cost; `checked` counts the re-asks of validated output."""
        # A kind that is waited for is asked again for as long as time and the budget allow.
        most = None if "wait" in self.on.values() else self.retry.most_attempts
        extra = self.reasks if checked else 0
        # A chain whose breakers are all open still asks its last model once; that is within its own attempts.
        beside = 0 if self.hedge is None else self.hedge.at_most
        widths = [1 + beside if hop.traits.replayable else 1 for hop in self.hops]
        requests = None if most is None else sum(widths) * (most + extra)
        per_hop = [
            (most or 0) * hop.timeouts.attempt + max(0, (most or 0) - 1) * self.retry.longest_wait
            for hop in self.hops
        ]
        unbounded = float("inf") if most is None else sum(per_hop)
        return WorstCase(requests, self.deadline, unbounded)

    def explain(self) -> str:
        """The effective policy and its worst case, for people."""
        worst = self.worst_case()
        checked = self.worst_case(checked=True)
        lines = [f"chain {self.name!r}, policy {self.digest}"]
        for hop in self.hops:
            traits = hop.traits
            place = "on this device" if traits.local else (traits.server_address or "remote")
            window = f", {traits.context_tokens} tokens of context" if traits.context_tokens else ""
            most = (
                f"attempt at most {hop.timeouts.attempt:g} s"
                if self.patient or hop.timeouts.attempt < self.deadline
                else "attempts as long as the client lets them be"
            )
            lines.append(f"  {hop.index + 1}. {hop.label} ({place}{window}), {most}")
        behind = "learned from their own answers" if self.reserve is None else f"{self.reserve:g} s each"
        lines += [
            f"  deadline {f'{self.deadline:g} s for the whole call' if self.patient else 'none'}; kept for the models behind: {behind}",
            f"  retry: {self._retry_in_words()}",
            f"  retry budget: {self._budget_in_words()}",
            f"  breaker: {self._breaker_in_words()}; when all are open: {self.when_all_open}",
            f"  limits: {self._limits_in_words()}",
        ]
        if self.throttle is not None and self.throttle.enabled:
            lines.append(f"  throttle: {_throttle_in_words(self.throttle)}")
        if self.hedge is not None:
            lines.append(f"  hedge: {self._hedge_in_words(self.hedge)}")
        if self.max_cost.active:
            lines.append(f"  cost: at most {self.max_cost}")
        if self.on:
            lines.append(
                "  on: " + ", ".join(f"{kind} -> {action}" for kind, action in sorted(self.on.items()))
            )
        count = (
            "as many as the policy's stop or waits allow" if worst.requests is None else str(worst.requests)
        )
        more = (
            "" if checked.requests in (None, worst.requests) else f" ({checked.requests} with output checks)"
        )
        total = (
            ""
            if worst.unbounded_seconds == float("inf")
            else f"; without the deadline it would be {worst.unbounded_seconds:g} s"
        )
        longest = f", {worst.seconds:g} s{total}" if self.patient else ""
        lines.append(f"  worst case: {count} requests{more}{longest}")
        return "\n".join(lines)

    def _retry_in_words(self) -> str:
        retry = self.retry
        wait = "custom wait" if retry.wait else f"full jitter from {retry.base:g} s to {retry.cap:g} s"
        stop = "custom stop" if retry.stop else f"{retry.attempts} attempts a model"
        return f"{stop}, {wait}{', custom predicate' if retry.retry else ''}"

    def _budget_in_words(self) -> str:
        budget = self.budget
        if not budget.enabled:
            return "off"
        return (
            f"{budget.capacity:g} tokens, a retry costs {budget.retry_cost:g}, "
            f"at least {budget.floor} retries per {budget.floor_seconds:g} s"
        )

    def _breaker_in_words(self) -> str:
        breaker = self.breaker
        if not breaker.enabled:
            return "off"
        row = "" if breaker.consecutive is None else f" or {breaker.consecutive} in a row"
        return (
            f"opens at {breaker.failure_ratio:.0%} of {breaker.min_calls} or more in {breaker.window:g} s{row}, "
            f"for {breaker.open_for:g} s to {breaker.open_for_max:g} s"
        )

    def _hedge_in_words(self, hedge: Hedge) -> str:
        extra = "one more request" if hedge.at_most == 1 else f"up to {hedge.at_most} more requests"
        after = (
            "the 95th percentile of the model's own answers" if hedge.after is None else f"{hedge.after:g} s"
        )
        left_out = [hop.label for hop in self.hops if not hop.traits.replayable]
        but = f", never for {', '.join(left_out)}" if left_out else ""
        return f"{extra} after {after} without an answer, paid from the retry budget; whole answers, no streams{but}"

    def _limits_in_words(self) -> str:
        limits = self.limits
        words = [
            f"{limits.concurrency} calls at a time, {limits.queue} waiting" if limits.concurrency else "",
            f"{limits.requests_per_minute:g} requests a minute" if limits.requests_per_minute else "",
            f"{limits.tokens_per_minute:g} tokens a minute" if limits.tokens_per_minute else "",
        ]
        return ", ".join(word for word in words if word) or "none"


def _throttle_in_words(throttle: Throttle) -> str:
    return (
        f"{throttle.k:g} requests let out for each accepted one, at most {throttle.most:.0%} rejected, "
        f"from {throttle.min_requests} requests in {throttle.window:g} s on"
    )


def check(plan: Plan) -> Plan:
    """`plan`, if its parts fit each other.

    Raises:
        ConfigError: They do not; the text holds both numbers.
    """
    if not plan.hops:
        raise ConfigError("The chain has no model; give at least one.", key="models")
    check_deadline(plan.deadline)
    if plan.reserve is not None:
        if not isinstance(plan.reserve, int | float) or plan.reserve < 0:  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all typed
            raise ConfigError(
                f"reserve is {plan.reserve!r}; it must be a number of seconds, not below 0.", key="reserve"
            )
        total = plan.reserve * (len(plan.hops) - 1)
        if total >= plan.deadline:
            raise ConfigError(
                f"The reserves of the models behind the first add up to {total:g} s ({len(plan.hops) - 1} x {plan.reserve:g} s), "
                f"but the deadline is {plan.deadline:g} s: the first model would have no time. Shorten reserve or lengthen deadline.",
                key="reserve",
            )
    for hop in plan.hops:
        if hop.timeouts.attempt_was_chosen and hop.timeouts.attempt > plan.deadline:
            raise ConfigError(
                f"The attempt timeout of {hop.label} is {hop.timeouts.attempt:g} s, longer than the deadline of {plan.deadline:g} s "
                "for the whole call. Shorten timeouts.attempt or lengthen deadline.",
                key="timeouts.attempt",
            )
    longest = max(hop.timeouts.capped(plan.deadline).attempt for hop in plan.hops)
    if plan.breaker.enabled and plan.breaker.window < 2 * longest:
        raise ConfigError(
            f"The breaker window is {plan.breaker.window:g} s, less than twice the longest attempt ({longest:g} s): slow failures would "
            "fall out of it before they add up. Lengthen breaker.window or shorten timeouts.attempt.",
            key="breaker.window",
        )
    if plan.max_cost.active:
        check_prices(plan)
    return plan


def check_prices(plan: Plan) -> None:
    """A cap over a model without a price would be one that somebody believes in.

    Raises:
        ConfigError: A model that is asked over the network has no price, or one in another currency.
    """
    currency = plan.max_cost.currency
    for hop in plan.hops:
        price = hop.traits.price
        if price is None and hop.traits.server_address is not None and not hop.traits.local:
            raise ConfigError(
                f"max_cost cannot be kept: what {hop.label} costs is unknown. Give the model price=Price(...), "
                "price='auto' (extra 'prices'), or Price(0, 0) if it costs nothing.",
                key="max_cost",
            )
        if price is not None and price.currency != currency:
            raise ConfigError(
                f"max_cost is in {currency}, but the price of {hop.label} is in {price.currency}; give both in one currency.",
                key="max_cost",
            )


def digest(*parts: object) -> str:
    """A short, stable hash of the effective policy. Equal policies have equal digests; no secret is part of it."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()[:12]
