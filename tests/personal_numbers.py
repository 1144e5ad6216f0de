"""Numbers that states, banks and carriers give to people, with right check digits, from a seeded generator.

None is anyone's: they are drawn at random. The shapes are those that the issuers publish.
"""

from __future__ import annotations

import random  # noqa: TID251 - a seeded sequence
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Generator = Callable[[random.Random], str]

DIGITS = "0123456789"
CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"


def shaped(rng: random.Random, pattern: str) -> str:
    """Return `pattern` with `#` as digits, `?` as capitals and `*` as either."""
    alphabets = {"#": DIGITS, "?": CAPITALS, "*": DIGITS + CAPITALS}
    return "".join(rng.choice(alphabets.get(char, char)) for char in pattern)


def _weighted(digits: str, weights: Sequence[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _luhn_digit(digits: str) -> str:
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 if position % 2 else 2)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def _birth(rng: random.Random) -> tuple[int, int, int]:
    return rng.randrange(1930, 2012), rng.randrange(1, 13), rng.randrange(1, 29)


def dni(rng: random.Random) -> str:
    number = rng.randrange(10**7, 10**8)
    letter = _DNI[number % 23]
    return rng.choice((f"{number}{letter}", f"{number}-{letter}", f"{number:,}-{letter}".replace(",", ".")))


def nie(rng: random.Random) -> str:
    first, number = rng.randrange(3), rng.randrange(10**7)
    letter = _DNI[(first * 10**7 + number) % 23]
    return f"{'XYZ'[first]}{rng.choice(('', '-'))}{number:07d}{rng.choice(('', '-'))}{letter}"


def codice_fiscale(rng: random.Random) -> str:
    year, _, day = _birth(rng)
    return shaped(rng, f"??????{year % 100:02d}{rng.choice('ABCDEHLMPRST')}{day:02d}?###?")


def nir(rng: random.Random) -> str:
    year, month, _ = _birth(rng)
    number = f"{rng.choice('12')}{year % 100:02d}{month:02d}{rng.randrange(1, 96):02d}{shaped(rng, '######')}"
    key = f"{97 - int(number) % 97:02d}"
    if rng.random() < 0.5:
        return number + key
    return f"{number[0]} {number[1:3]} {number[3:5]} {number[5:7]} {number[7:10]} {number[10:13]} {key}"


def steuer_id(rng: random.Random) -> str:
    number = shaped(rng, "###########")
    return rng.choice((number, f"{number[:2]} {number[2:5]} {number[5:8]} {number[8:]}"))


def pesel(rng: random.Random) -> str:
    year, month, day = _birth(rng)
    body = f"{year % 100:02d}{month + (20 if year >= 2000 else 0):02d}{day:02d}{shaped(rng, '####')}"
    return body + str(-_weighted(body, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10)


def personnummer(rng: random.Random) -> str:
    year, month, day = _birth(rng)
    body = f"{year % 100:02d}{month:02d}{day:02d}"
    serial = shaped(rng, "###")
    century = rng.choice(("", str(year // 100)))
    return f"{century}{body}{rng.choice('-+')}{serial}{_luhn_digit(body + serial)}"


def ahv(rng: random.Random) -> str:
    body = "756" + shaped(rng, "#########")
    check = str(-_weighted(body, (1, 3) * 6) % 10)
    return f"{body[:3]}.{body[3:7]}.{body[7:11]}.{body[11:]}{check}"


def nric(rng: random.Random) -> str:
    body = shaped(rng, "#######")
    prefix = rng.choice("ST")
    total = _weighted(body, (2, 7, 6, 5, 4, 3, 2)) + (4 if prefix == "T" else 0)
    return prefix + body + "JZIHGFEDCBA"[total % 11]


def rrn(rng: random.Random) -> str:
    year, month, day = _birth(rng)
    body = f"{year % 100:02d}{month:02d}{day:02d}{rng.choice('1234')}{shaped(rng, '#####')}"
    check = str((11 - _weighted(body, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10)
    return f"{body[:6]}-{body[6:]}{check}"


def cpf(rng: random.Random) -> str:
    body = shaped(rng, "#########")
    for length in (10, 11):
        body += str(_weighted(body, range(length, 1, -1)) * 10 % 11 % 10)
    return rng.choice((body, f"{body[:3]}.{body[3:6]}.{body[6:9]}-{body[9:]}"))


def cnpj(rng: random.Random) -> str:
    body = shaped(rng, "########") + "0001"
    for weights in ((5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2), (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)):
        body += str(_weighted(body, weights) * 10 % 11 % 10)
    return f"{body[:2]}.{body[2:5]}.{body[5:8]}/{body[8:12]}-{body[12:]}"


def aadhaar(rng: random.Random) -> str:
    number = rng.choice("23456789") + shaped(rng, "###########")
    return rng.choice((number, f"{number[:4]} {number[4:8]} {number[8:]}"))


def sin(rng: random.Random) -> str:
    body = rng.choice("1234567") + shaped(rng, "#######")
    number = body + _luhn_digit(body)
    return rng.choice(
        (f"{number[:3]} {number[3:6]} {number[6:]}", f"{number[:3]}-{number[3:6]}-{number[6:]}")
    )


def nhs(rng: random.Random) -> str:
    while True:
        body = shaped(rng, "#########")
        check = 11 - _weighted(body, range(10, 1, -1)) % 11
        if check != 10:
            number = body + str(check % 11)
            return rng.choice((number, f"{number[:3]} {number[3:6]} {number[6:]}"))


def nino(rng: random.Random) -> str:
    prefix = rng.choice("ABCEGHJKLMNPRSTWXYZ") + rng.choice("ABCEGHJKLMNPRSTWXYZ")
    number = shaped(rng, "######")
    suffix = rng.choice("ABCD")
    return rng.choice(
        (f"{prefix}{number}{suffix}", f"{prefix} {number[:2]} {number[2:4]} {number[4:]} {suffix}")
    )


def bsn(rng: random.Random) -> str:
    while True:
        body = shaped(rng, "########")
        check = _weighted(body, range(9, 1, -1)) % 11
        if check < 10:
            return body + str(check)


def patterns(*shapes: str) -> Generator:
    return lambda rng: shaped(rng, rng.choice(shapes))


UNMISTAKABLE: dict[str, Generator] = {
    "dni": dni, "nie": nie, "codice fiscale": codice_fiscale, "nir": nir, "personnummer": personnummer, "ahv": ahv,
    "nric": nric, "rrn": rrn, "cpf": cpf, "cnpj": cnpj, "aadhaar": aadhaar, "sin": sin, "nhs": nhs, "nino": nino,
    "pan": patterns("?????####?"), "pesel": pesel, "steuer-id": steuer_id, "bsn": bsn,
    "curp": patterns("????######H?????##", "????######M?????##"), "passport mrz": patterns("?########", "C########"),
    "vin": patterns("1HGCM826#3A######", "WVWZZZ1JZ3W######"),
}  # fmt: skip
"""Found wherever they stand."""

LABELLED: dict[str, tuple[Generator, tuple[str, ...]]] = {
    "passport": (patterns("#########", "?########", "??#######", "C01X0###4"),
                 ("Passport No. {}", '{{"passport_number": "{}"}}', "my passport is {}", "Reisepass: {}", "n\xfamero de pasaporte {}")),
    "licence": (patterns("?#######", "########", "?###-####-####", "??######", "?####-#####-#####", "#######"),
                ("driver's license number {}", "DL# {}", "Driving licence: {}", "F\xfchrerschein {}", '{{"driver_license":"{}"}}')),
    "tax": (patterns("##-#######", "9##-7#-####", "##/###/#####", "### ### ###"),
            ("TIN: {}", "Tax ID {}", '{{"tax_id": "{}"}}', "Steuernummer: {}", "VAT number {}")),
    "account": (patterns("########", "##########", "####-####-####", "######### ####"),
                ("account number {}", "Acct: {}", "Kontonummer {}", '{{"account_number": "{}"}}', "my bank account is {}")),
    "bank code": (patterns("????GB2L", "????DEFF###", "????FRPP", "????US33XXX"),
                  ("SWIFT: {}", "BIC {}", "the swift code is {}", '{{"swift_bic": "{}"}}', "BIC/SWIFT code: {}")),
    "plate": (patterns("?? ## ???", "???-####", "?-?? ####", "??##???", "# ??? ###"),
              ("license plate {}", "Plate: {}", "Kennzeichen {}", '{{"license_plate": "{}"}}', "vehicle registration {}")),
    "health": (patterns("########", "MRN-#######", "?#########"),
               ("MRN: {}", "medical record number {}", "Patient ID: {}", '{{"mrn": "{}"}}', "health insurance number {}")),
    "imei": (patterns("##-######-######-#", "###############"), ("IMEI: {}", "IMEI number {}", '{{"imei":"{}"}}')),
    "pin": (patterns("####", "######"), ("PIN: {}", "my pin is {}", '{{"pin": "{}"}}', "CVV: {}", "security code {}")),
}  # fmt: skip
"""Found where a word says what they are."""

BIRTH_LABELS = ("Date of Birth: {}", "DOB {}", '{{"date_of_birth": "{}"}}', "she was born on {} in Oslo", "born in Oslo on {}",
                "Geburtsdatum: {}", "n\xe9 le {}", "fecha de nacimiento: {}", "data di nascita: {}", "What is your birthday? It's {}")  # fmt: skip
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def date_of_birth(rng: random.Random) -> str:
    year, month, day = _birth(rng)
    name = _MONTHS[month - 1]
    return rng.choice(
        (
            f"{year}-{month:02d}-{day:02d}", f"{day:02d}/{month:02d}/{year}", f"{month}/{day}/{year % 100:02d}", f"{day}.{month}.{year}",
            f"{name} {day}, {year}", f"{day} {name} {year}", f"{day}th of {name} {year}", f"{day}-{name[:3]}-{year}",
            f"{name}/{year % 100:02d}", f"Sunday, {name} {day:02d}, {year}", f"{year}-{month:02d}-{day:02d}T00:00:00",
            f"{year}\u5e74{month}\u6708{day}\u65e5", f"{year}{month:02d}{day:02d}",
        )
    )  # fmt: skip
