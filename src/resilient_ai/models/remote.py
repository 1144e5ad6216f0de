"""A model behind an HTTP API: one wire format, one origin, one credential."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NoReturn, final

from resilient_ai.core.classify import classify
from resilient_ai.core.deadline import AttemptTimeout
from resilient_ai.core.failure import FailureKind, Verdict, verdict_of
from resilient_ai.core.model import Traits
from resilient_ai.errors import ModelError, ResilientError
from resilient_ai.models.http import Exchange, Transport, without_wire_bytes
from resilient_ai.models.prices import PriceSetting, price_of
from resilient_ai.models.wire import Codec, ReportedError, Truncated, Unportable, WireError
from resilient_ai.models.wire.flags import AFTER_FINISH, FINISH_MISSING, REPEATED, WRONG_MODEL, flags_of
from resilient_ai.privacy.known_values import repeatable

if TYPE_CHECKING:
    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.messages import Chunk, DataClassName, Reply, Request
    from resilient_ai.models.credential import Credential
    from resilient_ai.policies.timeouts import Timeouts
    from resilient_ai.privacy.secret import Secret

MAX_ERROR_BODY_BYTES: Final = 64 * 1024
DRAIN_SECONDS: Final = 0.05
"""How long the end of a finished stream is waited for, so that its connection can be used again. A server that keeps the
connection open after its last event costs this much and its connection, not the deadline."""
AFTER_FINISH_SECONDS: Final = 1.0
"""How long the usage and the end marker of a stream may take once the model has said why it stopped."""
REPEATS_FROM: Final = 6
"""Pieces a stream must have before half of them repeating the one before is taken for a replay."""
_NAMELESS: Final[tuple[str | None, str | None]] = (None, None)
REQUEST_ID_HEADERS: Final = (
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-amzn-requestid",
    "x-goog-request-id",
    "cf-ray",
)
MENDING: Final[Mapping[FailureKind, str]] = {
    FailureKind.AUTHENTICATION: "check the API key and what it may do",
    FailureKind.QUOTA_EXHAUSTED: "the account's quota is spent: raise it or pay",
    FailureKind.MODEL_UNAVAILABLE: "check the model's name and that the account has access to it",
    FailureKind.CONTEXT_OVERFLOW: "shorten the request or use a model with a larger context window",
    FailureKind.BAD_REQUEST: "the request itself is wrong: see .body for the provider's words",
    FailureKind.CONNECTION: "check the network, the address and the proxy",
}


class RemoteModel:
    """A model asked over HTTP. Safe to share between threads, tasks, loops and forks.

    Made by its subclasses, one a provider, which add nothing but defaults.
    """

    def __init__(
        self,
        name: str,
        *,
        provider: str,
        codec: Codec,
        base_url: str,
        credential: Credential,
        authorise: Callable[[str], Mapping[str, str]],
        headers: Mapping[str, str],
        http_client: object | None = None,
        context_tokens: int | None = None,
        data_classes: Iterable[DataClassName] | None = None,
        timeouts: Timeouts | None = None,
        price: PriceSetting = None,
        uds: str | None = None,
        traits: Traits | None = None,
    ) -> None:
        self._name = name
        self._provider = provider
        self._codec = codec
        self._credential = credential
        self._authorise = authorise
        self._transport = Transport(base_url, headers=headers, uds=uds, http_client=http_client)
        self.timeouts = timeouts
        base = traits or Traits()
        self._traits = replace(
            base,
            context_tokens=context_tokens,
            data_classes=None if data_classes is None else frozenset(data_classes),
            price=price_of(price, provider, name),
            server_address=self._transport.host,
            server_port=self._transport.port,
            wire=codec.format,
            replayable=not base.local,
        )
        self._key = f"{provider}:{name}@{base_url.rstrip('/')}#{credential.identity}"

    @property
    def name(self) -> str:
        return self._name

    @property
    def provider(self) -> str:
        return self._provider

    @property
    def key(self) -> str:
        return self._key

    @property
    def traits(self) -> Traits:
        return self._traits

    @property
    def codec(self) -> Codec:
        """The wire format it speaks."""
        return self._codec

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r}, base_url={self._transport.host!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} cannot be pickled or copied: it holds a key and connections. Make it where it is used."
        )

    async def answer(self, request: Request, scope: Scope) -> Reply:
        """One attempt at a whole answer.

        Raises:
            ModelError: It failed; `verdict` says how.
            AttemptTimeout: Its time was up.
        """
        key = self._credential.current() if self._credential else None
        headers: Mapping[str, str] = {}
        try:
            encoded = self._codec.encode_request(request, model=self._name, stream=False)
            response = await self._transport.exchange(
                "POST",
                self._codec.path(self._name, stream=False),
                encoded.body,
                scope,
                self._authorise(key.reveal()) if key is not None else None,
            )
            headers = response.headers
            self._note(scope, headers)
            if not 200 <= response.status < 300:
                raise self._refused(response.status, headers, response.body, scope, key)
            reply = self._codec.decode_reply(response.body)
        except Exception as error:  # noqa: BLE001 - raised again under its type
            raise self._typed(error, scope, headers, key) from _cause(error)
        return self._finished(request, reply, scope, encoded.dropped)

    async def open(self, request: Request, scope: Scope) -> ChunkSource:
        """One attempt at a streamed answer.

        Raises:
            ModelError: It failed before a stream began.
            AttemptTimeout: Its time was up.
        """
        key = self._credential.current() if self._credential else None
        headers: Mapping[str, str] = {}
        exchange: Exchange | None = None
        try:
            encoded = self._codec.encode_request(request, model=self._name, stream=True)
            exchange = await self._transport.open(
                "POST",
                self._codec.path(self._name, stream=True),
                encoded.body,
                scope,
                self._authorise(key.reveal()) if key is not None else None,
            )
            headers = exchange.headers
            self._note(scope, headers)
            scope.notes["status"] = exchange.status
            if not 200 <= exchange.status < 300:
                body = await exchange.body(MAX_ERROR_BODY_BYTES)
                raise self._refused(exchange.status, headers, body, scope, key)
        except BaseException as error:
            if exchange is not None:
                await exchange.close_firmly()
            if not isinstance(error, Exception):
                raise
            raise self._typed(error, scope, headers, key) from _cause(error)
        return _RemoteStream(self, exchange, request, encoded.dropped, scope, key)

    def close(self) -> None:
        """Closes idle blocking connections. Idempotent; the model may be used again."""
        self._transport.close()

    async def aclose(self) -> None:
        """Closes the connections of the running loop, and the blocking ones."""
        await self._transport.aclose()

    # --- one attempt's result, typed ----------------------------------------------------------------------------------

    def _finished(self, request: Request, reply: Reply, scope: Scope, dropped: Sequence[str]) -> Reply:
        flags = flags_of(request, reply, model=self._name)
        if dropped:
            flags = (*flags, *(f"dropped:{name}" for name in dropped))
        request_id = scope.notes.get("request_id")
        return replace(
            reply,
            provider=self._provider,
            model=repeatable(reply.model) or self._name,
            id=repeatable(reply.id),
            flags=flags,
            request_id=request_id if isinstance(request_id, str) else reply.request_id,
        )

    def _note(self, scope: Scope, headers: Mapping[str, str]) -> None:
        for name in REQUEST_ID_HEADERS:
            if name in headers:
                scope.notes["request_id"] = repeatable(headers[name])
                return

    def _refused(
        self, status: int, headers: Mapping[str, str], body: bytes, scope: Scope, key: Secret | None
    ) -> ModelError:
        body = body[:MAX_ERROR_BODY_BYTES]
        verdict = classify(
            status=status, headers=headers, body=body, provider=self._provider, clock=scope.clock
        )
        return self._error(verdict, scope, key, body=body)

    def _typed(
        self, error: Exception, scope: Scope, headers: Mapping[str, str], key: Secret | None
    ) -> Exception:
        """`error` as a caller may meet it: one of this library's, with the original as its cause."""
        if isinstance(error, ResilientError | AttemptTimeout):
            return error
        if isinstance(error, ReportedError):
            verdict = classify(
                status=error.status or 200,
                headers=headers,
                body=error.body,
                provider=self._provider,
                in_stream=True,
                clock=scope.clock,
            )
            return self._error(verdict, scope, key, body=error.body[:MAX_ERROR_BODY_BYTES])
        if isinstance(error, Unportable):
            # Nothing is wrong with the request: it only cannot be said in this format.
            verdict = replace(
                verdict_of(FailureKind.BAD_REQUEST, sent=False, reasons=("not portable",)), next_model=True
            )
            return self._error(
                verdict, scope, key, what=f"the request cannot be moved to this model: {error.what}"
            )
        if isinstance(error, Truncated):
            verdict = verdict_of(
                FailureKind.CONNECTION, sent=True, reasons=("ended before its terminal event",)
            )
            return self._error(verdict, scope, key, what=f"the answer is cut short: {error.what}")
        if isinstance(error, WireError):
            verdict = verdict_of(
                FailureKind.SERVER_ERROR, sent=True, reasons=("not an answer of this format",)
            )
            return self._error(verdict, scope, key, what=f"the answer is not usable: {error.what}")
        return self._error(classify(error), scope, key, what=f"{type(error).__name__} on the connection")

    def _error(
        self,
        verdict: Verdict,
        scope: Scope,
        key: Secret | None,
        *,
        body: bytes | None = None,
        what: str | None = None,
    ) -> ModelError:
        status = verdict.status if verdict.status is not None else scope.notes.get("status")
        if verdict.kind is FailureKind.AUTHENTICATION and key is not None and self._credential.refused(key):
            # There is another key: the model is well, and nothing is gained by waiting. The alert is raised all the same.
            verdict = replace(verdict, retry=True, retry_after=0.0, health="neutral")
        if key is not None and verdict.code and key.reveal().lower() in verdict.code:
            verdict = replace(verdict, code=None)
        if verdict.sent is None:
            verdict = replace(verdict, sent=bool(scope.notes.get("sent")))
        parts = [
            verdict.kind.value.replace("_", " "),
            f"status {status}" if status is not None and status != 200 else "",
            f"code {verdict.code}" if verdict.code else "",
            what or "",
            "" if verdict.kind is FailureKind.BAD_REQUEST and body is None else MENDING.get(verdict.kind, ""),
        ]
        request_id = scope.notes.get("request_id")
        return ModelError(
            "; ".join(part for part in parts if part),
            verdict=verdict,
            model=self._name,
            provider=self._provider,
            status_code=status if isinstance(status, int) else None,
            request_id=request_id if isinstance(request_id, str) else None,
            body=body,
        )


@final
class _RemoteStream:
    """The stream of one attempt. Owned by the session that opened it."""

    __slots__ = (
        "_decoder",
        "_done",
        "_dropped",
        "_exchange",
        "_fault",
        "_key",
        "_last",
        "_model",
        "_names",
        "_oddities",
        "_pieces",
        "_repeats",
        "_request",
        "_scope",
        "_stopped",
    )

    def __init__(
        self,
        model: RemoteModel,
        exchange: Exchange,
        request: Request,
        dropped: Sequence[str],
        scope: Scope,
        key: Secret | None,
    ) -> None:
        self._model = model
        self._exchange = exchange
        self._request = request
        self._dropped = dropped
        self._decoder = model.codec.stream_decoder()
        self._scope = scope
        self._key = key
        self._done = False
        self._fault: Exception | None = None
        self._last: str = ""
        self._pieces = 0
        self._repeats = 0
        self._stopped = False
        self._names = _NAMELESS
        self._oddities: dict[str, None] = {}

    async def receive(self, until: float) -> Sequence[Chunk] | None:
        """The next chunks, or None after the terminal event.

        Raises:
            ModelError: The stream broke, was cut, reported an error or is malformed.
            AttemptTimeout: Nothing came by `until`.
        """
        if self._fault is not None:
            raise self._fault
        while not self._done:
            try:
                chunks = await self._step(until)
            except (WireError, AttemptTimeout, ResilientError) as error:
                chunks = self._decoder.take()
                fault = self._typed(error)
                if not chunks:
                    raise fault from _cause(error)
                fault.__cause__ = _cause(error)
                self._fault = fault
            except Exception as error:  # noqa: BLE001 - raised again under its type
                raise self._typed(error) from _cause(error)
            if chunks:
                self._watch(chunks)
                return [self._named(chunk) for chunk in chunks]
        return None

    def completed(self, reply: Reply) -> Reply:
        """The whole answer, with what was odd about how it came."""
        if self._pieces >= REPEATS_FROM and self._repeats * 2 >= self._pieces:
            self._oddities[REPEATED] = None
        if not self._stopped:
            self._oddities[FINISH_MISSING] = None
        whole = replace(reply, flags=(*reply.flags, *self._decoder.flags, *self._oddities))
        return self._model._finished(self._request, whole, self._scope, self._dropped)  # noqa: SLF001 - same module

    def _named(self, chunk: Chunk) -> Chunk:
        """`chunk` without an identifier or a model's name that is none. Looked at once: every chunk of an answer has the same."""
        names = (chunk.id, chunk.model)
        if names in (self._names, _NAMELESS):
            return chunk
        model = repeatable(chunk.model)
        if model != chunk.model:
            self._oddities[WRONG_MODEL] = None
        shown = replace(chunk, id=repeatable(chunk.id), model=model)
        if (shown.id, shown.model) == names:
            self._names = names
        return shown

    def _watch(self, chunks: Sequence[Chunk]) -> None:
        """Notices what no single event shows: replayed events, content after the end."""
        for chunk in chunks:
            if chunk.text:
                self._pieces += 1
                if chunk.text == self._last:
                    self._repeats += 1
                self._last = chunk.text
            if self._stopped and chunk.has_content:
                self._oddities[AFTER_FINISH] = None
            if chunk.finish_reason is not None:
                self._stopped = True

    async def _step(self, until: float) -> list[Chunk]:
        data = await (self._read_end(until) if self._stopped else self._exchange.read(until))
        if data is None:
            self._done = True
            return self._decoder.end()
        chunks = self._decoder.feed(data)
        self._done = self._decoder.complete
        return chunks

    async def _read_end(self, until: float) -> bytes | None:
        """Reads on after the model has stopped: usage and the end marker are due, but an answer that is whole is not held up for them."""
        soon = min(until, self._scope.clock.now() + AFTER_FINISH_SECONDS)
        try:
            if self._scope.blocking:
                return await self._exchange.read(soon)
            async with asyncio.timeout(AFTER_FINISH_SECONDS):
                return await self._exchange.read(soon)
        except (AttemptTimeout, TimeoutError, OSError):
            return None

    def _typed(self, error: Exception) -> Exception:
        return self._model._typed(error, self._scope, self._exchange.headers, self._key)  # noqa: SLF001 - same module

    async def aclose(self) -> None:
        """Closes the stream; a finished one gives its connection back."""
        if not self._decoder.complete:
            await self._exchange.close_firmly()
            return
        await self._drain()
        await self._exchange.aclose()

    async def _drain(self) -> None:
        """Reads the end of the body, which is there already or nearly so; anything else is not worth waiting for."""
        until = self._scope.clock.now() + DRAIN_SECONDS
        try:
            if self._scope.blocking:
                while await self._exchange.read(until):
                    if self._scope.clock.now() > until:
                        return
                return
            async with asyncio.timeout(DRAIN_SECONDS):
                while await self._exchange.read(until):
                    pass
        except Exception:  # noqa: BLE001 - the answer is complete; whatever is wrong with the rest, the connection is closed
            return

    def abandon(self) -> None:
        """Closes without waiting."""
        self._exchange.abandon()


def _cause(error: Exception) -> BaseException | None:
    """What stands behind the typed error: the original, or what the original was raised from, without bytes of the wire."""
    typed = isinstance(
        error, ResilientError | AttemptTimeout
    )  # and raised as it is: nothing is its own cause
    return without_wire_bytes(error.__cause__ if typed else error)
