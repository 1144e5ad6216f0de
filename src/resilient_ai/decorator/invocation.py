"""One call of a decorated function: what it was called with, on its way to whichever function answers, and what came back.

It travels as `Request.payload`, so that the engine can retry and hop without ever looking at it.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, final


@final
class Invocation:
    """Arguments in, value out. Belongs to one call; one attempt at a time touches it, but for failures, of which the last one counts.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
        value: What the function returned, a generator's return value included; None until then.
        sent: What the caller sent into the generator since its last item.
    """

    __slots__ = ("_failure", "_over", "_trace", "args", "kwargs", "sent", "value")

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args = args
        self.kwargs = kwargs
        self.value: object = None
        self.sent: object = None
        self._failure: Exception | None = None
        self._trace: TracebackType | None = None
        self._over = False

    def another(self) -> Invocation:
        """The same for one of several attempts beside each other: what one returns that lost must not be taken for the answer."""
        return Invocation(self.args, self.kwargs)

    def failed(self, error: Exception) -> None:
        """The last attempt raised `error`. Its traceback is kept, of the last one only, and until the call is over."""
        if self._over:
            return
        if error is not self._failure:
            self.forget()
        self._failure = error
        self._trace = error.__traceback__

    def restore(self, error: BaseException) -> None:
        """Gives the traceback back to what the function raised, where that is `error` or its cause.

        The engine strips exceptions of their tracebacks, because those of a model hold prompts in foreign frames. Here the frames are the
        caller's own function, and without them nobody finds the line that failed.
        """
        failure = self._failure
        if failure is not None and (failure is error or failure is error.__cause__):
            failure.with_traceback(self._trace)  # not an assignment: a frozen class refuses those
            self._failure = self._trace = None

    def end(self) -> None:
        """The call is over. An attempt that lost may still fail in its thread."""
        self._over = True
        if self._failure is not None:
            self.forget()

    def forget(self) -> None:
        """Lets go of a failure that nobody will meet: its traceback, its frames and this object would hold each other beyond the call."""
        if self._failure is not None:
            self._failure.with_traceback(None)
        self._failure = self._trace = None

    def __repr__(self) -> str:
        return f"Invocation(<{len(self.args) + len(self.kwargs)} arguments>)"
