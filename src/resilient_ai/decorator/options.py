"""Options for the calls made inside a block of code, however deep: `with resilient_options(deadline=5): ...`."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from resilient_ai.asking import DATA_CLASSES
from resilient_ai.errors import ConfigError
from resilient_ai.policies.timeouts import check_deadline

if TYPE_CHECKING:
    from resilient_ai.messages import DataClassName


@final
@dataclass(frozen=True, slots=True)
class Options:
    """What a block of code asks of the calls in it; None asks nothing."""

    deadline: float | None = None
    data_class: DataClassName | None = None


CURRENT: Final[ContextVar[Options | None]] = ContextVar("resilient_ai.options", default=None)


@contextlib.contextmanager
def resilient_options(
    *, deadline: float | None = None, data_class: DataClassName | None = None
) -> Generator[None]:
    """Options for every call of a decorated function that begins in the block, in this task or thread and in tasks started from it.

    Args:
        deadline: Seconds each of those calls may take. It only ever tightens: the least of this, of the blocks around and of the
            function's own counts.
        data_class: How sensitive the arguments are; models not cleared for it are skipped. The innermost counts.

    Raises:
        ConfigError: An option is out of range.
    """
    if deadline is not None:
        check_deadline(deadline)
    if data_class is not None and data_class not in DATA_CLASSES:
        raise ConfigError(
            f"data_class is {data_class!r}; it must be one of {', '.join(DATA_CLASSES)}.", key="data_class"
        )
    around = CURRENT.get() or Options()
    token = CURRENT.set(Options(least(around.deadline, deadline), data_class or around.data_class))
    try:
        yield
    finally:
        CURRENT.reset(token)


def least(one: float | None, other: float | None) -> float | None:
    """The smaller of two bounds, either of which may be missing."""
    return other if one is None else one if other is None else min(one, other)
