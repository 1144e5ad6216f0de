"""OpenAI's Chat Completions, and every server that speaks it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, final

from resilient_ai.models.credential import Key, find_credential
from resilient_ai.models.remote import RemoteModel
from resilient_ai.models.wire.openai_chat import OpenAIChat

if TYPE_CHECKING:
    from resilient_ai.messages import DataClassName
    from resilient_ai.models.prices import PriceSetting
    from resilient_ai.policies.timeouts import Timeouts

OPENAI_URL: Final = "https://api.openai.com/v1"
KEY_VARIABLES: Final = ("OPENAI_API_KEY",)


def bearer(key: str) -> Mapping[str, str]:
    """The header OpenAI's APIs take a key in."""
    return {"authorization": f"Bearer {key}"}


def address_of(given: str | None) -> str:
    """The base URL to use: the one given, OPENAI_BASE_URL, or OpenAI's own."""
    return given or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL


@final
class OpenAIModel(RemoteModel):
    """A model behind OpenAI's Chat Completions API, or any compatible server by `base_url`.

    Compatible are vLLM, llama-server, LM Studio, Groq, Mistral, OpenRouter and many more.

    Args:
        name: The model's name at the provider.
        base_url: The address before `/chat/completions`; None takes OPENAI_BASE_URL or OpenAI's own.
        api_key: A key, several to rotate over, or a function that gives the current one; None takes OPENAI_API_KEY. A server at another
            `base_url` may need none.
        http_client: An httpx or httpx2 client to send with; it stays the caller's to close.
        context_tokens: Size of the context window; requests that cannot fit are passed on without asking.
        data_classes: Data classes the model may see; None means all.
        timeouts: Its own clocks; None takes the chain's.
        price: What its tokens cost; "auto" looks it up in `genai-prices` (extra `prices`).
        headers: Sent with every request; names in any case.
        provider: Who serves it, for telemetry and error tables; None is `openai`.
        max_tokens_field: The request's name for the output bound. Servers other than OpenAI's mostly know `max_tokens` only.

    Raises:
        ConfigError: There is no key, or `base_url` is no usable address.
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
        max_tokens_field: Literal["max_completion_tokens", "max_tokens"] | None = None,
    ) -> None:
        address = address_of(base_url)
        own = address.rstrip("/") == OPENAI_URL
        field = max_tokens_field or ("max_completion_tokens" if own else "max_tokens")
        super().__init__(
            name,
            provider=provider or "openai",
            codec=OpenAIChat(max_tokens_field=field),
            base_url=address,
            credential=find_credential(api_key, variables=KEY_VARIABLES, required=own, provider="OpenAI"),
            authorise=bearer,
            headers={header.lower(): value for header, value in (headers or {}).items()},
            http_client=http_client,
            context_tokens=context_tokens,
            data_classes=data_classes,
            timeouts=timeouts,
            price=price,
        )
