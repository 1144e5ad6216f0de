"""Finds identifiers that only the words before them give away: `passport no. X1234567`, `born on 3 May 1961`.

Used for prose only. In logs, fields have names, and `labelled.py` reads those.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from resilient_ai.privacy.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

_ID: Final = "ID_NUMBER"
_ACCOUNT: Final = "ACCOUNT"
_BIRTH: Final = "DATE_OF_BIRTH"
_SECRET: Final = "SECRET"  # noqa: S105 - the name of a kind
_USER: Final = "USERNAME"

# Beginnings of labels in lower case, with the kind of what follows. One that starts with a space has to begin
# a word. Languages: those of the public PII corpora (English, German, French, Italian, Spanish, Dutch).
_STEMS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"passport", _ID), (b"passeport", _ID), (b"pasaporte", _ID), (b"passaporto", _ID), (b"paspoort", _ID),
    (b"reisepass", _ID), (b"licen", _ID), (b"rijbewijs", _ID), (b" patente", _ID), (b" permis", _ID),
    (b"ausweis", _ID), (b"social", _ID), (b" ssn", _ID), (b" tax", _ID), (b"steuer", _ID), (b" fiscal", _ID),
    (b" vat", _ID), (b" tin", _ID), (b" national", _ID), (b"identi", _ID), (b" id", _ID), (b" imei", _ID),
    (b" vin", _ID), (b"chassis", _ID), (b"plate", _ID), (b"kennzeichen", _ID), (b"policy", _ID), (b" mrn", _ID),
    (b"medical record", _ID), (b"member", _ID), (b"patient", _ID), (b"employee", _ID), (b"student", _ID),
    (b"insurance", _ID), (b" nhs", _ID), (b" dni", _ID), (b" nif", _ID), (b" cpf", _ID), (b" visa", _ID),
    (b"account", _ACCOUNT), (b" acct", _ACCOUNT), (b"konto", _ACCOUNT), (b" compte", _ACCOUNT),
    (b" conto", _ACCOUNT), (b" cuenta", _ACCOUNT), (b"rekening", _ACCOUNT), (b"routing", _ACCOUNT),
    (b"sort code", _ACCOUNT), (b"swift", _ACCOUNT), (b" bic", _ACCOUNT), (b"iban", _ACCOUNT),
    (b" cvv", _SECRET), (b" cvc", _SECRET), (b" pin", _SECRET), (b"security code", _SECRET),
    (b"passcode", _SECRET), (b" otp", _SECRET), (b"verification code", _SECRET),
    (b"birth", _BIRTH), (b" born", _BIRTH), (b" dob", _BIRTH), (b"geboren", _BIRTH), (b"geburt", _BIRTH),
    (b"naissance", _BIRTH), (b"nacimiento", _BIRTH), (b"nacid", _BIRTH), (b"nascita", _BIRTH), (b" nato ", _BIRTH),
    (b" nata ", _BIRTH),
)  # fmt: skip

_FILLER: Final = (
    r"(?:no|nr|num|number|numbers|nummer|numero|num\wro|n|id|identity|identification|code|card|is|was|are|of|for|it|its"
    r"|his|her|my|your|our|their|the|a|holder|and|on|at|in|security|licen[cs]e|driver'?s?|driving|plate|account|record"
    r"|date|birth|reads|with|ending|as|to|following|new|old|current|registered|value|s|under|file|bank|tax|insurance"
    r"|policy|member|patient|employee|student|der|die|das|ist|lautet|le|la|du|de|est|il|el|es|op|am|den|born)"
)
_GAP: Final = re.compile(
    rf"[a-z'\u2019]{{0,14}}(?:[\s:#=.,?()\"'*_|\-]{{1,4}}{_FILLER}(?![0-9A-Za-z])){{0,6}}[\s:#=?\"'(*_|.°\-\[]{{1,6}}",
    re.IGNORECASE,
)
_IDENTIFIER: Final = re.compile(
    r"[0-9A-Za-z][0-9A-Za-z.\-/*]{2,30}(?:[ ][0-9A-Za-z.\-/]{0,12}\d[0-9A-Za-z.\-/]{0,12}){0,5}"
)
_BANK_CODE: Final = re.compile(r"[A-Z]{6}[0-9A-Z]{2}(?:[0-9A-Z]{3})?\b")
_SHORT_CODE: Final = re.compile(r"\d{3,8}(?!\d)")
_MONTH: Final = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|janv|f\wv|mars|avr|mai|juin|juil|ao\wt|d\wc|m\wrz|okt|dez"
    r"|gen|mag|giu|lug|ago|set|ott|dic|ene|abr|mei|mrt)[a-zéûäç]{0,9}\.?"
)
_BIRTH_DATE: Final = re.compile(
    rf"\d{{1,4}}[/.\-]\d{{1,2}}[/.\-]\d{{1,4}}(?:T[\d:.]{{5,16}}Z?)?"
    rf"|\d{{1,2}}(?:st|nd|rd|th|er|\.)?\s(?:of\s|de\s)?{_MONTH},?\s(?:de\s)?\d{{2,4}}"
    rf"|{_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?,?\s\d{{2,4}}|{_MONTH},?\s\d{{4}}|\d{{8}}\b|(?:19|20)\d\d\b",
    re.IGNORECASE,
)
_DIGIT: Final = re.compile(r"\d")

_SPOKEN_STEMS: Final = ((b"passw", _SECRET), (b" pwd", _SECRET), (b"passphrase", _SECRET), (b"secret", _SECRET),
                        (b"user name", _USER), (b"username", _USER), (b"passcode", _SECRET))  # fmt: skip
_SAID: Final = (
    r"(?:[ \"']{1,2}(?!is\b|was\b|as\b)[a-z']{1,12}){0,5}?[ \"']{0,2}(?::|=|\bis\b:?|\bwas\b|\bas\b|\bto\b)"
    r"\s{0,3}[\"'`(\[]{0,2}(\S{3,64})"
)
# With a sign right behind it `password` is the name of a field, and `labelled.py` has read it.
_SPOKEN: Final = {
    _SECRET: re.compile(r"[a-z]{0,8}(?![a-z]|\s?[:=])" + _SAID, re.IGNORECASE),
    _USER: re.compile(r"[a-z]{0,8}(?![a-z])" + _SAID, re.IGNORECASE),
}
_EDGE: Final = ".,;:!?\"'`)]}>"
_QUOTING: Final = ".,;\"'`)]}>"
_MARKED: Final = re.compile(r"[0-9]|[^\w'\u2019.\-]|[a-z][A-Z]")


def find_in_context(text: str, lowered: bytes, start: int, end: int) -> Iterator[Span]:
    """Yield numbers and dates that follow a word which says what they are."""
    # A label may open the text: the space in front of it is supplied.
    window = b" " + lowered[start:end]
    for stem, kind in _STEMS:
        at = window.find(stem)
        while at >= 0:
            resume = at + len(stem)
            gap = _GAP.match(text, start + resume - 1)
            if gap:
                # Labels inside the gap lead to the same value: looking at each again would be quadratic.
                resume = max(resume, gap.end() - start + 1 - len(stem))
                span = _after_label(text, gap.end(), kind)
                if span is not None:
                    yield span
            at = window.find(stem, resume)


def _after_label(text: str, at: int, kind: str) -> Span | None:
    if kind is _BIRTH:
        date = _BIRTH_DATE.match(text, at)
        return Span(at, date.end(), kind) if date else None
    if kind is _SECRET:
        code = _SHORT_CODE.match(text, at)
        return Span(at, code.end(), kind) if code else None
    if kind is _ACCOUNT and (bank := _BANK_CODE.match(text, at)):
        return Span(at, bank.end(), kind)
    found = _IDENTIFIER.match(text, at)
    if found is None:
        return None
    value = found.group().rstrip(".-/*")
    if len(_DIGIT.findall(value)) < (3 if len(value) > 4 else 4):
        return None
    return Span(at, at + len(value), kind)


def find_spoken_secrets(text: str, lowered: bytes) -> Iterator[Span]:
    """Yield passwords and user names given in a sentence: `my password is hunter2`."""
    padded = b" " + lowered
    for stem, kind in _SPOKEN_STEMS:
        at = padded.find(stem)
        while at >= 0:
            resume = at + len(stem)
            found = _SPOKEN[kind].match(text, resume - 1)
            if found:
                resume = max(resume, found.start(1) + 1)
                span = _spoken(found, kind)
                if span is not None:
                    yield span
            at = padded.find(stem, resume)


def _spoken(found: re.Match[str], kind: str) -> Span | None:
    written = found.group(1)
    if written.startswith("<"):
        return None
    value = written.rstrip(_EDGE if kind is _USER else _QUOTING) or written
    # `my password is wrong` is not one, `is hunter2` and `is 'wrong'` are.
    if _MARKED.search(value.rstrip(_EDGE)) is None and written[-1] not in "\"'`":
        return None
    return Span(found.start(1), found.start(1) + len(value), kind)


# Identifiers whose letters give them away without a label.
# Source: the issuing states' format descriptions, as collected in the European Council's PRADO register.
_NATIONAL: Final = re.compile(
    r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]"  # United Kingdom, national insurance
    r"|\d{8}[A-HJ-NP-TV-Z]|[XYZ]\d{7}[A-HJ-NP-TV-Z]"  # Spain, DNI and NIE
    r"|[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]"  # Italy, codice fiscale
    r"|[A-Z]{5}\d{4}[A-Z]"  # India, PAN
    r"|[A-Z]{4}\d{6}[HM][A-Z]{5}[0-9A-Z]\d"  # Mexico, CURP
    r"|[STFGM]\d{7}[A-Z]"  # Singapore, NRIC
    r"|[A-Z]{5}\d{6}[A-Z9]{2}[0-9A-Z]{3}"  # United Kingdom, driving licence
    r"|[12]\d{4}2[AB]\d{8}"  # France, NIR of Corsica
    r"|\d{17}X"  # China, resident identity card
)
_CAPITALS: Final = re.compile(r"[0-9A-Z]{9,18}+")
_VEHICLE: Final = re.compile(r"(?=[0-9]*[A-Z])[0-9A-HJ-NPR-Z]{13}[0-9A-HJ-NPR-Z]?\d{3,4}")
_SPACED_NINO: Final = re.compile(
    r"(?<![0-9A-Za-z])[A-CEGHJ-PR-TW-Z]{2} \d{2} ?\d{2} ?\d{2} ?[A-D](?![0-9A-Za-z])"
)
_FINNISH: Final = re.compile(r"(?<![0-9A-Za-z])[0-3]\d[01]\d{3}[-+A]\d{3}[0-9A-Y](?![0-9A-Za-z])")


def find_national_ids(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield national identifiers and vehicle numbers that mix capitals and digits in a known way."""
    for word in _CAPITALS.finditer(text, start, end):
        value = word.group()
        if (
            value.isdigit()
            or text[word.start() - 1 : word.start()].isalnum()
            or text[word.end() : word.end() + 1].isalnum()
        ):
            continue
        if _NATIONAL.fullmatch(value) or (len(value) == 17 and _VEHICLE.fullmatch(value)):
            yield Span(word.start(), word.end(), _ID)
    for pattern in (_SPACED_NINO, _FINNISH):
        for found in pattern.finditer(text, start, end):
            yield Span(found.start(), found.end(), _ID)
