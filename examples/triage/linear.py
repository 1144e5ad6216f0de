"""The baseline without a language model: hashed n-grams into a softmax for each field, in numpy.

`triage` is a plain function from text to the JSON answer and can stand as the last link of a chain. On phrasings
nobody wrote a template for it is as good as the GGUF model, at a thirtieth of the cost; the GGUF model is here because
it takes the path of a real language model.

``python -m examples.triage.linear`` learns the weights again (half a minute) and writes them to ``linear.npz``.
"""

import argparse
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from examples.triage.data import PRIORITIES, QUEUES, Generator, Split
from numpy.typing import NDArray

WEIGHTS: Final = Path(__file__).with_name("linear.npz")
BUCKETS: Final = 1 << 14
TICKETS: Final = 30_000
PASSES: Final = 3
RATE: Final = 0.5
WORD_DROPOUT: Final = 0.15
SEED: Final = 21

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Triage:
    """What the baseline makes of a ticket; the confidences are softmax probabilities."""

    queue: str
    priority: str
    queue_confidence: float
    priority_confidence: float


class Linear:
    """A softmax over queues and one over priorities, on the same features.

    Args:
        weights: One row for each bucket, one column for each queue and then each priority.
        bias: One number for each column.
    """

    def __init__(self, weights: Floats, bias: Floats) -> None:
        self._weights = weights
        self._bias = bias

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> "Linear":
        with np.load(path) as stored:
            return cls(stored["weights"].astype(np.float32) * stored["scale"], stored["bias"])

    def save(self, path: Path = WEIGHTS) -> None:
        """Stores the weights as int8 with one scale a column."""
        scale = np.abs(self._weights).max(axis=0) / 127
        rounded: NDArray[np.int8] = np.asarray(np.round(self._weights / scale), dtype=np.int8)
        np.savez_compressed(path, weights=rounded, scale=scale, bias=self._bias)

    def triage(self, text: str) -> Triage:
        queue, priority = self.probabilities(features(text))
        return Triage(
            queue=QUEUES[int(queue.argmax())],
            priority=PRIORITIES[int(priority.argmax())],
            queue_confidence=float(queue.max()),
            priority_confidence=float(priority.max()),
        )

    def answer(self, text: str) -> str:
        """The JSON the GGUF model would write for this decision."""
        found = self.triage(text)
        return json.dumps({"queue": found.queue, "priority": found.priority})

    def probabilities(self, active: Indices) -> tuple[Floats, Floats]:
        logits = self._weights[active].sum(axis=0) / np.sqrt(len(active)) + self._bias
        return _softmax(logits[: len(QUEUES)]), _softmax(logits[len(QUEUES) :])

    @classmethod
    def learn(cls, split: Split, *, tickets: int = TICKETS, seed: int = SEED) -> "Linear":
        """Fits the weights with AdaGrad, one ticket at a time; the same arguments give the same weights."""
        source = Generator(seed, split, word_dropout=WORD_DROPOUT)
        rows: list[tuple[Indices, int, int]] = [
            (features(ticket.text), QUEUES.index(ticket.queue), PRIORITIES.index(ticket.priority))
            for ticket in source.tickets(tickets)
        ]
        columns = len(QUEUES) + len(PRIORITIES)
        model = cls(np.zeros((BUCKETS, columns), np.float32), np.zeros(columns, np.float32))
        seen = np.full((BUCKETS, columns), 1e-6, np.float32)  # sums of squared gradients
        seen_bias = np.full(columns, 1e-6, np.float32)
        order = np.random.default_rng(seed)
        for _ in range(PASSES):
            for row in order.permutation(len(rows)):
                active, queue, priority = rows[int(row)]
                slope = np.concatenate(model.probabilities(active))
                slope[queue] -= 1
                slope[len(QUEUES) + priority] -= 1
                step = slope / np.sqrt(len(active))
                seen[active] += step * step
                model._weights[active] -= RATE * step / np.sqrt(seen[active])
                seen_bias += slope * slope
                model._bias -= RATE * slope / np.sqrt(seen_bias)
        return model


@cache
def _shipped() -> Linear:
    return Linear.load()


def triage(text: str) -> str:
    """Answers one ticket with the JSON the GGUF model would write; safe to call from any thread."""
    return _shipped().answer(text)


def features(text: str) -> Indices:
    """The buckets of a text's words, word pairs and character n-grams; digits count as one kind."""
    buckets = {zlib.crc32(gram.encode()) % BUCKETS for gram in _grams(re.sub(r"\d+", "0", text.lower()))}
    return np.array(sorted(buckets), dtype=np.int64)


def _grams(text: str) -> Iterator[str]:
    words = [
        "^",
        *re.findall(r"[^\W_]+(?:'[^\W_]+)*|[!?]", text),
    ]  # "^" keeps an empty text from having no feature
    for word in words:
        yield f"w {word}"
        padded = f"<{word}>"
        for size in (3, 4, 5):
            for at in range(len(padded) - size + 1):
                yield f"c {padded[at : at + size]}"
    for left, right in pairwise(words):
        yield f"p {left} {right}"


def _softmax(logits: Floats) -> Floats:
    raised: Floats = np.exp(logits - logits.max())
    shares: Floats = raised / raised.sum()
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn the baseline's weights.")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--split", choices=("ship", "train"), default="ship")
    arguments = parser.parse_args()
    Linear.learn(arguments.split).save(arguments.out)


if __name__ == "__main__":
    main()
