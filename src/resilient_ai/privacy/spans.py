"""What a detector reports: where sensitive text stands, and of what kind it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Span(NamedTuple):
    """Marks `text[start:end]` as sensitive.

    Attributes:
        start: Offset of the first character.
        end: Offset behind the last character.
        kind: Type printed in the placeholder: capital letters, digits and underscores.
    """

    start: int
    end: int
    kind: str


class Detector(Protocol):
    """Finds one family of sensitive values; called from any thread, must not keep the text."""

    def __call__(self, text: str, /) -> Iterable[Span]:
        """Return the spans found in `text`, in any order, overlapping or not."""
        ...


# Kinds of the rules of this package. Only these (and those of detectors in use) make `<KIND>` a placeholder:
# `<AKIA...>` is a key in brackets.
KINDS: Final = frozenset(
    {
        "ACCOUNT", "CARD", "COORDINATES", "CREDENTIALS", "CRYPTO_ADDRESS", "CYCLE", "DATE_OF_BIRTH", "EMAIL",
        "IBAN", "ID_NUMBER", "IP_ADDRESS", "KEY", "MAC_ADDRESS", "NUMBER", "PHONE", "PLATE", "PRIVATE_KEY",
        "REDACTION_FAILED", "SECRET", "SSN", "USERNAME",
    }
)  # fmt: skip

# Kinds that say less than others; where two rules overlap, the other one names the placeholder.
_VAGUE: Final = frozenset({"NUMBER", "ID_NUMBER", "ACCOUNT", "PHONE", "PLATE", "SECRET"})


def merged(spans: Sequence[Span]) -> list[Span]:
    """Return the union of `spans`, sorted and disjoint.

    Overlapping spans become one that covers all of them, so that no character that any rule marked survives
    because another rule disagreed about the borders. The most telling kind wins, then the longest span.
    """
    ordered = sorted(spans)
    result: list[Span] = []
    best = ordered[0]
    start, end = best.start, best.end
    for span in ordered[1:]:
        if span.start < end:
            end = max(end, span.end)
            best = max(best, span, key=_telling)
            continue
        result.append(Span(start, end, best.kind))
        best = span
        start, end = span.start, span.end
    result.append(Span(start, end, best.kind))
    return result


def _telling(span: Span) -> tuple[bool, int]:
    return span.kind not in _VAGUE, span.end - span.start
