"""Finds where people and machines are reached: e-mail and network addresses, logins inside URLs."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from resilient_ai.privacy.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# RFC 5321 allows 64 octets for the local part. More are taken: a too long address is still one.
_LONGEST_LOCAL: Final = 128

_DOMAIN: Final = re.compile(
    r"@(?:(?:[^\W_](?:[\w\-]{0,62})\.){1,60}(?:xn--[0-9A-Za-z\-]{1,59}|[^\W\d_]{2,24})(?![^\W\d_])"
    r"|(?:[^\W_](?:[\w\-]{0,62})\.){1,60}[^\W\d_]{2,}|\[[0-9A-Fa-f:.]{7,45}\])"
)
_LOCAL_BACKWARDS: Final = re.compile(rf"[\w.!#$%&'*+/=?^`{{|}}~\-]{{1,{_LONGEST_LOCAL}}}")
_FIELD_SIGN: Final = re.compile(r"[=?&|/]")
_QUOTED_LOCAL_BACKWARDS: Final = re.compile(r"\"[^\"\r\n]{1,64}\"")
# Names of files and units that are written with an @.
_NOT_DOMAINS: Final = frozenset(
    {
        "service", "socket", "timer", "target", "mount", "slice", "scope", "device", "swap", "automount", "png",
        "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "js", "ts", "mjs", "tgz", "whl", "jar", "dll", "so",
    }
)  # fmt: skip
_SPELLED_AT: Final = re.compile(r"\s{0,2}(?:[(\[{<]at[)\]}>]|\sat\s)", re.IGNORECASE)
_SPELLED_LOCAL_BACKWARDS: Final = re.compile(r"[\w.+\-]{1,64}")
_SPELLED_DOMAIN: Final = re.compile(
    r"\s{0,2}[\w\-]{1,63}(?:\s{0,2}(?:[(\[{<]dot[)\]}>]|\sdot\s|\.)\s{0,2}[\w\-]{2,63}){1,4}", re.IGNORECASE
)
_SPELLED_DOT: Final = re.compile(r"\(dot\)|\[dot\]|\{dot\}|<dot>|\sdot\s|[(\[{<]at[)\]}>]", re.IGNORECASE)

_USERINFO: Final = re.compile(
    r"://(?P<user>[^\s/?#@:\"'<>]{0,128}):(?!\d{1,5}/)(?P<secret>[^\s\"'<>]{0,256})@(?=[\w\[.$\-])"
)
_USERINFO_TOKEN: Final = re.compile(r"://(?P<secret>[^\s/?#@:\"'<>]{8,256})@(?=[\w\[.])")

_USER_OPTION: Final = re.compile(
    r"(?<=\s)(?:-u|--user|--proxy-user|-U)[ =]?[\"']?(?P<login>[^\s:/\"']{1,64}:(?!/)[^\s\"']{1,128})"
)
_NETRC: Final = re.compile(r"\blogin\s{1,4}\S{1,128}\s{1,4}password\s{1,4}(?P<secret>\S{1,128})")

# These begin with a character and look behind it second: the search for the character is one in C.
_IPV4: Final = re.compile(r"\d(?<![\d.]\d)\d{0,2}(?:\.\d{1,3}){3}(?!\.?\d)(?:/\d{1,2}\b)?")
# In the map of digits of `detectors.py`.
_THREE_DOTS: Final = re.compile(rb"0\.0{1,3}\.0{1,3}\.0")
# Hexadecimal digits as h, the signs between them as they are.
_HEXADECIMAL_MAP: Final = bytes(
    0x68 if chr(code) in "0123456789abcdefABCDEF" else code if chr(code) in ":.-" else 0x20
    for code in range(256)
)
_HEXADECIMAL_RUNS: Final = re.compile(rb"[h:.\-]{3,}")
_VERSION_BEFORE: Final = re.compile(
    r"(?:§|[<>=~!]=|\bv(?:ersion)?\.?|\bsection|\brevision|\brelease) ?$", re.IGNORECASE
)
_IPV6: Final = re.compile(r"[0-9A-Fa-f:](?<![\w:.][0-9A-Fa-f:])[0-9A-Fa-f:.]{2,44}(?![\w:])(?:%\w{1,16})?")
_MAC: Final = re.compile(
    r"[0-9A-Fa-f](?<![\w:\-][0-9A-Fa-f])[0-9A-Fa-f]([:\-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w\-])"
)
_DOTTED_MAC: Final = re.compile(
    r"[0-9A-Fa-f]{4}(?<![\w.][0-9A-Fa-f]{4})\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?![\w.])"
)
_DOTTED_SHAPE: Final = b"hhhh.hhhh.hhhh"
_COORDINATES: Final = re.compile(
    r"[-+0-9](?<![\w.][-+0-9])\d{0,2}\.\d{3,16}°?\s{0,2}[NS]?\s{0,2}[,;/ ]\s{0,2}[-+]?\d{1,3}\.\d{3,16}(?![\w.])"
)


def find_email(text: str, *, logins: Iterable[Span], units: bool) -> Iterator[Span]:
    """Yield e-mail addresses.

    Args:
        text: The text.
        logins: What `find_userinfo` found: the sign behind it is no part of an address.
        units: Whether names of files and service units that look like addresses are taken as well.
    """
    passed = {login.end for login in logins}
    for domain in _DOMAIN.finditer(text):
        if domain.start() in passed:
            continue
        start = _local_start(text, domain.start())
        if start is None or (
            not units and text[domain.start() : domain.end()].rpartition(".")[2].lower() in _NOT_DOMAINS
        ):
            continue
        yield Span(start, domain.end(), "EMAIL")


def _local_start(text: str, at: int) -> int | None:
    before = text[max(0, at - _LONGEST_LOCAL) : at][::-1]
    if before.startswith('"') and (quoted := _QUOTED_LOCAL_BACKWARDS.match(before)):
        return at - quoted.end()
    local = _LOCAL_BACKWARDS.match(before)
    if local is None:
        return None
    # `?mail=a@b.c` and `to/a@b.c`: the field's name is not part of the address.
    field = _FIELD_SIGN.search(before, 1, local.end() - 1)
    return at - (field.start() if field else local.end())


def find_spelled_email(text: str) -> Iterator[Span]:
    """Yield `ann (at) example dot org`."""
    for sign in _SPELLED_AT.finditer(text):
        domain = _SPELLED_DOMAIN.match(text, sign.end())
        local = _SPELLED_LOCAL_BACKWARDS.match(text[max(0, sign.start() - 64) : sign.start()][::-1])
        if domain and local and _SPELLED_DOT.search(text, sign.start(), domain.end()):
            yield Span(sign.start() - local.end(), domain.end(), "EMAIL")


def find_userinfo(text: str) -> Iterator[Span]:
    """Yield the login and password of URLs and connection strings; scheme and host stay."""
    for found in _USERINFO.finditer(text):
        yield Span(found.start("user"), found.end("secret"), "CREDENTIALS")
    for found in _USERINFO_TOKEN.finditer(text):
        yield Span(found.start("secret"), found.end("secret"), "CREDENTIALS")


def find_command_line_logins(text: str) -> Iterator[Span]:
    """Yield the logins of `curl -u ann:secret` and the passwords of lines of a `.netrc`."""
    for found in _USER_OPTION.finditer(text):
        yield Span(*found.span("login"), "CREDENTIALS")
    for found in _NETRC.finditer(text):
        yield Span(*found.span("secret"), "CREDENTIALS")


def find_ipv4(text: str, digits: bytes, start: int) -> Iterator[Span]:
    """Yield IPv4 addresses and networks in the region of `text` that begins at `start` and has this map of digits."""
    for dots in _THREE_DOTS.finditer(digits):
        first = start + dots.start()
        begin = next(
            (at for at in (first - 2, first - 1) if at >= 0 and text[at : first + 1].isdigit()), first
        )
        found = _IPV4.match(text, begin)
        if found is None or any(int(octet) > 255 for octet in found.group().partition("/")[0].split(".")):
            continue
        if _VERSION_BEFORE.search(text, max(0, begin - 12), begin):
            continue
        yield Span(begin, found.end(), "IP_ADDRESS")


def find_hexadecimal_addresses(text: str, raw: bytes, start: int) -> Iterator[Span]:
    """Yield IPv6 and hardware addresses in the region of `text` that begins at `start` and is `raw` in Latin-1."""
    for run in _HEXADECIMAL_RUNS.finditer(raw.translate(_HEXADECIMAL_MAP)):
        signs = run.group()
        low, high = start + run.start(), start + run.end()
        if signs.count(b":") >= 5 or signs.count(b"-") >= 5:
            for found in _MAC.finditer(text, low, high):
                yield Span(found.start(), found.end(), "MAC_ADDRESS")
        if _DOTTED_SHAPE in signs:
            for found in _DOTTED_MAC.finditer(text, low, high):
                yield Span(found.start(), found.end(), "MAC_ADDRESS")
        if signs.count(b":") < 2:
            continue
        # A zone may follow: `fe80::1%eth0`.
        for found in _IPV6.finditer(text, low, high + 17):
            candidate = found.group().partition("%")[0].rstrip(".")
            if candidate.count(":") < 2 or not any(map(str.isdigit, candidate)):
                continue
            try:
                ipaddress.IPv6Address(candidate)
            except ValueError:
                continue
            yield Span(found.start(), found.end(), "IP_ADDRESS")


def find_coordinates(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield pairs of latitude and longitude precise enough to name a house (three decimals: 100 m)."""
    for found in _COORDINATES.finditer(text, start, end):
        yield Span(found.start(), found.end(), "COORDINATES")
