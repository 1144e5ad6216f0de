"""Optional engines as detectors: `Redactor(detectors=[presidio(...)])`. Each is imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from resilient_ai.privacy.spans import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from resilient_ai.privacy.spans import Detector

# Presidio's own default for what its analyzer reports as found.
_PRESIDIO_THRESHOLD: Final = 0.5


class _Result(Protocol):
    start: int
    end: int
    score: float
    entity_type: str


class _Analyzer(Protocol):
    def analyze(self, text: str, language: str, entities: list[str] | None = None) -> Sequence[_Result]: ...


def presidio(
    analyzer: _Analyzer,
    *,
    language: str = "en",
    entities: Sequence[str] | None = None,
    threshold: float = _PRESIDIO_THRESHOLD,
) -> Detector:
    """Return a detector over a Presidio `AnalyzerEngine`, for names and places, which no pattern can find.

    It costs about a millisecond for each text. Install `resilient_ai[presidio]`.
    """
    wanted = list(entities) if entities is not None else None

    def detect(text: str, /) -> Iterator[Span]:
        for result in analyzer.analyze(text=text, language=language, entities=wanted):
            if result.score >= threshold:
                yield Span(result.start, result.end, result.entity_type)

    return detect


def phone_numbers(regions: Iterable[str]) -> Detector:
    """Return a detector of valid phone numbers in the national formats of `regions` (`["DE", "US"]`).

    Install `resilient_ai[phone]`.

    Raises:
        ImportError: `phonenumbers` is not installed.
    """
    import phonenumbers

    codes = tuple(regions)

    def detect(text: str, /) -> Iterator[Span]:
        for code in codes:
            for match in phonenumbers.PhoneNumberMatcher(text, code):
                yield Span(match.start, match.end, "PHONE")

    return detect
