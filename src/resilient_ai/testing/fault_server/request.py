"""Reading a request off the wire, as little of HTTP/1.1 as clients need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast, final

from resilient_ai.messages import JSON
from resilient_ai.testing.fault_server.connection import Connection
from resilient_ai.testing.fault_server.record import Header

_HEAD_BYTES: Final = 1 << 20
_BODY_BYTES: Final = 256 << 20
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@final
class BadRequestError(Exception):
    """What came is not HTTP/1.1."""


@final
@dataclass(frozen=True, slots=True)
class Request:
    """A request as read."""

    method: str
    target: str
    version: str
    headers: tuple[Header, ...] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str:
        """The value of the first header `name` (in lower case), or empty."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    def wants_close(self) -> bool:
        """Whether the client will not reuse the connection."""
        connection = self.header("connection").lower()
        return "close" in connection or (self.version == "HTTP/1.0" and "keep-alive" not in connection)

    def json_object(self) -> Mapping[str, JSON]:
        """The body as a JSON object; empty if it is not one."""
        try:
            value: object = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return cast("dict[str, JSON]", value) if isinstance(value, dict) else {}


def read_request(connection: Connection) -> Request | None:
    """The next request; None if the client left between requests.

    Raises:
        BadRequestError: It is not HTTP/1.1, or larger than the server takes.
        ClientGone: The client left in the middle.
        Stopped: The server closes.
    """
    head = connection.read_head(_HEAD_BYTES)
    if not head:
        return None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequestError
    headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
    method, target, version = parts
    bare = Request(method, target, version, headers, b"")
    if bare.header("expect").lower() == "100-continue":
        connection.send(_CONTINUE)
    return Request(method, target, version, headers, _read_body(connection, bare))


def _read_body(connection: Connection, head: Request) -> bytes:
    if "chunked" in head.header("transfer-encoding").lower():
        return _read_chunks(connection)
    length = head.header("content-length") or "0"
    if not length.isdecimal() or int(length) > _BODY_BYTES:
        raise BadRequestError
    return connection.read_exactly(int(length))


def _read_chunks(connection: Connection) -> bytes:
    body = bytearray()
    while True:
        try:
            size = int(connection.read_line(_HEAD_BYTES).partition(b";")[0], 16)
        except ValueError as error:
            raise BadRequestError from error
        if len(body) + size > _BODY_BYTES:
            raise BadRequestError
        if size == 0:
            while connection.read_line(_HEAD_BYTES):
                pass
            return bytes(body)
        body += connection.read_exactly(size)
        connection.read_exactly(2)
