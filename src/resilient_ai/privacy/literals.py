"""Finds any of many words in one pass over a text.

Rules stand behind words: `passport`, `token`, `born`. Searching for a hundred of them one after the other costs
a hundred scans. Here they are one pattern. `re` walks it as a tree; `google-re2`, where it is installed, makes an
automaton of it that reads ten times as fast but takes long to report what it found. Both find the same.
"""

from __future__ import annotations

import importlib
import re
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol, cast, final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


# How far `re` reads on from a word before the automaton is asked for the next one: a match of its costs as much
# as reading this many characters by `re`.
_WINDOW: Final = 1024


class _Encoding(Protocol):
    LATIN1: object


class _Options(Protocol):
    Encoding: _Encoding
    encoding: object

    def __call__(self) -> _Options: ...


class _Library(Protocol):
    Options: _Options

    def compile(self, pattern: bytes, options: _Options) -> _Automaton: ...


class _Automaton(Protocol):
    def search(self, text: bytes, pos: int, endpos: int, /) -> re.Match[bytes] | None: ...


def trie(words: Iterable[str]) -> str:
    """Return a pattern that matches the longest of `words`, deciding one character at a time.

    A plain alternation of 270 literals tries each of them at every character; this one tries the branches
    of one node.
    """
    branches: dict[str, list[str]] = {}
    ends = False
    for word in words:
        if word:
            branches.setdefault(word[0], []).append(word[1:])
        else:
            ends = True
    if not branches:
        return ""
    inner = "|".join(re.escape(first) + trie(rest) for first, rest in sorted(branches.items()))
    return f"(?:{inner})" + ("?" if ends else "")


@final
class Literals:
    """A set of words to be found in lower-cased text, compiled when it is first used.

    Args:
        anywhere: Words that count wherever they stand.
        beginning: Words that count where a word begins.
    """

    def __init__(self, anywhere: Iterable[str], beginning: Iterable[str] = ()) -> None:
        # Where a word of either kind begins at the same place, one that counts anywhere is preferred.
        words, starting = list(anywhere), list(beginning)
        at_start = trie(starting)
        self.pattern = trie(words) + (rf"|\b{at_start}" if at_start else "")
        self._longest = max(map(len, words + starting))

    def find(self, lowered: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield the offset and the text of each word between `start` and `end`: ascending, disjoint."""
        pattern, automaton = self._compiled
        stop = len(lowered) if end is None else end
        if automaton is None:
            for found in pattern.finditer(lowered, start, stop):
                yield found.start(), found.group()
            return
        # The automaton leaps over stretches without a word; `re` reads where words stand close together.
        at = start
        while first := automaton.search(lowered, at, stop):
            at = first.start()
            border = at + _WINDOW
            for found in pattern.finditer(lowered, at, min(stop, border + self._longest)):
                if found.start() >= border:
                    break
                yield found.start(), found.group()
                at = found.end()
            at = max(at, border)
            if at >= stop:
                return

    @cached_property
    def _compiled(self) -> tuple[re.Pattern[bytes], _Automaton | None]:
        raw = self.pattern.encode("latin-1", "replace")
        return re.compile(raw), _automaton(raw)


def _automaton(pattern: bytes) -> _Automaton | None:
    """Return `pattern` as google-re2 compiles it, or None without that library."""
    try:
        re2 = cast("_Library", importlib.import_module("re2"))
    except ImportError:
        return None
    options = re2.Options()
    # Texts are searched as Latin-1, a byte a character.
    options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(pattern, options)
