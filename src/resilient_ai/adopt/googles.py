"""google-genai's asynchronous half, which sends by aiohttp where that is installed, and by its httpx client where it is not.

While it is wrapped it does as if aiohttp were not there: its own httpx client stands ready and follows the policy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from resilient_ai.adopt.held import held_by
from resilient_ai.errors import ConfigError


def keep_to_httpx(sdk: object) -> list[Callable[[], None]]:
    """Has the clients of google-genai in `sdk` send by httpx, and returns what undoes it. Does nothing to other SDKs.

    Raises:
        ConfigError: It was made for aiohttp: with a session, or with arguments only aiohttp takes.
    """
    undo: list[Callable[[], None]] = []
    for one in held_by(sdk):
        chooses = getattr(one, "_use_aiohttp", None)
        if chooses is None or not chooses():
            continue
        _check(one)
        one._use_aiohttp = _never  # noqa: SLF001 - the SDK's own question, answered on this one object
        undo.append(partial(delattr, one, "_use_aiohttp"))
    return undo


def _never() -> bool:
    return False


def _check(client: Any) -> None:
    options = client._http_options  # noqa: SLF001 - there is no other way to it
    ready = client._async_httpx_client  # noqa: SLF001 - as above
    taken = _parameters(ready)
    alien = sorted(set(options.async_client_args or {}) - taken)
    if ready is not None and options.aiohttp_client is None and not alien:
        return
    why = (
        "an aiohttp_client"
        if options.aiohttp_client is not None
        else f"async_client_args for aiohttp ({', '.join(alien)})"
    )
    if ready is None:
        why = "no httpx client for its asynchronous half"
    raise ConfigError(
        f"This google-genai client has {why}, and what aiohttp sends cannot be followed. Give it an httpx client instead: "
        "Client(http_options={'httpx_async_client': httpx2.AsyncClient()}).",
        key="client",
    )


def _parameters(client: Any) -> set[str]:
    kind: Any = client.__class__
    return {
        name for base in kind.__mro__ if base is not object for name in inspect.signature(base).parameters
    }
