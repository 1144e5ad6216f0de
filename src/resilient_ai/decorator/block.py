"""A block of foreign code as one attempt: admitted, timed, judged and told like a model's, without ever being run by us."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, final

from resilient_ai.core.deadline import CURRENT_DEADLINE, Around, AttemptTimeout
from resilient_ai.core.fork import ChildLock
from resilient_ai.core.model import Traits
from resilient_ai.engine.steps import Ask, Done, Ended, Pause, Step
from resilient_ai.errors import ConfigError
from resilient_ai.messages import Reply, Request
from resilient_ai.model import ResilientModel
from resilient_ai.options import options_here
from resilient_ai.policies.retry import Retry
from resilient_ai.runtime.aio import AioDriver
from resilient_ai.runtime.blocking import BlockingDriver, drive
from resilient_ai.runtime.orchestrate import CANCELLED, closed, enter, failed, scope_of

if TYPE_CHECKING:
    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.decorator.settings import Settings
    from resilient_ai.engine.call import Call
    from resilient_ai.health import ChainHealth
    from resilient_ai.messages import Outcome
    from resilient_ai.runtime.driver import Driver

_ONCE: Final = Retry(attempts=1)
_NEVER: Final = ("retry", "on", "on_interrupt", "when_all_open", "reserve", "budget", "hedge")
"""Policies about a second attempt or another model, neither of which a block can have."""


@final
class Block:
    """A guarded block that is under way: `with guard as block`. Belongs to the task or thread that entered it.

    Attributes:
        outcome: How it went; None until it has ended.
        elsewhere: It is left in another context than it was entered in.
    """

    __slots__ = (
        "_around",
        "_ask",
        "_call",
        "_chain",
        "_driver",
        "_inside",
        "_scope",
        "_timer",
        "elsewhere",
        "outcome",
    )

    def __init__(self, chain: BlockChain, call: Call, driver: Driver) -> None:
        self._chain = chain
        self._call = call
        self._driver = driver
        self._ask: Ask | None = None
        self._scope: Scope | None = None
        self._timer: asyncio.Timeout | None = None
        self._around: Around = None
        self._inside: list[Any] = [None, 0.0]
        self.outcome: Outcome | None = None
        self.elsewhere = False

    def remaining_seconds(self) -> float:
        """Seconds left; may be negative."""
        return (self._call.until if self._ask is None else self._ask.until) - self._driver.clock.now()

    async def begin(self) -> None:
        """Takes a place, waits for the rate, and passes the breaker.

        Raises:
            CallError: It may not begin; nothing was tried.
        """
        call, driver, clock = self._call, self._driver, self._driver.clock
        call.announce(clock.now(), clock.wall())
        try:
            await enter(call, driver, self._chain.places)
        except BaseException as error:
            self._closed(error)
            raise
        try:
            step = call.begin(clock.now())
            while type(step) is Pause:
                await driver.sleep_until(step.until)
                step = call.resume(clock.now())
            if type(step) is Done:
                self._refused(step)
            if type(step) is Ask:
                await self._admitted(step)
        except BaseException as error:
            self._chain.places.leave()
            call.abandon(clock.now(), Ended(verdict=CANCELLED))
            self._closed(error)
            raise

    async def end(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The block has ended, with `error` or well.

        Raises:
            CallError: Its time was up.
        """
        try:
            if self.elsewhere:
                self._inside[:] = self._around or (None, 0.0)
            else:
                CURRENT_DEADLINE.set(self._around)
            error = await self._timed(kind, error, trace)
            if error is None or isinstance(error, Exception):
                self._settle(error)
            else:
                self._call.abandon(self._driver.clock.now(), Ended(verdict=CANCELLED))
                self._closed(error)
        finally:
            self._chain.places.leave()

    async def _admitted(self, step: Ask) -> None:
        driver = self._driver
        self._ask = step
        self._scope = scope_of(step, driver)
        self._around = CURRENT_DEADLINE.get()
        if not driver.blocking:
            self._timer = asyncio.timeout(step.until - driver.clock.now())
            await self._timer.__aenter__()
        self._inside[:] = driver.clock, step.until
        CURRENT_DEADLINE.set(self._inside)

    async def _timed(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> BaseException | None:
        """`error`, or what the timer makes of it."""
        timer = self._timer
        if timer is None:
            return error
        try:
            await timer.__aexit__(kind, error, trace)
        except TimeoutError as expired:
            timeout = AttemptTimeout()
            timeout.__cause__ = expired
            return timeout
        return error

    def _settle(self, error: Exception | None) -> None:
        step, scope, clock = self._ask, self._scope, self._driver.clock
        if step is None or scope is None:
            raise AssertionError("the end of a block that never began")
        if error is None:
            late = self._driver.blocking and scope.remaining() < 0
            reply = Reply("", model=self._chain.name, provider=_PROVIDER, flags=("late",) if late else ())
            self._call.settle(Ended(reply=reply), clock.now())
            self.outcome = self._call.finish(clock.now(), clock.wall(), None, reply)
            return
        done = self._call.settle(failed(step, scope, error, self._chain.judge), clock.now())
        failure = done.error if type(done) is Done else None
        if failure is None:
            raise AssertionError("a block that was to be tried again")
        # The engine strips tracebacks; this one is still on its way through the caller's own frames.
        trace = error.__traceback__
        self.outcome = closed(self._call, self._driver, failure)
        error.__traceback__ = trace
        if failure is not error:
            raise failure

    def _refused(self, step: Step) -> NoReturn:
        raise (
            step.error if type(step) is Done and step.error is not None else AssertionError("no way to begin")
        )

    def _closed(self, error: BaseException) -> None:
        clock = self._driver.clock
        if isinstance(error, Exception):
            self.outcome = closed(self._call, self._driver, error)
        else:
            self.outcome = self._call.finish(clock.now(), clock.wall(), CANCELLED.kind.value, None)


_PROVIDER: Final = "block"


@final
class BlockChain:
    """All blocks of one name and policy: one breaker, one limit, one rate."""

    __slots__ = ("_aio", "_blocking", "_model", "_settings", "judge", "name", "places")

    def __init__(self, settings: Settings) -> None:
        self.name = _name_of(settings)
        self._settings = settings
        self._model = ResilientModel(_CodeOutside(self.name), **_policies(settings, self.name))
        # A block is a call of this chain whose one attempt somebody else makes, so it takes what the chain's own calls take.
        self.places = self._model._places  # noqa: SLF001 - as above
        self.judge = self._model._judge  # noqa: SLF001 - as above
        clock = settings.policies.get("clock") or self._model._aio.clock  # noqa: SLF001 - as above
        self._aio = AioDriver(clock)
        self._blocking = BlockingDriver(clock)

    def block(self, driver: Driver) -> Block:
        """A block that has not begun."""
        call = self._model._call(Request(()), None, options_here(), driver.clock, "chat")  # noqa: SLF001 - see __init__
        return Block(self, call, driver)

    def enter(self) -> Block:
        """A block that has begun, blocking."""
        block = self.block(self._blocking)
        drive(block.begin())
        return block

    async def aenter(self) -> Block:
        """A block that has begun."""
        block = self.block(self._aio)
        await block.begin()
        return block

    def health(self) -> ChainHealth:
        """How the blocks are now."""
        return self._model.health()

    def explain(self) -> str:
        """Their policy, for people."""
        return self._model.explain()

    def serves(self, settings: Settings) -> bool:
        """Blocks with these settings belong here."""
        return self._settings == settings


_chains: Final[list[BlockChain]] = []
_chains_lock: Final = ChildLock()


def block_chain(settings: Settings) -> BlockChain:
    """The chain of all blocks with these settings.

    It lives as long as the process: `with resilient(name="vendor"):` makes a new guard every time, and must find the breaker it left.

    Raises:
        ConfigError: There is no name, or an option that a block cannot have.
    """
    with _chains_lock:
        for chain in _chains:
            if chain.serves(settings):
                return chain
        made = BlockChain(settings)
        _chains.append(made)
        return made


_entered: Final[ContextVar[tuple[tuple[object, Block], ...]]] = ContextVar("resilient_ai.blocks", default=())
_open: Final[dict[Block, object]] = {}
"""Blocks that were entered and not left, in that order, and through which guard."""


def push(guard: object, block: Block) -> Block:
    """Notes that `block` was entered through `guard`, which many tasks enter at once."""
    _open[block] = guard
    _entered.set((*_entered.get(), (guard, block)))
    return block


def pop(guard: object) -> Block:
    """The block that is left through `guard`: the one entered last in this context, else the oldest that is open.

    The latter where what entered it was run in another context: a generator whose steps a framework runs in threads, or that its loop closes.
    Which of several it is nobody can know then; that as many are left as were entered is what their limits live on.

    Raises:
        RuntimeError: None is open.
    """
    entered = _entered.get()
    for place in range(len(entered) - 1, -1, -1):
        its, block = entered[place]
        if its is guard and _open.pop(block, None) is not None:
            _entered.set((*entered[:place], *entered[place + 1 :]))
            return block
    for block, its in list(_open.items()):
        if its is guard and _open.pop(block, None) is not None:
            block.elsewhere = True
            return block
    raise RuntimeError("a guarded block was left that was not entered")


def _name_of(settings: Settings) -> str:
    if settings.name is None:
        raise ConfigError(
            "A block needs a name, by which its breaker and its limits are found the next time: resilient(name='vendor', ...).",
            key="name",
        )
    return settings.name


def _policies(settings: Settings, name: str) -> dict[str, Any]:
    """What `settings` mean for a block.

    Raises:
        ConfigError: One of them is about a second attempt.
    """
    given = [option for option in _NEVER if option in settings.policies]
    given += [
        option for option in ("fallback", "prompt", "result", "on_restart") if getattr(settings, option)
    ]
    if given:
        raise ConfigError(
            f"{given[0]} has no meaning for a block: code that is already running cannot be run again or elsewhere. "
            "Decorate a function, or drop it.",
            key=given[0],
        )
    policies: Mapping[str, Any] = settings.read().policies if settings.from_file else {}
    possible = {option: value for option, value in policies.items() if option not in _NEVER}
    return {**possible, **settings.policies, "retry": _ONCE, "when_all_open": "raise", "name": name}


@final
class _CodeOutside:
    """Stands in a plan for code that the engine never runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.provider = _PROVIDER
        self.key = f"{_PROVIDER}:{name}"
        self.traits = Traits()

    async def answer(self, request: Request, scope: Scope) -> Reply:  # noqa: ARG002 - never called
        """Never called."""
        raise AssertionError("a block is run by the code around it")

    async def open(self, request: Request, scope: Scope) -> ChunkSource:  # noqa: ARG002 - never called
        """Never called."""
        raise AssertionError("a block is run by the code around it")

    def close(self) -> None:
        """Does nothing."""

    async def aclose(self) -> None:
        """Does nothing."""
