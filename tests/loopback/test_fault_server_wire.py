"""Every fault does on the wire what its line in the catalogue says, read by a client that trusts nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from raw_client import End, Heard, ask
from resilient_ai.testing import FaultServer

TEXT = FaultServer.text
HALF = TEXT[: len(TEXT) // 2 - 20]
"""Comes in every answer that is cut half-way."""
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Row:
    """What must be heard: how it ends, and what must be true of it, for a plain and a streamed answer."""

    end: End
    json: Callable[[Heard], bool]
    stream: Callable[[Heard], bool]
    argument: str | None = None
    stream_end: End | None = None


def good(heard: Heard) -> bool:
    """The whole answer, and a stream up to its end mark."""
    if "event-stream" in "".join(heard.headers("content-type")):
        return (
            heard.text == TEXT
            and heard.events[-1] == "[DONE]"
            and '"finish_reason":"stop"' in heard.events[-2]
        )
    return heard.text == TEXT and bool(heard.json["choices"][0]["finish_reason"] == "stop")


def both(end: End, check: Callable[[Heard], bool], argument: str | None = None) -> Row:
    return Row(end, check, check, argument)


def streamed(end: End, check: Callable[[Heard], bool], argument: str | None = None) -> Row:
    """A fault of streams only: the plain answer is good."""
    return Row("fin", good, check, argument, stream_end=end)


def page(status: int) -> Row:
    return both("fin", lambda heard: heard.status == status and b"<h1>" in heard.content)


def nothing(heard: Heard) -> bool:
    return heard.raw == b""


def refused(status: int, **headers: str) -> Row:
    def check(heard: Heard) -> bool:
        sent = {name: heard.headers(name.replace("_", "-")) for name in headers}
        expected = {name: [value] for name, value in headers.items()}
        return heard.status == status and "message" in heard.json["error"] and sent == expected

    return both("fin", check)


def half(heard: Heard) -> bool:
    """The first half of the answer, and not the second."""
    text = heard.content.decode("utf-8", "replace")
    if "data:" in text:
        return heard.text.startswith(HALF[:60]) and len(heard.text) < len(TEXT) * 0.7
    return text.startswith('{"id"') and len(text) < 400 and not text.endswith("}")


def half_without_end(heard: Heard) -> bool:
    return half(heard) and not heard.ends_with_last_chunk


def half_with_end(heard: Heard) -> bool:
    return half(heard) and heard.ends_with_last_chunk


def mid_event(heard: Heard) -> bool:
    """The last event lacks its end."""
    last = heard.content.rpartition(b"\n\n")[2]
    return last.startswith(b"data: {") and not last.endswith(b"}")


def half_then(extra: Callable[[Heard], bool]) -> Callable[[Heard], bool]:
    return lambda heard: half(heard) and extra(heard)


def value(expected: bytes) -> Callable[[Heard], bool]:
    """The only JSON value of the answer starts so."""

    def check(heard: Heard) -> bool:
        content = heard.content.removeprefix(b"data: ").strip()
        return heard.status == 200 and content.startswith(expected)

    return check


def chosen(check: Callable[[list[dict[str, Any]]], bool]) -> Callable[[Heard], bool]:
    """`check` of the choices of the answer, or of all choices of a stream in one list."""

    def apply(heard: Heard) -> bool:
        if not heard.headers("content-type")[0].startswith("text/event-stream"):
            return check(heard.json["choices"])
        bodies = [json.loads(event) for event in heard.events if event != "[DONE]"]
        return check([choice for body in bodies for choice in body["choices"]])

    return apply


def carrier(check: Callable[[dict[str, Any]], bool]) -> Callable[[Heard], bool]:
    """`check` of the body, or of every event of a stream."""

    def apply(heard: Heard) -> bool:
        if not heard.headers("content-type")[0].startswith("text/event-stream"):
            return check(heard.json)
        return all(check(json.loads(event)) for event in heard.events if event != "[DONE]")

    return apply


def finish(reason: str) -> Callable[[Heard], bool]:
    return chosen(lambda choices: choices[-1]["finish_reason"] == reason)


def tool(arguments: str, name: str = "get_weather") -> Callable[[Heard], bool]:
    def check(choices: list[dict[str, Any]]) -> bool:
        messages = [choice.get("message") or choice["delta"] for choice in choices]
        calls = [call["function"] for message in messages for call in message.get("tool_calls", [])]
        said = "".join(call["arguments"] for call in calls)
        names = [call["name"] for call in calls if "name" in call]
        return said == arguments and names == [name] and choices[-1]["finish_reason"] == "tool_calls"

    return chosen(check)


def usage(check: Callable[[Any], bool]) -> Callable[[Heard], bool]:
    """`check` of the usage; streams are asked for it."""

    def apply(heard: Heard) -> bool:
        if not heard.headers("content-type")[0].startswith("text/event-stream"):
            return check(heard.json.get("usage"))
        bodies = [json.loads(event) for event in heard.events if event != "[DONE]"]
        seen = [body["usage"] for body in bodies if body.get("usage")]
        return check(seen[-1] if seen else None)

    return apply


def tokens(prompt: int) -> Callable[[Any], bool]:
    return lambda seen: bool(seen["prompt_tokens"] == prompt)


def repeated(piece: bytes, at_least: int) -> Callable[[Heard], bool]:
    return lambda heard: heard.content.count(piece) >= at_least


def redirected(status: int, target: str) -> Row:
    return both("fin", lambda heard: heard.status == status and target in heard.headers("location")[0])


def in_order(heard: Heard) -> bool:
    """The token events are in the order of the text."""
    at = [TEXT.find(json.loads(e)["choices"][0]["delta"].get("content") or "") for e in heard.events[1:-2]]
    return all(a < b for a, b in pairwise(at))


def finishes(heard: Heard) -> int:
    return sum('"finish_reason":"stop"' in event for event in heard.events)


WIRE: dict[str, Row] = {
    # load
    "none": both("fin", good),
    "latency": both("fin", good, "0.01"),
    "latency-tail": both("fin", good),
    "flaky": refused(500),
    "flapping": refused(503),
    "capacity": both("fin", good),
    # head
    "rst-no-response": both("rst", nothing),
    "fin-no-response": both("fin", nothing),
    "stall-no-response": both("silence", nothing),
    "rst-after-work": both("rst", nothing),
    "stale-connection": both("fin", good),
    "fin-mid-status-line": both("fin", lambda h: h.raw == b"HTTP/1.1 20"),
    "fin-mid-header": both("fin", lambda h: b"\r\n\r\n" not in h.raw and b"Content-Type: app" in h.raw),
    "stall-mid-header": both("silence", lambda h: b"\r\n\r\n" not in h.raw and b"Content-Type: app" in h.raw),
    "slow-header": both("more", lambda h: b"\r\n\r\n" not in h.raw and h.raw.count(b"X-Slow") > 2, "0.001"),
    "header-flood": both("more", lambda h: b"\r\n\r\n" not in h.raw and h.raw.count(b"X-Flood") > 100),
    "huge-header": Row(
        "fin", lambda h: len(h.head) > 1 << 20 and good(h), lambda h: len(h.head) > 1 << 20 and good(h)
    ),
    "header-garbage": both("fin", lambda h: b"no colon \x00 here" in h.head),
    "status-line-garbage": both("fin", lambda h: h.raw.startswith(b"220 mail")),
    "http09": both("fin", lambda h: h.raw.startswith((b'{"id"', b"data: {"))),
    "http10": both(
        "fin", lambda h: h.raw.startswith(b"HTTP/1.0 200") and not h.headers("content-length") and good(h)
    ),
    "reason-missing": both("fin", lambda h: h.raw.startswith(b"HTTP/1.1 200 \r\n") and good(h)),
    "status-204": both("fin", lambda h: h.status == 204 and not h.content),
    "status-304": both("fin", lambda h: h.status == 304 and not h.content),
    "status-101": both("fin", lambda h: h.status == 101 and h.headers("upgrade") == ["websocket"]),
    "status-999": both("fin", lambda h: h.status == 999),
    "redirect-loop": redirected(307, "/f/redirect-loop"),
    "redirect-cross-origin": redirected(307, "http://127.0.0.1:"),
    "redirect-no-location": both("fin", lambda h: h.status == 302 and not h.headers("location")),
    "redirect-to-file": redirected(307, "file:///"),
    "early-hint-once": both("fin", lambda h: h.status == 103 and b"\r\n\r\nHTTP/1.1 200 OK\r\n" in h.raw),
    "early-hints-forever": both("more", lambda h: h.raw.count(b"103 Early Hints\r\n\r\n") > 2, "0.001"),
    "content-length-conflict": both("fin", lambda h: len(set(h.headers("content-length"))) == 2),
    "content-length-garbage": both("fin", lambda h: h.headers("content-length") == ["many"]),
    "content-length-negative": both("fin", lambda h: h.headers("content-length") == ["-1"]),
    "length-and-chunked": both("fin", lambda h: h.headers("content-length") == ["7"] and good(h)),
    "unsolicited-response": both("fin", lambda h: h.raw.count(b"HTTP/1.1 200 OK\r\n") == 2),
    # status
    "status": both("fin", lambda h: h.status == 418 and "message" in h.json["error"], "418"),
    "429-retry-after-ms": refused(429, retry_after_ms="700", Retry_After="60"),
    "429-retry-after-skewed": refused(
        429, Date="Sun, 06 Nov 1994 08:49:37 GMT", Retry_After="Sun, 06 Nov 1994 08:49:38 GMT"
    ),
    "429-retry-after-absurd": refused(429, Retry_After="1000000000"),
    "429-retry-after-60": refused(429, Retry_After="60"),
    "429-retry-after-0": refused(429, Retry_After="0"),
    "429-retry-after-float": refused(429, Retry_After="0.5"),
    "429-retry-after-negative": refused(429, Retry_After="-5"),
    "429-retry-after-garbage": refused(429, Retry_After="soon"),
    "429-retry-after-empty": refused(429, Retry_After=""),
    "429-retry-after-twice": both("fin", lambda h: h.headers("retry-after") == ["1", "2"]),
    "429-retry-after-nan": refused(429, Retry_After="nan"),
    "429-retry-after-inf": refused(429, Retry_After="inf"),
    "429-retry-after-digits": refused(429, Retry_After="9" * 5000),
    "429-ratelimit-headers": refused(429, x_ratelimit_reset_requests="1s"),
    "500-should-not-retry": refused(500, x_should_retry="false"),
    "400-should-retry": refused(400, x_should_retry="true"),
    "503-retry-after-1": refused(503, Retry_After="1"),
    "407": refused(407, Proxy_Authenticate='Basic realm="proxy"'),
    **{str(status): refused(status) for status in (401, 402, 403, 404, 408, 409, 413, 422, 529)},
    "429-quota": both("fin", lambda h: h.status == 429 and h.json["error"]["code"] == "insufficient_quota"),
    "400-context-length": both(
        "fin", lambda h: h.status == 400 and h.json["error"]["code"] == "context_length_exceeded"
    ),
    "400-content-filter": both(
        "fin", lambda h: h.status == 400 and h.json["error"]["code"] == "content_filter"
    ),
    "503-overloaded": both("fin", lambda h: h.status == 503 and "overloaded" in h.json["error"]["message"]),
    "429-retry-after-date": both(
        "fin", lambda h: h.status == 429 and h.headers("retry-after")[0].endswith("GMT")
    ),
    "429-retry-after-past": both(
        "fin", lambda h: h.status == 429 and h.headers("retry-after")[0].endswith("GMT")
    ),
    "429-wait-in-text": both("fin", lambda h: h.status == 429 and "in 1.2s" in h.json["error"]["message"]),
    "429-retry-info": both("fin", lambda h: h.json["error"]["details"][0]["retryDelay"] == "1s"),
    "html-502": page(502),
    "html-503": page(503),
    "html-504": page(504),
    "500-empty": both("fin", lambda h: h.status == 500 and not h.content),
    "500-broken-json": both("fin", lambda h: h.status == 500 and h.content.endswith(b"upstr")),
    "500-stall-body": both("silence", lambda h: h.status == 500 and not h.content),
    "500-infinite-body": both("more", lambda h: h.status == 500 and h.content.count(b"e") > 100_000),
    # body
    "content-length-long": both("fin", lambda h: len(h.content) > int(h.headers("content-length")[0])),
    "content-length-short": both(
        "fin", lambda h: half(h) and len(h.content) < int(h.headers("content-length")[0])
    ),
    "stall-mid-body": both(
        "silence", lambda h: half(h) and len(h.content) < int(h.headers("content-length")[0])
    ),
    "chunked-bad-size": both("fin", lambda h: half(h) and h.raw.endswith(b"xyz\r\n")),
    "chunked-huge-size": both("silence", lambda h: h.raw.endswith(b"\r\nFFFFFFFFFFFFFFFF\r\n")),
    "chunked-no-end": both("fin", lambda h: good(h) and not h.ends_with_last_chunk),
    "chunk-extension": both(
        "fin", lambda h: good(h) and b";name=value" in h.raw and b"X-Checksum: none" in h.raw
    ),
    "chunk-one-byte": both("fin", lambda h: good(h) and h.raw.count(b"\r\n1\r\n") > 300),
    "no-content-type": both("fin", lambda h: not h.headers("content-type") and h.text == TEXT),
    "wrong-content-type": both(
        "fin", lambda h: h.headers("content-type") == ["text/plain"] and h.text == TEXT
    ),
    "html-200": both("fin", lambda h: h.status == 200 and h.content.startswith(b"<!DOCTYPE html>")),
    "gzip": both("fin", lambda h: good(h.unzipped())),
    "gzip-two-members": both("fin", lambda h: good(h.unzipped()) and h.content.count(b"\x1f\x8b\x08") == 2),
    "gzip-corrupt": both("fin", lambda h: h.headers("content-encoding") == ["gzip"] and good(h)),
    "gzip-truncated": both(
        "fin", lambda h: 0 < len(h.inflated()) < 4000 and TEXT[-20:].encode() not in h.inflated()
    ),
    "gzip-bomb": both("fin", lambda h: len(h.content) < 5000 and len(h.inflated()) > 2 << 20, "2"),
    "encoding-unknown": both("fin", lambda h: h.headers("content-encoding") == ["x-reversed"]),
    "encoding-nested": both("fin", lambda h: good(h.unzipped().unzipped())),
    "empty-200": both("fin", lambda h: h.status == 200 and not h.content),
    "truncated-json": both(
        "fin", lambda h: half(h) and len(h.content) == int(h.headers("content-length")[0])
    ),
    "json-whitespace-first": both("fin", lambda h: h.content.startswith(b"\n\n") and good(h)),
    "json-whitespace-forever": both("more", lambda h: h.content.strip() == b"", "0.001"),
    "json-bom": both("fin", lambda h: h.content.startswith(BOM)),
    "json-invalid-utf8": both("fin", lambda h: b"lan\xff\xfeterns" in h.content),
    "json-trailing-garbage": Row("fin", lambda h: h.content.endswith(b"proxy-7 -->"), good),
    "json-deep": both("fin", lambda h: b"[" * 1000 in h.content and b"]" * 1000 in h.content, "1000"),
    "json-digits": both("fin", lambda h: b"9" * 5000 in h.content, "5000"),
    "json-array": both("fin", value(b'[{"id"')),
    "json-string": both("fin", value(b'"all is well"')),
    "json-null": both("fin", value(b"null")),
    "json-empty-object": both("fin", value(b"{}")),
    "json-duplicate-keys": Row("fin", lambda h: h.content.startswith(b'{"choices":null,') and good(h), good),
    "error-in-200": both("fin", lambda h: h.status == 200 and "overloaded" in h.json["error"]["message"]),
    "huge-body": both("fin", lambda h: len(h.content) > 1 << 20 and h.text == "a" * (1 << 20), "1"),
    # stream
    "rst-mid-stream": both("rst", half_without_end),
    "fin-mid-stream": both("fin", half_without_end),
    "fin-close-delimited": both("fin", lambda h: half(h) and not h.headers("content-length")),
    "truncated-clean": both("fin", half_with_end),
    "truncated-mid-event": Row("fin", half_with_end, lambda h: half_with_end(h) and mid_event(h)),
    "stall-before-first-token": both("silence", lambda h: h.status == 200 and not h.content),
    "stall-mid-stream": both("silence", half_without_end),
    "stall-mid-event": Row("silence", half_without_end, lambda h: half_without_end(h) and mid_event(h)),
    "slow-drip": both("fin", good, "0.001"),
    "byte-drip": both("more", lambda h: h.raw.count(b"\r\n1\r\n") > 50, "0.001"),
    "infinite-stream": Row(
        "more",
        lambda h: h.content.startswith(b'{"id"') and h.content[-1000:].isspace(),
        lambda h: h.text.count("and on ") > 100,
    ),
    "infinite-line": streamed("more", lambda h: b"x" * 60_000 in h.content),
    "infinite-event": streamed("more", repeated(b"data: x\n", 1000)),
    "pings-forever": streamed("more", repeated(b": ping\n\n", 3), "0.001"),
    "pings-mid-stream-forever": streamed("more", half_then(repeated(b": ping\n\n", 3)), "0.001"),
    "empty-deltas-forever": streamed("more", repeated(b'"delta":{"content":""}', 3), "0.001"),
    "repeats-forever": streamed("more", repeated(b"and again ", 3), "0.001"),
    # sse
    "error-first-event": streamed("fin", lambda h: "error" in json.loads(h.events[0])),
    "error-mid-stream": streamed("fin", half_then(lambda h: "error" in json.loads(h.events[-1]))),
    "error-mid-stream-named": streamed("fin", half_then(lambda h: b"event: error\ndata: {" in h.content)),
    "error-plain-mid-stream": streamed("fin", half_then(lambda h: h.content.endswith(b"before headers\n"))),
    "error-json-mid-stream": streamed("fin", half_then(lambda h: b'\n\n{"error":' in h.content)),
    "missing-finish": streamed(
        "fin", lambda h: h.text == TEXT and not finishes(h) and h.events[-1] == "[DONE]"
    ),
    "missing-done": streamed(
        "fin", lambda h: h.text == TEXT and finishes(h) == 1 and "[DONE]" not in h.events
    ),
    "missing-end": streamed("fin", lambda h: h.text == TEXT and not finishes(h) and "[DONE]" not in h.events),
    "duplicate-finish": streamed("fin", lambda h: h.text == TEXT and finishes(h) == 2),
    "finish-only": streamed("fin", lambda h: h.text == "" and finishes(h) == 1),
    "done-only": streamed("fin", lambda h: h.events == ["[DONE]"]),
    "done-then-stall": streamed("silence", good),
    "done-then-rst": streamed("rst", good),
    "done-then-garbage": streamed("fin", lambda h: h.events[-2] == "[DONE]" and "not part" in h.events[-1]),
    "giant-event": streamed("fin", lambda h: len(h.text) > 1 << 20 and h.events[-1] == "[DONE]", "1"),
    "sse-invalid-json": streamed("fin", lambda h: b"data: <" in h.content and h.events[-1] == "[DONE]"),
    "sse-invalid-utf8": streamed(
        "fin", lambda h: b"lan\xff\xfeterns" in h.content and h.events[-1] == "[DONE]"
    ),
    "sse-data-null": streamed("fin", lambda h: h.text == TEXT and "null" in h.events),
    "sse-data-array": streamed("fin", lambda h: h.text == TEXT and '["unexpected"]' in h.events),
    "sse-crlf": streamed("fin", lambda h: good(h) and h.content.count(b"\n") == h.content.count(b"\r\n")),
    "sse-cr": streamed("fin", lambda h: good(h) and b"\n" not in h.content),
    "sse-crlf-split": streamed("fin", lambda h: good(h) and b"\r\r\n1\r\n\n\r\n" in h.raw),
    "sse-bom": streamed("fin", lambda h: good(h) and h.content.startswith(BOM)),
    "sse-one-segment": streamed(
        "fin", lambda h: good(h) and b"\n\n\r\n0\r\n\r\n" in h.raw and h.raw.count(b"\n\n\r\n") == 1
    ),
    "sse-no-final-newline": streamed("fin", lambda h: good(h) and h.content.endswith(b"[DONE]")),
    "sse-no-space": streamed("fin", lambda h: good(h) and b"data: " not in h.content),
    "sse-id-retry": streamed(
        "fin", lambda h: good(h) and b"id: 3\nretry: 1\nweather: fine\ndata: " in h.content
    ),
    "sse-comments": streamed("fin", lambda h: good(h) and h.content.count(b": ping\n\n") == len(h.events)),
    "sse-no-data": streamed("fin", lambda h: h.text == TEXT and b"event: keep-alive\n\n" in h.content),
    "sse-unknown-event": streamed(
        "fin", lambda h: h.text == TEXT and b"event: weather_report\n" in h.content
    ),
    "sse-multi-data": streamed("fin", lambda h: good(h) and b'data: {\ndata:  "id"' in h.content),
    "duplicate-events": streamed("fin", lambda h: h.text.startswith("The keeper of The keeper of ")),
    "reordered-events": streamed("fin", lambda h: sorted(h.text) == sorted(TEXT) and not in_order(h)),
    "finish-before-text": streamed("fin", lambda h: h.text == TEXT and '"stop"' not in h.events[-2]),
    "id-changes": streamed("fin", lambda h: len({json.loads(e)["id"] for e in h.events[:-1]}) == 2),
    "stream-got-json": streamed(
        "fin", lambda h: h.headers("content-type") == ["application/json"] and good(h)
    ),
    "json-got-stream": Row(
        "fin", lambda h: h.headers("content-type")[0].startswith("text/event") and good(h), good
    ),
    # content
    "null-content": both(
        "fin", chosen(lambda c: '"content": null' in json.dumps(c[0]) and c[-1]["finish_reason"] == "stop")
    ),
    "empty-content": both("fin", lambda h: h.text == "" and finish("stop")(h)),
    "missing-usage": both("fin", usage(lambda seen: seen is None)),
    "negative-usage": both("fin", usage(tokens(-21))),
    "huge-usage": both("fin", usage(tokens(10**18))),
    "wrong-model": both("fin", carrier(lambda body: body["model"] == "some-other-model")),
    "finish-length": both("fin", finish("length")),
    "finish-filter": both("fin", finish("content_filter")),
    "refusal": both("fin", chosen(lambda c: "I cannot" in json.dumps(c) and "keeper" not in json.dumps(c))),
    "tool-call": both("fin", tool('{"city": "Paris"}')),
    "tool-call-broken": both("fin", tool('{"city": "Par')),
    "tool-call-unknown": both("fin", tool('{"when": "now"}', "launch_rocket")),
    "tool-call-trailing": both("fin", tool('{"city": "Paris"}{"city": "Rome"}')),
    "tool-call-not-object": both("fin", tool('"Paris"')),
    "lone-surrogate": both("fin", lambda h: rb"\ud83d" in h.content and h.text.endswith(" \ud83d")),
    "nul-in-text": both("fin", lambda h: rb"\u0000" in h.content and h.text.endswith(" \0")),
    "empty-choices": both("fin", carrier(lambda body: body["choices"] == [])),
    "missing-choices": both("fin", carrier(lambda body: "choices" not in body)),
    "null-choices": both("fin", carrier(lambda body: body["choices"] is None)),
    "wrong-types": both("fin", carrier(lambda body: isinstance(body["choices"], dict))),
    "unknown-fields": both("fin", lambda h: good(h) and h.content.count(b'"sky":"clear"') > 2),
    "error-null": both("fin", lambda h: good(h) and b'"error":null' in h.content),
}

BEFORE_REQUESTS = {fault.name for fault in FaultServer.catalogue.values() if fault.entrance is not None}
"""Shown in test_fault_server.py."""


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def test_every_fault_has_a_row_here_and_no_row_is_left_over() -> None:
    assert set(WIRE) == set(FaultServer.catalogue) - BEFORE_REQUESTS


@pytest.mark.parametrize("streaming", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("name", WIRE)
def test_a_fault_does_on_the_wire_what_it_says(server: FaultServer, name: str, *, streaming: bool) -> None:
    row = WIRE[name]
    end = row.stream_end if streaming and row.stream_end is not None else row.end
    # The first request of a session is a good one for `flaky`, unless every one is due.
    spec = "flaky:1" if name == "flaky" else name if row.argument is None else f"{name}:{row.argument}"
    url = server.url(spec, session="stream" if streaming else "json")
    body: dict[str, object] = {"model": "m", "stream": streaming}
    if name.endswith("-usage"):
        body["stream_options"] = {"include_usage": True}
    heard = ask(
        url,
        body,
        patience=0.3 if end == "silence" else 20.0,
        enough=_enough(end, name),
    )
    assert heard.end == end
    check = row.stream if streaming else row.json
    assert check(heard), heard.raw[:2000]


def _enough(end: End, name: str) -> int:
    """Where an endless answer is left: soon when it drips, later when it floods."""
    if end != "more":
        return 1 << 26
    if "flood" in name or "infinite" in name:
        return 300_000
    return 3_500 if any(word in name for word in ("mid-stream", "deltas", "repeats")) else 700


@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        ("openai", "/responses"),
        ("anthropic", "/v1/messages"),
        ("gemini", "/v1beta/models/m:generateContent"),
        ("gemini", "/v1beta/models/m:streamGenerateContent?alt=sse"),
        ("ollama", "/api/chat"),
        ("cohere", "/v2/chat"),
        ("bedrock", "/model/m/converse-stream"),
    ],
)
def test_every_fault_can_be_served_in_every_dialect(server: FaultServer, dialect: str, path: str) -> None:
    """A handler that raises would fail the run: pytest turns an exception in a thread into an error."""
    names = [name for name in WIRE if name not in {"latency-tail", "gzip-bomb", "huge-body"}]

    def meet(name: str, patience: float = 0.2) -> Heard:
        row = WIRE[name]
        spec = name if row.argument is None else f"{name}:{row.argument}"
        url = server.url(spec, dialect=dialect, session="all")  # type: ignore[arg-type]
        return ask(url, {"model": "m", "stream": True}, path=path, patience=patience, enough=3000)

    silent_by_nature = {"rst-no-response", "fin-no-response", "stall-no-response", "rst-after-work"}
    with ThreadPoolExecutor(16) as pool:
        heard = dict(zip(names, pool.map(meet, names), strict=True))
    silent = {name for name, each in heard.items() if not each.raw}
    assert silent >= silent_by_nature
    # A busy machine may be slower than that patience, which is short because many faults stall.
    assert [name for name in silent - silent_by_nature if not meet(name, patience=10).raw] == []
