"""Finds what a sentence names and what may hold no digit: `my password is so_Secret`, `SWIFT: NWBKGBLL`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from resilient_ai.privacy.literals import Literals
from resilient_ai.privacy.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECRET: Final = "SECRET"  # noqa: S105 - the name of a kind
_USER: Final = "USERNAME"
_ACCOUNT: Final = "ACCOUNT"

_USERS: Final = ("user name", "username", "user_name", "benutzername", "nombre de usuario", "nome utente")
_SECRETS: Final = ("passw", "passphrase", "passcode", "pwd", "secret")
WORDS: Final = Literals((*_SECRETS, *_USERS, "swift"), ("bic",))
_USER_WORDS: Final = frozenset(word.encode() for word in _USERS)
_BANK_WORDS: Final = frozenset({b"swift", b"bic"})

_SAID: Final = (
    r"(?:[ \"']{1,2}(?!is\b|was\b|as\b)[a-z']{1,12}){0,5}?[ \"']{0,2}(?::|=|\bis\b:?|\bwas\b|\bas\b|\bto\b)"
    r"\s{0,3}[\"'`(\[]{0,2}(\S{3,64})"
)
# With a sign right behind it `password` is the name of a field, and `labelled.py` has read it.
_SPOKEN: Final = re.compile(
    r"(?:passw[a-z]{0,4}|passphrases?|passcodes?|secrets?|pwd)(?![a-z]|\s?[:=])" + _SAID, re.IGNORECASE
)
_SPOKEN_USER: Final = re.compile(r"[a-z]{0,8}(?![a-z])" + _SAID, re.IGNORECASE)
_NAMED_USER: Final = re.compile(r"[\"'\\\]]{0,3}\s?[:=]\s{0,2}[\\\"'`]{0,3}([\w.@\-+]{3,64})")
_BANK_CODE: Final = re.compile(
    r"(?:[\s_/\-]{0,2}(?:bic|code|swift|number|no|is|of|the|bank))?(?:[\s_/\-]{0,2}(?:bic|code|swift|number|no|is))?"
    r"[\s:=#\"'()\\_.>\-]{1,8}((?-i:[A-Z]{6}[0-9A-Z]{2}(?:[0-9A-Z]{3})?|[a-z]{6}(?=[a-z]{0,4}[0-9])[0-9a-z]{2}(?:[0-9a-z]{3})?))"
    r"(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_EDGE: Final = ".,;:!?\"'`)]}>"
_QUOTING: Final = ".,;\"'`)]}>"
_MARKED: Final = re.compile(r"[0-9]|[^\w'\u2019.\-]|[a-z][A-Z]")
_NOBODY: Final = re.compile(
    r"(?:null|none|nil|true|false|unknown|required|string|str|root|admin|password)\b", re.IGNORECASE
)


def find_spoken(text: str, lowered: bytes) -> Iterator[Span]:
    """Yield passwords, user names and bank codes of which a sentence says that they are one.

    Args:
        text: The text.
        lowered: `text` in Latin-1 and lower case, character by character.
    """
    resume = 0
    for at, word in WORDS.find(lowered):
        if at < resume:
            continue
        if word in _USER_WORDS:
            named = _NAMED_USER.match(text, at + len(word))
            if named and not _NOBODY.match(named.group(1)):
                yield Span(*named.span(1), _USER)
                continue
            found, kind = _SPOKEN_USER.match(text, at + len(word)), _USER
        elif word in _BANK_WORDS:
            if code := _BANK_CODE.match(text, at + len(word)):
                resume = code.end()
                yield Span(*code.span(1), _ACCOUNT)
            continue
        else:
            found, kind = _SPOKEN.match(text, at), _SECRET
        if found:
            resume = found.start(1)
            yield from _spoken(found, kind)


def _spoken(found: re.Match[str], kind: str) -> Iterator[Span]:
    written = found.group(1)
    if written.startswith("<"):
        return
    value = written.rstrip(_EDGE if kind is _USER else _QUOTING) or written
    # `my password is wrong` is not one, `is hunter2` and `is 'wrong'` are.
    if _MARKED.search(value.rstrip(_EDGE)) is None and written[-1] not in "\"'`":
        return
    yield Span(found.start(1), found.start(1) + len(value), kind)
