"""An HTTP service on nothing but the standard library: answers, tells its health, and leaves gracefully.

    python examples/asyncio_service.py

`POST /answer` asks the chain; a caller's `X-Deadline` header (seconds) can only tighten the service's own deadline. `GET /health` is for
the load balancer. On SIGTERM it stops listening, finishes what it has begun, and closes its connections. Run like this it serves three
requests to itself and leaves. Prints:

    200 The keeper of the lighthouse (gpt-5.2)
    200 Please try again in a minute. (canned)
    200 ok
    stopped: 0 calls under way
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from dataclasses import dataclass, field

from resilient_ai import CallError, ResilientModel, Retry
from resilient_ai.models import OpenAIModel, canned
from resilient_ai.testing import FaultServer

GRACE_SECONDS = 20.0
"""As long as the chain's deadline: nobody who was let in is cut off."""
MOST_BYTES = 64 * 1024


@dataclass
class Service:
    model: ResilientModel
    under_way: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    leaving: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, started: asyncio.Future[int]) -> None:
        """Serves until SIGTERM, then lets the calls under way end."""
        with contextlib.suppress(
            NotImplementedError, RuntimeError
        ):  # not everywhere, and in the main thread only
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.leaving.set)
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=MOST_BYTES)
        started.set_result(server.sockets[0].getsockname()[1])
        await self.leaving.wait()
        server.close()
        if self.under_way:
            await asyncio.wait(self.under_way, timeout=GRACE_SECONDS)
        for task in self.under_way:
            task.cancel()
        await self.model.aclose()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.under_way.add(task)
        try:
            try:
                status, body = await self._respond(reader)
            except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                status, body = "400 Bad Request", {"error": "cannot be read"}
            payload = json.dumps(body).encode()
            writer.write(
                f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(payload)}\r\n"
                "connection: close\r\n\r\n".encode()
                + payload
            )
            await writer.drain()
        finally:
            self.under_way.discard(task)
            writer.close()

    async def _respond(self, reader: asyncio.StreamReader) -> tuple[str, dict[str, object]]:
        method, path, headers = await _head(reader)
        if (method, path) == ("GET", "/health"):
            health = self.model.health()
            return ("503 Down" if health.status == "down" else "200 OK"), {"status": health.status}
        if (method, path) != ("POST", "/answer"):
            return "404 Not Found", {"error": "no such path"}
        size = int(headers.get("content-length", "0"))
        if size > MOST_BYTES:
            return "413 Content Too Large", {"error": f"more than {MOST_BYTES} bytes"}
        question = (await reader.readexactly(size)).decode()
        asked = headers.get("x-deadline")
        try:
            reply = await self.model.agenerate(
                question, deadline=min(float(asked), GRACE_SECONDS) if asked else None
            )
        except CallError as error:
            return "503 Unavailable", {"error": error.kind, "retry_after": error.retry_after}
        return "200 OK", {"text": reply.text, "model": reply.model, "degraded": reply.degraded}


async def _head(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]]:
    """Method, path and headers of a request."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
    method, path, _ = lines[0].split(" ", 2)
    headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    return method, path, {name.lower(): value for name, value in headers.items()}


async def ask(port: int, request: str, body: str = "") -> tuple[int, dict[str, object]]:
    """What a caller does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{request} HTTP/1.1\r\ncontent-length: {len(body)}\r\nx-deadline: 5\r\n\r\n{body}".encode())
    head, _, payload = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(payload)


async def main() -> None:
    with FaultServer() as provider:
        url = provider.url("flaky:2", session="service")  # every second request to the provider fails
        first = OpenAIModel("gpt-5.2", base_url=url, api_key="key-of-nobody")
        last = canned("Please try again in a minute.")
        # One attempt, so that the outage shows in what is printed; leave the retries on in a real service.
        service = Service(ResilientModel([first, last], deadline=GRACE_SECONDS, retry=Retry(attempts=1)))
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(service.run(started))
        port = await started
        for _ in range(2):
            status, answer = await ask(port, "POST /answer", "Who keeps the light?")
            print(status, str(answer["text"])[:29].strip(), f"({answer['model']})")
        status, answer = await ask(port, "GET /health")
        print(status, answer["status"])
        service.leaving.set()  # what SIGTERM does
        await running
        print(f"stopped: {service.model.health().active} calls under way")


if __name__ == "__main__":
    asyncio.run(main())
