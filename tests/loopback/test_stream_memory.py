"""Whatever a server sends, a stream takes little memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator

import pytest

from resilient_ai import ResilientError, ResilientModel, Retry
from resilient_ai.models import OpenAIModel

BOUND_BYTES = 8 * 1024 * 1024


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A fault server in a process of its own, so that only the client's memory is measured."""
    command = [sys.executable, "-m", "resilient_ai.testing.fault_server", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        found = 0
        for line in server.stdout:
            if "127.0.0.1:" in line:
                found = int("".join(filter(str.isdigit, line.split("127.0.0.1:")[1].split("/")[0])))
                break
        assert found
        yield found
        server.terminate()


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize(
    "fault",
    [
        "infinite-stream",
        "infinite-line",
        "infinite-event",
        "giant-event:64",
        "huge-body:64",
        "gzip-bomb:256",
        "pings-forever:0.001",
    ],
)
def test_a_stream_stays_under_eight_mebibytes(port: int, fault: str, colour: str) -> None:
    url = f"http://127.0.0.1:{port}/f/{fault}/openai"
    chain = ResilientModel(
        [OpenAIModel("gpt-x", base_url=url, api_key="k")], deadline=1.5, retry=Retry(attempts=1)
    )

    async def run() -> None:
        try:
            await chain.astream("question").reply()
        finally:
            await chain.aclose()

    def read() -> None:
        if colour == "sync":
            chain.stream("question").reply()
        else:
            asyncio.run(run())

    tracemalloc.start()
    try:
        with pytest.raises(ResilientError):
            read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        chain.close()
    assert peak < BOUND_BYTES
