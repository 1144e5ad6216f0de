"""Published examples of every provider, whole and cut at every byte, beside what they mean."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

import pytest

from resilient_ai.core.assembly import ReplyBuilder
from resilient_ai.messages import Reply
from resilient_ai.models.wire import Codec, Malformed, ReportedError, Truncated, WireError
from resilient_ai.models.wire.anthropic import Anthropic
from resilient_ai.models.wire.bedrock import Bedrock
from resilient_ai.models.wire.cohere import Cohere
from resilient_ai.models.wire.gemini import Gemini
from resilient_ai.models.wire.ollama import Ollama
from resilient_ai.models.wire.openai_chat import OpenAIChat
from resilient_ai.models.wire.openai_responses import OpenAIResponses

VECTORS = Path(__file__).parents[3] / "vectors" / "wire"
CODECS: dict[str, Codec] = {
    "anthropic": Anthropic(),
    "bedrock": Bedrock(),
    "cohere": Cohere(),
    "gemini": Gemini(),
    "ollama": Ollama(),
    "openai_chat": OpenAIChat(),
    "openai_responses": OpenAIResponses(),
}
ERRORS: dict[str, type[WireError]] = {
    "Malformed": Malformed,
    "ReportedError": ReportedError,
    "Truncated": Truncated,
}
Expected: TypeAlias = "dict[str, object]"


def vectors(*endings: str) -> list[str]:
    return sorted(
        f"{folder}/{path.name}"
        for folder in CODECS
        for ending in endings
        for path in (VECTORS / folder).glob(f"*.{ending}")
    )


def load(name: str) -> tuple[Codec, bytes, Expected]:
    path = VECTORS / name
    expected: Expected = json.loads((path.parent / f"{path.name}.expected").read_text("utf-8"))
    return CODECS[path.parent.name], path.read_bytes(), expected


def shape(reply: Reply) -> Expected:
    return {
        "text": reply.text,
        "tool_calls": [[call.id, call.name, call.arguments] for call in reply.tool_calls],
        "finish_reason": reply.finish_reason,
        "usage": asdict(reply.usage),
        "reasoning": [[part.text, part.opaque] for part in reply.reasoning],
        "refusal": reply.refusal,
        "model": reply.model,
        "id": reply.id,
        "flags": list(reply.flags),
    }


def streamed(codec: Codec, pieces: list[bytes]) -> tuple[Reply, WireError | None]:
    decoder = codec.stream_decoder()
    builder = ReplyBuilder()
    failure: WireError | None = None
    try:
        for piece in pieces:
            for chunk in decoder.feed(piece):
                builder.add(chunk)
        for chunk in decoder.end():
            builder.add(chunk)
        assert decoder.complete
    except WireError as error:
        failure = error
    for chunk in decoder.take():
        builder.add(chunk)
    return builder.reply(flags=decoder.flags), failure


def check(expected: Expected, reply: Reply | None, failure: WireError | None) -> None:
    if "error" in expected:
        assert type(failure) is ERRORS[str(expected["error"])]
        if "partial" in expected:
            assert reply is not None
            assert reply.text == expected["partial"]
        if isinstance(failure, ReportedError):
            assert failure.status == expected.get("status")
            assert json.loads(failure.body).keys() & {"error", "message", "candidates"}
    else:
        assert failure is None
        assert reply is not None
        assert {**shape(reply), "source": expected["source"]} == expected


@pytest.mark.parametrize("name", vectors("json"))
def test_a_published_answer_means_what_stands_beside_it(name: str) -> None:
    codec, body, expected = load(name)
    try:
        reply = codec.decode_reply(body)
    except WireError as error:
        check(expected, None, error)
    else:
        check(expected, reply, None)


@pytest.mark.parametrize("name", vectors("sse", "ndjson"))
def test_a_published_stream_means_what_stands_beside_it(name: str) -> None:
    codec, body, expected = load(name)
    check(expected, *streamed(codec, [body]))


@pytest.mark.parametrize("name", vectors("sse", "ndjson"))
def test_a_stream_means_the_same_wherever_it_is_cut(name: str) -> None:
    codec, body, expected = load(name)
    for cut in range(1, len(body)):
        check(expected, *streamed(codec, [body[:cut], body[cut:]]))
    check(expected, *streamed(codec, [body[i : i + 1] for i in range(len(body))]))


@pytest.mark.parametrize("name", vectors("sse", "ndjson"))
@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_a_stream_means_the_same_with_any_line_end_and_a_byte_order_mark(name: str, end: bytes) -> None:
    codec, body, expected = load(name)
    check(expected, *streamed(codec, [b"\xef\xbb\xbf" + body.replace(b"\n", end)]))


@pytest.mark.parametrize("name", vectors("sse", "ndjson"))
def test_no_stream_that_is_cut_before_its_end_passes_as_whole(name: str) -> None:
    codec, body, expected = load(name)
    if "error" in expected:
        return
    text = str(expected["text"])
    for cut in range(0, len(body), 7):
        reply, failure = streamed(codec, [body[:cut]])
        assert text.startswith(reply.text)
        if failure is None:
            assert reply.text == text
            assert shape(reply)["tool_calls"] == expected["tool_calls"]


@pytest.mark.parametrize("name", vectors("sse", "ndjson"))
def test_a_stream_in_place_of_a_body_is_read(name: str) -> None:
    codec, body, expected = load(name)
    if "error" in expected:
        with pytest.raises(ERRORS[str(expected["error"])]):
            codec.decode_reply(body)
        return
    reply = codec.decode_reply(body)
    assert reply.text == expected["text"]
    assert reply.finish_reason == expected["finish_reason"]


@pytest.mark.parametrize("name", vectors("json"))
def test_a_body_in_place_of_a_stream_is_read(name: str) -> None:
    codec, body, expected = load(name)
    for cut in range(0, len(body), 11):
        check(expected, *streamed(codec, [body[:cut], body[cut:]]))
