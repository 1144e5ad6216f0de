"""Anthropic's Messages API."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, final

from resilient_ai.models.credential import Key, find_credential
from resilient_ai.models.remote import RemoteModel
from resilient_ai.models.wire.anthropic import Anthropic

if TYPE_CHECKING:
    from resilient_ai.messages import DataClassName
    from resilient_ai.models.prices import PriceSetting
    from resilient_ai.policies.timeouts import Timeouts

ANTHROPIC_URL: Final = "https://api.anthropic.com"
ANTHROPIC_VERSION: Final = "2023-06-01"
"""Source: https://platform.claude.com/docs/en/api/versioning; still the only one."""

_KEY_VARIABLES: Final = ("ANTHROPIC_API_KEY",)


@final
class AnthropicModel(RemoteModel):
    """A model behind Anthropic's Messages API, or any compatible server by `base_url`.

    Args:
        name: The model's name at the provider.
        base_url: The address before `/v1/messages`; None takes ANTHROPIC_BASE_URL or Anthropic's own.
        api_key: A key, several to rotate over, or a function that gives the current one; None takes ANTHROPIC_API_KEY. A server at
            another `base_url` may need none.
        http_client: An httpx or httpx2 client to send with; it stays the caller's to close.
        context_tokens: Size of the context window; requests that cannot fit are passed on without asking.
        data_classes: Data classes the model may see; None means all.
        timeouts: Its own clocks; None takes the chain's.
        price: What its tokens cost; "auto" looks it up in `genai-prices` (extra `prices`).
        headers: Sent with every request, for example `anthropic-beta`; names in any case.
        provider: Who serves it, for telemetry and error tables; None is `anthropic`.

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
    ) -> None:
        given = base_url or os.environ.get("ANTHROPIC_BASE_URL") or ANTHROPIC_URL
        address = given.rstrip("/").removesuffix("/v1")
        sent = {header.lower(): value for header, value in (headers or {}).items()}
        super().__init__(
            name,
            provider=provider or "anthropic",
            codec=Anthropic(),
            base_url=address,
            credential=find_credential(
                api_key, variables=_KEY_VARIABLES, required=address == ANTHROPIC_URL, provider="Anthropic"
            ),
            authorise=_api_key,
            headers={"anthropic-version": ANTHROPIC_VERSION, **sent},
            http_client=http_client,
            context_tokens=context_tokens,
            data_classes=data_classes,
            timeouts=timeouts,
            price=price,
        )


def _api_key(key: str) -> Mapping[str, str]:
    return {"x-api-key": key}
