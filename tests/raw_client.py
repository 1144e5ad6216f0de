"""A client that believes nothing: it sends one request and keeps the bytes that come back."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from urllib.parse import urlsplit

End = Literal["fin", "rst", "silence", "more"]

_PATIENCE = 20.0


@dataclass(frozen=True)
class Heard:
    """What came back, and how it ended; `more` means that the client had enough."""

    raw: bytes
    end: End

    @property
    def head(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0]

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    def headers(self, name: str) -> list[str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = [line.partition(":") for line in lines]
        return [value.strip() for key, _, value in pairs if key.lower() == name.lower()]

    @cached_property
    def content(self) -> bytes:
        """The body without chunks, as far as it makes sense."""
        body = self.raw.partition(b"\r\n\r\n")[2]
        if self.headers("transfer-encoding") != ["chunked"]:
            return body
        parts: list[bytes] = []
        while body:
            size, _, body = body.partition(b"\r\n")
            try:
                length = int(size.partition(b";")[0], 16)
            except ValueError:
                break
            if not length:
                break
            parts.append(body[:length])
            body = body[length + 2 :]
        return b"".join(parts)

    @property
    def ends_with_last_chunk(self) -> bool:
        return self.raw.endswith(b"0\r\n\r\n")

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @cached_property
    def events(self) -> list[str]:
        """The data of each event, read as the standard says for LF and CRLF."""
        text = self.content.decode("utf-8", "replace").removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
        found: list[str] = []
        for block in text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
            data = [line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:")]
            if data:
                found.append("\n".join(data))
        return found

    @cached_property
    def text(self) -> str:
        """The text of an OpenAI chat answer, plain or streamed, as much as can be read."""
        if b"data:" not in self.content[:200]:
            return str(self.json["choices"][0]["message"]["content"])
        pieces: list[str] = []
        for event in self.events:
            try:
                pieces.append(json.loads(event)["choices"][0]["delta"]["content"] or "")
            except (ValueError, KeyError, IndexError, TypeError):
                continue
        return "".join(pieces)

    def unzipped(self) -> Heard:
        return Heard(self.head + b"\r\n\r\n" + gzip.decompress(self.content), self.end)

    def inflated(self) -> bytes:
        """As much of a gzip body as there is."""
        return zlib.decompressobj(wbits=31).decompress(self.content)


def ask(
    url: str,
    body: Mapping[str, object] | None = None,
    *,
    path: str = "/chat/completions",
    patience: float = _PATIENCE,
    enough: int = 1 << 22,
    close: bool = True,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Heard:
    """Sends one request and reads until the end, `enough` bytes, or `patience` seconds of silence."""
    with connect(url, tls=tls) as sock:
        send(sock, url, body, path=path, close=close, headers=headers)
        return read(sock, patience=patience, enough=enough)


def connect(url: str, *, tls: ssl.SSLContext | None = None) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    sock = socket.create_connection((parts.hostname, parts.port), timeout=_PATIENCE)
    if tls is None:
        return sock
    try:
        return tls.wrap_socket(sock, server_hostname=parts.hostname, suppress_ragged_eofs=False)
    except BaseException:
        sock.close()
        raise


def send(
    sock: socket.socket,
    url: str,
    body: Mapping[str, object] | None = None,
    *,
    path: str = "/chat/completions",
    close: bool = True,
    headers: Mapping[str, str] | None = None,
) -> None:
    payload = json.dumps(body or {}).encode()
    lines = [
        f"POST {urlsplit(url).path}{path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Length: {len(payload)}",
    ]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if close:
        lines.append("Connection: close")
    sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + payload)


def read(sock: socket.socket, *, patience: float = _PATIENCE, enough: int = 1 << 22) -> Heard:
    sock.settimeout(patience)
    heard = bytearray()
    while len(heard) < enough:
        try:
            data = sock.recv(65_536)
        except TimeoutError:
            return Heard(bytes(heard), "silence")
        except (ConnectionResetError, ssl.SSLEOFError):
            # Python reports RST and a FIN without close_notify under TLS alike.
            return Heard(bytes(heard), "rst")
        if not data:
            return Heard(bytes(heard), "fin")
        heard += data
    return Heard(bytes(heard), "more")
