"""A provider of every wire format that repeats whatever it was sent, everywhere a provider can put text."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, cast, final
from urllib.parse import quote

from resilient_ai.messages import JSON
from resilient_ai.testing.fault_server.dialects import OPENAI_CHAT, Dialect, ask, route, wants_stream
from resilient_ai.testing.fault_server.dialects.answer import Answer, Part, ToolUse, encode, frame

MODES: Final = (
    "ok",
    "cut-stream",
    "error-in-stream",
    "error-after-content",
    "garbage-in-stream",
    "bad-json",
    "wrong-shape",
    "no-http",
    "bad-header",
    "bad-chunk",
    "redirect",
    "html",
    "stall",
    "400",
    "401",
    "403",
    "404",
    "429",
    "500",
)

_LEAVE: Final = threading.Event()
"""Set when those that stall are to go."""


@final
class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the name is http.server's

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        said = f"{self._key()} {self.headers['x-tenant']} {self.path} {body.decode()}"
        path = self.path.partition("?")[0]
        mode = next(part for part in path.split("/") if part in MODES)
        dialect = route(path)
        asked = json.loads(body)
        stream = dialect is not None and wants_stream(dialect, path, asked)
        match mode:
            case "ok" | "cut-stream" | "error-in-stream" | "error-after-content" if (
                dialect is not None and dialect is not OPENAI_CHAT
            ):
                self._speak(dialect, ask(dialect, path, asked, "echo"), said, mode, stream=stream)
            case "ok":
                self._stream(said, terminal=True) if stream else self._answer(said)
            case "cut-stream":
                self._stream(said, terminal=False)
            case "error-in-stream":
                self._events([_error_in_stream(said)])
            case "error-after-content":
                self._stream(said, terminal=False, end=_error_in_stream(said))
            case "garbage-in-stream":
                self._events([f"data: {{{said}\n\n"])
            case "bad-json":
                self._send(200, f'{{"choices": [{said}'.encode())
            case "wrong-shape":
                self._send(200, json.dumps({"choices": said, "object": said}).encode())
            case "no-http":
                self._raw(f"{said}\r\n\r\n")
            case "bad-header":
                self._raw(f"HTTP/1.1 200 OK\r\n{said!r} without a colon\r\n\r\n")
            case "bad-chunk":
                self._raw(f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{said}\r\n")
            case "redirect":
                self._redirect(said)
            case "html":
                self._send(503, f"<html><title>{said}</title></html>".encode(), "text/html")
            case "stall":
                _LEAVE.wait()
            case _:
                self._refuse(int(mode), said)

    def _key(self) -> str:
        names = ("authorization", "x-api-key", "x-goog-api-key")
        return next((self.headers[name] for name in names if name in self.headers), "none")

    def _speak(self, dialect: Dialect, answer: Answer, said: str, mode: str, *, stream: bool) -> None:
        """An answer in another format than OpenAI's chat."""
        tool = ToolUse(said, json.dumps({"to": said}), id=said)
        answer = replace(answer, id=said, model=said, text=said, tool=tool)
        if not stream:
            self._send(200, encode(dialect.unary(answer)))
            return
        events = dialect.events(answer)
        first = next(place for place, event in enumerate(events) if event.part is Part.TEXT)
        error = dialect.error_event(500)
        told = replace(error, payload=cast("Mapping[str, JSON]", _saying(error.payload, said)))
        chosen = {
            "ok": events,
            "cut-stream": events[: first + 1],
            "error-in-stream": [*events[:first], told],
            "error-after-content": [*events[: first + 1], told],
        }[mode]
        body = b"".join(frame(event, dialect.framing, dialect.eol) for event in chosen)
        self._send(200, body, "text/event-stream")

    def _answer(self, said: str) -> None:
        call = {
            "id": said,
            "type": "function",
            "function": {"name": "mail", "arguments": json.dumps({"to": said})},
        }
        message = {"role": "assistant", "content": said, "tool_calls": [call], "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": said}
        self._send(200, json.dumps({"id": said, "model": said, "choices": [choice], "usage": {}}).encode())

    def _stream(self, said: str, *, terminal: bool, end: str = "") -> None:
        def event(delta: dict[str, Any], finish: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return f"data: {json.dumps({'id': said, 'model': said, 'choices': [choice]})}\n\n"

        events = [event({"role": "assistant", "content": said})]
        if terminal:
            call = {"index": 0, "id": said, "function": {"name": said, "arguments": json.dumps({"to": said})}}
            events += [event({"tool_calls": [call]}), event({}, said), "data: [DONE]\n\n"]
        self._events([*events, end])

    def _events(self, events: list[str]) -> None:
        self._send(200, "".join(events).encode(), "text/event-stream")

    def _redirect(self, said: str) -> None:
        self.send_response(307, "Moved")
        self.send_header("location", f"/v1/?q={quote(said)}&key={self._key()}")
        self.send_header("content-length", "0")
        self.end_headers()

    def _refuse(self, status: int, said: str) -> None:
        error = {"message": said, "type": said, "code": said, "param": said, "status": said}
        self._send(status, json.dumps({"error": error, "message": said, "detail": said}).encode())

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        key = self._key().rpartition(" ")[2]  # bare, it could be an identifier
        self.send_response(status, key)
        for name in ("x-request-id", "request-id", "server", "retry-after-reason", "cf-ray"):
            self.send_header(name, key)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _raw(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.close_connection = True


def _error_in_stream(said: str) -> str:
    error = {"error": {"message": said, "type": said, "code": said, "param": said}}
    return f"data: {json.dumps(error)}\n\n"


def _saying(payload: object, said: str) -> object:
    """`payload` with `said` in every message and reason of it."""
    if not isinstance(payload, Mapping):
        return payload
    fields = cast("Mapping[str, object]", payload)
    return {
        name: said if name in ("message", "error") and isinstance(value, str) else _saying(value, said)
        for name, value in fields.items()
    }


@contextlib.contextmanager
def echoing() -> Generator[int]:
    """Serves on loopback; the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        _LEAVE.clear()
        thread.start()
        try:
            yield server.server_port
        finally:
            _LEAVE.set()
            server.shutdown()
            thread.join()
