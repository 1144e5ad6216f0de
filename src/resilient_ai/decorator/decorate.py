"""`resilient`: the decorator, and the guard it is without a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast, final, overload

from resilient_ai.decorator.block import Block, BlockChain, block_chain, pop, push
from resilient_ai.decorator.chain import FunctionChain
from resilient_ai.decorator.invocation import Invocation
from resilient_ai.decorator.settings import Fallback, Settings, members
from resilient_ai.errors import ConfigError
from resilient_ai.history import stop_of
from resilient_ai.models.calling import Stopped, is_asynchronous, is_streaming
from resilient_ai.runtime.blocking import drive

if TYPE_CHECKING:
    import os

    from resilient_ai.core.clock import Clock, Random
    from resilient_ai.core.events import Observer
    from resilient_ai.decorator.text import Prompt
    from resilient_ai.health import ChainHealth
    from resilient_ai.judging import ClassifyHook
    from resilient_ai.messages import DataClassName, Outcome, Reply
    from resilient_ai.policies.breaker import Breaker
    from resilient_ai.policies.budget import RetryBudget
    from resilient_ai.policies.fallback import OnInterrupt, WhenAllOpen
    from resilient_ai.policies.hedge import Hedge
    from resilient_ai.policies.limits import Limits
    from resilient_ai.policies.retry import Retry
    from resilient_ai.policies.throttle import Throttle
    from resilient_ai.policies.timeouts import Timeouts

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


@final
class Resilience:
    """What stands behind a decorated function: `function.resilience`. Safe from any thread or task."""

    __slots__ = ("_chain",)

    def __init__(self, chain: FunctionChain) -> None:
        self._chain = chain

    def health(self) -> ChainHealth:
        """How the function and its fallbacks are now."""
        return self._chain.model.health()

    def explain(self) -> str:
        """The effective policy and its worst case, for people."""
        return self._chain.model.explain()

    def last_outcome(self) -> Outcome | None:
        """How the last finished call of the function went, in this thread or task; None if there was none.

        Every context keeps its own for the last 32 functions it called; a task starts with what its parent knew.
        """
        return self._chain.last_outcome()

    def close(self) -> None:
        """Closes the models among the fallbacks. The function can be called again."""
        self._chain.close()

    async def aclose(self) -> None:
        """As `close`, and closes the asynchronous connections of the running loop."""
        await self._chain.aclose()

    def __repr__(self) -> str:
        return f"Resilience({self._chain.model!r})"


class ResilientFunction(Protocol[P, R]):
    """A decorated function, for type checkers. At run time it is a plain function of the same kind as the one it decorates."""

    __name__: str
    __qualname__: str

    @property
    def __wrapped__(self) -> Callable[P, R]:
        """The function itself, without any of this."""
        ...

    @property
    def resilience(self) -> Resilience:
        """Its health, its policy, its last outcome."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def fallback(self, backup: Callable[P, R], /) -> Callable[P, R]:
        """Registers `backup`, a function of the same signature, at the end of the chain; usable as a decorator, which leaves it as it is.

        Raises:
            ConfigError: It is asynchronous and the decorated function is not.
        """
        ...

    # Read off a class, a method, a class method and a static method look alike to a descriptor, and they take different arguments. There
    # the arguments go unchecked, because any stricter answer is wrong for two of the three; the result is typed in all of them.
    @overload
    def __get__(self, instance: None, owner: type[object], /) -> ResilientMethod[..., R]: ...
    @overload
    def __get__(
        self: _TakesItsObject[S, Q, R], instance: S, owner: type[S] | None = None, /
    ) -> ResilientMethod[Q, R]: ...
    @overload
    def __get__(self, instance: object, owner: type[object], /) -> ResilientMethod[..., R]: ...


class _TakesItsObject(Protocol[S_contra, Q, R_co]):
    """A function whose first argument is an object of its class. Said so, and not by `Concatenate`, mypy tells a static method from it."""

    def __call__(self, instance: S_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> R_co: ...


class ResilientMethod(Protocol[P, R_co]):
    """A decorated method bound to its object, for type checkers. All objects of the class share its state."""

    @property
    def resilience(self) -> Resilience:
        """Its health, its policy, its last outcome."""
        ...

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


@final
class Guard:
    """A policy without a function yet: decorates any number of functions, and guards blocks of code.

        guard = resilient(deadline=5, name="vendor")

        @guard
        def ask(text: str) -> str: ...

        with guard as block:            # or `async with`
            answer = vendor.answer(text)

    Each decorated function gets a chain of its own. A block is one attempt: it passes the breaker, the limits and the rate of everything of
    its name, has the deadline (`remaining_seconds()`), and its end is classified and told to observers like any other. Code that
    is already running cannot be run again, so a block knows no retry and no fallback. The deadline ends an `async with`; a blocking block
    it cannot end, only flag as `late`.

    Safe to share between threads, tasks and loops, and to enter again within itself.
    """

    __slots__ = ("_block", "_settings")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._block: BlockChain | None = None

    def __call__(self, function: Callable[P, R], /) -> ResilientFunction[P, R]:
        """`function`, resilient.

        Raises:
            ConfigError: It is not a function, or its fallbacks cannot stand behind it.
        """
        return cast("ResilientFunction[P, R]", _decorated(function, self._settings))

    def health(self) -> ChainHealth:
        """How the blocks of this name are now."""
        return self._blocks().health()

    def explain(self) -> str:
        """The policy of its blocks, for people."""
        return self._blocks().explain()

    def __enter__(self) -> Block:
        """Begins the block.

        Raises:
            CircuitOpen: What stands behind this name has failed too often; nothing was tried.
            Overloaded: As many blocks as limits allow are under way.
            DeadlineExceeded: The deadline of a call around this one leaves no time.
            ConfigError: The guard has no name, or options that a block cannot have.
        """
        return push(self, self._blocks().enter())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the block. What it raised goes on unchanged, with its history attached."""
        drive(pop(self).end(kind, error, trace))

    async def __aenter__(self) -> Block:
        """As `__enter__`, waiting without blocking."""
        return push(self, await self._blocks().aenter())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As `__exit__`.

        Raises:
            DeadlineExceeded: The block was ended because its time was up.
        """
        await pop(self).end(kind, error, trace)

    def _blocks(self) -> BlockChain:
        if self._block is None:
            self._block = block_chain(self._settings)
        return self._block

    def __repr__(self) -> str:
        return f"Guard(name={self._settings.name!r})"


@overload
def resilient(function: Callable[P, R], /) -> ResilientFunction[P, R]: ...
@overload
def resilient(
    *,
    fallback: Fallback | Iterable[Fallback] = (),
    deadline: float | None = None,
    reserve: float | None = None,
    retry: Retry | None = None,
    timeouts: Timeouts | None = None,
    breaker: Breaker | None = None,
    budget: RetryBudget | None = None,
    limits: Limits | None = None,
    throttle: Throttle | None = None,
    hedge: Hedge | None = None,
    on: Mapping[str, str] | None = None,
    on_interrupt: OnInterrupt | None = None,
    on_restart: Callable[[], object] | None = None,
    when_all_open: WhenAllOpen | None = None,
    observers: Sequence[Observer] | None = None,
    classify: ClassifyHook | None = None,
    data_class: DataClassName | None = None,
    prompt: Prompt | None = None,
    result: Callable[[Reply], object] | None = None,
    chain: str | None = None,
    config: str | os.PathLike[str] | None = None,
    name: str | None = None,
    clock: Clock | None = None,
    chance: Random | None = None,
) -> Guard: ...
def resilient(
    function: Callable[..., object] | None = None,
    /,
    *,
    fallback: Fallback | Iterable[Fallback] = (),
    deadline: float | None = None,
    reserve: float | None = None,
    retry: Retry | None = None,
    timeouts: Timeouts | None = None,
    breaker: Breaker | None = None,
    budget: RetryBudget | None = None,
    limits: Limits | None = None,
    throttle: Throttle | None = None,
    hedge: Hedge | None = None,
    on: Mapping[str, str] | None = None,
    on_interrupt: OnInterrupt | None = None,
    on_restart: Callable[[], object] | None = None,
    when_all_open: WhenAllOpen | None = None,
    observers: Sequence[Observer] | None = None,
    classify: ClassifyHook | None = None,
    data_class: DataClassName | None = None,
    prompt: Prompt | None = None,
    result: Callable[[Reply], object] | None = None,
    chain: str | None = None,
    config: str | os.PathLike[str] | None = None,
    name: str | None = None,
    clock: Clock | None = None,
    chance: Random | None = None,
) -> object:
    """Makes a function resilient: `@resilient`, or `@resilient(deadline=10, fallback=[...])`; without a function, a `Guard` for blocks.

    Works on functions, coroutine functions, generators and asynchronous generators, on methods, class methods and static methods. The result
    is a function of the same kind, with the same signature, that returns what the function returns and can be pickled by its name. A
    generator commits at its first item: until then it is retried and replaced in silence, after it only `on_interrupt` decides.

    Args:
        function: What is decorated, where no option is given.
        fallback: Who answers when the function cannot, in order: functions, called with the same arguments; models and names of
            models (of the configuration file too, if there is one), asked for text.
        deadline: As for `ResilientModel`, like the policies that follow; what is given goes before the file.
        reserve: As for `ResilientModel`.
        retry: As for `ResilientModel`.
        timeouts: As for `ResilientModel`; the first item of a generator is its first token.
        breaker: As for `ResilientModel`.
        budget: As for `ResilientModel`.
        limits: As for `ResilientModel`.
        throttle: As for `ResilientModel`.
        hedge: As for `ResilientModel`, and says of the function that it may be called again while it runs and that calling it twice does no
            harm; functions among the fallbacks never are. A blocking function that may be hedged runs in a thread. Not for generators.
        on: As for `ResilientModel`.
        on_interrupt: What to do when a generator breaks after its first item: `raise` or `restart`.
        on_restart: Called before a generator's items begin anew under `on_interrupt="restart"`, which needs it.
        when_all_open: As for `ResilientModel`.
        observers: As for `ResilientModel`.
        classify: As for `ResilientModel`.
        data_class: How sensitive the arguments are; models not cleared for it are skipped.
        prompt: Makes what a text model is asked of the arguments; without it that is the first argument that is a `str`.
        result: Makes what the function returns of a text model's reply; without it that is the text.
        chain: A chain of the configuration file whose policies apply; its models do not answer unless `fallback` names them.
        config: The file; None looks where `ResilientModel.from_config` does. It is read at the first call.
        name: The name in telemetry and errors; None takes the function's. A block must have one: it is what its breaker is found by.
        clock: Where time comes from; None is the system's.
        chance: Where jitter comes from; None is seeded by the system.

    Raises:
        ConfigError: The options contradict each other or do not suit the function; the text says how to mend it.
    """
    from resilient_ai.policies.arguments import check_arguments

    policies: dict[str, object] = {
        "deadline": deadline,
        "reserve": reserve,
        "retry": retry,
        "timeouts": timeouts,
        "breaker": breaker,
        "budget": budget,
        "limits": limits,
        "throttle": throttle,
        "hedge": hedge,
        "on": on,
        "on_interrupt": on_interrupt,
        "when_all_open": when_all_open,
        "observers": observers,
        "classify": classify,
        "clock": clock,
        "chance": chance,
    }
    check_arguments({**policies, "name": name})
    given = {option: value for option, value in policies.items() if value is not None}
    if result is not None and not members(fallback):
        raise ConfigError("result= reads the reply of a text model, and fallback= names none.", key="result")
    settings = Settings(given, members(fallback), chain, config, name, data_class, prompt, result, on_restart)
    return Guard(settings) if function is None else _decorated(function, settings)


def _decorated(function: Any, settings: Settings) -> Any:
    """`function` with its chain, as a function of its own kind."""
    if isinstance(function, (classmethod, staticmethod)):
        method = cast("classmethod[Any, Any, Any]", function)
        return type(method)(_decorated(method.__func__, settings))
    if inspect.isclass(function) or not callable(function):
        raise ConfigError(
            f"{function!r} is not a function; under @property and the like, @resilient stands below them."
            if not inspect.isclass(function)
            else f"{function.__qualname__} is a class; decorate the methods that make calls."
        )
    streaming = is_streaming(function)
    chain = FunctionChain(function, settings, streaming=streaming)
    kinds = {
        (False, False): _blocking,
        (True, False): _awaited,
        (False, True): _generated,
        (True, True): _generated_async,
    }
    wrapper: Any = functools.wraps(function)(kinds[is_asynchronous(function), streaming](chain))

    def fallback(backup: Callable[P, R], /) -> Callable[P, R]:
        chain.add(backup)
        return backup

    wrapper.resilience = Resilience(chain)
    wrapper.fallback = fallback
    return wrapper


# One wrapper for each kind of function, so that `inspect`, frameworks and type checkers see the kind they know.


def _blocking(chain: FunctionChain) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        made = Invocation(args, kwargs)
        model, request = chain.begin(made)
        try:
            reply = model.generate(request)
        except Stopped as error:
            chain.failed(made, error)
            raise stop_of(error) from None
        except Exception as error:
            chain.failed(made, error)
            raise
        finally:
            made.end()
        return chain.returned(reply)

    return call


def _awaited(chain: FunctionChain) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        made = Invocation(args, kwargs)
        model, request = chain.begin(made)
        try:
            reply = await model.agenerate(request)
        except Exception as error:
            chain.failed(made, error)
            raise
        finally:
            made.end()
        return chain.returned(reply)

    return call


def _generated(chain: FunctionChain) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        made = Invocation(args, kwargs)
        model, request = chain.begin(made)
        stream = model.stream(request)
        try:
            for chunk in stream:
                for item in chain.yielded(chunk):
                    made.sent = yield item
        except Exception as error:
            chain.failed(made, error)
            raise
        finally:
            made.end()
            stream.close()
            chain.ended(stream.outcome)
        return made.value

    return call


def _generated_async(chain: FunctionChain) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        made = Invocation(args, kwargs)
        model, request = chain.begin(made)
        stream = model.astream(request)
        try:
            async for chunk in stream:
                for item in chain.yielded(chunk):
                    made.sent = yield item
        except Exception as error:
            chain.failed(made, error)
            raise
        finally:
            made.end()
            await stream.aclose()
            chain.ended(stream.outcome)

    return call
