"""Events that say the same as the last one but for their text.

Nearly all of a stream is one event over and over, with another piece of text in it. Once such an event was read in full, the bytes around
its text are known, and an event of the same bytes around another plain string is the same event with that text: there is nothing left to
parse. Whatever differs by one byte elsewhere is read in full again, so what comes out is the same, only sooner.

Where the text stands is proved, not tried. An event without a backslash holds its strings as they are; if the text is one of them, and its
bytes in quotes are found at one place only, there it is. Events that are numbered go on with the next number.
"""

from __future__ import annotations

import re
from typing import Final, Self, final

from pydantic_core import from_json

from resilient_ai.messages import JSON

MOST_LEARNED: Final = 8
"""Events learned in vain before a stream is taken for one whose events differ."""

_INSIDE: Final = re.compile(rb'(?:[^"\\\x00-\x1f]+|\\.)+')
"""The inside of any JSON string but the empty one."""
_PADDING: Final = re.compile(rb'[^"\\\x00-\x1f]*')
"""The inside of a string nobody reads."""
_SPACES: Final = re.compile(rb" *")

_OBFUSCATION: Final = b'"obfuscation":"'
"""OpenAI hides the length of a piece of text behind a string of random length. Nobody reads it."""
_NUMBER: Final = b'"sequence_number"'
_NUMBERED: Final = re.compile(rb'("sequence_number": ?)(\d{1,15})(?=[,}])')
_STRUCTURE: Final = frozenset(b'"}] \r\n')
"""What stands behind a text that is the last string of its event. Anthropic hides lengths behind spaces there."""


@final
class RecurringEvent:
    """The bytes around the text of an event, its padding aside; where it is numbered they are patterns for its number.

    Attributes:
        characters: Of the texts of all such events since; none is without.
        number: The last one's; None where they are not numbered.
        last: The last one, where they are numbered.
    """

    __slots__ = ("_after", "_before", "_padding", "_rest", "characters", "last", "number")

    def __init__(
        self,
        before: bytes,
        after: bytes,
        padding: re.Pattern[bytes] | None,
        rest: bytes,
        number: int | None = None,
    ) -> None:
        self._before = before
        self._after = after
        self._padding = padding
        self._rest = rest
        self.characters = 0
        self.number = number
        self.last = b""

    @classmethod
    def learned(cls, data: bytes, text: str) -> Self | None:
        """What `data` has in common with the events that follow it; None if that is not plain to see.

        Args:
            data: One whole event, its data in one line.
            text: What it said and nothing else, one of its strings.
        """
        if b"\\" in data:
            return None
        quoted = b'"%b"' % text.encode()
        # From both ends: what stands between two strings may look like a third that overlaps one of them.
        at = data.find(quoted)
        if at < 0 or at != data.rfind(quoted):
            return None
        before, after = data[: at + 1], data[at + len(quoted) - 1 :]
        padding, rest = None, b""
        if _OBFUSCATION in after:
            head, mark, tail = after.partition(_OBFUSCATION)
            after, padding, rest = head + mark, _PADDING, tail[tail.find(b'"') :]
        elif _STRUCTURE.issuperset(after):
            head, space, tail = after.partition(b" ")
            if not space:
                last = after.rindex(b"}")
                head, tail = after[:last], after[last:]
            after, padding, rest = head, _SPACES, tail.lstrip(b" ")
        if _NUMBER not in data:
            return cls(before, after, padding, rest)
        found = _NUMBERED.search(data)
        if found is None or data.count(_NUMBER) != 1:
            return None
        return cls(_pattern(before), _pattern(after), padding, _pattern(rest), int(found[2]))

    def read(self, data: bytes, texts: list[str], *, whole: bool = False) -> int:
        """Appends the texts of the events `data` begins with to `texts`, as long as they are such events; how many bytes those are.

        Args:
            data: What came.
            texts: The texts so far.
            whole: Unless all of `data` are such events none has come.
        """
        at, size, characters = 0, len(data), self.characters
        before, after, padding, rest = self._before, self._after, self._padding, self._rest
        number, last = self.number, 0
        while at < size:
            if number is not None:
                number += 1
                numbers = {b"n": number}
                before, after, rest = self._before % numbers, self._after % numbers, self._rest % numbers
            if not data.startswith(before, at):
                break
            begin = at + len(before)
            end = data.find(b'"', begin)
            try:
                text = data[begin:end].decode()
                if not text.isprintable() or "\\" in text:  # perhaps no plain string, perhaps not to its end
                    inside = _INSIDE.match(data, begin)
                    if inside is None:
                        break
                    end = inside.end()
                    text = _unescaped(inside[0])
            except ValueError:
                break
            if not text or not data.startswith(after, end):
                break
            end += len(after)
            if padding is not None:
                if not data.startswith(rest, end):
                    padded = padding.match(data, end)
                    if padded is None or not data.startswith(rest, padded.end()):
                        break
                    end = padded.end()
                end += len(rest)
            texts.append(text)
            characters += len(text)
            last, at = at, end
        if at and (at == size or not whole):
            self.characters = characters
            if number is not None:
                self.number = number if at == size else number - 1
                self.last = data[last:at]
        return at


def _pattern(part: bytes) -> bytes:
    """`part` with a place for the number, if that stands in it."""
    return _NUMBERED.sub(rb"\1%(n)d", part.replace(b"%", b"%%"))


def _unescaped(inside: bytes) -> str:
    """What a JSON string holds, from what stands between its quotes.

    Raises:
        ValueError: That is no such string.
    """
    text: JSON = from_json(b'"%b"' % inside)
    if isinstance(text, str):
        return text
    raise ValueError("not a string")
