"""The connections to one child. It is asked like any other OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final, final

from resilient_ai.core.classify import classify
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.core.failure import FailureKind
from resilient_ai.models.credential import Credential
from resilient_ai.models.http import Transport
from resilient_ai.models.openai import bearer
from resilient_ai.models.remote import RemoteModel
from resilient_ai.models.wire.openai_chat import OpenAIChat

if TYPE_CHECKING:
    from resilient_ai.core.model import Scope
    from resilient_ai.models.on_device.process import Endpoint

PROVIDER: Final = "on-device"

# llama.cpp closes a connection after a stream, after 100 requests or 5 idle seconds without announcing it, and a request that is sent into
# that moment fails. A new connection to a Unix socket costs half a millisecond and cannot be stale.
_HEADERS: Final = {"connection": "close"}


@final
class Link:
    """One child, as a remote model and as a server that tells how busy it is. Safe to share between threads, tasks and loops."""

    __slots__ = ("_control", "endpoint", "remote")

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        self.endpoint = endpoint
        self.remote = RemoteModel(
            name,
            provider=PROVIDER,
            codec=OpenAIChat(max_tokens_field="max_tokens"),
            base_url=f"{endpoint.base_url}/v1",
            credential=Credential((endpoint.key,)),
            authorise=bearer,
            headers=_HEADERS,
            uds=endpoint.uds,
        )
        self._control = Transport(
            endpoint.base_url, headers={**_HEADERS, **bearer(endpoint.key)}, uds=endpoint.uds
        )

    async def busy_slots(self, scope: Scope) -> int | None:
        """How many slots are computing; None if the child does not say in time, or at all."""
        try:
            if scope.blocking:
                response = await self._control.exchange("GET", "/slots", None, scope)
            else:
                async with asyncio.timeout(scope.remaining()):
                    response = await self._control.exchange("GET", "/slots", None, scope)
        except (AttemptTimeout, TimeoutError):
            return None
        except Exception as error:
            # Each HTTP engine has classes of its own for a connection that broke; the classifier knows them all.
            if classify(error).kind is FailureKind.CONNECTION:
                return None
            raise
        if response.status != 200:
            return None
        slots: list[dict[str, object]] = json.loads(response.body)
        return sum(slot["is_processing"] is True for slot in slots)

    def close(self) -> None:
        """Closes idle blocking connections."""
        self.remote.close()
        self._control.close()

    async def aclose(self) -> None:
        """Closes the connections of the running loop, and the blocking ones."""
        await self.remote.aclose()
        await self._control.aclose()
