"""Optional engines plug in as detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resilient_ai.privacy import Redactor
from resilient_ai.privacy.adapters import phone_numbers, presidio

if TYPE_CHECKING:
    from collections.abc import Sequence


class Finding:
    def __init__(self, start: int, end: int, score: float, entity_type: str) -> None:
        self.start, self.end, self.score, self.entity_type = start, end, score, entity_type


class Analyzer(NamedTuple):
    """Has the signature of Presidio's `AnalyzerEngine.analyze`."""

    findings: tuple[Finding, ...]

    def analyze(self, text: str, language: str, entities: list[str] | None = None) -> Sequence[Finding]:
        return self.findings if language == "en" and "Jane" in text else ()


def test_what_presidio_is_sure_of_is_replaced_under_its_name() -> None:
    engine = Analyzer((Finding(4, 12, 0.85, "PERSON"), Finding(13, 18, 0.2, "LOCATION")))
    assert Redactor(detectors=[presidio(engine)]).text("ask Jane Doe about it") == "ask <PERSON> about it"


def test_national_phone_numbers_of_given_regions_are_found_in_logs() -> None:
    line = "callback 030 901820 requested"
    assert Redactor("machine").text(line) == line
    assert Redactor("machine", detectors=[phone_numbers(["DE"])]).text(line) == "callback <PHONE> requested"
