"""How long a provider asks us to wait, in every form providers write it.

A hint is None or a finite number of seconds >= 0. What cannot be meant (negative, not a number, a date that has passed) counts as
absent; what is meant but longer than anybody waits is kept, cut to `LONGEST_HINT`, so that a caller gives up at once instead of
trying again too early.

Source: RFC 9110 section 10.2.3 (`Retry-After`) and 5.6.7 (dates, two obsolete forms included); draft-ietf-httpapi-ratelimit-headers
(`RateLimit: "name";r=0;t=30`); google.rpc.RetryInfo; the header tables of the OpenAI, Azure, Anthropic, Groq and Together references.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Final, cast, final

from resilient_ai.core.clock import Clock
from resilient_ai.core.error_body import ErrorFacts, as_object

LONGEST_HINT: Final = 31_536_000.0
"""A year, in seconds. Anything longer is beyond every deadline alike."""

MAX_HEADER_CHARACTERS: Final = 8192
"""How much of a header's value is read; a number of 5,000 digits is still seen to be one."""

_MILLISECONDS_FROM: Final = 1e11
_EPOCH_FROM: Final = 1e9
"""A reset above 1e9 is an instant since the epoch (2001 and later), above 1e11 one in milliseconds."""

_NUMBER: Final = re.compile(r"([0-9]+)(?:\.([0-9]*))?|\.([0-9]+)", re.ASCII)
_EXPONENT: Final = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,20})?)e\+?([0-9]{1,20})", re.ASCII | re.IGNORECASE)
_DURATION: Final = re.compile(
    r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9}(?:\.[0-9]{1,12})?)m(?!s))?"
    r"(?:([0-9]{1,12}(?:\.[0-9]{1,12})?)s)?(?:([0-9]{1,12}(?:\.[0-9]{1,12})?)ms)?",
    re.ASCII,
)
_ASKED: Final = re.compile(
    r"(?:try|retry|retrying|wait)(?: your request)?(?: again)?(?: in| after| for)?:? "
    r"(?:(?P<count>[0-9]{1,12}(?:\.[0-9]{1,12})?) ?(?P<unit>milliseconds?|seconds?|secs?|minutes?|mins?|hours?|days?)\b"
    r"|(?P<duration>(?:[0-9]{1,12}(?:\.[0-9]{1,12})?(?:ms|d|h|m|s))+)(?![a-z0-9]))",
    re.ASCII,
)
_QUOTA_RESET: Final = re.compile(
    r"Your quota will reset after (?P<duration>(?:[0-9]{1,9}(?:\.[0-9]{1,12})?[dhms])+)",
    re.ASCII | re.IGNORECASE,
)
_IETF_ITEM: Final = re.compile(
    r"(?:^|,)\s*\"?[\w.\- ]{0,80}\"?\s*((?:;\s*[a-z]{1,8}\s*=\s*[0-9\"]{1,12}\s*)+)", re.ASCII
)
_IETF_PARAMETER: Final = re.compile(r"([a-z]{1,8})\s*=\s*([0-9]{1,12})", re.ASCII)
_RESET: Final = re.compile(
    r"(?:x-)?ratelimit(?:bysize)?-reset(?:-(?P<plain>[a-z\-]{1,40}))?"
    r"|anthropic-(?P<fast>fast-)?ratelimit-(?P<anthropic>[a-z\-]{1,40})-reset",
    re.ASCII,
)
_UNITS: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@final
@dataclass(slots=True)
class Hint:
    """What was found. `seconds` is None without a usable hint; `ignored` tells that one was sent and cannot be meant."""

    seconds: float | None = None
    source: str = ""
    ignored: bool = False


def fold_headers(headers: object) -> dict[str, str]:
    """Headers by lower-case name, whatever holds them: a mapping of any library, or pairs. Never raises.

    Of a repeated header the first value counts. What is no text is left out.
    """
    folded: dict[str, str] = {}
    if headers is None:
        return folded
    try:
        pairs: Iterable[object] = (
            cast("Mapping[object, object]", headers).items()
            if hasattr(headers, "items")
            else cast("Iterable[object]", headers)
        )
        for pair in pairs:
            name, value = cast("tuple[object, object]", pair)
            text = _header_text(value)
            if text is not None:
                folded.setdefault(_header_text(name) or "", text)
    except Exception:  # noqa: BLE001 - a strange container of headers must not hide the failure it came with
        return {name.lower(): text for name, text in folded.items()}
    return {name.lower(): text for name, text in folded.items()}


def _header_text(value: object) -> str | None:
    if isinstance(value, str):
        return value if len(value) <= MAX_HEADER_CHARACTERS else value[:MAX_HEADER_CHARACTERS]
    if isinstance(value, bytes | bytearray):
        return bytes(value[:MAX_HEADER_CHARACTERS]).decode("latin-1")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (
            format(value, "f")
            if isinstance(value, float)
            else format(value, "d")
            if abs(value) < 10**18
            else "9" * 19
        )
    if isinstance(value, list | tuple) and value:
        return _header_text(cast("list[object]", value)[0])
    return None


def read_hint(headers: Mapping[str, str], facts: ErrorFacts, clock: Clock, *, paced: bool) -> Hint:
    """The wait the provider asks for.

    The explicit request wins over what can be derived: `retry-after-ms`, `retry-after`, then the body's own field,
    its sentence, and last, if `paced`, the reset of the limit that is used up.

    Args:
        headers: Folded headers of a failure (never of an answer: those carry hints that mean nothing).
        facts: What the body says.
        clock: Wall time, for dates.
        paced: The failure is a rate limit, so that limits' resets tell when it ends.
    """
    hint = Hint()
    if headers:
        _from_retry_after(headers, clock, hint)
    if hint.seconds is None and facts.form == "json":
        _from_body(facts, hint)
    if hint.seconds is None and facts.message:
        _from_text(facts.message, hint)
    if hint.seconds is None and paced:
        if headers:
            _from_resets(headers, facts, clock, hint)
        if hint.seconds is None and facts.headers is not None:
            _from_resets(fold_headers(facts.headers), facts, clock, hint)
    return hint


def quota_reset(facts: ErrorFacts) -> float | None:
    """Seconds until a spent quota fills again, where the provider says so in as many words."""
    match = _QUOTA_RESET.search(facts.message)
    return None if match is None else duration(match["duration"])


def number(text: str) -> float | None:
    """A non-negative decimal as seconds, cut to `LONGEST_HINT`; None for anything else, signs and `inf` included.

    With an exponent it is no number of the standard's, but one that SDKs read and wait for.
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        scaled = _EXPONENT.fullmatch(text)
        return None if scaled is None else min(float(text), LONGEST_HINT)
    whole = match[1] or "0"
    if len(whole.lstrip("0")) > 12:
        return LONGEST_HINT
    return min(float(text[: len(whole) + 20] if match[1] else text[:20]), LONGEST_HINT)


def duration(text: str) -> float | None:
    """A duration as Go prints it (`6ms`, `1h8m25.745s`) or plain seconds; None for anything else."""
    plain = number(text)
    if plain is not None:
        return plain
    if not text or len(text) > 80:
        return None
    match = _DURATION.fullmatch(text.lower())
    if match is None:
        return None
    days, hours, minutes, seconds, milliseconds = (float(part) if part else 0.0 for part in match.groups())
    total = days * 86400 + hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    return min(round(total, 9), LONGEST_HINT)


def _from_retry_after(headers: Mapping[str, str], clock: Clock, hint: Hint) -> None:
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        sent = headers.get(name)
        if sent is not None:
            value = number(sent.strip())
            if value is not None:
                _take(hint, value / 1000 if value < LONGEST_HINT else value, name)
                return
            hint.ignored = True
    sent = headers.get("retry-after")
    if sent is None:
        return
    text = sent.strip()
    value = duration(text)
    if value is None:
        value = _until(text, headers.get("date"), clock)
    if value is None:
        hint.ignored = True
    else:
        _take(hint, value, "retry-after")


def _until(text: str, sent_at: str | None, clock: Clock) -> float | None:
    """Seconds until an HTTP date, by the server's own clock if it tells the time; None if it has passed."""
    until = _instant(text)
    if until is None:
        return None
    now = _instant(sent_at) if sent_at else None
    seconds = until - (clock.wall() if now is None else now)
    return min(seconds, LONGEST_HINT) if seconds >= 0 and isfinite(seconds) else None


def _instant(text: str) -> float | None:
    """Seconds since the epoch of an HTTP date in any of its three forms, or of an RFC 3339 time."""
    # It drags in the socket and URL modules, for a form of hint that few servers send.
    from email.utils import parsedate_to_datetime

    text = text.strip()
    if len(text) > 80 or len(text) < 8:
        return None
    try:
        parsed = datetime.fromisoformat(text) if text[0] in "0123456789" else parsedate_to_datetime(text)
        if parsed.tzinfo is None:
            parsed = parsed.replace(tzinfo=UTC)
        return (parsed - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _from_body(facts: ErrorFacts, hint: Hint) -> None:
    for detail in facts.details:
        delay = detail.get("retryDelay", detail.get("retry_delay"))
        if delay is not None:
            value = _delay(delay)
            if value is not None:
                _take(hint, value, "RetryInfo")
                return
            hint.ignored = True
    for holder in (facts.error, facts.root):
        if holder is None:
            continue
        for key, factor in (
            ("retry_after_ms", 0.001),
            ("retry_after", 1.0),
            ("retry_after_seconds", 1.0),
            ("estimated_time", 1.0),
        ):
            value = _delay(holder.get(key))
            if value is not None:
                _take(hint, value * factor, key)
                return
        metadata = as_object(holder.get("metadata"))
        value = None if metadata is None else _delay(metadata.get("retry_after_seconds"))
        if value is not None:
            _take(hint, value, "retry_after_seconds")
            return


def _delay(value: object) -> float | None:
    """A duration as JSON carries it: `"26.5s"`, 26.5, or `{"seconds": 26, "nanos": 500000000}`."""
    if isinstance(value, str):
        return duration(value.strip())
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if value < 0 else float(min(value, int(LONGEST_HINT)))
    if isinstance(value, float):
        return min(value, LONGEST_HINT) if value >= 0 and isfinite(value) else None
    parts = as_object(value)
    if parts is not None:
        seconds = _delay(parts.get("seconds", 0))
        nanos = parts.get("nanos", 0)
        if seconds is not None and isinstance(nanos, int) and 0 <= nanos < 1_000_000_000:
            return min(seconds + nanos / 1e9, LONGEST_HINT)
    return None


def _from_text(message: str, hint: Hint) -> None:
    lowered = message.lower()
    if "try" not in lowered and "wait" not in lowered:
        return
    match = _ASKED.search(lowered)
    if match is None:
        return
    if match["duration"] is not None:
        value = duration(match["duration"])
    else:
        unit = match["unit"]
        factor = _UNITS["ms" if unit.startswith("milli") else unit[0]]
        value = min(float(match["count"]) * factor, LONGEST_HINT)
    if value is not None:
        _take(hint, value, "message")


def _from_resets(headers: Mapping[str, str], facts: ErrorFacts, clock: Clock, hint: Hint) -> None:
    """The reset of the limit that is used up; of the shortest one if no header says which that is."""
    used_up: list[float] = []
    unknown: list[float] = []
    for name, sent in headers.items():
        if "ratelimit" not in name:
            continue
        if name == "ratelimit":
            _from_ietf(sent, used_up)
            continue
        match = _RESET.fullmatch(name)
        if match is None:
            continue
        value = _reset(sent.strip(), headers.get("date"), clock)
        if value is None:
            hint.ignored = True
            continue
        remaining = headers.get(name.replace("reset", "remaining"))
        dimension = match["plain"] or match["anthropic"] or ""
        if (remaining is not None and number(remaining.strip()) == 0) or (
            dimension and dimension in facts.codes
        ):
            used_up.append(value)
        else:
            unknown.append(value)
    # Several exhausted limits all have to fill again; of limits that may or may not be, the nearest costs one try at most.
    if used_up:
        _take(hint, max(used_up), "rate limit reset")
    elif unknown:
        _take(hint, min(unknown), "rate limit reset")


def _from_ietf(sent: str, used_up: list[float]) -> None:
    for item in _IETF_ITEM.finditer(sent):
        parameters = dict(_IETF_PARAMETER.findall(item[1]))
        if parameters.get("r") == "0" and "t" in parameters:
            used_up.append(min(float(parameters["t"]), LONGEST_HINT))


def _reset(text: str, sent_at: str | None, clock: Clock) -> float | None:
    """Seconds until a reset given as a duration, as seconds, as an instant since the epoch, or as a date."""
    if _NUMBER.fullmatch(text):
        value = number(text) if len(text) < 9 else float(text[:20])
        if value is not None and value >= _EPOCH_FROM:
            instant = value / 1000 if value >= _MILLISECONDS_FROM else value
            seconds = instant - clock.wall()
            return min(seconds, LONGEST_HINT) if seconds >= 0 else None
        return value
    seconds_left = duration(text)
    return _until(text, sent_at, clock) if seconds_left is None else seconds_left


def _take(hint: Hint, seconds: float, source: str) -> None:
    hint.seconds = seconds
    hint.source = source
