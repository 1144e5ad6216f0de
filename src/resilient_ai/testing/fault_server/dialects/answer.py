"""The answer every dialect writes: one text, one tool call, one bill, known in advance.

A fault changes the answer (`dataclasses.replace`) and never the dialect, so that a fault of the content is
written once for all wire formats.
"""

from __future__ import annotations

import json
import re
from binascii import crc32
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple, TypeAlias, final

from resilient_ai.messages import JSON, FinishReason

JsonObject: TypeAlias = dict[str, JSON]

TEXT: Final = (
    'The keeper of the lighthouse wrote every evening: "calm sea, lamp lit, no ship lost".\n'
    "On stormy nights the café below stayed open, its naïve little lanterns 🏮 guiding sailors "
    "home, and the page stayed empty until morning came again."
)
"""The text of every good answer. It needs JSON escapes and UTF-8 of two, three and four bytes on purpose."""

MIDDLE_WORD: Final = "lanterns"
"""A word of `TEXT` behind its middle; no piece boundary falls inside it."""

CREATED: Final = 1_767_225_600
"""The moment every answer claims to be of: 2026-01-01T00:00:00Z. Fixed, so that answers compare equal."""

_WORDS_A_PIECE: Final = 3
"""40 words make 14 text events, so that `slow-drip:0.9` takes about 12 seconds."""


class TokenCount(NamedTuple):
    """What an answer claims to have used."""

    input_tokens: int
    output_tokens: int


TOKENS: Final = TokenCount(input_tokens=21, output_tokens=57)
"""The bill of every good answer."""


@final
@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call in an answer; `arguments` is text because a model may write text that is not JSON."""

    name: str
    arguments: str
    id: str = "call_fault_server_1"

    def parsed(self) -> JSON:
        """The arguments as a value, or the text itself where it is not JSON."""
        try:
            value: JSON = json.loads(self.arguments)
        except ValueError:
            return self.arguments
        return value


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What the pretended model says.

    Attributes:
        id: The completion id; dialects put their own prefix in front.
        model: The model that claims to have answered.
        text: The whole text; None for an answer without content.
        finish: Why it ended.
        refusal: The text of a refusal, or None.
        tool: The tool call, or None.
        tokens: The bill, or None when the provider sends no usage.
        usage_in_stream: The client asked for a usage chunk (OpenAI chat only; the others always send it).
    """

    id: str
    model: str
    text: str | None = TEXT
    finish: FinishReason = "stop"
    refusal: str | None = None
    tool: ToolUse | None = None
    tokens: TokenCount | None = TOKENS
    usage_in_stream: bool = False


class Part(Enum):
    """What an event of a stream is for, so that a fault can cut, repeat or drop by meaning."""

    START = auto()
    TEXT = auto()
    TOOL = auto()
    CLOSE = auto()
    FINISH = auto()
    USAGE = auto()
    PING = auto()
    DONE = auto()
    ERROR = auto()


@final
@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream: a JSON object, or literal text such as `[DONE]`."""

    part: Part
    payload: Mapping[str, JSON] | str
    name: str | None = None


class Framing(Enum):
    """How events are put on the wire."""

    SSE = auto()
    NDJSON = auto()
    FRAMES = auto()
    """AWS's binary event stream."""


def encode(payload: JSON) -> bytes:
    """`payload` as compact JSON in UTF-8; text that UTF-8 cannot carry (a lone surrogate) is escaped."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(payload, separators=(",", ":")).encode()


def frame(event: Event, framing: Framing, eol: bytes = b"\n") -> bytes:
    """`event` as the bytes of one event."""
    data = event.payload.encode() if isinstance(event.payload, str) else encode(event.payload)
    if framing is Framing.NDJSON:
        return data + eol
    if framing is Framing.FRAMES:
        return _binary(event, data)
    name = b"event: " + event.name.encode() + eol if event.name else b""
    return name + b"data: " + data + eol + eol


def _binary(event: Event, data: bytes) -> bytes:
    """A frame: two lengths and their checksum, headers, the payload, and the checksum of all of it."""
    kind = "exception" if event.part is Part.ERROR else "event"
    told = {f":{kind}-type": event.name or "", ":content-type": "application/json", ":message-type": kind}
    headers = b"".join(
        bytes((len(name),)) + name.encode() + b"\x07" + len(value).to_bytes(2) + value.encode()
        for name, value in told.items()
    )
    lengths = (16 + len(headers) + len(data)).to_bytes(4) + len(headers).to_bytes(4)
    body = lengths + crc32(lengths).to_bytes(4) + headers + data
    return body + crc32(body).to_bytes(4)


def pieces(text: str) -> list[str]:
    """`text` cut into runs of a few words; joined, they are the text again."""
    words = re.findall(r"\S+\s*", text)
    return ["".join(words[at : at + _WORDS_A_PIECE]) for at in range(0, len(words), _WORDS_A_PIECE)]


def argument_pieces(arguments: str) -> list[str]:
    """Tool arguments cut in two, as providers stream them."""
    half = len(arguments) // 2
    return [arguments[:half], arguments[half:]]
