"""Reversible placeholders: a model that may not see personal data gets stand-ins, the caller gets the data.

The same value has the same placeholder within one conversation, so that a model can still tell two people
apart; the way back exists only in the memory of this process.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from typing import TYPE_CHECKING, Final, cast, final

from resilient_ai.privacy.key_names import Secrecy, secrecy
from resilient_ai.privacy.redactor import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_ai.privacy.spans import Span

    _Change = Callable[[str], str]

# 40 bits: at a thousand values in a conversation two of them collide with probability 5e-7, and a collision
# is resolved, not ignored.
_TOKEN_BYTES: Final = 5
# What models do to a placeholder: they escape its brackets, change its case, put spaces or markup into it.
_PLACEHOLDER: Final = re.compile(
    r"(?:<|&lt;|\\u003[cC])\s{0,2}([A-Za-z][A-Za-z0-9_]{0,40})\s{0,2}:\s{0,2}([0-9A-Fa-f]{10,24})\s{0,2}(?:>|&gt;|\\u003[eE])"
)
_LONGEST_PLACEHOLDER: Final = 96
_NAME_SO_FAR: Final = re.compile(
    r"\s{0,2}(?:[A-Za-z][A-Za-z0-9_]{0,40}\s{0,2}(?::\s{0,2}[0-9A-Fa-f]{0,24}\s{0,2}[&\\]?[gtu0-3]{0,4})?)?"
)
_OPENINGS: Final = ("<", "&lt;", "\\u003c", "\\u003C")


@final
class Pseudonymiser:
    """Hides personal data before a request and restores it in the answer; one per conversation.

    Safe to use from several tasks of one event loop. It holds the originals in memory until it is dropped.
    """

    __slots__ = ("_key", "_originals", "_redactor")

    def __init__(self, redactor: Redactor | None = None, *, key: bytes | None = None) -> None:
        """Configure a pseudonymiser.

        Args:
            redactor: Decides what is hidden; by default one of the `text` profile.
            key: Under which placeholders are derived; by default a random one, so that they mean nothing in
                any other conversation.
        """
        self._redactor = redactor or Redactor("text")
        self._key = key or secrets.token_bytes(32)
        self._originals: dict[str, str] = {}

    def hide(self, text: str) -> str:
        """Return `text` with a placeholder for each sensitive value; a constant if that fails."""
        try:
            spans = self._redactor.spans(text)
            return self._hidden(text, spans) if spans else text
        except Exception:  # noqa: BLE001 - fail closed: what could not be hidden is not sent
            return self._redactor.failed()

    def hide_value(self, value: object) -> object:
        """Return JSON data with the strings in it hidden; the names of fields stay."""
        return _mapped(value, self.hide)

    def hide_json(self, document: str) -> str:
        """Return a JSON document with everything in it hidden and still valid JSON: names of fields and numbers too.

        A number that is hidden becomes a string. A document that is not valid JSON is hidden as text.
        """
        try:
            parsed: object = json.loads(document)
        except (ValueError, RecursionError):
            return self.hide(document)
        hidden = self._hidden_value(parsed, "")
        return document if hidden == parsed else json.dumps(hidden, ensure_ascii=False)

    def restore(self, text: str) -> str:
        """Return `text` with the originals in place of the placeholders this object has issued."""
        if not self._originals or ":" not in text:
            return text
        return _PLACEHOLDER.sub(self._original, text)

    def restore_value(self, value: object) -> object:
        """Return JSON data, such as the arguments of a tool call, with the strings and names of fields in it restored."""
        return _mapped(value, self.restore, self.restore)

    def restore_json(self, document: str) -> str:
        """Return a JSON document with its strings restored and still valid JSON, whatever the originals hold.

        A document that is not (yet) valid JSON is restored as text, with the originals escaped.
        """
        try:
            parsed: object = json.loads(document)
        except (ValueError, RecursionError):
            return self.restore_escaped(document)
        restored = self.restore_value(parsed)
        return document if restored == parsed else json.dumps(restored, ensure_ascii=False)

    def restore_escaped(self, piece: str) -> str:
        """Return a piece of a JSON document with the originals in it as JSON strings hold them."""
        if not self._originals or ":" not in piece:
            return piece
        return _PLACEHOLDER.sub(self._escaped, piece)

    def stream(self, *, escaped: bool = False) -> RestoringStream:
        """Return a restorer for one stream of text deltas; `escaped` if the text is JSON."""
        return RestoringStream(self.restore_escaped if escaped else self.restore)

    def _hidden_value(self, value: object, name: str) -> object:
        if isinstance(value, str):
            if value and secrecy(name) is Secrecy.CERTAIN:
                return self._placeholder("SECRET", value)
            return self.hide(value)
        if isinstance(value, dict):
            fields = cast("dict[str, object]", value)
            return {self.hide(key): self._hidden_value(inner, key) for key, inner in fields.items()}
        if isinstance(value, list):
            return [self._hidden_value(inner, name) for inner in cast("list[object]", value)]
        if isinstance(value, int | float) and not isinstance(value, bool):
            written = json.dumps(value)
            hidden = self.hide(written)
            return value if hidden == written else hidden
        return value

    def _hidden(self, text: str, spans: list[Span]) -> str:
        pieces: list[str] = []
        at = 0
        for start, end, kind in spans:
            pieces.append(text[at:start])
            pieces.append(self._placeholder(kind, text[start:end]))
            at = end
        pieces.append(text[at:])
        return "".join(pieces)

    def _placeholder(self, kind: str, original: str) -> str:
        digest = hmac.digest(
            self._key, f"{kind}\0{original}".encode("utf-8", "surrogatepass"), "sha256"
        ).hex()
        for length in range(_TOKEN_BYTES * 2, len(digest), 2):
            token = digest[:length]
            if self._originals.setdefault(token, original) == original:
                break
        else:
            raise RuntimeError("no free placeholder")
        return f"<{kind}:{token}>"

    def _original(self, found: re.Match[str]) -> str:
        return self._originals.get(found.group(2).lower(), found.group())

    def _escaped(self, found: re.Match[str]) -> str:
        original = self._originals.get(found.group(2).lower())
        return found.group() if original is None else json.dumps(original, ensure_ascii=False)[1:-1]


@final
class RestoringStream:
    """Restores one stream of text deltas in which a placeholder may be spread over several; one task's."""

    __slots__ = ("_pending", "_restore")

    def __init__(self, restore: Callable[[str], str]) -> None:
        self._restore = restore
        self._pending = ""

    def feed(self, delta: str) -> str:
        """Take the next piece; return what can be shown: all but the beginning of a placeholder."""
        pending = self._pending + delta
        cut = self._undecided(pending)
        self._pending = pending[cut:]
        return self._restore(pending[:cut])

    def flush(self) -> str:
        """Return the rest, restored. The stream starts anew after it."""
        rest, self._pending = self._pending, ""
        return self._restore(rest)

    def _undecided(self, text: str) -> int:
        """Return the offset from which `text` may be the beginning of a placeholder, or its length."""
        window = max(0, len(text) - _LONGEST_PLACEHOLDER)
        for at in range(window, len(text)):
            if _could_begin(text[at:]):
                return at
        return len(text)


def _could_begin(tail: str) -> bool:
    """Report whether `tail` is an unfinished placeholder."""
    for opening in _OPENINGS:
        if len(tail) <= len(opening):
            if opening.startswith(tail):
                return True
        elif tail.startswith(opening) and _NAME_SO_FAR.fullmatch(tail, len(opening)):
            return True
    return False


def _mapped(value: object, change: _Change, name: _Change = str) -> object:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {
            name(key) if isinstance(key, str) else key: _mapped(inner, change, name)
            for key, inner in cast("dict[object, object]", value).items()
        }
    if isinstance(value, list | tuple):
        return [_mapped(inner, change, name) for inner in cast("list[object]", value)]
    return value
