"""Which result belongs to which call, for formats that tell it by name and order instead of by an identifier."""

from __future__ import annotations

from typing import final

from resilient_ai.models.wire.identifiers import call_id


@final
class CallPairing:
    """The calls of one conversation, read from its beginning.

    A call without an identifier is given one: the same for the same conversation, so that it may be read again. A result
    without one answers the first open call of its name, else the first open call.
    """

    __slots__ = ("_calls", "_names", "_open")

    def __init__(self) -> None:
        self._calls = 0
        self._names: dict[str, str] = {}
        self._open: dict[str, str] = {}  # calls without a result so far, oldest first

    def called(self, told: str, name: str) -> str:
        """The identifier of the next call; `told` if the wire has one."""
        identity = told or call_id(self._calls, name)
        self._calls += 1
        self._names[identity] = name
        self._open[identity] = name
        return identity

    def answered(self, told: str, name: str) -> tuple[str, str | None]:
        """The identifier and the name of the call that the next result answers.

        Args:
            told: The identifier the result names; empty without one.
            name: The tool it names; empty without one.
        """
        identity = told or self._first(name) or call_id("result", self._calls, name)
        self._open.pop(identity, None)
        return identity, name or self._names.get(identity)

    def _first(self, name: str) -> str | None:
        for identity, called in self._open.items():
            if called == name:
                return identity
        return None if name and name in self._names.values() else next(iter(self._open), None)
