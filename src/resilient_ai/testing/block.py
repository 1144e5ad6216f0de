"""Keeps a test suite from reaching a real provider."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Generator, Mapping
from typing import final

from resilient_ai.core.model import Scope
from resilient_ai.models.http import Exchange, Transport


@final
class RealCallBlocked(BaseException):
    """A test was about to send a request off this machine. Not an `Exception`, so that no fallback answers in its place."""


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith((".localhost", ".invalid", ".test")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def block_real_calls() -> Generator[None]:
    """Lets models reach this machine only while the block runs.

    Raises:
        RealCallBlocked: Out of the call that tried, naming the host.
    """
    original = Transport.open

    async def guarded(
        self: Transport,
        method: str,
        path: str,
        body: bytes | None,
        scope: Scope,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        if not _is_here(self.host):
            raise RealCallBlocked(
                f"a test was about to send a request to {self.host}; use ScriptedModel or FaultServer"
            )
        return await original(self, method, path, body, scope, headers)

    Transport.open = guarded  # type: ignore[method-assign]
    try:
        yield
    finally:
        Transport.open = original  # type: ignore[method-assign]
