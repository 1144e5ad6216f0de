"""Finds dates of birth: a date in any of the usual spellings that a word such as `born` explains."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# Beginnings of labels in lower case, of the words in `context.py`'s languages and some more.
INSIDE: Final = (
    "birth", "geboren", "geburt", "geboor", "naissance", "nacimiento", "nacid", "nascita", "nascim", "nascid",
    "cumplea", "compleanno", "anniversaire", "verjaardag", "urodz", "születés", "fødsel", "fødd", "född", "syntym",
)  # fmt: skip
BEGINNING: Final = (
    "born",
    "dob",
    "d o b",
    "bod",
    "né",
    "née",
    "nato",
    "nata",
    "geb",
    "født",
    "bday",
    "b day",
    "ddn",
)

_MONTH: Final = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|janv|f[ée]v|mars|avr|mai|juin|juil|ao[ûu]t|d[ée]c|m[äa]rz|okt|dez"
    r"|gen|mag|giu|lug|ago|set|ott|dic|ene|abr|mei|mrt|out|fev)[a-zéûäç]{0,9}\.?"
)
_DAY: Final = r"\d{1,2}(?:st|nd|rd|th|er|º|°|\.)?"
_SEPARATOR: Final = r"[\s\-/.]{1,2}"
_DATE: Final = (
    r"\d{1,4}(?P<s>\s?[/.\-]\s?|\s)\d{1,2}(?P=s)\d{1,4}(?:[T ]\d\d:\d\d[\d:.]{0,10}Z?)?"
    rf"|{_DAY}{_SEPARATOR}(?:of\s|de\s|di\s|d[eo]s?\s)?{_MONTH},?(?:{_SEPARATOR}|\s)(?:of\s|de\s|del?\s)?'?\d{{2,4}}"
    rf"|\d{{4}}{_SEPARATOR}{_MONTH}{_SEPARATOR}{_DAY}"
    rf"|{_MONTH}{_SEPARATOR}{_DAY},?{_SEPARATOR}\d{{2,4}}|{_MONTH},?{_SEPARATOR}'?\d{{2,4}}"
    r"|\d{4}\s?[年년]\s?\d{1,2}\s?[月월]\s?\d{1,2}\s?[日일]?|\d{8}|\d{6}"
)
_WEEKDAY: Final = r"(?:[^\W\d_]{2,12}day|(?:mon|tue|wed|thu|fri|sat|sun)|[^\W\d_]{2,7}tag),?\s"
_AT_ONCE: Final = re.compile(rf"(?:{_WEEKDAY})?(?:{_DATE}|(?:19|20)\d\d)(?![\w])", re.IGNORECASE)
# `born in Oslo, on 3 May 1961`
_LATER: Final = re.compile(rf"[^\n.;!?\d]{{0,48}}?(?P<date>(?:{_WEEKDAY})?(?:{_DATE})(?!\w))", re.IGNORECASE)


def find_date_of_birth(text: str, near: int, at: int) -> Iterator[tuple[int, int]]:
    """Yield the borders of the date at `at`, or of one that follows in the sentence that goes on at `near`."""
    date = _AT_ONCE.match(text, at)
    if date:
        yield date.span()
    elif later := _LATER.match(text, near):
        yield later.span("date")
