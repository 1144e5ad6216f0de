"""One streamed call, from its first attempt to its last chunk, in either colour.

Until the first content a stream is a unary call: it waits, retries and falls back in silence. From the first content on it belongs to the
caller: what breaks it is told, and only `on_interrupt` lets another model go on. Both clocks of a stream run on content, so that pings
and empty events cannot keep a dead one alive, and the time the caller takes between two chunks counts for nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

from resilient_ai.core.assembly import ReplyBuilder
from resilient_ai.core.deadline import CURRENT_DEADLINE, AttemptTimeout
from resilient_ai.core.failure import FailureKind, verdict_of
from resilient_ai.engine.call import Call
from resilient_ai.engine.steps import Ask, Done, Ended, Pause, Step
from resilient_ai.errors import ModelError, ResilientError
from resilient_ai.messages import Chunk
from resilient_ai.runtime.orchestrate import (
    CANCELLED,
    Check,
    Judge,
    closed,
    enter,
    failed,
    scope_of,
    with_outcome,
)

if TYPE_CHECKING:
    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.messages import Reply, Usage
    from resilient_ai.policies.limits import Concurrency
    from resilient_ai.runtime.driver import Driver

LATE_SECONDS: Final = 0.02
"""What may pass between the arrival of a chunk and its turn before the clock is taken to have run out."""
MAX_ANSWER_CHARACTERS: Final = 2 * 1024 * 1024
"""Characters of one streamed answer, several times what the longest outputs of today's models hold. A stream without end is a fault, not
an answer, and must not fill the memory until the deadline."""


@final
class Session:
    """The engine side of a stream. One task or thread at a time; `abandon` may come from any."""

    __slots__ = (
        "_ask",
        "_assembly",
        "_away",
        "_away_before",
        "_call",
        "_check",
        "_chunks",
        "_driver",
        "_first_content",
        "_handed",
        "_interrupted",
        "_judge",
        "_last_content",
        "_on_interrupt",
        "_placed",
        "_places",
        "_ready",
        "_scope",
        "_source",
        "_state",
        "_step",
        "reply",
    )

    def __init__(
        self,
        call: Call,
        driver: Driver,
        places: Concurrency,
        judge: Judge,
        check: Check | None,
        on_interrupt: str,
    ) -> None:
        self._call = call
        self._driver = driver
        self._places = places
        self._judge = judge
        self._check = check
        self._on_interrupt = on_interrupt
        self._step: Step | None = None
        self._ask: Ask | None = None
        self._scope: Scope | None = None
        self._source: ChunkSource | None = None
        self._assembly: ReplyBuilder | None = None
        self._ready: deque[Chunk] = deque()
        self._chunks = 0
        self._first_content: float | None = None
        self._last_content = 0.0
        self._handed = 0.0
        self._away = 0.0
        """Seconds of this attempt in which the caller did not ask for more, after its first content."""
        self._away_before = 0.0
        """Those of them before its last content."""
        self._interrupted = False
        self._placed = False
        self._state = "new"
        self.reply: Reply | None = None
        """The answer: whole once the stream has ended, what came of it if it was cut or left early."""

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self._state == "ended"

    async def start(self, step: Step | None = None) -> None:
        """Brings the stream to its first content, through retries and fallback.

        Args:
            step: What the state machine said last, for a call that was announced and has its place; None begins.

        Raises:
            Exception: As for a unary call.
        """
        if self._state != "new":
            return
        self._state = "open"
        clock = self._driver.clock
        self._placed = handed_over = step is not None
        if handed_over:
            self._step = step
        else:
            self._call.announce(clock.now(), clock.wall())
        del step  # it may hold an error, which holds this frame
        try:
            if handed_over:
                await self._fill()
                return
            await enter(self._call, self._driver, self._places)
            self._placed = True
            self._step = self._call.begin(clock.now())
            await self._fill()
        except BaseException as error:
            await self._fail(error)
            raise

    def pop(self) -> Chunk | None:
        """The next chunk that is already here, or None."""
        return self._ready.popleft() if self._ready else None

    async def next(self) -> Chunk | None:
        """The next chunk, or None at the end.

        Raises:
            StreamInterrupted: It broke after content was delivered.
            InvalidOutput: It ended, and what came does not fit what was asked.
        """
        if self._state == "new":
            await self.start()
        if not self._ready:
            if self._state == "ended":
                return None
            try:
                await self._fill()
            except BaseException as error:
                await self._fail(error)
                raise
        return self._ready.popleft() if self._ready else None

    async def read(self) -> bool:
        """Reads until something has come, which the history alone learns of; False at the end. For whoever hands on the source's own bytes.

        Raises:
            Exception: As `next`.
        """
        ready = self._ready
        if not ready and self._state == "open":
            try:
                await self._fill()
            except BaseException as error:
                await self._fail(error)
                raise
        more = bool(ready)
        ready.clear()
        return more

    async def close(self) -> None:
        """Ends the stream now: closes the connection, gives everything back, keeps what came. Idempotent."""
        if self._state == "ended":
            return
        if self._state == "new":
            self._state = "ended"
            return
        self._state = "ended"
        self._ready.clear()
        try:
            await self._close_source()
        finally:
            self._leave(None)

    def abandon(self) -> None:
        """As `close`, for garbage collection and interpreter exit: without waiting, from any thread."""
        if self._state in ("ended", "new"):
            self._state = "ended"
            return
        self._state = "ended"
        self._ready.clear()
        source = self._source
        self._source = None
        if source is not None:
            source.abandon()
        self._leave(None)

    # --- one read at a time -------------------------------------------------------------------------------------------

    async def _fill(self) -> None:
        """Reads until a chunk is ready or the stream has ended."""
        if self._first_content is not None:
            self._away += self._driver.clock.now() - self._handed
        while not self._ready and self._state == "open":
            step, scope, source = self._ask, self._scope, self._source
            if source is None or step is None or scope is None:
                await self._advance()
                continue
            until, phase = self._bound(step, scope)
            try:
                chunks = await self._driver.bounded(source.receive(until), until)
                now = self._driver.clock.now()
                if chunks is not None and now > until + LATE_SECONDS:
                    # A source that always has something never suspends, so no timer ever fires: look at the clock.
                    raise AttemptTimeout(phase, sent=True)
            except Exception as error:  # noqa: BLE001 - every failure of a model becomes exactly one verdict
                await self._close_source()
                self._settle(failed(step, scope, _phased(error, phase != "attempt", phase), self._judge))
                continue
            if chunks is None:
                await self._end(step, scope)
            elif not self._take(chunks, step, now):
                await self._close_source()
                self._settle(failed(step, scope, endless(step), self._judge))

    async def _advance(self) -> None:
        """Does what the state machine says, up to an open stream or the end."""
        step = self._step
        clock = self._driver.clock
        if type(step) is Pause:
            await self._driver.sleep_until(step.until)
            self._step = self._call.resume(clock.now())
        elif type(step) is Ask:
            await self._open(step)
        elif type(step) is Done:
            if step.error is not None:
                self._step = None
                try:
                    raise step.error
                finally:
                    del step  # the error holds this frame, which must not hold the error
            self._complete()

    async def _open(self, step: Ask) -> None:
        scope = scope_of(step, self._driver)
        self._ask = step
        self._scope = scope
        self._first_content = None
        self._away = self._away_before = 0.0
        self._chunks = 0
        if self._assembly is None or self._on_interrupt != "continue" or not self._call.committed:
            self._assembly = ReplyBuilder(step.hop.name)
        until = min(step.until, step.started + scope.first_token)
        token = CURRENT_DEADLINE.set((self._driver.clock, step.until))
        try:
            self._source = await self._driver.bounded(step.hop.model.open(step.request, scope), until)
        except Exception as error:  # noqa: BLE001 - every failure of a model becomes exactly one verdict
            self._settle(failed(step, scope, _phased(error, until < step.until, "first_token"), self._judge))
        finally:
            CURRENT_DEADLINE.reset(token)

    def _bound(self, step: Ask, scope: Scope) -> tuple[float, str]:
        """The instant by which content must have come, and which clock says so."""
        until = step.until
        if self._call.committed and self._on_interrupt == "raise":
            # Nobody behind will be asked any more: the time kept for them is free.
            # And so is the time the caller took: the attempt's clock is the provider's.
            until = min(self._call.until, step.started + step.hop.timeouts.attempt + self._away)
            scope.until = until
        if self._first_content is None:
            bound, phase = step.started + scope.first_token, "first_token"
        else:
            # The caller's own pauses are not the provider's. Events without content, which an SDK fetches one after the other, set nothing back.
            bound, phase = self._last_content + self._away - self._away_before + scope.idle, "idle"
        return (bound, phase) if bound < until else (until, "attempt")

    def _take(self, chunks: Sequence[Chunk], step: Ask, now: float) -> bool:
        """Passes chunks on; False if the answer has become longer than any answer is."""
        assembly = self._assembly
        if assembly is None:
            raise AssertionError("chunks without an answer to put them in")
        self._handed = now
        for chunk in chunks:
            assembly.add(chunk)
            if chunk.text or chunk.has_content:
                self._last_content = now
                self._away_before = self._away
                self._chunks += 1
                if self._first_content is None:
                    self._begin_content(step, now)
                    self._ready.append(assembly.introduced(chunk))
                    continue
            if self._first_content is not None:
                self._ready.append(chunk)
        return assembly.size <= MAX_ANSWER_CHARACTERS

    def _begin_content(self, step: Ask, now: float) -> None:
        self._first_content = now - step.started
        if self._call.committed and self._interrupted:
            self._interrupted = False
            if self._on_interrupt == "restart":
                self._ready.append(Chunk(restarted=True, model=step.hop.name))
        self._call.commit(now)

    async def _end(self, step: Ask, scope: Scope) -> None:
        """The terminal event came."""
        source = self._source
        if source is None:
            raise AssertionError("an end without a stream")
        reply = source.completed(self._assembled(scope))
        await self._close_source()
        error: Exception | None = None
        if self._check is not None:
            try:
                reply = self._check(reply)
            except Exception as failure:  # noqa: BLE001 - judged like any other
                error = failure
        self.reply = reply
        if error is not None:
            ended = failed(step, scope, error, self._judge)
            ended.reply = reply
            ended.checked = True
            self._settle(ended)
            return
        now = self._driver.clock.now()
        self._call.commit(now)
        self._step = self._call.settle(
            Ended(
                reply=reply,
                first_content=self._first_content,
                chunks=self._chunks,
                checked=self._check is not None,
                away=self._away,
                notes=scope.notes,
            ),
            now,
        )

    def _settle(self, ended: Ended) -> None:
        scope = self._scope
        if self._call.committed and self._assembly is not None and scope is not None:
            ended.reply = self._assembled(scope)
            self.reply = ended.reply
            self._interrupted = True
        elif self._assembly is not None and scope is not None and ended.reply is None:
            _note_usage(scope, self._assembly.usage)
        ended.first_content = self._first_content
        ended.chunks = self._chunks
        self._step = self._call.settle(ended, self._driver.clock.now())

    def _assembled(self, scope: Scope) -> Reply:
        if self._assembly is None or self._ask is None:
            raise AssertionError("no answer to assemble")
        request_id = scope.notes.get("request_id")
        return replace(
            self._assembly.reply(provider=self._ask.hop.provider),
            request_id=request_id if isinstance(request_id, str) else None,
        )

    # --- endings ------------------------------------------------------------------------------------------------------

    def _complete(self) -> None:
        self._state = "ended"
        clock = self._driver.clock
        reply = self.reply
        outcome = self._call.finish(clock.now(), clock.wall(), None, reply)
        if reply is not None:
            self.reply = with_outcome(reply, outcome)
        self._free()

    async def _fail(self, error: BaseException) -> None:
        """The stream ends with `error`: raised by the state machine, or a cancellation."""
        if self._state == "ended":
            return
        self._state = "ended"
        if not isinstance(error, Exception):
            try:
                await self._close_source()
            finally:
                self._leave(FailureKind.CANCELLED.value)
            return
        try:
            await self._close_source()
        finally:
            if isinstance(error, ResilientError) or self._call.endings:
                outcome = closed(self._call, self._driver, error)
                if self.reply is not None:
                    self.reply = with_outcome(self.reply, outcome)
                self._free()
            else:
                self._leave("_OTHER")

    def _leave(self, error: str | None) -> None:
        """Gives the permit back as neutral and closes the history with what came."""
        clock = self._driver.clock
        now = clock.now()
        scope = self._scope
        partial = self._assembled(scope) if self._assembly is not None and scope is not None else None
        self._call.abandon(
            now,
            Ended(
                reply=partial,
                verdict=CANCELLED if error is not None else None,
                first_content=self._first_content,
                chunks=self._chunks,
                notes={} if scope is None else scope.notes,
            ),
            "cancelled" if error is not None else "abandoned",
        )
        outcome = self._call.finish(now, clock.wall(), error, partial if self._call.committed else None)
        if partial is not None:
            self.reply = with_outcome(partial, outcome)
        self._free()

    def _free(self) -> None:
        if self._placed:
            self._placed = False
            self._places.leave()

    async def _close_source(self) -> None:
        source = self._source
        self._source = None
        if source is None:
            return
        try:
            await source.aclose()
        except BaseException:
            source.abandon()
            raise


def endless(step: Ask) -> ModelError:
    """The typed error of a stream that does not end."""
    return ModelError(
        f"the streamed answer is longer than {MAX_ANSWER_CHARACTERS} characters",
        verdict=verdict_of(FailureKind.SERVER_ERROR, sent=True, reasons=("an answer without end",)),
        model=step.hop.name,
        provider=step.hop.provider,
    )


def _phased(error: Exception, narrower: bool, phase: str) -> Exception:  # noqa: FBT001 - internal, always two plain values
    """`error`, with the clock that ran out named where the driver could not know it."""
    if isinstance(error, AttemptTimeout) and narrower and error.phase == "attempt":
        named = AttemptTimeout(phase, sent=error.sent)
        named.__cause__ = error.__cause__
        return named
    return error


def _note_usage(scope: Scope, usage: Usage) -> None:
    """Keeps the tokens of a stream that broke before its first content: they are billed all the same."""
    scope.notes.setdefault("usage", usage)
