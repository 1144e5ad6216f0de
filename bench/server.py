"""The provider of the benchmarks: a loopback server in a process of its own, so that its work is not counted as a client's.

It answers chat completions with one fixed kilobyte under two dozen headers, as a provider behind an edge network sends them, and
keeps connections alive. What it answers is named by the first part of the path: `ok`, `500`, `message` for one of anthropic's, `ok-call` and
`message-call` for answers that call a function, or
`sse-N` for a stream of N deltas.

Run: python -m bench.server    prints the port, serves until its standard input ends
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

_HEADERS: Final = """\
date: Mon, 02 Mar 2026 09:14:22 GMT
server: edge
connection: keep-alive
x-request-id: req_4f0c1b7a92d84e6fa3b5c7d9e1f20486
openai-organization: org-example
openai-processing-ms: 412
openai-version: 2020-10-01
openai-project: proj_example
x-ratelimit-limit-requests: 10000
x-ratelimit-limit-tokens: 2000000
x-ratelimit-remaining-requests: 9999
x-ratelimit-remaining-tokens: 1999876
x-ratelimit-reset-requests: 6ms
x-ratelimit-reset-tokens: 3ms
x-envoy-upstream-service-time: 418
access-control-expose-headers: X-Request-ID
strict-transport-security: max-age=31536000; includeSubDomains; preload
cache-control: no-store
x-content-type-options: nosniff
vary: accept-encoding
via: 1.1 edge
alt-svc: h3=":443"; ma=86400
""".replace("\n", "\r\n")
_TEXT: Final = "The parcel left the sorting centre this morning and reaches you tomorrow before noon. " * 4
_ANSWER: Final[dict[str, object]] = {
    "id": "chatcmpl-B1a2c3d4e5f6g7h8i9j0k1l2m3n4o",
    "object": "chat.completion",
    "created": 1772442862,
    "model": "gpt-x",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": _TEXT, "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 31,
        "completion_tokens": 68,
        "total_tokens": 99,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    },
    "service_tier": "default",
    "system_fingerprint": "fp_0123456789",
}
_MESSAGE: Final[dict[str, object]] = {
    "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
    "type": "message",
    "role": "assistant",
    "model": "gpt-x",
    "content": [{"type": "text", "text": _TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 31,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 68,
        "service_tier": "standard",
    },
}
_ARGUMENTS: Final = {"parcel": "00340434161094042557", "day": "Monday"}
_CALLING: Final[dict[str, object]] = {
    **_ANSWER,
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_9pw1qnYScqvGrCH58HWCvFH6",
                        "type": "function",
                        "function": {"name": "find_parcel", "arguments": json.dumps(_ARGUMENTS)},
                    }
                ],
                "refusal": None,
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ],
}
_CALLING_MESSAGE: Final[dict[str, object]] = {
    **_MESSAGE,
    "content": [
        {"type": "text", "text": "I will look where it is."},
        {
            "type": "tool_use",
            "id": "toolu_01A09q90qw90lq917835lq9",
            "name": "find_parcel",
            "input": _ARGUMENTS,
        },
    ],
    "stop_reason": "tool_use",
}
_ANSWERS: Final = {
    b"ok": _ANSWER,
    b"ok-call": _CALLING,
    b"message": _MESSAGE,
    b"message-call": _CALLING_MESSAGE,
}
_ERROR: Final = {
    "error": {
        "message": "The server had an error while processing your request.",
        "type": "server_error",
        "param": None,
        "code": None,
    }
}
_START_SECONDS: Final = 20.0


@dataclass(frozen=True)
class Address:
    """Where the provider listens, and where nobody does."""

    port: int
    dead_port: int

    def url(self, kind: str) -> str:
        """The base URL that answers in the way `kind` names; `refused` is a port nobody listens on."""
        port = self.dead_port if kind == "refused" else self.port
        return f"http://127.0.0.1:{port}/{kind}/v1"


def _message(status: str, kind: str, body: bytes) -> bytes:
    return (
        f"HTTP/1.1 {status}\r\n{_HEADERS}content-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )


def _stream(deltas: int) -> list[bytes]:
    """The events of a streamed answer of `deltas` pieces of text."""
    frame: dict[str, object] = {
        key: _ANSWER[key] for key in ("id", "created", "model", "service_tier", "system_fingerprint")
    }
    frame["object"] = "chat.completion.chunk"
    events: list[bytes] = []

    def add(delta: dict[str, object], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        events.append(b"data: " + json.dumps({**frame, "choices": [choice]}, separators=(",", ":")).encode())

    add({"role": "assistant", "content": "", "refusal": None})
    for number in range(deltas):
        add({"content": f" word{number % 97}"})
    add({}, "stop")
    events.append(b"data: [DONE]")
    return events


def _chunked(events: list[bytes]) -> bytes:
    """Every event is a chunk of its own, as it is where each is sent when it is there."""
    framed = b"".join(b"%x\r\n%s\n\n\r\n" % (len(event) + 2, event) for event in events)
    head = (
        f"HTTP/1.1 200 OK\r\n{_HEADERS}content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    return head.encode() + framed + b"0\r\n\r\n"


_made: dict[bytes, bytes] = {}


def _answer_to(kind: bytes) -> bytes:
    """Everything sent for a request of that kind, head and body; put together once."""
    made = _made.get(kind)
    if made is None:
        if kind == b"500":
            made = _message("500 Internal Server Error", "application/json", json.dumps(_ERROR).encode())
        elif kind.startswith(b"sse-"):
            made = _chunked(_stream(int(kind[4:])))
        else:
            answer = _ANSWERS.get(kind, _ANSWER)
            made = _message("200 OK", "application/json", json.dumps(answer, separators=(",", ":")).encode())
            if kind.startswith(b"message"):
                made = made.replace(b"\r\nx-request-id:", b"\r\nrequest-id:", 1)  # as Anthropic names it
        _made[kind] = made
    return made


class _Provider(asyncio.Protocol):
    """Answers each request as soon as its last byte is in."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end or self._transport is None:
                return
            _, _, length = head.lower().partition(b"content-length:")
            wanted = int(length.partition(b"\r\n")[0] or b"0")
            if len(rest) < wanted:
                return
            self._buffer = rest[wanted:]
            self._transport.write(_answer_to(head.split(b"/", 2)[1]))


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Provider, "127.0.0.1", 0)
    # A port that was free a moment ago and that nobody listens on refuses connections.
    unused = await loop.create_server(_Provider, "127.0.0.1", 0)
    dead_port = unused.sockets[0].getsockname()[1]
    unused.close()
    ended = asyncio.Event()
    threading.Thread(
        target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)), daemon=True
    ).start()
    print(server.sockets[0].getsockname()[1], dead_port, flush=True)
    await ended.wait()


@contextmanager
def serving() -> Generator[Address]:
    """A provider of one's own for the length of the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("pipes were asked for")
        try:
            port, dead_port = map(int, process.stdout.readline().split())
            yield Address(port, dead_port)
        finally:
            process.stdin.close()
            process.wait(_START_SECONDS)


if __name__ == "__main__":
    asyncio.run(_serve())
