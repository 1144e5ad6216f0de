"""Options for the calls made inside a block of code, however deep: `with resilient_options(deadline=5): ...`.

Every call of the library begins by asking `options_here` once: of a `ResilientModel` and all that is built on one (decorated functions,
guarded blocks, framework adapters), and of a wrapped client, whichever way it was adopted.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, final

from resilient_ai.asking import DATA_CLASSES
from resilient_ai.errors import ConfigError
from resilient_ai.policies.timeouts import check_deadline

if TYPE_CHECKING:
    from resilient_ai.messages import DataClassName


_log: Final = logging.getLogger("resilient_ai")


@final
class Options:
    """What a block of code asks of the calls in it, with what the blocks around it ask; None asks nothing.

    Args:
        around: What the block around it asks.
        deadline: Seconds each call may take.
        data_class: How sensitive what is asked is.
    """

    __slots__ = ("_around", "_data_class", "_deadline", "_withdrawn")

    def __init__(
        self, around: Options | None, deadline: float | None, data_class: DataClassName | None
    ) -> None:
        self._withdrawn = False
        self._around: Options | None = around
        self._deadline: float | None = deadline
        self._data_class: DataClassName | None = data_class
        while self._around is not None and self._around._withdrawn:  # noqa: SLF001 - its own kind
            self._around = self._around._around  # noqa: SLF001 - as above

    @property
    def data_class(self) -> DataClassName | None:
        """What the innermost block says that says one."""
        if self._data_class is None and self._around is not None:
            return self._around.data_class
        return self._data_class

    def tightened(self, deadline: float) -> float:
        """Seconds a call may take that may take `deadline` by itself."""
        least = deadline if self._deadline is None else min(self._deadline, deadline)
        return least if self._around is None else self._around.tightened(least)

    def withdraw(self) -> None:
        """Asks nothing any more, wherever a context still holds these."""
        self._deadline = self._data_class = None
        self._withdrawn = True


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

    Left in another context than it was entered in, which happens to generators that a framework runs or a loop finalises, the block ends
    for all who still hold its options, and a warning is logged once: what was called between may not have seen them.

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
    options = Options(_CURRENT.get(), deadline, data_class)
    token = _CURRENT.set(options)
    try:
        yield
    finally:
        inmost = _CURRENT.get()
        try:
            _CURRENT.reset(token)
        except ValueError:
            # The context this was entered in is out of reach, and may live on with the options. They must go from there, and the program must
            # not end for having been run as it was.
            options.withdraw()
            _tell()
        else:
            if inmost is not options:
                # Another block was entered since and goes on: two generators that take turns. Resetting took its options away.
                options.withdraw()
                _CURRENT.set(inmost)


def _tell() -> None:
    """Says, once in a process, that a block was of no use."""
    global _told  # noqa: PLW0603 - once in a process
    if not _told:
        _told = True
        _log.warning(
            "a block of resilient_options was left in another context than it was entered in; calls made between that were in neither "
            "went without its options. Where a framework runs a generator's steps in threads (a dependency of FastAPI with `yield`), make it "
            "an `async def`, or enter the block where the calls are made."
        )


_told = False
