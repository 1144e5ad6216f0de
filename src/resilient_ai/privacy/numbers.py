"""Finds numbers that stand for a person: cards, phones, social security numbers, bank accounts.

Two rules, one for each profile. In prose every cluster of seven digits or more is suspect and has to look
like a date, an amount or a list to stay. In logs such clusters are everywhere, and one has to prove itself:
by a check sum, by the plus sign in front of it, or by the word beside it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from resilient_ai.privacy.checksums import IBAN_LENGTHS, iban, known_issuer, luhn, social_security
from resilient_ai.privacy.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

# The prefilter of both profiles. Source: seven digits are the shortest subscriber number with an exchange.
FEWEST_DIGITS: Final = 7
# ITU-T E.164 allows 15; a national prefix, an international prefix and an extension come on top.
_MOST_PHONE_DIGITS: Final = 15
_FEWEST_PHONE_DIGITS: Final = 7
# Longer clusters are tables of numbers.
_LONGEST_CLUSTER: Final = 40

CARD: Final = "CARD"
PHONE: Final = "PHONE"
SSN: Final = "SSN"
IBAN: Final = "IBAN"
NUMBER: Final = "NUMBER"

_CLUSTER: Final = re.compile(r"[+(]{0,2}\d(?:[ \t().\-/+]{0,3}\d){6,}+")
# The prefilter: digits as 0, what may stand between them as -, everything else as blanks.
_CLUSTER_MAP: Final = bytes(
    0x30 if chr(code) in "0123456789" else 0x2D if chr(code) in " \t().-/+" else 0x20 for code in range(256)
)
_CLUSTER_RUNS: Final = re.compile(rb"-{0,2}0[0\-]*")
DATE: Final = re.compile(
    r"(?<!\d)(?:(?:1[89]|20)\d\d([\-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])([\-/.])(?:0?[1-9]|[12]\d|3[01])\2(?:(?:1[89]|20)\d\d|\d\d)"
    r"|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))(?!\d|[\-/.+]\d)"
)
_YEARS: Final = re.compile(r"(?:1[5-9]|20|21)\d\d ?[-/] ?(?:1[5-9]|20|21)\d\d")
_TIMES: Final = re.compile(r"(?:[01]?\d|2[0-4])\.[0-5]\d ?- ?(?:[01]?\d|2[0-4])\.[0-5]\d")
# `21 234 347` is a phone in Eastern Europe and the Americas, `1 234 567` is one nowhere.
_GROUPED: Final = re.compile(r"\d(?: \d{3}){2,}|\d{1,3}(?:\.\d{3}){2,}")
_THOUSANDS: Final = re.compile(r"\d{1,3}(?: \d{3}){2,}")
_DECIMAL: Final = re.compile(r"(?:0|[1-9]\d{0,2})\.\d{5,}|[1-9]\d{3,11}\.\d{1,4}")
# `030/1234567` is a phone, `7568/10000` a share.
_RATIO: Final = re.compile(r"[1-9]\d{0,8} ?/ ?\d+")
_SECTION: Final = re.compile(r"\d{1,2}(?:\.\d{1,2}){1,4}\.? (?:1[89]|20)\d\d")
_BOOK: Final = re.compile(r"isbn\W{0,4}$", re.IGNORECASE)
_LONGEST_DIGEST: Final = 128
_HEX_RUN: Final = re.compile(rf"[0-9a-fA-F\-]{{1,{_LONGEST_DIGEST}}}(?![0-9A-Za-z])")
DIGEST: Final = re.compile(
    r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?=[0-9]{0,32}[a-fA-F])(?:[0-9a-f]{16,}|[0-9A-F]{16,})"
)
_VERSION: Final = re.compile(r"\d{1,3}(?:\.\d{1,4}){2,}")
_DIGITS: Final = re.compile(r"\d+")
_NORTH_AMERICAN: Final = re.compile(r"(?:1[ .\-/]?)?\(?[2-9]\d\d\)?[ .\-/]{0,2}\d{3}[ .\-/]?\d{4}")
_SSN: Final = re.compile(r"(\d{3})[ .\-]?(\d{2})[ .\-]?(\d{4})")
_EXTENSION: Final = re.compile(r"[ ,]{0,2}(?:x|ext\.?|extension|#)[ .:]?\d{1,6}(?!\d)", re.IGNORECASE)
_CURRENCY_BEFORE: Final = re.compile(
    r"(?:[$€£¥₹]|\b(?:USD|EUR|GBP|CHF|JPY|INR|CAD|AUD|Rs)\.?) ?$", re.IGNORECASE
)
UNIT_AFTER: Final = re.compile(
    r" ?(?:%|[$€£¥₹]|(?:USD|EUR|GBP|CHF|JPY|INR|euros?|dollars?|pounds?|bytes|[kmgt]i?b|ms|km|kg|seconds|people"
    r"|inhabitants|users|million|billion|tokens|rows)\b)",
    re.IGNORECASE,
)
_PHONE_WORD: Final = re.compile(
    r"phone|tele?f|\btel\b|mobi|\bcell|\bfax|whatsapp|\bcall\b|\bsms\b|\btext\b|contact|\bdial|\bring\b|reach|handy|rufnummer"
    r"|téléphone|portable|número|numero|nummer|hotline|helpline",
    re.IGNORECASE,
)
_WORDS_BACK: Final = 48

# Country calling codes, by their number of digits. Source: ITU-T E.164 list of assigned codes.
_ONE_DIGIT_CODES: Final = frozenset("17")
_TWO_DIGIT_CODES: Final = frozenset(
    {
        "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48",
        "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81",
        "82", "84", "86", "90", "91", "92", "93", "94", "95", "98",
    }
)  # fmt: skip

# These begin with the digit and look behind it second: the search for a digit is one in C.
_BARE_CARD: Final = re.compile(r"\d(?<![\w.+\-/:]\d)\d{12,18}(?![\w\-/:]|\.\d)")
_SPACED_CARD: Final = re.compile(
    r"\d(?<![\w.+\-/:]\d)\d{3}(?:([ \-.])\d{4}\1\d{4}\1\d{1,7}|([ \-.])\d{6}\2\d{4,5})(?![\w\-/:]|\.\d)"
)
_DASHED_SSN: Final = re.compile(r"(\d(?<![\w.\-/:]\d)\d{2})-(\d{2})-(\d{4})(?![\w\-/:]|\.\d)")
_PLUS_PHONE: Final = re.compile(r"\+(?<![\w+.\-]\+)\(?\d(?:[ ().\-]{0,2}\d){7,14}+(?![\w+]|[.\-]\d)")
# `offset=+9791228887`
_DIFFERENCE: Final = re.compile(
    r"(?:offset|delta|diff|skew|drift|shift|adjust\w{0,4}|change|step)[\"']?\s?[:=]?\s?$", re.IGNORECASE
)
_NAMED_PHONE: Final = re.compile(
    r"(?:(?:tele|cell ?|mobile ?)?phone|\bmobile|\btel|\bmsisdn|\bfax|\bwhatsapp|\bcell)(?:[ _\-]?(?:number|no|nr|num))?\.?"
    r"[\"'\\]{0,3}(?:\s{0,2}[:=]\s{0,2}|\s{1,2}(?:is |was |at )?)[\"'\\]{0,3}"
    r"(\+?\(?\d(?:[ ().\-/]{0,2}\d){6,14}+)(?![\w]|[.\-:]\d)",
    re.IGNORECASE,
)
_PHONE_STEMS: Final = (b"phone", b"mobile", b"tel", b"msisdn", b"fax", b"whatsapp", b"cell")
_SSN_WORD: Final = re.compile(r"ssn|social.{0,10}security", re.IGNORECASE)
_CARD_WORD: Final = re.compile(r"card|\bpan\b|visa|master|amex|\bcc\b", re.IGNORECASE)
_NAMED_SSN: Final = re.compile(
    r"(?:ssn|social security(?: number)?)\W{1,4}(?:is )?(\d{3})[ .\-]?(\d{2})[ .\-]?(\d{4})\b", re.IGNORECASE
)

_IBAN_START: Final = re.compile(r"[A-Za-z]{2}[ ]?\d{2}(?=[ .\-]?[0-9A-Za-z]{2})")
_IBAN_CAPITALS: Final = re.compile(r"[A-Z]{2}\d{2}(?=[ \-]?[0-9A-Z]{2})")
# Fours with one sign between them, or one piece.
_IBAN_WHOLE: Final = re.compile(
    r"[A-Za-z]{2}\d{2}(?:[0-9A-Za-z]{10,30}+|(?:[ .\-][0-9A-Za-z]{4}){2,7}(?:[ .\-][0-9A-Za-z]{1,3})?)(?![0-9A-Za-z]|-[0-9A-Za-z])"
)
_GROUP: Final = re.compile(r"[0-9A-Za-z]+")
_MOST_WORDS_AFTER: Final = 4
_SHORTEST_IBAN: Final = 14
_LONGEST_IBAN: Final = 34


def find_numbers_in_prose(text: str, raw: bytes, begin: int) -> Iterator[Span]:
    """Yield every cluster of seven digits or more that is not evidently a date, an amount or a list.

    Args:
        text: The text.
        raw: The region of it to look at, in Latin-1.
        begin: Where the region begins.
    """
    for run in _CLUSTER_RUNS.finditer(raw.translate(_CLUSTER_MAP)):
        if run.group().count(b"0") >= FEWEST_DIGITS:
            yield from _in_run(text, begin + run.start(), begin + run.end())


def _in_run(text: str, begin: int, stop: int) -> Iterator[Span]:
    for cluster in _CLUSTER.finditer(text, begin, stop):
        start, end = cluster.span()
        if end - start > _LONGEST_CLUSTER * 2:
            yield from _judge_table(text, start, end)
            continue
        taken = start
        for date in DATE.finditer(text, start, end):
            yield from _judge_cluster(text, taken, date.start())
            taken = date.end()
        yield from _judge_cluster(text, taken, end)


def _judge_table(text: str, start: int, end: int) -> Iterator[Span]:
    """Judge a long run of numbers as one: what it hides is not worth looking at every window of it."""
    groups = _DIGITS.findall(text, start, end)
    if sum(map(len, groups)) > len(groups) * 2:
        yield Span(start, end, NUMBER)


def _judge_cluster(text: str, start: int, end: int) -> Iterator[Span]:
    while start < end and not (text[start].isdigit() or text[start] in "+("):
        start += 1
    while end > start and not text[end - 1].isdigit():
        end -= 1
    body = text[start:end]
    groups = _DIGITS.findall(body)
    digits = "".join(groups)
    if len(digits) < FEWEST_DIGITS:
        return
    kind = _kind(text, start, end, body, groups, digits)
    if kind is None:
        return
    if end < len(text) and text[end] == ")" and body.count("(") > body.count(")"):
        end += 1
    if kind is PHONE and (extension := _EXTENSION.match(text, end)):
        end = extension.end()
    yield Span(start, end, kind)


def _named(text: str, start: int) -> bool:
    """Report whether a word before `start` says that a phone number follows."""
    return _PHONE_WORD.search(text, max(0, start - _WORDS_BACK), start) is not None


def _bracketed(body: str) -> bool:
    """Report whether brackets stand where they do in phone numbers: around the area code."""
    at = body.find("(")
    return (
        at >= 0
        and body.count("(") <= body.count(")") + 1
        and (body[0] in "+(0" or sum(map(str.isdigit, body[:at])) <= 3)
    )


def _hexadecimal(text: str, start: int, end: int) -> bool:
    """Report whether the cluster is a piece of a UUID, a digest or a literal such as `0x55555555`."""
    if text[max(0, start - 2) : start].lower() == "0x":
        return True
    if not (
        text[start - 1 : start].isalpha() or text[end : end + 1].isalpha() or text[start - 1 : start] == "-"
    ):
        return False
    low = max(0, start - _LONGEST_DIGEST)
    before = _HEX_RUN.match(text[low:start][::-1])
    after = _HEX_RUN.match(text, end)
    begin = start - (before.end() if before else 0)
    whole = text[begin : after.end() if after else end]
    return DIGEST.fullmatch(whole) is not None


def _kind(text: str, start: int, end: int, body: str, groups: list[str], digits: str) -> str | None:
    """Return the kind of the cluster, or None if it is an ordinary number."""
    count = len(digits)
    if (_DECIMAL.fullmatch(body) and not _named(text, start)) or _hexadecimal(text, start, end):
        return None
    if 12 <= count <= 19 and luhn(digits) and known_issuer(digits):
        return CARD
    if (social := _SSN.fullmatch(body)) and len(groups) == 3 and social_security(*social.groups()):
        return SSN
    if (
        "+" in body
        or digits.startswith("00")
        or (_bracketed(body) and not _YEARS.fullmatch(body.strip("()")))
    ):
        return PHONE if count <= _MOST_PHONE_DIGITS + 4 else NUMBER
    if _ordinary(text, start, end, body, groups):
        return None
    longest = max(map(len, groups))
    if longest == count:
        if count == FEWEST_DIGITS and not _named(text, start):
            return None
        return PHONE if count in {10, 11} and _NORTH_AMERICAN.fullmatch(digits) else NUMBER
    if count > _MOST_PHONE_DIGITS:
        return NUMBER
    if longest <= 2 and not (digits[0] == "0" and len(groups) >= 4):
        return (
            PHONE
            if _named(text, start) or (longest == 2 and len(groups) >= 4 and len(set(map(len, groups))) == 1)
            else None
        )
    return PHONE


def _ordinary(text: str, start: int, end: int, body: str, groups: list[str]) -> bool:
    """Report whether the cluster is a span of years, an amount, a decimal or a version."""
    if len(groups) == 1:
        return bool(_CURRENCY_BEFORE.search(text, max(0, start - 6), start) or UNIT_AFTER.match(text, end))
    if _YEARS.fullmatch(body) or _TIMES.fullmatch(body):
        return True
    if (_RATIO.fullmatch(body) and not _named(text, start)) or _SECTION.fullmatch(body) or "(" in body:
        return True
    if _BOOK.search(text, max(0, start - 10), start):
        return True
    amount = _GROUPED.fullmatch(body)
    if amount or _VERSION.fullmatch(body):
        return not (_NORTH_AMERICAN.fullmatch(body) or body[0] == "0" or _named(text, start))
    return bool(
        _CURRENCY_BEFORE.search(text, max(0, start - 6), start)
        or (_THOUSANDS.fullmatch(body) and UNIT_AFTER.match(text, end))
    )


def find_numbers_in_logs(text: str, lowered: bytes, start: int, end: int) -> Iterator[Span]:
    """Yield cards, social security numbers and phones that prove what they are."""
    for pattern in (_BARE_CARD, _SPACED_CARD):
        for found in pattern.finditer(text, start, end):
            digits = "".join(_DIGITS.findall(found.group()))
            if (
                len(digits) <= 19
                and luhn(digits)
                and (
                    known_issuer(digits) or _CARD_WORD.search(text, max(0, found.start() - 24), found.start())
                )
            ):
                yield Span(found.start(), found.end(), CARD)
    for found in _DASHED_SSN.finditer(text, start, end):
        if social_security(*found.groups()):
            yield Span(found.start(), found.end(), SSN)
    words = lowered[start:end]
    if b"ssn" in words or b"social" in words:
        for found in _NAMED_SSN.finditer(text, start, end):
            yield Span(found.start(1), found.end(3), SSN)
    if b"+" in words:
        for found in _PLUS_PHONE.finditer(text, start, end):
            moved = _DIFFERENCE.search(text, max(0, found.start() - _WORDS_BACK), found.start())
            if not moved and _dialable("".join(_DIGITS.findall(found.group()))):
                yield Span(found.start(), found.end(), PHONE)
    if any(map(words.__contains__, _PHONE_STEMS)):
        for found in _NAMED_PHONE.finditer(text, start, end):
            if not DATE.fullmatch(found.group(1)):
                yield Span(found.start(1), found.end(1), PHONE)


def _dialable(digits: str) -> bool:
    """Report whether `digits` begin with an assigned calling code and are as long as its numbers are."""
    if digits[0] == "1":
        return len(digits) == 11 and digits[1] in "23456789" and digits[4] in "23456789"
    if digits[0] == "7":
        return len(digits) == 11
    if digits[:2] in _TWO_DIGIT_CODES:
        return 9 <= len(digits) <= _MOST_PHONE_DIGITS
    return digits[0] in "2345689" and 9 <= len(digits) <= _MOST_PHONE_DIGITS


def find_ibans(text: str, begin: int, stop: int, *, verified: bool) -> Iterator[Span]:
    """Yield international bank account numbers, in one piece or in groups.

    With `verified` the country has to be known, the check digits have to be right and the number has to stand
    alone; otherwise right check digits, or a known country with the length of its numbers, are enough.
    """
    taken = judged = 0
    for found in (_IBAN_CAPITALS if verified else _IBAN_START).finditer(text, begin, stop):
        start = found.start()
        if start < taken:
            continue
        glued = start > 0 and text[start - 1].isalnum()
        if glued and (verified or text[max(0, start - 4) : start].lower() != "iban"):
            continue
        end = _end_of_iban(text, found, verified=verified)
        if end is None and not verified and start >= judged and (whole := _IBAN_WHOLE.match(text, start)):
            # What is in these groups was judged: judging it again from each of them would cost too much.
            judged = whole.end()
            end = _end_of_foreign_iban(text, start, judged)
        if end is not None:
            taken = end
            yield Span(start, end, IBAN)


def _end_of_iban(text: str, found: re.Match[str], *, verified: bool) -> int | None:
    """Return where the number of a known country ends that begins with `found`."""
    head = _plain(found.group())
    length = IBAN_LENGTHS.get(head[:2])
    body = _iban_body(length - len(head)).match(text, found.end()) if length else None
    if body is None:
        return None
    number = head + _plain(body.group())
    end = body.end()
    alone = end == len(text) or not text[end].isalnum()
    dominated = not verified and _digits_dominate(number)
    if alone and dominated:
        return end
    return end if (alone or dominated) and iban(number) else None


def _plain(written: str) -> str:
    """Return an account number in capitals and without the signs between its groups."""
    return written.replace(" ", "").replace("-", "").replace(".", "").upper()


@cache
def _iban_body(length: int) -> re.Pattern[str]:
    return re.compile(rf"(?:[ .\-]{{0,2}}[0-9A-Za-z]){{{length}}}")


def _end_of_foreign_iban(text: str, start: int, stop: int) -> int | None:
    """Return where in `text[start:stop]` a number ends whose check digits are right, whatever its country."""
    # Words of four letters may follow: they look like a group.
    ends = [border.end() for border in _GROUP.finditer(text, start, stop)][-_MOST_WORDS_AFTER:]
    for end in reversed(ends):
        number = _plain(text[start:end])
        if _SHORTEST_IBAN <= len(number) <= _LONGEST_IBAN and iban(number):
            return end
    return None


def _digits_dominate(number: str) -> bool:
    return sum(map(str.isdigit, number)) * 2 >= len(number)
