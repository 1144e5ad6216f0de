"""Finds secrets by the name written in front of them: `password: x`, `"api_key": "x"`, `--token x`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from resilient_ai.privacy.key_names import Secrecy, secrecy, tokens
from resilient_ai.privacy.literals import Literals
from resilient_ai.privacy.spans import KINDS, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

KIND: Final = "SECRET"

# Every sensitive name contains one of these.
STEMS: Final = (
    "pass", "pw", "secret", "token", "key", "auth", "cred", "cookie", "sess", "sig", "jwt", "bearer", "otp", "pin", "cvv",
    "cvc", "sid", "dsn", "ssn", "conn", "kennwort", "contras",
)  # fmt: skip
LABELS: Final = Literals(STEMS)

# Longest value taken when its end is missing: beyond it the text is scanned again from there.
_LONGEST_VALUE: Final = 8192
_LONGEST_NAME: Final = 64
_SHORTEST_LIKELY: Final = 8
_LONG_LIKELY: Final = 20

_NAME_CHARACTERS: Final = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.-")
_NAME_BEFORE: Final = re.compile(r"[0-9A-Za-z_.\-]{0,64}")
_AFTER_STEM: Final = re.compile(
    r"(?P<rest>[0-9A-Za-z_.\-]{0,48})"
    r"(?:(?:\\{0,3}[\"'`]|[\])*]){0,3}(?P<left>[ \t]{0,3})(?P<sign>=>|:=|={1,3}|:)(?P<right>[ \t]{0,3}(?:[\r\n]{1,2}[ \t]{0,8}(?=[\"']))?)"
    r"|(?P<tag>>)|(?P<gap>[ \t]{1,2}))"
)
_QUOTED: Final = {
    quote: re.compile(rf"(?:[^{quote}\\\r\n]|\\.){{0,{_LONGEST_VALUE}}}+", re.DOTALL) for quote in "\"'`"
}
# A string inside a JSON string: its quotes are escaped, so that the next escaped quote ends it.
_ESCAPED: Final = re.compile(rf"[^\"'\\\r\n]{{0,{_LONGEST_VALUE}}}+")
_SCHEME: Final = re.compile(
    r"(?i:bearer|basic|digest|token|apikey|negotiate|aws4-hmac-sha256|key)[ \t]+(?=\S{4})"
)
_BARE: Final = re.compile(rf"[^\s,;&\"'`<>|)}}\]]{{1,{_LONGEST_VALUE}}}+")
# Behind `password: ` everything up to the next blank belongs to it, signs included.
_SPELLED_OUT: Final = re.compile(rf"[^\s\"'`<>]{{1,{_LONGEST_VALUE}}}+")
_CLOSING: Final = ".,;)]}|"
_TAGGED: Final = re.compile(rf"[^<\r\n]{{1,{_LONGEST_VALUE}}}+")
_LINE: Final = re.compile(rf"[^\r\n\"'`]{{1,{_LONGEST_VALUE}}}+")
_WITH_QUOTES: Final = re.compile(rf"[^\r\n]{{1,{_LONGEST_VALUE}}}+")
_BRACKET: Final = re.compile(r"[\[\]{}\r\n]")
_WHOLE_LINE: Final = frozenset({"authorization", "cookie", "cookies", "setcookie", "proxyauthorization"})

_HARMLESS: Final = re.compile(
    r"(?i:null|none|nil|true|false|undefined|empty|n/?a|unset|redacted|removed|hidden|masked|required|optional"
    r"|missing|invalid|incorrect|wrong|str|string|bytes|bool|int|any|object|value|yes|no|ok|failed|success)[.!?]?"
    r"|[*•xX.#_\-]{1,}|\[[A-Za-z_ *]{0,20}|<[^<>]{0,40}>?|\$\{?[A-Za-z_][\w.]{0,60}\}?|\{\{?[\w. ]{0,40}\}{0,2}"
    r"|%(?:[-0-9.]{0,4}[a-zA-Z]|\([A-Za-z_]\w{0,40}\).{0,4})|os\.(?:environ|getenv).{0,60}|process\.env.{0,60}|env[:(].{0,60}"
)
_PASSWORD_WORDS: Final = frozenset(
    {
        "password", "passwords", "passwd", "pwd", "pw", "passphrase", "passcode", "passw", "dbpass", "mypass",
        "userpass", "sshpass", "pgpassword", "kennwort", "passwort", "contrasena",
    }
)  # fmt: skip
# What follows `token:` in logs and is none: the identity of an object, a pointer, a numbered name, a path.
_IDENTITY: Final = re.compile(
    r"[\w.$]+@[0-9a-f]+|[A-Za-z]{1,24}(?:[_\-.]\d{1,24}){1,8}|0x[0-9a-fA-F]{1,16}|[\w.$\-]*[({].*|/[\w./\-]*|\w{1,32}=.*"
)
# A line of a traceback: `token = client.token(`.
_CODE: Final = re.compile(r"[a-z_][\w.]{2,60}[(\[]")
_PIN: Final = re.compile(r"\d{3,8}\b")


def find_labelled(text: str, lowered: bytes) -> Iterator[Span]:
    """Yield the values of fields with a sensitive name.

    Args:
        text: The text.
        lowered: `text` in Latin-1 and lower case, character by character.
    """
    done: set[int] = set()
    taken = 0
    for position, _ in LABELS.find(lowered):
        if position < taken:
            continue
        after = _AFTER_STEM.match(text, position)
        if after is None or after.end("rest") in done:
            continue
        done.add(after.end("rest"))
        begin = position
        if position and text[position - 1] in _NAME_CHARACTERS:
            before = _NAME_BEFORE.match(text[max(0, position - _LONGEST_NAME) : position][::-1])
            begin -= before.end() if before else 0
        name = text[begin : after.end("rest")]
        if not _separated(text, begin, after):
            continue
        level = secrecy(name)
        if level is Secrecy.LIKELY and (after["gap"] or (begin and text[begin - 1] in "?&")):
            # On a command line and in a query nobody writes `token` in front of prose.
            level = Secrecy.CERTAIN
        elif level is Secrecy.OPEN:
            if not (begin and text[begin - 1] in "?&" and name == "key"):
                continue
            level = Secrecy.LIKELY
        span = _value(text, after, name, level)
        if span is not None:
            taken = span.end
            yield span


def _separated(text: str, begin: int, after: re.Match[str]) -> bool:
    """Report whether a value follows: after a sign, after an XML tag, or after the space behind `--option`."""
    if after["sign"]:
        # `logname= uid=0`: nothing was written behind the sign, the next word is not the value.
        return not (after["sign"].startswith("=") and not after["left"] and after["right"].strip("\r\n"))
    if after["tag"]:
        return begin > 0 and text[begin - 1] in "<:" and text[begin : after.end("rest")] not in KINDS
    return text.startswith("-", begin)


def _value(text: str, after: re.Match[str], name: str, level: Secrecy) -> Span | None:
    start = after.end()
    if start >= len(text):
        return None
    words = frozenset(tokens(name))
    if after["tag"]:
        found = _TAGGED.match(text, start)
        return _judged(text, start, found.end(), level, words, loose=False) if found else None
    quote = _opening_quote(text, start)
    if quote is not None:
        inner, pattern = quote
        found = pattern.match(text, inner)
        end = found.end() if found else inner
        return _judged(text, inner, end, level, words, loose=False)
    if words & _WHOLE_LINE or name.lower().replace("-", "").endswith("cookie"):
        found = _LINE.match(text, start)
        if found and found.group().strip(" ,;)") == name:
            return None
        if found and text[found.end() - 1] == "=":
            # `Digest username="ann", response="..."`: the quote belongs to the value.
            found = _WITH_QUOTES.match(text, start)
        return _judged(text, start, found.end(), level, words, loose=False) if found else None
    if level is Secrecy.CERTAIN and text[start] in "[{":
        return Span(start, _closing(text, start), KIND)
    scheme = _SCHEME.match(text, start)
    if after["sign"] == ":" and after["right"] and words & _PASSWORD_WORDS:
        found = _SPELLED_OUT.match(text, start)
        if found:
            end = start + len(found.group().rstrip(_CLOSING) or found.group())
            return _judged(text, start, end, level, words, loose=False)
    found = _BARE.match(text, scheme.end() if scheme else start)
    if found is None or found.group() == name:
        return None
    if after["left"] and after["right"] and after["sign"] == "=" and _CODE.match(text, start):
        return None
    loose = after["sign"] == ":" and not words & _PASSWORD_WORDS
    return _judged(text, start, found.end(), level, words, loose=loose and scheme is None)


def _opening_quote(text: str, start: int) -> tuple[int, re.Pattern[str]] | None:
    inner = start
    if inner < len(text) and text[inner] in "bru" and inner + 1 < len(text) and text[inner + 1] in "\"'":
        inner += 1
    escaped = False
    while inner < len(text) and text[inner] == "\\" and inner - start < 4:
        inner += 1
        escaped = True
    if inner >= len(text) or text[inner] not in _QUOTED:
        return None
    return inner + 1, _ESCAPED if escaped else _QUOTED[text[inner]]


def _judged(
    text: str, start: int, end: int, level: Secrecy, words: frozenset[str], *, loose: bool
) -> Span | None:
    """Return the span if the value deserves it; `loose` says that the label may be the start of a sentence."""
    value = text[start:end].rstrip()
    end = start + len(value)
    if not value or (len(value) <= 64 and _HARMLESS.fullmatch(value)):
        return None
    if level is Secrecy.CERTAIN:
        if loose and value.rstrip(".!?").isalpha() and len(value) < 12 and text[end : end + 1].isspace():
            return None
        return Span(start, end, KIND)
    if "pin" in words:
        return Span(start, end, KIND) if _PIN.match(value) else None
    if "pass" in words:
        # `pass: ok` and `pass=3` count tests.
        return None if value.isalnum() and (value.isalpha() or value.isdigit()) else Span(start, end, KIND)
    if len(value) < _SHORTEST_LIKELY or (len(value) < 200 and _IDENTITY.fullmatch(value)):
        return None
    head = value[:256]
    mixed = any(map(str.isdigit, head)) and any(map(str.isalpha, head))
    return Span(start, end, KIND) if mixed or (len(value) >= _LONG_LIKELY and " " not in head) else None


def _closing(text: str, start: int) -> int:
    """Return the offset behind the bracket that closes the one at `start`, or the bound."""
    depth = 0
    limit = min(len(text), start + _LONGEST_VALUE)
    for bracket in _BRACKET.finditer(text, start, limit):
        if bracket.group() in "[{":
            depth += 1
        elif bracket.group() in "]}":
            depth -= 1
            if depth == 0:
                return bracket.end()
    return limit
