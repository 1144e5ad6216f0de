"""Broken and odd answers: each is either read rightly or refused with an error of this package, never a builtin one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilient_ai.core.assembly import ReplyBuilder
from resilient_ai.messages import JSON, Reply
from resilient_ai.models.wire import Codec, Malformed, ReportedError, Truncated, WireError
from resilient_ai.models.wire.framing import MAX_LINE_BYTES
from resilient_ai.models.wire.openai_chat import OpenAIChat
from resilient_ai.models.wire.openai_responses import OpenAIResponses
from resilient_ai.models.wire.sse import SSEDecoder

CHAT = OpenAIChat()
RESPONSES = OpenAIResponses()
DONE = b"data: [DONE]\n\n"


def data(value: JSON) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def piece(delta: JSON, finish: str | None = None, name: str = "c1") -> bytes:
    return data(
        {"id": name, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    )


HELLO = piece({"role": "assistant", "content": "Hel"}) + piece({"content": "lo"})
END = piece({}, "stop")


def read(
    body: bytes, codec: OpenAIChat | OpenAIResponses = CHAT
) -> tuple[Reply, WireError | None, SSEDecoder]:
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
    return builder.reply(), failure, decoder


def refused(body: bytes, kind: type[WireError], codec: OpenAIChat | OpenAIResponses = CHAT) -> str:
    """Text that came before the stream was refused as `kind`."""
    reply, failure, _ = read(body, codec)
    assert type(failure) is kind
    return reply.text


def whole(message: JSON, finish: JSON = "stop", **fields: JSON) -> bytes:
    choice: JSON = {"index": 0, "message": message, "finish_reason": finish}
    return json.dumps({"id": "c1", "model": "m", "choices": [choice], **fields}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"null",
        b"",
        b"<html>captive portal</html>",
        b'{"choices": []}',
        b'{"choices": null}',
        b'{"choices": {}}',
        b'{"choices": [1]}',
        b'{"choices": [null]}',
        b'{"choices": [{"index": 0, "finish_reason": "stop"}]}',
        whole([]),
        whole("text"),
        whole({"content": 42}),
        whole({"content": {"a": 1}}),
        whole({"content": ["text"]}),
        whole({"content": "x", "tool_calls": 1}),
        whole({"content": "x", "tool_calls": [{"id": "1"}]}),
        whole({"content": "x", "tool_calls": [{"id": 1, "function": {"name": "f", "arguments": ""}}]}),
        whole({"content": "x"}, 7),
        whole({"content": "x", "refusal": True}),
        whole({"content": "x"})[:-9] + b'\xff"}]}',
        b"[" * 200_000,
    ],
)
def test_what_is_no_chat_completion_is_malformed(body: bytes) -> None:
    with pytest.raises((Malformed, Truncated)):
        CHAT.decode_reply(body)
    if body:
        reply, failure, _ = read(body)
        assert isinstance(failure, (Malformed, Truncated))
        assert reply.text == ""


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"output": null}',
        b'{"output": {}}',
        b'{"output": [], "status": "completed"}',
        b'{"output": [1]}',
        b'{"output": [{"type": "message", "content": 5}]}',
        b'{"output": [{"type": "message", "content": [{"type": "output_text", "text": 5}]}]}',
        b'{"output": [{"type": "function_call", "name": 5}]}',
        b'{"output": [{"type": "reasoning", "summary": "x"}]}',
    ],
)
def test_what_is_no_response_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        RESPONSES.decode_reply(body)


@pytest.mark.parametrize("codec", [CHAT, RESPONSES])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"error": {"message": "overloaded", "type": "server_error"}}', None),
        (b'{"error": {"message": "slow down", "code": 429}}', 429),
        (b'{"error": {"message": "gone", "status_code": "503"}}', 503),
        (b'{"error": "model is loading", "status": 503}', 503),
        (b'{"detail": "Not authenticated"}', None),
        (b'{"object": "error", "message": "busy", "code": 500}', 500),
        (b'{"errors": [{"message": "no"}]}', None),
    ],
)
def test_an_error_in_place_of_an_answer_is_reported(codec: Codec, body: bytes, status: int | None) -> None:
    with pytest.raises(ReportedError) as caught:
        codec.decode_reply(body)
    assert caught.value.status == status
    assert json.loads(caught.value.body) == json.loads(body)
    assert "overloaded" not in str(caught.value)


def test_an_error_of_null_beside_a_good_answer_is_none() -> None:
    assert CHAT.decode_reply(whole({"content": "x"}, error=None)).text == "x"


def test_odd_labels_and_odd_token_counts_cost_nobody_an_answer() -> None:
    reply = CHAT.decode_reply(whole({"content": "x"}, id=7, model=None, usage={"prompt_tokens_details": 0}))
    assert (reply.text, reply.id, reply.model) == ("x", "7", "")
    reply, failure, _ = read(
        data({"id": 7, "model": [], "choices": [{"delta": {"content": "x"}}]}) + END + DONE
    )
    assert (reply.text, reply.id, failure) == ("x", "7", None)


def test_unknown_fields_are_ignored() -> None:
    assert CHAT.decode_reply(whole({"content": "x", "mood": {"a": 1}}, novelty=[1, 2])).text == "x"


def test_a_truncated_body_is_truncated() -> None:
    body = whole({"content": "x"})
    for cut in range(1, len(body)):
        with pytest.raises(Truncated):
            CHAT.decode_reply(body[:cut])


def test_a_finish_reason_of_null_is_flagged() -> None:
    reply = CHAT.decode_reply(whole({"content": "x"}, None))
    assert (reply.finish_reason, reply.flags) == ("other", ("finish_missing",))


def test_usage_below_zero_and_usage_that_is_no_number_are_unknown_and_flagged() -> None:
    for count in (-5, "many", 1.5, True, [1]):
        usage: JSON = {"prompt_tokens": count, "completion_tokens": 7}
        reply = CHAT.decode_reply(whole({"content": "x"}, usage=usage))
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (None, 7)
        assert reply.flags == ("usage_invalid",)
        _, _, decoder = read(HELLO + END + data({"choices": [], "usage": usage}) + DONE)
        assert decoder.flags == ("usage_invalid",)


def test_arguments_that_are_no_json_survive_as_text() -> None:
    call: JSON = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": [1, '}}
    reply = CHAT.decode_reply(whole({"content": None, "tool_calls": [call]}))
    assert reply.tool_calls[0].arguments == '{"a": [1, '


def test_arguments_sent_as_an_object_become_text() -> None:
    call: JSON = {"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
    reply = CHAT.decode_reply(whole({"tool_calls": [call]}))
    assert reply.tool_calls[0].arguments == '{"a":1}'
    assert reply.tool_calls[0].id.startswith("call_")


def test_of_several_answers_the_first_counts_and_a_flag_says_so() -> None:
    choices: JSON = [
        {"index": 1, "message": {"content": "b"}, "finish_reason": "stop"},
        {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"},
    ]
    reply = CHAT.decode_reply(json.dumps({"choices": choices}).encode())
    assert (reply.text, reply.flags) == ("a", ("other_choices",))
    second = data({"id": "c1", "choices": [{"index": 1, "delta": {"content": "NO"}}]})
    reply, failure, decoder = read(HELLO + second + END + DONE)
    assert (reply.text, failure, decoder.flags) == ("Hello", None, ("other_choices",))


def test_a_stream_without_its_end_is_truncated_and_what_came_is_kept() -> None:
    assert refused(HELLO, Truncated) == "Hello"
    assert refused(HELLO + b'data: {"id": "c1", "cho', Truncated) == "Hello"
    assert refused(b"", Truncated) == ""


def test_a_finish_reason_is_an_end_and_so_is_done() -> None:
    for body in (
        HELLO + END,
        HELLO + END + DONE,
        HELLO + END + b'data: {"choi',
        HELLO + END + b"data: [DONE]",
    ):
        reply, failure, decoder = read(body)
        assert (reply.text, reply.finish_reason, failure, decoder.complete) == ("Hello", "stop", None, True)


def test_done_without_a_finish_reason_ends_the_stream_with_a_flag() -> None:
    reply, failure, decoder = read(HELLO + DONE)
    assert (reply.text, reply.finish_reason, failure) == ("Hello", "other", None)
    assert decoder.flags == ("finish_missing",)


def test_the_stream_is_complete_at_done_and_nothing_after_it_is_read() -> None:
    decoder = CHAT.stream_decoder()
    states = [(decoder.feed(data), decoder.complete)[1] for data in (HELLO, END, DONE)]
    assert states == [False, False, True]
    decoder = CHAT.stream_decoder()
    decoder.feed(HELLO + END + DONE + b"garbage\n\n\xff" + HELLO)
    assert decoder.complete
    assert decoder.feed(b"x" * (MAX_LINE_BYTES + 1)) == []
    assert decoder.end() == []


def test_a_stream_that_holds_no_choices_is_malformed() -> None:
    assert refused(DONE, Malformed) == ""
    assert refused(data({"id": "c1", "choices": []}) * 3 + DONE, Malformed) == ""
    assert refused(data({"id": "c1"}) * 3 + DONE, Malformed) == ""


@pytest.mark.parametrize(
    "bad",
    [
        b"data: {not json}\n\n",
        b'data: {"choices": [\n\n',
        b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n',
        b"data: []\n\n",
        b"data: 7\n\n",
        data({"choices": {"a": 1}}),
        data({"choices": [1]}),
        data({"id": "c1", "choices": [{"delta": "x"}]}),
        piece({"content": 7}),
        piece({"content": None, "reasoning_content": 7}),
        piece({"tool_calls": {"index": 0}}),
        piece({"tool_calls": [{"index": "a", "function": {"name": "f"}}]}),
        piece({"tool_calls": [{"index": 0, "function": {"name": 1}}]}),
        b"Internal Server Error\n\n",
        b"upstream connect error or disconnect/reset before headers. reset reason: overflow\n",
        b"<html>\n",
        b'{"hello": 1}\n\n',
        b"data: " + b"x" * MAX_LINE_BYTES + b"xxxxxxx\n\n",
    ],
)
def test_a_broken_event_is_malformed_and_what_came_before_is_kept(bad: bytes) -> None:
    assert refused(HELLO + bad + END + DONE, Malformed) == "Hello"


@pytest.mark.parametrize(
    "bad",
    [
        data({"error": {"message": "overloaded", "code": 503}}),
        b"event: error\n" + data({"message": "overloaded", "status_code": 503}),
        b"event: error\n" + data({"error": {"message": "overloaded", "status_code": 503}}),
        b'{"error": {"message": "overloaded", "code": 503}}\n\n',
        b'{"error": {"message": "overloaded", "code": 503}}',
        data(
            {"id": "c1", "choices": [], "x_groq": {"id": "r", "error": "stopped early", "status_code": 503}}
        ),
        piece({"content": ""}, "error")[:-3] + b', "status": 503, "error": {"message": "x"}}\n\n',
    ],
)
def test_an_error_in_a_stream_is_reported_and_what_came_before_is_kept(bad: bytes) -> None:
    reply, failure, _ = read(HELLO + bad)
    assert isinstance(failure, ReportedError)
    assert (reply.text, failure.status) == ("Hello", 503)
    assert json.loads(failure.body)["error"]


def test_a_finish_reason_of_error_without_an_error_is_reported_too() -> None:
    assert refused(HELLO + piece({}, "error"), ReportedError) == "Hello"
    with pytest.raises(ReportedError):
        CHAT.decode_reply(whole({"content": "x"}, "error"))


def test_an_error_as_first_event_is_reported() -> None:
    assert refused(data({"error": {"message": "busy"}}), ReportedError) == ""
    assert refused(b'{"error": {"message": "busy"}}', ReportedError) == ""


@pytest.mark.parametrize(
    "odd",
    [
        b": ping\n\n",
        b"event: ping\n\n",
        b"event: ping\ndata: {}\n\n",
        b"event: novelty\ndata: not even json\n\n",
        b"data:\n\n",
        b"id: 4\nretry: 9\n\n",
        b"x-trace: 1\n\n",
        data({"id": "c1", "choices": []}),
        data({"id": "c1", "choices": None, "usage": None}),
        data({"id": "", "choices": [{"index": 0, "content_filter_results": {}}]}),
        piece({}),
        piece({"content": ""}),
        piece(None),
    ],
)
def test_an_odd_event_is_passed_over(odd: bytes) -> None:
    body = odd + HELLO + odd + END + odd + DONE
    reply, failure, decoder = read(body)
    assert (reply.text, reply.finish_reason, failure, decoder.flags) == ("Hello", "stop", None, ())


def test_one_event_over_several_data_lines_is_read() -> None:
    lines = json.dumps(
        {"id": "c1", "choices": [{"index": 0, "delta": {"content": "x"}}]}, indent=1
    ).splitlines()
    reply, failure, _ = read("".join(f"data: {line}\n" for line in lines).encode() + b"\n" + END + DONE)
    assert (reply.text, failure) == ("x", None)


def test_an_id_that_changes_in_the_middle_is_malformed() -> None:
    body = HELLO + piece({"content": " from"}, name="c2") + piece({}, "stop", name="c2") + DONE
    assert refused(body, Malformed) == "Hello"


def test_ids_that_change_with_every_event_are_a_servers_habit() -> None:
    body = b"".join(piece({"content": letter}, name=f"c{n}") for n, letter in enumerate("Hello")) + END + DONE
    reply, failure, _ = read(body)
    assert (reply.text, failure) == ("Hello", None)


def test_a_surrogate_pair_cut_by_the_server_does_not_break_the_stream() -> None:
    body = b'data: {"id": "c1", "choices": [{"index": 0, "delta": {"content": "\\ud83d"}}]}\n\n' + END + DONE
    reply, failure, _ = read(body)
    assert (reply.text.encode(), failure) == (b"\xef\xbf\xbd", None)


def test_calls_with_the_same_index_and_different_ids_are_different_calls() -> None:
    def call(identity: str | None, arguments: str, index: int | None = 0) -> bytes:
        function: JSON = {"name": "f", "arguments": arguments}
        fields: dict[str, JSON] = {"function": function}
        if identity is not None:
            fields["id"] = identity
        if index is not None:
            fields["index"] = index
        return piece({"tool_calls": [fields]})

    for index in (0, None):
        body = call("a", "{", index) + call("a", "}", index) + call("b", "[]", index) + END + DONE
        reply, failure, _ = read(body)
        assert failure is None
        assert [(c.id, c.arguments) for c in reply.tool_calls] == [("a", "{}"), ("b", "[]")]
    reply, _, _ = read(call(None, "{", 0) + call(None, "}", 0) + call(None, "[]", 1) + END + DONE)
    assert [c.arguments for c in reply.tool_calls] == ["{}", "[]"]
    assert len({c.id for c in reply.tool_calls}) == 2
    assert reply.finish_reason == "tool_calls"


def event(kind: str, number: int | None = None, **fields: JSON) -> bytes:
    counted: dict[str, JSON] = {} if number is None else {"sequence_number": number}
    return f"event: {kind}\n".encode() + data({"type": kind, **counted, **fields})


def text_events(start: int = 1, answer: str = "r1") -> list[bytes]:
    return [
        event("response.created", start, response={"id": answer, "model": "m"}),
        event("response.output_text.delta", start + 1, output_index=0, delta="Hel"),
        event("response.output_text.delta", start + 2, output_index=0, delta="lo"),
        event("response.output_text.done", start + 3, output_index=0, text="Hello"),
    ]


CLOSED = event("response.completed", 9, response={"id": "r1", "status": "completed"})


def test_numbered_events_that_come_twice_are_read_once() -> None:
    body = b"".join(piece * 2 for piece in text_events()) + closed("Hello")
    reply, failure, decoder = read(body, RESPONSES)
    assert (reply.text, failure, decoder.flags) == ("Hello", None, ("repeated",))


def test_a_constant_sequence_number_is_no_sign_of_a_duplicate() -> None:
    same = event("response.output_text.delta", 0, output_index=0, delta="ha")
    reply, failure, _ = read(same * 2 + event("response.completed", 0, response={"id": "r1"}), RESPONSES)
    assert (reply.text, failure) == ("haha", None)


def test_unnumbered_duplicates_are_noticed_by_the_finished_text() -> None:
    body = b"".join(
        event("response.output_text.delta", output_index=0, delta=part) * 2 for part in ("Hel", "lo")
    ) + event("response.output_text.done", output_index=0, text="Hello")
    _, failure, decoder = read(body + CLOSED, RESPONSES)
    assert (failure, "inconsistent_stream" in decoder.flags) == (None, True)


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (event("response.completed", 9, response={"id": "r2"}), Malformed),
        (event("response.failed", 9, response={"id": "r1", "error": {"message": "x"}}), ReportedError),
        (event("response.failed", 9, response={"id": "r1"}), ReportedError),
        (event("error", 9, message="x", code="server_error"), ReportedError),
        (data({"error": {"message": "x"}}), ReportedError),
        (event("response.output_text.delta", 9, output_index=0, delta=7), Malformed),
        (event("response.output_text.delta", 9, output_index="0", delta="x"), Malformed),
        (event("response.function_call_arguments.delta", 9, output_index=5, delta="x"), Malformed),
        (event("response.output_item.done", 9, item=5), Malformed),
        (event("response.completed", 9, response=[]), Malformed),
        (b"data: {}}\n\n", Malformed),
        (DONE, Truncated),
        (b"", Truncated),
    ],
)
def test_a_broken_response_stream_is_refused_and_what_came_before_is_kept(
    bad: bytes, kind: type[WireError]
) -> None:
    assert refused(b"".join(text_events()) + bad, kind, RESPONSES) == "Hello"


def closed(text: str) -> bytes:
    item: JSON = {"type": "message", "content": [{"type": "output_text", "text": text}]}
    return event("response.completed", 9, response={"id": "r1", "status": "completed", "output": [item]})


def test_text_that_no_event_gave_is_taken_from_the_finished_response() -> None:
    for count in range(4):
        reply, failure, decoder = read(b"".join(text_events()[:count]) + closed("Hello"), RESPONSES)
        assert (reply.text, failure) == ("Hello", None)
        assert decoder.flags == (("inconsistent_stream",) if count == 2 else ())


def test_a_place_the_server_counts_otherwise_gives_no_text_twice() -> None:
    for index in (None, 3):
        delta = event("response.output_text.delta", 2, output_index=index, delta="Hello")
        reply, failure, decoder = read(delta + closed("Hello"), RESPONSES)
        assert (reply.text, failure, decoder.flags) == ("Hello", None, ())


def test_events_out_of_order_are_flagged() -> None:
    created, first, second, done = text_events()
    reply, failure, decoder = read(created + second + first + done + closed("Hello"), RESPONSES)
    assert (reply.text, failure, decoder.flags) == ("loHel", None, ())
    again, more = (event("response.output_text.delta", n, output_index=0, delta="x") for n in (5, 6))
    _, failure, decoder = read(created + first + second + more + again + closed("Helloxx"), RESPONSES)
    assert (failure, decoder.flags) == (None, ("inconsistent_stream",))


def test_a_completed_response_without_any_output_is_malformed() -> None:
    created = event("response.created", 1, response={"id": "r1"})
    assert refused(created + CLOSED, Malformed, RESPONSES) == ""


KEYS = st.sampled_from(
    [
        *("choices", "delta", "message", "content", "tool_calls", "function", "index", "id", "finish_reason"),
        *("usage", "error", "reasoning_details", "type", "output", "response", "item", "output_index"),
        *("arguments", "name", "prompt_tokens", "x_groq", "summary", "text", "status", "refusal", "thinking"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
KINDS = st.sampled_from(
    [
        *(
            "response.created",
            "response.completed",
            "response.output_item.added",
            "response.output_item.done",
        ),
        *(
            "response.output_text.delta",
            "response.reasoning_text.delta",
            "response.failed",
            "error",
            "message",
        ),
        *("response.function_call_arguments.delta", "function_call", "reasoning", "response.incomplete"),
    ]
)


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES), KINDS)
def test_no_value_of_any_type_raises_anything_but_a_wire_error(fields: dict[str, JSON], kind: str) -> None:
    codecs: tuple[OpenAIChat | OpenAIResponses, ...] = (CHAT, RESPONSES)
    for codec in codecs:
        for body in (
            json.dumps(fields).encode(),
            json.dumps({"choices": [fields], "output": [{**fields, "type": kind}]}).encode(),
            data({"choices": [fields], "type": kind}) + DONE,
            data({"choices": [{"delta": fields}], "item": {**fields, "type": kind}, "type": kind}) + DONE,
            data({**fields, "type": kind}) + DONE,
        ):
            try:
                reply = codec.decode_reply(body)
            except WireError:
                continue
            assert isinstance(reply.text, str)
