"""The bars: how much of labelled personal data survives in prose, and how many log lines are altered for nothing."""

from __future__ import annotations

import random  # noqa: TID251 - a seeded sequence

import pytest

import log_corpus
import personal_numbers as people
import redaction_corpus as corpus
from resilient_ai.privacy import Redactor

EACH = 60
MOST_LEAKED = 0.05
MOST_LOST_TO_A_DISGUISE = 0.03
MOST_ALTERED = 0.005

SENTENCES = (
    "We noted {} in the file.",
    "It is {}, thanks",
    "({})",
    '{{"value": "{}"}}',
    "{}\n",
    "Das war {}; bitte pr\xfcfen.",
)


def samples(kind: str, disguise: str | None) -> list[corpus.Sample]:
    """Return texts with one number of `kind` in each, in its disguise."""
    rng = random.Random(kind)  # noqa: S311 - no secrecy in a test corpus
    sentences: tuple[str, ...] = SENTENCES
    generate: people.Generator
    if kind == "birth":
        generate, sentences = people.date_of_birth, people.BIRTH_LABELS
    elif kind in people.LABELLED:
        generate, sentences = people.LABELLED[kind]
    else:
        generate = people.UNMISTAKABLE[kind]
    made: list[corpus.Sample] = []
    for _ in range(EACH):
        value = generate(rng)
        if disguise:
            value = corpus.DISGUISES[disguise](value, rng)
        made.append(corpus.Sample(rng.choice(sentences).format(value), value, kind))
    return made


def leak(kind: str, disguise: str | None = None) -> float:
    redactor = Redactor("text")
    found = [
        corpus.leaked([(start, end) for start, end, _ in redactor.spans(one.text)], one)
        for one in samples(kind, disguise)
    ]
    return sum(found) / len(found)


@pytest.mark.parametrize("kind", people.UNMISTAKABLE)
def test_prose_leaks_no_number_that_its_form_gives_away(kind: str) -> None:
    assert leak(kind) == 0


@pytest.mark.parametrize("kind", [*people.LABELLED, "birth"])
def test_prose_leaks_no_number_and_no_date_of_birth_that_a_word_explains(kind: str) -> None:
    assert leak(kind) == 0


@pytest.mark.parametrize("disguise", corpus.DISGUISES)
def test_a_disguise_saves_at_most_three_points_of_all_labelled_characters(disguise: str) -> None:
    kinds = [*people.UNMISTAKABLE, *people.LABELLED, "birth"]
    plain = sum(map(leak, kinds)) / len(kinds)
    disguised = sum(leak(kind, disguise) for kind in kinds) / len(kinds)
    assert plain <= MOST_LEAKED
    assert disguised <= plain + MOST_LOST_TO_A_DISGUISE


def test_of_log_lines_that_only_look_like_personal_data_at_most_one_in_two_hundred_is_altered() -> None:
    redactor = Redactor("machine")
    lines = log_corpus.lines(4 * 10**3, "seed")
    altered = [line for line in lines if redactor.text(line) != line]
    assert len(altered) <= MOST_ALTERED * len(lines), altered[:5]


@pytest.mark.parametrize("template", log_corpus.TEMPLATES)
def test_no_kind_of_log_line_is_altered_as_a_rule(template: str) -> None:
    """A whole kind of lines that is lost is worse than one in a thousand of all kinds."""
    redactor = Redactor("machine")
    number = log_corpus.TEMPLATES.index(template)
    lines = log_corpus.lines(len(log_corpus.TEMPLATES) * 20, "kinds")[number :: len(log_corpus.TEMPLATES)]
    assert sum(redactor.text(line) != line for line in lines) <= 1
