"""A generator of sentences with labelled personal data, in the shapes of the public corpora."""

from __future__ import annotations

import random  # noqa: TID251 - a seeded sequence: the corpus is the same in every run
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import phonenumbers

from resilient_ai.privacy.checksums import IBAN_LENGTHS
from resilient_ai.privacy.key_shapes import INNER, SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable

_TEMPLATES = (
    "Please reach me at {} before noon.",
    "My new one is {}, the old one no longer works.",
    "{} is what I was told to use",
    "User: it's {}. Bot: thank you!",
    "contact={}&next=1",
    'He wrote "{}" on the form.',
    "Details ({}) are attached\nRegards",
    "\t- value: {}\n",
    "Is {} still right?",
    "Das ist {}; bitte bestätigen.",
)
_WORDS = (
    "ann",
    "bob.smith",
    "m_mueller",
    "j.o-doe",
    "x99",
    "caf3",
    "first.last",
    "o'neil",
    "info+tag",
    "ünal",
    "Sales",
)
_HOSTS = (
    "example.com",
    "mail.example.co.uk",
    "cuvox.de",
    "a-b.org",
    "x.io",
    "tss-yonder.com",
    "sub.dept.uni.edu",
    "exämple.fr",
)


class Sample(NamedTuple):
    """A text and the value planted in it."""

    text: str
    value: str
    kind: str


def email(rng: random.Random) -> str:
    return f"{rng.choice(_WORDS)}{rng.choice(('', str(rng.randrange(1000))))}@{rng.choice(_HOSTS)}"


def _check_digit(digits: str) -> str:
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 if position % 2 else 2)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def card_digits(rng: random.Random) -> str:
    prefix, length = rng.choice(
        (("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16), ("3528", 16), ("36", 14), ("62", 16), ("4", 13))
    )  # fmt: skip
    digits = prefix + "".join(rng.choice("0123456789") for _ in range(length - len(prefix) - 1))
    return digits + _check_digit(digits)


def card(rng: random.Random) -> str:
    digits = card_digits(rng)
    sign = rng.choice(("", "", " ", "-", "."))
    if len(digits) == 15:
        return sign.join((digits[:4], digits[4:10], digits[10:]))
    return sign.join(digits[at : at + 4] for at in range(0, len(digits), 4))


def iban(rng: random.Random) -> str:
    country = rng.choice(sorted(IBAN_LENGTHS))
    account = "".join(rng.choice("0123456789") for _ in range(IBAN_LENGTHS[country] - 4))
    if rng.random() < 0.3:
        account = "".join(rng.choice("ABCDEFGHXYZ") for _ in range(4)) + account[4:]
    number = int("".join(str(int(char, 36)) for char in account + country + "00"))
    whole = f"{country}{98 - number % 97:02d}{account}"
    sign = rng.choice(("", " ", " ", "-"))
    return sign.join(whole[at : at + 4] for at in range(0, len(whole), 4))


def ssn(rng: random.Random) -> str:
    area = rng.choice([area for area in range(1, 900) if area != 666])
    sign = rng.choice(("-", "-", " ", ".", ""))
    return f"{area:03d}{sign}{rng.randrange(1, 100):02d}{sign}{rng.randrange(1, 10000):04d}"


def ip(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return ":".join(f"{rng.randrange(65536):x}" for _ in range(8))
    return ".".join(str(rng.randrange(256)) for _ in range(4))


def phone(rng: random.Random) -> str:
    region = rng.choice(sorted(phonenumbers.SUPPORTED_REGIONS))
    kind = rng.choice((phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE))
    example = phonenumbers.example_number_for_type(region, kind) or phonenumbers.example_number(region)
    if example is None:
        return "+1 415 555 2671"
    digits = str(example.national_number)
    example.national_number = int(digits[:-3] + f"{rng.randrange(1000):03d}")
    style = rng.choice(
        (
            phonenumbers.PhoneNumberFormat.INTERNATIONAL,
            phonenumbers.PhoneNumberFormat.NATIONAL,
            phonenumbers.PhoneNumberFormat.E164,
        )
    )
    return phonenumbers.format_number(example, style)


def us_phone(rng: random.Random) -> str:
    area, exchange, line = rng.randrange(201, 990), rng.randrange(200, 999), rng.randrange(10000)
    style = rng.choice(("({}) {}-{:04d}", "{}-{}-{:04d}", "{}.{}.{:04d}", "+1 {} {} {:04d}", "1-{}-{}-{:04d}",
                        "001-{}-{}-{:04d}", "{}{}{:04d}", "+1-{}-{}-{:04d}x123", "({}){}-{:04d}", "{}-{}-{:04d} ext. 12"))  # fmt: skip
    return style.format(area, exchange, line)


def key(rng: random.Random) -> str:
    shape = rng.choice([shape for shape in SHAPES if shape.prefix not in INNER])
    letters = [
        chr(code) for code in range(33, 127) if _in_class(shape.alphabet, chr(code)) and chr(code).isalnum()
    ]
    length = max(shape.length, 20)
    return shape.prefix + "".join(rng.choice(letters) for _ in range(length))


def _in_class(alphabet: str, char: str) -> bool:
    return re.fullmatch(f"[{alphabet}]", char) is not None


def url(rng: random.Random) -> str:
    secret = "".join(rng.choice("abcXYZ019!$_-") for _ in range(12))
    return f"user{rng.randrange(10)}:{secret}"


KINDS: dict[str, Callable[[random.Random], str]] = {
    "email": email, "card": card, "iban": iban, "ssn": ssn, "ip": ip, "phone": phone, "us_phone": us_phone,
    "key": key, "url": url,
}  # fmt: skip


def percent(value: str, rng: random.Random) -> str:
    return quote(value, safe="" if rng.random() < 0.5 else " -")


def full_width(value: str, rng: random.Random) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if char.isascii() and char.isdigit() else char for char in value)


def zero_width(value: str, rng: random.Random) -> str:
    return "".join(
        char + (rng.choice("\u200b\u200c\u2060\u00ad") if rng.random() < 0.3 else "") for char in value
    )


def entities(value: str, rng: random.Random) -> str:
    return "".join(f"&#{ord(char)};" if rng.random() < 0.3 else char for char in value)


DISGUISES: dict[str, Callable[[str, random.Random], str]] = {
    "percent": percent, "full_width": full_width, "zero_width": zero_width, "entities": entities,
}  # fmt: skip


def sample(kind: str, rng: random.Random, disguise: str | None = None) -> Sample:
    """Return a sentence with one value of `kind` in it."""
    value = KINDS[kind](rng)
    if disguise:
        value = DISGUISES[disguise](value, rng)
    template = rng.choice(_TEMPLATES)
    if kind == "url":
        scheme = rng.choice(("postgres", "https", "redis", "amqp", "mongodb+srv", "mysql", "ftp"))
        sign = DISGUISES[disguise]("@", rng) if disguise else "@"
        template = template.replace("{}", scheme + "://{}" + sign + "db.internal:5432/x")
    text = template.replace("{}", value)
    return Sample(text, value, kind)


def leaked(found: list[tuple[int, int]], one: Sample) -> float:
    """Return the share of the value's letters and digits that no span covers."""
    start = one.text.index(one.value)
    covered = bytearray(len(one.text))
    for low, high in found:
        covered[low:high] = b"\1" * (high - low)
    value = [at for at in range(start, start + len(one.value)) if one.text[at].isalnum()]
    return sum(not covered[at] for at in value) / len(value)
