"""anthropic's client for Bedrock, whose streams come in frames of AWS: guarded, and answered by others in such frames."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, cast

import anthropic
import pytest

from resilient_ai import Retry, outcome_of, wrap
from resilient_ai.models.wire.bedrock.frames import write_frame
from resilient_ai.testing import ScriptedModel, ok

ASK: Final[dict[str, Any]] = {
    "model": "anthropic.claude",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Where is my parcel?"}],
}
EVENTS: Final[list[dict[str, Any]]] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 9, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "On its "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "way."}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 4},
    },
    {"type": "message_stop"},
]


def frame(event: dict[str, Any]) -> bytes:
    payload = json.dumps(
        {"bytes": base64.b64encode(json.dumps(event).encode()).decode(), "p": "abcd"}
    ).encode()
    headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    return write_frame(headers, payload)


THROTTLED: Final = write_frame(
    {
        ":exception-type": "throttlingException",
        ":content-type": "application/json",
        ":message-type": "exception",
    },
    b'{"message": "Too many requests."}',
)
STREAMS: Final[dict[str, list[bytes]]] = {
    "whole": [frame(event) for event in EVENTS],
    "cut": [frame(event) for event in EVENTS[:4]],
    "throttled": [*(frame(event) for event in EVENTS[:4]), THROTTLED],
    "throttled-at-once": [b"".join((*(frame(event) for event in EVENTS[:4]), THROTTLED))],
    "refused": [THROTTLED],
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the name is http.server's

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "application/vnd.amazon.eventstream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for piece in STREAMS[self.path.split("/")[1]]:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Asked:
    """One streamed call in one colour: the events, and what ended them."""

    def __init__(self, blocking: bool, address: str, stream: str, **policy: Any) -> None:  # noqa: FBT001 - a parameter of tests
        sdk: Any = anthropic
        kind = sdk.AnthropicBedrock if blocking else sdk.AsyncAnthropicBedrock
        client = kind(
            aws_region="eu-west-1",
            aws_access_key="access",
            aws_secret_key="secret",
            base_url=f"{address}/{stream}",
            max_retries=0,
        )
        if policy.pop("wrapped", True):
            wrap(client, **policy)
        self.events: list[Any] = []
        self.error: Any = None
        self.stream: Any = None
        asyncio.run(self._ask(client, blocking=blocking))

    async def _ask(self, client: Any, *, blocking: bool) -> None:
        try:
            if blocking:
                self.stream = client.messages.create(**ASK, stream=True)
                self.events.extend(self.stream)
            else:
                self.stream = await client.messages.create(**ASK, stream=True)
                async for event in self.stream:
                    self.events.append(event)
        except anthropic.APIError as error:
            self.error = error
        finally:
            closing = client.close()
            if not blocking:
                await closing

    @property
    def text(self) -> str:
        return "".join(event.delta.text for event in self.events if event.type == "content_block_delta")


colours = pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "asynchronous"])


@colours
def test_a_stream_in_frames_arrives_as_it_came(blocking: bool, address: str) -> None:  # noqa: FBT001 - a parameter of tests
    bare = Asked(blocking, address, "whole", wrapped=False)
    wrapped = Asked(blocking, address, "whole")
    assert wrapped.error is None
    assert wrapped.events == bare.events
    outcome = outcome_of(wrapped.stream)
    assert outcome is not None
    assert outcome.served_by == "anthropic.claude"
    assert outcome.attempts[-1].usage.output_tokens == 4


@colours
def test_a_stream_in_frames_that_is_cut_raises(blocking: bool, address: str) -> None:  # noqa: FBT001 - a parameter of tests
    asked = Asked(blocking, address, "cut")
    assert isinstance(asked.error, anthropic.APIConnectionError)
    assert asked.text == "On its way."
    assert cast("Any", asked.error.__cause__).partial.text == "On its way."


@colours
@pytest.mark.parametrize("stream", ["throttled", "throttled-at-once", "refused"])
def test_an_exception_in_a_frame_is_of_the_class_the_sdk_raises(
    blocking: bool,  # noqa: FBT001 - a parameter of tests
    stream: str,
    address: str,
) -> None:
    bare = Asked(blocking, address, stream, wrapped=False)
    wrapped = Asked(blocking, address, stream)
    assert type(wrapped.error) is type(bare.error) is anthropic.APIStatusError
    assert wrapped.error.body == bare.error.body
    assert wrapped.text == bare.text


@colours
def test_a_fallback_answers_in_frames(blocking: bool, address: str) -> None:  # noqa: FBT001 - a parameter of tests
    second = ScriptedModel([ok("It waits at the corner.")], name="second")
    asked = Asked(blocking, address, "refused", fallback=second, retry=Retry(attempts=1))
    assert asked.error is None
    assert asked.text == "It waits at the corner."
    assert [event.type for event in asked.events][-1] == "message_stop"
    outcome = outcome_of(asked.stream)
    assert outcome is not None
    assert outcome.served_by == "second"
