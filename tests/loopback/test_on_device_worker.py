"""The worker process with the real llama.cpp: how it starts, ends, and is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import tiny_gguf
from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.core.failure import FailureKind
from resilient_ai.core.model import Scope
from resilient_ai.models.http import Transport
from resilient_ai.models.on_device.gguf import inspect
from resilient_ai.models.on_device.link import Link
from resilient_ai.models.on_device.places import QUEUE, LineFull
from resilient_ai.models.on_device.process import Endpoint, WorkerSettings
from resilient_ai.models.on_device.supervisor import (
    RESTART_WINDOW_SECONDS,
    RESTARTS,
    Supervisor,
    WorkerFailed,
    supervisor_of,
)
from resilient_ai.runtime.blocking import drive
from resilient_ai.testing import ManualClock

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("xllamacpp") is None,
        reason="xllamacpp is not installed: NOTHING of the on-device worker is tested; install resilient_ai[on-device]",
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="processes are watched through /proc and pidfd"),
]

ASK = {"messages": [{"role": "user", "content": "hello"}], "temperature": 0, "max_tokens": 200}
QUEUES = {"type": "object", "properties": {"queue": {"enum": ["a", "b"]}}, "required": ["queue"]}


def _import_from() -> str:
    spec = importlib.util.find_spec("xllamacpp")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent.parent)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write(tmp_path_factory.mktemp("worker") / "tiny.gguf")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slow enough that a request with a long answer is still running whenever a test looks."""
    return tiny_gguf.write(tmp_path_factory.mktemp("worker") / "slow.gguf", width=1024)


def _settings(model: Path, **changes: object) -> WorkerSettings:
    settings = WorkerSettings(
        model=model, name="tiny", context_tokens=2048, slots=1, threads=1, idle_seconds=None,
        import_from=_import_from(),
    )  # fmt: skip
    return replace(settings, **changes)  # type: ignore[arg-type]  # each test names fields of the dataclass


@contextlib.contextmanager
def _supervised(model: Path, **changes: object) -> Generator[Supervisor]:
    supervisor = Supervisor(_settings(model, **changes), inspect(model).identity)
    supervisor.use(supervisor)
    try:
        yield supervisor
    finally:
        supervisor.leave(supervisor)


@pytest.fixture
def worker(model: Path) -> Iterator[Supervisor]:
    with _supervised(model) as supervisor:
        yield supervisor


def _scope(seconds: float = 30.0, *, blocking: bool = True) -> Scope:
    return Scope(blocking, SYSTEM_CLOCK, SYSTEM_CLOCK.now() + seconds, seconds, seconds, seconds)


async def _busy_slots(endpoint: Endpoint, scope: Scope) -> int | None:
    link = Link(endpoint, "tiny")
    try:
        return await link.busy_slots(scope)
    finally:
        link.close()


def _ask(
    endpoint: Endpoint, body: object, *, key: str | None = None, seconds: float = 30.0
) -> tuple[int, bytes]:
    transport = Transport(
        endpoint.base_url, headers={"authorization": f"Bearer {key or endpoint.key}"}, uds=endpoint.uds
    )
    try:
        response = drive(
            transport.exchange("POST", "/v1/chat/completions", json.dumps(body).encode(), _scope(seconds))
        )
        return response.status, response.body
    finally:
        transport.close()


def _is_alive(pid: int) -> bool:
    """Whether the process runs: one that is dead but not reaped does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def _wait_for_end(pid: int) -> None:
    """Returns once the process, which need not be a child, has ended; the test's own timeout bounds it."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([fd], [], [], 20)[0], "the process lives on"
    finally:
        os.close(fd)


def _start_long_request(endpoint: Endpoint) -> None:
    """Sends a request that takes the slow model a minute, and goes away without a word once it is being computed."""
    body = {**ASK, "max_tokens": 2000, "ignore_eos": True}
    with pytest.raises(AttemptTimeout):
        _ask(endpoint, body, seconds=0.5)


def test_a_ready_worker_answers_json_under_a_schema(worker: Supervisor) -> None:
    endpoint = drive(worker.ready(_scope()))
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": QUEUES}}

    status, body = _ask(endpoint, {**ASK, "response_format": schema})

    assert status == 200
    answer = json.loads(body)
    assert json.loads(answer["choices"][0]["message"]["content"])["queue"] in ("a", "b")
    assert answer["model"] == "tiny"


def test_a_request_without_the_key_is_refused(worker: Supervisor) -> None:
    endpoint = drive(worker.ready(_scope()))

    status, _ = _ask(endpoint, ASK, key="guess")

    assert status == 401


def test_the_key_and_the_secrets_of_the_application_are_not_where_others_look(
    worker: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-application")
    endpoint = drive(worker.ready(_scope()))
    process = Path(f"/proc/{endpoint.pid}")

    visible = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()

    assert b"sk-of-the-application" not in visible
    assert endpoint.key.encode() not in visible
    assert b"GGML_NO_BACKTRACE=1" in visible
    assert endpoint.key not in repr(endpoint)
    assert endpoint.uds is not None
    assert Path(endpoint.uds).parent.stat().st_mode & 0o777 == 0o700


def test_the_worker_loads_nothing_of_the_library_or_the_application(worker: Supervisor) -> None:
    endpoint = drive(worker.ready(_scope()))
    mapped = Path(f"/proc/{endpoint.pid}/maps").read_text()

    assert "xllamacpp" in mapped
    for library in ("numpy", "pydantic", "_ssl", "_socket"):
        assert library not in mapped


def test_leaving_ends_the_process_and_keeps_no_thread_descriptor_or_directory(model: Path) -> None:
    threads = threading.enumerate()
    with _supervised(model) as supervisor:
        descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counts what is open, the listing's own included
        endpoint = drive(supervisor.ready(_scope()))
        assert _is_alive(endpoint.pid)

    assert not Path(f"/proc/{endpoint.pid}").exists()
    assert endpoint.uds is not None
    assert not Path(endpoint.uds).parent.exists()
    assert threading.enumerate() == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208 - as above


def test_leaving_in_an_event_loop_ends_the_process_too(model: Path) -> None:
    async def run() -> int:
        supervisor = Supervisor(_settings(model), inspect(model).identity)
        supervisor.use(run)
        endpoint = await supervisor.ready(_scope(blocking=False))
        await supervisor.aleave(run)
        return endpoint.pid

    pid = asyncio.run(run())

    assert not Path(f"/proc/{pid}").exists()


def test_the_process_lives_until_its_last_user_leaves(worker: Supervisor) -> None:
    other = threading.Thread()
    worker.use(other)
    pid = drive(worker.ready(_scope())).pid

    worker.leave(worker)
    assert _is_alive(pid)
    worker.leave(other)
    assert not _is_alive(pid)


def test_a_supervisor_nobody_holds_takes_its_process_along(model: Path) -> None:
    supervisor = Supervisor(_settings(model), inspect(model).identity)
    pid = drive(supervisor.ready(_scope())).pid

    del supervisor

    assert not _is_alive(pid)


def test_equal_settings_share_a_supervisor_and_different_ones_do_not(model: Path) -> None:
    identity = inspect(model).identity
    first = supervisor_of(_settings(model), identity)

    assert supervisor_of(_settings(model), identity) is first
    assert supervisor_of(_settings(model, threads=2), identity) is not first


def test_threads_and_tasks_that_come_first_together_start_one_process(worker: Supervisor) -> None:
    async def in_tasks() -> set[int]:
        scopes = [_scope(blocking=False) for _ in range(4)]
        return {endpoint.pid for endpoint in await asyncio.gather(*map(worker.ready, scopes))}

    with ThreadPoolExecutor(4) as pool:
        blocking = [pool.submit(lambda: drive(worker.ready(_scope())).pid) for _ in range(3)]
        tasks = pool.submit(asyncio.run, in_tasks())
        pids = {future.result() for future in blocking} | tasks.result()

    assert len(pids) == 1


def test_time_that_runs_out_during_the_load_does_not_stop_the_load(worker: Supervisor) -> None:
    with pytest.raises(AttemptTimeout) as ran_out:
        drive(worker.borrow(_scope(0.0), _busy_slots))
    pid = worker.pid

    assert ran_out.value.sent is False
    assert drive(worker.ready(_scope())).pid == pid


def test_a_worker_that_died_is_replaced_by_the_next_request(worker: Supervisor) -> None:
    first = drive(worker.ready(_scope()))
    os.kill(first.pid, signal.SIGKILL)
    _wait_for_end(first.pid)

    second = drive(worker.ready(_scope()))

    assert second.pid != first.pid
    assert _ask(second, ASK)[0] == 200


def test_a_request_given_up_that_does_not_end_costs_the_worker_its_life(slow: Path) -> None:
    with _supervised(slow) as worker:
        permit = drive(worker.borrow(_scope(), _busy_slots))
        first = permit.endpoint
        _start_long_request(first)
        os.kill(
            first.pid, signal.SIGSTOP
        )  # from here on it takes notice of nothing, a closed socket included
        permit.release(clean=False)

        second = drive(worker.borrow(_scope(), _busy_slots))

        assert second.endpoint.pid != first.pid
        assert not _is_alive(first.pid)
        second.release(clean=True)


def test_a_request_given_up_that_has_ended_costs_nothing(worker: Supervisor) -> None:
    async def run() -> tuple[int, int]:
        first = await worker.borrow(_scope(blocking=False), _busy_slots_of_a_loop)
        first.release(clean=False)
        second = await worker.borrow(_scope(blocking=False), _busy_slots_of_a_loop)
        second.release(clean=True)
        return first.endpoint.pid, second.endpoint.pid

    async def _busy_slots_of_a_loop(endpoint: Endpoint, scope: Scope) -> int | None:
        link = Link(endpoint, "tiny")
        try:
            return await link.busy_slots(scope)
        finally:
            await link.aclose()

    first, second = asyncio.run(run())

    assert first == second


def test_a_worker_is_not_killed_under_a_request_that_goes_on(slow: Path) -> None:
    with _supervised(slow, slots=2) as worker:
        kept = drive(worker.borrow(_scope(), _busy_slots))
        given_up = drive(worker.borrow(_scope(), _busy_slots))
        _start_long_request(kept.endpoint)
        given_up.release(clean=False)

        # One slot computes, and one request is out: nothing is left of the one that was given up.
        third = drive(worker.borrow(_scope(), _busy_slots))

        assert third.endpoint.pid == kept.endpoint.pid
        third.release(clean=True)
        kept.release(clean=True)


@pytest.mark.parametrize("blocking", [True, False])
def test_the_line_is_bounded_and_ends_with_the_time_of_who_waits(
    worker: Supervisor, *, blocking: bool
) -> None:
    async def run() -> None:
        permit = await worker.borrow(_scope(blocking=blocking), _busy_slots)
        with pytest.raises(AttemptTimeout):
            await worker.borrow(_scope(0.01, blocking=blocking), _busy_slots)
        permit.release(clean=True)
        permit.release(clean=True)
        again = await worker.borrow(_scope(blocking=blocking), _busy_slots)
        again.release(clean=True)

    if blocking:
        drive(run())
    else:
        asyncio.run(run())


def test_one_request_too_many_is_refused_at_once(worker: Supervisor) -> None:
    async def run() -> None:
        permit = await worker.borrow(_scope(blocking=False), _busy_slots)
        waiting = [
            asyncio.create_task(worker.borrow(_scope(blocking=False), _busy_slots)) for _ in range(QUEUE)
        ]
        await asyncio.wait(waiting, timeout=0)
        with pytest.raises(LineFull):
            await worker.borrow(_scope(blocking=False), _busy_slots)
        waiting[0].cancel()
        permit.release(clean=True)
        for task in waiting[1:]:
            (await task).release(clean=True)

    asyncio.run(run())


def test_a_model_that_never_loads_is_not_started_for_ever(model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    # Sound as a file, but of an architecture nobody has written.
    broken.write_bytes(model.read_bytes().replace(b"llama", b"lhama"))
    clock = ManualClock()
    worker = Supervisor(_settings(broken), inspect(broken).identity, clock=clock)

    for _ in range(RESTARTS):
        with pytest.raises(WorkerFailed, match="cannot load the model") as failed:
            drive(worker.ready(_scope()))
        assert failed.value.kind is FailureKind.MODEL_UNAVAILABLE
        clock.advance(1)
    with pytest.raises(WorkerFailed, match="failed 5 times") as refused:
        drive(worker.ready(_scope()))

    assert refused.value.kind is FailureKind.MODEL_UNAVAILABLE
    assert refused.value.retry_after == pytest.approx(RESTART_WINDOW_SECONDS - RESTARTS)
    assert worker.pid is None
    clock.advance(RESTART_WINDOW_SECONDS - RESTARTS)
    with pytest.raises(WorkerFailed, match="cannot load the model"):
        drive(worker.ready(_scope()))


def test_a_worker_killed_while_it_loads_is_named_by_its_signal(slow: Path) -> None:
    with _supervised(slow) as worker:
        with pytest.raises(AttemptTimeout):
            drive(worker.ready(_scope(0.0)))
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)

        with pytest.raises(WorkerFailed, match="SIGKILL") as failed:
            drive(worker.ready(_scope()))

    assert failed.value.kind is FailureKind.CONNECTION


def test_another_file_under_the_same_path_is_refused(model: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(model, tmp_path / "m.gguf"))
    with _supervised(path) as worker:
        tiny_gguf.write(path, seed=1)
        with pytest.raises(WorkerFailed, match="replaced"):
            drive(worker.ready(_scope()))
        path.unlink()
        with pytest.raises(WorkerFailed, match="gone"):
            drive(worker.ready(_scope()))


def test_where_no_socket_path_fits_the_worker_listens_on_loopback(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with _supervised(model) as worker:
        endpoint = drive(worker.ready(_scope()))

        assert endpoint.uds is None
        assert endpoint.base_url.startswith("http://127.0.0.1:")
        assert _ask(endpoint, ASK)[0] == 200
        assert _ask(endpoint, ASK, key="guess")[0] == 401


def test_an_idle_worker_gives_its_memory_back_and_answers_again(model: Path) -> None:
    with _supervised(model, idle_seconds=1) as worker:
        endpoint = drive(worker.ready(_scope()))
        control = Transport(
            endpoint.base_url, headers={"authorization": f"Bearer {endpoint.key}"}, uds=endpoint.uds
        )

        def asleep() -> bool:
            properties = drive(control.exchange("GET", "/props", None, _scope())).body
            return json.loads(properties)["is_sleeping"] is True

        while not asleep():  # the test's own timeout bounds it
            SYSTEM_CLOCK.sleep(0.05)
        assert _ask(endpoint, ASK)[0] == 200
        assert not asleep()
        control.close()


PARENT = """
import os, sys
from pathlib import PosixPath
from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.core.model import Scope
from resilient_ai.models.on_device.gguf import inspect
from resilient_ai.models.on_device.process import WorkerSettings
from resilient_ai.models.on_device.supervisor import Supervisor
from resilient_ai.runtime.blocking import drive

def ready(seconds):
    return drive(supervisor.ready(Scope(True, SYSTEM_CLOCK, SYSTEM_CLOCK.now() + seconds, 1, 1, 1)))

settings = {settings!r}
supervisor = Supervisor(settings, inspect(settings.model).identity)
try:
    print(supervisor.pid or ready({seconds}).pid, supervisor._child.endpoint.uds, flush=True)
except AttemptTimeout:
    print(supervisor.pid, supervisor._child._directory + "/w.sock", flush=True)
{then}
"""


@contextlib.contextmanager
def _parent(
    model: Path, then: str, *, seconds: float = 30.0
) -> Generator[tuple[subprocess.Popen[str], int, str]]:
    """A Python process that has started a worker and then does `then`; its worker's pid and socket."""
    code = PARENT.format(settings=_settings(model), seconds=seconds, then=then)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, _, socket = parent.stdout.readline().strip().partition(" ")
        try:
            yield parent, int(pid), socket
        finally:
            parent.kill()


def test_a_parent_that_is_killed_leaves_no_worker_and_no_directory(model: Path) -> None:
    with _parent(model, "sys.stdin.read()") as (parent, pid, socket):
        assert _is_alive(pid)
        parent.kill()
        _wait_for_end(pid)

    assert not Path(socket).parent.exists()


def test_a_parent_killed_while_the_model_loads_leaves_no_worker_but_its_directory(slow: Path) -> None:
    with _parent(slow, "sys.stdin.read()", seconds=0.0) as (parent, pid, socket):
        parent.kill()
        _wait_for_end(pid)

    # The kernel ended the worker, so nobody was left to remove it; what may be in it is a socket nobody listens on.
    shutil.rmtree(Path(socket).parent, ignore_errors=True)


def test_the_end_of_stdin_ends_a_worker_that_never_comes_back_to_python() -> None:
    code = (
        "from resilient_ai.models.on_device import worker\n"
        "worker._die_when_the_parent_does()\n"
        "print('armed', flush=True)\n"
        "while True: pass"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"armed\n"
            process.stdin.close()
            assert process.wait(20) == -signal.SIGIO
        finally:
            process.kill()


def test_a_stdin_that_ended_before_the_signal_was_armed_ends_the_worker_too() -> None:
    code = "from resilient_ai.models.on_device import worker\nworker._die_when_the_parent_does()\nwhile True: pass"

    done = subprocess.run([sys.executable, "-c", code], input=b"", timeout=20, check=False)

    assert done.returncode == 0


def test_a_parent_that_just_exits_leaves_no_worker_and_no_directory(model: Path) -> None:
    with _parent(model, "") as (parent, pid, socket):
        assert parent.wait() == 0
        assert not _is_alive(pid)

    assert not Path(socket).parent.exists()


def test_a_forked_child_gets_a_worker_of_its_own_and_does_not_keep_its_parents_alive(model: Path) -> None:
    then = """
child = os.fork()
if child == 0:
    assert supervisor.pid is None
    print(os.getpid(), ready(30).pid, flush=True)
    sys.stdin.read()
    sys.exit(0)
import time
time.sleep(600)
"""
    with _parent(model, then) as (parent, pid, _):
        assert parent.stdout is not None
        forked, own = map(int, parent.stdout.readline().split())
        assert own != pid
        assert _is_alive(pid)

        parent.kill()
        _wait_for_end(pid)
        assert _is_alive(own)

        assert parent.stdin is not None
        parent.stdin.close()
        _wait_for_end(forked)
        _wait_for_end(own)
