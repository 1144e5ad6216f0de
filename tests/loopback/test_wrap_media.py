"""Pictures and sounds in the answers of wrapped clients: as large as providers send them, as soon as they come, bounded all the same."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import hashlib
import json
import threading
import tracemalloc
from collections.abc import Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, cast, final

import google.genai
import openai
import pytest

from resilient_ai import Retry, outcome_of, wrap
from resilient_ai.core.events import AttemptFinished
from resilient_ai.testing import Captured

MIB: Final = 1024 * 1024
_PATIENCE: Final = 30.0


@functools.cache
def picture(mebibytes: int) -> str:
    """Base64 of what no compression makes smaller."""
    noise = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(MIB // 32))
    return base64.b64encode(noise * mebibytes).decode()


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def response(status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m", "output": output,
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "usage": {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12, "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}},
    }  # fmt: skip


def painted(*pictures: str) -> list[bytes]:
    """A Responses stream that brings the last of `pictures`, and the others on the way to it."""
    item = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": pictures[-1]}
    begun: dict[str, Any] = {**item, "status": "in_progress", "result": None}
    events = [
        event("response.created", sequence_number=0, response=response("in_progress", [])),
        event("response.output_item.added", sequence_number=1, output_index=0, item=begun),
    ]
    events += [
        event(
            "response.image_generation_call.partial_image",
            sequence_number=2 + number,
            item_id="ig_1",
            output_index=0,
            partial_image_index=number,
            partial_image_b64=one,
        )
        for number, one in enumerate(pictures[:-1])
    ]
    return [
        *events,
        event("response.output_item.done", sequence_number=8, output_index=0, item=item),
        event("response.completed", sequence_number=9, response=response("completed", [item])),
    ]


@final
class Painter(ThreadingHTTPServer):
    """Sends `pieces`, one after the other; waits for `go_on` before the one at `waits_before`."""

    daemon_threads = True

    def __init__(self, pieces: list[bytes], content_type: str, waits_before: int | None) -> None:
        super().__init__(("127.0.0.1", 0), _Sends)
        self.pieces = pieces
        self.content_type = content_type
        self.waits_before = waits_before
        self.go_on = threading.Event()
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Sends(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the name is http.server's

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        painter = cast("Painter", self.server)
        painter.asked += 1
        self.send_response(200)
        self.send_header("content-type", painter.content_type)
        self.end_headers()
        with contextlib.suppress(OSError):  # nobody reads on
            for number, piece in enumerate(painter.pieces):
                if number == painter.waits_before:
                    assert painter.go_on.wait(_PATIENCE)
                self.wfile.write(piece)


@contextlib.contextmanager
def painter(
    pieces: list[bytes], content_type: str = "text/event-stream", waits_before: int | None = None
) -> Generator[Painter]:
    server = Painter(pieces, content_type, waits_before)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


def bare(server: Painter) -> Any:
    return openai.OpenAI(api_key="k", base_url=server.url, max_retries=0)


def asked(client: Any) -> Iterator[Any]:
    stream: Iterator[Any] = client.responses.create(model="m", input="A river.", stream=True)
    return stream


async def _all(client: Any) -> list[Any]:
    return [one async for one in await client.responses.create(model="m", input="A river.", stream=True)]


@pytest.mark.parametrize("colour", ["blocking", "asyncio"])
def test_a_stream_of_large_pictures_is_the_sdks_own(colour: str) -> None:
    """The largest that gpt-image-2 makes are some 33 MB; the last event repeats the last of them."""
    with painter(painted(picture(3), picture(6), picture(18))) as server:
        expected = list(asked(bare(server)))
        if colour == "blocking":
            client = wrap(bare(server))
            got = list(asked(client))
        else:
            client = wrap(openai.AsyncOpenAI(api_key="k", base_url=server.url, max_retries=0))
            got = asyncio.run(_all(client))
    assert [one.type for one in got] == [one.type for one in expected]
    assert got == expected
    assert len(got[2].partial_image_b64) == 4 * MIB
    assert server.asked == 2


def test_a_picture_on_the_way_is_handed_over_when_it_comes() -> None:
    with painter(painted(picture(1), picture(1)), waits_before=3) as server:
        captured = Captured()
        stream = asked(wrap(bare(server), observers=[captured]))
        kinds = [next(stream).type for _ in range(3)]
        assert kinds[-1] == "response.image_generation_call.partial_image"
        server.go_on.set()
        assert [one.type for one in stream][-1] == "response.completed"
        outcome = outcome_of(stream)
    assert outcome is not None
    assert [attempt.verdict for attempt in outcome.attempts] == ["answered"]
    (finished,) = captured.of(AttemptFinished)
    assert (finished.attempt.usage.input_tokens, finished.attempt.usage.output_tokens) == (5, 7)


def test_what_is_larger_than_what_is_held_is_handed_over_while_it_comes() -> None:
    """An event before the first content, which the SDK alone would have begun to read."""
    created = event(
        "response.created", response={**response("in_progress", []), "instructions": "Paint. " * MIB}
    )
    half = len(created) // 4 * 3
    with painter([created[:half], created[half:], *painted(picture(1))[1:]], waits_before=1) as server:
        stream = asked(wrap(bare(server)))
        server.go_on.set()
        kinds = [one.type for one in stream]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


def test_a_whole_body_that_is_larger_than_any_text_is_the_sdks_to_read() -> None:
    items = [{"id": f"ig_{n}", "type": "image_generation_call", "status": "completed", "result": picture(13)} for n in range(2)]  # fmt: skip
    body = json.dumps(response("completed", items)).encode()
    assert len(body) > 32 * MIB
    with painter([body], "application/json") as server:
        got = wrap(bare(server), retry=Retry(attempts=1)).responses.create(model="m", input="Two rivers.")
    assert [len(item.result) for item in got.output] == [len(picture(13))] * 2
    assert server.asked == 1


def test_a_page_is_no_answer_however_large_it_is() -> None:
    with painter([b"<html>" + b" " * 33 * MIB], "text/html") as server:
        client = wrap(bare(server), retry=Retry(attempts=1))
        with pytest.raises(openai.APIResponseValidationError):
            client.responses.create(model="m", input="Two rivers.")
    assert server.asked == 1


def test_a_picture_of_gemini_is_handed_over_when_it_comes() -> None:
    def candidate(part: dict[str, Any], **more: Any) -> bytes:
        told = {"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}, **more}]}
        return f"data: {json.dumps(told)}\r\n\r\n".encode()

    data = picture(6)
    pieces = [
        candidate({"inlineData": {"mimeType": "image/png", "data": data}}),
        candidate({"text": "A river."}, finishReason="STOP"),
    ]
    with painter(pieces, waits_before=1) as server:
        client = wrap(google.genai.Client(api_key="k", http_options={"base_url": server.url}))
        stream = client.models.generate_content_stream(model="m", contents="A river.")
        first: Any = next(stream)
        server.go_on.set()
        rest = list(stream)
        client.close()
    assert first.parts[0].inline_data.data == base64.b64decode(data)
    assert rest[-1].text == "A river."


@pytest.mark.parametrize(
    ("begin", "more", "most"),
    [
        (b'data: {"type": "response.created", "x": "', b"x" * 65_536, 17),
        (b'data: {"partial_image_b64": "', b"iVBOR/+0" * 8192, 67),
    ],
)
def test_a_line_without_end_is_ended(begin: bytes, more: bytes, most: int) -> None:
    """The SDK alone reads on until the memory is full."""
    with painter([begin, *([more] * 16 * 200)]) as server:
        client = wrap(bare(server), retry=Retry(attempts=1))
        tracemalloc.start()
        try:
            with pytest.raises(openai.APIError):
                list(asked(client))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # The SDK's own reader holds the line twice for a moment; what is ours comes on top.
    assert peak < 5 * most * MIB
