"""Google's Gemini API."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, final

from resilient_ai.models.credential import Key, find_credential
from resilient_ai.models.remote import RemoteModel
from resilient_ai.models.wire.gemini import Gemini

if TYPE_CHECKING:
    from resilient_ai.messages import DataClassName
    from resilient_ai.models.prices import PriceSetting
    from resilient_ai.policies.timeouts import Timeouts

GEMINI_URL: Final = "https://generativelanguage.googleapis.com"
_VERSION: Final = "/v1beta"
"""The version with structured output and thinking; what an address names itself wins."""

_NAMES_VERSION: Final = re.compile(r"/v\d+(?:(?:alpha|beta)\d*)?(?:/|$)")
_KEY_VARIABLES: Final = ("GEMINI_API_KEY", "GOOGLE_API_KEY")


@final
class GeminiModel(RemoteModel):
    """A model behind Google's Gemini API.

    Args:
        name: The model's name, with or without `models/`.
        base_url: The address before `/models/`, with or without a version (`/v1beta`); None takes GOOGLE_GEMINI_BASE_URL or Google's own.
        api_key: A key, several to rotate over, or a function that gives the current one; None takes GEMINI_API_KEY or GOOGLE_API_KEY. A server
            at another `base_url` may need none.
        http_client: An httpx or httpx2 client to send with; it stays the caller's to close.
        context_tokens: Size of the context window; requests that cannot fit are passed on without asking.
        data_classes: Data classes the model may see; None means all.
        timeouts: Its own clocks; None takes the chain's.
        price: What its tokens cost; "auto" looks it up in `genai-prices` (extra `prices`).
        headers: Sent with every request; names in any case.
        provider: Who serves it, for telemetry and error tables; None is `gemini`.

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
        given = (base_url or os.environ.get("GOOGLE_GEMINI_BASE_URL") or GEMINI_URL).rstrip("/")
        address = given if _NAMES_VERSION.search(given) else given + _VERSION
        super().__init__(
            name.removeprefix("models/"),
            provider=provider or "gemini",
            codec=Gemini(),
            base_url=address,
            credential=find_credential(
                api_key,
                variables=_KEY_VARIABLES,
                required=address.startswith(GEMINI_URL),
                provider="Gemini",
            ),
            authorise=_api_key,
            headers={header.lower(): value for header, value in (headers or {}).items()},
            http_client=http_client,
            context_tokens=context_tokens,
            data_classes=data_classes,
            timeouts=timeouts,
            price=price,
        )


def _api_key(key: str) -> Mapping[str, str]:
    return {"x-goog-api-key": key}
