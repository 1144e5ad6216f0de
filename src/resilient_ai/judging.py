"""Reads a failure: the hook of the user first, then the library's own classifier."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from resilient_ai.core.classify import classify
from resilient_ai.core.failure import FailureKind, Verdict, verdict_of

if TYPE_CHECKING:
    from resilient_ai.core.clock import Clock

ClassifyHook: TypeAlias = "Callable[[Exception], Verdict | FailureKind | str | None]"
"""Reads an exception before the library does; None leaves it to the library."""

_log: Final = logging.getLogger("resilient_ai")


def judged(error: Exception, hook: ClassifyHook | None, clock: Clock) -> Verdict:
    """What `error` means.

    A hook that raises, or that names a kind there is none of, is reported in the log and not followed: it must not turn a failure into
    another.

    Args:
        error: What an attempt ended with.
        hook: The user's; None where there is none.
        clock: Turns dates in wait hints into seconds.
    """
    if hook is not None:
        try:
            verdict = hook(error)
            if verdict is not None and not isinstance(verdict, Verdict):
                verdict = verdict_of(FailureKind(verdict), reasons=("the classify hook",))
        except Exception as failure:  # noqa: BLE001 - see above
            _log.warning(
                "the classify hook raised %s; the library's own reading is used", type(failure).__name__
            )
        else:
            if verdict is not None:
                return verdict
    return classify(error, clock=clock)
