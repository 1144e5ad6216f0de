"""`OnDeviceModel`: the last link of a chain, which no network can fail."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast, final

from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.core.failure import FailureKind, verdict_of
from resilient_ai.core.identifiers import place
from resilient_ai.core.model import Scope, Traits
from resilient_ai.errors import ConfigError, InvalidRequest, ModelError
from resilient_ai.messages import Foreign, Image, Reply, Request
from resilient_ai.models.http import prepare
from resilient_ai.models.on_device.control import ControlGuard
from resilient_ai.models.on_device.cores import default_threads
from resilient_ai.models.on_device.gguf import GGUFFile, inspect
from resilient_ai.models.on_device.link import PROVIDER, Link
from resilient_ai.models.on_device.places import LineFull
from resilient_ai.models.on_device.process import Endpoint, WorkerSettings
from resilient_ai.models.on_device.supervisor import Permit, WorkerFailed, supervisor_of
from resilient_ai.runtime.blocking import drive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resilient_ai.core.failure import Verdict
    from resilient_ai.core.model import ChunkSource
    from resilient_ai.messages import Chunk, DataClassName
    from resilient_ai.policies.timeouts import Timeouts

CONTEXT_TOKENS: Final = 2048
"""Context of a slot unless more is asked for: memory for it is taken when the model loads, and a prompt longer than this takes tens of
seconds on a processor (90 tokens a second were measured with 180 M parameters on one busy core)."""

MAX_TOKENS: Final = 256
"""Most tokens of an answer. A request that asks for more gets this many: at 20 tokens a second the rest would come after any deadline."""

IDLE_SECONDS: Final = 600
"""Seconds without a request until the worker gives the model's memory back; loading it again took 0.2 s for 192 MB."""

WARM_SECONDS: Final = 60.0
"""How long `warm` waits for the model."""

MAX_SLOTS: Final = 16
"""Beyond 2 to 4 slots a processor answers no more requests a second, measured; each takes memory for its context."""

# What an answer usually takes: a start, and 64 tokens at the rate memory gives up the weights, 5 GB/s (20 to 38 tokens a second for
# 192 MB were measured). An order of magnitude, used until the engine has measured the model itself.
_START_SECONDS: Final = 0.25
_TYPICAL_TOKENS: Final = 64
_BYTES_PER_SECOND: Final = 5e9

INSTALL: Final = 'pip install "resilient_ai[on-device]"'


@final
class OnDeviceModel:
    """A GGUF file, answered on this device by llama.cpp in a child process. Safe to share between threads, tasks, loops and forks.

    The child starts with the first call or `warm()`, and is shared by all models of this process with the same file and settings. It
    lives until every one of them is closed, or this process ends, however it ends. When it dies, or does not let go of a request whose time
    is up, it is replaced.

    Text that spells the model's control tokens is broken apart before it is sent, and pictures are refused. `Request.extra` is not
    sent: it would reach settings of the server that are safe now.

    Args:
        path: The .gguf file. It is checked here; a file that is replaced later is refused.
        capabilities: What it can do, if it is not a general chat model. A chain marks it so, and never takes it for one.
        context_tokens: Context of one request; None takes 2048, or what the model was trained with if that is less.
        data_classes: Data classes it may see; None means all.
        max_tokens: Most tokens of an answer, whatever a request asks for.
        threads: Threads to compute with; None takes 1 for a file below 100 MB, else the usable cores less one.
        sha256: What the file must hash to. Checking it reads the whole file.
        slots: Requests computed at a time. Up to 8 more wait; the next is refused.
        name: Its name in history and telemetry; None takes the file's, without its ending.
        idle_seconds: Seconds without a request until its memory is given back; None keeps it.
        timeouts: Its own clocks; None takes the chain's.

    Raises:
        ConfigError: The extra is not installed, the file is not a usable model, or a number is out of range.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        capabilities: Iterable[str] = (),
        context_tokens: int | None = None,
        data_classes: Iterable[DataClassName] | None = None,
        max_tokens: int = MAX_TOKENS,
        threads: int | None = None,
        sha256: str | None = None,
        slots: int = 1,
        name: str | None = None,
        idle_seconds: int | None = IDLE_SECONDS,
        timeouts: Timeouts | None = None,
    ) -> None:
        import_from = _home_of_xllamacpp()
        _in_range("max_tokens", max_tokens, 1, None)
        _in_range("slots", slots, 1, MAX_SLOTS)
        _in_range("threads", threads, 1, None)
        _in_range("idle_seconds", idle_seconds, 1, None)
        _in_range("context_tokens", context_tokens, 1, None)
        file = inspect(path, sha256=sha256)
        prepare("http")
        self._name = name or file.path.stem
        self._max_tokens = max_tokens
        self._guard = ControlGuard(file.control_tokens)
        self.timeouts = timeouts
        settings = WorkerSettings(
            model=file.path,
            name=self._name,
            context_tokens=_context(file, context_tokens),
            slots=slots,
            threads=threads or default_threads(file.identity.size_bytes),
            idle_seconds=idle_seconds,
            import_from=import_from,
        )
        self._supervisor = supervisor_of(settings, file.identity)
        self._links: dict[Endpoint, Link] = {}
        self._traits = Traits(
            local=True,
            context_tokens=settings.context_tokens,
            data_classes=None if data_classes is None else frozenset(data_classes),
            capabilities=tuple(capabilities),
            typical_seconds=_START_SECONDS + _TYPICAL_TOKENS * file.identity.size_bytes / _BYTES_PER_SECOND,
            wire="openai-chat",
        )
        identity = hashlib.sha256(repr((settings, file.identity)).encode()).hexdigest()[:8]
        self._key = f"{PROVIDER}:{self._name}#{identity}"

    @property
    def name(self) -> str:
        return self._name

    @property
    def provider(self) -> str:
        return PROVIDER

    @property
    def key(self) -> str:
        return self._key

    @property
    def traits(self) -> Traits:
        return self._traits

    @property
    def pid(self) -> int | None:
        """The worker's process id, or None while there is none."""
        return self._supervisor.pid

    def __repr__(self) -> str:
        return f"OnDeviceModel({self._name!r}, pid={self.pid})"

    def warm(self, *, timeout: float = WARM_SECONDS) -> None:
        """Starts the worker and waits until the model is loaded, so that no call has to.

        Args:
            timeout: Seconds to wait at most. A load that takes longer goes on.

        Raises:
            ModelError: The worker cannot be started.
            AttemptTimeout: The model is still loading.
        """
        drive(self._warm(timeout, blocking=True))

    async def awarm(self, *, timeout: float = WARM_SECONDS) -> None:  # noqa: ASYNC109 - waits on a pipe and a process
        """As `warm`, without blocking the event loop."""
        await self._warm(timeout, blocking=False)

    async def answer(self, request: Request, scope: Scope) -> Reply:
        """One attempt at a whole answer.

        Raises:
            InvalidRequest: It has no messages.
            ModelError: It failed; `verdict` says how.
            AttemptTimeout: Its time was up.
        """
        prepared, flags = self._prepared(request)
        permit = await self._borrow(scope)
        clean = False
        try:
            link = await self._linked(permit.endpoint, scope)
            reply = await link.remote.answer(prepared, scope)
            clean = True
        except ModelError as error:
            # A whole answer came, if not the one hoped for: the worker is done with the request.
            clean = error.body is not None
            raise self.told(error) from error.__cause__
        finally:
            permit.release(clean=clean)
        return replace(reply, flags=(*reply.flags, *flags))

    async def open(self, request: Request, scope: Scope) -> ChunkSource:
        """One attempt at a streamed answer.

        Raises:
            InvalidRequest, ModelError, AttemptTimeout: As for `answer`.
        """
        prepared, flags = self._prepared(request)
        permit = await self._borrow(scope)
        try:
            link = await self._linked(permit.endpoint, scope)
            source = await link.remote.open(prepared, scope)
        except ModelError as error:
            permit.release(clean=error.body is not None)
            raise self.told(error) from error.__cause__
        except BaseException:
            permit.release(clean=False)
            raise
        if flags:
            scope.notes["flags"] = (*cast("tuple[str, ...]", scope.notes.get("flags", ())), *flags)
        return _PermittedStream(self, source, permit)

    def close(self) -> None:
        """Ends the worker, unless another model uses it. Idempotent; the model may be used again."""
        self._supervisor.leave(self)
        drive(self._unlink(blocking=True))

    async def aclose(self) -> None:
        """As `close`, without blocking the event loop."""
        await self._supervisor.aleave(self)
        await self._unlink(blocking=False)

    # --- the worker ---------------------------------------------------------------------------------------------------

    async def _warm(self, seconds: float, *, blocking: bool) -> None:
        until = SYSTEM_CLOCK.now() + seconds
        scope = Scope(blocking, SYSTEM_CLOCK, until, seconds, seconds, seconds)
        self._supervisor.use(self)
        try:
            await self._supervisor.ready(scope)
        except WorkerFailed as failed:
            raise self._failed(failed) from None

    async def _borrow(self, scope: Scope) -> Permit:
        self._supervisor.use(self)
        try:
            return await self._supervisor.borrow(scope, self._busy_slots)
        except WorkerFailed as failed:
            raise self._failed(failed) from None
        except LineFull:
            # It says nothing about the model's health: the breaker must not open because this process asks too much.
            verdict = replace(
                verdict_of(
                    FailureKind.OVERLOADED, sent=False, reasons=("the line before the worker is full",)
                ),
                health="neutral",
            )
            raise self._error(
                "overloaded; too many requests wait for this model in this process", verdict
            ) from None

    async def _busy_slots(self, endpoint: Endpoint, scope: Scope) -> int | None:
        return await (await self._linked(endpoint, scope)).busy_slots(scope)

    async def _linked(self, endpoint: Endpoint, scope: Scope) -> Link:
        """The connections to this child; those to children before it are closed."""
        link = self._links.get(endpoint)
        if link is None:
            await self._unlink(blocking=scope.blocking)
            link = self._links.setdefault(endpoint, Link(endpoint, self._name))
        return link

    async def _unlink(self, *, blocking: bool) -> None:
        while self._links:
            _, link = self._links.popitem()
            if blocking:
                link.close()
            else:
                await link.aclose()

    # --- what is sent -------------------------------------------------------------------------------------------------

    def _prepared(self, request: Request) -> tuple[Request, tuple[str, ...]]:
        """The request as the worker gets it, and flags for what was taken from it."""
        if not request.messages:
            # llama.cpp answers an empty conversation with words out of nowhere.
            raise InvalidRequest("The request has no messages.")
        for message in request.messages:
            for part in message.parts:
                if isinstance(part, Image | Foreign):
                    what = "a picture" if isinstance(part, Image) else place(part.field)
                    verdict = verdict_of(FailureKind.BAD_REQUEST, sent=False, reasons=("not portable",))
                    raise self._error(
                        f"the request cannot be moved to this model: it reads text only, not {what}",
                        replace(verdict, next_model=True),
                    )
        flags = [f"dropped:{name}" for name in request.extra]
        asked = request.max_tokens
        if asked is not None and asked > self._max_tokens:
            flags.append("capped:max_tokens")
        prepared = replace(
            self._guard.request(request),
            max_tokens=self._max_tokens if asked is None else min(asked, self._max_tokens),
            temperature=0.0 if request.temperature is None else request.temperature,
            extra={},
            extra_format=None,
        )
        return prepared, tuple(flags)

    # --- what went wrong ----------------------------------------------------------------------------------------------

    def told(self, error: ModelError) -> ModelError:
        """`error` in words that fit a child process; those for a network would send the reader the wrong way."""
        if error.kind is not FailureKind.CONNECTION:
            return error
        return self._error("connection; the worker died or was replaced during the request", error.verdict)

    def _failed(self, failed: WorkerFailed) -> ModelError:
        verdict = verdict_of(failed.kind, retry_after=failed.retry_after, sent=False, reasons=("no worker",))
        return self._error(
            f"{failed.kind.value.replace('_', ' ')}; {failed}", verdict, printed=failed.printed
        )

    def _error(self, what: str, verdict: Verdict, *, printed: bytes = b"") -> ModelError:
        return ModelError(what, verdict=verdict, model=self._name, provider=PROVIDER, body=printed or None)


@final
class _PermittedStream:
    """The stream of one attempt, which gives its permit back when it is closed."""

    __slots__ = ("_ended", "_model", "_permit", "_source")

    def __init__(self, model: OnDeviceModel, source: ChunkSource, permit: Permit) -> None:
        self._model = model
        self._source = source
        self._permit = permit
        self._ended = False

    async def receive(self, until: float) -> Sequence[Chunk] | None:
        try:
            chunks = await self._source.receive(until)
        except ModelError as error:
            raise self._model.told(error) from error.__cause__
        self._ended = chunks is None
        return chunks

    def completed(self, reply: Reply) -> Reply:
        return self._source.completed(reply)

    async def aclose(self) -> None:
        try:
            await self._source.aclose()
        finally:
            self._permit.release(clean=self._ended)

    def abandon(self) -> None:
        try:
            self._source.abandon()
        finally:
            self._permit.release(clean=self._ended)


def _home_of_xllamacpp() -> str:
    """The directory the worker imports xllamacpp from. It is found, not imported: its native code belongs into the child.

    Raises:
        ConfigError: It is not installed.
    """
    spec = importlib.util.find_spec("xllamacpp")
    if spec is None or spec.origin is None:
        raise ConfigError(
            f"An on-device model needs xllamacpp, which is not installed. Install it: {INSTALL}"
        )
    return str(Path(spec.origin).parent.parent)


def _in_range(name: str, value: int | None, least: int, most: int | None) -> None:
    if value is None or (value >= least and (most is None or value <= most)):
        return
    upper = "" if most is None else f" and at most {most}"
    raise ConfigError(f"{name} is {value}; it must be at least {least}{upper}.", key=name)


def _context(file: GGUFFile, asked: int | None) -> int:
    trained = file.context_tokens
    if asked is None:
        return CONTEXT_TOKENS if trained is None else min(trained, CONTEXT_TOKENS)
    if trained is not None and asked > trained:
        raise ConfigError(
            f"context_tokens is {asked}, but the model was trained with {trained}; ask for at most that.",
            key="context_tokens",
            path=os.fspath(file.path),
        )
    return asked
