"""LangChain's own standard tests of a chat model, unchanged, against a provider on loopback and against plain functions.

What is switched off, and why:

- `model_override_value`: a chain decides who answers; `model=` with a call is refused (`test_langchain.py`).
- `max_retries`, `timeout` and `api_key` of `standard_chat_model_params`: they belong to the chain and are refused (`test_langchain.py`).
- pictures and documents inside tool results: a tool result of ours is text; others are refused by name.
- `enable_vcr_tests`, `test_init_from_env`, `test_serdes`: a chain holds keys and connections; it is neither made from the environment nor
  serialised.
- usage of audio: no wire format of ours reports it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from typing_extensions import override

from obliging_server import ObligingServer
from resilient_ai import ResilientModel
from resilient_ai.frameworks.langchain import ResilientChatModel
from resilient_ai.models import canned

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, AIMessageChunk

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:.*is marked with '@pytest.mark.asyncio' but it is not an async function"
    ),
    # A document without a file name, which the suite sends on purpose.
    pytest.mark.filterwarnings("ignore:OpenAI may require a filename:UserWarning"),
    # The suite's own: LangChain's deprecated `dict`, and pydantic's version 1, which it still tests.
    pytest.mark.filterwarnings("ignore:.*`dict` was deprecated:DeprecationWarning"),
]


def some_bytes(*_: object, **__: object) -> httpx.Response:
    return httpx.Response(200, content=b"some bytes")


class TestUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[ResilientChatModel]:
        return ResilientChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": ResilientModel([canned("Hello.")])}

    @property
    @override
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {"temperature": 0, "max_tokens": 100, "stop": []}


@pytest.mark.asyncio
class TestOnLoopback(ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _chain(self, obliging: ObligingServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self._params: dict[str, Any] = {"model": ResilientModel([obliging.model()])}
        # The suite fetches its pictures and documents from the web; any bytes do here.
        monkeypatch.setattr(httpx, "get", some_bytes)
        monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "loopback")
        yield
        self._params["model"].close()

    @property
    def chat_model_class(self) -> type[ResilientChatModel]:
        return ResilientChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return self._params

    @property
    def supports_model_override(self) -> bool:
        return False

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(
        self,
    ) -> dict[Literal["invoke", "stream"], list[Any]]:
        return {
            "invoke": ["reasoning_output", "cache_read_input"],
            "stream": ["reasoning_output", "cache_read_input"],
        }

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._told(stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        return self._told(stream=stream)

    def _told(self, *, stream: bool) -> AIMessage:
        model = ResilientChatModel(**self._params)
        if not stream:
            return model.invoke("Hello")
        chunks = list(model.stream("Hello"))
        whole: AIMessageChunk = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        return whole
