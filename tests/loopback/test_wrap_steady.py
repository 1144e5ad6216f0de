"""The steady state of a wrapped client's stream is a shorter way to the same end: same bytes, same failures, same history."""

from __future__ import annotations

import json
import random  # noqa: TID251 - a seeded sequence
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from adopted_clients import ASK
from resilient_ai import Retry, Timeouts, outcome_of, wrap
from resilient_ai.adopt import delivery
from resilient_ai.messages import Outcome
from resilient_ai.runtime.aio import GRACE_SECONDS
from resilient_ai.testing import ManualClock, capture_events

IDLE = 30.0
WHOLE = 300.0


# --- what a provider sends ------------------------------------------------------------------------------------------


def _chat(delta: dict[str, Any], **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish_reason", None)}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps({**chunk, **more}).encode() + b"\n\n"


def _event(kind: str, **more: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + json.dumps({"type": kind, **more}).encode() + b"\n\n"


Say = Callable[[str], bytes]
CHAT: dict[str, Say] = {
    "text": lambda text: _chat({"content": text}),
    "empty": lambda _: _chat({}),
    "reasoning": lambda text: _chat({"reasoning_content": text}),
    "ping": lambda _: b": ping\n\n",
    "error": lambda _: b'data: {"error": {"message": "overloaded", "code": 503}}\n\n',
    "usage": lambda _: _chat({}, usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}),
    "stop": lambda _: _chat({}, finish_reason="stop"),
    "end": lambda _: b"data: [DONE]\n\n",
    "garbage": lambda _: b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n',
}
MESSAGES: dict[str, Say] = {
    "text": lambda text: _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}),
    "empty": lambda _: _event("content_block_delta", index=0, delta={"type": "text_delta", "text": ""}),
    "reasoning": lambda _: b"",
    "ping": lambda _: _event("ping"),
    "error": lambda _: _event("error", error={"type": "overloaded_error", "message": "busy"}),
    "usage": lambda _: _event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9}),
    "stop": lambda _: _event("content_block_stop", index=0),
    "end": lambda _: _event("message_stop"),
    "garbage": lambda _: b'event: content_block_delta\ndata: {"type": "content_bl\n\n',
}
MESSAGES_BEGIN = _event(
    "message_start",
    message={
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
) + _event("content_block_start", index=0, content_block={"type": "text", "text": ""})


@dataclass(frozen=True)
class Script:
    """One stream: pieces, each after seconds of the provider's, taken by a caller who then is away for seconds; how it ends."""

    wire: str
    pieces: tuple[tuple[float, bytes, float], ...]
    reset: bool
    leaves_after: int | None


SECONDS = (*[0.0] * 30, 0.5, *[20.0] * 8, 29.9, 29.9, 30.1, 170.0)
TEXTS = ("a", "word ", "It is", '"', "\\", "ü", "\n", "\ud7ff", "🙂")
KINDS = (*["text"] * 60, "empty", "reasoning", "ping", "error", "usage", "stop", "end", "garbage")
PLACES = (*["own"] * 12, "joined", "cut")


def script_of(seed: int) -> Script:
    """The stream of number `seed`."""
    dice = random.Random(seed)  # noqa: S311 - no secrecy in a script
    wire = dice.choice(["chat", "messages"])
    say = CHAT if wire == "chat" else MESSAGES
    events = [b"" if wire == "chat" else MESSAGES_BEGIN, say["text"]("begin")]
    events += [say[dice.choice(KINDS)](dice.choice(TEXTS)) for _ in range(dice.randint(0, 20))]
    if dice.random() < 0.5:
        events += [say["usage"](""), say["stop"](""), say["end"]("")]
    pieces: list[bytes] = []
    for event in events:
        where = dice.choice(PLACES)
        if where == "joined" and pieces:
            pieces[-1] += event
        elif where == "cut":
            at = dice.randint(0, len(event))
            pieces += [event[:at], event[at:]]
        else:
            pieces.append(event)
    timed = tuple((dice.choice(SECONDS), piece, dice.choice(SECONDS)) for piece in pieces)
    leaves_after = dice.randint(1, 12) if dice.random() < 0.2 else None
    return Script(wire, timed, dice.random() < 0.3, leaves_after)


class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The pieces of a script, on a virtual clock."""

    def __init__(self, clock: ManualClock, script: Script) -> None:
        self._clock = clock
        self._script = script
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for seconds, piece, _ in self._script.pieces:
            self._clock.advance(seconds)
            yield piece
        if self._script.reset:
            raise httpx2.ReadError("reset")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for seconds, piece, _ in self._script.pieces:
            await self._clock.asleep(seconds)
            yield piece
        if self._script.reset:
            raise httpx2.ReadError("reset")

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class Seen:
    """What a caller, and whoever watches, saw of one stream."""

    raw: list[bytes]
    failure: str
    cause: str
    outcome: Outcome | None
    events: list[str]
    now: float
    closed: bool


def run(script: Script, *, blocking: bool, watched: bool) -> Seen:
    clock = ManualClock()
    body = Body(clock, script)
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(
            200, headers={"content-type": "text/event-stream"}, stream=body, request=request
        )
    )
    policy: Any = {
        "clock": clock,
        "timeouts": Timeouts(first_token=400, idle=IDLE, attempt=WHOLE),
        "deadline": 500,
        "retry": Retry(attempts=1),
    }
    raw: list[bytes] = []
    failure = cause = ""
    outcome: Outcome | None = None
    pauses = [away for _, piece, away in script.pieces if piece]

    def taken(piece: bytes) -> bool:
        raw.append(piece)
        clock.advance(pauses[min(len(raw), len(pauses)) - 1])
        return script.leaves_after == len(raw)

    def ended(error: Exception | None, stream: Any) -> None:
        nonlocal failure, cause, outcome
        if error is not None:
            failure, cause = repr(error), repr(error.__cause__)
        outcome = outcome_of(stream if error is None else error)

    def read() -> None:
        http: Any = httpx2.Client(transport=transport)
        stream: Any = None
        try:
            stream = ask(wrap(_client(script.wire, http, blocking=True), **policy), script.wire)
            for piece in stream.response.iter_raw():
                if taken(piece):
                    break
            stream.close()
            ended(None, stream)
        except Exception as error:  # noqa: BLE001 - whatever it is, both must meet it
            ended(error, stream)

    async def aread() -> None:
        http: Any = httpx2.AsyncClient(transport=transport)
        stream: Any = None
        try:
            stream = await ask(wrap(_client(script.wire, http, blocking=False), **policy), script.wire)
            async for piece in stream.response.aiter_raw():
                if taken(piece):
                    break
            await stream.close()
            ended(None, stream)
        except Exception as error:  # noqa: BLE001 - whatever it is, both must meet it
            ended(error, stream)

    def go() -> None:
        if blocking:
            read()
        else:
            clock.run(aread())

    told: list[str] = []
    if watched:
        with capture_events() as captured:
            go()
        told = [re.sub(r"call=\d+", "call=n", repr(event)) for event in captured.events]
    else:
        go()
    return Seen(raw, failure, cause, outcome, told, clock.now(), body.closed)


def _client(wire: str, http: Any, *, blocking: bool) -> Any:
    if wire == "chat":
        kind: Any = openai.OpenAI if blocking else openai.AsyncOpenAI
    else:
        kind = anthropic.Anthropic if blocking else anthropic.AsyncAnthropic
    return kind(api_key="k", http_client=http)


def ask(client: Any, wire: str) -> Any:
    if wire == "chat":
        return client.chat.completions.create(model="m", messages=ASK, stream=True)
    return client.messages.create(model="m", messages=ASK, max_tokens=9, stream=True)


def _none(*_: object) -> None:
    """No stream has a steady state."""


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "asyncio"])
@pytest.mark.parametrize("hundred", range(4))
def test_the_short_way_ends_as_the_long_one(
    hundred: int, monkeypatch: pytest.MonkeyPatch, *, blocking: bool
) -> None:
    for seed in range(100 * hundred, 100 * hundred + 100):
        script, watched = script_of(seed), seed % 10 == 0
        short = run(script, blocking=blocking, watched=watched)
        with monkeypatch.context() as patch:
            patch.setattr(delivery, "steady_state", _none)
            long = run(script, blocking=blocking, watched=watched)
        # A caller who holds up the loop beyond the deadline is given a grace or not, as its timers happen to stand.
        assert short.now == pytest.approx(long.now, abs=GRACE_SECONDS * 1.01)
        assert replace(short, now=long.now) == long, f"script {seed}"
        assert short.closed, f"script {seed}"
