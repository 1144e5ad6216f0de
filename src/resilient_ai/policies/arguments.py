"""What the three ways in take by the same names: each argument is the policy its name says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, cast

from resilient_ai.errors import ConfigError
from resilient_ai.policies.breaker import Breaker
from resilient_ai.policies.budget import RetryBudget
from resilient_ai.policies.exposure import Privacy
from resilient_ai.policies.hedge import Hedge
from resilient_ai.policies.limits import Limits
from resilient_ai.policies.retry import Retry
from resilient_ai.policies.spending import CostCap
from resilient_ai.policies.throttle import Throttle
from resilient_ai.policies.timeouts import Timeouts

_TAKEN: Final[Mapping[str, tuple[Any, str]]] = {
    "retry": (Retry, "retry=Retry(attempts=3)"),
    "timeouts": (Timeouts, "timeouts=Timeouts(attempt=30)"),
    "breaker": (Breaker, "breaker=Breaker(enabled=False)"),
    "budget": (RetryBudget, "budget=RetryBudget(capacity=100)"),
    "limits": (Limits, "limits=Limits(concurrency=8)"),
    "hedge": (Hedge, "hedge=Hedge()"),
    "throttle": (Throttle, "throttle=Throttle(k=2)"),
    "max_cost": (CostCap, "max_cost=CostCap(per_call=0.05)"),
    "privacy": (Privacy, "privacy=Privacy(pseudonymise=('personal',))"),
    "on": (Mapping, "on={'server_error': 'next'}"),
    "checks": (Collection, "a list of functions, checks=[...]"),
    "observers": (Collection, "a list of functions, observers=[...]"),
    "classify": (Callable, "a function of the exception"),
    "name": (str, "a text"),
}
"""What each argument has to be, and how it is written."""


def check_arguments(given: Mapping[str, object]) -> None:
    """Refuses what is no policy: `retry=3`, `breaker=False`, `checks=check`.

    Args:
        given: Arguments by name; None stands for one that was not given. Names that are not known here are left alone.

    Raises:
        ConfigError: One is of the wrong kind; the text says how it is written.
    """
    for name, value in given.items():
        if value is not None and name in _TAKEN and not _fits(value, _TAKEN[name][0]):
            raise ConfigError(f"{name} {_misfit(value, _TAKEN[name][0])}; give {_TAKEN[name][1]}.", key=name)


def _misfit(value: object, kind: Any) -> str:
    if kind is Collection and isinstance(value, Collection) and not isinstance(value, str):
        wrong = next(one for one in cast("Collection[object]", value) if not callable(one))
        return f"holds something of type {type(wrong).__name__}"
    return f"is of type {type(value).__name__}"


def _fits(value: object, kind: Any) -> bool:
    if kind is not Collection:
        return isinstance(value, kind)
    return isinstance(value, Collection) and all(map(callable, cast("Collection[object]", value)))
