"""The SDK itself as the first model of a chain."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from copy import copy
from typing import TYPE_CHECKING, Final, Protocol, final
from urllib.parse import urlsplit

from resilient_ai.core.model import Traits

if TYPE_CHECKING:
    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.messages import Reply, Request


class Attempts(Protocol):
    """Who makes the attempts at the SDK's own provider on behalf of one call."""

    async def whole(self, scope: Scope) -> Reply:
        """One attempt at a whole answer."""
        ...

    async def streamed(self, scope: Scope) -> ChunkSource:
        """One attempt at a streamed answer."""
        ...

    def sends(self, request: object) -> bool:
        """`request`, of the SDK's HTTP library, is an attempt of this call."""
        ...


CURRENT: Final[ContextVar[weakref.ref[Attempts] | None]] = ContextVar(
    "resilient_ai.adopt.current", default=None
)
"""The call of a wrapped client that is being driven; None outside one. Chains are shared, the SDK's request is the call's own.

Weak, for whoever drives the call holds it: an event loop keeps timers that were cancelled, with their context, until there are many of them
or their time comes, and with a strong one every prompt.
"""


def current() -> Attempts | None:
    """The call that is being driven here."""
    held = CURRENT.get()
    return None if held is None else held()


@final
class Primary:
    """What the engine must know of the provider behind a client. It sends through the SDK, with the SDK's own request.

    Args:
        name: The model's name.
        provider: The SDK's name.
        base_url: The client's address.
        credential: A digest of its key.
        wire: The wire format, or None for a call that passes through.
        fetched: The key is not known before it stands in a request.
    """

    __slots__ = ("fetched", "key", "name", "provider", "traits")

    def __init__(
        self,
        name: str,
        provider: str,
        base_url: str,
        credential: str,
        wire: str | None,
        *,
        fetched: bool = False,
    ) -> None:
        self.fetched = fetched
        self.name = name
        self.provider = provider
        self.key = f"{provider}:{name}@{base_url.rstrip('/')}#{credential}"
        where = urlsplit(base_url)
        port = where.port or {"https": 443, "http": 80}.get(where.scheme)
        self.traits = Traits(server_address=where.hostname, server_port=port, wire=wire)

    def known(self, traits: Traits) -> Primary:
        """The same model, of which more is known."""
        other = copy(self)
        other.traits = traits
        return other

    async def answer(self, request: Request, scope: Scope) -> Reply:  # noqa: ARG002 - the SDK sends the request it was given
        """One more attempt through the SDK, after its own loop has ended.

        Raises:
            Exception: What the SDK raises.
        """
        return await _current().whole(scope)

    async def open(self, request: Request, scope: Scope) -> ChunkSource:  # noqa: ARG002 - as above
        """The stream the SDK has just opened, or one more attempt at one.

        Raises:
            Exception: What the SDK raises.
        """
        return await _current().streamed(scope)

    def close(self) -> None:
        """Does nothing: the client is the caller's."""

    async def aclose(self) -> None:
        """Does nothing: the client is the caller's."""


def _current() -> Attempts:
    attempts = current()
    if attempts is None:
        raise AssertionError("the model of a wrapped client was asked outside a call of that client")
    return attempts
