"""Finds any of many words in one pass over a text.

Rules stand behind words: `passport`, `token`, `born`. Most texts hold none of them, and `google-re2`, where it is
installed, sees that in one pass, whatever their number. Where there are some, or without that library, a few words
are each searched by `bytes.find`, and many by one pattern of `re`. What is found is the same.
"""

from __future__ import annotations

import importlib
import re
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol, cast, final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


# How far is read on from a word before the automaton is asked for the next one, of which the answer is slow.
_WINDOW: Final = 2048
# Of a text of 200 characters: 14 words are found one by one in 4 us and by a pattern in 9, 190 words in 56 and 14.
_MANY: Final = 64
_WORD_BYTES: Final = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")


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
    """A set of words to be found in lower-cased text.

    Of words that overlap, the first counts; of those that begin at the same place, one that counts anywhere
    before one that has to begin a word, then the longest.

    Args:
        anywhere: Words that count wherever they stand.
        beginning: Words that count where a word begins.
    """

    def __init__(self, anywhere: Iterable[str], beginning: Iterable[str] = ()) -> None:
        self._anywhere = _longest_first(anywhere)
        self._beginning = _longest_first(beginning)
        self._longest = max(map(len, self._anywhere + self._beginning))

    @cached_property
    def pattern(self) -> bytes:
        """The words as one regular expression, a tree."""
        tree = trie(word.decode("latin-1") for word in self._anywhere)
        beginning = trie(word.decode("latin-1") for word in self._beginning)
        return (tree + (rf"|\b{beginning}" if beginning else "")).encode("latin-1")

    def find(self, lowered: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield the offset and the text of each word between `start` and `end`: ascending, disjoint."""
        stop = len(lowered) if end is None else end
        automaton = self._automaton
        if automaton is None:
            yield from self._all(lowered, start, stop)
            return
        at = start
        while at < stop and (first := automaton.search(lowered, at, stop)):
            at = first.start()
            border = at + _WINDOW
            for position, word in self._all(lowered, at, min(stop, border + self._longest)):
                if position >= border:
                    break
                yield position, word
                at = position + len(word)
            at = max(at, border)

    def _all(self, lowered: bytes, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        if len(self._anywhere) + len(self._beginning) > _MANY:
            return ((found.start(), found.group()) for found in self._tree.finditer(lowered, start, stop))
        return self._each(lowered, start, stop)

    def _each(self, lowered: bytes, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        found: list[tuple[int, int, bytes]] = []
        for rank, word in enumerate(self._anywhere):
            at = lowered.find(word, start, stop)
            while at >= 0:
                found.append((at, rank, word))
                at = lowered.find(word, at + 1, stop)
        for rank, word in enumerate(self._beginning, len(self._anywhere)):
            at = lowered.find(word, start, stop)
            while at >= 0:
                if at == 0 or lowered[at - 1] not in _WORD_BYTES:
                    found.append((at, rank, word))
                at = lowered.find(word, at + 1, stop)
        found.sort()
        taken = start
        for at, _, word in found:
            if at >= taken:
                taken = at + len(word)
                yield at, word

    @cached_property
    def _tree(self) -> re.Pattern[bytes]:
        return re.compile(self.pattern)

    @cached_property
    def _automaton(self) -> _Automaton | None:
        return _automaton(self.pattern)


def _longest_first(words: Iterable[str]) -> list[bytes]:
    return sorted((word.encode("latin-1", "replace") for word in words), key=len, reverse=True)


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
