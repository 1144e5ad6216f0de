"""The child process: llama.cpp's own HTTP server around one model, and nothing else.

Run as a file (`python -I -S worker.py`), so that neither the library nor the application is imported here; it also runs as
`python -m resilient_ai.models.on_device.worker`. The protocol:

    stdin   one JSON line of settings, then nothing; its end is the order to exit
    stdout  one JSON line, `{"address", "pid"}` or `{"error"}`, then closed: the parent sees the end even if it looks late
    stderr  what native code prints; never blocks, and is lost when nobody reads it

The settings hold the API key, which therefore stands neither in the argument list nor in the environment.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

STDIN, STDOUT, STDERR = 0, 1, 2


def _die_when_the_parent_does() -> None:
    """Makes the end of stdin fatal even while native code keeps the interpreter from running.

    Loading a model of some gigabytes holds the GIL for seconds. With O_ASYNC the kernel sends SIGIO when the parent's end of
    the pipe closes, and its default action is to end the process. PR_SET_PDEATHSIG would not do: it fires when the *thread*
    that spawned us ends, and that may be one of a pool.
    """
    try:
        import fcntl
        import select
    except ImportError:  # Windows
        return
    try:
        fcntl.fcntl(STDIN, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(STDIN, fcntl.F_SETFL, fcntl.fcntl(STDIN, fcntl.F_GETFL) | os.O_ASYNC)
    except OSError:  # a platform whose pipes have no signals: the end is then noticed after the load
        return
    if select.select([STDIN], [], [], 0)[0]:
        # Nothing but the end can stand there, and it came before the signal was armed.
        os._exit(0)


def _live_on_without_the_signal() -> None:
    """From here on the end of stdin is read, so that the socket can be removed on the way out."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    fcntl.fcntl(STDIN, fcntl.F_SETFL, fcntl.fcntl(STDIN, fcntl.F_GETFL) & ~os.O_ASYNC)


def _read_settings() -> dict[str, object]:
    """The first line of stdin, read without buffering beyond it."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(STDIN, 65536)
        if not piece:
            os._exit(0)
        line += piece
    settings: dict[str, object] = json.loads(line)
    return settings


def _serve(settings: dict[str, object]) -> Any:
    """Starts the server and returns it once the model is loaded.

    Every setting below replaces a default of llama.cpp b11549 that is unsafe or unbounded in a library.
    """
    # By name, because it has no types.
    xllamacpp: Any = importlib.import_module("xllamacpp")
    p = xllamacpp.CommonParams()
    p.model.path = settings["model"]
    p.model_alias = {settings["name"]}
    p.api_keys = [settings["key"]]  # default: none
    p.hostnames = [settings["host"]]
    p.port = 0
    p.cors_origins = "localhost"  # default: any origin, with credentials
    p.cors_origins_explicit = True
    p.cors_credentials = False
    p.ui = False
    p.n_ctx = settings["context"]  # default: whatever the model was trained with
    p.n_parallel = settings["slots"]
    p.n_predict = settings["context"]  # default: no end; requests set their own, lower bound
    p.n_batch = p.n_ubatch = settings["batch"]  # a request is cancelled between batches only
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = settings["threads"]
    p.cache_ram_mib = 0  # default: 8 GiB
    p.fit_params = False  # default: changes the settings to fit the memory
    p.sampling.temp = 0.0
    p.sleep_idle_seconds = settings["idle_seconds"]
    p.verbosity = -1  # prompts would stand in the log
    return xllamacpp.Server(p)


def _say(fd: int, **line: object) -> None:
    os.write(fd, json.dumps(line).encode() + b"\n")
    os.close(fd)


def main() -> None:
    """Serves until stdin ends."""
    settings = _read_settings()
    _die_when_the_parent_does()
    # Native code may print; it must reach neither the ready line nor a pipe that is full.
    ready = os.dup(STDOUT)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, STDOUT)
    if hasattr(os, "set_blocking") and os.name == "posix":
        os.set_blocking(STDERR, False)
    sys.path.append(str(settings["import_from"]))
    try:
        server = _serve(settings)
    except ImportError:
        _say(ready, error="import")
        return
    except (RuntimeError, MemoryError) as error:
        _say(ready, error="memory" if isinstance(error, MemoryError) else "load")
        return
    address: str = server.listening_address
    _live_on_without_the_signal()
    _say(ready, address=address, pid=os.getpid())
    while os.read(STDIN, 1024):
        pass
    socket_path = settings.get("socket")
    if isinstance(socket_path, str):
        # The parent cleans up after itself; when it was killed, nobody else can.
        try:
            os.unlink(socket_path)  # noqa: PTH108 - pathlib is 15 modules this process does not need
            os.rmdir(os.path.dirname(socket_path))  # noqa: PTH106, PTH120 - as above
        except OSError:
            pass
    # Not sys.exit: the server's destructor waits for requests that nobody awaits any more.
    os._exit(0)


if __name__ == "__main__":
    main()
