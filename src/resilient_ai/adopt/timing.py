"""The time of an attempt in the terms of an SDK's HTTP library: its timeouts, and the reading of a body that drips.

Neither httpx nor httpx2 is imported: the library is the one the SDK's own request comes from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, final

from resilient_ai.adopt.answers import family_of

if TYPE_CHECKING:
    from resilient_ai.core.clock import Clock
    from resilient_ai.core.model import Scope

_limit: Final = dict[str, Any].get
LEAST_SECONDS: Final = 0.001
"""The libraries take no time at all for no bound, or refuse it."""


def phases(given: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    """The timeouts of an asynchronous request, phase by phase, each cut to what the attempt has left; a timer ends the whole.

    The request's and not the options': the SDK tells the provider of the latter in a header.
    """
    left = max(LEAST_SECONDS, scope.remaining())
    limits = {"connect": min(left, scope.connect), "read": left, "write": left, "pool": left}
    return {
        phase: most if given.get(phase) is None else min(given[phase], most) for phase, most in limits.items()
    }


@final
class RemainingTime(dict[str, Any]):
    """The timeouts of a request that is blocking or streamed, read phase by phase as it goes on, each time cut to what is left.

    The transport asks for each phase when it begins. Fixed numbers would give connecting and reading the whole of the remaining time each,
    and the pieces of a stream the time of its first.

    Args:
        given: What the request had.
        scope: The attempt's.
        stream: The answer is streamed: its head has until the first content.
    """

    __slots__ = ("_between", "_now", "_until")

    def __init__(self, given: Mapping[str, Any], scope: Scope, *, stream: bool = False) -> None:
        super().__init__(given)
        self._until = scope.until
        self._now = scope.clock.now
        connect = given.get("connect")
        if connect is None or connect > scope.connect:
            self["connect"] = scope.connect
        if stream:
            read = given.get("read")
            self["read"] = _least(read, scope.first_token)
            # The transport asks once for all reads of a body. Which of the two clocks runs is known where its content is read.
            self._between = _least(read, max(scope.first_token, scope.idle))

    def get(self, phase: str, default: Any = None) -> Any:
        """Seconds the phase may take."""
        left = self._until - self._now()
        limit = _limit(self, phase, default)
        if limit is not None and limit < left:
            left = limit
        return left if left > LEAST_SECONDS else LEAST_SECONDS  # noqa: FURB136 - asked for every phase of every request

    def flows(self) -> None:
        """The head of the streamed answer is here, and its pieces follow."""
        self["read"] = self._between


def flows(response: Any) -> None:
    """`response` is streamed, and nothing of its body was read: from here on each piece has a time of its own."""
    limits = response.request.extensions.get("timeout")
    if type(limits) is RemainingTime:
        limits.flows()


def _least(given: float | None, most: float) -> float:
    return most if given is None or given > most else given


def bound(response: Any, scope: Scope) -> None:
    """Ends the reading of a blocking response with the time of its attempt, however slowly its body drips.

    A read timeout runs anew for every byte; this looks at the clock between two reads.
    """
    response.stream = _kind(response.request.__class__)(
        response.stream, response.request, scope.until, scope.clock
    )


@lru_cache(maxsize=8)
def _kind(request: type) -> Any:
    """The kind of stream for a class of requests."""
    family = family_of(request)
    return type("BoundStream", (_Bound, family.SyncByteStream), {"late": family.ReadTimeout})


class _Bound:
    late: type[Exception]
    _source: Any = None

    def __init__(self, source: Any, request: Any, until: float, clock: Clock) -> None:
        self._source = source
        self._request = request
        self._until = until
        self._clock = clock

    def __iter__(self) -> Iterator[bytes]:
        now, until = self._clock.now, self._until
        for piece in self._source:
            if now() > until:
                late: Any = self.late
                raise late("the time of the attempt is up", request=self._request)
            yield piece

    def close(self) -> None:
        self._source.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)  # where the library keeps how long the answer took
