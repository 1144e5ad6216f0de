"""The demo as it is run: its provider on real sockets, the whole command as a process, its report in a browser."""

from __future__ import annotations

import asyncio
import functools
import http.client
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, final

import pytest

from resilient_ai.cli.demo.hosting import HostedProvider
from resilient_ai.cli.demo.provider import HOST, Provider
from resilient_ai.cli.demo.script import SCRIPT, Phase
from resilient_ai.cli.demo.tickets import Triage, load_tickets
from resilient_ai.core.clock import seeded
from resilient_ai.testing import FaultServer

P = ParamSpec("P")

RIGHT = Triage("returns", "high")
WELL = Phase("well", "answers at once", 1.0, latency=(0.0, 0.0))
SCARCE = Phase("scarce", "429 to every request", 1.0, "rate_limit")
BROKEN = Phase("broken", "500 to every request", 1.0, "error")
AWAY = Phase("away", "nobody listens", 1.0, "refuse")
SILENT = Phase("silent", "never answers", 1.0, "stall")

WITH_WORKER = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None,
    reason="xllamacpp is not installed: the demo as a whole is NOT TESTED; install resilient_ai[on-device]",
)
WITH_PROC = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="processes are found through /proc: NOT TESTED here"
)


def in_a_loop(test: Callable[P, Coroutine[object, object, None]]) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


@final
class Client:
    """One connection to a provider, used from a thread so that the provider's loop goes on."""

    def __init__(self, port: int, timeout: float = 10.0) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=timeout)

    async def ask(self, text: str = "Wrong size.") -> tuple[int, Mapping[str, str], Any]:
        return await asyncio.to_thread(self._ask, text)

    def _ask(self, text: str) -> tuple[int, Mapping[str, str], Any]:
        body = json.dumps({"model": "remote", "messages": [{"role": "user", "content": text}]})
        self._connection.request("POST", "/v1/chat/completions", body)
        response = self._connection.getresponse()
        return response.status, dict(response.getheaders()), json.loads(response.read())

    def close(self) -> None:
        self._connection.close()


def with_provider(test: Callable[[Provider, Client], Awaitable[None]]) -> Callable[[], None]:
    """Runs `test` with a provider in its first, good phase, and a connection to it."""

    async def run() -> None:
        provider = Provider([WELL], {"Wrong size.": RIGHT}, seeded(1))
        await provider.open()
        client = Client(provider.port)
        try:
            await test(provider, client)
        finally:
            client.close()
            await provider.close()

    # Not `functools.wraps`: pytest would ask for the inner arguments as fixtures.
    named = in_a_loop(run)
    named.__name__ = getattr(test, "__name__", "test")
    return named


@with_provider
async def test_a_healthy_provider_answers_with_the_ticket_s_label_over_one_connection(
    provider: Provider, client: Client
) -> None:
    assert provider.port > 0
    for _ in range(3):
        status, headers, document = await client.ask()
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert json.loads(document["choices"][0]["message"]["content"]) == {
            "queue": "returns",
            "priority": "high",
        }
        assert document["usage"]["total_tokens"] > 0


@with_provider
async def test_a_storm_of_429_asks_to_come_back_after_a_second(provider: Provider, client: Client) -> None:
    await provider.enter(SCARCE)
    status, headers, document = await client.ask()
    assert (status, headers["Retry-After"]) == (429, "1")
    assert document["error"]["code"] == "rate_limit_exceeded"


@with_provider
async def test_errors_are_500_and_the_connection_stays(provider: Provider, client: Client) -> None:
    await provider.enter(BROKEN)
    assert [(await client.ask())[0] for _ in range(2)] == [500, 500]


@with_provider
async def test_a_refusing_provider_cuts_its_connections_and_refuses_new_ones(
    provider: Provider, client: Client
) -> None:
    assert (await client.ask())[0] == 200
    await provider.enter(AWAY)
    with pytest.raises(ConnectionError):
        await client.ask()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(socket.create_connection, (HOST, provider.port), 5)


@with_provider
async def test_after_the_refusal_it_listens_on_the_same_port_again(
    provider: Provider, client: Client
) -> None:
    port = provider.port
    await provider.enter(AWAY)
    await provider.enter(WELL)
    assert provider.port == port
    assert (await client.ask())[0] == 200


@with_provider
async def test_a_stalled_provider_takes_the_request_and_says_nothing(
    provider: Provider, client: Client
) -> None:
    await provider.enter(SILENT)
    impatient = Client(provider.port, timeout=0.2)
    with pytest.raises(TimeoutError):
        await impatient.ask()
    impatient.close()
    # What stalled stays stalled; a new request in a new phase is answered.
    await provider.enter(WELL)
    assert (await client.ask())[0] == 200


@with_provider
async def test_a_partial_fault_meets_some_and_leaves_others_alone(provider: Provider, client: Client) -> None:
    await provider.enter(Phase("some", "500 to half", 1.0, "error", share=0.5, latency=(0.0, 0.0)))
    statuses = {(await client.ask())[0] for _ in range(40)}
    assert statuses == {200, 500}


@in_a_loop
async def test_the_provider_process_plays_its_script_and_ends_with_its_parent_s_interest() -> None:
    phases: list[str] = []
    async with HostedProvider(fast=True, seed=1, on_phase=phases.append) as hosted:
        ticket = load_tickets()[0]
        client = Client(hosted.port)
        status, _, document = await client.ask(ticket.text)
        client.close()
        assert status == 200
        assert json.loads(document["choices"][0]["message"]["content"])["queue"] == ticket.expected.queue
        assert phases == []
        await hosted.play()
        assert phases == [SCRIPT[0].name]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(socket.create_connection, (HOST, hosted.port), 5)


# --- the whole command ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Demo:
    """A run of the command that is over."""

    code: int
    stdout: str
    stderr: str
    folder: Path
    left_behind: list[str]

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.stdout)
        return document

    def lines(self, name: str) -> list[dict[str, Any]]:
        text = Path(self.document["files"][name]).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


def _start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    temporary = folder / "tmp"
    temporary.mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "resilient_ai.cli", "demo", "--fast", "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Every process of the demo is given this one, so that it can be found by it.
        env={**os.environ, "TMPDIR": str(temporary)},
    )


def _processes_of(folder: Path) -> list[str]:
    marker = f"TMPDIR={folder / 'tmp'}".encode()
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it ended, or is not ours
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """One run of the fast demo, shared by the tests that look at what it left."""
    folder = tmp_path_factory.mktemp("demo")
    process = _start(folder, "--seed", "7", "--out", str(folder / "out"))
    stdout, stderr = process.communicate(timeout=100)
    return Demo(process.returncode, stdout, stderr, folder, _processes_of(folder))


slow = pytest.mark.timeout(120)


@WITH_WORKER
@slow
def test_standard_output_is_one_json_object_with_every_figure(demo: Demo) -> None:
    assert demo.code == 0, demo.stderr
    assert set(demo.document) == {
        "calls", "answered", "degraded", "failed", "late", "p50_s", "p95_s", "p99_s", "max_s", "attempts",
        "breaker_transitions", "served_by", "files",
    }  # fmt: skip


@WITH_WORKER
@slow
def test_every_call_is_accounted_for_and_none_is_late(demo: Demo) -> None:
    document = demo.document
    assert document["calls"] == 300
    assert document["answered"] + document["failed"] == document["calls"]
    assert document["late"] == 0
    assert document["degraded"] == document["served_by"]["on-device"]
    assert sum(document["served_by"].values()) == document["answered"]
    assert document["attempts"] >= document["answered"]
    assert document["p50_s"] <= document["p95_s"] <= document["p99_s"] <= document["max_s"] <= 4.1


@WITH_WORKER
@slow
def test_the_device_answered_during_the_outage_and_the_remote_model_again_after_it(demo: Demo) -> None:
    changes = [change for change in demo.document["breaker_transitions"] if change["model"] == "remote"]
    assert changes[0]["from"] == "closed"
    assert changes[-1]["to"] == "closed"
    served = [line["served_by"] for line in demo.lines("log") if line["event"] == "call.finished"]
    assert len(served) == 300
    assert served[:20].count("remote") > 15
    assert served[-10:].count("remote") > 5
    assert served.count("triage") == demo.document["degraded"] > 50


@WITH_WORKER
@slow
def test_each_phase_is_told_on_standard_error_where_there_is_no_terminal(demo: Demo) -> None:
    told = demo.stderr.splitlines()
    assert len(told) == len(SCRIPT)
    for line, phase in zip(told, SCRIPT, strict=True):
        assert phase.name in line


@WITH_WORKER
@slow
def test_there_is_a_span_for_each_call(demo: Demo) -> None:
    names = [span["name"] for span in demo.lines("spans")]
    assert names.count("resilient_ai.request") == 300


@WITH_WORKER
@slow
@pytest.mark.parametrize("name", ["log", "spans", "report"])
def test_no_ticket_s_text_is_in_any_file(name: str, demo: Demo) -> None:
    written = Path(demo.document["files"][name]).read_text(encoding="utf-8")
    assert len(written) > 10_000
    for ticket in load_tickets():
        assert ticket.text not in written
        assert json.dumps(ticket.text)[1:-1] not in written
        assert ticket.text[:40] not in written


@WITH_WORKER
@slow
def test_the_report_is_one_file_that_loads_nothing(demo: Demo) -> None:
    report = Path(demo.document["files"]["report"]).read_text(encoding="utf-8")
    assert report.startswith("<!doctype html>")
    assert "http://" not in report
    assert "https://" not in report
    assert re.findall(r"<(?:script|link|img|iframe|object|embed|base)\b|@import|\bsrc=|\bhref=", report) == []
    assert set(re.findall(r"url\(([^)]*)\)", report)) == {"#hatch", "#wait"}
    assert sorted(path.name for path in (demo.folder / "out").iterdir()) == [
        "log.jsonl",
        "report.html",
        "spans.jsonl",
    ]


@WITH_WORKER
@WITH_PROC
@slow
def test_no_process_is_left_behind(demo: Demo) -> None:
    assert demo.left_behind == []


@WITH_WORKER
@WITH_PROC
@slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no Ctrl-C to send to one process")
def test_ctrl_c_ends_the_demo_and_every_process_it_started(tmp_path: Path) -> None:
    process = _start(tmp_path, "--out", str(tmp_path / "out"))
    assert process.stderr is not None
    assert "healthy" in process.stderr.readline()
    assert len(_processes_of(tmp_path)) == 3
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (130, "")
    assert stderr.splitlines()[-1] == "interrupted"
    assert "Traceback" not in stderr
    assert _processes_of(tmp_path) == []


@WITH_WORKER
def test_a_real_provider_is_asked_without_a_script_and_the_device_stands_behind_it(tmp_path: Path) -> None:
    """The stand-in's answers never fit what was asked, so every call is asked again twice and then moved on."""
    with FaultServer() as server:
        process = subprocess.run(
            [
                *(sys.executable, "-m", "resilient_ai.cli", "demo", "--fast", "--json"),
                *("--provider", "openai:any", "--calls", "4", "--out", str(tmp_path)),
            ],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OPENAI_API_KEY": "sk-none", "OPENAI_BASE_URL": server.url("none")},
        )
        asked = len(server.requests())
    assert process.returncode == 0, process.stderr
    document = json.loads(process.stdout)
    assert document["served_by"] == {"remote": 0, "on-device": 4}
    assert (asked, document["attempts"]) == (12, 16)


# --- the report in a browser ------------------------------------------------------------------------------------------


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Callable[..., bytes]]:
    """Runs a browser without network over a page; gives what it printed."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("NOT TESTED: the report in a browser; install chromium")
    flags = (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}",
    )  # fmt: skip

    def run(*arguments: str) -> bytes:
        return subprocess.run(
            [browser, *flags, *arguments], capture_output=True, check=True, timeout=90
        ).stdout

    yield run
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)


@WITH_WORKER
@slow
def test_a_browser_renders_the_report(demo: Demo, chromium: Callable[..., bytes], tmp_path: Path) -> None:
    picture, blank = tmp_path / "report.png", tmp_path / "blank.png"
    (tmp_path / "blank.html").write_text("<!doctype html><title>blank</title>")
    for path, page in ((picture, demo.document["files"]["report"]), (blank, tmp_path / "blank.html")):
        chromium(f"--screenshot={path}", "--window-size=1400,1800", f"file://{page}")
    drawn = picture.read_bytes()
    assert struct.unpack(">II", drawn[16:24]) == (1400, 1800)
    assert len(drawn) > 10 * len(blank.read_bytes())
