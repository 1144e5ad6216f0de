# ruff: noqa: TID251, S311
# Reason: this script builds a data set offline. The generator is seeded here so that a seed means the same tickets
# on every machine; nothing in it is a secret.
"""Generates support tickets with known queue and priority from the phrases in ``phrases.toml``.

Two kinds of material are held out. Every sixth value of a slot never occurs in training, in any build: tickets made
from those values measure how the model takes new order numbers, products and amounts. Every fifth template and
urgency cue is left out of the ``train`` build only: they measure phrasings the model has never seen. The build that
ships learns from all templates.

Run ``python -m examples.triage.data`` to print a few tickets, or with ``--demo PATH`` to write the demo's tickets.
"""

import argparse
import json
import random
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

HERE: Final = Path(__file__).parent
QUEUES: Final = (
    "billing",
    "shipping",
    "returns",
    "account",
    "technical",
    "cancellation",
    "sales",
    "feedback",
)
PRIORITIES: Final = ("low", "normal", "high")
PRIORITY_SHARES: Final = (0.25, 0.45, 0.30)

VALUE_HOLDOUT: Final = 6  # every sixth slot value is kept for evaluation
TEMPLATE_HOLDOUT: Final = 5  # every fifth template and cue is kept out of the ``train`` build

Split = Literal["train", "ship", "fills", "phrasings"]

_ALTERNATIVES: Final = re.compile(r"\(([^()]*\|[^()]*)\)")
_SLOT: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Ticket:
    """One message and the answer expected for it."""

    text: str
    queue: str
    priority: str

    @property
    def answer(self) -> str:
        """The JSON the model has to write, to the byte."""
        return json.dumps({"queue": self.queue, "priority": self.priority})


@dataclass(frozen=True, slots=True)
class Phrases:
    """The parsed ``phrases.toml``."""

    slots: dict[str, list[str]]
    templates: dict[str, list[str]]
    asides: dict[str, list[str]]
    urgency: dict[str, list[str]]
    frame: dict[str, list[str]]

    @classmethod
    def load(cls) -> "Phrases":
        raw = tomllib.loads((HERE / "phrases.toml").read_text(encoding="utf-8"))
        return cls(**raw)


class Generator:
    """Draws tickets of one split; the same seed and split give the same tickets.

    Args:
        seed: Seed of everything drawn.
        split: ``train`` (templates and values seen in training), ``ship`` (all templates, seen values), ``fills``
            (templates of ``train``, held-out values) or ``phrasings`` (held-out templates and cues, seen values).
        word_dropout: Share of words removed from every second ticket, never from its urgency cue. It keeps the model
            from recognising whole templates.
    """

    def __init__(self, seed: int, split: Split, *, word_dropout: float = 0.0) -> None:
        phrases = Phrases.load()
        self._random = random.Random(seed)
        self._dropout = word_dropout
        self._slots = {
            name: _values(values, held_out=split == "fills") for name, values in phrases.slots.items()
        }
        self._templates = {queue: _templates(rows, split) for queue, rows in phrases.templates.items()}
        self._cues = {
            priority: _templates(phrases.urgency[priority], split)
            for priority in PRIORITIES
            if priority != "normal"
        }
        self._neutral = phrases.urgency["neutral"]
        self._asides = phrases.asides
        self._frame = phrases.frame

    def tickets(self, count: int) -> list[Ticket]:
        return [self.ticket() for _ in range(count)]

    def __iter__(self) -> Iterator[Ticket]:
        while True:
            yield self.ticket()

    def ticket(self) -> Ticket:
        draw = self._random
        queue = draw.choice(QUEUES)
        priority = draw.choices(PRIORITIES, PRIORITY_SHARES)[0]
        thin = self._dropout if draw.random() < 0.5 else 0.0

        parts = [self._request(queue, thin)]
        if draw.random() < 0.15:
            parts.append(self._thin(self._fill(draw.choice(self._templates[queue])), thin))
        if draw.random() < 0.45:
            parts.insert(draw.choice((0, len(parts))), self._fill(draw.choice(self._neutral)))
        if priority != "normal":
            cue = self._fill(draw.choice(self._cues[priority]))
            parts.insert(draw.choice((0, len(parts), len(parts))), cue)

        text = self._joint().join(parts)
        if draw.random() < 0.7:
            text += draw.choice((".", ".", "?", "!", "..."))
        text = self._framed(text)
        if draw.random() < 0.7:
            text = _sentence_case(text)
        if draw.random() < 0.35:
            text = self._with_typos(text)
        if draw.random() < 0.1:
            text = text.replace("'", "")
        return Ticket(text, queue, priority)

    def _request(self, queue: str, thin: float) -> str:
        """What the ticket is about, in three of ten cases beside a true remark about another queue's subject."""
        draw = self._random
        core = self._thin(self._fill(draw.choice(self._templates[queue])), thin)
        if draw.random() >= 0.3:
            return core
        other = draw.choice([name for name in QUEUES if name != queue])
        aside = self._fill(draw.choice(self._asides[other]))
        if draw.random() < 0.65:
            return aside + draw.choice(self._frame["contrast"]) + core
        return f"{core}. {aside}"

    def _framed(self, text: str) -> str:
        draw = self._random
        greeting = self._fill(draw.choice(self._frame["greeting"]))
        closing = self._fill(draw.choice(self._frame["closing"]))
        if greeting and draw.random() < 0.6:
            text = greeting + draw.choice((", ", "! ", "\n", " ", " - ")) + text
        if closing and draw.random() < 0.5:
            text += draw.choice(("\n", " ", ". ")) + closing
        return text

    def _joint(self) -> str:
        return self._random.choice(self._frame["joint"])

    def _fill(self, template: str) -> str:
        """Replaces slots and alternatives until none is left; both may stand inside the other."""
        text = template
        while True:
            text, slots = _SLOT.subn(lambda match: self._random.choice(self._slots[match[1]]), text)
            text, alternatives = _ALTERNATIVES.subn(
                lambda match: self._random.choice(match[1].split("|")), text
            )
            if not slots and not alternatives:
                return " ".join(text.split()).replace(" ,", ",")

    def _thin(self, text: str, share: float) -> str:
        if not share:
            return text
        words = text.split(" ")
        kept = [word for word in words if self._random.random() >= share]
        return " ".join(kept) if len(kept) >= 2 else text

    def _with_typos(self, text: str) -> str:
        """Swaps, drops, doubles or replaces about one letter in forty-five."""
        draw = self._random
        letters = list(text)
        for _ in range(max(1, len(letters) // 45)):
            at = draw.randrange(len(letters) - 1)
            if not (letters[at].isalpha() and letters[at + 1].isalpha()):
                continue
            match draw.choice(("swap", "drop", "double", "replace")):
                case "swap":
                    letters[at], letters[at + 1] = letters[at + 1], letters[at]
                case "drop":
                    del letters[at]
                case "double":
                    letters.insert(at, letters[at])
                case _:
                    letters[at] = draw.choice("abcdefghijklmnopqrstuvwxyz")
        return "".join(letters)


def handwritten() -> list[Ticket]:
    """The messages written by hand, in words of their own, that no training ever sees."""
    rows = (HERE / "handwritten.jsonl").read_text(encoding="utf-8").splitlines()
    return [Ticket(row["text"], row["queue"], row["priority"]) for row in map(json.loads, rows)]


def demo_tickets(count: int) -> list[Ticket]:
    """The demo's tickets: all hand-written messages among generated ones with held-out values, shuffled."""
    by_hand = handwritten()
    tickets = by_hand + Generator(DEMO_SEED, "fills").tickets(count - len(by_hand))
    random.Random(DEMO_SEED).shuffle(tickets)
    return tickets


DEMO_SEED: Final = 2024
DEMO_COUNT: Final = 600


def write_demo(path: Path) -> None:
    """Writes one JSON object a line: ``id``, ``text`` and the ``queue`` and ``priority`` expected."""
    rows = (
        {"id": f"T-{number:04}", "text": ticket.text, "queue": ticket.queue, "priority": ticket.priority}
        for number, ticket in enumerate(demo_tickets(DEMO_COUNT), start=1)
    )
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _values(values: Sequence[str], *, held_out: bool) -> list[str]:
    chosen = [value for at, value in enumerate(values, start=1) if (at % VALUE_HOLDOUT == 0) == held_out]
    return chosen or list(values)


def _templates(rows: Sequence[str], split: Split) -> list[str]:
    if split == "ship":
        return list(rows)
    return [
        row for at, row in enumerate(rows, start=1) if (at % TEMPLATE_HOLDOUT == 0) == (split == "phrasings")
    ]


def _sentence_case(text: str) -> str:
    """Capital letters as a careful writer sets them. The model lower-cases its input: this is for human readers."""
    text = re.sub(r"(^|[.!?]\s+|\n)([a-z])", lambda match: match[1] + match[2].upper(), text)
    return re.sub(r"\bi\b", "I", text)


def main() -> None:
    parser = argparse.ArgumentParser(description="Print generated tickets, or write the demo's.")
    parser.add_argument("--demo", type=Path, help="write the demo's tickets to this path instead of printing")
    arguments = parser.parse_args()
    if arguments.demo:
        write_demo(arguments.demo)
        return
    for split in ("ship", "fills", "phrasings"):
        for ticket in Generator(1, split).tickets(6):
            print(f"{split:10} {ticket.queue:13} {ticket.priority:7} {ticket.text!r}")


if __name__ == "__main__":
    main()
