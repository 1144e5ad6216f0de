r"""A copy of a text as a reader would decode it, and the way back to the original.

Detectors look for ASCII. A secret written as `%40`, `&#64;`, `\\u0040`, in full-width digits or with
zero-width characters between its letters is the same secret to whoever reads the log, so detection runs on a
decoded copy, and what it finds there is cut out of the original.
"""

from __future__ import annotations

import html
import re
import unicodedata
from bisect import bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    _Decoder = Callable[[int, str], list[tuple[int, int, str]]]

# One layer of percent-encoding is a URL, two are a URL inside a URL; nobody reads a third.
MAX_PERCENT_LAYERS: Final = 2

_PERCENT: Final = re.compile(r"(?:%[0-9A-Fa-f]{2}){1,32}")
_ENTITY: Final = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|commat|period|colon|equals|sol|hyphen"
                            r"|dash|lowbar|plus|num|amp|quot|apos|nbsp|shy|lpar|rpar|Tab|NewLine|lt|gt);")  # fmt: skip
_ESCAPE: Final = re.compile(r"\\{1,2}u(?:[0-9A-Fa-f]{4}|\{[0-9A-Fa-f]{1,6}\})|\\{1,2}x[0-9A-Fa-f]{2}")

# Characters that NFKC leaves alone although a reader sees the ASCII one (dashes) or nothing at all.
_LOOKALIKES: Final = {
    **dict.fromkeys(map(chr, range(0x2010, 0x2016)), "-"),
    "\u2212": "-", "\ufe63": "-", "\u00b7": ".", "\u2024": ".", "\u2044": "/", "\u02d0": ":", "\ua789": ":",
    "\u2800": "",
}  # fmt: skip
_INVISIBLE_CATEGORY: Final = "Cf"
_COMBINING_JOINER: Final = "\u034f"
_VARIATION_SELECTORS: Final = range(0xFE00, 0xFE10)


@final
class DetectionCopy:
    """A decoded text that can translate its offsets into those of the text it was made from."""

    __slots__ = ("_ends", "_origins", "_parent", "_starts", "faithful", "text")

    def __init__(
        self,
        source: str,
        parent: DetectionCopy | None,
        edits: Iterable[tuple[int, int, str]],
        *,
        faithful: bool = False,
    ) -> None:
        """Apply `edits` (start, end, replacement; ascending, disjoint) to `source`.

        Offsets are translated by the segments in between: `_starts` are offsets in the copy, `_origins` the
        matching offsets in the source, and `_ends` where a replaced piece ends in the source (-1 for a
        segment copied character by character). With `faithful`, whatever is found in the source is found in
        the copy too: letters were only replaced by their plain forms.
        """
        self._parent = parent
        self.faithful = faithful
        starts, origins, ends = [0], [0], [-1]
        pieces: list[str] = []
        length = taken = 0
        for start, end, replacement in edits:
            pieces.append(source[taken:start])
            length += start - taken
            if replacement:
                starts.append(length)
                origins.append(start)
                ends.append(end)
                pieces.append(replacement)
                length += len(replacement)
            starts.append(length)
            origins.append(end)
            ends.append(-1)
            taken = end
        pieces.append(source[taken:])
        self.text = "".join(pieces)
        self._starts, self._origins, self._ends = starts, origins, ends

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the source offsets that cover the copy's non-empty range `start:end`."""
        first = bisect_right(self._starts, start) - 1
        last = bisect_right(self._starts, end - 1) - 1
        begin = self._origins[first] + (start - self._starts[first] if self._ends[first] < 0 else 0)
        stop = self._ends[last] if self._ends[last] >= 0 else self._origins[last] + end - self._starts[last]
        return (begin, stop) if self._parent is None else self._parent.original(begin, stop)


def decoded(text: str) -> DetectionCopy | None:
    """Return a decoded copy of `text`, or None if there is nothing to decode in it."""
    copy: DetectionCopy | None = None
    current = text
    if "&" in text and ";" in text:
        copy = _decode(_ENTITY, _entity, current, copy)
        current = copy.text if copy else current
    for _ in range(MAX_PERCENT_LAYERS):
        if "%" not in current or (deeper := _decode(_PERCENT, _percent, current, copy)) is None:
            break
        copy, current = deeper, deeper.text
    if "\\" in current and (escaped := _decode(_ESCAPE, _escape, current, copy)) is not None:
        copy, current = escaped, escaped.text
    if not current.isascii() and (folded := _fold(current, copy)) is not None:
        copy = folded
    return copy


def _decode(
    pattern: re.Pattern[str], decode: _Decoder, source: str, parent: DetectionCopy | None
) -> DetectionCopy | None:
    edits: list[tuple[int, int, str]] = []
    for found in pattern.finditer(source):
        edits.extend(decode(found.start(), found.group()))
    return DetectionCopy(source, parent, edits) if edits else None


def _percent(start: int, match: str) -> list[tuple[int, int, str]]:
    raw = bytes.fromhex(match.replace("%", ""))
    if raw.isascii():
        # One edit a byte keeps the borders of a match exact: `%20` beside an address stays.
        return [(start + 3 * i, start + 3 * i + 3, chr(byte)) for i, byte in enumerate(raw)]
    return [(start, start + len(match), raw.decode("utf-8", "replace"))]


def _entity(start: int, match: str) -> list[tuple[int, int, str]]:
    return [(start, start + len(match), html.unescape(match))]


def _escape(start: int, match: str) -> list[tuple[int, int, str]]:
    code = int(match.lstrip("\\").lstrip("ux").strip("{}"), 16)
    return [(start, start + len(match), chr(code) if code <= 0x10FFFF else "\ufffd")]


@lru_cache(maxsize=4096)
def _folding(char: str) -> str | None:
    """Return what a reader sees for a non-ASCII `char`, or None for the character itself."""
    if char in _LOOKALIKES:
        return _LOOKALIKES[char]
    if (
        unicodedata.category(char) == _INVISIBLE_CATEGORY
        or char == _COMBINING_JOINER
        or ord(char) in _VARIATION_SELECTORS
    ):
        return ""
    digit = unicodedata.digit(char, None)
    if digit is not None:
        return str(digit)
    folded = unicodedata.normalize("NFKC", char)
    return folded if folded != char and folded.isascii() else None


def _fold(source: str, parent: DetectionCopy | None) -> DetectionCopy | None:
    changing = {
        char: folded for char in set(source) if char > "\x7f" and (folded := _folding(char)) is not None
    }
    if not changing:
        return None
    # Most foldings are one character for another, which moves no offset.
    plain = source.translate({ord(char): folded for char, folded in changing.items() if len(folded) == 1})
    moving = [char for char, folded in changing.items() if len(folded) != 1]
    edits: list[tuple[int, int, str]] = []
    if moving:
        pattern = re.compile("[" + "".join(map(re.escape, moving)) + "]+")
        edits.extend(
            (found.start(), found.end(), "".join(map(changing.__getitem__, found.group())))
            for found in pattern.finditer(source)
        )
    return DetectionCopy(plain, parent, edits, faithful=parent is None)
