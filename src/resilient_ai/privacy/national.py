"""Finds national identifiers and vehicle numbers that mix capitals and digits in a way that gives them away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from resilient_ai.privacy.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

_ID: Final = "ID_NUMBER"

# Source: the issuing states' format descriptions, as collected in the European Council's PRADO register and in the
# OECD's collection of tax identification numbers.
_NATIONAL: Final = re.compile(
    r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]"  # United Kingdom, national insurance
    r"|\d{8}[A-HJ-NP-TV-Z]|[XYZ]\d{7}[A-HJ-NP-TV-Z]"  # Spain, DNI and NIE
    r"|[A-HJNP-SUVW]\d{7}[0-9A-J]"  # Spain, NIF of companies
    r"|[A-Z]{6}[\dLMNP-V]{2}[A-EHLMPRST][\dLMNP-V]{2}[A-Z][\dLMNP-V]{3}[A-Z]"  # Italy, codice fiscale
    r"|[A-Z]{5}\d{4}[A-Z]"  # India, PAN
    r"|[A-Z]{3}\d{7}"  # India, voter's card
    r"|[A-Z]{4}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d"  # Mexico, CURP
    r"|[A-ZÑ&]{3,4}\d{6}[0-9A-Z]{3}"  # Mexico, RFC
    r"|[STFGM]\d{7}[A-Z]"  # Singapore, NRIC
    r"|\d{7}[A-W][AB]?"  # Ireland, PPS
    r"|[A-Z]{5}\d{6}[A-Z9]{2}[0-9A-Z]{3}"  # United Kingdom, driving licence
    r"|[12]\d{4}2[AB]\d{8}"  # France, NIR of Corsica
    r"|\d{17}X"  # China, resident identity card
    r"|[A-Z]\d{9}|[A-Z]\d{8}"  # Taiwan, identity card; passports and licences of many states
    r"|[CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{8}\d?D?"  # Germany, identity card and passport
    r"|(?:ATU|DE|DK|EL|FI|FR|HU|IT|LU|MT|PL|PT|RO|SE|SI|SK|CZ|EE|HR|LT|LV|BE|BG|GB|XI|EU|CHE|ESX?)[0-9A-Z]{0,2}\d{7,12}[A-Z]?"  # value added tax
)
_VEHICLE: Final = re.compile(
    r"(?=[0-9]{0,16}[A-Z])(?=[A-Z]{0,16}[0-9])[0-9A-HJ-NPR-Z]{12,13}[0-9A-HJ-NPR-Z]?\d{3,4}"
)
_VEHICLE_LENGTH: Final = 17
_SPACED: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:[A-CEGHJ-PR-TW-Z]{2}[ \-]\d{2}[ \-]?\d{2}[ \-]?\d{2}[ \-]?[A-D]"  # United Kingdom, in groups
    r"|[0-3]\d[01]\d{3}[-+A-F]\d{3}[0-9A-Y]"  # Finland
    r"|[XYZxyz]-?\d{7}-?[A-Za-z]|\d{8}-[A-Z]|\d{2}\.\d{3}\.\d{3}-[A-Z]"  # Spain, in groups
    r"|756\.\d{4}\.\d{4}\.\d\d"  # Switzerland
    r")(?![0-9A-Za-z])"
)
# The prefilter: capitals and digits as w, everything else as blanks.
_CAPITALS_MAP: Final = bytes(
    0x77 if chr(code) in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" else 0x20 for code in range(256)
)
_SHORTEST: Final = 9
_LONGEST: Final = 18
_RUNS: Final = re.compile(b"w" * _SHORTEST + b"w*")
_FEWEST_DIGITS: Final = 3
# Digits of the grouped forms, as the map of digits in `detectors.py` has them.
_GROUPS: Final = (b"000000", b"00 00 00", b"00.000.000", b"000.0000.0000.00")
# How far the grouped forms reach beyond their digits, with the characters that may not follow.
_LETTERS_BEFORE: Final = 3
_AFTER_GROUP: Final = 8


def find_national_ids(text: str, raw: bytes, digits: bytes, start: int) -> Iterator[Span]:
    """Yield what stands in a region of `text`.

    Args:
        text: The text.
        raw: The region in Latin-1.
        digits: Its map of digits.
        start: Where it begins.
    """
    for run in _RUNS.finditer(raw.translate(_CAPITALS_MAP)):
        low, high = start + run.start(), start + run.end()
        if high - low > _LONGEST or text[low - 1 : low].isalnum() or text[high : high + 1].isalnum():
            continue
        value = text[low:high]
        if sum(map(str.isdigit, value)) < _FEWEST_DIGITS or value.isdigit():
            continue
        if _NATIONAL.fullmatch(value) or (len(value) == _VEHICLE_LENGTH and _VEHICLE.fullmatch(value)):
            yield Span(low, high, _ID)
    for group in _GROUPS:
        at = digits.find(group)
        while at >= 0:
            low, high = (
                start + max(0, at - _LETTERS_BEFORE),
                start + min(len(raw), at + len(group) + _AFTER_GROUP),
            )
            if found := _SPACED.search(text, low, high):
                yield Span(found.start(), found.end(), _ID)
            at = digits.find(group, at + len(group))
