"""The ways a client is adopted, each by one SDK: hooks in both colours, the HTTP client, boto3's events. All are asked alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import boto3
import cohere
import httpx
import openai
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from resilient_ai.testing.fault_server.dialects import DialectName

ASK: list[Any] = [{"role": "user", "content": "Where is my parcel?"}]
boto: Any = boto3


class Sdk:
    """One SDK in one colour: how it is made, asked for a whole answer and for a stream, and closed."""

    dialect: DialectName = "openai"
    late: type[Exception] = openai.APITimeoutError

    def __init__(self, url: str, key: str) -> None:
        self.client: Any = openai.OpenAI(api_key=key, base_url=url)

    def ask(self) -> Any:
        return self.client.chat.completions.create(model="gpt-5.2", messages=ASK)

    def stream(self) -> Any:
        stream = self.client.chat.completions.create(model="gpt-5.2", messages=ASK, stream=True)
        list(stream)
        return stream

    def run(self, call: Callable[[], Any]) -> Any:
        """What `call`, one of the two above, comes to."""
        return call()

    def close(self) -> None:
        self.client.close()


class AsyncSdk(Sdk):
    def __init__(self, url: str, key: str) -> None:
        self.client = openai.AsyncOpenAI(api_key=key, base_url=url)
        self._runner = asyncio.Runner()

    async def stream(self) -> Any:
        stream = await self.client.chat.completions.create(model="gpt-5.2", messages=ASK, stream=True)
        async for _ in stream:
            pass
        return stream

    def run(self, call: Callable[[], Any]) -> Any:
        return self._runner.run(call())

    def close(self) -> None:
        self._runner.run(self.client.close())
        self._runner.close()


class ByTransport(Sdk):
    dialect = "cohere"
    late = httpx.ReadTimeout

    def __init__(self, url: str, key: str) -> None:
        self.client = cohere.ClientV2(api_key=key, base_url=url)

    def ask(self) -> Any:
        return self.client.chat(model="command-a", messages=ASK)

    def stream(self) -> Any:
        stream = self.client.chat_stream(model="command-a", messages=ASK)
        list(stream)
        return stream

    def close(self) -> None:
        self.client._client_wrapper.httpx_client.httpx_client.close()


class ByEvents(Sdk):
    dialect = "bedrock"
    late = ReadTimeoutError

    def __init__(self, url: str, key: str) -> None:
        self.client = boto.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id=key,
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def ask(self) -> Any:
        return self.client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "?"}]}])

    def stream(self) -> Any:
        answer = self.client.converse_stream(
            modelId="m", messages=[{"role": "user", "content": [{"text": "?"}]}]
        )
        list(answer["stream"])
        return answer["stream"]


KINDS = (Sdk, AsyncSdk, ByTransport, ByEvents)
