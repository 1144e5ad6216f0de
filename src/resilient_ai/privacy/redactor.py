"""The one place where text is made fit to leave the process."""

from __future__ import annotations

import hmac
import re
from collections import Counter
from typing import TYPE_CHECKING, Final, final

from resilient_ai.core.fork import ChildLock
from resilient_ai.privacy import detectors as rules
from resilient_ai.privacy.known_values import PROCESS_VALUES, KnownValues
from resilient_ai.privacy.spans import KINDS, Span, merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from resilient_ai.privacy.detectors import Profile
    from resilient_ai.privacy.secret import Secret
    from resilient_ai.privacy.spans import Detector
    from resilient_ai.privacy.stream import StreamRedactor

FAILED: Final = "<REDACTION_FAILED>"
"""Stands for a value that could not be redacted and is therefore withheld whole."""

# A log field longer than this is a document. Source: 16 kB is the record size at which Docker's and
# containerd's log drivers split a line.
MACHINE_MAX_CHARS: Final = 16384

# 24 bits tell equal values from unequal ones within one incident and are too few to confirm a guess by.
_TOKEN_BYTES: Final = 3
# Replacing a match can join or uncover what stood beside it. Two passes were enough for every input that
# fuzzing produced; the bound keeps the work linear.
_MAX_PASSES: Final = 4
_WHOLE_RESCAN_CHARS: Final = 4096
# Documents are read once: a second pass doubles the time for what is cosmetic there.
_SINGLE_PASS_CHARS: Final = 65536
_NEIGHBOURHOOD_CHARS: Final = 160
_CUT_SEARCH_CHARS: Final = 256

PLACEHOLDER: Final = re.compile(r"<([A-Z][A-Z_]{1,40})(?::[0-9a-f]{6,16})?>")


@final
class Redactor:
    """Replaces secrets and personal identifiers by placeholders; safe to use from any thread or task.

    It never raises: what cannot be redacted becomes `FAILED` and is counted in `errors`.

    Attributes:
        profile: `text` leaves as little as possible, for content that is shown to others; `machine` alters as
            little as possible, for log fields, of which nearly all are numbers, ids and addresses of machines.
        errors: How often redaction failed and a value was withheld.
        counts: How many placeholders of each kind were written.
    """

    __slots__ = ("_counts", "_extra", "_key", "_known", "_lock", "_max_chars", "errors", "profile")

    def __init__(
        self,
        profile: Profile = "text",
        *,
        key: bytes | None = None,
        known: KnownValues | Iterable[str | Secret] = (),
        detectors: Iterable[Detector] = (),
        max_chars: int | None = None,
    ) -> None:
        """Configure a redactor.

        Args:
            profile: Which set of rules applies.
            key: Makes placeholders of equal values equal (`<EMAIL:3f2a9c>`), by HMAC-SHA-256 under this key.
                Without it they carry the kind only.
            known: Values to be found exactly, besides those registered for the process.
            detectors: Further rules. One that raises withholds the text it was given.
            max_chars: Length beyond which a text is cut. Default: 16384 for `machine`, unlimited for `text`.
        """
        if profile not in {"text", "machine"}:
            raise ValueError(f"unknown redaction profile {profile!r}: expected 'text' or 'machine'")
        self.profile: Profile = profile
        self._key = key
        self._known = known if isinstance(known, KnownValues) else KnownValues(known)
        self._extra = tuple(detectors)
        self._max_chars = MACHINE_MAX_CHARS if max_chars is None and profile == "machine" else max_chars
        self._counts: Counter[str] = Counter()
        self._lock = ChildLock()
        self.errors = 0

    @property
    def counts(self) -> Mapping[str, int]:
        """A copy of the number of placeholders written so far, by kind."""
        with self._lock:
            return dict(self._counts)

    def text(self, text: str) -> str:
        """Return `text` with placeholders for what is sensitive; the same object if nothing is."""
        try:
            return self._text(text)
        except Exception:  # noqa: BLE001 - fail closed: a raw value must not pass, and the call must not fail
            return self.failed()

    def value(self, value: object) -> object:
        """Return `value` as plain data (dict, list, str, int, float, bool, None) fit for JSON, redacted.

        Mappings, sequences, sets, bytes, exceptions, dataclasses, attrs and pydantic models are walked;
        what is stored under a sensitive name goes whole. Of any other object only the name of its type
        is kept. Cycles, depth and size are bounded.
        """
        from resilient_ai.privacy.structures import redact_value

        try:
            return redact_value(self, value)
        except Exception:  # noqa: BLE001 - as in `text`
            return self.failed()

    def stream(self) -> StreamRedactor:
        """Return a redactor for one stream of text deltas."""
        from resilient_ai.privacy.stream import StreamRedactor

        return StreamRedactor(self)

    def spans(self, text: str) -> list[Span]:
        """Return what is sensitive in `text`: sorted, disjoint.

        Unlike `text` and `value` this may raise, if a detector of the caller's does.
        """
        placeholders = self._own_placeholders(text) if "<" in text else []
        found = rules.find(_blanked(text, placeholders) if placeholders else text, self.profile)
        for values in (PROCESS_VALUES, self._known):
            if len(values):
                found.extend(values.find(text))
        for detector in self._extra:
            found.extend(
                span for span in map(Span._make, detector(text)) if 0 <= span.start < span.end <= len(text)
            )
        if not found:
            return found
        result = merged(found)
        return _around(text, result, placeholders) if placeholders else result

    def placeholder(self, kind: str, match: str) -> str:
        """Return what is written instead of `match`, and count it."""
        with self._lock:
            self._counts[kind] += 1
        if self._key is None:
            return f"<{kind}>"
        message = f"{kind}\0{match}".encode("utf-8", "surrogatepass")
        return f"<{kind}:{hmac.digest(self._key, message, 'sha256')[:_TOKEN_BYTES].hex()}>"

    def is_placeholder(self, text: str) -> bool:
        """Report whether `text` is what a redactor like this one writes, and nothing else."""
        return self._own_placeholders(text) == [(0, len(text))]

    def failed(self) -> str:
        """Count a failure and return what is written instead of the value."""
        with self._lock:
            self.errors += 1
        return FAILED

    def replace(self, text: str, spans: Iterable[Span]) -> str:
        """Return `text` with a placeholder for each of the sorted, disjoint `spans`."""
        pieces: list[str] = []
        at = 0
        for start, end, kind in spans:
            pieces.append(text[at:start])
            pieces.append(self.placeholder(kind, text[start:end]))
            at = end
        pieces.append(text[at:])
        return "".join(pieces)

    def _text(self, text: str) -> str:
        # A subclass of str may lie about itself in any method.
        plain = text if type(text) is str else str.__str__(text)
        bound = self._max_chars
        if bound is None or len(plain) <= bound:
            return self._redacted(plain)
        cut = self._cut(plain[: bound + _CUT_SEARCH_CHARS], bound)
        return f"{self._redacted(plain[:cut])}<TRUNCATED:{len(plain) - cut}>"

    def _redacted(self, text: str) -> str:
        spans = self.spans(text)
        passes = _MAX_PASSES if len(text) <= _WHOLE_RESCAN_CHARS else 2
        if len(text) > _SINGLE_PASS_CHARS:
            return self.replace(text, spans) if spans else text
        for _ in range(passes):
            if not spans:
                break
            text = self.replace(text, spans)
            if len(spans) * _NEIGHBOURHOOD_CHARS * 4 > len(text):
                spans = self.spans(text)
            else:
                spans = self._near_placeholders(text)
        return text

    def _near_placeholders(self, text: str) -> list[Span]:
        """Return the spans of a text already redacted, looking only where it has changed."""
        result: list[Span] = []
        at = 0
        for low, high in self._own_placeholders(text):
            if high + _NEIGHBOURHOOD_CHARS <= at:
                continue
            start = _blank(text, max(at, low - _NEIGHBOURHOOD_CHARS), low)
            at = _blank(text, min(len(text), high + _NEIGHBOURHOOD_CHARS), len(text))
            result.extend(
                Span(begin + start, end + start, kind) for begin, end, kind in self.spans(text[start:at])
            )
        return result

    def _cut(self, head: str, bound: int) -> int:
        """Return an offset of at most `bound` that divides neither a word nor a match."""
        cut = bound
        for back in range(bound, max(bound - _CUT_SEARCH_CHARS, 0), -1):
            if head[back - 1].isspace():
                cut = back
                break
        for start, end, _ in self.spans(head):
            if start < cut < end:
                return start
        return cut

    def _own_placeholders(self, text: str) -> list[tuple[int, int]]:
        return [
            found.span()
            for found in PLACEHOLDER.finditer(text)
            if found.group(1) in KINDS or found.group(1) in self._counts
        ]


def _blanked(text: str, placeholders: list[tuple[int, int]]) -> str:
    """Return `text` with the inside of placeholders struck out: their names and tokens are no one's data."""
    pieces: list[str] = []
    at = 0
    for low, high in placeholders:
        pieces += (text[at : low + 1], "\0" * (high - low - 2), ">")
        at = high
    pieces.append(text[at:])
    return "".join(pieces)


def _blank(text: str, start: int, stop: int) -> int:
    """Return the offset of the first white space from `start`, at most `stop` or a neighbourhood away."""
    for at in range(start, min(stop, start + _NEIGHBOURHOOD_CHARS)):
        if text[at].isspace():
            return at
    return min(stop, start + _NEIGHBOURHOOD_CHARS)


def _around(text: str, spans: list[Span], placeholders: list[tuple[int, int]]) -> list[Span]:
    """Cut the placeholders of an earlier pass out of `spans`, so that redacting twice changes nothing."""
    result: list[Span] = []
    at = 0
    for start, end, kind in spans:
        begin = start
        pieces: list[tuple[int, int]] = []
        while at < len(placeholders) and placeholders[at][1] <= begin:
            at += 1
        index = at
        while index < len(placeholders) and placeholders[index][0] < end:
            low, high = placeholders[index]
            pieces.append((begin, low))
            begin = max(begin, high)
            index += 1
        pieces.append((begin, end))
        # What a match shares with a placeholder beyond it is mostly the quote or bracket behind it.
        result.extend(
            Span(low, high, kind)
            for low, high in pieces
            if len(pieces) == 1 or any(map(str.isalnum, text[low:high]))
        )
    return result
