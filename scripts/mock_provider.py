"""A pytest plugin for the test suites of SDKs: the provider their tests of resources ask, on loopback.

Used by sdk_suites.py. The makers of the SDKs run these tests against a server made from the provider's API description, which ships in no
source distribution. But each method of the SDK declares the type of its answer; here a request is answered with the least JSON of that type.
The environment names the SDK in SUITE_OF.
"""

from __future__ import annotations

import enum
import functools
import importlib
import inspect
import json
import os
import threading
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)
from urllib.parse import unquote, urlsplit

import pydantic
import pytest

DECLARED: Final[dict[tuple[str, str], Callable[[], tuple[str, bytes]]]] = {}
"""What answers a method and a path, as the SDK's own methods last declared: the kind of content and the content."""
SCALARS: Final[dict[object, object]] = {
    str: "text",
    int: 0,
    float: 1.5,
    bool: True,
    date: "2026-01-02",
    datetime: "2026-01-02T03:04:05Z",
    None: None,
    types.NoneType: None,
}
UNIONS: Final = (Union, types.UnionType)
SPANNING: Final = frozenset({"message_start", "message_delta", "message_stop", "response.completed"})
"""The events a stream begins and ends with, where it tells which they are."""
DEEP: Final = 5
"""Types a list is nested in before it is left empty."""


def least(kind: Any, within: int = 0) -> Any:
    """The smallest JSON value of a type: a model's fields that may not be null, the first of a union, one element in a list."""
    kind = _bare(kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in UNIONS:
        return None if types.NoneType in inner else least(inner[0], within)
    if origin is Literal:
        return inner[0]
    if origin in (list, Sequence, Iterable):
        return [least(inner[0], within + 1)] if within < DEEP else []
    if is_typeddict(kind):
        hints = get_type_hints(kind)
        return {name: least(hints[name], within + 1) for name in sorted(kind.__required_keys__)}
    if inspect.isclass(kind) and issubclass(kind, pydantic.BaseModel):
        values = {
            field.alias or name: (least(field.annotation, within + 1), field.is_required())
            for name, field in kind.model_fields.items()
        }
        return {name: value for name, (value, required) in values.items() if required or value is not None}
    if inspect.isclass(kind) and issubclass(kind, enum.Enum):
        return next(iter(kind)).value
    return SCALARS.get(kind, {})


def least_stream(stream: Any) -> bytes:
    """The shortest stream that has come to its end, for a type as `Stream[ChatCompletionChunk]`."""
    [event] = get_args(stream) or (object,)
    event = _bare(event)
    events = [least(kind) for kind in (get_args(event) if get_origin(event) in UNIONS else (event,))]
    lines: list[str] = []
    for told in [told for told in events if told.get("type") in SPANNING] or events[:1]:
        for choice in told.get("choices", ()):
            choice["finish_reason"] = "stop"
        if told.get("type") == "message_delta":
            told["delta"]["stop_reason"] = "end_turn"
        lines.append(f"event: {told['type']}\n" if "type" in told else "")
        lines.append(f"data: {json.dumps(told)}\n\n")
    return "".join(lines).encode()


def _bare(kind: Any) -> Any:
    kind = getattr(kind, "__value__", kind)  # a `type` alias
    return _bare(get_args(kind)[0]) if get_origin(kind) is Annotated else kind


def answered(kind: Any) -> tuple[str, bytes]:
    """The kind of content and the content of an answer of a type."""
    if kind is str:
        return "text/plain", b"text"
    if inspect.isclass(kind) and "Binary" in kind.__name__:
        return "application/octet-stream", b"bytes"
    value: Any = least(kind)
    choices: Any = cast("Mapping[str, Any]", value).get("choices", ()) if isinstance(value, Mapping) else ()
    for choice in choices:
        # The least message says nothing, as no provider's does.
        choice["message"] = {"role": "assistant", **(choice.get("message") or {}), "content": "text"}
    return "application/json", json.dumps(value).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers at once; a path that no method declared is not found."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the name is http.server's

    def handle_one_request(self) -> None:
        """As ever, but for a client that went away."""
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def answer(self) -> None:
        """Answers the request of any method."""
        self._read()
        declared = DECLARED.get((self.command, unquote(urlsplit(self.path).path)))
        kind, payload = (
            declared() if declared else ("application/json", b'{"error": {"message": "not found"}}')
        )
        self.send_response(200 if declared else 404)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the names are http.server's

    def _read(self) -> None:
        if self.headers.get("transfer-encoding") != "chunked":
            self.rfile.read(int(self.headers.get("content-length", 0)))
            return
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size + 2)
        self.rfile.readline()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Starts the server before the suite reads where it is."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["TEST_API_BASE_URL"] = f"http://127.0.0.1:{server.server_port}"


def pytest_configure() -> None:
    """Has every client class note the type each call declares, before it is sent."""
    base = importlib.import_module(f"{os.environ['SUITE_OF']}._base_client")
    for client in (base.SyncAPIClient, base.AsyncAPIClient):
        for verb in ("get", "post", "put", "patch", "delete"):
            setattr(client, verb, _noting(getattr(client, verb), verb, "cast_to"))
        client.get_api_list = _noting(client.get_api_list, "get", "page")


def _noting(send: Callable[..., Any], verb: str, declares: str) -> Callable[..., Any]:
    @functools.wraps(send)
    def noted(self: Any, path: str, **named: Any) -> Any:
        method = str(named.get("method") or verb).upper()
        answer = (
            (lambda: ("text/event-stream", least_stream(named["stream_cls"])))
            if named.get("stream")
            else (lambda: answered(named[declares]))
        )
        DECLARED[method, unquote(urlsplit(path).path)] = answer
        return send(self, path, **named)

    return noted
