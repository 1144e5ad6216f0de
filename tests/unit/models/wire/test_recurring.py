"""Events that differ from the last one in nothing but their text are not parsed again, and nothing else comes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resilient_ai.messages import JSON, Chunk
from resilient_ai.models.wire import WireError
from resilient_ai.models.wire.anthropic import Anthropic
from resilient_ai.models.wire.anthropic.reply import decode_reply as decode_message
from resilient_ai.models.wire.anthropic.stream_read import MessagesReader
from resilient_ai.models.wire.openai_chat import OpenAIChat
from resilient_ai.models.wire.openai_chat.reply import decode_reply as decode_chat
from resilient_ai.models.wire.openai_chat.stream_read import ChatReader
from resilient_ai.models.wire.openai_responses import OpenAIResponses
from resilient_ai.models.wire.openai_responses.reply import decode_reply as decode_response
from resilient_ai.models.wire.openai_responses.stream_read import ResponsesReader
from resilient_ai.models.wire.recurring import RecurringEvent
from resilient_ai.models.wire.sse import SSEDecoder


def written(event: JSON, *, escaped: bool = False, padding: int = 0) -> bytes:
    body = json.dumps(event, separators=(",", ":"), ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    name = event.get("type") if isinstance(event, dict) else None
    head = b"" if name is None else b"event: %b\n" % str(name).encode()
    return head + b"data: " + body[:-1] + b" " * padding + body[-1:] + b"\n\n"


def chat(delta: dict[str, JSON], *, finish: str | None = None, **more: JSON) -> dict[str, JSON]:
    choice: dict[str, JSON] = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "model": "m", "choices": [choice], "usage": None, **more}


def piece(text: str, index: int = 0) -> dict[str, JSON]:
    return {
        "type": "content_block_delta",
        "index": index,
        "delta": {"type": "text_delta", "text": text},
    }


MESSAGE_BEGINS = written({"type": "message_start", "message": {"id": "msg_1", "model": "m"}}) + written(
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
)

texts = st.text(max_size=6) | st.sampled_from(
    ["error", "id", "content", "m", "text", "[DONE]", "data: x", 'a"b', "a\\", "\n\n", ":", ",", "0", "null"]
)
odd_chat: st.SearchStrategy[dict[str, JSON]] = st.sampled_from(
    [
        chat({"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": "{}"}}]}),
        chat({"content": "x", "reasoning_content": "so"}),
        chat({"content": "x", "reasoning_details": [{"type": "reasoning.text", "text": "so"}]}),
        chat({"content": "x"}, id="chatcmpl-2"),
        chat({"content": None}),
        chat({"content": ["x"]}),
        chat({}, finish="stop"),
        chat({"content": "x"}, error={"message": "down"}),
        chat({"content": "x"}, usage={"prompt_tokens": 1, "completion_tokens": 1}),
        {"id": "chatcmpl-1", "choices": []},
        {"error": {"message": "down"}},
    ]
)
odd_messages: st.SearchStrategy[dict[str, JSON]] = st.sampled_from(
    [
        piece("x", 1),
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "so"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "ping"},
        {"type": "error", "error": {"type": "overloaded_error"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
)


def said(text: str, number: JSON, **more: JSON) -> dict[str, JSON]:
    return {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "output_index": 0,
        "delta": text,
        "sequence_number": number,
        **more,
    }


raw = st.sampled_from(
    [b": ping\n\n", b"data: {\n\n", b"\r\n", b" ", b"data: \xff\n\n", b"data: [DONE]\n\n", b"\n"]
)


def in_lines(event: bytes) -> bytes:
    """`event` with the line ends that some servers write."""
    return event.replace(b"\n", b"\r\n")


def plain_chats(make: st.DrawFn) -> bytes:
    event = chat({"content": make(texts)})
    if make(st.integers(0, 9)) == 0:
        event["id"] = make(st.sampled_from(["chatcmpl-2", "", None, 7]))
    if make(st.booleans()):
        event["obfuscation"] = make(st.text("aZ09", max_size=5))
    return written(event, escaped=make(st.booleans()))


def plain_pieces(make: st.DrawFn) -> bytes:
    return written(piece(make(texts)), escaped=make(st.booleans()), padding=make(st.integers(0, 3)))


@st.composite
def streams(make: st.DrawFn, plain: Callable[[st.DrawFn], bytes], odd: st.SearchStrategy[Any]) -> list[bytes]:
    """A stream in the pieces it comes in."""
    events: list[bytes] = []
    ends = make(st.sampled_from([b"\n", b"\r\n"]))
    for _ in range(make(st.integers(1, 12))):
        kind = make(st.integers(0, 9))
        event = plain(make) if kind < 8 else written(make(odd)) if kind == 8 else make(raw)
        events.append(in_lines(event) if ends == b"\r\n" or make(st.integers(0, 9)) == 0 else event)
    whole = b"".join(events)
    if make(st.booleans()):
        return events
    cuts = sorted(make(st.lists(st.integers(0, len(whole)), max_size=6)))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if a < b]


def read(decoder: SSEDecoder, pieces: list[bytes]) -> tuple[list[Chunk], tuple[str, ...], str | None]:
    """What comes out of a decoder: its chunks, its flags and how it ended."""
    chunks: list[Chunk] = []
    try:
        for data in pieces:
            chunks += decoder.feed(data)
        chunks += decoder.end()
    except WireError as error:
        return [*chunks, *decoder.take()], decoder.flags, f"{type(error).__name__}: {error}"
    return chunks, decoder.flags, None


@settings(max_examples=400, deadline=None)
@given(streams(plain_chats, odd_chat))
@example([written(chat({"content": text})) for text in ("a", "b", "c", "d")])
@example([written(chat({"content": "content"}))] * 4)
@example(
    [
        written(chat({"role": "assistant", "content": ""})),
        *(written(chat({"content": text})) for text in ("a", "b")),
        written(chat({"content": "another answer"}, id="chatcmpl-2")),
    ]
)
@example([written(chat({"content": text}, id=f"chatcmpl-{number}")) for number, text in enumerate("abcabc")])
@example(
    [
        *(written(chat({"content": text}, id=None)) for text in ("a", "b", "c")),
        written(chat({"content": "the first with an id"})),
        written(chat({"content": "another"}, id="chatcmpl-2")),
    ]
)
def test_a_chat_stream_says_the_same_whether_its_events_are_recognised_or_read_in_full(
    pieces: list[bytes],
) -> None:
    assert read(OpenAIChat().stream_decoder(), pieces) == read(SSEDecoder(ChatReader(), decode_chat), pieces)


@settings(max_examples=400, deadline=None)
@given(streams(plain_pieces, odd_messages))
def test_a_stream_of_messages_says_the_same_whether_its_events_are_recognised_or_read_in_full(
    pieces: list[bytes],
) -> None:
    pieces = [MESSAGE_BEGINS, *pieces]
    full = SSEDecoder(MessagesReader(), decode_message)
    assert read(Anthropic().stream_decoder(), pieces) == read(full, pieces)


CLOSED: JSON = {
    "id": "resp_1",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "abcde"}]}],
}
odd_responses: st.SearchStrategy[dict[str, JSON]] = st.sampled_from(
    [
        {"type": "response.refusal.delta", "output_index": 0, "delta": "no"},
        {"type": "response.output_text.done", "output_index": 0, "text": "abc"},
        {"type": "response.output_text.done", "output_index": 0, "content_index": 1, "text": "x"},
        {"type": "response.output_text.delta", "output_index": 1, "delta": "x"},
        {
            "type": "response.output_text.delta",
            "output_index": 0,
            "delta": "x",
            "nested": {"sequence_number": 4},
        },
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {"type": "message", "content": [{"type": "output_text", "text": "abcd"}]},
        },
        {"type": "response.in_progress", "response": {"id": "resp_1", "model": "m"}},
        {"type": "response.completed", "response": CLOSED},
        {"type": "error", "message": "down"},
    ]
)


@st.composite
def responses(make: st.DrawFn) -> list[bytes]:
    """A stream of a response in the pieces it comes in: nearly always numbered one by one, at times not at all, twice or out of order."""
    events: list[bytes] = []
    number: float = make(st.integers(0, 3))
    shape: dict[str, JSON] = make(st.sampled_from([{}, {"logprobs": []}, {"100%": "%d %(n)d"}]))
    first = make(st.booleans())
    for _ in range(make(st.integers(1, 14))):
        kind = make(st.integers(0, 19))
        if kind == 0 and events:
            events.append(events[-1])
            continue
        number = number + 1 if kind > 1 else make(st.sampled_from([0, number, number + 2, -1, True, 1.5]))
        if kind < 4:
            event = {**make(odd_responses), "sequence_number": number}
        else:
            more = dict(shape)
            if make(st.booleans()):
                more["obfuscation"] = make(st.text("aZ09", max_size=3))
            event = said(make(st.sampled_from("abc") | texts), number, **more)
            if kind == 4:
                del event["sequence_number"]
            elif first:
                event = {"type": event["type"], "sequence_number": number, **event}
        events.append(written(event))
    whole = b"".join(events)
    if make(st.booleans()):
        return events
    cuts = sorted(make(st.lists(st.integers(0, len(whole)), max_size=4)))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if a < b]


@settings(max_examples=600, deadline=None)
@given(responses())
@example([written(said(text, number)) for number, text in enumerate("abc")])
@example([written(said("a", 1)), *[written(said("a", 2))] * 3, written(said("a", 3))])
@example(
    [
        *(written(said(text, number)) for number, text in enumerate("abcd")),
        written(
            {"type": "response.output_text.done", "output_index": 0, "text": "abcd", "sequence_number": 4}
        ),
        written({"type": "response.completed", "response": CLOSED, "sequence_number": 5}),
    ]
)
def test_a_stream_of_a_response_says_the_same_whether_its_events_are_recognised_or_read_in_full(
    pieces: list[bytes],
) -> None:
    full = SSEDecoder(ResponsesReader(), decode_response)
    assert read(OpenAIResponses().stream_decoder(), pieces) == read(full, pieces)


def test_numbered_events_are_recognised_only_one_by_one() -> None:
    decoder = OpenAIResponses().stream_decoder()
    decoder.feed(written(said("one", 7, obfuscation="xyz")))
    recurring = decoder.recurring
    assert recurring is not None
    out: list[str] = []
    eight, nine = (written(said(text, number, obfuscation="")) for text, number in (("8", 8), ("9", 9)))
    assert recurring.read(nine, out) == 0
    assert recurring.read(eight + eight, out, whole=True) == len(eight)
    assert recurring.number == 7, "not all of it: none has come"
    assert recurring.read(eight + nine, out, whole=True) == len(eight + nine)
    assert (recurring.number, recurring.last) == (9, nine)
    assert recurring.read(nine, out) == 0


@pytest.mark.parametrize(
    ("first", "others"),
    [
        (
            written(chat({"content": "one"})),
            [written(chat({"content": text})) for text in ("two", "ü", "3\n", '"')],
        ),
        (
            written(chat({"content": "one"}, obfuscation="abc")),
            [written(chat({"content": "two"}, obfuscation=hidden)) for hidden in ("", "a", "abcdef")],
        ),
        (written(piece("one")), [written(piece("two"), padding=padding) for padding in (0, 1, 7)]),
        (written(piece("one"), padding=3), [written(piece("two"), padding=padding) for padding in (0, 3, 7)]),
        (in_lines(written(piece("one"))), [in_lines(written(piece("two"), padding=3))]),
        (in_lines(written(chat({"content": "one"}))), [in_lines(written(chat({"content": "two"})))]),
    ],
    ids=[
        "plain",
        "obfuscated",
        "padded later",
        "padded before",
        "padded, other line ends",
        "other line ends",
    ],
)
def test_lengths_that_providers_hide_do_not_make_an_event_another(first: bytes, others: list[bytes]) -> None:
    recurring = RecurringEvent.learned(first, "one")
    assert recurring is not None
    for event in others:
        out: list[str] = []
        assert recurring.read(event, out) == len(event)
        assert len(out) == 1


SAID: dict[str, bytes] = {
    "twice": written(chat({"content": "same"}, model="same")),
    "a key too": written(chat({"content": "same"}, same=1)),
    "escaped": written(chat({"content": "sa\nme"})),
    "an escape elsewhere": written(chat({"content": "same"}, model="a\nb")),
    "older line ends": written(chat({"content": "same"})).replace(b"\n", b"\r"),
    "the text escaped, another string not": b'data: {"choices":[{"delta":{"content":"\\u0073ame"}}],"a":"same"}\n\n',
    "what stands before it looks like it": b'data: {"choices": [{"delta": {"content":":"}}]}\n\n',
    "what stands before it looks like it, with a space": b'data: {"choices":[{"delta":{"content": ": "}}]}\n\n',
    "two lines of data": b'data: {"choices":\ndata: [{"delta":{"content":"same"}}]}\n\n',
    "an identifier of the event": b'id: 1\ndata: {"choices":[{"delta":{"content":"same"}}]}\n\n',
    "a byte order mark": b'\xef\xbb\xbfdata: {"choices":[{"delta":{"content":"same"}}]}\n\n',
    "a name behind the data": b'data: {"choices":[{"delta":{"content":"same"}}]}\nevent: x\n\n',
}


@pytest.mark.parametrize("event", SAID.values(), ids=SAID)
def test_an_event_whose_text_is_not_plain_to_see_is_not_learned(event: bytes) -> None:
    decoder = OpenAIChat().stream_decoder()
    assert decoder.feed(event)[-1].text
    assert decoder.recurring is None


def test_the_first_piece_of_a_text_is_enough_to_recognise_the_next_ones() -> None:
    for decoder, begin, say in (
        (OpenAIChat().stream_decoder(), written(chat({"role": "assistant", "content": ""})), _said_in_chat),
        (Anthropic().stream_decoder(), MESSAGE_BEGINS, _said_in_messages),
    ):
        decoder.feed(begin)
        decoder.feed(say("one"))
        recurring = decoder.recurring
        assert recurring is not None
        assert decoder.feed(say("two")) == [Chunk("two")]
        assert recurring.characters == 3
        assert decoder.recurring is recurring


def _said_in_chat(text: str) -> bytes:
    return written(chat({"content": text}))


def _said_in_messages(text: str) -> bytes:
    return written(piece(text))


def test_what_a_decoder_has_learned_is_its_own() -> None:
    one, other = OpenAIChat().stream_decoder(), OpenAIChat().stream_decoder()
    for text in ("a", "b"):
        one.feed(written(chat({"content": text})))
        other.feed(written(chat({"content": text}, id="chatcmpl-2", model="n")))
    assert one.recurring is not None
    assert other.recurring is not None
    assert one.recurring.read(written(chat({"content": "c"}, id="chatcmpl-2", model="n")), []) == 0
