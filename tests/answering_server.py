"""A provider of every wire format that answers what it is asked for: a text, an object, a call of a tool.

Unlike the `FaultServer`, whose answer is always the same, it reads the request: whoever is asked through another format answers the
same question. What it writes comes from the `FaultServer`'s own dialects, not from the library's codecs.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, final

from resilient_ai.testing.fault_server.dialects import Dialect, ask, route, wants_stream
from resilient_ai.testing.fault_server.dialects.answer import Answer, ToolUse, encode, frame

TEXT: Final = 'It left Bern — "on time" 🚂,\nand arrives\ttomorrow.'
"""Needs JSON escapes and UTF-8 of several bytes on purpose."""

PLACE: Final = {"place": "Bern", "stops": 3}
"""What is answered where a schema is asked for."""

TOOL: Final = ToolUse("track", '{"parcel": "Zürich-7", "days": [1, 2]}', id="call_of_another_1")
"""What is answered where a tool is offered."""

TOKENS: Final = (21, 57)
"""What every answer claims to have used."""

CUT: Final = "cut"
"""A model whose name holds this stops at its token limit."""


@final
class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, dict[str, Any]]]

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the name is http.server's

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self._fails():
            return
        dialect = route(self.path.partition("?")[0])
        if dialect is None:
            self._send(404, b"{}")
            return
        self.seen.append((dialect.name, body))
        answer = _answer(dialect, self.path.partition("?")[0], body)
        if wants_stream(dialect, self.path, body):
            events = [frame(event, dialect.framing, dialect.eol) for event in dialect.events(answer)]
            self._send(200, b"".join(events), "text/event-stream")
        else:
            self._send(200, encode(dialect.unary(answer)))

    def _fails(self) -> bool:
        """Whether whoever asks here is to be disappointed; then it has been."""
        match self.path.split("/")[1]:
            case "down":
                self._send(503, b'{"error": {"message": "down", "type": "server_error"}}')
            case "html":
                self._send(200, b"<html><body>Bad gateway</body></html>", "text/html")
            case "empty-object":
                self._send(200, b"{}")
            case "reset":
                self.close_connection = True
            case _:
                return False
        return True

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("request-id", "req_of_another")
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _answer(dialect: Dialect, path: str, body: dict[str, Any]) -> Answer:
    answer = ask(dialect, path, body, "of_another")
    if body.get("tools"):
        return replace(answer, text=None, tool=TOOL, finish="tool_calls")
    if "stops" in json.dumps(body):  # a property of the schema, wherever the format has it
        return replace(answer, text=json.dumps(PLACE))
    return replace(answer, text=TEXT, finish="length" if CUT in answer.model else "stop")


@final
class AnsweringServer:
    """What a test holds.

    Attributes:
        seen: The format and the body of every request that was answered, oldest first.
    """

    def __init__(self, port: int, seen: list[tuple[str, dict[str, Any]]]) -> None:
        self.seen = seen
        self._port = port

    def url(self, path: str = "", *, below: str = "up") -> str:
        """An address; whoever asks below `down`, `html`, `empty-object` or `reset` gets that."""
        return f"http://127.0.0.1:{self._port}/{below}{path}"


@contextlib.contextmanager
def answering() -> Generator[AnsweringServer]:
    """Serves on loopback."""
    seen: list[tuple[str, dict[str, Any]]] = []
    handler = type("Answering", (_Answering,), {"seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield AnsweringServer(server.server_port, seen)
        finally:
            server.shutdown()
            thread.join()
