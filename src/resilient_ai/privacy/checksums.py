"""Check digits that tell a real number from one that merely has the right shape."""

from __future__ import annotations

import hashlib
from typing import Final

# Sum of digits of 2*d, by digit: ISO/IEC 7812-1 annex B.
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

# Issuer identification numbers by leading digits, with the account number lengths in use.
# Source: ISO/IEC 7812 registry as published by the card networks.
_ISSUERS: Final[tuple[tuple[int, int, frozenset[int]], ...]] = (
    (340000, 349999, frozenset({15})),  # American Express
    (370000, 379999, frozenset({15})),
    (300000, 305999, frozenset({14, 16})),  # Diners Club
    (309500, 309599, frozenset({14, 16})),
    (360000, 369999, frozenset({14, 16, 19})),
    (380000, 399999, frozenset({14, 16, 19})),
    (352800, 358999, frozenset({16, 17, 18, 19})),  # JCB
    (400000, 499999, frozenset({13, 16, 19})),  # Visa
    (500000, 509999, frozenset({12, 13, 14, 15, 16, 17, 18, 19})),  # Maestro, Elo, Verve
    (510000, 559999, frozenset({16})),  # Mastercard
    (222100, 272099, frozenset({16})),
    (220000, 220499, frozenset({16, 17, 18, 19})),  # Mir
    (560000, 589999, frozenset({12, 13, 14, 15, 16, 17, 18, 19})),  # Maestro
    (601100, 601199, frozenset({16, 17, 18, 19})),  # Discover
    (622126, 622925, frozenset({16, 17, 18, 19})),
    (644000, 659999, frozenset({16, 17, 18, 19})),
    (620000, 629999, frozenset({16, 17, 18, 19})),  # UnionPay
    (630000, 639999, frozenset({12, 13, 14, 15, 16, 17, 18, 19})),  # Maestro
    (670000, 679999, frozenset({12, 13, 14, 15, 16, 17, 18, 19})),
    (810000, 817199, frozenset({16, 17, 18, 19})),
)

# Source: SWIFT IBAN registry, release 99.
IBAN_LENGTHS: Final[dict[str, int]] = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27,
    "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28,
    "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23,
    "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21,
    "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28,
    "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22,
    "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25,
    "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip

_LETTERS_AS_NUMBERS: Final = {ord(letter): str(int(letter, 36)) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUES: Final = {letter: value for value, letter in enumerate(_BASE58)}


def luhn(digits: str) -> bool:
    """Report whether `digits` (ASCII digits only) ends in its Luhn check digit."""
    total = 0
    double = False
    for digit in reversed(digits):
        value = ord(digit) - 48
        total += _DOUBLED[value] if double else value
        double = not double
    return total % 10 == 0


def known_issuer(digits: str) -> bool:
    """Report whether a card network issues numbers of this prefix and length."""
    prefix = int(digits[:6])
    return any(low <= prefix <= high and len(digits) in lengths for low, high, lengths in _ISSUERS)


def iban(text: str) -> bool:
    """Report whether `text` (capital letters and digits, no separators) satisfies ISO 13616 mod 97."""
    return int((text[4:] + text[:4]).translate(_LETTERS_AS_NUMBERS)) % 97 == 1


def social_security(area: str, group: str, serial: str) -> bool:
    """Report whether the parts can be a US social security number.

    Source: SSA, "Meaning of the Social Security Number": areas 000, 666 and 900-999, group 00 and serial
    0000 are never issued.
    """
    return area not in {"000", "666"} and area[0] != "9" and group != "00" and serial != "0000"


def base58check(text: str) -> bool:
    """Report whether `text` is a Base58Check address of 25 bytes (Bitcoin, Litecoin, Dogecoin and kin)."""
    number = 0
    for letter in text:
        value = _BASE58_VALUES.get(letter)
        if value is None:
            return False
        number = number * 58 + value
    if number >> 200:
        return False
    raw = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4] == raw[21:]
