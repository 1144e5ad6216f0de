"""Broken and odd answers of Anthropic, Gemini, Ollama, Cohere and Bedrock: read rightly, or refused with an error of this package."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilient_ai.core.assembly import ReplyBuilder
from resilient_ai.core.classify import classify
from resilient_ai.core.failure import FailureKind
from resilient_ai.messages import JSON, Reply, ToolCall
from resilient_ai.models.wire import Codec, Malformed, ReportedError, Truncated, WireError
from resilient_ai.models.wire.anthropic import Anthropic
from resilient_ai.models.wire.bedrock import Bedrock
from resilient_ai.models.wire.bedrock.frames import write_frame
from resilient_ai.models.wire.cohere import Cohere
from resilient_ai.models.wire.framing import MAX_EVENT_BYTES, MAX_LINE_BYTES
from resilient_ai.models.wire.gemini import Gemini
from resilient_ai.models.wire.ollama import Ollama

ANTHROPIC = Anthropic()
GEMINI = Gemini()
OLLAMA = Ollama()
COHERE = Cohere()
BEDROCK = Bedrock()
CODECS: list[Codec] = [ANTHROPIC, GEMINI, OLLAMA, COHERE, BEDROCK]


def read(codec: Codec, body: bytes) -> tuple[Reply, WireError | None]:
    """What came of a stream, with its flags, and what it ended with."""
    decoder = codec.stream_decoder()
    builder = ReplyBuilder()
    failure: WireError | None = None
    try:
        for chunk in decoder.feed(body):
            builder.add(chunk)
        for chunk in decoder.end():
            builder.add(chunk)
    except WireError as error:
        failure = error
    for chunk in decoder.take():
        builder.add(chunk)
    return builder.reply(flags=decoder.flags), failure


def good(codec: Codec, body: bytes) -> Reply:
    reply, failure = read(codec, body)
    assert failure is None
    return reply


def refused(codec: Codec, body: bytes, kind: type[WireError]) -> str:
    """Text that came before the stream was refused as `kind`."""
    reply, failure = read(codec, body)
    assert type(failure) is kind
    return reply.text


def event(**fields: JSON) -> bytes:
    return f"event: {fields['type']}\ndata: {json.dumps(fields)}\n\n".encode()


def piece(index: int, **delta: JSON) -> bytes:
    return event(type="content_block_delta", index=index, delta=delta)


def begin(index: int, **block: JSON) -> bytes:
    return event(type="content_block_start", index=index, content_block=block)


def told(reason: JSON, **usage: JSON) -> bytes:
    return event(type="message_delta", delta={"stop_reason": reason}, usage=usage)


START = event(
    type="message_start",
    message={"id": "msg_1", "model": "m", "usage": {"input_tokens": 3, "output_tokens": 1}},
)
TEXT = (
    begin(0, type="text", text="")
    + piece(0, type="text_delta", text="Hel")
    + piece(0, type="text_delta", text="lo")
)
CLOSE = event(type="content_block_stop", index=0)
STOP = event(type="message_stop")
END = CLOSE + told("end_turn", output_tokens=2) + STOP


def response(*parts: JSON, finish: str | None = None, **fields: JSON) -> dict[str, JSON]:
    candidate: dict[str, JSON] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "responseId": "r1", "modelVersion": "m", **fields}


def data(value: JSON) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\r\n\r\n"


COUNTS: JSON = {"promptTokenCount": 3, "candidatesTokenCount": 2}
HEL = data(response({"text": "Hel"}))
LO = data(response({"text": "lo"}, finish="STOP", usageMetadata=COUNTS))


def line(content: JSON = "", *, done: bool = False, **fields: JSON) -> bytes:
    body: dict[str, JSON] = {"model": "m", "message": {"role": "assistant", "content": content}, "done": done}
    return json.dumps({**body, **fields}).encode() + b"\n"


LAST = line(done=True, done_reason="stop", prompt_eval_count=3, eval_count=2)


def said(**content: JSON) -> JSON:
    """The delta of an event of Cohere's that carries a piece of the message."""
    return {"message": content}


COHERE_START = event(type="message-start", id="c1", delta=said(role="assistant"))
COHERE_TEXT = (
    event(type="content-start", index=0, delta=said(content={"type": "text", "text": ""}))
    + event(type="content-delta", index=0, delta=said(content={"text": "Hel"}))
    + event(type="content-delta", index=0, delta=said(content={"text": "lo"}))
)


def cohere_end(reason: JSON = "COMPLETE", **fields: JSON) -> bytes:
    usage: JSON = {"tokens": {"input_tokens": 3, "output_tokens": 2.0}}
    return event(type="content-end", index=0) + event(
        type="message-end", delta={"finish_reason": reason, "usage": usage, **fields}
    )


def frame(name: str, **fields: JSON) -> bytes:
    """One event of Bedrock's."""
    return write_frame({":event-type": name, ":message-type": "event"}, json.dumps(fields).encode())


def failing_frame(name: str, **fields: JSON) -> bytes:
    """One exception of Bedrock's."""
    return write_frame({":exception-type": name, ":message-type": "exception"}, json.dumps(fields).encode())


BEDROCK_START: list[tuple[str, dict[str, JSON]]] = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hel"}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "lo"}}),
]
BEDROCK_END: list[tuple[str, dict[str, JSON]]] = [
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("messageStop", {"stopReason": "end_turn"}),
    (
        "metadata",
        {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}, "metrics": {"latencyMs": 1}},
    ),
]


def frames(events: list[tuple[str, dict[str, JSON]]]) -> bytes:
    return b"".join(frame(name, **fields) for name, fields in events)


WHOLE: dict[str, bytes] = {
    "bedrock": frames(BEDROCK_START + BEDROCK_END),
    "cohere": COHERE_START + COHERE_TEXT + cohere_end(),
    "anthropic": START + TEXT + END,
    "gemini": HEL + LO,
    "ollama": line("Hel") + line("lo") + LAST,
}
HALF: dict[str, bytes] = {
    "bedrock": frames(BEDROCK_START),
    "anthropic": START + TEXT,
    "cohere": COHERE_START + COHERE_TEXT,
    "gemini": HEL,
    "ollama": line("Hel"),
}


@pytest.mark.parametrize(
    ("codec", "body"),
    [
        *[
            (codec, body)
            for codec in CODECS
            for body in (b"{}", b"[]", b"null", b"", b"<html>portal</html>", b"[" * 200_000)
        ],
        (ANTHROPIC, b'{"content": null, "stop_reason": "end_turn"}'),
        (ANTHROPIC, b'{"content": {}}'),
        (ANTHROPIC, b'{"content": [1]}'),
        (ANTHROPIC, b'{"content": [{}]}'),
        (ANTHROPIC, b'{"content": [{"type": "text", "text": 5}]}'),
        (ANTHROPIC, b'{"content": [{"type": "tool_use", "id": 5}]}'),
        (ANTHROPIC, b'{"content": [{"type": "tool_use", "id": "a", "name": "f", "input": 5}]}'),
        (ANTHROPIC, b'{"content": [], "stop_reason": 5}'),
        (GEMINI, b'[{"id": "array"}]'),
        (GEMINI, b"[5]"),
        (GEMINI, b'{"candidates": []}'),
        (GEMINI, b'{"candidates": {}}'),
        (GEMINI, b'{"candidates": [{}]}'),
        (GEMINI, b'{"candidates": [{"content": []}]}'),
        (GEMINI, b'{"candidates": [{"content": {"parts": {}}}]}'),
        (GEMINI, b'{"candidates": [{"content": {"parts": [{"text": 5}]}}]}'),
        (GEMINI, b'{"candidates": [{"content": {"parts": [{"functionCall": []}]}}]}'),
        (GEMINI, b'{"candidates": [{"finishReason": 5}]}'),
        (BEDROCK, b'{"output": null, "stopReason": "end_turn"}'),
        (BEDROCK, b'{"output": {}}'),
        (BEDROCK, b'{"output": {"message": {}}}'),
        (BEDROCK, b'{"output": {"message": {"content": {}}}}'),
        (BEDROCK, b'{"output": {"message": {"content": [{}]}}}'),
        (BEDROCK, b'{"output": {"message": {"content": [{"text": 5}]}}}'),
        (BEDROCK, b'{"output": {"message": {"content": [{"toolUse": []}]}}}'),
        (BEDROCK, b'{"output": {"message": {"content": [{"toolUse": {"name": 5}}]}}}'),
        (BEDROCK, b'{"output": {"message": {"content": []}}, "stopReason": 5}'),
        (COHERE, b'{"message": null, "finish_reason": "COMPLETE"}'),
        (COHERE, b'{"message": {}, "finish_reason": "COMPLETE"}'),
        (COHERE, b'{"message": [], "finish_reason": "COMPLETE"}'),
        (COHERE, b'{"message": {"content": 5}}'),
        (COHERE, b'{"message": {"content": [1]}}'),
        (COHERE, b'{"message": {"content": [{}]}}'),
        (COHERE, b'{"message": {"content": [{"type": "text", "text": 5}]}}'),
        (COHERE, b'{"message": {"content": "x"}, "finish_reason": 5}'),
        (COHERE, b'{"message": {"tool_calls": {}}}'),
        (COHERE, b'{"message": {"tool_calls": [{"id": "a", "function": {"name": 5}}]}}'),
        (OLLAMA, b'{"message": null, "done": true}'),
        (OLLAMA, b'{"message": {}, "done": true}'),
        (OLLAMA, b'{"message": [], "done": true}'),
        (OLLAMA, b'{"message": {"content": 5}, "done": true}'),
        (OLLAMA, b'{"message": {"content": "x", "tool_calls": {}}, "done": true}'),
        (OLLAMA, b'{"message": {"content": "x"}, "done": false}'),
        (OLLAMA, b'{"done": true}'),
        (OLLAMA, LAST + b"garbage"),
    ],
)
def test_what_is_no_answer_is_refused(codec: Codec, body: bytes) -> None:
    with pytest.raises((Malformed, Truncated)):
        codec.decode_reply(body)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "junk", [b"data: nonsense\n\n", b"data: [1]\n\n", b"upstream connect error\n", b'data: {"cut": \n\n']
)
def test_junk_in_a_stream_is_refused_and_what_came_is_kept(codec: Codec, junk: bytes) -> None:
    if codec is OLLAMA:
        junk = junk.removeprefix(b"data: ")
    text = refused(codec, HALF[codec.format] + junk + b"x", Malformed)
    assert text == ("Hello" if codec in (ANTHROPIC, COHERE, BEDROCK) else "Hel")


@pytest.mark.parametrize("codec", CODECS)
def test_a_stream_that_stops_short_is_truncated(codec: Codec) -> None:
    assert "Hello".startswith(refused(codec, HALF[codec.format], Truncated))
    refused(codec, b"", Truncated)


@pytest.mark.parametrize("codec", CODECS)
def test_a_line_without_end_is_bounded(codec: Codec) -> None:
    mark = b"" if codec is OLLAMA else b"data: "
    assert refused(
        codec, HALF[codec.format] + mark + b'{"x":"' + b"a" * MAX_LINE_BYTES, Malformed
    ).startswith("Hel")


@pytest.mark.parametrize("codec", CODECS)
def test_what_comes_after_the_end_is_not_read(codec: Codec) -> None:
    reply = good(codec, WHOLE[codec.format] + b"data: nonsense\n\nnonsense\n")
    assert (reply.text, reply.finish_reason) == ("Hello", "stop")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (3, 2)


@pytest.mark.parametrize("codec", CODECS)
@settings(deadline=None, max_examples=60)
@given(junk=st.binary(max_size=80))
def test_no_bytes_raise_anything_but_an_error_of_the_wire(codec: Codec, junk: bytes) -> None:
    with contextlib.suppress(WireError):
        codec.decode_reply(junk)
    read(codec, junk)
    read(codec, HALF[codec.format] + junk)


SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def changed(value: JSON, choice: st.DataObject, fresh: JSON) -> JSON:
    """`value` with something in it replaced by `fresh`."""
    if isinstance(value, dict) and value and choice.draw(st.integers(0, 4)):
        key = choice.draw(st.sampled_from(sorted(value)))
        return {**value, key: changed(value[key], choice, fresh)}
    if isinstance(value, list) and value:
        return [changed(value[0], choice, fresh), *value[1:]]
    return fresh


@pytest.mark.parametrize("codec", CODECS)
@settings(deadline=None, max_examples=150)
@given(choice=st.data(), fresh=VALUES)
def test_a_field_of_any_type_in_any_place_raises_only_errors_of_the_wire(
    codec: Codec, choice: st.DataObject, fresh: JSON
) -> None:
    whole: dict[str, JSON] = {
        "anthropic": json.loads(ANTHROPIC.encode_reply(FULL, model="m")),
        "gemini": json.loads(GEMINI.encode_reply(FULL, model="m")),
        "ollama": json.loads(OLLAMA.encode_reply(FULL, model="m")),
        "cohere": json.loads(COHERE.encode_reply(FULL, model="m")),
        "bedrock": json.loads(BEDROCK.encode_reply(FULL, model="m")),
    }
    with contextlib.suppress(WireError):
        codec.decode_reply(json.dumps(changed(whole[codec.format], choice, fresh)).encode())
    if codec is BEDROCK:
        events = BEDROCK_START + BEDROCK_END
        place = choice.draw(st.integers(0, len(events) - 1))
        name, fields = events[place]
        odd = write_frame({":event-type": name}, json.dumps(changed(fields, choice, fresh)).encode())
        read(codec, frames(events[:place]) + odd + frames(events[place + 1 :]))
        return
    lines = [
        each for each in WHOLE[codec.format].replace(b"data: ", b"").splitlines() if each.startswith(b"{")
    ]
    place = choice.draw(st.integers(0, len(lines) - 1))
    lines[place] = json.dumps(changed(json.loads(lines[place]), choice, fresh)).encode()
    mark = b"" if codec is OLLAMA else b"data: "
    read(codec, b"".join(mark + each + b"\n\n" for each in lines))


FULL = Reply("Hi", tool_calls=(ToolCall("a", "f", "{}"),), finish_reason="tool_calls")


# Anthropic.


def test_a_message_that_said_why_it_stopped_is_whole_without_its_last_event() -> None:
    assert good(ANTHROPIC, (START + TEXT + END).removesuffix(STOP)).text == "Hello"


def test_a_message_that_never_said_why_it_stopped_is_cut() -> None:
    assert refused(ANTHROPIC, START + TEXT + CLOSE + STOP, Truncated) == "Hello"
    reply = good(ANTHROPIC, START + TEXT + CLOSE + told(None) + STOP)
    assert (reply.finish_reason, reply.flags) == ("other", ("no_finish_reason",))


def test_the_end_of_a_block_that_had_not_begun_ends_nothing() -> None:
    assert good(ANTHROPIC, START + TEXT + event(type="content_block_stop", index=7) + END).text == "Hello"


@pytest.mark.parametrize(
    "body",
    [
        STOP,
        TEXT,
        START + piece(0, type="text_delta", text="x"),
        START + begin(0),
        START + TEXT + event(type="content_block_delta", index=0),
        START + TEXT + event(type="content_block_delta", index="0", delta={"type": "text_delta"}),
        START + TEXT + piece(0, type="text_delta", text=5),
        START + TEXT + piece(0),
        START + TEXT + event(type="message_delta"),
        START + TEXT + event(type="message_start", message={"id": "msg_2"}),
        event(type="message_start"),
        told("end_turn"),
    ],
)
def test_events_out_of_place_are_refused(body: bytes) -> None:
    refused(ANTHROPIC, body, Malformed)


def test_events_nobody_knows_are_ignored() -> None:
    odd = (
        event(type="ping")
        + event(type="weather_report", sky="clear")
        + b"event: keep-alive\ndata: not json\n\n"
        + b"data:\n\n"
        + begin(7, type="hologram")
        + piece(7, type="hologram_delta", light=1)
        + event(type="content_block_stop", index=7)
    )
    reply = good(ANTHROPIC, START + odd + TEXT + odd.replace(b"7", b"8") + END)
    assert reply.text == "Hello"
    assert reply.flags == ("parts_left_out",)


def test_arguments_that_came_whole_at_the_beginning_are_read() -> None:
    call = begin(1, type="tool_use", id="a", name="f", input={"x": 1}) + event(
        type="content_block_stop", index=1
    )
    reply = good(ANTHROPIC, START + TEXT + CLOSE + call + told("end_turn") + STOP)
    assert [part.arguments for part in reply.tool_calls] == ['{"x":1}']
    assert reply.finish_reason == "tool_calls"


def test_counts_are_cumulative_and_the_input_holds_what_was_cached() -> None:
    usage = told(
        "end_turn",
        input_tokens=5,
        cache_read_input_tokens=100,
        cache_creation_input_tokens=20,
        output_tokens=9,
    )
    reply = good(ANTHROPIC, START + TEXT + CLOSE + usage + STOP)
    counts = reply.usage
    assert (counts.input_tokens, counts.cached_tokens, counts.cache_creation_tokens) == (125, 100, 20)
    assert counts.output_tokens == 9


def test_senseless_counts_are_unknown_and_flagged() -> None:
    reply = good(
        ANTHROPIC, START + TEXT + CLOSE + told("end_turn", input_tokens=-5, output_tokens="x") + STOP
    )
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (None, None)
    assert reply.flags == ("usage_invalid",)


def test_a_signature_without_end_is_bounded() -> None:
    half = piece(0, type="signature_delta", signature="x" * (MAX_EVENT_BYTES // 3))
    refused(ANTHROPIC, START + begin(0, type="thinking", thinking="") + half * 4, Malformed)


def test_an_error_in_a_stream_keeps_what_came_and_is_read_by_the_classifier() -> None:
    error = event(type="error", error={"type": "overloaded_error", "message": "Overloaded"})
    reply, failure = read(ANTHROPIC, START + TEXT + error)
    assert reply.text == "Hello"
    assert reply.usage.input_tokens == 3
    assert isinstance(failure, ReportedError)
    verdict = classify(status=200, headers={}, body=failure.body, provider="anthropic", in_stream=True)
    assert verdict.kind is FailureKind.OVERLOADED


# Gemini.


def test_a_model_that_says_stop_in_every_response_is_read_to_the_end() -> None:
    body = b"".join(
        data(response({"text": text}, finish="STOP", usageMetadata=COUNTS)) for text in ("Hel", "lo")
    )
    assert good(GEMINI, body).text == "Hello"


def test_counts_behind_the_finish_reason_are_waited_for() -> None:
    stop = data(response({"text": "lo"}, finish="STOP"))
    reply = good(GEMINI, HEL + stop + data({"usageMetadata": COUNTS, "responseId": "r1"}))
    assert (reply.text, reply.usage.output_tokens) == ("Hello", 2)


def test_two_answers_mixed_into_one_stream_are_refused() -> None:
    other = data({**response({"text": "x"}), "responseId": "r2"})
    assert refused(GEMINI, HEL + HEL + other, Malformed) == "HelHel"


def test_a_second_candidate_is_left_out_with_a_flag() -> None:
    second: JSON = {"content": {"parts": [{"text": "No"}]}, "index": 1}
    both = response({"text": "Yes"}, finish="STOP")
    candidates = both["candidates"]
    assert isinstance(candidates, list)
    reply = GEMINI.decode_reply(json.dumps({**both, "candidates": [*candidates, second]}).encode())
    assert (reply.text, reply.flags) == ("Yes", ("other_choices",))


def test_an_answer_without_a_finish_reason_is_flagged_if_whole_and_cut_if_streamed() -> None:
    reply = GEMINI.decode_reply(json.dumps(response({"text": "Hel"})).encode())
    assert (reply.finish_reason, reply.flags) == ("other", ("no_finish_reason",))
    with pytest.raises(Truncated):
        GEMINI.decode_reply(json.dumps([response({"text": "Hel"})]).encode())


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_an_answer_the_model_botched_is_an_error_the_classifier_knows(reason: str) -> None:
    body = json.dumps(response(finish=reason)).encode()
    with pytest.raises(ReportedError) as caught:
        GEMINI.decode_reply(body)
    verdict = classify(status=200, headers={}, body=caught.value.body, provider="gemini", in_stream=True)
    assert verdict.kind is FailureKind.INVALID_OUTPUT
    assert refused(GEMINI, HEL + b"data: " + body + b"\n\n", ReportedError) == "Hel"


@pytest.mark.parametrize(
    "reason", ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"]
)
def test_a_filter_that_stopped_the_answer_is_told(reason: str) -> None:
    assert good(GEMINI, HEL + data(response(finish=reason))).finish_reason == "content_filtered"


def test_a_reason_nobody_knows_is_another() -> None:
    assert good(GEMINI, HEL + data(response(finish="TEAPOT"))).finish_reason == "other"


# Ollama.


def test_a_line_of_a_kind_nobody_knows_is_ignored() -> None:
    assert good(OLLAMA, line("Hel") + b'{"weather":"clear"}\n\n' + line("lo") + LAST).text == "Hello"


def test_a_last_line_without_counts_leaves_them_unknown() -> None:
    reply = good(OLLAMA, line("Hello") + line(done=True, done_reason="length", eval_count=2))
    assert (reply.finish_reason, reply.usage.input_tokens, reply.usage.output_tokens) == ("length", None, 2)


def test_an_error_line_is_an_error_and_its_line_end_may_be_missing() -> None:
    assert (
        refused(OLLAMA, line("Hel") + b'{"error":"model runner has unexpectedly stopped"}', ReportedError)
        == "Hel"
    )


def test_a_last_line_without_its_end_is_read_and_a_cut_one_is_truncated() -> None:
    assert good(OLLAMA, line("Hello") + LAST.rstrip()).text == "Hello"
    assert refused(OLLAMA, line("Hello") + LAST[:-9], Truncated) == "Hello"


# Cohere.


@pytest.mark.parametrize(
    "body",
    [
        COHERE_TEXT,
        cohere_end(),
        COHERE_START + event(type="content-delta", index=0),
        COHERE_START + event(type="content-delta", index=0, delta={"message": {}}),
        COHERE_START + event(type="content-delta", index=0, delta=said(content={"text": 5})),
        COHERE_START + event(type="tool-call-delta", index=0, delta=said(tool_calls={})),
        COHERE_START + event(type="tool-call-start", index="0", delta=said(tool_calls={})),
        COHERE_START + event(type="tool-call-start", index=0, delta=said(tool_calls=[])),
        COHERE_START + event(type="message-end"),
        COHERE_START + COHERE_TEXT + event(type="message-start", id="c2"),
        COHERE_START + b"data: {}\n\n",
    ],
)
def test_events_of_cohere_out_of_place_are_refused(body: bytes) -> None:
    refused(COHERE, body, Malformed)


def test_the_mark_of_the_end_without_the_last_event_is_no_end() -> None:
    assert refused(COHERE, COHERE_START + COHERE_TEXT + b"data: [DONE]\n\n", Truncated) == "Hello"


def test_an_event_of_cohere_nobody_knows_is_ignored() -> None:
    odd = event(type="weather-report", sky="clear") + b"event: keep-alive\ndata: not json\n\n"
    assert good(COHERE, COHERE_START + odd + COHERE_TEXT + cohere_end()).text == "Hello"


def test_a_plan_and_a_thought_are_kept_apart() -> None:
    body = (
        COHERE_START
        + event(type="tool-plan-delta", delta=said(tool_plan="I will look."))
        + event(type="content-start", index=0, delta=said(content={"type": "thinking", "thinking": ""}))
        + event(type="content-delta", index=0, delta=said(content={"thinking": "Where?"}))
        + event(type="content-end", index=0)
        + COHERE_TEXT
        + cohere_end()
    )
    reply = good(COHERE, body)
    assert [(part.text, part.opaque) for part in reply.reasoning] == [
        ("I will look.", {"tool_plan": True}),
        ("Where?", {"cohere_thinking": True}),
    ]


@pytest.mark.parametrize(("reason", "status"), [("ERROR", 500), ("TIMEOUT", 504)])
def test_an_answer_that_ended_in_an_error_is_one(reason: str, status: int) -> None:
    body = COHERE_START + COHERE_TEXT + cohere_end(reason, error="the model fell over")
    reply, failure = read(COHERE, body)
    assert reply.text == "Hello"
    assert isinstance(failure, ReportedError)
    assert failure.status == status
    whole = json.dumps({"id": "c1", "finish_reason": reason, "message": {"role": "assistant"}}).encode()
    with pytest.raises(ReportedError):
        COHERE.decode_reply(whole)


def test_an_error_body_of_cohere_in_place_of_an_answer_is_reported() -> None:
    with pytest.raises(ReportedError):
        COHERE.decode_reply(b'{"id": "x", "message": "invalid api token"}')


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("ERROR_TOXIC", "content_filtered"),
        ("NEW", "other"),
    ],
)
def test_why_cohere_stopped_is_told(reason: str, meaning: str) -> None:
    assert good(COHERE, COHERE_START + COHERE_TEXT + cohere_end(reason)).finish_reason == meaning


def test_what_was_billed_counts_where_nothing_else_was_counted() -> None:
    usage: JSON = {"billed_units": {"input_tokens": 7.0, "output_tokens": 5.0}}
    body = (
        COHERE_START
        + COHERE_TEXT
        + event(type="message-end", delta={"finish_reason": "COMPLETE", "usage": usage})
    )
    counts = good(COHERE, body).usage
    assert (counts.input_tokens, counts.output_tokens) == (7, 5)


# Bedrock.


@pytest.mark.parametrize(
    "body",
    [
        frame("contentBlockDelta", contentBlockIndex=0),
        frame("contentBlockDelta", contentBlockIndex="0", delta={"text": "x"}),
        frame("contentBlockDelta", contentBlockIndex=0, delta={"text": 5}),
        frame("contentBlockDelta", contentBlockIndex=0, delta={"toolUse": {"input": "{"}}),
        frame("contentBlockStop"),
        frame("messageStop", stopReason=5),
        write_frame({":event-type": "messageStop"}, b'{"stopReason": "end'),
    ],
)
def test_frames_out_of_place_are_refused(body: bytes) -> None:
    refused(BEDROCK, body, Malformed)


def test_a_message_of_bedrock_that_said_why_it_stopped_is_whole_without_its_counts() -> None:
    assert good(BEDROCK, frames(BEDROCK_START + BEDROCK_END[:-1])).text == "Hello"
    assert refused(BEDROCK, frames(BEDROCK_START + BEDROCK_END[-1:]), Truncated) == "Hello"


def test_one_wrong_bit_anywhere_in_a_frame_is_seen() -> None:
    body = WHOLE["bedrock"]
    for place in range(0, len(body), 7):
        broken = bytearray(body)
        broken[place] ^= 0x10
        reply, failure = read(BEDROCK, bytes(broken))
        assert isinstance(failure, (Malformed, Truncated))
        assert "Hello".startswith(reply.text)


def test_a_frame_that_announces_more_than_the_limit_is_refused_before_it_is_collected() -> None:
    from binascii import crc32
    from struct import pack

    for total, headers in ((MAX_EVENT_BYTES * 2, 0), (1 << 30, 1 << 29), (20, 8)):
        lengths = pack("!II", total, headers)
        assert refused(BEDROCK, HALF["bedrock"] + lengths + pack("!I", crc32(lengths)), Malformed) == "Hello"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttlingException", FailureKind.RATE_LIMITED),
        ("serviceUnavailableException", FailureKind.OVERLOADED),
        ("internalServerException", FailureKind.SERVER_ERROR),
        ("validationException", FailureKind.BAD_REQUEST),
    ],
)
def test_an_exception_frame_keeps_what_came_and_is_read_by_the_classifier(
    name: str, kind: FailureKind
) -> None:
    reply, failure = read(BEDROCK, HALF["bedrock"] + failing_frame(name, message="no"))
    assert reply.text == "Hello"
    assert isinstance(failure, ReportedError)
    verdict = classify(
        status=failure.status or 200, headers={}, body=failure.body, provider="bedrock", in_stream=True
    )
    assert verdict.kind is kind


def test_frames_nobody_knows_are_ignored_and_headers_of_any_type_are_read_over() -> None:
    odd = frame("weatherReport", sky="clear")
    assert good(BEDROCK, frames(BEDROCK_START) + odd + frames(BEDROCK_END)).text == "Hello"


def test_an_answer_bedrock_calls_malformed_is_invalid_output() -> None:
    body = frames(BEDROCK_START) + frame("messageStop", stopReason="malformed_tool_use")
    _, failure = read(BEDROCK, body)
    assert isinstance(failure, ReportedError)
    verdict = classify(status=200, headers={}, body=failure.body, provider="bedrock", in_stream=True)
    assert verdict.kind is FailureKind.INVALID_OUTPUT
