"""The scripted provider: a real HTTP server in a process of its own, failing on its own clock.

    python -m resilient_ai.cli.demo.provider [--fast] [--seed N]

It speaks as much of OpenAI's Chat Completions as the demo asks for. Its parent talks to it over its standard streams: it prints the
port it listens on, waits for a line, then plays the script and prints each phase as it begins. It ends when its standard input ends, so it
cannot outlive its parent, however that one dies. It binds 127.0.0.1 only.

Its answers are looked up in the file of tickets. It stands in for a model that is always right, and nothing is claimed by that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, final

from resilient_ai.cli.demo.script import RETRY_AFTER_SECONDS, Phase, script
from resilient_ai.cli.demo.tickets import Triage, load_tickets
from resilient_ai.core.clock import SYSTEM_CLOCK, seeded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resilient_ai.core.clock import Clock, Random

HOST: Final = "127.0.0.1"
BACKLOG: Final = 256
MAX_HEAD_BYTES: Final = 32 * 1024
"""Far above what any client of the demo sends before the body."""
CHARACTERS_PER_TOKEN: Final = 4
"""The usual rule of thumb for English; the demo's tokens are only there to be counted."""

_UNKNOWN: Final = Triage("feedback", "normal")


@final
class Provider:
    """The server. One event loop; `open` and `withdraw` move it in and out of reach, `close` ends it.

    Args:
        phases: What it goes through; it begins in the first.
        answers: The right answer by the text of the last user turn.
        chance: Latencies, and whom a partial fault meets.
        clock: Where time comes from.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        answers: Mapping[str, Triage],
        chance: Random,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._phases = phases
        self._answers = answers
        self._chance = chance
        self._clock = clock
        self._phase = phases[0]
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()
        self._held = _bound(0)
        self.port: int = self._held.getsockname()[1]

    async def play(self) -> None:
        """Goes through the phases, printing each as it begins, and stays in the last."""
        began = due = self._clock.now()
        for phase in self._phases:
            await self._clock.asleep(max(0.0, due - self._clock.now()))
            await self.enter(phase)
            _say(phase=phase.name, at=round(self._clock.now() - began, 3))
            due += phase.seconds

    async def enter(self, phase: Phase) -> None:
        """Behaves as `phase` says from now on. Requests being answered are answered."""
        self._phase = phase
        if phase.fault == "refuse":
            await self.withdraw()
        elif self._server is None:
            await self.open()

    async def open(self) -> None:
        """Listens."""
        self._server = await asyncio.start_server(
            self._connected, sock=self._held, backlog=BACKLOG, limit=MAX_HEAD_BYTES
        )

    async def withdraw(self) -> None:
        """Closes the listening socket and every connection; a connect is refused from now on.

        The port is bound again at once, without listening, so that nobody else is given it in the meantime.
        """
        await self.close()
        self._held = _bound(self.port)

    async def close(self) -> None:
        """Closes the listening socket, every connection and the port."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._held.close()
        for conversation in self._conversations:
            conversation.cancel()
        # Each ends with its own cancellation, which is not ours.
        await asyncio.gather(*self._conversations, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.create_task(self._converse(reader, writer))
        self._conversations.add(conversation)
        conversation.add_done_callback(self._conversations.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # A client may leave at any time; that is its right, and the end of the conversation.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while True:
                    await self._exchange(reader, writer)
        finally:
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_content_length(head))
        phase = self._phase
        struck = phase.strikes(self._chance)
        if struck and phase.fault == "stall":
            await reader.read()  # ends when the client hangs up
            raise ConnectionAbortedError
        if struck and phase.fault == "rate_limit":
            response = _error(
                HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_exceeded", f"Retry-After: {RETRY_AFTER_SECONDS}\r\n"
            )
        elif struck:
            response = _error(HTTPStatus.INTERNAL_SERVER_ERROR, "server_error")
        else:
            await self._clock.asleep(phase.answer_seconds(self._chance))
            response = self._answer(body)
        writer.write(response)
        await writer.drain()

    def _answer(self, body: bytes) -> bytes:
        request: dict[str, Any] = json.loads(body)
        text: str = request["messages"][-1]["content"]
        answer = json.dumps(asdict(self._answers.get(text, _UNKNOWN)))
        asked, answered = len(body) // CHARACTERS_PER_TOKEN, len(answer) // CHARACTERS_PER_TOKEN
        document = {
            "id": f"chatcmpl-{int(self._chance.random() * 16**12):012x}",
            "object": "chat.completion",
            "created": int(self._clock.wall()),
            "model": request["model"],
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
            ],
            "usage": {
                "prompt_tokens": asked,
                "completion_tokens": answered,
                "total_tokens": asked + answered,
            },
        }
        return _response(HTTPStatus.OK, document)


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            # Connections of before a refusal linger on the port. Windows needs no leave, and would share the port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def _error(status: HTTPStatus, code: str, headers: str = "") -> bytes:
    return _response(status, {"error": {"message": status.phrase, "type": code, "code": code}}, headers)


def _response(status: HTTPStatus, document: object, headers: str = "") -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{headers}\r\n".encode() + body


def _say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def _serve(*, fast: bool, seed: int) -> None:
    answers = {ticket.text: ticket.expected for ticket in load_tickets()}
    provider = Provider(script(fast=fast), answers, seeded(seed))
    await provider.open()
    _say(port=provider.port)
    if not await asyncio.to_thread(sys.stdin.readline):
        return
    play = asyncio.create_task(provider.play())
    try:
        await asyncio.to_thread(sys.stdin.read)
    finally:
        play.cancel()
        await provider.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until standard input ends."""
    parser = argparse.ArgumentParser(description="The demo's scripted provider.")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    asyncio.run(_serve(fast=options.fast, seed=options.seed))


if __name__ == "__main__":
    main()
