"""The two sets of rules, and the cheap tests that decide which of them have to run.

Almost every text that passes here holds nothing. So each family of rules stands behind a test that costs a
scan by the C library and cannot miss: no `@`, no e-mail; no seven digits in any grouping, no phone; no run of
sixteen key characters, no key. The patterns behind the tests are bounded, and each either takes what it has
scanned or has scanned little, so that the work is linear in the text whatever the text is.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Final, Literal

from resilient_ai.privacy import contact, context, keys, labelled, numbers
from resilient_ai.privacy.normalise import decoded
from resilient_ai.privacy.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

Profile = Literal["text", "machine"]

# No rule finds anything in fewer characters: `a@b.cc`.
SHORTEST_TEXT: Final = 5

_SEPARATORS: Final = b" \t().-/+"
_KEY_CHARACTERS: Final = (string.ascii_letters + string.digits + "_-.~+/=:%$!").encode()
_AS_DIGITS: Final = bytes(0x30 if chr(code).isdigit() and code < 128 else 0x20 for code in range(256))
_AS_RUNS: Final = bytes(0x77 if code in _KEY_CHARACTERS else 0x20 for code in range(256))
_SEVEN_DIGITS: Final = b"0" * numbers.FEWEST_DIGITS
_THREE_DIGITS: Final = b"000"
_KEY_RUN: Final = b"w" * keys.SHORTEST_RUN


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
        yield from contact.find_email(text, spelled=False)
        if "://" in text:
            yield from contact.find_userinfo(text)
    if ":" in text or "=" in text or "--" in text:
        yield from labelled.find_labelled(text, lowered)
    if _KEY_RUN in raw.translate(_AS_RUNS):
        yield from keys.find_published(text)
        yield from keys.find_crypto_addresses(text, verified=True)
    if _SEVEN_DIGITS in raw.translate(_AS_DIGITS, _SEPARATORS):
        yield from numbers.find_numbers_in_logs(text, lowered)
        yield from numbers.find_ibans(text, verified=True)


def _in_prose(text: str) -> Iterator[Span]:
    raw = text.encode("latin-1", "replace")
    lowered = raw.lower()
    if "@" in text:
        yield from contact.find_email(text, spelled=True)
        if "://" in text:
            yield from contact.find_userinfo(text)
    if b"dot" in lowered or b"(at)" in lowered or b"[at]" in lowered:
        yield from contact.find_spelled_email(text)
    colons = text.count(":")
    if colons or "=" in text or "--" in text:
        yield from labelled.find_labelled(text, lowered)
        if colons > 1:
            yield from contact.find_colon_addresses(text)
    yield from context.find_spoken_secrets(text, lowered)
    if _KEY_RUN in raw.translate(_AS_RUNS):
        yield from keys.find_published(text)
        yield from keys.find_unpublished(text)
        yield from keys.find_crypto_addresses(text, verified=False)
    digits = raw.translate(_AS_DIGITS)
    if b"0" not in digits:
        return
    if "." in text and digits.count(b"0") > 3:
        yield from _dotted(text)
    grouped = raw.translate(_AS_DIGITS, _SEPARATORS)
    if _THREE_DIGITS in grouped or b"0" in digits:
        yield from context.find_in_context(text, lowered)
    if _SEVEN_DIGITS in grouped:
        yield from numbers.find_numbers_in_prose(text)
        yield from numbers.find_ibans(text, verified=False)
        yield from context.find_national_ids(text)


def _dotted(text: str) -> Iterator[Span]:
    if text.count(".") >= 3:
        yield from contact.find_ipv4(text)
    if text.count(".") >= 2:
        yield from contact.find_coordinates(text)
