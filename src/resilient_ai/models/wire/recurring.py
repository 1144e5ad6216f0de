"""Events that say the same as the last one but for their text.

Nearly all of a stream is one event over and over, with another piece of text in it. Once such an event was read in full, the bytes around
its text are known, and an event of the same bytes around another plain string is the same event with that text: there is nothing left to
parse. Whatever differs by one byte elsewhere is read in full again, so what comes out is the same, only sooner.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Self, final

from pydantic_core import from_json

from resilient_ai.messages import JSON
from resilient_ai.models.wire import WireError
from resilient_ai.models.wire.framing import SSEParser
from resilient_ai.models.wire.jsonbody import JSONObject, decode_object

TextIn = Callable[[JSONObject], str | None]
"""Where an event of a format holds its text; None for an event that says something else, or that changes what the next ones mean."""

MOST_LEARNED: Final = 8
"""Events learned in vain before a stream is taken for one whose events differ."""

_PLAIN: Final = re.compile(rb'[^"\\\x00-\x1f]+')
"""The inside of a JSON string that stands for itself, as far as it is UTF-8."""
_INSIDE: Final = re.compile(rb'(?:[^"\\\x00-\x1f]+|\\.)+')
"""The inside of any JSON string but the empty one."""
_PADDING: Final = re.compile(rb'[^"\\\x00-\x1f]*')
"""The inside of a string nobody reads."""
_SPACES: Final = re.compile(rb" *")

_OBFUSCATION: Final = b'"obfuscation":"'
"""OpenAI hides the length of a piece of text behind a string of random length. Nobody reads it."""
_STRUCTURE: Final = frozenset(b'"}] \n')
"""What stands behind a text that is the last string of its event. Anthropic hides lengths behind spaces there."""
_PROBE: Final = b"~probe~"


@final
class RecurringEvent:
    """The bytes around the text of an event, its padding aside.

    Attributes:
        met: Such an event came again.
    """

    __slots__ = ("_after", "_before", "_padding", "_rest", "met")

    def __init__(self, before: bytes, after: bytes, padding: re.Pattern[bytes] | None, rest: bytes) -> None:
        self._before = before
        self._after = after
        self._padding = padding
        self._rest = rest
        self.met = False

    @classmethod
    def learned(cls, data: bytes, text: str, text_in: TextIn) -> Self | None:
        """What `data`, one whole event that said `text` and nothing else, has in common with those that follow; None if that is not plain to see."""
        inside = text.encode("utf-8", "surrogatepass")
        quoted = b'"%b"' % inside
        if _PLAIN.fullmatch(inside) is None or data.count(quoted) != 1 or data[-2:] != b"\n\n":
            return None
        before, _, after = data.partition(quoted)
        before += b'"'
        after = b'"' + after
        padding, rest = None, b""
        if _OBFUSCATION in after:
            head, mark, tail = after.partition(_OBFUSCATION)
            after, padding, rest = head + mark, _PADDING, tail[tail.find(b'"') :]
        elif _STRUCTURE.issuperset(after):
            head, space, tail = after.partition(b" ")
            if not space:
                head, tail = after[:-3], after[-3:]
            after, padding, rest = head, _SPACES, tail.lstrip(b" ")
        found = cls(before, after, padding, rest)
        return found if found._is_text(text_in) else None

    def _is_text(self, text_in: TextIn) -> bool:
        """What stands between the bytes is what the format takes for the text, and nothing else."""
        probed = self._before + _PROBE + self._after + self._rest
        try:
            events = list(SSEParser().feed(probed))
            return (
                len(events) == 1
                and not events[0].stray
                and text_in(decode_object(events[0].data)) == _PROBE.decode()
            )
        except WireError:
            return False

    def read(self, data: bytes, texts: list[str]) -> int:
        """Appends the texts of the events `data` begins with to `texts`, as long as they are such events; how many bytes those are."""
        at, size = 0, len(data)
        before, after, padding, rest = self._before, self._after, self._padding, self._rest
        while at < size:
            if not data.startswith(before, at):
                break
            inside = _INSIDE.match(data, at + len(before))
            if inside is None or not data.startswith(after, inside.end()):
                break
            end = inside.end() + len(after)
            if padding is not None:
                padded = padding.match(data, end)
                if padded is None or not data.startswith(rest, padded.end()):
                    break
                end = padded.end() + len(rest)
            raw = inside[0]
            try:
                text = raw.decode() if b"\\" not in raw else _unescaped(raw)
            except ValueError:
                break
            texts.append(text)
            at = end
        if at:
            self.met = True
        return at


def _unescaped(inside: bytes) -> str:
    """What a JSON string holds, from what stands between its quotes.

    Raises:
        ValueError: That is no such string.
    """
    text: JSON = from_json(b'"%b"' % inside)
    if isinstance(text, str):
        return text
    raise ValueError("not a string")
