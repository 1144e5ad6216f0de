"""The policy of a wrapped client: how it is built, and the chains it makes of the models the client is used for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast, final

from resilient_ai.adopt.glance import Glance, glance_of
from resilient_ai.adopt.own import OwnModels, OwnPrice
from resilient_ai.core.clock import SYSTEM_CLOCK, Clock, seeded
from resilient_ai.core.failure import FailureKind, Verdict, verdict_of
from resilient_ai.core.fork import ChildLock
from resilient_ai.engine.plan import REASKS, Hop, Plan, check, check_prices, digest
from resilient_ai.errors import ConfigError
from resilient_ai.judging import judged
from resilient_ai.models.wire.plain_requests import surely_portable
from resilient_ai.policies.arguments import check_arguments
from resilient_ai.policies.breaker import Breaker
from resilient_ai.policies.budget import RetryBudget
from resilient_ai.policies.exposure import Privacy
from resilient_ai.policies.fallback import WhenAllOpen, actions, one_of
from resilient_ai.policies.limits import Concurrency, Limits
from resilient_ai.policies.retry import Retry
from resilient_ai.policies.spending import CostCap, Spending
from resilient_ai.policies.throttle import Throttle
from resilient_ai.policies.timeouts import Timeouts, check_deadline
from resilient_ai.runtime import observers as watchers
from resilient_ai.runtime.aio import AioDriver
from resilient_ai.runtime.blocking import BlockingDriver
from resilient_ai.state import chain_spending, model_state

if TYPE_CHECKING:
    from resilient_ai.adopt.primary import Primary
    from resilient_ai.core.clock import Random
    from resilient_ai.core.events import Observer
    from resilient_ai.core.model import Model, Traits
    from resilient_ai.health import ChainHealth
    from resilient_ai.judging import ClassifyHook
    from resilient_ai.messages import JSON, DataClassName, Reply
    from resilient_ai.output import Expectation, OutputCheck

NO_DEADLINE_SECONDS: Final = 86_400.0
"""Without a deadline the client's own timeouts stand, as before it was wrapped. A day bounds nothing in practice and keeps every
calculation, span and log line finite."""

LONGEST_HINT_SECONDS: Final = 120.0
"""Without a deadline nobody waits longer than this because a provider said so; openai's own client has the same bound."""

_MOST_CHAINS: Final = 256
"""Models (or deployments, or keys) one client is used for; beyond that the chains are built anew."""

_OBJECTIONS: Final = frozenset({FailureKind.CONTENT_FILTERED, FailureKind.INVALID_OUTPUT})
"""Kinds that are no failure unless the user gives an action for them."""


@final
@dataclass(frozen=True, slots=True)
class Settings:
    """What `wrap` was given. None leaves the matter to the client's own settings."""

    fallback: tuple[Model, ...] = ()
    deadline: float | None = None
    reserve: float | None = None
    retry: Retry | None = None
    timeouts: Timeouts | None = None
    breaker: Breaker | None = None
    budget: RetryBudget = field(default_factory=RetryBudget)
    limits: Limits = field(default_factory=Limits)
    throttle: Throttle | None = None
    on: Mapping[str, str] = field(default_factory=dict[str, str])
    when_all_open: WhenAllOpen = "last_resort"
    checks: tuple[OutputCheck, ...] = ()
    verify_answers: bool = True
    observers: tuple[Observer, ...] = ()
    classify: ClassifyHook | None = None
    data_class: DataClassName | None = None
    max_cost: CostCap = field(default_factory=CostCap)
    price: OwnPrice = None
    own: Mapping[str, Traits] = field(default_factory=dict[str, "Traits"])
    privacy: Privacy = field(default_factory=Privacy)
    clock: Clock = SYSTEM_CLOCK
    chance: Random = field(default_factory=seeded)
    name: str = "default"


@final
@dataclass(frozen=True, slots=True)
class Chain:
    """One model of the client with everybody behind it."""

    plan: Plan
    check: Callable[[Reply], Reply] | None
    pseudonymises: bool
    """What is asked may be shown to others with placeholders."""
    timed: bool = field(init=False)
    """The engine's own clocks bound its attempts, whoever calls, and not the client's alone."""
    reads: bool = field(init=False)
    """Every request is read, even if nobody watches: for a rate of tokens or a cap of cost, or because its size or its data class decides who
    may be asked. It costs as much as all the bookkeeping."""
    shared: bool = field(init=False)
    """Somebody stands behind the client's own model."""
    attempts: int | None = field(init=False)
    """Attempts at its first model, or None where a strategy of the user's own ends them."""
    glance: Glance | None = field(init=False)
    """Tells a plain answer from the SDK's own object, where nothing needs the words or the tokens of every answer."""

    def __post_init__(self) -> None:
        plan = self.plan
        object.__setattr__(self, "attempts", plan.retry.most_attempts)
        counts = plan.max_cost.active or plan.limits.tokens_per_minute is not None
        wire = plan.hops[0].traits.wire
        glance = None if wire is None or counts or self.check is not None else glance_of(wire)
        object.__setattr__(self, "glance", glance)
        object.__setattr__(self, "timed", plan.hops[0].timeouts.attempt < NO_DEADLINE_SECONDS)
        shared = len(plan.hops) > 1
        object.__setattr__(self, "shared", shared)
        object.__setattr__(self, "reads", counts or (shared and (self.pseudonymises or not plan.straight)))

    def must_read(self, body: Mapping[str, JSON], unset: Collection[type] = ()) -> bool:
        """A request has to be read before anybody is asked, although nobody watches. Otherwise it is when somebody else is to be asked.

        Args:
            body: Its body, perhaps as the caller wrote it.
            unset: Classes of what stands there for a value that was not given.
        """
        return self.reads or (self.shared and not surely_portable(self.plan.hops[0].traits.wire, body, unset))


@final
class Policy:
    """How the calls of one client are made. Safe to share between threads, tasks and the client's copies."""

    __slots__ = (
        "_any",
        "_chains",
        "_lock",
        "_own",
        "_spending",
        "_targets",
        "aio",
        "blocking",
        "places",
        "settings",
    )

    def __init__(self, settings: Settings, stand_in: Primary, attempts: int) -> None:
        """Checks that the parts fit each other, on a chain that begins with `stand_in`, before anything is called."""
        one_of("when_all_open", settings.when_all_open, ("last_resort", "wait", "raise"))
        self.settings = settings
        self.places = Concurrency(settings.limits)
        self.aio = AioDriver(settings.clock)
        self.blocking = BlockingDriver(settings.clock)
        self._chains: dict[tuple[str, int, bool], Chain] = {}
        self._targets: dict[tuple[object, ...], tuple[Primary, Chain, object]] = {}
        """By what a client tells of itself, the object that is its address or that address's text; each keeps the object alive, so that
        nothing else can be taken for it."""
        self._lock = ChildLock()
        self._own = OwnModels(settings.price, settings.own, settings.clock)
        self._spending = _spending(settings, stand_in)
        self._any = self._build(stand_in, attempts, alone=False, named=False)

    def chain(self, primary: Primary, *, attempts: int, alone: bool) -> Chain:
        """The chain that begins with `primary`.

        Args:
            primary: The client's own model.
            attempts: Attempts the client itself is set to, used where `wrap` was given no `retry`.
            alone: The call has nobody to turn to.

        Raises:
            ConfigError: There is a cap on what may be spent, and what this model costs is unknown.
        """
        key = (primary.key, attempts if self.settings.retry is None else 0, alone)
        chain = self._chains.get(key)
        if chain is None:
            chain = self._build(primary, attempts, alone=alone)
            with self._lock:
                if len(self._chains) >= _MOST_CHAINS:
                    self._chains.clear()
                self._chains[key] = chain
        return chain

    def target(
        self,
        place: tuple[object, ...],
        at: object,
        make: Callable[[], Primary],
        *,
        attempts: int,
        alone: bool,
    ) -> tuple[Primary, Chain]:
        """The model at `place` and the chain that begins with it.

        Args:
            place: What tells this model from others: its name, format and key.
            at: The object that is the client's address, told apart by identity: comparing addresses costs more than all the rest.
            make: Makes the model, where it is not known yet.
            attempts: See `chain`.
            alone: See `chain`.
        """
        key = (*place, id(at), attempts, alone)
        known = self._targets.get(key)
        if known is None:
            # A copy of the client, perhaps made for this one call, has the same address in another object.
            alike = (*place, str(at), attempts, alone)
            known = self._targets.get(alike)
            if known is None:
                primary = make()
                known = (primary, self.chain(primary, attempts=attempts, alone=alone), at)
            with self._lock:
                if len(self._targets) >= _MOST_CHAINS:
                    self._targets.clear()
                self._targets[alike] = known
                self._targets[key] = (known[0], known[1], at)
        return known[0], known[1]

    def watching(self) -> tuple[Observer, ...]:
        """Who is shown a call that begins now."""
        return watchers.current() + self.settings.observers

    def judge(self, error: Exception, *, again: bool | None = None) -> Verdict:
        """Reads a failure.

        Args:
            error: What was raised.
            again: Whether the SDK itself asks again after it, which decides where nothing else is known of the failure: what it does not
                take for its provider's is the application's. After a refused key it is true where the SDK fetches a new one; after a
                failed connection it is false where the SDK has done what could be done. None if it was not asked.
        """
        verdict = judged(error, self.settings.classify, self.settings.clock)
        if again is not None and verdict.kind is FailureKind.UNKNOWN:
            kind = FailureKind.CONNECTION if again else FailureKind.LOCAL
            whose = "its provider's" if again else "the application's"
            return verdict_of(kind, reasons=(*verdict.reasons, f"the SDK takes it for {whose}"))
        if again and verdict.kind is FailureKind.AUTHENTICATION:
            # The key's time was up, which tells nothing of the model and wants no operator.
            reasons = (*verdict.reasons, "the SDK fetches a new key")
            return replace(verdict, retry=True, health="neutral", reasons=reasons)
        if again is False and verdict.kind in (FailureKind.CONNECTION, FailureKind.TIMEOUT):
            return replace(verdict, retry=False)
        hint = verdict.retry_after
        if self.settings.deadline is None and hint is not None and hint > LONGEST_HINT_SECONDS:
            return replace(verdict, retry=False)
        return verdict

    def explain(self, model: str = "any") -> str:
        """The effective policy for the client's model `model` and its worst case, for people."""
        return self._known(model).plan.explain()

    def health(self, model: str = "any") -> ChainHealth:
        """How the chain of the client's model `model` is now."""
        from resilient_ai.health import chain_health

        return chain_health(self._known(model).plan, self.places, self.settings.clock.now())

    def _known(self, model: str) -> Chain:
        """The chain last built for `model`; the one that stands for any where it has not been used yet."""
        with self._lock:
            chains = list(self._chains.values())
        found = [
            chain
            for chain in chains
            if chain.plan.hops[0].name == model and len(chain.plan.hops) == 1 + len(self.settings.fallback)
        ]
        return found[-1] if found else self._any

    def _build(self, primary: Primary, attempts: int, *, alone: bool, named: bool = True) -> Chain:
        given = self.settings
        if not alone:
            primary = primary.known(self._own.traits(primary.name, primary.provider, primary.traits))
        deadline = NO_DEADLINE_SECONDS if given.deadline is None else given.deadline
        chosen = given.timeouts or Timeouts()
        # The client's own timeouts were there first: without others an attempt may take all the time there is.
        first = given.timeouts or Timeouts(
            connect=deadline, first_token=deadline, idle=deadline, attempt=deadline
        )
        breaker = given.breaker
        if breaker is None:
            breaker = Breaker()
            if given.deadline is not None:
                longest = first.capped(deadline).attempt
                breaker = replace(breaker, window=max(breaker.window, 2 * longest))
        retry = given.retry or Retry(attempts=attempts)
        models: tuple[Model, ...] = (primary,) if alone else (primary, *given.fallback)
        own = [first, *(getattr(model, "timeouts", None) or chosen for model in models[1:])]
        hops = tuple(
            Hop(
                index,
                model,
                model_state(
                    model.key,
                    f"{model.provider}:{model.name}",
                    breaker,
                    given.budget,
                    given.limits,
                    given.clock,
                    given.throttle,
                ),
                clocks if clocks.attempt_was_chosen else clocks.capped(deadline),
            )
            for index, (model, clocks) in enumerate(zip(models, own, strict=True))
        )
        remapped = actions(given.on)
        policy = digest(
            given.name, [hop.label for hop in hops], deadline, given.reserve, retry, own, breaker, given.budget, given.limits,
            sorted(remapped.items()), "raise", given.when_all_open, given.max_cost, given.privacy.pseudonymise, given.throttle,
        )  # fmt: skip
        plan = Plan(
            given.name, hops, deadline, given.reserve, retry, chosen, breaker, given.budget, given.limits, remapped, "raise",
            given.when_all_open, REASKS, policy, CostCap() if alone else given.max_cost, self._spending,
            # Nobody bounded how long a call may wait: then it waits for no hint but its own, as it did before it was wrapped.
            patient=given.deadline is not None,
            throttle=given.throttle,
        )  # fmt: skip
        if plan.max_cost.active:
            self._check_cap(plan, named=named)
        if given.deadline is not None or given.timeouts is not None:
            # Without either, attempts last as long as the client lets them, and no window could hold two of them.
            bare = replace(plan, max_cost=CostCap())  # has been seen to
            check(
                bare
                if given.deadline is not None
                else replace(bare, deadline=max(NO_DEADLINE_SECONDS, deadline))
            )
        expectation = self._expectation(plan)
        checked = None if expectation is None or primary.traits.wire is None else expectation.check
        return Chain(plan, checked, bool(given.privacy.pseudonymise))

    def _check_cap(self, plan: Plan, *, named: bool) -> None:
        """Refuses a cap that could not be kept: over a model whose price is unknown, or in another currency.

        Which models the client will name is not known when it is wrapped; then only what was told is looked at.
        """
        first, *rest = plan.hops
        known = self._own.prices if not named else () if first.traits.price is None else (first.traits.price,)
        if not known and (named or not self._own.priced):
            whose = first.label if named else "the client's own model"
            raise ConfigError(
                f"max_cost cannot be kept: what {whose} costs is unknown. Give wrap() price=Price(...), price={{'its name': Price(...)}} or "
                "price='auto' (extra 'prices'); Price(0, 0) if it costs nothing.",
                key="max_cost",
            )
        for price in known:
            model = cast("Primary", first.model)
            checked = replace(first, model=model.known(replace(model.traits, price=price)))
            check_prices(replace(plan, hops=(checked,)))
        if rest:
            check_prices(replace(plan, hops=tuple(rest)))

    def _expectation(self, plan: Plan) -> Expectation | None:
        objects_to = _OBJECTIONS.intersection(plan.on)
        if not self.settings.checks and not objects_to:
            return None
        from resilient_ai.output import Expectation

        return Expectation(None, self.settings.checks, objects_to)


def _spending(settings: Settings, stand_in: Primary) -> Spending | None:
    """What all calls of the client have spent, whichever model they named; shared by its copies, and by a client that is wrapped anew."""
    if settings.max_cost.per_window is None:
        return None
    priced = tuple(model.key for model in settings.fallback if model.traits.price is not None)
    return chain_spending(settings.name, (stand_in.key, *priced), settings.max_cost.window, settings.clock)


def settings_of(
    fallback: str | Model | Callable[..., object] | Iterable[str | Model | Callable[..., object]],
    chain: str | None,
    config: object,
    address: str | None,
    options: Mapping[str, Any],
) -> Settings:
    """The settings for what `wrap` was given; what it was not given comes from the configuration file's `chain`.

    Args:
        fallback: Who answers when the client's provider does not.
        chain: A chain of the configuration file, or None.
        config: The file; None looks for it.
        address: The host the client asks; a model of the file at the same host is no fallback for it.
        options: The other arguments of `wrap` that are not None.

    Raises:
        ConfigError: A model cannot be built, or the file is missing or wrong.
    """
    from resilient_ai.models.naming import model_of

    members: list[Any] = (
        [fallback]
        if isinstance(fallback, str) or not isinstance(fallback, Iterable)
        else list(cast("Iterable[Any]", fallback))
    )
    models = tuple(map(model_of, members))
    check_arguments(options)
    merged: dict[str, Any] = dict(options)
    if chain is not None:
        from resilient_ai.config.build import chain_models, chain_policy
        from resilient_ai.config.load import load_config
        from resilient_ai.config.telemetry import check_audit

        file = load_config(cast("Any", config))
        check_audit(file)
        written = chain_policy(file, chain).arguments()
        del written["on_interrupt"]  # no SDK can be told to take back what it has delivered
        del written[
            "hedge"
        ]  # nor to send one request twice: its own loop asks for the next only after the last
        merged = {"name": chain, **written, **options}
        listed = chain_models(file, chain)
        own = [model for model in listed if address is not None and model.traits.server_address == address]
        merged["own"] = {model.name: model.traits for model in own}
        if not models:
            models = tuple(model for model in listed if model not in own)
        for model in listed:
            if model not in models:
                model.close()
    for name in ("checks", "observers"):
        if name in merged:
            merged[name] = tuple(cast("Sequence[object]", merged[name]))
    deadline = merged.get("deadline")
    if deadline is not None:
        check_deadline(deadline)
    return Settings(fallback=models, **merged)
