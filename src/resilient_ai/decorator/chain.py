"""The chain of one decorated function: built from its settings, rebuilt when a fallback is registered, asked once a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, cast, final

from resilient_ai.core.failure import FailureKind
from resilient_ai.core.fork import ChildLock
from resilient_ai.decorator import text
from resilient_ai.decorator.hops import FunctionHop
from resilient_ai.decorator.invocation import Invocation
from resilient_ai.decorator.settings import Fallback, Settings, is_model
from resilient_ai.errors import ConfigError
from resilient_ai.history import outcome_of
from resilient_ai.judging import ClassifyHook
from resilient_ai.messages import Request
from resilient_ai.model import ResilientModel
from resilient_ai.models.calling import is_asynchronous, is_misuse

if TYPE_CHECKING:
    from resilient_ai.core.failure import Verdict
    from resilient_ai.core.model import Model
    from resilient_ai.messages import Chunk, Outcome, Reply
    from resilient_ai.policies.hedge import Hedge

REMEMBERED: Final = 32
"""Functions whose last outcome a context keeps; bounded, because functions may be decorated on the fly."""

_last: Final[ContextVar[Mapping[FunctionChain, Outcome]]] = ContextVar("resilient_ai.last_outcomes")


@final
class FunctionChain:
    """A function with its fallbacks, as one `ResilientModel`. Safe to share between threads, tasks and loops.

    Args:
        function: What is decorated.
        settings: What `resilient` was given.
        streaming: It is a generator.

    Raises:
        ConfigError: The settings contradict each other, or a fallback cannot stand behind this function.
    """

    __slots__ = (
        "__weakref__",
        "_asynchronous",
        "_backups",
        "_chosen",
        "_function",
        "_lock",
        "_model",
        "_names",
        "_primary",
        "_settings",
        "_streaming",
        "_text",
    )

    def __init__(self, function: Callable[..., object], settings: Settings, *, streaming: bool) -> None:
        self._function = function
        self._settings = settings
        self._streaming = streaming
        self._asynchronous = is_asynchronous(function)
        self._names = text.names_of(function)
        hedge: Hedge | None = settings.policies.get("hedge")
        hedged = hedge is not None and hedge.enabled
        if streaming and hedged:
            raise ConfigError(
                "hedge= sends a request for a whole answer a second time; of a generator nobody knows which of two to read. Drop it.",
                key="hedge",
            )
        self._primary = FunctionHop(function, replayable=hedged)
        self._backups: list[Model] = []
        self._chosen: tuple[Model, ...] | None = None
        self._text = False
        self._model: ResilientModel | None = None
        self._lock = ChildLock()
        if streaming and settings.result is not None:
            raise ConfigError(
                "result= makes one value of a whole reply; a generator has none. Drop it.", key="result"
            )
        for one in settings.fallback:
            self._check(one)
        if not settings.from_file:
            # What can be known to be wrong is told at the decorator's line. A file is read at the first call, when the program has begun.
            self._built()

    # --- the chain ----------------------------------------------------------------------------------------------------

    @property
    def model(self) -> ResilientModel:
        """The chain, built at the first use where a configuration file takes part.

        Raises:
            ConfigError: The file is missing or wrong.
        """
        return self._model or self._built()

    def add(self, backup: Callable[..., object]) -> None:
        """Puts `backup` at the end of the chain. Calls under way keep theirs."""
        self._check(backup)
        hop = FunctionHop(backup)
        with self._lock:
            self._backups.append(hop)
            if self._model is not None:
                # Built while the old one still stands: shared state lives only as long as something uses it.
                self._model = self._build()

    def _built(self) -> ResilientModel:
        with self._lock:
            if self._model is None:
                self._model = self._build()
            return self._model

    def _build(self) -> ResilientModel:
        settings = self._settings
        policies: dict[str, Any] = {"name": settings.name or self._primary.name}
        if settings.from_file:
            file = settings.read()
            policies |= file.policies
            if self._chosen is None:
                self._chosen = tuple(file.model(one) or _hop_of(one) for one in settings.fallback)
        elif self._chosen is None:
            self._chosen = tuple(map(_hop_of, settings.fallback))
        policies |= settings.policies
        policies["classify"] = _reading(policies.get("classify"))
        if self._streaming:
            _check_interrupts(policies.get("on_interrupt"), settings)
        hops: tuple[Model, ...] = (self._primary, *self._chosen, *self._backups)
        answers = [hop for hop in hops if not isinstance(hop, FunctionHop)]
        self._text = not all(hop.traits.stand_in for hop in answers)  # a fixed answer is asked nothing
        if answers and settings.result is None:
            text.check_returns_text(self._function, streaming=self._streaming)
        model = ResilientModel(hops, **policies)
        return model if settings.data_class is None else model.with_options(data_class=settings.data_class)

    def _check(self, one: Fallback) -> None:
        """Refuses what could not answer in the colour of this function."""
        if isinstance(one, str) or is_model(one):
            return
        if not callable(one):
            raise ConfigError(
                f"Nothing of type {type(one).__name__} can answer; fallback takes functions, models and names such as 'openai:gpt-5.2'.",
                key="fallback",
            )
        if not self._asynchronous and is_asynchronous(one):
            name = getattr(one, "__qualname__", repr(one))
            raise ConfigError(
                f"{name} is asynchronous and cannot stand behind a blocking function, which has no event loop to run it. "
                "Give a blocking one, or make the decorated function `async`.",
                key="fallback",
            )

    # --- a call -------------------------------------------------------------------------------------------------------

    def begin(self, made: Invocation) -> tuple[ResilientModel, Request]:
        """The chain, and what it is asked.

        Raises:
            InvalidRequest: A text model stands in the chain, and the arguments hold no text for it.
        """
        model = self.model
        messages = text.messages_of(made, self._settings.prompt, self._names) if self._text else ()
        return model, Request(messages, payload=made)

    def returned(self, reply: Reply) -> Any:
        """What the caller gets for `reply`."""
        if reply.outcome is not None:
            self._remember(reply.outcome)
        output = reply.output
        if type(output) is Invocation:
            return output.value
        result = self._settings.result
        return reply.text if result is None else result(reply)

    def yielded(self, chunk: Chunk) -> Sequence[Any]:
        """The items of `chunk` for the caller."""
        if chunk.items:
            return chunk.items
        if chunk.restarted and self._settings.on_restart is not None:
            self._settings.on_restart()
        return (chunk.text,) if chunk.text else ()

    def failed(self, made: Invocation, error: Exception) -> None:
        """The call ends with `error`."""
        made.restore(error)
        self.ended(outcome_of(error))

    def ended(self, outcome: Outcome | None) -> None:
        """The call ended with `outcome`, where one is known."""
        if outcome is not None:
            self._remember(outcome)

    def close(self) -> None:
        """Closes the models, if any have been made."""
        if self._model is not None:
            self._model.close()

    async def aclose(self) -> None:
        """As `close`, without blocking the event loop."""
        if self._model is not None:
            await self._model.aclose()

    def last_outcome(self) -> Outcome | None:
        """How the last call of this context went."""
        known = _last.get(None)
        return None if known is None else known.get(self)

    def _remember(self, outcome: Outcome) -> None:
        # A new mapping each time: a task has its own, although it began with its parent's.
        known = _last.get(None)
        if known is None:
            _last.set({self: outcome})
            return
        kept = {chain: last for chain, last in known.items() if chain is not self}
        if len(kept) >= REMEMBERED:
            del kept[next(iter(kept))]
        kept[self] = outcome
        _last.set(kept)


def _hop_of(one: Fallback) -> Model:
    if callable(one) and not is_model(one):
        return FunctionHop(one)
    from resilient_ai.models.naming import model_of

    return model_of(cast("str | Model", one))


def _reading(hook: ClassifyHook | None) -> ClassifyHook:
    """`hook`, and before it: a call with the wrong arguments is the caller's fault and no function's failure."""

    def read(error: Exception) -> Verdict | FailureKind | str | None:
        if is_misuse(error):
            return FailureKind.BAD_REQUEST
        return None if hook is None else hook(error)

    return read


def _check_interrupts(policy: object, settings: Settings) -> None:
    if policy == "continue":
        raise ConfigError(
            "on_interrupt='continue' hands a model the beginning of a text; a function has no use for it. Use 'restart' or 'raise'.",
            key="on_interrupt",
        )
    if (policy == "restart") != (settings.on_restart is not None):
        raise ConfigError(
            "on_interrupt='restart' yields items from the beginning again, and whoever reads them must learn it: it takes an "
            "on_restart= function, called before the first of them; and on_restart= takes on_interrupt='restart'.",
            key="on_interrupt",
        )
