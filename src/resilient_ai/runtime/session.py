"""One streamed call, from its first attempt to its last chunk, in either colour.

Until the first content a stream is a unary call: it waits, retries and falls back in silence. From the first content on it belongs to the
caller: what breaks it is told, and only `on_interrupt` lets another model go on. Both clocks of a stream run on content, so that pings
and empty events cannot keep a dead one alive, and the time the caller takes between two chunks counts for nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, final

from resilient_ai.core.assembly import ReplyBuilder
from resilient_ai.core.deadline import CURRENT_DEADLINE, AttemptTimeout
from resilient_ai.core.failure import FailureKind, verdict_of
from resilient_ai.engine.call import Call
from resilient_ai.engine.cost import usage_of
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
from resilient_ai.runtime.pace import Pace

if TYPE_CHECKING:
    from resilient_ai.core.model import ChunkSource, Scope
    from resilient_ai.engine.books import Unread
    from resilient_ai.messages import Reply, Usage
    from resilient_ai.policies.limits import Concurrency
    from resilient_ai.runtime.driver import Bounds, Driver

LATE_SECONDS: Final = 0.02
"""What may pass between the arrival of a chunk and its turn before the clock is taken to have run out."""
MAX_ANSWER_CHARACTERS: Final = 2 * 1024 * 1024
"""Characters of one streamed answer, several times what the longest outputs of today's models hold. A stream without end is a fault, not
an answer, and must not fill the memory until the deadline."""


@final
class Session:
    """The engine side of a stream. One task or thread at a time; `close` may come from another, and `abandon` from any."""

    __slots__ = (
        "_ask",
        "_begun",
        "_call",
        "_check",
        "_interrupted",
        "_judge",
        "_on_interrupt",
        "_placed",
        "_places",
        "_ready",
        "_reply",
        "_scope",
        "_source",
        "_step",
        "_unread",
        "assembly",
        "bounds",
        "driver",
        "ended",
        "pace",
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
        self.driver = driver
        self._places = places
        self._judge = judge
        self._check = check
        self._on_interrupt = on_interrupt
        self._step: Step | None = None
        self._ask: Ask | None = None
        self._scope: Scope | None = None
        self._source: ChunkSource | None = None
        self.assembly: ReplyBuilder | None = None
        """The answer as it grows."""
        self.pace: Pace | None = None
        """The clocks of the attempt under way."""
        self.bounds: Bounds | None = None
        """What bounds its waits."""
        self._ready: deque[Chunk] = deque()
        self._interrupted = False
        self._placed = False
        self._begun = False
        self.ended = False
        """Nothing more will come."""
        self._reply: Reply | None = None
        self._unread: tuple[ChunkSource, Scope, Unread] | None = None
        """What the answer and its history are put together from, when somebody asks."""

    @property
    def reply(self) -> Reply | None:
        """The answer: whole once the stream has ended, what came of it if it was cut or left early."""
        unread = self._unread
        if unread is not None:
            source, scope, history = unread
            reply = source.completed(self._assembled(scope))
            outcome = history(usage_of(Ended(reply=reply, notes=scope.notes)), reply.flags)
            self._reply = with_outcome(reply, outcome)
            self._unread = None
        return self._reply

    async def start(self, step: Step | None = None) -> None:
        """Brings the stream to its first content, through retries and fallback.

        Args:
            step: What the state machine said last, for a call that was announced and has its place; None begins.

        Raises:
            Exception: As for a unary call.
        """
        if self._begun or self.ended:
            return
        self._begun = True
        clock = self.driver.clock
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
            await self._enter()
            await self._fill()
        except BaseException as error:
            await self._fail(error)
            raise

    async def _enter(self) -> None:
        await enter(self._call, self.driver, self._places)
        self._placed = True
        if self.ended:  # closed by somebody else while it stood in the line
            self._free()
        else:
            self._step = self._call.begin(self.driver.clock.now())

    def pop(self) -> Chunk | None:
        """The next chunk that is already here, or None."""
        return self._ready.popleft() if self._ready else None

    async def next(self) -> Chunk | None:
        """The next chunk, or None at the end.

        Raises:
            StreamInterrupted: It broke after content was delivered.
            InvalidOutput: It ended, and what came does not fit what was asked.
        """
        if not self._begun:
            await self.start()
        if not self._ready:
            if self.ended:
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
        if not self._begun:
            await self.start()
        ready = self._ready
        if not ready and not self.ended:
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
        if self.ended:
            return
        self.ended = True
        if not self._begun:
            return
        self._ready.clear()
        try:
            await self._close_source()
        finally:
            self._leave(None)

    def abandon(self) -> None:
        """As `close`, for garbage collection and interpreter exit: without waiting, from any thread."""
        if self.ended:
            return
        self.ended = True
        if not self._begun:
            return
        self._ready.clear()
        source = self._source
        self._source = None
        if source is not None:
            source.abandon()
        self._leave(None)

    # --- one read at a time -------------------------------------------------------------------------------------------

    async def _fill(self) -> None:
        """Reads until a chunk is ready or the stream has ended."""
        now = self.driver.clock.now()
        while not self._ready and not self.ended:
            step, scope, source, pace, bounds = self._ask, self._scope, self._source, self.pace, self.bounds
            if source is None or step is None or scope is None or pace is None or bounds is None:
                await self._advance()
                continue
            until = pace.asked(now)
            scope.until = pace.whole
            try:
                chunks = await bounds.bounded(source.receive(until), until)
                if self._source is None:
                    return  # somebody else has closed the stream meanwhile, and the books with it
                now = self.driver.clock.now()
                if chunks is not None and now > until + LATE_SECONDS:
                    # A source that always has something never suspends, so no timer ever fires: look at the clock.
                    raise AttemptTimeout(pace.phase, sent=True)
            except Exception as error:
                if self._source is None:
                    raise  # as above
                await self._close_source()
                if self.ended:
                    raise  # as above
                self._settle(failed(step, scope, _phased(error, pace.phase), self._judge))
                continue
            if chunks is None:
                await self._end(step, scope, pace)
            elif not self._take(chunks, step, pace, now):
                await self._close_source()
                if not self.ended:  # as above
                    self._settle(failed(step, scope, endless(step), self._judge))

    async def _advance(self) -> None:
        """Does what the state machine says, up to an open stream or the end."""
        step = self._step
        clock = self.driver.clock
        if type(step) is Pause:
            await self.driver.sleep_until(step.until)
            if not self.ended:  # closed meanwhile by somebody else, as below
                self._step = self._call.resume(clock.now())
        elif type(step) is Ask:
            await self._open(step)
        elif type(step) is Done and step.error is not None:
            self._step = None
            try:
                raise step.error
            finally:
                del step  # the error holds this frame, which must not hold the error

    async def _open(self, step: Ask) -> None:
        scope = scope_of(step, self.driver)
        self._ask = step
        self._scope = scope
        self.pace = pace = Pace(step, scope)
        self.bounds = bounds = self.driver.bounds()
        if self.assembly is None or self._on_interrupt != "continue" or not self._call.committed:
            self.assembly = ReplyBuilder(step.hop.name)
        else:
            self.assembly.goes_on()
        until = pace.asked(step.started)
        token = CURRENT_DEADLINE.set((self.driver.clock, step.until))
        try:
            self._source = await bounds.bounded(step.hop.model.open(step.request, scope), until)
        except Exception as error:  # noqa: BLE001 - every failure of a model becomes exactly one verdict
            if not self.ended:
                self._settle(failed(step, scope, _phased(error, pace.phase), self._judge))
        finally:
            CURRENT_DEADLINE.reset(token)
        if self.ended:
            await self._close_source()

    def _take(self, chunks: Sequence[Chunk], step: Ask, pace: Pace, now: float) -> bool:
        """Passes chunks on; False if the answer has become longer than any answer is."""
        assembly = self.assembly
        if assembly is None:
            raise AssertionError("chunks without an answer to put them in")
        for chunk in chunks:
            assembly.add(chunk)
            if chunk.text or chunk.has_content:
                begins = pace.first_content is None
                pace.content(now)
                if begins:
                    self._begin_content(step, pace, now)
                    self._ready.append(assembly.introduced(chunk))
                    continue
            if pace.first_content is not None:
                self._ready.append(chunk)
        pace.handed(now)
        return assembly.size <= MAX_ANSWER_CHARACTERS

    def _begin_content(self, step: Ask, pace: Pace, now: float) -> None:
        if self._call.committed and self._interrupted:
            self._interrupted = False
            if self._on_interrupt == "restart":
                self._ready.append(Chunk(restarted=True, model=step.hop.name))
        self._call.commit(now)
        if self._on_interrupt == "raise":
            pace.freed(self._call.until, step.hop.timeouts.attempt)

    async def _end(self, step: Ask, scope: Scope, pace: Pace) -> None:
        """The terminal event came."""
        source = self._source
        if source is None:
            raise AssertionError("an end without a stream")
        if self._check is None and self._call.untold:
            await self._close_source()
            if self.ended:
                return  # somebody else has closed the stream meanwhile, and the books with it
            now = self.driver.clock.now()
            self._call.commit(now)
            history = self._call.unread(scope.notes, now, pace.first_content, pace.away)
            self._unread = (source, scope, history)
            self.ended = True
            self._free()
        else:
            await self._end_told(source, step, scope, pace)

    async def _end_told(self, source: ChunkSource, step: Ask, scope: Scope, pace: Pace) -> None:
        """The same where somebody wants to know what the answer is: who checks it, who watches, what counts its tokens."""
        reply = source.completed(self._assembled(scope))
        await self._close_source()
        if self.ended:
            return  # as above
        error: Exception | None = None
        if self._check is not None:
            try:
                reply = self._check(reply)
            except Exception as failure:  # noqa: BLE001 - judged like any other
                error = failure
        self._reply = reply
        if error is not None:
            ended = failed(step, scope, error, self._judge)
            ended.reply = reply
            ended.checked = True
            self._settle(ended)
            return
        now = self.driver.clock.now()
        self._call.commit(now)
        self._call.settle(
            Ended(
                reply=reply,
                first_content=pace.first_content,
                chunks=pace.chunks,
                checked=self._check is not None,
                away=pace.away,
                notes=scope.notes,
            ),
            now,
        )
        self._complete()

    def _settle(self, ended: Ended) -> None:
        scope = self._scope
        if self._call.committed and self.assembly is not None and scope is not None:
            ended.reply = self._assembled(scope)
            self._reply = ended.reply
            self._interrupted = True
        elif self.assembly is not None and scope is not None and ended.reply is None:
            _note_usage(scope, self.assembly.usage)
        pace = self.pace
        if pace is not None:
            ended.first_content = pace.first_content
            ended.chunks = pace.chunks
        self._step = self._call.settle(ended, self.driver.clock.now())

    def _assembled(self, scope: Scope) -> Reply:
        if self.assembly is None or self._ask is None:
            raise AssertionError("no answer to assemble")
        request_id = scope.notes.get("request_id")
        return self.assembly.reply(
            provider=self._ask.hop.provider,
            request_id=request_id if isinstance(request_id, str) else None,
        )

    # --- endings ------------------------------------------------------------------------------------------------------

    def _complete(self) -> None:
        self.ended = True
        clock = self.driver.clock
        reply = self._reply
        outcome = self._call.finish(clock.now(), clock.wall(), None, reply)
        if reply is not None:
            self._reply = with_outcome(reply, outcome)
        self._free()

    async def _fail(self, error: BaseException) -> None:
        """The stream ends with `error`: raised by the state machine, or a cancellation."""
        if self.ended:
            return
        self.ended = True
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
                outcome = closed(self._call, self.driver, error)
                if self._reply is not None:
                    self._reply = with_outcome(self._reply, outcome)
                self._free()
            else:
                self._leave("_OTHER")

    def _leave(self, error: str | None) -> None:
        """Gives the permit back as neutral and closes the history with what came."""
        clock = self.driver.clock
        now = clock.now()
        scope, pace = self._scope, self.pace
        came = self._assembled(scope) if self.assembly is not None and scope is not None else None
        self._call.abandon(
            now,
            Ended(
                reply=came,
                verdict=CANCELLED if error is not None else None,
                first_content=None if pace is None else pace.first_content,
                chunks=0 if pace is None else pace.chunks,
                notes={} if scope is None else scope.notes,
            ),
            "cancelled" if error is not None else "abandoned",
        )
        outcome = self._call.finish(now, clock.wall(), error, came if self._call.committed else None)
        if came is not None:
            self._reply = with_outcome(came, outcome)
        self._free()

    def _free(self) -> None:
        if self._placed:
            self._placed = False
            self._places.leave()

    async def _close_source(self) -> None:
        source = self._source
        self._source = None
        if self.bounds is not None:
            self.bounds.close()
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


def _phased(error: Exception, phase: str) -> Exception:
    """`error`, with the clock that ran out named where the driver could not know it."""
    if isinstance(error, AttemptTimeout) and phase != "attempt" and error.phase == "attempt":
        named = AttemptTimeout(phase, sent=error.sent)
        named.__cause__ = error.__cause__
        return named
    return error


def _note_usage(scope: Scope, usage: Usage) -> None:
    """Keeps the tokens of a stream that broke before its first content: they are billed all the same."""
    scope.notes.setdefault("usage", usage)
