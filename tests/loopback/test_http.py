"""The HTTP seam on real sockets: reuse, clients of the caller's own, proxies, keys, forks, loops."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from resilient_ai import CallError, ConfigError, ModelError, ResilientModel, Retry, wrap
from resilient_ai.models import OpenAIModel, canned
from resilient_ai.models.http import connect
from resilient_ai.testing import FaultServer, RealCallBlocked, block_real_calls


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def chain(url: str, http_client: object | None = None) -> ResilientModel:
    model = OpenAIModel("gpt-x", base_url=url, api_key="sk-a", http_client=http_client)
    return ResilientModel([model], retry=Retry(base=0.01))


def connections(server: FaultServer, session: str) -> int:
    return len({one.connection for one in server.requests(session)})


def test_calls_and_streams_reuse_one_connection(server: FaultServer) -> None:
    model = chain(server.url(session="reuse"))
    for _ in range(3):
        assert model.generate("q").text == server.text
        assert model.stream("q").reply().text == server.text
    assert connections(server, "reuse") == 1
    model.close()


def test_asynchronous_calls_and_streams_reuse_one_connection(server: FaultServer) -> None:
    model = chain(server.url(session="areuse"))

    async def main() -> None:
        for _ in range(3):
            assert (await model.agenerate("q")).text == server.text
            assert (await model.astream("q").reply()).text == server.text
        await model.aclose()

    asyncio.run(main())
    assert connections(server, "areuse") == 1


@pytest.mark.parametrize("way", ["generate", "agenerate", "stream", "astream"])
@pytest.mark.parametrize("fault", ["stall-no-response", "connect-refused", "rst-after-work", "status:500"])
def test_nothing_that_failed_is_its_own_cause(server: FaultServer, fault: str, way: str) -> None:
    model = OpenAIModel("gpt-x", base_url=server.url(fault, session=f"cause-{way}"), api_key="sk-a")
    chain = ResilientModel([model], retry=Retry(attempts=1), deadline=0.3)

    def ask() -> object:
        asked = getattr(chain, way)("q")
        return asked if way == "generate" else asked.reply()

    async def aask() -> object:
        async with chain:
            asked = getattr(chain, way)("q")
            return await (asked if way == "agenerate" else asked.reply())

    with pytest.raises(CallError) as raised:
        asyncio.run(aask()) if way[0] == "a" else ask()
    chain.close()
    error: BaseException | None = raised.value
    met: list[BaseException] = []
    while error is not None:
        assert error not in met
        met.append(error)
        error = error.__cause__


def test_one_model_serves_two_loops_and_a_thread(server: FaultServer) -> None:
    model = chain(server.url(session="loops"))

    async def once() -> str:
        try:
            return (await model.agenerate("q")).text
        finally:
            await model.aclose()

    texts = [asyncio.run(once()), asyncio.run(once()), model.generate("q").text]
    assert texts == [server.text] * 3
    model.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("dropped", ["in the loop", "after it"])
def test_connections_left_open_end_with_their_loop(server: FaultServer, dropped: str) -> None:
    kept: list[ResilientModel] = []

    async def main() -> None:
        model = chain(server.url(session=f"left-open-{len(dropped)}"))
        await model.agenerate("q")
        stream = model.astream("q")
        await anext(stream)
        if dropped == "after it":
            kept.append(model)

    asyncio.run(main())
    kept.clear()
    gc.collect()  # a socket that was left to it would be a ResourceWarning


def test_a_model_is_made_with_all_that_its_first_call_loads(server: FaultServer) -> None:
    code = f"""
import asyncio, sys
from resilient_ai import ResilientModel
from resilient_ai.models import OpenAIModel

model = ResilientModel([OpenAIModel("m", base_url={server.url(session="loaded")!r}, api_key="sk-a")])
ready = set(sys.modules)

async def main():
    await model.agenerate("q")
    await model.aclose()

asyncio.run(main())
model.generate("q")
print(*sorted({{name.partition(".")[0] for name in set(sys.modules) - ready}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"httpcore", "httpcore2", "anyio", "h11", "h2", "ssl", "urllib", "pydantic"} & set(
        done.stdout.split()
    )


@pytest.mark.parametrize("kept", ["model", "unread", "asynchronous"])
def test_what_is_kept_until_the_interpreter_ends_says_nothing_then(server: FaultServer, kept: str) -> None:
    code = f"""
import asyncio, threading
from resilient_ai import ResilientModel
from resilient_ai.models import OpenAIModel

model = ResilientModel([OpenAIModel("m", base_url={server.url(session="kept")!r}, api_key="sk-a")])
model.generate("q")

async def main():
    stream = model.astream("q")
    await anext(stream)
    return stream

kept = {{"model": model, "unread": model.stream("q"), "asynchronous": asyncio.run(main())}}
# A module that outlives those of the HTTP library, as the globals of a test suite and of a notebook do.
threading.kept = kept[{kept!r}]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize("file", ["missing.pem", "empty.pem"])
def test_certificates_that_cannot_be_read_are_refused_at_construction(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / file))
    monkeypatch.setattr(connect, "_context", None)
    with pytest.raises(ConfigError, match="SSL_CERT_FILE"):
        OpenAIModel("gpt-x", api_key="sk-a")


def test_a_forked_child_opens_connections_of_its_own(server: FaultServer) -> None:
    model = chain(server.url(session="fork"))
    model.generate("q")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            dropped: list[str] = []
            sys.unraisablehook = lambda unraised: dropped.append(repr(unraised.exc_value))
            gc.collect()
            dropped.clear()  # what other tests had left behind before the fork
            said = model.generate("q").text
            model.close()
            gc.collect()
            os.write(writer, "".join([said, *dropped]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == server.text  # and no socket was left to the collector
    os.waitpid(child, 0)
    assert model.generate("q").text == server.text
    assert connections(server, "fork") == 2
    model.close()


def test_a_callers_own_client_is_used_and_left_open(server: FaultServer) -> None:
    with httpx.Client(headers={"x-mine": "yes"}) as client:
        model = chain(server.url(session="mine"), http_client=client)
        assert model.generate("q").text == server.text
        assert model.stream("q").reply().text == server.text
        model.close()
        assert not client.is_closed
    assert {one.header("x-mine") for one in server.requests("mine")} == {"yes"}


def test_a_callers_own_asynchronous_client_is_used(server: FaultServer) -> None:
    async def main() -> None:
        async with httpx.AsyncClient() as client:
            model = chain(server.url(session="amine"), http_client=client)
            assert (await model.agenerate("q")).text == server.text
            assert (await model.astream("q").reply()).text == server.text

    asyncio.run(main())


def test_a_client_of_the_wrong_kind_is_one_clear_error(server: FaultServer) -> None:
    with httpx.Client() as client:
        model = chain(server.url(), http_client=client)
        with pytest.raises(ConfigError, match="Use generate or stream"):
            asyncio.run(model.agenerate("q"))


def test_a_callers_own_client_follows_no_redirect(server: FaultServer) -> None:
    with httpx.Client(follow_redirects=True) as client:
        model = chain(server.url("redirect-cross-origin", session="follow"), http_client=client)
        with pytest.raises(ModelError):
            model.generate("q")
    assert server.requests("leak") == []


def test_a_proxy_of_the_environment_is_asked_and_its_password_told_to_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=answer)
    thread.start()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("http_proxy", f"http://user:hunter2hunter2@127.0.0.1:{listener.getsockname()[1]}")
    model = ResilientModel(
        [OpenAIModel("gpt-x", base_url="http://provider.invalid/v1", api_key="sk-a")], retry=Retry(attempts=1)
    )
    with pytest.raises(ModelError) as caught:
        model.generate("q")
    thread.join()
    listener.close()
    model.close()
    assert heard[0].startswith(b"POST http://provider.invalid/v1/chat/completions")
    assert "hunter2" not in "".join(
        map(str, (caught.value, repr(caught.value), caught.value.__notes__, caught.value.__cause__))
    )


def test_a_dead_proxy_is_a_connection_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:hunter2hunter2@127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    model = ResilientModel(
        [OpenAIModel("gpt-x", base_url="http://provider.invalid/v1", api_key="sk-a")], retry=Retry(attempts=1)
    )
    with pytest.raises(ModelError, match="connection"):
        model.generate("q")
    model.close()


@pytest.mark.parametrize(
    "url", ["ftp://x", "provider.com/v1", "https://user:pw@host/v1", "https://host/v1?key=1", ""]
)
def test_an_unusable_address_is_refused_at_construction(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OpenAIModel("gpt-x", base_url=url or "https://", api_key="sk-a")
    assert "pw" not in str(caught.value)


def test_a_missing_key_is_refused_at_construction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        OpenAIModel("gpt-x")
    assert OpenAIModel("local", base_url="http://127.0.0.1:1/v1").name == "local"


def test_unknown_models_are_refused_with_the_nearest_provider() -> None:
    with pytest.raises(ConfigError, match="openai:gpt-5"):
        ResilientModel(["opnai:gpt-5"])
    with pytest.raises(ConfigError, match="provider:name"):
        ResilientModel(["gpt-5"])
    with pytest.raises(ConfigError, match="of type int can answer"):
        ResilientModel([3])  # type: ignore[list-item]


def test_a_suite_can_be_kept_off_the_network(server: FaultServer) -> None:
    real = ResilientModel([OpenAIModel("gpt-x", api_key="sk-a"), canned("hidden")])
    with block_real_calls():
        with pytest.raises(RealCallBlocked, match=r"api\.openai\.com"):
            real.generate("q")
        assert chain(server.url()).generate("q").text == server.text


def test_a_wrapped_client_is_kept_off_the_network_too(server: FaultServer) -> None:
    key = "sk-not-a-real-key"

    async def ask(client: openai.AsyncOpenAI) -> str | None:
        async with wrap(client, fallback=canned("hidden")):
            answer = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "q"}]
            )
        return answer.choices[0].message.content

    with block_real_calls(), wrap(openai.OpenAI(api_key=key), fallback=canned("hidden")) as client:
        with pytest.raises(RealCallBlocked, match=r"api\.openai\.com"):
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "q"}])
        with pytest.raises(RealCallBlocked, match=r"api\.openai\.com"):
            asyncio.run(ask(openai.AsyncOpenAI(api_key=key)))
        assert asyncio.run(ask(openai.AsyncOpenAI(api_key=key, base_url=server.url()))) == server.text


@pytest.mark.parametrize("address", [("192.0.2.1", 9), ("2001:db8::1", 9)])
def test_no_socket_of_a_test_leaves_this_machine(address: tuple[str, int]) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    connect = socket.socket.connect
    with block_real_calls(), socket.socket(family) as anything:
        with pytest.raises(RealCallBlocked, match=address[0]):
            anything.connect(address)
        with pytest.raises(RealCallBlocked, match=address[0]):
            anything.connect_ex(address)
    assert socket.socket.connect is connect


def test_cancelling_an_asynchronous_call_closes_its_connection(server: FaultServer) -> None:
    model = chain(server.url("stall-no-response", session="cancel"))

    async def main() -> None:
        task = asyncio.create_task(model.agenerate("q"))
        while not server.requests("cancel"):
            await asyncio.wait([task], timeout=0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(server.wait_for_hang_up, "cancel")
        await model.aclose()

    asyncio.run(main())


def test_leaving_a_stream_early_closes_its_connection(server: FaultServer) -> None:
    model = chain(server.url("slow-drip:0.2", session="leave"))
    with model.stream("q") as stream:
        next(stream)
    server.wait_for_hang_up("leave")
    reply = stream.reply()
    assert server.text.startswith(reply.text)
    assert reply.outcome is not None
    assert reply.outcome.attempts[0].verdict == "abandoned"
    model.close()
