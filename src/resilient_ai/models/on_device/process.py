"""One child process, from its start to its end.

A model runs in a child because native code can crash, hang in a computation nothing interrupts, or hold the interpreter for the
seconds of a load; and because a process can be killed. Measured here: an assertion of ggml took the whole application with
it, and closing the connection stopped a running prompt in none of eight trials.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.core.model import Scope

BATCH_TOKENS: Final = 128
"""Prompt tokens computed at a time: a request can be cancelled in between. 1024 cost up to 17 s on a 180 M model here."""

STDERR_TAIL_BYTES: Final = 4096
"""How much of what native code printed last is kept for diagnosis."""

_WORKER: Final = Path(__file__).with_name("worker.py")
# Linux allows 107 bytes in the path of a Unix socket, macOS 103.
_SOCKET_PATH_BYTES: Final = 100
_POLL_SECONDS: Final = 0.005

# The child sees no secret of the application, and no LLAMA_ARG_* that would undo a setting.
_ENVIRONMENT: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LD_LIBRARY_PATH")
_ENVIRONMENT_PREFIXES: Final = ("DYLD_", "CUDA_", "HIP_", "ROCR_", "GGML_", "OMP_", "KMP_")


@final
@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a child is started with. Equal settings for the same file make models share a child.

    Attributes:
        model: The GGUF file.
        name: What the child calls the model in its answers.
        context_tokens: Context of each slot.
        slots: Requests computed at a time.
        threads: Threads it computes with.
        idle_seconds: Seconds without a request until it gives the model's memory back; None keeps it.
        import_from: The directory that holds the `xllamacpp` package.
    """

    model: Path
    name: str
    context_tokens: int
    slots: int
    threads: int
    idle_seconds: int | None
    import_from: str


@final
@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a child answers. `key` is its bearer token.

    Attributes:
        base_url: The URL requests are written for.
        uds: The Unix socket to connect to, or None for the host and port of `base_url`.
        key: Random, known to this process and the child only.
        pid: The child.
    """

    base_url: str
    uds: str | None
    key: str = field(repr=False)
    pid: int


@final
@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended before it was ready.

    Attributes:
        error: What it said: `import`, `load`, `memory`; None if it said nothing.
        status: Its exit status as `subprocess` gives it: negative is a signal.
    """

    error: str | None
    status: int | None

    @property
    def signal_name(self) -> str | None:
        """`SIGKILL` and the like, or None if it was no signal."""
        if self.status is None or self.status >= 0:
            return None
        try:
            return signal.Signals(-self.status).name
        except ValueError:
            return f"signal {-self.status}"


@final
class Child:
    """A worker process of this process. Not thread safe: its supervisor's lock guards it.

    It ends with this process whatever happens: by `kill`, by the garbage collector or at exit through its finalizer, or, where this process
    was killed, because its stdin ends.
    """

    __slots__ = (
        "__weakref__",
        "_directory",
        "_finalizer",
        "_key",
        "_process",
        "_ready_fd",
        "_said",
        "_stderr_fd",
        "_tail",
        "endpoint",
        "live",
        "suspected_since",
    )

    def __init__(self, settings: WorkerSettings) -> None:
        """Starts the process; returns before the model is loaded.

        Raises:
            OSError: It could not be started.
        """
        self._key = secrets.token_urlsafe(32)
        self._said = bytearray()
        self._tail = bytearray()
        self.endpoint: Endpoint | None = None
        """Where it answers, once it is ready."""
        self.live = 0
        """Requests sent to it whose answers are awaited."""
        self.suspected_since: float | None = None
        """When a request to it was given up and may still be running, or None."""
        self._directory = tempfile.mkdtemp(prefix="resilient-ai-")
        try:
            self._process = _spawn()
        except BaseException:
            Path(self._directory).rmdir()
            raise
        self._finalizer = weakref.finalize(self, _end, self._process, self._directory, os.getpid())
        stdout, stderr = self._process.stdout, self._process.stderr
        if stdout is None or stderr is None:
            raise AssertionError("Popen was asked for pipes")
        self._ready_fd, self._stderr_fd = stdout.fileno(), stderr.fileno()
        if sys.platform != "win32":
            os.set_blocking(self._ready_fd, False)
            os.set_blocking(self._stderr_fd, False)
        self._tell(settings)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """The process is gone and reaped."""
        return self._process.poll() is not None

    def _tell(self, settings: WorkerSettings) -> None:
        """Sends the settings, which fit the pipe's buffer: this does not block."""
        uds = self._socket_path()
        line = {
            "model": os.fspath(settings.model),
            "name": settings.name,
            "key": self._key,
            "host": uds or "127.0.0.1",
            "socket": uds,
            "context": settings.context_tokens * settings.slots,
            "slots": settings.slots,
            "batch": BATCH_TOKENS,
            "threads": settings.threads,
            "idle_seconds": -1 if settings.idle_seconds is None else settings.idle_seconds,
            "import_from": settings.import_from,
        }
        stdin = self._process.stdin
        if stdin is None:
            raise AssertionError("Popen was asked for pipes")
        try:
            stdin.write(json.dumps(line).encode() + b"\n")
        except BrokenPipeError:
            # It died at once; whoever waits for it to be ready will see that.
            return

    def _socket_path(self) -> str | None:
        # llama.cpp takes a host that ends in .sock for a path.
        path = str(Path(self._directory) / "w.sock")
        usable = sys.platform != "win32" and len(os.fsencode(path)) <= _SOCKET_PATH_BYTES
        return path if usable else None

    def look(self) -> Endpoint | Ended | None:
        """The endpoint if it is ready, how it ended if it did, None while it is loading. Does not block."""
        if self.endpoint is not None:
            return self.endpoint
        finished = _drain(self._ready_fd, self._said)
        if b"\n" in self._said:
            said = _parse(self._said)
            if "error" in said:
                # It exits as soon as it has said so.
                return Ended(str(said["error"]), self._process.poll()) if self.ended else None
            self.endpoint = self._endpoint(str(said["address"]))
            return self.endpoint
        if finished and self.ended:
            return Ended(None, self._process.poll())
        return None

    def _endpoint(self, address: str) -> Endpoint:
        uds = self._socket_path()
        return Endpoint("http://localhost" if uds else address, uds, self._key, self.pid)

    def ready_signal(self) -> int:
        """A descriptor of the caller's own that becomes readable when `look` has something new, and stays so."""
        return os.dup(self._ready_fd)

    def tail(self) -> bytes:
        """The last bytes native code printed. Holds no prompt: the server does not log."""
        _drain(self._stderr_fd, self._tail)
        del self._tail[:-STDERR_TAIL_BYTES]
        return bytes(self._tail)

    def signal_end(self) -> None:
        """Sends SIGKILL to its whole process group. Does not wait; idempotent."""
        _kill(self._process)

    def close(self) -> None:
        """Kills it, reaps it and removes its directory. Blocks until the kernel is done: below a millisecond measured."""
        self._finalizer()

    def forget(self) -> None:
        """Lets go of it in a forked child, which is not its parent.

        The descriptors must be closed there: as long as any process holds the writing end, the worker's stdin does not
        end, and it would outlive the process it belongs to.
        """
        self._finalizer.detach()
        self._process.returncode = 0
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


def _spawn() -> subprocess.Popen[bytes]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _ENVIRONMENT or name.upper().startswith(_ENVIRONMENT_PREFIXES)
    }
    # Without this a failed assertion forks a debugger, which was seen to hang for minutes holding our pipes.
    environment["GGML_NO_BACKTRACE"] = "1"
    return subprocess.Popen(  # noqa: S603 - our own interpreter and file, no shell
        # -I -S: no site packages, no user site, no working directory: the child imports what it is told to.
        [sys.executable, "-I", "-S", os.fspath(_WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=environment,
        # A session of its own: Ctrl-C at the terminal reaches this process, which decides what becomes of the worker.
        start_new_session=True,
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        process.kill()
        return
    try:
        # It leads its own group, so helpers it may have forked go with it.
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _end(process: subprocess.Popen[bytes], directory: str, owner: int) -> None:
    """The finalizer of a child. Takes no lock: it may run inside any other code of this process."""
    if os.getpid() != owner:
        return
    _kill(process)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    shutil.rmtree(directory, ignore_errors=True)


def _parse(said: bytearray) -> dict[str, object]:
    line: dict[str, object] = json.loads(said.partition(b"\n")[0])
    return line


def _drain(fd: int, into: bytearray) -> bool:
    """Appends what can be read now; whether the pipe has ended. Does not block."""
    while _has_data(fd):
        try:
            piece = os.read(fd, 65536)
        except BlockingIOError:
            return False
        except OSError:
            return True
        if not piece:
            return True
        into += piece
    return False


def _has_data(fd: int) -> bool:
    """Whether a read would not block. Pipes cannot be made non-blocking on Windows before Python 3.12."""
    if sys.platform == "win32":
        import _winapi
        import msvcrt

        try:
            return bool(_winapi.PeekNamedPipe(msvcrt.get_osfhandle(fd), 0)[0])
        except OSError:
            return True
    return True


async def readable(fd: int, scope: Scope) -> None:
    """Waits until `fd` is readable or the scope's time is up. Closes `fd`."""
    try:
        seconds = max(0.0, scope.remaining())
        if sys.platform == "win32":
            until = SYSTEM_CLOCK.now() + seconds
            while not _has_data(fd) and SYSTEM_CLOCK.now() < until:
                await pause(_POLL_SECONDS, blocking=scope.blocking)
        elif scope.blocking:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            poll.poll(seconds * 1000)
        else:
            await _task_readable(fd, seconds)
    finally:
        os.close(fd)


async def _task_readable(fd: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        async with asyncio.timeout(seconds):
            await ready.wait()
    except TimeoutError:
        return
    finally:
        loop.remove_reader(fd)


async def pause(seconds: float, *, blocking: bool) -> None:
    """Waits in real time, as processes do, in either colour."""
    if blocking:
        SYSTEM_CLOCK.sleep(seconds)
    else:
        await SYSTEM_CLOCK.asleep(seconds)
