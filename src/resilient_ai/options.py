"""Options for the calls made inside a block of code, however deep: `with resilient_options(deadline=5): ...`.

Every call of the library begins by asking `options_here` once: of a `ResilientModel` and all that is built on one (decorated functions,
guarded blocks, framework adapters), and of a wrapped client, whichever way it was adopted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
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

    def tightened(self, deadline: float) -> float:
        """Seconds a call may take that may take `deadline` by itself."""
        return deadline if self.deadline is None else min(self.deadline, deadline)


_CURRENT: Final[ContextVar[Options | None]] = ContextVar("resilient_ai.options", default=None)

options_here: Final[Callable[[], Options | None]] = _CURRENT.get
"""What the blocks around this code ask; None where there are none, which costs one look-up."""


@contextlib.contextmanager
def resilient_options(
    *, deadline: float | None = None, data_class: DataClassName | None = None
) -> Generator[None]:
    """Options for every call that begins in the block, in this thread or task and in tasks started from it.

    They reach the calls of a `ResilientModel`, of the framework adapters on one, of wrapped clients and of decorated functions, and guarded
    blocks. A stream begins where it is asked for (`model.stream(...)`, `create(stream=True)`), a decorated generator at its first item.
    A new thread begins without them, unless Python was told to let threads inherit the context; run what it does in a copy of it
    (`contextvars.copy_context().run`, `asyncio.to_thread`).

    Args:
        deadline: Seconds each of those calls may take. It only ever tightens: the least of this, of the blocks around and of the
            call's own counts.
        data_class: How sensitive what is asked is; models not cleared for it are skipped. It goes before what a client, a model or a
            function was set up with; of several blocks the innermost counts, and what the call itself says before all.

    Raises:
        ConfigError: An option is out of range.
    """
    if deadline is not None:
        check_deadline(deadline)
    if data_class is not None and data_class not in DATA_CLASSES:
        raise ConfigError(
            f"data_class is {data_class!r}; it must be one of {', '.join(DATA_CLASSES)}.", key="data_class"
        )
    around = _CURRENT.get() or Options()
    least = around.deadline if deadline is None else around.tightened(deadline)
    token = _CURRENT.set(Options(least, data_class or around.data_class))
    try:
        yield
    finally:
        _CURRENT.reset(token)
