"""A byte-level BPE tokenizer in the GPT-2 scheme: learns merges, and encodes as llama.cpp does from the GGUF file.

llama.cpp reads tokens and merges from the file under ``tokenizer.ggml.model = gpt2`` with the pre-tokenizer
``gpt-2``. `evaluate.py` compares both tokenizers on real tickets, since a model fed with other tokens than it was
trained on fails quietly.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

BOS: Final = "<|bos|>"
USER: Final = "<|user|>"
ASSISTANT: Final = "<|assistant|>"
END: Final = "<|end|>"
PAD: Final = "<|pad|>"
CONTROL: Final = (BOS, USER, ASSISTANT, END, PAD)

Pair = tuple[str, str]

# The GPT-2 pattern in the words of Python's `re`, which knows no \p{L} and \p{N}.
_WORD: Final = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\w\s]|_)+|\s+(?!\S)|\s+",
)


def _printable_bytes() -> dict[int, str]:
    """Maps each byte to a visible character: printable Latin-1 to itself, the rest to U+0100 and up, in order."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(0x100 + at) for at, byte in enumerate(hidden)}


_CHARACTER: Final = _printable_bytes()


class Tokenizer:
    """Encodes text to token ids with the merges given.

    Args:
        merges: Pairs of units in the order they were learnt; an earlier pair is merged first.

    Attributes:
        merges: As given.
        tokens: The text of each token, by id: the 256 bytes, the merged units, the control tokens.
        ids: The id of each token's text.
    """

    def __init__(self, merges: Iterable[Pair]) -> None:
        self.merges: list[Pair] = list(merges)
        units = [_CHARACTER[byte] for byte in range(0x100)] + [left + right for left, right in self.merges]
        # Two merges may spell the same unit; a token's text has to be unique in the file.
        self.tokens: list[str] = [*dict.fromkeys(units), *CONTROL]
        self.ids: dict[str, int] = {token: at for at, token in enumerate(self.tokens)}
        self._rank = {pair: at for at, pair in enumerate(self.merges)}
        self._known: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Encodes plain text; the text of a control token has no special meaning here."""
        return [token for word in _WORD.findall(text) for token in self._word(word)]

    def _word(self, word: str) -> list[int]:
        if word not in self._known:
            units = _units(word)
            while len(units) > 1:
                best = min(pairwise(units), key=lambda pair: self._rank.get(pair, len(self._rank)))
                if best not in self._rank:
                    break
                units = _merge(units, best)
            self._known[word] = [self.ids[unit] for unit in units]
        return self._known[word]


def learn(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Learns merges from texts, most frequent pair first, until the vocabulary is full or no pair occurs twice.

    Ties are broken by the pair's spelling, so that equal texts give equal merges whatever their order.
    """
    counts = Counter(word for text in texts for word in _WORD.findall(text))
    words = [_units(word) for word in counts]
    weights = list(counts.values())
    frequency: Counter[Pair] = Counter()
    where: dict[Pair, set[int]] = defaultdict(set)
    for at, units in enumerate(words):
        for pair in pairwise(units):
            frequency[pair] += weights[at]
            where[pair].add(at)

    merges: list[Pair] = []
    while 0x100 + len(merges) + len(CONTROL) < vocabulary and frequency:
        best = max(frequency, key=lambda pair: (frequency[pair], pair))
        if frequency[best] < 2:
            break
        merges.append(best)
        for at in where.pop(best):
            for pair in pairwise(words[at]):
                frequency[pair] -= weights[at]
                if frequency[pair] <= 0:
                    del frequency[pair]
            words[at] = _merge(words[at], best)
            for pair in pairwise(words[at]):
                frequency[pair] += weights[at]
                where[pair].add(at)
    return Tokenizer(merges)


def _units(word: str) -> list[str]:
    return [_CHARACTER[byte] for byte in word.encode()]


def _merge(units: list[str], pair: Pair) -> list[str]:
    merged: list[str] = []
    for unit in units:
        # A unit that was itself just merged is longer than the pair's left half, so it cannot match again.
        if merged and (merged[-1], unit) == pair:
            merged[-1] += unit
        else:
            merged.append(unit)
    return merged
