"""Ollama, on this machine or another."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, final
from urllib.parse import urlsplit

from resilient_ai.core.model import Traits
from resilient_ai.models.credential import Key, find_credential
from resilient_ai.models.openai import bearer
from resilient_ai.models.remote import RemoteModel
from resilient_ai.models.wire.ollama import Ollama

if TYPE_CHECKING:
    from resilient_ai.messages import DataClassName
    from resilient_ai.models.prices import PriceSetting
    from resilient_ai.policies.timeouts import Timeouts

OLLAMA_URL: Final = "http://127.0.0.1:11434"
_PORT: Final = 11434
_LOOPBACK: Final = frozenset(("127.0.0.1", "localhost", "::1"))


@final
class OllamaModel(RemoteModel):
    """A model behind Ollama. One on this machine's own address counts as local: nothing leaves the device.

    Args:
        name: The model's name, with its tag.
        base_url: The address before `/api/chat`; None takes OLLAMA_HOST or the server on this machine.
        api_key: For a server that wants one; Ollama itself does not, and no variable is read.
        http_client: An httpx or httpx2 client to send with; it stays the caller's to close.
        context_tokens: Size of the context window; requests that cannot fit are passed on without asking. None takes `num_ctx`.
        data_classes: Data classes the model may see; None means all.
        timeouts: Its own clocks; None takes the chain's. A model that is not loaded yet may take a minute to its first token.
        price: What its tokens cost; "auto" looks it up in `genai-prices` (extra `prices`).
        headers: Sent with every request; names in any case.
        provider: Who serves it, for telemetry and error tables; None is `ollama`.
        num_ctx: Size of the context window to load the model with, in tokens; None leaves it to the server.
        keep_alive: How long the model stays loaded afterwards: seconds, or text such as `10m`; None leaves it to the server.

    Raises:
        ConfigError: `base_url` is no usable address.
    """

    def __init__(
        self,
        name: str,
        base_url: str | None = None,
        api_key: Key | Sequence[Key] | None = None,
        http_client: object | None = None,
        context_tokens: int | None = None,
        data_classes: Iterable[DataClassName] | None = None,
        timeouts: Timeouts | None = None,
        *,
        price: PriceSetting = None,
        headers: Mapping[str, str] | None = None,
        provider: str | None = None,
        num_ctx: int | None = None,
        keep_alive: str | float | None = None,
    ) -> None:
        address = base_url or _host(os.environ.get("OLLAMA_HOST", ""))
        super().__init__(
            name,
            provider=provider or "ollama",
            codec=Ollama(num_ctx=num_ctx, keep_alive=keep_alive),
            base_url=address,
            credential=find_credential(api_key, variables=(), required=False, provider="Ollama"),
            authorise=bearer,
            headers={header.lower(): value for header, value in (headers or {}).items()},
            http_client=http_client,
            context_tokens=num_ctx if context_tokens is None else context_tokens,
            data_classes=data_classes,
            timeouts=timeouts,
            price=price,
            traits=Traits(local=_on_this_device(name, address)),
        )


def _on_this_device(name: str, address: str) -> bool:
    """Whether nothing leaves the device. Models of Ollama's cloud are reached through the local server, and run elsewhere.

    Source: https://docs.ollama.com/cloud
    """
    return urlsplit(address).hostname in _LOOPBACK and not name.endswith(("-cloud", ":cloud"))


def _host(told: str) -> str:
    """The address behind OLLAMA_HOST, which is the server's own variable: it may lack scheme and port, and mean all interfaces."""
    told = told.strip().rstrip("/")
    if not told:
        return OLLAMA_URL
    if "://" in told:
        return told
    parts = urlsplit(f"//{told}")
    host = "127.0.0.1" if parts.hostname in (None, "0.0.0.0", "::") else parts.hostname  # noqa: S104 - compared, not bound
    return f"http://{f'[{host}]' if host and ':' in host else host}:{parts.port or _PORT}{parts.path}"
