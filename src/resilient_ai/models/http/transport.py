"""One provider's origin, spoken to in either colour over connections that are kept alive."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast, final
from urllib.parse import urlsplit

from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.errors import ConfigError
from resilient_ai.models.http.aio_net import AioBackend
from resilient_ai.models.http.blocking_net import ClampedBackend
from resilient_ai.models.http.connect import engine, make_pool, prepare
from resilient_ai.models.http.decoding import Inflater, Nested, inflater
from resilient_ai.models.http.scoped import CURRENT, UNTIL
from resilient_ai.models.wire import Malformed
from resilient_ai.privacy.key_names import is_sensitive
from resilient_ai.privacy.known_values import register
from resilient_ai.runtime.threads import Threads

if TYPE_CHECKING:
    from resilient_ai.core.model import Scope

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""Decoded bytes of a whole answer; the longest answers of today's models are below 1 MiB."""
MAX_STREAM_BYTES: Final = 256 * 1024 * 1024
"""Decoded bytes of a whole stream: a backstop, the answer itself is bounded where it is put together."""
MAX_HEADERS: Final = 200
"""Headers of an answer that are read; providers send about 24."""
LOOKUPS: Final = 4
"""Look-ups of one origin's name at a time. A good one takes milliseconds, and a connection that is kept alive needs none."""
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(
    r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
)


@final
class Response:
    """A whole answer: `status`, `headers` (lower-case names), `body` decoded."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


@final
class Exchange:
    """An answer that is coming in. Closed exactly once by whoever opened it."""

    __slots__ = ("_close", "_encoding", "_inflate", "_left_bytes", "_pieces", "_scope", "headers", "status")

    def __init__(
        self, scope: Scope, status: int, headers: dict[str, str], pieces: object, close: object
    ) -> None:
        self._scope = scope
        self.status = status
        self.headers = headers
        self._pieces = pieces
        self._close = close
        self._left_bytes = MAX_STREAM_BYTES
        self._inflate: Inflater | Nested | None = None
        self._encoding: str | None = headers.get("content-encoding")

    async def read(self, until: float) -> bytes | None:
        """The next decoded bytes (perhaps none of them), or None at the end of the body.

        Args:
            until: The instant a blocking read ends by; an asynchronous one is cancelled by the runtime.

        Raises:
            Malformed, Truncated: The encoding is broken or the bound is passed.
            Exception: What the connection raised.
        """
        if self._encoding is not None:
            self._inflate = inflater(self._encoding, MAX_STREAM_BYTES)
            self._encoding = None
        if self._inflate is None:
            data = await self._receive(until)
            if data is not None:
                self._left_bytes -= len(data)
                if self._left_bytes < 0:
                    raise Malformed("the body is larger than the bound")
            return data
        while not (piece := self._inflate.pull()):
            data = await self._receive(until)
            if data is None:
                self._inflate.end()
                return None
            self._inflate.push(data)
        # Decoding waits for nothing, so no timer can end it: look at the clock instead.
        if self._scope.clock.now() > until:
            raise AttemptTimeout
        return piece

    async def _receive(self, until: float) -> bytes | None:
        if not self._scope.blocking:
            return await anext(cast("AsyncIterator[bytes]", self._pieces), None)
        tokens = CURRENT.set(self._scope), UNTIL.set(until)
        try:
            return next(cast("Iterator[bytes]", self._pieces), None)
        finally:
            CURRENT.reset(tokens[0])
            UNTIL.reset(tokens[1])

    async def body(self, limit_bytes: int) -> bytes:
        """The rest of the body.

        Raises:
            Malformed: It is longer than `limit_bytes`, or its encoding is broken.
            Exception: What the connection raised.
        """
        parts: list[bytes] = []
        size = 0
        while (data := await self.read(self._scope.until)) is not None:
            size += len(data)
            if size > limit_bytes:
                raise Malformed(f"the body is larger than {limit_bytes} bytes")
            parts.append(data)
        return b"".join(parts)

    async def aclose(self) -> None:
        """Gives the connection back, or closes it if the answer was not read to its end. Idempotent."""
        close = self._close
        self._close = None
        if close is None:
            return
        if self._scope.brake is not None:
            self._scope.brake.free()
        result = cast("Any", close)()
        if not self._scope.blocking:
            await result

    async def close_firmly(self) -> None:
        """As `aclose`, for an answer that is not wanted any more: closed to the end even if the waiting for it is cancelled."""
        if self._scope.blocking:
            await self.aclose()
        elif (closing := self._close_in_a_task(asyncio.get_running_loop())) is not None:
            await asyncio.shield(closing)

    def abandon(self) -> None:
        """Closes without waiting. Asynchronous: called in the loop of the exchange, or after it has closed."""
        if self._scope.blocking:
            close, self._close = self._close, None
            if close is not None:
                cast("Any", close)()
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # the loop is gone, and its connections with it
        self._close_in_a_task(loop)

    def _close_in_a_task(self, loop: asyncio.AbstractEventLoop) -> asyncio.Task[None] | None:
        close, self._close = self._close, None
        if close is None:
            return None
        task: asyncio.Task[None] = loop.create_task(cast("Any", close)())
        _closing.add(task)
        task.add_done_callback(_closing.discard)
        return task


_closing: set[asyncio.Task[None]] = set()
"""Closings under way: a loop holds its tasks only weakly."""


@final
class Transport:
    """One origin: `base_url`, headers sent with every request, and connections. Safe to share between threads, tasks, loops and forks.

    A connection pool belongs to a process, an asynchronous one to its loop as well; each is made at its first use.

    Args:
        base_url: Everything before the path of a request, for example `https://api.example.com/v1`.
        headers: Sent with every request; names in lower case.
        uds: A unix socket to connect to instead of the host in `base_url`.
        http_client: An httpx or httpx2 client to send with, owned by the caller. Its own timeouts bound each operation to the time
            the attempt has left, but, without our sockets below it, a blocking call is not bounded as a whole.

    Raises:
        ConfigError: `base_url` is not an http(s) address without credentials and query, a header cannot be sent, or the certificates
            the environment names cannot be read.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str],
        uds: str | None = None,
        http_client: object | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("base_url must start with http:// or https:// and name a host.", key="base_url")
        if parts.username is not None or parts.query or parts.fragment:
            raise ConfigError(
                "base_url must hold no credentials and no query; give the key as api_key, it is sent in a header.",
                key="base_url",
            )
        self._scheme = parts.scheme
        self.host: str = parts.hostname
        self.port: int = parts.port or (443 if parts.scheme == "https" else 80)
        self._base = base_url.rstrip("/")
        self._uds = uds
        self._client = http_client
        _check_headers(headers)
        if http_client is None:
            prepare(parts.scheme)
        host = parts.netloc.encode("ascii")
        plain = {"host": None, "accept-encoding": b"identity", "content-type": b"application/json"}
        self._headers: list[tuple[bytes, bytes]] = [(b"host", host)]
        for name, value in plain.items():
            if value is not None and name not in headers:
                self._headers.append((name.encode(), value))
        self._headers += [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        self._urls: dict[str, object] = {}
        self._lookups = Threads(f"look-up of {self.host}", LOOKUPS)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._blocking_backend = ClampedBackend()
        self._pool: object | None = None
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, object] = (
            weakref.WeakKeyDictionary()
        )
        self._ends: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncGenerator[None]] = (
            weakref.WeakKeyDictionary()
        )

    def has_header(self, name: str) -> bool:
        """A header of this (lower-case) name is sent with every request."""
        return any(known == name.encode() for known, _ in self._headers)

    async def open(
        self,
        method: str,
        path: str,
        body: bytes | None,
        scope: Scope,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """Sends a request and returns once the answer's head is in.

        Raises:
            AttemptTimeout: The attempt's time was up (blocking), or a connection took longer than `scope.connect`.
            Exception: What the connection raised; `core.classify` reads it.
        """
        token = CURRENT.set(scope)
        try:
            if self._client is not None:
                return await self._open_by_client(method, path, body, scope, headers)
            return await self._open(method, path, body, scope, headers)
        finally:
            CURRENT.reset(token)

    async def exchange(
        self,
        method: str,
        path: str,
        body: bytes | None,
        scope: Scope,
        headers: Mapping[str, str] | None = None,
        *,
        limit_bytes: int = MAX_BODY_BYTES,
    ) -> Response:
        """Sends a request and reads the whole answer, at most `limit_bytes` of it decoded.

        Raises:
            Malformed: The answer is larger than that, or its encoding is broken.
            Exception: As for `open`.
        """
        opened = await self.open(method, path, body, scope, headers)
        try:
            scope.notes["status"] = opened.status
            whole = await opened.body(limit_bytes)
        except BaseException:
            await opened.close_firmly()
            raise
        await opened.aclose()
        return Response(opened.status, opened.headers, whole)

    def close(self) -> None:
        """Closes idle blocking connections. Asynchronous ones are closed by `aclose` in their loop, or end with it. Idempotent."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            cast("Any", pool).close()

    async def aclose(self) -> None:
        """Closes the connections of the running loop, and the blocking ones. Idempotent."""
        loop = asyncio.get_running_loop()
        self._pools.pop(loop, None)
        end = self._ends.pop(loop, None)
        if end is not None:
            await end.aclose()
        self.close()

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        # A model that is dropped takes its idle blocking connections with it; asynchronous ones are closed in their loop. At the end of
        # the interpreter the modules that could do it are taken apart already, and the system closes what is left.
        if getattr(self, "_pool", None) is not None and not ending() and self._pid == os.getpid():
            self.close()

    async def _open(
        self, method: str, path: str, body: bytes | None, scope: Scope, headers: Mapping[str, str] | None
    ) -> Exchange:
        core = engine()
        url = self._urls.get(path)
        if url is None:
            url = core.URL(self._base + path)
            if len(self._urls) < 64:
                self._urls[path] = url
        sent = list(self._headers)
        if headers:
            sent += [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        if body is not None:
            sent.append((b"content-length", b"%d" % len(body)))
        request = core.Request(method, url, headers=sent, content=body)
        if scope.blocking:
            response = self._blocking_pool().handle_request(request)
            return Exchange(
                scope, response.status, _head(response.headers), iter(response.stream), response.close
            )
        response = await self._aio_pool().handle_async_request(request)
        return Exchange(
            scope, response.status, _head(response.headers), aiter(response.stream), response.aclose
        )

    async def _open_by_client(
        self, method: str, path: str, body: bytes | None, scope: Scope, headers: Mapping[str, str] | None
    ) -> Exchange:
        client = cast("Any", self._client)
        asynchronous = hasattr(client, "aclose")
        if asynchronous == scope.blocking:
            have, want, use = (
                ("asynchronous", "a blocking", "agenerate or astream")
                if asynchronous
                else ("blocking", "an asynchronous", "generate or stream")
            )
            raise ConfigError(
                f"The http_client given is {have}; this is {want} call. Use {use}, or give a client of the other kind.",
                key="http_client",
            )
        left = max(0.001, scope.remaining())
        timeout = {"connect": min(scope.connect, left), "read": left, "write": left, "pool": left}
        sent = [(name, value) for name, value in self._headers if name != b"host"]
        if headers:
            sent += [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        request = client.build_request(
            method, self._base + path, content=body, headers=sent, extensions={"timeout": timeout}
        )
        scope.notes["sent"] = True
        if asynchronous:
            response = await client.send(request, stream=True, follow_redirects=False)
            return Exchange(
                scope,
                response.status_code,
                _head(response.headers.raw),
                response.aiter_raw(),
                response.aclose,
            )
        response = client.send(request, stream=True, follow_redirects=False)
        return Exchange(
            scope, response.status_code, _head(response.headers.raw), response.iter_raw(), response.close
        )

    def _blocking_pool(self) -> Any:
        self._notice_fork()
        pool = self._pool
        if pool is None:
            with self._lock:
                if self._pool is None:
                    self._pool = make_pool(
                        asynchronous=False,
                        scheme=self._scheme,
                        host=self.host,
                        uds=self._uds,
                        backend=self._blocking_backend,
                    )
                pool = self._pool
        return pool

    def _aio_pool(self) -> Any:
        self._notice_fork()
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            # Idle connections hold their loop, so the weak tables alone would keep both for ever.
            for known in [known for known in list(self._pools) if known.is_closed()]:
                self._pools.pop(known, None)
                self._ends.pop(known, None)
            pool = self._pools[loop] = make_pool(
                asynchronous=True,
                scheme=self._scheme,
                host=self.host,
                uds=self._uds,
                backend=AioBackend(self._lookups),
            )
            self._ends[loop] = end = _closed_with_the_loop(pool)
            with suppress(StopIteration):
                cast("Any", anext(end)).send(None)  # begins it, which waits for nothing
        return pool

    def _notice_fork(self) -> None:
        """A forked child must not write into its parent's connections."""
        if self._pid != os.getpid():
            self._lock = threading.Lock()
            # Not through the pool, whose lock may be held for ever.
            self._blocking_backend.let_go()
            self._pool = None
            self._pools = weakref.WeakKeyDictionary()
            self._ends = weakref.WeakKeyDictionary()
            self._pid = os.getpid()


async def _closed_with_the_loop(pool: Any) -> AsyncGenerator[None]:
    """Closes a pool in its loop: when it is closed itself, when it is dropped, or when the loop shuts its generators down.

    `asyncio.run` does the last before it closes the loop, and so does everything built on it. Connections that were left open would
    be found by the garbage collector, with a `ResourceWarning` each, and whoever makes warnings errors would fail.
    """
    pid = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == pid:  # a forked child has a loop that shares its selector with the parent's
            await pool.aclose()


def _check_headers(headers: Mapping[str, str]) -> None:
    """Refuses what the HTTP library would refuse at the first request, because it does so by quoting the value.

    Raises:
        ConfigError: A header cannot be sent; the text names it.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigError("headers holds a name that is not one of HTTP's.", key="headers")
        if not _HEADER_VALUE.fullmatch(value):
            raise ConfigError(
                f"The value of the header {name!r} holds a line break, a control character or one outside Latin-1.",
                key="headers",
            )
        if is_sensitive(name):
            register(value)


def _head(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; repeated ones are joined, as HTTP allows."""
    headers: dict[str, str] = {}
    for name, value in raw[:MAX_HEADERS]:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers
