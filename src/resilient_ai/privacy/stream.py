"""Redacts a text that arrives in pieces, whatever the pieces are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, final

from resilient_ai.privacy.spans import Span

if TYPE_CHECKING:
    from resilient_ai.privacy.redactor import Redactor

# How much is held back: a match that has begun within the last characters may not be recognisable yet.
# Source: all rules but keys, private keys and quoted values recognise what they find within 128 characters.
HOLD_BACK_CHARS: Final = 256
# Text before the held back part is kept as context: labels that make what follows sensitive.
_CONTEXT_CHARS: Final = 192
# Releasing less than this at a time would scan the same text again for every delta of one token.
_STEP_CHARS: Final = 32
_FIRST_SCAN_CHARS: Final = HOLD_BACK_CHARS + _STEP_CHARS
# A match that grows beyond this is replaced while it is still growing; the rest of its run is dropped.
_LONGEST_HELD: Final = 8192

_RUN_END: Final = re.compile(r"(?=\s)")
_PEM_END: Final = re.compile(r"-----END [A-Z0-9 ]{0,50}-----")
# The end of a match may itself arrive in pieces.
_LONGEST_END: Final = 80


@final
class StreamRedactor:
    """Redacts one stream of decoded text; belongs to one task.

    `feed` returns what is safe to show so far, `flush` the rest. Call `flush` however the stream ends: on
    its end, on an error and on cancellation. What is shown leaks no more than redacting the whole text would.
    """

    __slots__ = ("_context", "_dropping", "_pending", "_redactor", "_wait")

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._context = ""
        self._pending = ""
        self._dropping: re.Pattern[str] | None = None
        # Pending characters before the next scan: twice as many after each that could show nothing, so that
        # a match that grows for long is not scanned from its beginning for every delta.
        self._wait = _FIRST_SCAN_CHARS

    def feed(self, delta: str) -> str:
        """Take the next piece; return the redacted text that can be shown, often none. Never raises."""
        try:
            return self._feed(delta)
        except Exception:  # noqa: BLE001 - fail closed: the held back text is withheld
            return self._fail()

    def flush(self) -> str:
        """Return the redacted rest. The stream starts anew after it. Never raises."""
        try:
            shown = "" if self._dropping is not None else self._release(len(self._pending))
        except Exception:  # noqa: BLE001 - as in `feed`
            shown = self._fail()
        self._context = self._pending = ""
        self._dropping = None
        self._wait = _FIRST_SCAN_CHARS
        return shown

    def _fail(self) -> str:
        self._pending = self._context = ""
        return self._redactor.failed()

    def _feed(self, delta: str) -> str:
        self._pending += delta
        if self._dropping is not None and not self._resumed(self._dropping):
            return ""
        held = len(self._pending)
        if held < self._wait:
            return ""
        shown = self._release(self._boundary(held - HOLD_BACK_CHARS))
        stuck = len(self._pending) == held
        self._wait = min(held * 2, _LONGEST_HELD + 1) if stuck else _FIRST_SCAN_CHARS
        return shown

    def _boundary(self, cut: int) -> int:
        """Return the offset at which the word begins that stands at `cut`."""
        pending = self._pending
        while cut > 0 and not pending[cut - 1].isspace():
            cut -= 1
        return cut

    def _release(self, cut: int) -> str:
        """Show the first `cut` pending characters, fewer if a match runs across that border."""
        held = len(self._pending)
        if not held or (cut == 0 and held < _LONGEST_HELD):
            return ""
        offset = len(self._context)
        whole = self._context + self._pending
        spans = self._redactor.spans(whole)
        growing = "KEY"
        for start, end, kind in spans:
            if start < cut + offset < end:
                cut = max(start - offset, 0)
                growing = kind
        endless = held - cut > _LONGEST_HELD
        stop = cut + offset
        shown = self._shown(whole, offset, stop, spans)
        self._context = whole[max(0, stop - _CONTEXT_CHARS) : stop]
        self._pending = self._pending[cut:]
        return shown + self._give_up(growing) if endless else shown

    def _shown(self, whole: str, start: int, stop: int, spans: list[Span]) -> str:
        inside = [
            Span(max(low, start) - start, min(high, stop) - start, kind)
            for low, high, kind in spans
            if low < stop and high > start
        ]
        released = whole[start:stop]
        return self._redactor.replace(released, inside) if inside else released

    def _give_up(self, kind: str) -> str:
        """Show a placeholder for a match or word that has no end in sight, and drop what belongs to it."""
        self._dropping = _PEM_END if kind == "PRIVATE_KEY" else _RUN_END
        self._resumed(self._dropping)
        return self._redactor.placeholder(kind, "")

    def _resumed(self, end: re.Pattern[str]) -> bool:
        """Drop the pending text up to the end of the match being dropped; report whether it has come."""
        found = end.search(self._pending)
        if found is None:
            self._pending = self._pending[-_LONGEST_END:]
            return False
        self._dropping = None
        self._context = ""
        self._pending = self._pending[found.end() :]
        return True
