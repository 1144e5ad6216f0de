"""The two sets of rules, and the cheap tests that decide which of them have to run.

Almost every text that passes here holds nothing. So each family of rules stands behind a test that costs a
scan by the C library and cannot miss: no `@`, no e-mail; no seven digits in any grouping, no phone; no run of
sixteen key characters, no key. The patterns behind the tests are bounded, and each either takes what it has
scanned or has scanned little, so that the work is linear in the text whatever the text is.
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Final, Literal

from resilient_ai.privacy import contact, context, keys, labelled, national, numbers, spoken
from resilient_ai.privacy.normalise import decoded
from resilient_ai.privacy.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

Profile = Literal["text", "machine"]

# No rule finds anything in fewer characters: `a@b.cc`.
SHORTEST_TEXT: Final = 5

_SEPARATORS: Final = b" \t().-/+"
_KEY_CHARACTERS: Final = (string.ascii_letters + string.digits + "_-.~+/=:%$!").encode()
# Texts are searched as maps of themselves: digits as zeros, key characters as w, everything else as blanks.
_DIGIT_MAP: Final = bytes(
    0x30 if 0x30 <= code <= 0x39 else code if code in b".:" else 0x20 for code in range(256)
)
_RUN_MAP: Final = bytes(0x77 if code in _KEY_CHARACTERS else 0x20 for code in range(256))
_SEVEN_DIGITS: Final = b"0" * numbers.FEWEST_DIGITS
_KEY_RUN: Final = b"w" * keys.SHORTEST_RUN
# Repeated as a literal, so that the search for it is one for a string.
_KEY_RUNS: Final = re.compile(_KEY_RUN + b"w*")

# Rules about numbers look only at the neighbourhood of digits: this far back for the words that explain them,
# this far on for the letters that end them.
_WORDS_BACK: Final = 112
_LETTERS_ON: Final = 40
_DIGIT_REGIONS: Final = re.compile(rb"0(?:[^0]{0,%d}+0)*+" % (_WORDS_BACK + _LETTERS_ON))


def find(text: str, profile: Profile) -> list[Span]:
    """Return what the rules of `profile` find in `text`: unordered, and overlapping where rules agree."""
    if len(text) < SHORTEST_TEXT:
        return []
    rules = _in_prose if profile == "text" else _in_logs
    if text.isascii() and "%" not in text and "\\" not in text and "&" not in text:
        return list(rules(text))
    copy = decoded(text)
    if copy is None:
        return list(rules(text))
    # The decoded copy shows more, but decoding may also have broken what stood there in the clear.
    spans = [] if copy.faithful else list(rules(text))
    spans.extend(Span(*copy.original(start, end), kind) for start, end, kind in rules(copy.text))
    return spans


def _in_logs(text: str) -> Iterator[Span]:
    raw = text.encode("latin-1", "replace")
    lowered = raw.lower()
    if "@" in text:
        logins = list(contact.find_userinfo(text)) if "://" in text else []
        yield from logins
        yield from contact.find_email(text, logins=logins, units=False)
    if ":" in text or "=" in text or "--" in text or "</" in text:
        yield from labelled.find_labelled(text, lowered)
    if "-----BEGIN" in text:
        yield from keys.find_private_keys(text)
    if "curl" in text or "netrc" in text or "machine " in text:
        yield from contact.find_command_line_logins(text)
    if "Private-Lines:" in text:
        yield from keys.find_putty_keys(text)
    runs = raw.translate(_RUN_MAP)
    if _KEY_RUN in runs:
        if b"earer" in lowered:
            yield from keys.find_bearer_tokens(text)
        for run in _KEY_RUNS.finditer(runs):
            yield from keys.find_published(text, run.start(), run.end())
            yield from keys.find_crypto_addresses(text, run.start(), run.end(), verified=True)
    digits = raw.translate(_DIGIT_MAP)
    if b"0" not in digits or _SEVEN_DIGITS not in raw.translate(_DIGIT_MAP, _SEPARATORS):
        return
    for region in _DIGIT_REGIONS.finditer(digits):
        start, end = max(0, region.start() - _WORDS_BACK), min(len(text), region.end() + _LETTERS_ON)
        if _SEVEN_DIGITS in digits[start:end].translate(None, b" .:"):
            yield from numbers.find_numbers_in_logs(text, lowered, start, end)
            yield from numbers.find_ibans(text, start, end, verified=True)


def _in_prose(text: str) -> Iterator[Span]:
    raw = text.encode("latin-1", "replace")
    lowered = raw.lower()
    if "@" in text:
        logins = list(contact.find_userinfo(text)) if "://" in text else []
        yield from logins
        yield from contact.find_email(text, logins=logins, units=True)
    if b"dot" in lowered or b"(at)" in lowered or b"[at]" in lowered:
        yield from contact.find_spelled_email(text)
    if ":" in text or "=" in text or "--" in text or "</" in text:
        yield from labelled.find_labelled(text, lowered)
    yield from spoken.find_spoken(text, lowered)
    if "-----BEGIN" in text:
        yield from keys.find_private_keys(text)
    if "curl" in text or "netrc" in text or "machine " in text:
        yield from contact.find_command_line_logins(text)
    if "Private-Lines:" in text:
        yield from keys.find_putty_keys(text)
    runs = raw.translate(_RUN_MAP)
    if _KEY_RUN in runs:
        if b"earer" in lowered:
            yield from keys.find_bearer_tokens(text)
        for run in _KEY_RUNS.finditer(runs):
            yield from keys.find_published(text, run.start(), run.end())
            yield from keys.find_unpublished(text, run.start(), run.end())
            yield from keys.find_crypto_addresses(text, run.start(), run.end(), verified=False)
    digits = raw.translate(_DIGIT_MAP)
    if b"0" not in digits:
        return
    words = context.words_of(lowered)
    for region in _DIGIT_REGIONS.finditer(digits):
        start, end = max(0, region.start() - _WORDS_BACK), min(len(text), region.end() + _LETTERS_ON)
        yield from _around_digits(text, raw[start:end], digits[start:end], start)
        yield from context.find_in_context(text, words, start, end)


def _around_digits(text: str, raw: bytes, digits: bytes, start: int) -> Iterator[Span]:
    """Apply the rules for what contains digits to the region of `text` that is `raw`; `digits` is its map."""
    end = start + len(raw)
    if b"0.0" in digits:
        if digits.count(b".") >= 3:
            yield from contact.find_ipv4(text, digits, start)
        if b".000" in digits:
            yield from contact.find_coordinates(text, start, end)
    if digits.count(b":") >= 2 or digits.count(b".") >= 2 or raw.count(b"-") >= 5:
        yield from contact.find_hexadecimal_addresses(text, raw, start)
    yield from national.find_national_ids(text, raw, digits, start)
    if _SEVEN_DIGITS in digits.translate(None, b" .:"):
        yield from numbers.find_numbers_in_prose(text, raw, start)
        yield from numbers.find_ibans(text, start, end, verified=False)
