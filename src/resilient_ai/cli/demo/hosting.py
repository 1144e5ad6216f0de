"""The scripted provider as its parent holds it: started, told to play, listened to, ended."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self, TypeAlias, cast, final

from resilient_ai.errors import ResilientError

START_SECONDS: Final = 30.0
"""An interpreter starts in a fraction of a second; on a machine that is short of everything it may take this long."""
STOP_SECONDS: Final = 5.0
"""It ends within milliseconds of its standard input; beyond this it is killed."""

OnPhase: TypeAlias = Callable[[str], object]
"""Told the name of each phase as it begins."""


@final
class HostedProvider:
    """The provider's process. Use as an asynchronous context manager; it has ended when that is left, whatever happened.

    Args:
        fast: Play the short script.
        seed: Of its latencies and of whom its partial faults meet.
        on_phase: Told of each phase.

    Attributes:
        port: Where it listens on 127.0.0.1.
    """

    def __init__(self, *, fast: bool, seed: int, on_phase: OnPhase) -> None:
        self._arguments = [f"--seed={seed}", *(["--fast"] if fast else [])]
        self._on_phase = on_phase
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "resilient_ai.cli.demo.provider",
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # A session of its own: Ctrl-C at the terminal is for this process, which ends the other.
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                said = await self._said()
        except BaseException:
            await self._end()
            raise
        if said is None:
            await self._end()
            raise ResilientError("The demo's provider process did not start; what it said stands above.")
        self.port = cast("int", said["port"])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def play(self) -> None:
        """Starts the script's clock; returns when the first phase has begun."""
        process = self._process
        if process is None or process.stdin is None:
            raise AssertionError("the provider is played before it was started")
        process.stdin.write(b"play\n")
        if await self._heard():
            self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while await self._heard():
            pass

    async def _heard(self) -> bool:
        """Passes on the next phase; False once the process has ended."""
        said = await self._said()
        if said is None:
            return False
        self._on_phase(cast("str", said["phase"]))
        return True

    async def _said(self) -> dict[str, object] | None:
        """The next thing it says; None once it has ended."""
        process = self._process
        if process is None or process.stdout is None:
            return None
        line = await process.stdout.readline()
        return cast("dict[str, object]", json.loads(line)) if line else None

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if process.stdin is not None:
                process.stdin.close()
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                process.kill()
            raise
        finally:
            if self._listening is not None:
                self._listening.cancel()
