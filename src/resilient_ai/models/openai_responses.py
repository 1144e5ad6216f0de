"""OpenAI's Responses API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, final

from resilient_ai.models.credential import Key, find_credential
from resilient_ai.models.openai import KEY_VARIABLES, OPENAI_URL, address_of, bearer
from resilient_ai.models.remote import RemoteModel
from resilient_ai.models.wire.openai_responses import OpenAIResponses

if TYPE_CHECKING:
    from resilient_ai.messages import DataClassName
    from resilient_ai.models.prices import PriceSetting
    from resilient_ai.policies.timeouts import Timeouts


@final
class OpenAIResponsesModel(RemoteModel):
    """A model behind OpenAI's Responses API. Arguments and errors as for `OpenAIModel`."""

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
        address = address_of(base_url)
        super().__init__(
            name,
            provider=provider or "openai",
            codec=OpenAIResponses(),
            base_url=address,
            credential=find_credential(
                api_key,
                variables=KEY_VARIABLES,
                required=address.rstrip("/") == OPENAI_URL,
                provider="OpenAI",
            ),
            authorise=bearer,
            headers={header.lower(): value for header, value in (headers or {}).items()},
            http_client=http_client,
            context_tokens=context_tokens,
            data_classes=data_classes,
            timeouts=timeouts,
            price=price,
        )
