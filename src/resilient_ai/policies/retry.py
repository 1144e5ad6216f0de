"""Whether and when the same model is asked again.

The default is full jitter over an exponential backoff; a provider's own wait hint overrides it. Any tenacity `wait_*`,
`stop_*` or `retry_*` object may stand in for a part. tenacity's own loop is not used: it costs 8 to 21 microseconds on a call that
succeeds, and knows neither the deadline nor the budget. Its strategies are evaluated only once an attempt has failed.

Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (full jitter).
"""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, final

from resilient_ai.core.failure import FailureKind, Verdict
from resilient_ai.errors import ConfigError
from resilient_ai.policies.options import check_kinds

if TYPE_CHECKING:
    from tenacity import RetryCallState
    from tenacity.retry import RetryBaseT
    from tenacity.stop import StopBaseT
    from tenacity.wait import WaitBaseT

    from resilient_ai.core.clock import Random

_log: Final = logging.getLogger("resilient_ai")
ATTEMPTS: Final = 3
"""One try and two retries, what both large SDKs do."""
BASE_SECONDS: Final = 0.5
CAP_SECONDS: Final = 8.0
"""First backoff and its cap: the SDKs' own figures."""
THROTTLED_BASE_SECONDS: Final = 1.0
"""A rate limit needs longer to pass than a hiccup (AWS SDK retry behaviour, 2024)."""
HINT_SPREAD: Final = 0.1
"""Share of a wait hint added at random, so that callers told the same instant do not all come back in it."""

_EXAMPLES: Final = {
    "wait": "wait_random_exponential(max=10)",
    "stop": "stop_after_delay(30)",
    "retry": "retry_if_exception_type(ConnectionError)",
}


@final
@dataclass(frozen=True, slots=True)
class Retry:
    """How often and after what pause the same model is asked again.

    Attributes:
        attempts: Requests to one model in one call, the first included; at least 1.
        base: Seconds; the n-th retry waits a random time up to `base * 2**(n-1)`.
        cap: Upper bound of that, in seconds.
        wait: A tenacity `wait_*` in place of `base` and `cap`. tenacity draws its jitter itself.
        stop: A tenacity `stop_*` in place of `attempts`.
        retry: A tenacity `retry_*` asked in addition to the verdict: a failure is retried only if both agree.

    Raises:
        ConfigError: A number is out of range, or a strategy is a coroutine (tenacity calls predicates synchronously, so an
            asynchronous one always looks true).
    """

    attempts: int = ATTEMPTS
    base: float = BASE_SECONDS
    cap: float = CAP_SECONDS
    wait: WaitBaseT | None = None
    stop: StopBaseT | None = None
    retry: RetryBaseT | None = None

    def __post_init__(self) -> None:
        check_kinds(self)
        if self.attempts < 1:
            raise ConfigError(
                f"Retry.attempts is {self.attempts!r}; it counts the first request too, so it is at least 1."
            )
        if self.base < 0 or self.cap < self.base:
            raise ConfigError(
                f"Retry.base is {self.base!r} and cap is {self.cap!r}; 0 <= base <= cap must hold."
            )
        for name in ("wait", "stop", "retry"):
            strategy = getattr(self, name)
            if strategy is None:
                continue
            if not callable(strategy) or isinstance(strategy, type):
                what = "a class" if isinstance(strategy, type) else f"of type {type(strategy).__name__}"
                raise ConfigError(
                    f"Retry.{name} is {what}; it must be a tenacity strategy, such as tenacity.{_EXAMPLES[name]}."
                )
            asynchronous = type(strategy).__module__.startswith("tenacity.asyncio")
            call = getattr(strategy, "__call__", None)  # noqa: B004 - the bound method is inspected, not called
            if asynchronous or inspect.iscoroutinefunction(strategy) or inspect.iscoroutinefunction(call):
                raise ConfigError(
                    f"Retry.{name} is asynchronous; give a plain function, it is called between awaits."
                )

    @property
    def most_attempts(self) -> int | None:
        """Upper bound of requests to one model, or None where a custom `stop` decides."""
        return self.attempts if self.stop is None else None

    @property
    def longest_wait(self) -> float:
        """Upper bound of one backoff in seconds; infinite where a custom `wait` decides."""
        return self.cap if self.wait is None else float("inf")

    def backoff(self, failures: int, kind: FailureKind, chance: Random) -> float:
        """Seconds to wait after the `failures`-th failure (from 1), by the built-in strategy."""
        base = (
            max(self.base, THROTTLED_BASE_SECONDS)
            if kind is FailureKind.RATE_LIMITED and self.base
            else self.base
        )
        return float(min(self.cap, base * 2 ** min(failures - 1, 30)) * chance.random())

    def after_hint(self, hint: float, chance: Random) -> float:
        """Seconds to wait where the provider asked for `hint`: never less, a little more."""
        return hint + min(HINT_SPREAD * hint, self.base) * chance.random()


@final
class Strategies:
    """The tenacity strategies of one call at one model, evaluated after a failure. Not shared between calls."""

    __slots__ = ("_retry", "_slept", "_started", "_state")

    def __init__(self, retry: Retry, started: float) -> None:
        self._retry = retry
        self._started = started
        self._slept = 0.0
        self._state: RetryCallState | None = None

    def observe(self, failures: int, exception: Exception, now: float) -> None:
        """Tells the strategies of the `failures`-th failure."""
        if self._retry.wait is None and self._retry.stop is None and self._retry.retry is None:
            return
        from tenacity import Future, RetryCallState

        if self._state is None:
            # tenacity's own retry object is only read for statistics, which are ours to keep.
            self._state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
            self._state.start_time = self._started
        state = self._state
        state.attempt_number = failures
        state.outcome = Future.construct(failures, exception, has_exception=True)
        state.outcome_timestamp = now
        state.idle_for = self._slept

    def wants_retry(self) -> bool:
        """The custom predicate agrees to another attempt (True without one)."""
        return bool(self._answer("retry", default=True))

    def stops(self, failures: int, verdict: Verdict) -> bool:
        """No further attempt is allowed by count or by the custom stop."""
        from resilient_ai.core.failure import MEANINGS

        most = MEANINGS[verdict.kind].max_retries
        if most is not None and failures > most:
            return True
        return bool(self._answer("stop", default=failures >= self._retry.attempts))

    def wait(self, failures: int, verdict: Verdict, chance: Random) -> float:
        """Seconds to pause before the next attempt. A hint overrides every strategy."""
        retry = self._retry
        if verdict.retry_after is not None:
            pause = retry.after_hint(verdict.retry_after, chance)
        else:
            pause = max(
                0.0, float(self._answer("wait", default=retry.backoff(failures, verdict.kind, chance)))
            )
        if self._state is not None:
            self._state.upcoming_sleep = pause
        self._slept += pause
        return pause

    def _answer(self, name: Literal["wait", "stop", "retry"], *, default: float) -> float:
        """What the custom strategy `name` says; `default` without one, or where it raises: a strategy must not break the call."""
        strategy = getattr(self._retry, name)
        if strategy is None or self._state is None:
            return default
        try:
            return float(strategy(self._state))
        except Exception as error:  # noqa: BLE001 - foreign code, whatever it raises
            _log.warning(
                "the tenacity strategy %s raised %s; the built-in rule is used", name, type(error).__name__
            )
            return default

    def forget(self) -> None:
        """Drops the last exception, so that no frame of an attempt outlives the call."""
        if self._state is not None:
            self._state.outcome = None
