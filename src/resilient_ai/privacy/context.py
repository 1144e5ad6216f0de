"""Finds identifiers that only the words before them give away: `passport no. X1234567`, `tax_id: 12/345/67890`.

Used for prose only. In logs, fields have names, and `labelled.py` reads those.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from resilient_ai.privacy import birth
from resilient_ai.privacy.literals import Literals, trie
from resilient_ai.privacy.numbers import DATE, DIGEST, UNIT_AFTER
from resilient_ai.privacy.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

_ID: Final = "ID_NUMBER"
_ACCOUNT: Final = "ACCOUNT"
_PLATE: Final = "PLATE"
_PHONE: Final = "PHONE"
_SECRET: Final = "SECRET"  # noqa: S105 - the name of a kind
_BIRTH: Final = "DATE_OF_BIRTH"

# Beginnings of labels in lower case, by the kind of what follows: those that may stand inside a word (`reisepass`
# in `reisepassnummer`), and those that have to begin one. Signs between words are blanks (`sort_code`).
# Languages: those of the public PII corpora (English, German, French, Italian, Spanish, Dutch, Portuguese).
_INSIDE: Final[dict[str, tuple[str, ...]]] = {
    _ID: (
        "passport", "passeport", "pasaporte", "passaporto", "paspoort", "reisepass", "licen", "rijbewijs", "führerschein",
        "fuehrerschein", "ausweis", "steuer", "identi", "chassis", "versicher", "personnummer", "burgerservice",
    ),
    _ACCOUNT: ("account", "konto", "rekening", "routing", "iban", "swift"),
    _PLATE: ("kennzeichen", "plate"),
    _PHONE: ("phone", "telefo", "téléphone", "mobile", "rufnummer", "whatsapp"),
    _SECRET: ("passcode",),
    _BIRTH: birth.INSIDE,
}  # fmt: skip
_BEGINNING: Final[dict[str, tuple[str, ...]]] = {
    _ID: (
        "patente", "permis", "social", "ssn", "tax", "fiscal", "codice", "vat", "tin", "ein", "itin", "national", "id", "imei",
        "vin", "policy", "mrn", "member", "patient", "employee", "student", "insurance", "nhs", "nino", "nin", "dni", "nif",
        "nie", "cif", "cpf", "cnpj", "rg", "curp", "rut", "pan", "aadhaar", "aadhar", "uid", "sin", "tfn", "abn",
        "medicare", "pesel", "nip", "regon", "bsn", "ahv", "insee", "nir", "siret", "siren", "nric", "fin", "rrn", "jmbg",
        "oib", "egn", "cnp", "pps", "ppsn", "rodne", "personal", "visa", "dl", "driver", "driving", "customer", "client",
        "kunden", "voter", "abha", "epic", "medical", "health", "beneficiary", "resident", "residence", "serial", "kvnr",
        "dea", "npi", "seguridad", "sécurité",
    ),
    _ACCOUNT: (
        "acct", "compte", "cuenta", "sort code", "bic", "bank", "bsb", "aba", "clabe", "ifsc", "bban",
        "card",
    ),
    _PLATE: ("registration", "reg", "vrm", "vrn", "matrícula", "matricula", "immatriculation", "targa", "kenteken"),
    _PHONE: ("tel", "tél", "tlf", "cell", "handy", "mobil", "fax", "call", "dial", "sms", "portable", "móvil", "celular"),
    _SECRET: ("cvv", "cvc", "cvv2", "cvc2", "cvn", "pin", "security code", "otp", "verification code", "time code"),
    _BIRTH: birth.BEGINNING,
}  # fmt: skip
_KINDS: Final = {
    word.encode("latin-1", "replace"): kind
    for table in (_INSIDE, _BEGINNING)
    for kind, words in table.items()
    for word in words
}
LABELS: Final = Literals(
    (word for words in _INSIDE.values() for word in words),
    (word for words in _BEGINNING.values() for word in words),
)
# Signs and the like as blanks, letters of Latin-1 as they are.
_WORDS_MAP: Final = bytes(code if chr(code).isalnum() else 0x20 for code in range(256))
# Shorter labels are also the beginning of other words: `fin` of `finally`.
_LONGEST_WHOLE: Final = 5
_ENDINGS: Final = frozenset({"", "s", "no", "nr", "num", "number", "nummer", "#", "'s", "id", "code"})

# Words that may stand between a label and its value, without regard to their order.
_FILLERS: Final = (
    "no", "nr", "num", "number", "numbers", "nummer", "numero", "número", "numéro", "n", "id", "ids", "identity",
    "identification", "identifier", "code", "card", "is", "was", "are", "of", "for", "it", "its", "his", "her", "my",
    "your", "our", "their", "the", "a", "an", "holder", "and", "or", "on", "at", "in", "me", "us", "him", "security",
    "license", "licence", "driver", "drivers", "driving", "plate", "account", "acct", "record", "reads", "with",
    "ending", "as", "to", "following", "new", "old", "current", "registered", "registration", "value", "s", "under",
    "file", "bank", "tax", "taxpayer", "insurance", "policy", "member", "patient", "employee", "student", "customer",
    "client", "swift", "bic", "iban", "routing", "transit", "vehicle", "reference", "ref", "unique", "personal",
    "national", "state", "issued", "please", "here", "imei", "vin", "nhs", "ssn", "mrn", "serial", "device", "health",
    "medical", "phone", "mobile", "cell", "home", "work", "office", "direct", "line", "fax", "tel", "telephone",
    "social", "born", "birth", "date", "dob", "der", "die", "das", "ist", "lautet", "le", "la", "du", "de", "des",
    "est", "il", "el", "es", "op", "am", "den", "del", "di", "do", "da", "seu", "mon", "son", "mein", "meine", "ihr",
    "ihre", "sein", "seine", "mijn",
)  # fmt: skip
_BETWEEN: Final = r"[\s:#=.,?()/\"'*_|\\°º&>\[\-\u2019]"
_GAP: Final = re.compile(
    rf"(?P<rest>[a-zà-ÿ'\u2019]{{0,14}})(?:{_BETWEEN}{{1,6}}{trie(_FILLERS)}(?![0-9A-Za-zà-ÿ]|-[0-9])){{0,6}}{_BETWEEN}{{1,8}}",
    re.IGNORECASE,
)
# The first group has a digit or is a short run of capitals, a later one has a digit or ends the number.
_IDENTIFIER: Final = re.compile(
    r"(?:[0-9A-Za-z.\-/*]{0,24}?[0-9][0-9A-Za-z.\-/*]{0,64}|[A-Z]{1,5}(?=[ ][0-9]))"
    r"(?:[ ](?:[0-9A-Za-z.\-/]{0,12}\d[0-9A-Za-z.\-/]{0,12}|[A-Z]{1,2}(?![0-9A-Za-z]))){0,7}"
)
_SHORT_CODE: Final = re.compile(r"\d{3,8}(?!\d)")
_PLATE_NUMBER: Final = re.compile(r"[0-9A-ZÄÖÜ]{1,8}(?:[ \-·.]{1,3}[0-9A-ZÄÖÜ]{1,5}){0,4}(?![0-9A-Za-z])")
_SUBSCRIBER: Final = re.compile(r"[+(]{0,2}\d(?:[ ().\-/]{0,2}\d){4,14}+(?![0-9A-Za-z%]|[.,:]\d)")
_YEAR: Final = re.compile(r"(?:1[5-9]|20)\d\d")
_DIGIT: Final = re.compile(r"\d")
_SIGN: Final = re.compile("[:#=]")
_FEWEST_PLATE_CHARS: Final = 4


def words_of(lowered: bytes) -> bytes:
    """Return lower-cased text with a blank for every sign, for `find_in_context`."""
    return lowered.translate(_WORDS_MAP)


def find_in_context(text: str, words: bytes, start: int, end: int) -> Iterator[Span]:
    """Yield numbers and dates that follow a word which says what they are.

    Args:
        text: The text.
        words: What `words_of` makes of it.
        start: Where to begin to look for labels.
        end: Where to stop.
    """
    label: re.Match[str] | None = None
    kind = ""
    for at, word in LABELS.find(words, start, end):
        if label is not None and at < label.end():
            # `license plate: `: the last label says what follows. Looking for the value of each would be quadratic.
            if len(word) >= _LONGEST_WHOLE:
                kind = _KINDS[word]
            continue
        if label is not None:
            yield from _after_label(text, label, kind)
        gap = _GAP.match(text, at + len(word))
        whole = gap is not None and (len(word) >= _LONGEST_WHOLE or gap["rest"].lower() in _ENDINGS)
        label, kind = gap if whole else None, _KINDS[word]
    if label is not None:
        yield from _after_label(text, label, kind)


def _after_label(text: str, gap: re.Match[str], kind: str) -> Iterator[Span]:
    at = gap.end()
    if kind is _BIRTH:
        for low, high in birth.find_date_of_birth(text, gap.end("rest"), at):
            yield Span(low, high, kind)
        return
    pattern = {_SECRET: _SHORT_CODE, _PLATE: _PLATE_NUMBER, _PHONE: _SUBSCRIBER}.get(kind, _IDENTIFIER)
    found = pattern.match(text, at)
    if found is None:
        return
    value = found.group().rstrip(" .-/*")
    end = at + len(value)
    if _tells(value, kind, signed=_SIGN.search(gap.group()) is not None) and not UNIT_AFTER.match(text, end):
        yield Span(at, end, kind)


def _tells(value: str, kind: str, *, signed: bool) -> bool:
    """Report whether `value` is more than a year, a date, a digest or a small number."""
    digits = len(_DIGIT.findall(value))
    if kind is _SECRET or kind is _PHONE:
        return not DATE.fullmatch(value)
    if kind is _PLATE:
        return digits > 0 and len(value) >= _FEWEST_PLATE_CHARS and (signed or not _YEAR.fullmatch(value))
    if digits < (3 if len(value) > 4 else 4) or DIGEST.fullmatch(value):
        return False
    return not (DATE.fullmatch(value) or (not signed and _YEAR.fullmatch(value)))
