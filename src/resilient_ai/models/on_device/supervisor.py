"""The parent's hold on a worker: started when needed, shared, watched, and replaced when it died or does not let go.

States of a worker: cold (no child), loading (a child that is not ready), ready, suspected (a request to it was given up and may still be
running), and refused (it failed too often lately; nothing is started until the restart budget has room again).
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, final

from resilient_ai.core.clock import SYSTEM_CLOCK, Clock
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.core.failure import FailureKind
from resilient_ai.core.model import Scope
from resilient_ai.models.on_device.gguf import Identity, identify
from resilient_ai.models.on_device.places import Places
from resilient_ai.models.on_device.process import Child, Ended, Endpoint, WorkerSettings, pause, readable

RESTARTS: Final = 5
"""Failures within `RESTART_WINDOW_SECONDS` after which no child is started any more: a model that crashes on load would otherwise take a
core for good. The window moves, so that one start becomes possible each time a failure leaves it."""

RESTART_WINDOW_SECONDS: Final = 60.0

LOAD_SECONDS: Final = 300.0
"""A child that is not ready after this is taken for hung. A load goes on when the attempt that began it is over, so the bound is far
beyond any attempt."""

GRACE_SECONDS: Final = 0.5
"""How long a child may go on with a request that was given up before it is killed. A disconnect usually stops a running answer within
0.1 s and a running prompt not at all, measured; a new child with a 192 MB model is ready in 0.4 s."""

_PROBE_PAUSE_SECONDS: Final = 0.02
_REAP_PAUSE_SECONDS: Final = 0.002
_REAP_SECONDS: Final = 1.0

Probe: TypeAlias = Callable[[Endpoint, Scope], Awaitable[int | None]]
"""Asks a child how many of its slots are computing; None if it does not say."""


class WorkerFailed(Exception):
    """There is no worker to ask. The text is ours and holds no content.

    Attributes:
        kind: What that means for the attempt.
        retry_after: Seconds until it may be otherwise, or None.
        printed: The last bytes native code printed.
    """

    def __init__(
        self, what: str, kind: FailureKind, *, retry_after: float | None = None, printed: bytes = b""
    ) -> None:
        super().__init__(what)
        self.kind = kind
        self.retry_after = retry_after
        self.printed = printed


@final
class Permit:
    """The right to send one request to a ready child. Given back exactly once."""

    __slots__ = ("_child", "_supervisor", "endpoint")

    def __init__(self, supervisor: Supervisor, child: Child, endpoint: Endpoint) -> None:
        self._supervisor: Supervisor | None = supervisor
        self._child = child
        self.endpoint = endpoint

    def release(self, *, clean: bool) -> None:
        """Gives the permit back, from any thread, without waiting. Idempotent.

        Args:
            clean: The answer was read to its end. Otherwise the child may still be computing, and the next request makes sure.
        """
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.give_back(self._child, clean=clean)


@final
class Supervisor:
    """One worker and the line before it. Safe to share between threads, tasks and event loops.

    Args:
        settings: What a child is started with.
        identity: Which file that was when it was checked.
        clock: Times the restart budget and the grace. Processes live in real time, whatever clock a call is on.
    """

    def __init__(self, settings: WorkerSettings, identity: Identity, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.settings = settings
        self._identity = identity
        self._clock = clock
        self._lock = threading.Lock()
        self._places = Places(settings.slots)
        self._child: Child | None = None
        self._born = 0.0
        self._failures: deque[float] = deque()
        self._users: weakref.WeakSet[object] = weakref.WeakSet()
        _forked_with.add(self)

    @property
    def pid(self) -> int | None:
        """The child's process id, or None while there is none."""
        child = self._child
        return None if child is None else child.pid

    def use(self, user: object) -> None:
        """Keeps the worker for `user` until it calls `leave` or is collected."""
        with self._lock:
            self._users.add(user)

    def leave(self, user: object) -> None:
        """`user` is done with it. Kills the child when nobody else uses it; a later request starts another. Idempotent."""
        child = self._let_go(user)
        if child is not None:
            child.close()

    async def aleave(self, user: object) -> None:
        """As `leave`, without blocking the event loop while the kernel takes the child's memory back."""
        child = self._let_go(user)
        if child is not None:
            child.signal_end()
            await _reap(child, blocking=False)

    def _let_go(self, user: object) -> Child | None:
        """The child to end, if `user` was the last to use it."""
        with self._lock:
            self._users.discard(user)
            if self._users:
                return None
            child, self._child = self._child, None
            return child

    async def borrow(self, scope: Scope, probe: Probe) -> Permit:
        """A place at a ready child, started and waited for if need be, within `scope.until`.

        Running out of time while a child loads does not stop the load: the next call finds it further on, or done.

        Raises:
            LineFull: Too many requests wait already.
            AttemptTimeout: No place came in time, or the model was still loading.
            WorkerFailed: No child can be made ready.
        """
        await self._places.enter(scope)
        try:
            while True:
                child, endpoint = await self._ready(scope)
                if await self._is_free(child, endpoint, scope, probe):
                    return Permit(self, child, endpoint)
        except BaseException:
            self._places.leave()
            raise

    async def ready(self, scope: Scope) -> Endpoint:
        """A ready child, started if need be: for warming up. Takes no place.

        Raises:
            AttemptTimeout, WorkerFailed: As for `borrow`.
        """
        return (await self._ready(scope))[1]

    def give_back(self, child: Child, *, clean: bool) -> None:
        """Called by `Permit.release`."""
        with self._lock:
            child.live -= 1
            if not clean:
                child.suspected_since = self._clock.now()
        self._places.leave()

    def forget(self) -> None:
        """In a forked child: the worker is the parent's. The next request here starts one of its own."""
        self._lock = threading.Lock()
        child, self._child = self._child, None
        self._failures.clear()
        if child is not None:
            child.forget()

    async def _ready(self, scope: Scope) -> tuple[Child, Endpoint]:
        signalled: Child | None = None
        while True:
            with self._lock:
                child = self._current()
                state = child.look()
                if isinstance(state, Endpoint):
                    return child, state
                if isinstance(state, Ended):
                    raise self._failed_start(child, state)
                if self._clock.now() - self._born > LOAD_SECONDS:
                    child.signal_end()
                if scope.remaining() <= 0:
                    raise AttemptTimeout(sent=False)
                fd = None if signalled is child else child.ready_signal()
            if fd is None:
                # Its pipe has ended but the process has not: it is on its way out.
                await pause(_REAP_PAUSE_SECONDS, blocking=scope.blocking)
            else:
                await readable(fd, scope)
                signalled = child

    def _current(self) -> Child:
        """The child there is, or a new one. Under the lock."""
        child = self._child
        if child is not None and child.endpoint is not None and child.ended:
            # It died since it was last asked; nothing of this request was sent, so it costs only the time of a start.
            self._failures.append(self._clock.now())
            self._child = None
            child.close()
            child = None
        return self._start() if child is None else child

    def _start(self) -> Child:
        now = self._clock.now()
        while self._failures and self._failures[0] <= now - RESTART_WINDOW_SECONDS:
            self._failures.popleft()
        if len(self._failures) >= RESTARTS:
            raise WorkerFailed(
                f"the worker failed {RESTARTS} times within {RESTART_WINDOW_SECONDS:.0f} s; it is not restarted yet",
                FailureKind.MODEL_UNAVAILABLE,
                retry_after=self._failures[0] + RESTART_WINDOW_SECONDS - now,
            )
        self._check_file()
        try:
            child = Child(self.settings)
        except OSError as error:
            self._failures.append(now)
            raise WorkerFailed(
                f"the worker could not be started ({error.strerror})", FailureKind.MODEL_UNAVAILABLE
            ) from None
        self._child, self._born = child, now
        return child

    def _check_file(self) -> None:
        """Native code must not see another file than the one that was checked."""
        try:
            changed = identify(self.settings.model) != self._identity
        except OSError:
            raise WorkerFailed("the model file is gone", FailureKind.MODEL_UNAVAILABLE) from None
        if changed:
            raise WorkerFailed(
                "the model file was replaced since it was checked; make the OnDeviceModel anew",
                FailureKind.MODEL_UNAVAILABLE,
            )

    def _failed_start(self, child: Child, ended: Ended) -> WorkerFailed:
        """What `ended` means. Under the lock."""
        if self._child is child:
            self._child = None
            self._failures.append(self._clock.now())
        printed = child.tail()
        child.close()
        match ended:
            case Ended(error="import"):
                what, kind = "xllamacpp is installed but cannot be imported", FailureKind.MODEL_UNAVAILABLE
            case Ended(error="load"):
                what, kind = "llama.cpp cannot load the model", FailureKind.MODEL_UNAVAILABLE
            case Ended(error="memory"):
                what, kind = "there is not enough memory for the model", FailureKind.OVERLOADED
            case Ended(signal_name="SIGILL"):
                what = "this processor lacks instructions xllamacpp is built for (AVX2, FMA, F16C, BMI2)"
                kind = FailureKind.MODEL_UNAVAILABLE
            case Ended(signal_name=str(name)):
                what, kind = f"the worker was ended by {name} before it was ready", FailureKind.CONNECTION
            case _:
                what = f"the worker ended with status {ended.status} before it was ready"
                kind = FailureKind.CONNECTION
        return WorkerFailed(what, kind, printed=printed)

    async def _is_free(self, child: Child, endpoint: Endpoint, scope: Scope, probe: Probe) -> bool:
        """Whether `child` can take a request now, which is then counted as sent; False if it had to be replaced.

        A child is only doubted after a request to it was given up; otherwise this costs a lock.
        """
        while True:
            with self._lock:
                since, others = child.suspected_since, child.live
                if since is None:
                    child.live += 1
                    return True
            busy = await self._ask(endpoint, since, scope, probe)
            with self._lock:
                if self._child is not child or child.ended:
                    return False
                if busy is not None and busy <= others:
                    child.suspected_since = None
                    continue
                if busy is not None and busy < self.settings.slots:
                    # One slot is still at it, but another is free; the doubt stays.
                    child.live += 1
                    return True
                # Only a child on which nothing else depends is killed.
                overdue = self._clock.now() - since >= GRACE_SECONDS and child.live == 0
                if overdue:
                    self._child = None
                    child.signal_end()
            if overdue:
                await _reap(child, blocking=scope.blocking)
                return False
            if scope.remaining() <= 0:
                raise AttemptTimeout(sent=False)
            await pause(_PROBE_PAUSE_SECONDS, blocking=scope.blocking)

    async def _ask(self, endpoint: Endpoint, since: float, scope: Scope, probe: Probe) -> int | None:
        """What `probe` says, within what is left of the grace."""
        left = max(_PROBE_PAUSE_SECONDS, since + GRACE_SECONDS - self._clock.now())
        seconds = min(left, scope.remaining())
        if seconds <= 0:
            return None
        short = Scope(
            blocking=scope.blocking,
            clock=scope.clock,
            until=scope.clock.now() + seconds,
            connect=seconds,
            first_token=seconds,
            idle=seconds,
        )
        return await probe(endpoint, short)


async def _reap(child: Child, *, blocking: bool) -> None:
    """Waits until a killed child is gone. A large one takes some time to give its memory back."""
    until = SYSTEM_CLOCK.now() + _REAP_SECONDS
    while not child.ended and SYSTEM_CLOCK.now() < until:
        await pause(_REAP_PAUSE_SECONDS, blocking=blocking)
    if child.ended:
        child.close()


_forked_with: weakref.WeakSet[Supervisor] = weakref.WeakSet()
"""All supervisors of this process: a forked child has them too, and must let go of them."""

_supervisors: weakref.WeakValueDictionary[tuple[WorkerSettings, Identity], Supervisor] = (
    weakref.WeakValueDictionary()
)
_registry_lock = threading.Lock()


def supervisor_of(settings: WorkerSettings, identity: Identity) -> Supervisor:
    """The supervisor of the worker with these settings; the same object for the same arguments while anybody holds it."""
    with _registry_lock:
        key = (settings, identity)
        supervisor = _supervisors.get(key)
        if supervisor is None:
            supervisor = _supervisors[key] = Supervisor(settings, identity)
        return supervisor


def _after_fork() -> None:
    global _registry_lock  # noqa: PLW0603 - a lock held by a thread of the parent can only be replaced
    _registry_lock = threading.Lock()
    for supervisor in list(_forked_with):
        supervisor.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
