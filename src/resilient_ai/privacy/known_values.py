"""The secrets this process holds, to be found wherever they turn up."""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import TYPE_CHECKING, Final, final
from urllib.parse import quote

from resilient_ai.core.fork import ChildLock
from resilient_ai.core.identifiers import identifier
from resilient_ai.privacy.secret import Secret
from resilient_ai.privacy.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KIND: Final = "KEY"

# Shorter values are words: matching them everywhere would make logs unreadable and guard nothing.
SHORTEST_VALUE: Final = 6


@final
class KnownValues:
    """A set of exact values that are never to leave the process; safe to use from any thread.

    Each value is also known in the forms it takes on its way: percent-encoded, as a JSON string, and in
    Base64. Values of fewer than `SHORTEST_VALUE` characters are not accepted.
    """

    __slots__ = ("_added", "_forms", "_forms_of", "_lock", "version")

    def __init__(self, values: Iterable[str | Secret] = ()) -> None:
        self._lock = ChildLock()
        self._added: Counter[str] = Counter()
        self._forms_of: dict[str, set[str]] = {}
        self._forms: tuple[str, ...] = ()
        self.version = 0
        """Changes whenever the set does."""
        for value in values:
            self.add(value)

    def add(self, value: str | Secret) -> bool:
        """Remember `value`; report whether it is long enough to be looked for."""
        plain = value.reveal() if isinstance(value, Secret) else value
        if len(plain.strip()) < SHORTEST_VALUE:
            return False
        with self._lock:
            self._added[plain] += 1
            if self._added[plain] == 1:
                self._forms_of[plain] = _forms(plain)
                self._changed()
        return True

    def discard(self, value: str | Secret) -> None:
        """Undo one `add` of `value`; it is forgotten once as many were undone as were made."""
        plain = value.reveal() if isinstance(value, Secret) else value
        with self._lock:
            if self._added[plain] > 1:
                self._added[plain] -= 1
            elif self._added.pop(plain, 0):
                del self._forms_of[plain]
                self._changed()

    def _changed(self) -> None:
        # Longest first, so that a key that contains another one is replaced whole.
        forms = {form for forms in self._forms_of.values() for form in forms}
        self._forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))
        self.version += 1

    def __len__(self) -> int:
        return len(self._forms)

    def __repr__(self) -> str:
        return f"KnownValues({len(self._forms)} forms)"

    def find(self, text: str) -> Iterator[Span]:
        """Yield every occurrence of every form in `text`."""
        for form in self._forms:
            at = text.find(form)
            while at >= 0:
                yield Span(at, at + len(form), KIND)
                at = text.find(form, at + len(form))

    def stand_in(self, text: str) -> bool:
        """Any form of any of them stands in `text`."""
        for form in self._forms:  # noqa: SIM110 - a generator would cost more than the search
            if form in text:
                return True
        return False

    def longest(self) -> int:
        """Return the number of characters of the longest form, 0 if there is none."""
        return len(self._forms[0]) if self._forms else 0


def _forms(value: str) -> set[str]:
    raw = value.encode("utf-8", "surrogatepass")
    forms = {
        value,
        quote(value, safe="", errors="replace"),
        json.dumps(value)[1:-1],
        base64.b64encode(raw).decode("ascii").rstrip("="),
        base64.urlsafe_b64encode(raw).decode("ascii").rstrip("="),
    }
    return {form for form in forms if len(form) >= SHORTEST_VALUE}


PROCESS_VALUES: Final = KnownValues()
"""The values every redactor looks for; whoever loads a key adds it here."""


def register(value: str | Secret) -> bool:
    """Make every redactor of this process look for `value`; report whether it is long enough to be."""
    return PROCESS_VALUES.add(value)


def repeatable(text: str | None) -> str | None:
    """`text`, if it is an identifier and holds no key: some providers put what they were sent where an identifier belongs."""
    found = identifier(text)
    return None if found is None or PROCESS_VALUES.stand_in(found) else found
