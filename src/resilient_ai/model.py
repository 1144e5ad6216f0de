"""`ResilientModel`: what an application holds. It builds the plan and hands each call to the runtime; it decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast, final

from resilient_ai.asking import refuse_elsewhere, request_of
from resilient_ai.core.clock import SYSTEM_CLOCK, seeded
from resilient_ai.core.deadline import earliest
from resilient_ai.core.failure import FailureKind, Verdict
from resilient_ai.engine.call import Call, next_number
from resilient_ai.engine.plan import REASKS, Hop, Plan, check, digest
from resilient_ai.errors import ConfigError
from resilient_ai.judging import ClassifyHook, judged
from resilient_ai.messages import JSON, DataClassName, Reply, Request, Tool
from resilient_ai.options import options_here
from resilient_ai.policies.arguments import check_arguments
from resilient_ai.policies.breaker import Breaker
from resilient_ai.policies.budget import RetryBudget
from resilient_ai.policies.exposure import Privacy
from resilient_ai.policies.fallback import OnInterrupt, WhenAllOpen, actions, one_of
from resilient_ai.policies.hedge import Hedge
from resilient_ai.policies.limits import Concurrency, Limits
from resilient_ai.policies.retry import Retry
from resilient_ai.policies.spending import CostCap
from resilient_ai.policies.throttle import Throttle
from resilient_ai.policies.timeouts import DEADLINE_SECONDS, Timeouts, check_deadline
from resilient_ai.runtime import observers as watchers
from resilient_ai.runtime.aio import AioDriver
from resilient_ai.runtime.blocking import BlockingDriver, drive
from resilient_ai.runtime.orchestrate import run
from resilient_ai.runtime.session import Session
from resilient_ai.runtime.stream import AsyncStream, Stream
from resilient_ai.state import chain_spending, model_state

if TYPE_CHECKING:
    import os

    from resilient_ai.asking import Messages
    from resilient_ai.config.file import Config
    from resilient_ai.config.source import ConfigSource
    from resilient_ai.core.clock import Clock, Random
    from resilient_ai.core.events import Observer
    from resilient_ai.core.model import Model
    from resilient_ai.health import ChainHealth
    from resilient_ai.options import Options
    from resilient_ai.output import Expectation, OutputCheck
    from resilient_ai.runtime.driver import Driver
    from resilient_ai.runtime.orchestrate import Check

T = TypeVar("T")

_OBJECTIONS: Final = frozenset({FailureKind.CONTENT_FILTERED, FailureKind.INVALID_OUTPUT})
"""Kinds that are flagged on the reply unless the user gives an action for them."""
_log: Final = logging.getLogger("resilient_ai")


@final
class ResilientModel:
    """A chain of models that answers before its deadline, or fails with one typed error.

    Safe to share between threads, tasks and event loops; state that models share (breaker, retry budget, pace) is shared by every chain
    of the process that asks the same model with the same key.

    Args:
        chain: Who is asked, in order: names (`"openai:gpt-5.2"`), models, plain functions.
        deadline: Seconds a call may take, over all attempts, pauses and models; above 0.
        reserve: Seconds kept for each model behind the one being tried; None learns them from the models' own answers.
        retry: How often and after what pause the same model is asked again.
        timeouts: The clocks of one attempt; a model's own take precedence.
        breaker: When a failing model is left alone.
        budget: How many retries all callers of a model may spend together.
        limits: How much is sent at a time.
        throttle: How much of what a model refuses for load is kept from it; None keeps back nothing.
        hedge: When a second request is sent beside one that is late; None sends none. Whole answers only, no streams.
        max_cost: What a call, and all calls of the chain in a window, may cost at most.
        privacy: What a model may be shown that is not cleared for a request's data class; it is skipped by default.
        on: What to do per failure kind instead of the default: `retry`, `next`, `raise` or `wait`.
        on_interrupt: What to do when a stream breaks after content was delivered.
        when_all_open: What to do when every breaker is open. `last_resort` asks the model on the device, or the last of several, all the
            same; a chain of one remote model fails fast.
        checks: Called with every answer; see `OutputCheck`.
        observers: Called with every event of this chain, besides those `observe()` switched on.
        classify: Reads an exception before the library does.
        clock: Where time comes from; None is the system's.
        name: The chain's name in telemetry and errors.
        chance: Where jitter comes from; None is seeded by the system.

    Raises:
        ConfigError: A model cannot be built or the policies contradict each other; the text holds both numbers.
    """

    __slots__ = (
        "_aio",
        "_blocking",
        "_chance",
        "_checks",
        "_classify",
        "_expectation",
        "_models",
        "_observers",
        "_options",
        "_origin",
        "_places",
        "_plan",
        "_privacy",
    )

    def __init__(
        self,
        chain: str | Model | Callable[..., object] | Iterable[str | Model | Callable[..., object]],
        *,
        deadline: float = DEADLINE_SECONDS,
        reserve: float | None = None,
        retry: Retry = Retry(),  # noqa: B008 - frozen
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        breaker: Breaker = Breaker(),  # noqa: B008 - frozen
        budget: RetryBudget = RetryBudget(),  # noqa: B008 - frozen
        limits: Limits = Limits(),  # noqa: B008 - frozen
        throttle: Throttle | None = None,
        hedge: Hedge | None = None,
        max_cost: CostCap = CostCap(),  # noqa: B008 - frozen
        privacy: Privacy = Privacy(),  # noqa: B008 - frozen
        on: Mapping[str, str] | None = None,
        on_interrupt: OnInterrupt = "raise",
        when_all_open: WhenAllOpen = "last_resort",
        checks: Sequence[OutputCheck] = (),
        observers: Sequence[Observer] = (),
        classify: ClassifyHook | None = None,
        clock: Clock | None = None,
        name: str = "default",
        chance: Random | None = None,
    ) -> None:
        from resilient_ai.models.naming import model_of

        check_arguments(
            {
                "retry": retry, "timeouts": timeouts, "breaker": breaker, "budget": budget, "limits": limits, "throttle": throttle, "hedge": hedge,
                "max_cost": max_cost, "privacy": privacy, "on": on, "checks": checks, "observers": observers, "classify": classify, "name": name,
            }
        )  # fmt: skip
        check_deadline(deadline)
        one_of("on_interrupt", on_interrupt, ("raise", "restart", "continue"))
        one_of("when_all_open", when_all_open, ("last_resort", "wait", "raise"))
        if on_interrupt == "continue" and checks:
            raise ConfigError(
                "on_interrupt='continue' joins two models' answers, which no check can be held to; use 'restart' or 'raise'.",
                key="on_interrupt",
            )
        time = clock or SYSTEM_CLOCK
        members: list[Any] = (
            [chain]
            if isinstance(chain, str) or not isinstance(chain, Iterable)
            else list(cast("Iterable[Any]", chain))
        )
        self._models: tuple[Model, ...] = tuple(map(model_of, members))
        remapped = actions(on)
        own = [getattr(model, "timeouts", None) or timeouts for model in self._models]
        hops = tuple(
            Hop(
                index,
                model,
                model_state(
                    model.key, f"{model.provider}:{model.name}", breaker, budget, limits, time, throttle
                ),
                clocks if clocks.attempt_was_chosen else clocks.capped(deadline),
            )
            for index, (model, clocks) in enumerate(zip(self._models, own, strict=True))
        )
        policy = digest(
            name, [hop.label for hop in hops], deadline, reserve, retry, own, breaker, budget, limits, sorted(remapped.items()),
            on_interrupt, when_all_open, max_cost, privacy.pseudonymise, throttle, hedge,
        )  # fmt: skip
        spending = None
        if max_cost.per_window is not None:
            priced = tuple(model.key for model in self._models if model.traits.price is not None)
            spending = chain_spending(name, priced, max_cost.window, time)
        self._plan = check(
            Plan(
                name, hops, deadline, reserve, retry, timeouts, breaker, budget, limits, remapped, on_interrupt, when_all_open,
                REASKS, policy, max_cost, spending, throttle=throttle,
                hedge=hedge if hedge is not None and hedge.enabled else None,
            )
        )  # fmt: skip
        self._privacy = privacy
        self._places = Concurrency(limits)
        self._checks = tuple(checks)
        self._expectation = self._expectation_for(None)
        self._observers = tuple(observers)
        self._classify = classify
        self._aio = AioDriver(time)
        self._blocking = BlockingDriver(time)
        self._chance: Random = chance or seeded()
        self._options: dict[str, object] = {}
        self._origin: tuple[ConfigSource, str | None, dict[str, Any]] | None = None
        """The file the chain was built from, for `reload`."""
        worst = self._plan.worst_case()
        _log.info(
            "chain %s, policy %s: at most %s requests and %g s a call",
            name,
            policy,
            worst.requests,
            worst.seconds,
        )

    @classmethod
    def from_config(
        cls, path: str | os.PathLike[str] | None = None, *, chain: str | None = None, **overrides: Any
    ) -> ResilientModel:
        """The chain `chain` of a configuration file.

        Args:
            path: The file; None looks at RESILIENT_AI_CONFIG, `./resilient.toml` and `[tool.resilient-ai]` in `./pyproject.toml`.
            chain: The chain's name; None takes the only one, or `default`.
            overrides: Arguments of `ResilientModel` that take precedence (`observers`, `checks`, `clock`, ...).

        Raises:
            ConfigError: The file is missing or wrong; the text names the line, the key and the nearest right one.
        """
        from resilient_ai.config.source import ConfigSource

        source = ConfigSource(path)
        model = _built(source.current, chain, overrides)
        model._origin = (source, chain, overrides)
        return model

    def reload(self) -> bool:
        """Reads the configuration file again; True if the chain's policy changed.

        As a whole or not at all: on any error the policy in force stays. What is known of the models (breaker, budget, pace, latency) stays
        with every model whose options stay. Calls under way end under the policy they began with; copies made by `with_options` keep
        theirs. Safe from any thread.

        Raises:
            ConfigError: The file is wrong, and nothing has changed; or this model was not made by `from_config`.
        """
        if self._origin is None:
            raise ConfigError(
                "reload needs a model made by ResilientModel.from_config: this one has no file to read."
            )
        source, chain, overrides = self._origin
        fresh = source.reload(lambda config: _built(config, chain, overrides)).built
        changed = fresh._plan.digest != self._plan.digest
        if fresh._plan.limits == self._plan.limits:
            fresh._places = self._places
        for slot in ResilientModel.__slots__:
            if slot not in ("_options", "_origin"):
                setattr(self, slot, getattr(fresh, slot))
        return changed

    # --- calls --------------------------------------------------------------------------------------------------------

    def generate(
        self,
        messages: Messages,
        *,
        output_type: type[T] | None = None,
        deadline: float | None = None,
        data_class: DataClassName | None = None,
        tools: Sequence[Tool | Mapping[str, JSON]] = (),
        **parameters: object,
    ) -> Reply:
        """The answer, blocking.

        Args:
            messages: What is asked.
            output_type: A type the answer must fit; `reply.output` then holds it, validated.
            deadline: Seconds this call may take, instead of the chain's; a block of `resilient_options` around it may leave it less.
            data_class: How sensitive the content is; models not cleared for it are skipped, or asked as `privacy` says.
            tools: Functions the model may ask to have called.
            parameters: Fields of `Request` (`max_tokens`, `temperature`, ...), and any others of the provider's own.

        Raises:
            InvalidRequest: The request cannot be sent to anybody.
            CallError: No usable answer; see `resilient_ai.errors`. A chain of one model raises the model's own exception.
        """
        driver = self._blocking
        call, check = self._begun(
            messages, output_type, deadline, data_class, tools, parameters, driver, "chat"
        )
        return drive(run(call, driver, self._places, self._judge, check))

    async def agenerate(
        self,
        messages: Messages,
        *,
        output_type: type[T] | None = None,
        deadline: float | None = None,
        data_class: DataClassName | None = None,
        tools: Sequence[Tool | Mapping[str, JSON]] = (),
        **parameters: object,
    ) -> Reply:
        """The answer, asynchronous. Cancelling it ends the attempt under way and gives everything back.

        Arguments and errors as for `generate`.
        """
        driver = self._aio
        call, check = self._begun(
            messages, output_type, deadline, data_class, tools, parameters, driver, "chat"
        )
        return await run(call, driver, self._places, self._judge, check)

    def stream(
        self,
        messages: Messages,
        *,
        output_type: type[T] | None = None,
        deadline: float | None = None,
        data_class: DataClassName | None = None,
        tools: Sequence[Tool | Mapping[str, JSON]] = (),
        **parameters: object,
    ) -> Stream:
        """The answer as it comes, blocking. Nothing is sent before the stream is entered or iterated.

        Arguments as for `generate`.

        Raises:
            InvalidRequest: The request cannot be sent to anybody.
            ConfigError: `on_interrupt="continue"` together with tools or `output_type`.
        """
        return Stream(
            self._session(messages, output_type, deadline, data_class, tools, parameters, self._blocking)
        )

    def astream(
        self,
        messages: Messages,
        *,
        output_type: type[T] | None = None,
        deadline: float | None = None,
        data_class: DataClassName | None = None,
        tools: Sequence[Tool | Mapping[str, JSON]] = (),
        **parameters: object,
    ) -> AsyncStream:
        """The answer as it comes, asynchronous. Arguments and errors as for `stream`."""
        return AsyncStream(
            self._session(messages, output_type, deadline, data_class, tools, parameters, self._aio)
        )

    # --- the chain itself ---------------------------------------------------------------------------------------------

    def with_options(
        self, *, deadline: float | None = None, data_class: DataClassName | None = None, **parameters: object
    ) -> ResilientModel:
        """A copy that uses other defaults for each call and shares all state, models and connections with this one.

        Args:
            deadline: Seconds a call may take.
            data_class: How sensitive the content of its calls is.
            parameters: Request parameters for every call (`temperature`, ...).

        Raises:
            InvalidRequest: A parameter is none of a call (`model`, `timeout`, `api_key`, ...).
        """
        refuse_elsewhere(parameters)
        copy = object.__new__(ResilientModel)
        for slot in ResilientModel.__slots__:
            setattr(copy, slot, getattr(self, slot))
        chosen = {"deadline": deadline, "data_class": data_class, **parameters}
        copy._options = {
            **self._options,
            **{key: value for key, value in chosen.items() if value is not None},
        }
        if deadline is not None:
            check_deadline(deadline)
        return copy

    def health(self) -> ChainHealth:
        """How the chain and its models are now. Reads only; safe from any thread."""
        from resilient_ai.health import chain_health

        return chain_health(self._plan, self._places, self._blocking.clock.now())

    def explain(self) -> str:
        """The effective policy and its worst case (requests sent, seconds taken), for people."""
        return self._plan.explain()

    @property
    def plan(self) -> Plan:
        """The chain as built: its models and policies."""
        return self._plan

    def close(self) -> None:
        """Closes connections and child processes. Idempotent; copies made by `with_options` share them. Models given as objects are closed too."""
        for model in self._models:
            model.close()

    async def aclose(self) -> None:
        """As `close`, and closes the asynchronous connections of the running loop, once hedged requests that lost have cleaned up there."""
        await self._aio.settled()
        for model in self._models:
            await model.aclose()

    def __enter__(self) -> ResilientModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> ResilientModel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"ResilientModel({[hop.label for hop in self._plan.hops]}, name={self._plan.name!r})"

    # --- one call -----------------------------------------------------------------------------------------------------

    def _session(
        self,
        messages: Messages,
        output_type: type[T] | None,
        deadline: float | None,
        data_class: DataClassName | None,
        tools: Sequence[Tool | Mapping[str, JSON]],
        parameters: dict[str, object],
        driver: Driver,
    ) -> Session:
        if self._plan.on_interrupt == "continue" and (output_type is not None or tools):
            raise ConfigError(
                "on_interrupt='continue' joins two models' answers; it cannot be combined with tools or output_type. "
                "Use 'restart' or 'raise'.",
                key="on_interrupt",
            )
        call, check = self._begun(
            messages, output_type, deadline, data_class, tools, parameters, driver, "stream"
        )
        return Session(call, driver, self._places, self._judge, check, self._plan.on_interrupt)

    def _begun(
        self,
        messages: Messages,
        output_type: type[T] | None,
        deadline: float | None,
        data_class: DataClassName | None,
        tools: Sequence[Tool | Mapping[str, JSON]],
        parameters: dict[str, object],
        driver: Driver,
        operation: Literal["chat", "stream"],
    ) -> tuple[Call, Check | None]:
        """A call that begins now, and what its answer is held to.

        What the call itself says goes before what the blocks around it ask, and that before what this copy was made with.
        """
        expectation = self._expectation if output_type is None else self._expectation_for(output_type)
        options = options_here()
        if options is not None and data_class is None:
            own = messages.data_class if isinstance(messages, Request) else None
            data_class = own or options.data_class
        request = self._request(messages, expectation, data_class, tools, parameters)
        call = self._call(request, deadline, options, driver.clock, operation)
        return call, None if expectation is None else expectation.check

    def _expectation_for(self, output_type: object | None) -> Expectation | None:
        objects_to = _OBJECTIONS.intersection(self._plan.on)
        if output_type is None and not self._checks and not objects_to:
            return None
        from resilient_ai.output import expectation

        return expectation(output_type, self._checks, objects_to)

    def _call(
        self,
        request: Request,
        deadline: float | None,
        options: Options | None,
        clock: Clock,
        operation: Literal["chat", "stream"],
    ) -> Call:
        seconds = self._plan.deadline
        if deadline is not None:
            check_deadline(deadline)
            seconds = deadline
        elif self._options:
            seconds = cast("float", self._options.get("deadline", seconds))
        if options is not None:
            seconds = options.tightened(seconds)
        watching = watchers.current() + self._observers
        now = clock.now()
        plan = self._plan
        if self._privacy.pseudonymise and request.data_class is not None:
            from resilient_ai.models.pseudonymised import with_pseudonyms

            plan = with_pseudonyms(plan, request, self._privacy)
        return Call(
            plan,
            request,
            next_number(),
            now,
            earliest(clock, now, seconds),
            self._chance,
            partial(watchers.emit, watching) if watching else None,
            operation,
        )

    def _request(
        self,
        messages: Messages,
        expectation: Expectation | None,
        data_class: DataClassName | None,
        tools: Sequence[Tool | Mapping[str, JSON]],
        parameters: dict[str, object],
    ) -> Request:
        if self._options:
            defaults = {
                key: value for key, value in self._options.items() if key not in ("deadline", "data_class")
            }
            parameters = {**defaults, **parameters}
            if data_class is None and not (isinstance(messages, Request) and messages.data_class):
                data_class = cast("DataClassName | None", self._options.get("data_class"))
        schema = None if expectation is None else expectation.schema
        return request_of(messages, tools, parameters, data_class, schema)

    def _judge(self, error: Exception) -> Verdict:
        return judged(error, self._classify, self._blocking.clock)


def _built(config: Config, chain: str | None, overrides: dict[str, Any]) -> ResilientModel:
    from resilient_ai.config.build import resilient_model
    from resilient_ai.telemetry import config_loaded

    model = resilient_model(config, chain, **overrides)
    config_loaded(
        source=config.path.name, policy=config.digest, chains=len(config.chains), models=len(config.models)
    )
    return model
