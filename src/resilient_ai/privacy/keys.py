"""Finds keys by the shapes their vendors publish, and in the few formats that all vendors share."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from resilient_ai.privacy.checksums import base58check
from resilient_ai.privacy.key_shapes import (
    ALNUM,
    HEX,
    INNER,
    LOWER,
    SHAPES,
    UNMISTAKABLE,
    UPPER,
    WORDLIKE,
    Shape,
)
from resilient_ai.privacy.literals import trie
from resilient_ai.privacy.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

KIND: Final = "KEY"
CRYPTO_KIND: Final = "CRYPTO_ADDRESS"

# The prefilter: nothing this module finds is shorter than this run of key characters.
SHORTEST_RUN: Final = 16

_TAIL: Final = re.compile(r"[0-9A-Za-z_\-.~+/=%]*")
_HEAD: Final = re.compile(r"[0-9A-Za-z_~.\-]{0,64}")
_DIGIT: Final = re.compile("[0-9]")
_PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----")
_PEM_END: Final = re.compile(r"-----END [A-Z0-9 ]{0,50}-----")
# A PEM block whose end was cut off is taken this far. Source: an RSA key of 16384 bits has 12.7 kB in PEM.
_LONGEST_PEM: Final = 16384

_PUTTY: Final = re.compile(
    r"Private-Lines: \d{1,4}\s{1,2}((?:[0-9A-Za-z+/=]{1,80}(?:[\r\n]{1,2}|$)){1,256}+)"
)

# Hexadecimal and UUIDs are no key of any shape, and most of what there is to look at in logs.
_DIGEST: Final = re.compile(r"[0-9a-f]+|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BEARER: Final = re.compile(r"[Bb](?:earer|EARER)[ \t:]{1,3}([0-9A-Za-z_\-.~+/]{16,}+={0,2})(?![=\w])")
_JWT: Final = re.compile(r"eyJ[0-9A-Za-z_\-]{8,}(?:\.[0-9A-Za-z_\-=]*){0,4}")
# Formats without a prefix of their own, each behind what it cannot be without.
_SHAPED: Final = (
    ("eyJ", _JWT),
    (":AA", re.compile(r"(?<![0-9])[0-9]{8,10}:AA[0-9A-Za-z_\-]{32,34}")),  # Telegram bot
    (
        ".",
        re.compile(
            r"(?<![0-9A-Za-z_\-])[MNO][0-9A-Za-z_\-]{23,27}\.[0-9A-Za-z_\-]{6}\.[0-9A-Za-z_\-]{27,45}"
        ),
    ),  # Discord bot
)
_BITCOIN: Final = re.compile(r"(?:[13LMD][1-9A-HJ-NP-Za-km-z]{25,34}|(?:bc|tb|ltc)1[02-9ac-hj-np-z]{11,71})")
_ETHEREUM: Final = re.compile(r"0x[0-9A-Fa-f]{40}(?:[0-9A-Fa-f]{24})?")
_BECH32: Final = ("bc1", "tb1", "ltc1")
_WORD: Final = re.compile(r"[0-9A-Za-z]{26,90}")

# A run without prefix or label is a key if it mixes capitals, small letters and digits over this length:
# shorter ones are names of things. Source: the shortest bare keys in use (AWS secrets, 40; Azure, 32).
_RANDOM_RUN: Final = re.compile(r"[0-9A-Za-z_\-+/~]{32,}={0,2}")
_RANDOM_DISTINCT: Final = 18
# Of 32 random letters and digits five are digits; names made of words have none or one, paths two.
_FEWEST_DIGITS: Final = 2
_FEWEST_DIGITS_OF_PATHS: Final = 3


# More of a body than any shape demands is not looked at to recognise it.
_LONGEST_BODY: Final = max(shape.length for shape in SHAPES)


class _Compiled(NamedTuple):
    prefix: str
    alphabet: str
    length: int
    glued: bool
    judged: bool


def _compile(shape: Shape) -> _Compiled:
    prefix = shape.prefix
    return _Compiled(
        prefix,
        shape.alphabet,
        shape.length,
        glued=prefix in UNMISTAKABLE or prefix in INNER,
        # A prefix and twenty letters without punctuation is a key; `re_` and four words are a name.
        judged=shape.alphabet not in {ALNUM, HEX, UPPER, LOWER}
        and prefix not in UNMISTAKABLE
        and shape.length > 0,
    )


_COMPILED: Final = tuple(map(_compile, SHAPES))
# For each prefix the shapes to try, longest first: `sk_test_` may also be an `sk_` of another vendor.
_BY_PREFIX: Final = {shape.prefix: shape for shape in _COMPILED}
_CANDIDATES: Final = {
    prefix: tuple(_BY_PREFIX[prefix[:end]] for end in range(len(prefix), 0, -1) if prefix[:end] in _BY_PREFIX)
    for prefix in _BY_PREFIX
}
# The prefixes that are believed even where they are glued to a word.
_GLUED: Final = tuple(shape.prefix for shape in _COMPILED if shape.glued)


# Compiled when the first run of key characters is seen: together they cost more than importing the package.
@cache
def _prefixes() -> re.Pattern[str]:
    return re.compile("(?<![0-9A-Za-z])" + trie(list(_CANDIDATES)))


@cache
def _infixes() -> re.Pattern[str]:
    return re.compile(trie(list(_GLUED)))


@cache
def _body(alphabet: str) -> re.Pattern[str]:
    return re.compile(f"[{alphabet}]{{0,{_LONGEST_BODY}}}")


def find_published(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield keys of published shape and JSON web tokens in the run of key characters `text[start:end]`.

    A key is always taken to the end of its run, so that a format that has grown longer than the table knows
    does not leave its tail behind.
    """
    run = text[start:end]
    if _DIGEST.fullmatch(run):
        return
    taken = start
    patterns = [_prefixes()]
    if any(map(run.__contains__, _GLUED)):
        patterns.append(_infixes())
    for pattern in patterns:
        for found in pattern.finditer(text, start, end):
            if found.start() >= taken and (span := _published(text, found)) is not None:
                yield span
                taken = span.end
        taken = start
    for sign, pattern in _SHAPED:
        if sign in run:
            for token in pattern.finditer(text, start, end):
                yield Span(token.start(), token.end(), KIND)


def _published(text: str, found: re.Match[str]) -> Span | None:
    start = found.start()
    begins_word = start == 0 or not (text[start - 1].isalnum() or text[start - 1] in "_-")
    for shape in _CANDIDATES[found.group()]:
        if not (shape.glued or begins_word or (text[start - 1] in "_-" and shape.prefix not in WORDLIKE)):
            continue
        body = _body(shape.alphabet).match(text, start + len(shape.prefix))
        if body is None or len(body.group()) < shape.length:
            continue
        if shape.judged and not _looks_random(body.group()):
            continue
        if shape.prefix in INNER:
            head = _HEAD.match(text[max(0, start - 64) : start][::-1])
            start -= head.end() if head else 0
        tail = _TAIL.match(text, body.end())
        return Span(start, tail.end() if tail else body.end(), KIND)
    return None


def _looks_random(body: str) -> bool:
    """Report whether `body` has a digit or both cases: identifiers made of words have neither."""
    return _DIGIT.search(body) is not None or not (body.islower() or body.isupper())


def find_bearer_tokens(text: str) -> Iterator[Span]:
    """Yield tokens of an authorization header of which only the scheme is left."""
    for found in _BEARER.finditer(text):
        if _looks_random(found.group(1)):
            yield Span(found.start(1), found.end(1), KIND)


def find_private_keys(text: str) -> Iterator[Span]:
    """Yield private keys in PEM form, and what follows the beginning of one whose end was cut off."""
    taken = 0
    for begin in _PEM.finditer(text):
        if begin.start() < taken:
            continue
        end = _PEM_END.search(text, begin.end(), begin.end() + _LONGEST_PEM)
        taken = end.end() if end else min(len(text), begin.end() + _LONGEST_PEM)
        yield Span(begin.start(), taken, "PRIVATE_KEY")


def find_putty_keys(text: str) -> Iterator[Span]:
    """Yield the private part of keys in PuTTY's format."""
    for lines in _PUTTY.finditer(text):
        yield Span(lines.start(1), lines.end(1), "PRIVATE_KEY")


def find_unpublished(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield runs that look like keys although nothing names them: random letters of both cases and digits."""
    for run in _RANDOM_RUN.finditer(text, start, end):
        word = run.group()
        if (
            len(set(word[:128])) >= _RANDOM_DISTINCT
            and len(_DIGIT.findall(word)) >= (_FEWEST_DIGITS_OF_PATHS if "/" in word else _FEWEST_DIGITS)
            and word.upper() != word != word.lower()
            and word.count("/") * 16 < len(word)
            and word.count("-") * 8 < len(word)
            and word.count("_") * 8 < len(word)
        ):
            yield Span(run.start(), run.end(), KIND)


def find_crypto_addresses(text: str, start: int, end: int, *, verified: bool) -> Iterator[Span]:
    """Yield addresses of Bitcoin and kin, and of Ethereum.

    With `verified`, only those whose check sum can be verified here are taken (Base58Check): hexadecimal
    of 20 bytes may as well be a digest.
    """
    for word in _WORD.finditer(text, start, end):
        address = word.group()
        if _BITCOIN.fullmatch(address):
            real = address.startswith(_BECH32) or (base58check(address) if verified else _plausible(address))
        else:
            real = not verified and _ETHEREUM.fullmatch(address) is not None
        if real:
            yield Span(word.start(), word.end(), CRYPTO_KIND)


def _plausible(address: str) -> bool:
    return _DIGIT.search(address) is not None and not address.islower() and not address.isupper()
